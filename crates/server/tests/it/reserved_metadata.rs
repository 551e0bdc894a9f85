//! Metadata whose keys look like fields of the system, added by every route and imported: only what the system wrote
//! counts.

use mnemon_engine::ImportOptions;
use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, TestServer};

/// Metadata that users write.
fn metadata() -> Vec<Value> {
    vec![
        json!({"timestamp": 1_721_577_600}),
        json!({"timestamp": 1_721_577_600.5}),
        json!({"timestamp": "yesterday"}),
        json!({"timestamp": "2001-01-01T00:00:00Z"}),
        json!({"timestamp": "2001-01-01"}),
        json!({"timestamp": null}),
        json!({"timestamp": [1, 2]}),
        json!({"timestamp": {"seconds": 1}}),
        json!({"event_time": "yesterday"}),
        json!({"event_time": "2001-01-01T00:00:00Z"}),
        json!({"session": "mine", "position": "first"}),
        json!({"created": "2001-01-01", "date": "2001-01-01", "time": 7, "session_id": "s"}),
        json!({"immutable": true}),
        json!({"immutable": "yes"}),
        json!({"categories": "food", "app_id": 7}),
        json!({"metadata": {"timestamp": 1}, "payload": {}, "vector": [1], "score": 9, "memory": "other", "text": "t"}),
    ]
}

async fn check(server: &TestServer, id: &str, metadata: &Value, what: &str) {
    let shown = server.get(ANA, &format!("/v1/memories/{id}/")).await.expect(200);
    let stored = server.get(ANA, &format!("/memories/{id}")).await.expect(200);
    assert_eq!(shown["created_at"], stored["created_at"], "{what}: {shown}");
    assert_eq!((&shown["timestamp"], &shown["immutable"]), (&Value::Null, &json!(false)), "{what}: {shown}");
    for (key, value) in metadata.as_object().unwrap() {
        assert_eq!(&stored["metadata"][key], value, "{what}: {stored}");
        assert_eq!(&shown["metadata"][key], value, "{what}: {shown}");
    }
    let filters = |from: &str, to: &str| json!({"AND": [{"user_id": "ana"}, {"created_at": {"gte": from, "lte": to}}]});
    for path in ["/v2/memories/", "/v3/memories/", "/v3/memories/search/", "/v2/memories/search/"] {
        for (from, to, expected) in [("2026-01-01", "2999-01-01", true), ("1970-01-01", "2025-01-01", false)] {
            let body = json!({"query": "coffee", "filters": filters(from, to), "threshold": 0, "page_size": 1000});
            let found = server.post(ANA, path, body).await.expect(200);
            let items = found.get("results").unwrap_or(&found).as_array().unwrap();
            let is_found = items.iter().any(|item| item["id"] == id);
            assert_eq!(is_found, expected, "{path} {from} {what}");
        }
    }
    let timestamp = json!({"filters": {"AND": [{"user_id": "ana"}, {"timestamp": "*"}]}});
    let found = server.post(ANA, "/v3/memories/", timestamp).await.expect(200);
    assert!(found["results"].as_array().unwrap().iter().all(|item| item["id"] != id), "{what}");
    for path in [format!("/memories/{id}"), format!("/v1/memories/{id}/")] {
        server.call(ANA, "PUT", &path, json!({"text": "I like coffee even more."})).await.expect(200);
    }
    server.call(ANA, "DELETE", &format!("/memories/{id}"), Value::Null).await.expect(200);
}

#[tokio::test]
async fn metadata_of_adds_is_only_metadata() {
    let server = TestServer::start().await;
    for metadata in metadata() {
        for path in ["/memories", "/v1/memories/", "/v3/memories/add/"] {
            for infer in [false, true] {
                let body = json!({"messages": "I like coffee a lot.", "infer": infer, "metadata": metadata, "output_format": "v1.1"});
                let added = server.post(ANA, path, body).await.expect(200);
                let id = added["results"][0]["id"].as_str().unwrap();
                check(&server, id, &metadata, &format!("{path} {infer} {metadata}")).await;
            }
        }
    }
}

#[tokio::test]
async fn metadata_of_imported_points_is_only_metadata() {
    let server = TestServer::start().await;
    for (number, metadata) in (1..).zip(metadata()) {
        let mut payload =
            json!({"data": "I like coffee a lot.", "user_id": "ana", "created_at": "2026-02-03T04:05:06Z"});
        payload.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("points.jsonl");
        std::fs::write(&file, json!({"id": number, "payload": payload}).to_string()).unwrap();
        let report = server.engine.import(&file, &ImportOptions::default(), &mut |_| {}).unwrap();
        assert_eq!((report.stored.memories, report.refused.len()), (1, 0), "{report:?}");
        check(&server, &number.to_string(), &metadata, &format!("import {metadata}")).await;
    }
}

