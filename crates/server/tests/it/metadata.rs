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
        let name = if key == "mnemon_immutable" { key } else { key.strip_prefix("mnemon_").unwrap_or(key) };
        assert_eq!(same[name], payload_value(&server, key), "{key}");
    }
}

fn payload_value(server: &TestServer, key: &str) -> Value {
    let memory = server.engine.store().get(&[MemoryId::Number(1_000_001)]).unwrap().remove(0).unwrap();
    memory.payload.as_map()[key].clone()
}

/// Metadata with the names of the platform's fields.
fn names_of_fields() -> Value {
    json!({
        "app_id": "mine", "categories": ["own"], "immutable": true, "structured_attributes": {"own": 1}, "timestamp": "own",
        "custom_categories": [{"a": "b"}], "fields": ["x"], "filters": {"user_id": "bob"}, "name": "n", "owner": "o",
        "session_id": "s", "replaced_by": "r", "synthesized": true, "score": 1, "memory": "m", "input": [1],
    })
}

#[tokio::test]
async fn names_of_fields_in_metadata_are_metadata() {
    let server = server().await;
    let metadata = names_of_fields();
    let fields = json!({
        "app_id": "shop", "categories": ["a"], "structured_attributes": {"a": 1}, "timestamp": "2024-05-01T12:00:00Z",
    });
    let none = json!({"app_id": null, "categories": [], "structured_attributes": null, "timestamp": null});
    let mut stored = Vec::new();
    for path in ["/v3/memories/add/", "/v1/memories/", "/memories"] {
        for infer in [false, true] {
            for given in [&none, &fields] {
                let mut body = json!({"messages": format!("I like tea a lot. {}", stored.len()), "user_id": "ana"});
                let map = body.as_object_mut().unwrap();
                map.insert("infer".into(), json!(infer));
                map.insert("metadata".into(), metadata.clone());
                map.insert("output_format".into(), json!("v1.1"));
                let given = if path == "/memories" { &none } else { given };
                map.extend(given.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()));
                let added = server.post(ADMIN, path, body).await.expect(200);
                stored.push((added["results"][0]["id"].as_str().unwrap().to_owned(), given));
            }
        }
    }
    let payload = json!({"data": "I like tea", "user_id": "ana", "created_at": "2024-05-01T12:00:00Z"});
    let mut point = json!({"id": 77, "payload": payload});
    point["payload"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), point.to_string()).unwrap();
    server.engine.import(file.path(), &ImportOptions::default(), &mut |_| {}).unwrap();
    stored.push(("77".to_owned(), &none));
    for (id, given) in &stored {
        let shown = server.get(ADMIN, &format!("/v1/memories/{id}/")).await.expect(200);
        let on_mem0_server = server.get(ADMIN, &format!("/memories/{id}")).await.expect(200);
        assert_eq!((&shown["metadata"], &on_mem0_server["metadata"]), (&metadata, &metadata), "{id}");
        assert_eq!(shown["immutable"], false, "{id}");
        for (key, value) in given.as_object().unwrap() {
            assert_eq!(&shown[key], value, "{id} {key}");
            if key != "timestamp" {
                let absent = value.is_null() || *value == json!([]);
                assert_eq!(on_mem0_server[key], if absent { Value::Null } else { value.clone() }, "{id} {key}");
            }
        }
        let history = server.get(ADMIN, &format!("/v1/memories/{id}/history/")).await.expect(200);
        for row in history.as_array().unwrap() {
            assert_eq!((&row["app_id"], &row["metadata"]), (&given["app_id"], &metadata), "{id}");
        }
        // New metadata with these names, alone and in a batch, leaves the fields alone.
        let changed = json!({"app_id": "new", "categories": "none", "immutable": false});
        let batch = json!({"memories": [{"memory_id": id, "metadata": changed}]});
        for (path, body) in
            [(format!("/v1/memories/{id}/"), json!({"metadata": changed})), ("/v1/batch/".to_owned(), batch)]
        {
            server.call(ADMIN, "PUT", &path, body).await.expect(200);
            let shown = server.get(ADMIN, &format!("/v1/memories/{id}/")).await.expect(200);
            assert_eq!((&shown["metadata"], &shown["app_id"]), (&changed, &given["app_id"]), "{id}");
        }
    }
    let count = async |filters: Value| {
        server.post(ADMIN, "/v3/memories/", json!({"filters": filters})).await.expect(200)["count"].clone()
    };
    assert_eq!(count(json!({"user_id": "ana", "app_id": "shop"})).await, 4);
    assert_eq!(count(json!({"user_id": "ana", "categories": ["a"]})).await, 4);
    assert_eq!(count(json!({"user_id": "ana", "app_id": "new"})).await, 0);
    assert_eq!(
        count(json!({"user_id": "ana", "metadata": {"app_id": "new", "categories": "none"}})).await,
        stored.len()
    );
    let entities = server.get(ADMIN, "/v1/entities/").await.expect(200);
    let rows = entities["results"].as_array().unwrap();
    let apps: Vec<&Value> = rows.iter().filter(|row| row["type"] == "app").map(|row| &row["id"]).collect();
    assert_eq!(apps, ["shop"]);
    server.call(ADMIN, "DELETE", "/v2/entities/app/new/", Value::Null).await.expect(200);
    server.call(ADMIN, "DELETE", "/v1/memories/?app_id=new", Value::Null).await.expect(200);
    assert_eq!(count(json!({"user_id": "ana"})).await, stored.len());
    server.call(ADMIN, "DELETE", "/v2/entities/app/shop/", Value::Null).await.expect(200);
    assert_eq!(count(json!({"user_id": "ana"})).await, stored.len() - 4);
}
