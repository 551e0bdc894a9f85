//! Changes of metadata: what stays, what is removed, and changes at the same time.

use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, TestServer};

/// Stores a memory with every field of the platform, and returns its id.
async fn add(server: &TestServer, text: &str) -> String {
    let body = json!({
        "messages": text, "infer": false, "app_id": "shop", "categories": ["food"], "timestamp": 1_700_000_000,
        "structured_attributes": {"a": 1}, "expiration_date": "2999-01-01", "metadata": {"k": 1, "nested": {"a": 1}},
    });
    let added = server.post(ANA, "/v3/memories/add/", body).await.expect(200);
    added["results"][0]["id"].as_str().unwrap().to_owned()
}

async fn metadata(server: &TestServer, id: &str) -> Value {
    server.get(ANA, &format!("/v1/memories/{id}/")).await.expect(200)["metadata"].clone()
}

#[tokio::test]
async fn fields_of_the_platform_survive_every_change() {
    let server = TestServer::start().await;
    let id = add(&server, "I like tea.").await;
    let fields = ["app_id", "categories", "timestamp", "created_at", "structured_attributes", "expiration_date"];
    let before = server.get(ANA, &format!("/v1/memories/{id}/")).await.expect(200);
    for (path, body, expected) in [
        (format!("/memories/{id}"), json!({"metadata": {"b": 2}}), json!({"k": 1, "nested": {"a": 1}, "b": 2})),
        (format!("/memories/{id}"), json!({"metadata": {"k": null}}), json!({"k": null, "nested": {"a": 1}, "b": 2})),
        (format!("/memories/{id}"), json!({"metadata": {}}), json!({"k": null, "nested": {"a": 1}, "b": 2})),
        (
            format!("/memories/{id}"),
            json!({"metadata": {"nested": {"c": 1}}}),
            json!({"k": null, "nested": {"c": 1}, "b": 2}),
        ),
        (format!("/memories/{id}"), json!({"text": "I like milk."}), json!({"k": null, "nested": {"c": 1}, "b": 2})),
        (format!("/v1/memories/{id}/"), json!({"metadata": {"new": 1}}), json!({"new": 1})),
        ("/v1/batch/".into(), json!({"memories": [{"memory_id": id, "metadata": {"c": 3}}]}), json!({"c": 3})),
        (format!("/v1/memories/{id}/"), json!({"metadata": {}}), json!({})),
        // A time of the caller's own is one key like any other.
        (format!("/memories/{id}"), json!({"metadata": {"timestamp": "yesterday"}}), json!({"timestamp": "yesterday"})),
    ] {
        server.call(ANA, "PUT", &path, body.clone()).await.expect(200);
        let after = server.get(ANA, &format!("/v1/memories/{id}/")).await.expect(200);
        assert_eq!(after["metadata"], expected, "{path} {body}");
        for field in fields {
            assert_eq!(after[field], before[field], "{field} after {path} {body}");
        }
    }
    let moved = json!({"timestamp": "2020-02-02T00:00:00Z"});
    let after = server.call(ANA, "PUT", &format!("/v1/memories/{id}/"), moved).await.expect(200);
    assert_eq!((&after["timestamp"], &after["created_at"]), (&json!("2020-02-02T00:00:00Z"), &after["timestamp"]));
    assert_eq!(after["metadata"], json!({"timestamp": "yesterday"}));
}

