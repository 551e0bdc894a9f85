//! Requests of real clients that must delete nothing, or only what they name.

use serde_json::{Value, json};

use crate::service::{ADMIN, ANA, BOB, Service};

async fn world() -> Service {
    let service = Service::start().await;
    for (key, body) in [
        (ANA, json!({"messages": "ana's", "agent_id": "a", "app_id": "shop", "run_id": "r", "metadata": {"x": 1}})),
        (ANA, json!({"messages": "ana's other"})),
        (BOB, json!({"messages": "bob's", "agent_id": "a"})),
        (ADMIN, json!({"messages": "the agent's", "agent_id": "a"})),
    ] {
        service.post(key, "/v3/memories/add/", body).await.expect(200);
    }
    service
}

async fn left(service: &Service) -> Value {
    service.get(ADMIN, "/memories").await.expect(200)["count"].clone()
}

#[tokio::test]
async fn what_can_not_be_read_for_sure_deletes_nothing() {
    let service = world().await;
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
            let answer = service.call(key, "DELETE", path, Value::Null).await;
            assert!(statuses.contains(&answer.status), "{path} → {} {}", answer.status, answer.body);
            assert!(answer.body["detail"].is_string(), "{}", answer.body);
            assert_eq!(left(&service).await, 4, "{path}");
        }
    }
    // A DELETE with the header of a JSON body and none, as two clients send it.
    let request = service.request("DELETE", "/v1/memories/?user_id=nobody").header("x-api-key", ADMIN);
    let answer = Service::answer(request.header("content-type", "application/json")).await.expect(200);
    assert_eq!(answer["deleted"], 0);
}

#[tokio::test]
async fn what_is_named_is_deleted_and_nothing_else() {
    let service = world().await;
    let delete = |key: &'static str, path: &'static str| {
        let service = &service;
        async move { service.call(key, "DELETE", path, Value::Null).await }
    };
    assert_eq!(delete(ANA, "/v1/memories/?user_id=bob").await.status, 403);
    assert_eq!(delete(ANA, "/v1/memories/?user_id=ana&metadata=%7B%22x%22%3A2%7D").await.expect(200)["deleted"], 0);
    let answer = delete(ADMIN, "/v1/memories/?user_id=ana&metadata=%7B%22x%22%3A1%7D").await.expect(200);
    assert!(answer["deleted"] == 1 && answer["message"].is_string(), "{answer}");
    let event = answer["event_id"].as_str().unwrap();
    let event = service.get(ANA, &format!("/v1/event/{event}/")).await.expect(200);
    assert_eq!(event["event_type"], "DELETE_ALL");
    assert_eq!(delete(ANA, "/v1/memories/?agent_id=a").await.expect(200)["deleted"], 0);
    let everything = "/v1/memories/?source=CLI&user_id=%2A&agent_id=%2A&app_id=%2A&run_id=%2A";
    assert_eq!(delete(ANA, everything).await.expect(200)["deleted"], 1, "a user's key deletes its own user's");
    assert_eq!(left(&service).await, 2);
    assert_eq!(delete(ADMIN, "/v1/memories/?user_id=%2A").await.expect(200)["deleted"], 1);
    assert_eq!(delete(ADMIN, everything).await.expect(200)["deleted"], 1);
    assert_eq!(left(&service).await, 0);
}

#[tokio::test]
async fn batches_are_all_checked_before_one_is_changed() {
    let service = Service::start().await;
    let mine = service.remember(ANA, "mine").await;
    let other = service.remember(ANA, "mine too").await;
    let his = service.remember(BOB, "his").await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    for stranger in [his.as_str(), unknown, "no id"] {
        let update = json!({"memories": [{"memory_id": mine, "text": "x"}, {"memory_id": stranger, "text": "x"}]});
        let answer = service.call(ANA, "PUT", "/v1/batch/", update).await;
        assert!(answer.status == 404 && answer.body["detail"].as_str().unwrap().contains(stranger), "{}", answer.body);
        let delete = json!({"memories": [{"memory_id": mine}, {"memory_id": stranger}]});
        assert_eq!(service.call(ANA, "DELETE", "/v1/batch/", delete).await.status, 404);
    }
    let nothing = json!({"memories": [{"memory_id": mine, "text": "x"}, {"memory_id": other}]});
    assert_eq!(service.call(ANA, "PUT", "/v1/batch/", nothing).await.status, 400);
    assert_eq!(service.call(ANA, "PUT", "/v1/batch/", json!({"memories": []})).await.status, 400);
    let many: Vec<Value> = (0..1001).map(|_| json!({"memory_id": mine})).collect();
    assert_eq!(service.call(ANA, "DELETE", "/v1/batch/", json!({"memories": many})).await.status, 400);
    assert_eq!(service.get(ANA, &format!("/v1/memories/{mine}/")).await.expect(200)["memory"], "mine");
    let update = json!({"memories": [{"memory_id": mine, "text": "t", "metadata": {"a": 1}}]});
    let answer = service.call(ANA, "PUT", "/v1/batch/", update).await.expect(200);
    assert!(answer["message"].is_string() && answer["updated"] == 1, "{answer}");
    let memory = service.get(ANA, &format!("/v1/memories/{mine}/")).await.expect(200);
    assert_eq!((&memory["memory"], &memory["metadata"]), (&json!("t"), &json!({"a": 1})));
    let delete = json!({"memories": [{"memory_id": mine}, {"memory_id": other}, {"memory_id": mine}]});
    assert_eq!(service.call(ANA, "DELETE", "/v1/batch/", delete).await.expect(200)["deleted"], 2);
    assert_eq!(left(&service).await, 1);
}

#[tokio::test]
async fn a_key_that_may_only_write_is_told_nothing() {
    let keys = r#"{"wo": {"user": "ana", "scopes": ["write"]}}"#;
    let keys = mnemon_server::auth::ConfiguredKey::parse_all(keys).unwrap();
    let service = Service::with(mnemon_server::Config { keys, ..crate::service::config() }).await;
    service.get("wo", "/v1/ping/").await.expect(200);
    let id = service.remember("wo", "a secret").await;
    let changed = service.call("wo", "PUT", &format!("/v1/memories/{id}/"), json!({"metadata": {"k": 1}})).await;
    assert_eq!(changed.expect(200), json!({"id": id}));
    let export = json!({"schema": {"type": "object"}});
    assert_eq!(service.post("wo", "/v1/exports/", export).await.status, 403);
    assert_eq!(service.get("wo", "/v1/events/").await.status, 403);
}
