//! Deletions on the hosted platform: requests of real clients that must delete nothing, or only the named memories.

use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, BOB, TestServer};

async fn world() -> TestServer {
    let server = TestServer::start().await;
    for (key, body) in [
        (ANA, json!({"messages": "ana's", "agent_id": "a", "app_id": "shop", "run_id": "r", "metadata": {"x": 1}})),
        (ANA, json!({"messages": "ana's other"})),
        (BOB, json!({"messages": "bob's", "agent_id": "a"})),
        (ADMIN, json!({"messages": "the agent's", "agent_id": "a"})),
    ] {
        server.post(key, "/v3/memories/add/", body).await.expect(200);
    }
    server
}

async fn left(server: &TestServer) -> Value {
    server.get(ADMIN, "/memories").await.expect(200)["count"].clone()
}

#[tokio::test]
async fn an_unclear_request_deletes_nothing() {
    let server = world().await;
    for (path, statuses) in [
        ("/v1/memories/?filters=%7B%27user_id%27%3A+%27alice%27%7D", &[400][..]),
        ("/v1/memories/?filters=%7B%27user_id%27%3A+%27alice%27%7D&org_id=default&project_id=default", &[400]),
        ("/v1/memories/?filters=%5Bobject+Object%5D&user_id=ana", &[400]),
        ("/v1/memories/", &[400]),
        ("/v1/memories/?", &[400]),
        ("/v1/memories/?org_id=default&project_id=default", &[400]),
        ("/v1/memories/?source=CLI", &[400]),
        ("/v1/memories/?user_id=", &[400]),
        ("/v1/memories/?user_id=ana&metadata=%7B%27x%27%3A+1%7D", &[400]),
        ("/v1/memories/?user_id=ana&user_id=bob", &[400]),
        ("/v1/memories/?user_id=an%20a", &[400]),
        ("/v1/memories//", &[404, 400]),
        ("/v1/memories/x/", &[404]),
        ("/v1/memories/*/", &[404]),
        ("/v1/", &[404]),
        ("/v2/entities/", &[404, 405]),
        ("/v2/entities/user/", &[404, 405]),
        ("/v2/entities/user//", &[404, 400]),
        ("/v2/entities/user/ana/b/", &[404, 405]),
        ("/v2/entities/user/%2A/", &[400]),
        ("/v2/entities/user/%20/", &[400]),
        ("/v2/entities/users/ana/", &[404]),
    ] {
        for key in [ANA, ADMIN] {
            let answer = server.call(key, "DELETE", path, Value::Null).await;
            assert!(statuses.contains(&answer.status), "{path} → {} {}", answer.status, answer.body);
            assert!(answer.body["detail"].is_string(), "{}", answer.body);
            assert_eq!(left(&server).await, 4, "{path}");
        }
    }
    // A DELETE with the content type of JSON and without a body, as two clients send it.
    let request = server.request("DELETE", "/v1/memories/?user_id=nobody").header("x-api-key", ADMIN);
    let answer = TestServer::answer(request.header("content-type", "application/json")).await.expect(200);
    assert_eq!(answer["deleted"], 0);
}

#[tokio::test]
async fn only_the_named_memories_are_deleted() {
    let server = world().await;
    let delete = |key: &'static str, path: &'static str| {
        let server = &server;
        async move { server.call(key, "DELETE", path, Value::Null).await }
    };
    assert_eq!(delete(ANA, "/v1/memories/?user_id=bob").await.status, 403);
    assert_eq!(delete(ANA, "/v1/memories/?user_id=ana&metadata=%7B%22x%22%3A2%7D").await.expect(200)["deleted"], 0);
    let answer = delete(ADMIN, "/v1/memories/?user_id=ana&metadata=%7B%22x%22%3A1%7D").await.expect(200);
    assert!(answer["deleted"] == 1 && answer["message"].is_string(), "{answer}");
    let event = answer["event_id"].as_str().unwrap();
    let event = server.get(ANA, &format!("/v1/event/{event}/")).await.expect(200);
    assert_eq!(event["event_type"], "DELETE_ALL");
    assert_eq!(delete(ANA, "/v1/memories/?agent_id=a").await.expect(200)["deleted"], 0);
    let everything = "/v1/memories/?source=CLI&user_id=%2A&agent_id=%2A&app_id=%2A&run_id=%2A";
    assert_eq!(delete(ANA, everything).await.expect(200)["deleted"], 1, "a user's key deletes its own user's");
    assert_eq!(left(&server).await, 2);
    assert_eq!(delete(ADMIN, "/v1/memories/?user_id=%2A").await.expect(200)["deleted"], 1);
    assert_eq!(delete(ADMIN, everything).await.expect(200)["deleted"], 1);
    assert_eq!(left(&server).await, 0);
}

