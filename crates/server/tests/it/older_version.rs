//! A store that an older version wrote, with pending requests and queued deliveries: nothing is lost, nothing is stored
//! twice.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mnemon_server::check_documents;
use mnemon_store::{DocumentStore, PageRequest};
use mnemon_testbed::FakeService as Endpoint;
use serde_json::{Value, json};

use crate::learning::{answer, until_done};
use crate::server::{ADMIN, ANA, BOB, TestServer, config, documents};
use crate::webhooks::receiver;

/// A copy of the store, whose queues are due whatever the clock says, and whose webhook has this URL. See the fixtures'
/// README.
fn older_store(folder: &Path, url: &str) -> PathBuf {
    let path = folder.join("m.db");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/older_jobs.db"), &path).unwrap();
    let store = documents(&path);
    for kind in ["extraction", "delivery"] {
        for document in store.due(kind, Timestamp::MAX, 99).unwrap() {
            let id = document.unwrap().id;
            assert!(store.reschedule(kind, &id, Timestamp::MAX, Timestamp::UNIX_EPOCH).unwrap());
        }
    }
    let hook = all(&store, "webhook").remove(0).id;
    store
        .change("webhook", &hook, &mut |document| {
            document.body["url"] = json!(url);
            true
        })
        .unwrap()
        .unwrap();
    path
}

fn all(store: &dyn DocumentStore, kind: &'static str) -> Vec<mnemon_store::Document> {
    let page = PageRequest { limit: 99, ..PageRequest::default() };
    store.scan(kind, None, &page).unwrap().items.into_iter().map(Result::unwrap).collect()
}

/// The texts of a user's memories.
async fn texts(server: &TestServer, key: &str) -> Vec<String> {
    let listed = server.get(key, "/memories?top_k=99").await.expect(200);
    let mut texts: Vec<String> = listed["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|memory| memory["memory"].as_str().unwrap().to_owned())
        .collect();
    texts.sort();
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_requests_and_deliveries_of_an_older_version_are_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut received) = receiver(Vec::new()).await;
    let path = older_store(folder.path(), &url);
    let store = documents(&path);
    let (jobs, queued) = (all(&store, "extraction"), all(&store, "delivery"));
    assert_eq!((jobs.len(), queued.len(), all(&store, "event").len()), (5, 3, 5));
    let endpoint = Endpoint::start(|_, request| answer(request));
    let server = TestServer::over_with_llm(&path, &endpoint, config()).await;
    for job in &jobs {
        let event = until_done(&server, ADMIN, &job.id).await;
        assert_eq!((&event["status"], &event["error"]), (&json!("SUCCEEDED"), &Value::Null), "{event}");
        assert_eq!(event["results"][0]["data"]["memory"], job.body["messages"][0]["content"]);
        assert_eq!(event["payload"]["user_id"], json!(job.owner));
        assert!(event.get("job").is_none(), "the job is no part of the answer");
    }
    let mut expected: Vec<String> = (1..4).map(|n| format!("Verbatim {n}: we moved to Lisbon in May.")).collect();
    expected.extend((1..5).map(|n| format!("I adopted cat number {n} yesterday.")));
    expected.sort();
    assert_eq!((texts(&server, ANA).await, texts(&server, BOB).await), (expected, vec!["Bob likes tea.".to_owned()]));
    // The old deliveries with their ids, and one for each new memory.
    let mut deliveries = BTreeSet::new();
    for _ in 0..8 {
        let delivery = received.recv().await.unwrap();
        assert!(deliveries.insert((delivery.id, delivery.body)), "a delivery was sent twice");
    }
    for delivery in queued {
        assert!(deliveries.contains(&(delivery.id, delivery.body["body"].as_str().unwrap().to_owned())));
    }
    let page = server.get(ADMIN, "/v1/events").await.expect(200);
    assert_eq!((&page["count"], &page["results"][0]["status"]), (&json!(5), &json!("SUCCEEDED")));
    server.stop().await;
    // A second start finds nothing to do.
    let before = texts(&TestServer::over_with_llm(&path, &endpoint, config()).await, ADMIN).await;
    assert_eq!((before.len(), endpoint.requests().len()), (8, 5));
    let left = ["extraction", "delivery"].map(|kind| all(&store, kind).len());
    assert_eq!((left, store.count_due("event", jiff::Timestamp::MAX).unwrap()), ([0, 0], 0));
    let store: std::sync::Arc<dyn DocumentStore> = std::sync::Arc::new(store);
    assert_eq!(check_documents(&store).unwrap(), []);
}
