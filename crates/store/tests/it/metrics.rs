//! The metrics of a store.

use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use mnemon_store::Store;

use crate::fixture::{add, open, record};

/// Records every histogram that was written, with its labels.
#[derive(Clone, Default)]
struct TestRecorder(Arc<Mutex<Vec<String>>>);

struct TestHistogram(TestRecorder, String);

impl HistogramFn for TestHistogram {
    fn record(&self, seconds: f64) {
        assert!((0.0..600.0).contains(&seconds));
        self.0.0.lock().unwrap().push(self.1.clone());
    }
}

impl Recorder for TestRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let labels: Vec<String> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Histogram::from_arc(Arc::new(TestHistogram(self.clone(), format!("{} {}", key.name(), labels.join(" ")))))
    }
}

#[test]
fn reads_and_writes_are_timed() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = TestRecorder::default();
    metrics::with_local_recorder(&recorder, || {
        let store = open(&folder.path().join("store"));
        add(&store, record(1, "u1")).unwrap();
        add(&store, record(1, "u1")).unwrap_err();
        store.owners(None).unwrap();
    });
    let write = ["mnemon_store_seconds op=write_wait", "mnemon_store_seconds op=write"];
    let expected = [&write[..], &write[..], &["mnemon_store_seconds op=read"]].concat();
    assert_eq!(*recorder.0.lock().unwrap(), expected);
}