#[tokio::test]
async fn a_batch_is_checked_before_anything_is_changed() {
    let server = TestServer::start().await;
    let mine = server.remember(ANA, "mine").await;
    let other = server.remember(ANA, "mine too").await;
    let his = server.remember(BOB, "his").await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    for stranger in [his.as_str(), unknown, "no id"] {
        let update = json!({"memories": [{"memory_id": mine, "text": "x"}, {"memory_id": stranger, "text": "x"}]});
        let answer = server.call(ANA, "PUT", "/v1/batch/", update).await;
        assert!(answer.status == 404 && answer.body["detail"].as_str().unwrap().contains(stranger), "{}", answer.body);
        let delete = json!({"memories": [{"memory_id": mine}, {"memory_id": stranger}]});
        assert_eq!(server.call(ANA, "DELETE", "/v1/batch/", delete).await.status, 404);
    }
    let nothing = json!({"memories": [{"memory_id": mine, "text": "x"}, {"memory_id": other}]});
    assert_eq!(server.call(ANA, "PUT", "/v1/batch/", nothing).await.status, 400);
    assert_eq!(server.call(ANA, "PUT", "/v1/batch/", json!({"memories": []})).await.status, 400);
    let deep: Value = serde_json::from_str(&("[".repeat(101) + &"]".repeat(101))).unwrap();
    for metadata in
        [json!({"role": "x"}), json!({"id": 1}), json!({"deep": deep}), json!({"long": "x".repeat(65 << 10)})]
    {
        let update =
            json!({"memories": [{"memory_id": mine, "text": "x"}, {"memory_id": other, "metadata": metadata}]});
        let refused = server.call(ANA, "PUT", "/v1/batch/", update).await.expect(400);
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(&other) && detail.ends_with("nothing was changed"), "{detail}");
    }
    let many: Vec<Value> = (0..1001).map(|_| json!({"memory_id": mine})).collect();
    assert_eq!(server.call(ANA, "DELETE", "/v1/batch/", json!({"memories": many})).await.status, 400);
    assert_eq!(server.get(ANA, &format!("/v1/memories/{mine}/")).await.expect(200)["memory"], "mine");
    let update = json!({"memories": [{"memory_id": mine, "text": "t", "metadata": {"a": 1}}]});
    let answer = server.call(ANA, "PUT", "/v1/batch/", update).await.expect(200);
    assert!(answer["message"].is_string() && answer["updated"] == 1, "{answer}");
    let memory = server.get(ANA, &format!("/v1/memories/{mine}/")).await.expect(200);
    assert_eq!((&memory["memory"], &memory["metadata"]), (&json!("t"), &json!({"a": 1})));
    let delete = json!({"memories": [{"memory_id": mine}, {"memory_id": other}, {"memory_id": mine}]});
    assert_eq!(server.call(ANA, "DELETE", "/v1/batch/", delete).await.expect(200)["deleted"], 2);
    assert_eq!(left(&server).await, 1);
}

#[tokio::test]
async fn a_write_only_key_reads_nothing() {
    let keys = r#"{"wo": {"user": "ana", "scopes": ["write"]}}"#;
    let keys = mnemon_server::auth::ConfiguredKey::parse_all(keys).unwrap();
    let server = TestServer::with(mnemon_server::Config { keys, ..crate::server::config() }).await;
    server.get("wo", "/v1/ping/").await.expect(200);
    let id = server.remember("wo", "a secret").await;
    let changed = server.call("wo", "PUT", &format!("/v1/memories/{id}/"), json!({"metadata": {"k": 1}})).await;
    assert_eq!(changed.expect(200), json!({"id": id}));
    let export = json!({"schema": {"type": "object"}});
    assert_eq!(server.post("wo", "/v1/exports/", export).await.status, 403);
    assert_eq!(server.get("wo", "/v1/events/").await.status, 403);
}
