//! Checks after all servers are running again.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use mnemon_testbed::{Qdrant, rest};
use serde_json::{Value, json};

use crate::deployment::{COLLECTION, Deployment, ServerProcess};
use crate::load::{OutcomeData, Outcomes};

/// Memories whose history is checked.
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

/// Compares the store with the outcomes of the writes. Acknowledged writes must be applied within `timeout`.
#[track_caller]
pub(crate) fn check(
    label: &str,
    deployment: &Deployment,
    process: &ServerProcess,
    server: &Qdrant,
    outcomes: &Outcomes,
    timeout: Duration,
) {
    let data = outcomes.lock();
    let start = Instant::now();
    while !is_applied(&data, &points(server, COLLECTION)) {
        assert!(start.elapsed() < timeout, "{label}: {}", errors(&data, &points(server, COLLECTION)).join("\n"));
        std::thread::sleep(Duration::from_millis(50));
    }
    let applied = start.elapsed();
    // Doctor applies pending writes, so a refused write that was recorded would appear.
    let findings = deployment.findings();
    let points = points(server, COLLECTION);
    let mut errors = errors(&data, &points);
    errors.extend(findings.iter().map(|finding| format!("doctor: {finding}")));
    let sample = data.live.len().min(SAMPLE);
    let sampled = (0..sample).map(|at| &data.live[at * data.live.len() / sample]);
    errors.extend(sampled.filter_map(|id| wrong_history(process, id, &["ADD"])));
    errors.extend(data.deleted.iter().take(SAMPLE).filter_map(|id| wrong_history(process, id, &["ADD", "DELETE"])));
    eprintln!(
        "{label}: {} added, {} deleted, {} points; {} + {} refused with 503, {} unanswered; all applied after {applied:.1?}; \
         {sample} histories; {} errors",
        data.texts.len(),
        data.deleted.len(),
        points.len(),
        data.refused.len(),
        data.not_deleted,
        data.unanswered.len(),
        errors.len(),
    );
    assert!(errors.is_empty(), "{label}: {}", errors.join("\n"));
    assert!(!data.texts.is_empty() && !data.deleted.is_empty(), "{label}: nothing was written");
}

/// Whether all acknowledged writes are in Qdrant.
fn is_applied(data: &OutcomeData, points: &BTreeMap<String, Value>) -> bool {
    data.live.iter().all(|id| points.contains_key(id)) && !data.deleted.iter().any(|id| points.contains_key(id))
}

fn errors(data: &OutcomeData, points: &BTreeMap<String, Value>) -> Vec<String> {
    let mut errors = data.unexpected.clone();
    for id in &data.live {
        let text = points.get(id).map(|payload| &payload["data"]);
        if text.is_none_or(|text| *text != data.texts[id]) {
            errors.push(format!("{id} should be `{}` but is {text:?}", data.texts[id]));
        }
    }
    errors.extend(
        data.deleted.iter().filter(|id| points.contains_key(*id)).map(|id| format!("{id} was deleted but exists")),
    );
    let known: HashSet<&String> = data.texts.values().chain(&data.unanswered).collect();
    let mut seen = HashSet::new();
    for (id, payload) in points {
        let text = payload["data"].as_str().unwrap_or_default().to_owned();
        if data.refused.contains(&text) {
            errors.push(format!("{id} was refused but exists: {text}"));
        } else if !known.contains(&text) {
            errors.push(format!("{id} was never added: {payload}"));
        }
        if !seen.insert(text) {
            errors.push(format!("{id} is a duplicate: {payload}"));
        }
    }
    errors
}

fn wrong_history(process: &ServerProcess, id: &str, expected: &[&str]) -> Option<String> {
    let rows = rest::get(&format!("{}/memories/{id}/history", process.url)).unwrap();
    let events: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["event"].as_str().unwrap()).collect();
    (events != expected).then(|| format!("the history of {id} is {rows}"))
}