#[tokio::test]
async fn a_timestamp_that_an_older_version_stored_is_the_same_field() {
    let server = TestServer::start().await;
    for body in [json!({"timestamp": 1_600_000_000}), json!({"timestamp": 1_600_000_000, "metadata": {"k": 2}})] {
        let request = mnemon_engine::AddRequest {
            scope: mnemon_store::Scope::user("ana").unwrap(),
            messages: vec![mnemon_engine::Message { content: "I like tea.".into(), ..Default::default() }],
            metadata: json!({"timestamp": "2023-11-14T22:13:20Z", "k": 1}).as_object().unwrap().clone(),
            timestamp: Some("2023-11-14T22:13:20Z".parse().unwrap()),
            ..Default::default()
        };
        let path = format!("/v1/memories/{}/", server.engine.add(request).unwrap()[0].id);
        let before = server.get(ANA, &path).await.expect(200);
        assert_eq!((&before["timestamp"], &before["metadata"]), (&json!("2023-11-14T22:13:20Z"), &json!({"k": 1})));
        let after = server.call(ANA, "PUT", &path, body.clone()).await.expect(200);
        let metadata = body.get("metadata").cloned().unwrap_or(json!({"k": 1}));
        assert_eq!((&after["timestamp"], &after["metadata"]), (&json!("2020-09-13T12:26:40Z"), &metadata));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_at_the_same_time_lose_nothing() {
    let server = TestServer::start().await;
    let id = add(&server, "I like tea.").await;
    let path = format!("/memories/{id}");
    let changes = (0..24).map(|n| server.call(ANA, "PUT", &path, json!({"metadata": {format!("k{n}"): n}})));
    for answer in futures_util::future::join_all(changes).await {
        answer.expect(200);
    }
    let after = metadata(&server, &id).await;
    assert!((0..24).all(|n| after[format!("k{n}")] == n), "{after}");
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let server = TestServer::start().await;
    let ids = [add(&server, "I like tea.").await, add(&server, "I like milk.").await];
    let unknown = "6f0e0000-0000-4000-8000-000000000000";
    for (refused, status) in [
        (json!({"memory_id": unknown, "text": "x"}), 404),
        (json!({"memory_id": ids[1], "text": ""}), 400),
        (json!({"memory_id": ids[1]}), 400),
        (json!({"memory_id": ids[1], "metadata": {"user_id": "bob"}}), 400),
    ] {
        let changes = json!({"memories": [{"memory_id": ids[0], "text": "Changed.", "metadata": {"n": 1}}, refused]});
        assert_eq!(server.call(ANA, "PUT", "/v1/batch/", changes).await.status, status, "{refused}");
        assert_eq!(metadata(&server, &ids[0]).await, json!({"k": 1, "nested": {"a": 1}}));
    }
    let changes = json!({"memories": [
        {"memory_id": ids[0], "text": "I like coffee."}, {"memory_id": ids[1], "metadata": {"n": 1}},
        {"memory_id": ids[0], "metadata": {"n": 2}},
    ]});
    let answer = server.call(ANA, "PUT", "/v1/batch/", changes).await.expect(200);
    assert_eq!(answer["updated"], 3);
    let first = server.get(ANA, &format!("/v1/memories/{}/", ids[0])).await.expect(200);
    assert_eq!((&first["memory"], &first["metadata"]), (&json!("I like coffee."), &json!({"n": 2})));
    let refused = json!({"memories": [{"memory_id": ids[0]}, {"memory_id": unknown}]});
    server.call(ANA, "DELETE", "/v1/batch/", refused).await.expect(404);
    assert_eq!(server.get(ADMIN, "/memories").await.body["count"], 2);
    let both = json!({"memories": [{"memory_id": ids[0]}, ids[1]]});
    server.call(ANA, "DELETE", "/v1/batch/", both).await.expect(200);
    assert_eq!(server.get(ADMIN, "/memories").await.body["count"], 0);
}

#[tokio::test]
async fn session_and_event_time_can_be_filtered() {
    let server = TestServer::start().await;
    let scope = mnemon_store::Scope::user("ana").unwrap();
    for (text, session, time) in [
        ("I like tea.", "monday", Some("2024-05-06T09:00:00Z")),
        ("I like milk.", "tuesday", Some("2024-05-07T09:00:00Z")),
        ("I like water.", "tuesday", None),
    ] {
        let message = mnemon_engine::Message { content: text.into(), ..mnemon_engine::Message::default() };
        let request = mnemon_engine::AddRequest {
            scope: scope.clone(),
            messages: vec![message],
            session: Some(session.into()),
            timestamp: time.map(|time| time.parse().unwrap()),
            ..mnemon_engine::AddRequest::default()
        };
        server.engine.add(request).unwrap();
    }
    for (filter, expected) in [
        (json!({"session": "monday"}), 1),
        (json!({"session": "tuesday"}), 2),
        (json!({"session": ["monday", "tuesday"]}), 3),
        (json!({"session": {"ne": "monday"}}), 2),
        (json!({"session": {"contains": "day"}}), 3),
        (json!({"session": "*"}), 3),
        (json!({"event_time": "*"}), 2),
        (json!({"NOT": [{"event_time": "*"}]}), 1),
        (json!({"event_time": {"gte": "2024-05-07"}}), 1),
        (json!({"event_time": {"lt": "2024-05-07T09:00:00+00:00"}}), 1),
        (json!({"event_time": {"gte": "2024-05-06T09:00:00Z", "lte": "2024-05-07T09:00:00Z"}}), 2),
    ] {
        let filters = json!({"AND": [{"user_id": "ana"}, filter]});
        let search = json!({"query": "what do I like?", "filters": filters, "threshold": 0});
        for path in ["/search", "/v3/memories/search/", "/v2/memories/", "/v3/memories/"] {
            let found = server.post(ANA, path, search.clone()).await.expect(200);
            let found = found.get("results").unwrap_or(&found).as_array().unwrap().len();
            assert_eq!(found, expected, "{path} {filter}");
        }
    }
    for filter in [json!({"event_time": "2024-05-06T11:00:00+02:00"}), json!({"event_time": 1_714_986_000})] {
        let search = json!({"query": "tea", "filters": {"AND": [{"user_id": "ana"}, filter]}, "threshold": 0});
        for path in ["/search", "/v3/memories/search/"] {
            let found = server.post(ANA, path, search.clone()).await.expect(200);
            assert_eq!(found["results"].as_array().unwrap().len(), 1, "{path} {filter}");
        }
    }
}
