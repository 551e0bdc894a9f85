//! Two servers with one ledger.

use std::collections::BTreeMap;
use std::time::Instant;

use mnemon_testbed::{Qdrant, rest};
use serde_json::{Value, json};

use crate::consistency::points;
use crate::deployment::{COLLECTION, Deployment, LedgerKind, ServerProcess};
use crate::load::Outcomes;
use mnemon_testbed::trials::qdrant_binary;

const WRITERS: usize = 8;
const ADDS: usize = 50;
const USER: &str = "ana";

pub(crate) fn two_servers_share_a_ledger(_seed: u64) {
    let server = Qdrant::start(&qdrant_binary().unwrap());
    let deployment = Deployment::new(&[&server], LedgerKind::Postgres);
    let both = [deployment.serve(), deployment.serve()];
    let outcomes = Outcomes::default();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (url, outcomes) = (&both[writer % 2].url, &outcomes);
            scope.spawn(move || {
                for number in 0..ADDS {
                    let text = format!("Note {writer}-{number}: I met Maria Silva, and we walked through Kyoto.");
                    assert_eq!(outcomes.add(url, USER, text.clone()), Some(200), "{text}");
                }
            });
        }
    });
    let rate = (WRITERS * ADDS) as f64 / start.elapsed().as_secs_f64();
    eprintln!("{} adds of {WRITERS} writers to one scope by two servers: {rate:.0}/s", WRITERS * ADDS);

    let data = outcomes.lock();
    let memories = points(&server, COLLECTION);
    assert_eq!((data.texts.len(), memories.len()), (WRITERS * ADDS, WRITERS * ADDS));
    for (id, text) in &data.texts {
        assert_eq!(memories.get(id).map(|payload| &payload["data"]), Some(&json!(text)), "{id}");
    }
    let mut entities = BTreeMap::new();
    for (id, entity) in points(&server, &format!("{COLLECTION}_entities")) {
        let name = entity["data"].as_str().unwrap().to_lowercase();
        let other = entities.insert(name, entity);
        assert!(other.is_none(), "{id} has the name of another: {other:?}");
    }
    for name in ["maria silva", "kyoto"] {
        let linked = entities.get(name).unwrap_or_else(|| panic!("no {name} in {entities:?}"));
        let mut linked: Vec<&str> =
            linked["linked_memory_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
        linked.sort_unstable();
        assert_eq!(linked, memories.keys().collect::<Vec<_>>(), "{name}");
    }
    let [one, other] = both.each_ref().map(found);
    assert_eq!(one.len(), 50);
    assert_eq!(one, other, "both answer alike");
    assert_eq!(deployment.findings(), Vec::<Value>::new());
}

/// The hits of a server, best first.
fn found(process: &ServerProcess) -> Vec<(String, Value)> {
    let query = json!({"query": "Where did I meet Maria?", "filters": {"user_id": USER}, "top_k": 50});
    let answer = rest::post(&format!("{}/search", process.url), &query).unwrap();
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|item| (item["id"].as_str().unwrap().to_owned(), item["score"].clone())).collect()
}
