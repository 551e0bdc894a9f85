//! The servers do what tests rely on; those that the environment does not name are reported as ignored.
#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

use std::path::PathBuf;

use mnemon_testbed::trials::{Trials, qdrant_binary, unset, without_qdrant_binary};
use mnemon_testbed::{
    Cluster, EmbeddingsEndpoint, POSTGRES, QDRANT, Qdrant, fresh_database, rest, restore_snapshot, shared, unique,
};
use serde_json::{Value, json};

fn main() {
    let no_qdrant = unset(&[QDRANT]);
    let no_postgres = unset(&[POSTGRES]);
    let no_binary = without_qdrant_binary();
    let mut trials = Trials::new();
    trials.add("vectors_come_in_both_encodings", None, vectors_come_in_both_encodings);
    trials.add("the_shared_server_answers", no_qdrant.as_deref(), the_shared_server_answers);
    trials.add("a_database_is_there_and_gone", no_postgres.as_deref(), a_database_is_there_and_gone);
    let mut of_binary = |name: &str, test: fn(PathBuf)| {
        trials.add(name, no_binary.as_deref(), move || test(qdrant_binary().unwrap()));
    };
    of_binary("what_was_synced_survives_a_kill", what_was_synced_survives_a_kill);
    of_binary("a_snapshot_becomes_a_collection", a_snapshot_becomes_a_collection);
    of_binary("a_cluster_loses_a_peer_and_gets_it_back", a_cluster_loses_a_peer_and_gets_it_back);
    trials.run();
}

fn vectors_come_in_both_encodings() {
    let endpoint = EmbeddingsEndpoint::start(|texts| texts.iter().map(|text| vec![text.len() as f32, 0.1]).collect());
    let url = format!("{}/embeddings", endpoint.url());
    let floats = rest::post(&url, &json!({"model": "m", "input": "abc"})).unwrap();
    assert_eq!(floats["data"][0]["embedding"], json!([3.0, f64::from(0.1_f32)]));
    let request = json!({"model": "m", "input": ["a", "ab"], "encoding_format": "base64", "dimensions": 2});
    let encoded = rest::post(&url, &request).unwrap();
    let vectors: Vec<&Value> = encoded["data"].as_array().unwrap().iter().map(|item| &item["embedding"]).collect();
    assert_eq!(vectors, ["AACAP83MzD0=", "AAAAQM3MzD0="]);
    for wrong in [json!({"input": 1}), json!({"input": ["a"], "dimensions": 3})] {
        let error = rest::post(&url, &wrong).unwrap_err();
        assert!(error.to_string().contains(" 400 "), "{error}");
    }
}

fn the_shared_server_answers() {
    let server = shared().unwrap();
    let url = format!("{}/collections/{}", server.http_url(), unique("testbed"));
    assert!(rest::get(&url).is_err());
    rest::put(&url, &json!({"vectors": {"size": 2, "distance": "Cosine"}})).unwrap();
    assert_eq!(rest::get(&url).unwrap()["result"]["points_count"], 0);
    rest::delete(&url).unwrap();
}

fn a_database_is_there_and_gone() {
    let one = fresh_database().unwrap();
    let other = fresh_database().unwrap();
    assert_ne!(one.url(), other.url());
    let mut client = postgres::Client::connect(one.url(), postgres::NoTls).unwrap();
    client.batch_execute("CREATE TABLE t(x BIGINT)").unwrap();
    // Connections that are still open do not matter.
    let url = one.url().to_owned();
    drop(one);
    assert!(postgres::Client::connect(&url, postgres::NoTls).is_err());
}

fn what_was_synced_survives_a_kill(binary: PathBuf) {
    let mut server = Qdrant::start(&binary);
    let url = format!("{}/collections/kept", server.http_url());
    rest::put(&url, &json!({"vectors": {"size": 2, "distance": "Cosine"}})).unwrap();
    for round in 0..3 {
        let point = json!({"points": [{"id": round, "vector": [1.0, 0.0], "payload": {"round": round}}]});
        rest::put(&format!("{url}/points?wait=true"), &point).unwrap();
        if round == 1 {
            server.stop();
        } else {
            server.kill();
        }
        assert!(rest::get(&url).is_err(), "the server still answers");
        server.start_again();
        let count = rest::post(&format!("{url}/points/count"), &json!({"exact": true})).unwrap();
        assert_eq!(count["result"]["count"], round + 1);
    }
    let folder = server.folder().to_owned();
    assert!(folder.join("storage").is_dir());
    drop(server);
    assert!(!folder.exists());
}

fn a_snapshot_becomes_a_collection(binary: PathBuf) {
    let server = Qdrant::start(&binary);
    let collections = format!("{}/collections", server.http_url());
    let url = format!("{collections}/taken");
    rest::put(&url, &json!({"vectors": {"size": 2, "distance": "Cosine"}})).unwrap();
    let point = json!({"points": [{"id": 7, "vector": [0.6, 0.8], "payload": {"data": "kept"}}]});
    rest::put(&format!("{url}/points?wait=true"), &point).unwrap();
    let taken = rest::post(&format!("{url}/snapshots"), &json!({})).unwrap();
    let name = taken["result"]["name"].as_str().unwrap();
    let file = server.folder().join("snapshots/taken").join(name);
    let other = Qdrant::start(&binary);
    restore_snapshot(other.http_url(), &file, "restored");
    let point = rest::get(&format!("{}/collections/restored/points/7", other.http_url())).unwrap();
    assert_eq!(point["result"]["payload"]["data"], "kept");
}

fn a_cluster_loses_a_peer_and_gets_it_back(binary: PathBuf) {
    let mut cluster = Cluster::start(&binary, 3);
    let url = |number: usize| format!("{}/collections/shared", cluster.peer(number).http_url());
    let urls = [url(0), url(1), url(2)];
    let collection = json!({
        "vectors": {"size": 2, "distance": "Cosine"},
        "shard_number": 3, "replication_factor": 3, "write_consistency_factor": 2,
    });
    rest::put(&urls[0], &collection).unwrap();
    let put = |url: &str, id: u32| {
        let point = json!({"points": [{"id": id, "vector": [1.0, 0.0]}]});
        rest::put(&format!("{url}/points?wait=true"), &point).unwrap();
    };
    put(&urls[1], 1);
    cluster.kill(2);
    put(&urls[0], 2);
    cluster.start_again(2);
    cluster.wait_for_all();
    put(&urls[2], 3);
    let count = rest::post(&format!("{}/points/count?consistency=majority", urls[1]), &json!({"exact": true})).unwrap();
    assert_eq!(count["result"]["count"], 3);
}