#[tokio::test]
async fn keys_that_the_system_writes_are_refused_by_name() {
    let server = TestServer::start().await;
    for key in
        mnemon_store::reserved_keys().chain(["AND", "OR", "NOT", "$and", "$or", "$not", "$session", "$event_time"])
    {
        for path in ["/memories", "/v1/memories/", "/v3/memories/add/"] {
            let body = json!({"messages": "I like tea.", "infer": false, "metadata": {key: "x"}});
            let refused = server.post(ANA, path, body).await.expect(400);
            assert!(refused["detail"].as_str().unwrap().contains(&format!("`{key}`")), "{path} {refused}");
        }
    }
    assert_eq!(server.get(ADMIN, "/memories").await.body["count"], 0);
}

#[tokio::test]
async fn what_the_platform_marks_as_immutable_stays_frozen() {
    let server = TestServer::start().await;
    for infer in [false, true] {
        let text = format!("I like coffee a lot, {infer}.");
        let body = json!({"messages": text, "infer": infer, "immutable": true});
        let added = server.post(ANA, "/v3/memories/add/", body).await.expect(200);
        let id = added["results"][0]["id"].as_str().unwrap();
        let shown = server.get(ANA, &format!("/v1/memories/{id}/")).await.expect(200);
        assert_eq!((&shown["immutable"], &shown["metadata"]), (&json!(true), &json!({})));
        for path in [format!("/memories/{id}"), format!("/v1/memories/{id}/")] {
            server.call(ANA, "PUT", &path, json!({"text": "Tea."})).await.expect(400);
            server.call(ANA, "PUT", &path, json!({"metadata": {"immutable": false}})).await.expect(400);
        }
        let batch = json!({"memories": [{"memory_id": id, "text": "Tea."}]});
        server.call(ANA, "PUT", "/v1/batch/", batch).await.expect(400);
    }
}

#[tokio::test]
async fn every_key_that_can_be_stored_can_be_filtered() {
    let server = TestServer::start().await;
    let long = "k".repeat(2000);
    let deep = format!("a{}", ".b".repeat(60));
    for key in [
        "$price",
        "$",
        "$$",
        "$nor",
        "$where",
        "",
        " ",
        "a.b",
        ".",
        "..",
        "a.",
        ".a",
        "*",
        "eq",
        "in",
        "gt",
        "ключ",
        "with space",
        "quo\"te",
        "timestamp",
        "immutable",
        "event_time",
        "session",
        long.as_str(),
        deep.as_str(),
    ] {
        let body = json!({"messages": "I like tea.", "infer": false, "metadata": {key: "v1", "other": 1}});
        let added = server.post(ANA, "/memories", body).await.expect(200);
        let id = added["results"][0]["id"].as_str().unwrap();
        for (condition, expected) in
            [(json!("v1"), true), (json!("v2"), false), (json!({"in": ["v1", "v3"]}), true), (json!("*"), true)]
        {
            let body = json!({"query": "tea", "filters": {"user_id": "ana", key: condition}, "threshold": 0});
            let found = server.post(ANA, "/search", body).await.expect(200);
            let is_found = found["results"].as_array().unwrap().iter().any(|item| item["id"] == id);
            assert_eq!(is_found, expected, "{key:?} {condition}");
            let body = json!({"filters": {"AND": [{"user_id": "ana"}, {"metadata": {key: condition}}]}});
            let found = server.post(ANA, "/v3/memories/", body).await.expect(200);
            let is_found = found["results"].as_array().unwrap().iter().any(|item| item["id"] == id);
            assert_eq!(is_found, expected, "platform {key:?} {condition}");
        }
        server.call(ANA, "DELETE", &format!("/memories/{id}"), Value::Null).await.expect(200);
    }
    // Nested keys are reached by dots.
    let nested = json!({"a": {"$b": {"": [{"c": 1}, "v1"]}}});
    server
        .post(ANA, "/memories", json!({"messages": "I like tea.", "infer": false, "metadata": nested}))
        .await
        .expect(200);
    let body = json!({"query": "tea", "filters": {"user_id": "ana", "a.$b.": "v1"}, "threshold": 0});
    assert_eq!(server.post(ANA, "/search", body).await.expect(200)["results"].as_array().unwrap().len(), 1);
}
