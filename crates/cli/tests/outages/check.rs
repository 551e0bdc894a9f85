//! What must hold once all is up again.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use mnemon_testbed::{Qdrant, rest};
use serde_json::{Value, json};

use crate::load::{Tally, Told};
use crate::place::{COLLECTION, Place, Served};

/// Memories whose history is looked at.
const SAMPLE: usize = 300;

/// Payloads of all points of a collection, by id.
pub(crate) fn points(server: &Qdrant, collection: &str) -> BTreeMap<String, Value> {
    let url = format!("{}/collections/{collection}/points/scroll", server.http_url());
    let mut points = BTreeMap::new();
    let mut offset = Value::Null;
    loop {
        let page = rest::post(&url, &json!({"limit": 1000, "offset": offset, "with_payload": true})).unwrap();
        for point in page["result"]["points"].as_array().unwrap() {
            points.insert(point["id"].as_str().unwrap().to_owned(), point["payload"].clone());
        }
        offset = page["result"]["next_page_offset"].clone();
        if offset.is_null() {
            return points;
        }
    }
}

/// Holds the store against what writers were told. What was acknowledged may take as long as `patience` to be there.
#[track_caller]
pub(crate) fn check(label: &str, place: &Place, served: &Served, server: &Qdrant, tally: &Tally, patience: Duration) {
    let told = tally.told();
    let begun = Instant::now();
    while !is_applied(&told, &points(server, COLLECTION)) {
        assert!(begun.elapsed() < patience, "{label}: {}", faults(&told, &points(server, COLLECTION)).join("\n"));
        std::thread::sleep(Duration::from_millis(50));
    }
    let applied = begun.elapsed();
    // Doctor applies what is pending: a refused write that was recorded all the same would be there afterwards.
    let findings = place.findings();
    let points = points(server, COLLECTION);
    let mut faults = faults(&told, &points);
    faults.extend(findings.iter().map(|finding| format!("doctor: {finding}")));
    let sample = told.live.len().min(SAMPLE);
    let sampled = (0..sample).map(|at| &told.live[at * told.live.len() / sample]);
    faults.extend(sampled.filter_map(|id| wrong_history(served, id, &["ADD"])));
    faults.extend(told.deleted.iter().take(SAMPLE).filter_map(|id| wrong_history(served, id, &["ADD", "DELETE"])));
    eprintln!(
        "{label}: {} added, {} deleted, {} points; {} + {} refused with 503, {} unanswered; all applied after {applied:.1?}; \
         {sample} histories; {} faults",
        told.texts.len(),
        told.deleted.len(),
        points.len(),
        told.refused.len(),
        told.not_deleted,
        told.unanswered.len(),
        faults.len(),
    );
    assert!(faults.is_empty(), "{label}: {}", faults.join("\n"));
    assert!(!told.texts.is_empty() && !told.deleted.is_empty(), "{label}: there was no load");
}

/// Whether all that was acknowledged is in Qdrant.
fn is_applied(told: &Told, points: &BTreeMap<String, Value>) -> bool {
    told.live.iter().all(|id| points.contains_key(id)) && !told.deleted.iter().any(|id| points.contains_key(id))
}

fn faults(told: &Told, points: &BTreeMap<String, Value>) -> Vec<String> {
    let mut faults = told.strange.clone();
    for id in &told.live {
        let text = points.get(id).map(|payload| &payload["data"]);
        if text.is_none_or(|text| *text != told.texts[id]) {
            faults.push(format!("{id} is `{}`, and there is {text:?}", told.texts[id]));
        }
    }
    faults.extend(told.deleted.iter().filter(|id| points.contains_key(*id)).map(|id| format!("{id} was deleted")));
    let known: HashSet<&String> = told.texts.values().chain(&told.unanswered).collect();
    let mut seen = HashSet::new();
    for (id, payload) in points {
        let text = payload["data"].as_str().unwrap_or_default().to_owned();
        if told.refused.contains(&text) {
            faults.push(format!("{id} was refused: {text}"));
        } else if !known.contains(&text) {
            faults.push(format!("{id} was added by nobody: {payload}"));
        }
        if !seen.insert(text) {
            faults.push(format!("{id} is there twice: {payload}"));
        }
    }
    faults
}

fn wrong_history(served: &Served, id: &str, expected: &[&str]) -> Option<String> {
    let rows = rest::get(&format!("{}/memories/{id}/history", served.url)).unwrap();
    let events: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["event"].as_str().unwrap()).collect();
    (events != expected).then(|| format!("the history of {id} is {rows}"))
}
