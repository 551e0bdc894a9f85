//! A cluster of three nodes, each of which is killed once.

use std::time::{Duration, Instant};

use mnemon_testbed::{Cluster, rest};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::consistency::check;
use crate::deployment::{COLLECTION, Deployment, LedgerKind};
use crate::load::{Load, Outcomes, user};
use mnemon_testbed::trials::qdrant_binary;

const NODES: usize = 3;
/// Searches while a node is down.
const SEARCHES: u64 = 12;

pub(crate) fn a_cluster_survives_the_loss_of_a_node(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::start(&qdrant_binary().unwrap(), NODES);
    let deployment = Deployment::new(&[cluster.peer(0), cluster.peer(1), cluster.peer(2)], LedgerKind::Sqlite)
        .with("MNEMON_QDRANT_SHARDS", "3")
        .with("MNEMON_QDRANT_REPLICATION_FACTOR", "2")
        .with("MNEMON_QDRANT_WRITE_CONSISTENCY_FACTOR", "1");
    let outcomes = Outcomes::default();
    let process = deployment.serve();
    for node in [2, 0, 1] {
        let load = Load::start(&process.url, &outcomes, random.random());
        outcomes.wait_for(20);
        outcomes.lock().slowest = Duration::ZERO;
        cluster.kill(node);
        let mut slowest = Duration::ZERO;
        for number in 0..SEARCHES {
            let query = json!({"query": "Maria", "filters": {"user_id": user(number)}});
            let start = Instant::now();
            let (status, answer) = rest::call("POST", &format!("{}/search", process.url), Some(&query)).unwrap();
            slowest = slowest.max(start.elapsed());
            assert_eq!(status, 200, "without node {node}: {answer}");
            assert!(answer["results"].as_array().is_some_and(|found| !found.is_empty()), "{answer}");
        }
        outcomes.wait_for(20);
        load.stop();
        let slowest_add = outcomes.lock().slowest;
        let start = Instant::now();
        cluster.start_again(node);
        cluster.wait_for_all();
        for collection in [COLLECTION.to_owned(), format!("{COLLECTION}_entities")] {
            cluster.wait_for_shards(&collection);
        }
        let back = start.elapsed();
        eprintln!("without node {node}: slowest search {slowest:.1?}, add {slowest_add:.1?}; back after {back:.1?}");
        let data = outcomes.lock();
        assert_eq!((data.refused.len(), data.not_deleted, data.unanswered.len()), (0, 0, 0), "without node {node}");
        let counts: Vec<u64> = (0..NODES).map(|node| count(&cluster, node)).collect();
        let expected = (data.texts.len() - data.deleted.len()) as u64;
        assert_eq!(counts, [expected; NODES], "after node {node} came back");
    }
    check("three nodes", &deployment, &process, cluster.peer(0), &outcomes, Duration::ZERO);
}

/// Number of memories according to one node.
fn count(cluster: &Cluster, node: usize) -> u64 {
    let url = format!("{}/collections/{COLLECTION}/points/count", cluster.peer(node).http_url());
    rest::post(&url, &json!({"exact": true})).unwrap()["result"]["count"].as_u64().unwrap()
}
