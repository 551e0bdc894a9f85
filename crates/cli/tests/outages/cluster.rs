//! A cluster of three nodes, each of which goes once.

use std::time::{Duration, Instant};

use mnemon_testbed::{Cluster, rest};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::binary;
use crate::check::check;
use crate::load::{Load, Tally, user};
use crate::place::{COLLECTION, Ledger, Place};

const NODES: usize = 3;
/// Searches while a node is away.
const SEARCHES: u64 = 12;

pub(crate) fn a_node_may_go(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::start(&binary().unwrap(), NODES);
    let place = Place::new(&[cluster.peer(0), cluster.peer(1), cluster.peer(2)], Ledger::Sqlite)
        .with("MNEMON_QDRANT_SHARDS", "3")
        .with("MNEMON_QDRANT_REPLICATION_FACTOR", "2")
        .with("MNEMON_QDRANT_WRITE_CONSISTENCY_FACTOR", "1");
    let tally = Tally::default();
    let served = place.serve();
    for node in [2, 0, 1] {
        let load = Load::start(&served.url, &tally, random.random());
        tally.wait_for(20);
        tally.told().slowest = Duration::ZERO;
        cluster.kill(node);
        let mut slowest = Duration::ZERO;
        for number in 0..SEARCHES {
            let query = json!({"query": "Maria", "filters": {"user_id": user(number)}});
            let begun = Instant::now();
            let (status, answer) = rest::call("POST", &format!("{}/search", served.url), Some(&query)).unwrap();
            slowest = slowest.max(begun.elapsed());
            assert_eq!(status, 200, "without node {node}: {answer}");
            assert!(answer["results"].as_array().is_some_and(|found| !found.is_empty()), "{answer}");
        }
        tally.wait_for(20);
        load.stop();
        let slowest_add = tally.told().slowest;
        let begun = Instant::now();
        cluster.start_again(node);
        cluster.wait_for_all();
        for collection in [COLLECTION.to_owned(), format!("{COLLECTION}_entities")] {
            cluster.wait_for_shards(&collection);
        }
        let back = begun.elapsed();
        eprintln!("without node {node}: slowest search {slowest:.1?}, add {slowest_add:.1?}; back after {back:.1?}");
        let told = tally.told();
        assert_eq!((told.refused.len(), told.not_deleted, told.unanswered.len()), (0, 0, 0), "without node {node}");
        let counts: Vec<u64> = (0..NODES).map(|node| count(&cluster, node)).collect();
        let expected = (told.texts.len() - told.deleted.len()) as u64;
        assert_eq!(counts, [expected; NODES], "after node {node} came back");
    }
    check("three nodes", &place, &served, cluster.peer(0), &tally, Duration::ZERO);
}

/// How many memories a node counts.
fn count(cluster: &Cluster, node: usize) -> u64 {
    let url = format!("{}/collections/{COLLECTION}/points/count", cluster.peer(node).http_url());
    rest::post(&url, &json!({"exact": true})).unwrap()["result"]["count"].as_u64().unwrap()
}
