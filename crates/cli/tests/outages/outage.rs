//! Qdrant is unavailable for some seconds.

use std::time::{Duration, Instant};

use mnemon_testbed::{Qdrant, rest};
use serde_json::json;

use crate::consistency::check;
use crate::deployment::{Deployment, LedgerKind, ServerProcess};
use crate::load::{Load, Outcomes, user};
use mnemon_testbed::trials::{number, qdrant_binary};

/// Longest duration of a refusal.
const FAST: Duration = Duration::from_secs(5);
/// Longest time until searches work again.
const SOON: Duration = Duration::from_secs(10);

pub(crate) fn searches_fail_fast_and_recover(seed: u64) {
    let mut server = Qdrant::start(&qdrant_binary().unwrap());
    let deployment = Deployment::new(&[&server], LedgerKind::Sqlite);
    let outcomes = Outcomes::default();
    let process = deployment.serve();
    let load = Load::start(&process.url, &outcomes, seed);
    outcomes.wait_for(100);
    assert_eq!(search(&process), 200);

    let outage = Duration::from_secs(number("MNEMON_TEST_OUTAGE").unwrap_or(5));
    server.kill();
    let until = Instant::now() + outage;
    let (searches, adds) = std::thread::scope(|scope| {
        let searches = scope.spawn(|| probe(until, |_| search(&process)));
        let adds = scope.spawn(|| {
            let text = |count| format!("Note {count} of {seed:x} about nobody");
            probe(until, |count| outcomes.add(&process.url, &user(0), text(count)).unwrap())
        });
        (searches.join().unwrap(), adds.join().unwrap())
    });
    server.start_again();
    let start = Instant::now();
    while search(&process) != 200 {
        assert!(start.elapsed() < SOON, "searches do not work again after {SOON:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let again = start.elapsed();
    outcomes.wait_for(1);
    load.stop();
    eprintln!("{outage:?} without qdrant: refused {searches} and adds {adds}; searches work again after {again:.1?}");
    check("after the outage", &deployment, &process, &server, &outcomes, Duration::from_secs(15));
}

/// The status of a search.
fn search(process: &ServerProcess) -> u16 {
    let query = json!({"query": "Nori", "filters": {"user_id": user(0)}});
    rest::call("POST", &format!("{}/search", process.url), Some(&query)).unwrap().0
}

/// Repeats a request until then. Each one must be refused quickly. Returns a summary.
fn probe(until: Instant, ask: impl Fn(u32) -> u16) -> String {
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while Instant::now() < until {
        let start = Instant::now();
        let status = ask(count);
        slowest = slowest.max(start.elapsed());
        assert_eq!(status, 503, "the answer after {:?}", start.elapsed());
        assert!(slowest < FAST, "refused after {slowest:?}");
        count += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(count > 0, "nothing was asked");
    format!("{count} (slowest {slowest:.2?})")
}
