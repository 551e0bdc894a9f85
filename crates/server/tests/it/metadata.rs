//! What a route shows as metadata can be sent back by its update.

use std::collections::BTreeMap;
use std::path::Path;

use mnemon_engine::ImportOptions;
use mnemon_store::{MemoryId, PageRequest, Payload};
use serde_json::{Value, json};

use crate::server::{ADMIN, TestServer};

/// The owner of the memories in `known_keys.points.jsonl`.
const OWNER: &str = "every";

/// A server with points that other programs wrote: with every known key, with odd values, and with keys of the platform.
async fn server() -> TestServer {
    let server = TestServer::start().await;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/fixtures");
    let folder = tempfile::tempdir().unwrap();
    for name in ["known_keys", "legacy_quirks"] {
        let points = std::fs::read_to_string(fixtures.join(format!("{name}.points.jsonl"))).unwrap();
        let without_vector = |line: &str| {
            let mut point: Value = serde_json::from_str(line).unwrap();
            point.as_object_mut().unwrap().remove("vector");
            format!("{point}\n")
        };
        let path = folder.path().join(name);
        std::fs::write(&path, points.lines().map(without_vector).collect::<String>()).unwrap();
        let report = server.engine.import(&path, &ImportOptions::default(), &mut |_| {}).unwrap();
        assert_eq!(report.refused, [], "{name}");
    }
    let known = payloads(&server).into_values().find(|payload| payload.text() == "Every known key").unwrap();
    // A text that was embedded as a whole has no record of its pieces.
    let mut reserved = mnemon_store::reserved_keys().filter(|key| *key != "updated_at" && !key.starts_with("vector_"));
    assert!(reserved.all(|key| known.as_map().contains_key(key)), "{known:?}");
    server
}

/// All payloads without the time of the last update, which may be of any type.
fn payloads(server: &TestServer) -> BTreeMap<MemoryId, Payload> {
    let page = PageRequest { limit: 1000, ..PageRequest::default() };
    let memories = server.engine.store().list(None, None, &page).unwrap().items;
    let without_update_time = |mut payload: Payload| {
        payload.remove("updated_at");
        payload
    };
    memories.into_iter().map(|memory| (memory.id, without_update_time(memory.payload))).collect()
}

/// The memories that a route answers with.
async fn shown(server: &TestServer, method: &str, path: &str, body: &Value) -> Vec<Value> {
    let answer = server.call(ADMIN, method, path, body.clone()).await.expect(200);
    match answer {
        Value::Array(items) => items,
        Value::Object(mut fields) if fields.contains_key("results") => {
            fields["results"].take().as_array().unwrap().clone()
        }
        memory => vec![memory],
    }
}

/// Sends the metadata that the routes show back, and checks that nothing changed.
async fn check(routes: &[(&str, String, Value)], update: impl Fn(&str, Value) -> (String, Value)) {
    let server = server().await;
    let before = payloads(&server);
    for (method, path, body) in routes {
        let items = shown(&server, method, path, body).await;
        assert!(!items.is_empty(), "{path} shows nothing");
        for item in items {
            let metadata = item["metadata"].as_object().cloned().unwrap_or_default();
            let reserved = mnemon_store::reserved_keys().find(|key| metadata.contains_key(*key));
            assert_eq!(reserved, None, "{path}: {item}");
            let (path_of_update, request) = update(item["id"].as_str().unwrap(), metadata.into());
            server.call(ADMIN, "PUT", &path_of_update, request).await.expect(200);
        }
        assert_eq!(payloads(&server), before, "after the metadata of {path} was sent back");
    }
}

fn ids(server: &TestServer) -> Vec<String> {
    payloads(server).into_keys().map(|id| id.to_string()).collect()
}

#[tokio::test]
async fn metadata_of_mem0_server_can_be_sent_back() {
    let search = json!({"query": "every known key of the platform", "filters": {"user_id": OWNER}, "threshold": 0});
    let mut routes = vec![
        ("GET", "/memories".to_owned(), Value::Null),
        ("GET", format!("/memories?user_id={OWNER}"), Value::Null),
        ("POST", "/search".to_owned(), search.clone()),
        ("POST", "/memories/search".to_owned(), search),
    ];
    routes.extend(ids(&server().await).iter().map(|id| ("GET", format!("/memories/{id}"), Value::Null)));
    check(&routes, |id, metadata| (format!("/memories/{id}"), json!({"metadata": metadata}))).await;
}

#[tokio::test]
async fn metadata_of_the_platform_can_be_sent_back() {
    let filters = json!({"user_id": OWNER});
    let search = json!({"query": "every known key of the platform", "filters": filters, "threshold": 0});
    let mut routes = vec![("GET", format!("/v1/memories/?user_id={OWNER}"), Value::Null)];
    for version in ["v2", "v3"] {
        routes.push(("POST", format!("/{version}/memories/"), json!({"filters": filters})));
    }
    for version in ["v1", "v2", "v3"] {
        routes.push(("POST", format!("/{version}/memories/search/"), search.clone()));
    }
    routes.extend(ids(&server().await).iter().map(|id| ("GET", format!("/v1/memories/{id}/"), Value::Null)));
    check(&routes, |id, metadata| (format!("/v1/memories/{id}/"), json!({"metadata": metadata}))).await;
    let batch =
        |id: &str, metadata| ("/v1/batch/".to_owned(), json!({"memories": [{"memory_id": id, "metadata": metadata}]}));
    check(&routes, batch).await;
}

#[tokio::test]
async fn known_keys_are_shown_beside_the_metadata() {
    let server = server().await;
    let memory = server.get(ADMIN, "/memories/1000001").await.expect(200);
    assert_eq!(memory["metadata"], json!({"topic": "keys", "metadata": {"data": "nested"}}));
    for (key, value) in [
        ("memory_type", json!("procedural_memory")),
        ("source_messages", json!(["m1", "m2"])),
        ("attributed_to", json!("user")),
        ("expiration_date", json!("2999-01-01")),
        ("actor_id", json!("Ana")),
    ] {
        assert_eq!(memory[key], value, "{key}");
    }
    let all = server.get(ADMIN, "/memories").await.expect(200);
    let same = all["results"].as_array().unwrap().iter().find(|item| item["id"] == "1000001").unwrap();
    for key in mnemon_store::reserved_keys().filter(|key| !["id", "data"].contains(key) && !key.starts_with("vector_"))
    {
        assert_eq!(same[key], payload_value(&server, key), "{key}");
    }
}

fn payload_value(server: &TestServer, key: &str) -> Value {
    let memory = server.engine.store().get(&[MemoryId::Number(1_000_001)]).unwrap().remove(0).unwrap();
    memory.payload.as_map()[key].clone()
}

#[tokio::test]
async fn keys_of_the_platform_are_refused_as_new_metadata() {
    let server = server().await;
    for (id, metadata) in [
        // Fields of the memory, although they are unchanged.
        ("1000004", json!({"app_id": "shop"})),
        ("1000004", json!({"categories": ["a"]})),
        // Other values than those that are shown as metadata.
        ("1000003", json!({"app_id": 43})),
        ("1000003", json!({"immutable": true})),
    ] {
        let body = json!({"metadata": metadata});
        let refused = server.call(ADMIN, "PUT", &format!("/v1/memories/{id}/"), body).await.expect(400);
        assert!(refused["detail"].as_str().unwrap().contains("beside"), "{refused}");
        let batch = json!({"memories": [{"memory_id": id, "metadata": metadata}]});
        server.call(ADMIN, "PUT", "/v1/batch/", batch).await.expect(400);
    }
}
