//! `/entities`, `/requests`, `/reset` and `/generate-instructions`.

use insta::assert_json_snapshot;
use mnemon_store::{Document, DocumentStore, Durability};
use serde_json::{Value, json};

use crate::redact::redact;
use crate::server::{ADMIN, ANA, BOB, TestServer, config};

/// Memories of ana with and without an agent, of bob with the agent and a run, and of another agent without a user.
async fn populated() -> TestServer {
    let server = TestServer::start().await;
    for (key, ids) in [
        (ANA, json!({})),
        (ANA, json!({"agent_id": "bot"})),
        (BOB, json!({"agent_id": "bot", "run_id": "r1"})),
        (ADMIN, json!({"agent_id": "lone/wolf"})),
    ] {
        let mut body = json!({"messages": "likes tea", "infer": false});
        body.as_object_mut().unwrap().extend(ids.as_object().unwrap().clone());
        server.post(key, "/memories", body).await.expect(200);
    }
    server
}

async fn names(server: &TestServer, key: &str) -> Vec<String> {
    let all = server.get(key, "/entities").await.expect(200);
    let name = |entity: &Value| {
        format!("{} {} {}", entity["type"].as_str().unwrap(), entity["id"].as_str().unwrap(), entity["total_memories"])
    };
    all.as_array().unwrap().iter().map(name).collect()
}

async fn delete(server: &TestServer, key: &str, path: &str) -> (u16, Value) {
    let answer = server.call(key, "DELETE", &format!("/entities/{path}"), Value::Null).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_user_sees_only_the_entities_of_their_own_memories() {
    let server = populated().await;
    assert_json_snapshot!("entities", redact(server.get(ADMIN, "/entities/").await.expect(200)));
    assert_eq!(
        names(&server, ADMIN).await,
        ["agent bot 2", "agent lone/wolf 1", "run r1 1", "user ana 2", "user bob 1"]
    );
    assert_eq!(names(&server, ANA).await, ["agent bot 1", "user ana 2"]);
    assert_eq!(names(&server, BOB).await, ["agent bot 1", "run r1 1", "user bob 1"]);
    server.get("", "/entities").await.expect(401);
}

#[tokio::test]
async fn an_admin_may_delete_any_entity() {
    let server = populated().await;
    let (status, body) = delete(&server, ADMIN, "agent/lone%2Fwolf/").await;
    assert_eq!((status, body), (200, json!({"message": "Entity deleted"})));
    assert_eq!(delete(&server, ADMIN, "agent/lone%2Fwolf").await.0, 404);
    for odd in ["user/*", "user/%2A", "agent/*", "user/%20", "user/nobody", "user/BOB"] {
        assert_eq!(delete(&server, ADMIN, odd).await.0, 404, "{odd}");
    }
    let (status, body) = delete(&server, ADMIN, "app/shop").await;
    assert_eq!(status, 422);
    assert_json_snapshot!("entity_of_another_type", redact(body));
    assert_eq!(names(&server, ADMIN).await, ["agent bot 2", "run r1 1", "user ana 2", "user bob 1"]);
    assert_eq!(delete(&server, ADMIN, "agent/bot").await.0, 200);
    assert_eq!(names(&server, ADMIN).await, ["user ana 1"]);
}

#[tokio::test]
async fn a_user_may_delete_only_their_own_memories() {
    let server = populated().await;
    assert_eq!(delete(&server, ANA, "user/bob").await.1["code"], "not_your_user");
    for path in ["user/*", "user/bob%20", "user/"] {
        assert!([403, 404].contains(&delete(&server, ANA, path).await.0), "{path}");
    }
    for path in ["run/r1", "agent/lone%2Fwolf", "run/nothing"] {
        let (status, body) = delete(&server, ANA, path).await;
        assert_eq!((status, &body["code"]), (404, &json!("not_found")), "{path}");
    }
    assert_eq!(delete(&server, ANA, "agent/bot").await.0, 200);
    assert_eq!(names(&server, ANA).await, ["user ana 1"]);
    assert_eq!(names(&server, BOB).await, ["agent bot 1", "run r1 1", "user bob 1"]);
    assert_eq!(delete(&server, ANA, "user/ana").await.0, 200);
    assert_eq!(names(&server, ADMIN).await, ["agent bot 1", "agent lone/wolf 1", "run r1 1", "user bob 1"]);
}

#[tokio::test]
async fn deleting_a_user_deletes_their_documents_but_not_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let server = TestServer::over(&path, config()).await;
    server.remember(ANA, "Ana likes tea").await;
    let key = server.post(ANA, "/api-keys", json!({"label": "laptop"})).await.expect(201)["key"].clone();
    let documents = crate::server::documents(&path);
    let events = [Document::new("event", "1", json!(1)).owned_by(Some("ana")), Document::new("event", "2", json!(2))];
    documents.put(&events, Durability::Synced).unwrap();
    assert_eq!(delete(&server, ADMIN, "user/ana").await.0, 200);
    assert_eq!(documents.document("event", "1").unwrap(), None);
    assert!(documents.document("event", "2").unwrap().is_some());
    server.get(key.as_str().unwrap(), "/memories").await.expect(200);
    assert_eq!(delete(&server, ADMIN, "user/ana").await.0, 404);
}

#[tokio::test]
async fn all_owners_are_listed() {
    let server = TestServer::start().await;
    for number in 0..300 {
        let body = json!({"messages": "x", "run_id": format!("run-{number:03}"), "infer": false});
        server.post(ANA, "/memories", body).await.expect(200);
    }
    assert_eq!(server.get(ANA, "/entities").await.expect(200).as_array().unwrap().len(), 301);
}

#[tokio::test]
async fn the_last_requests_are_shown_to_admins() {
    let server = TestServer::start().await;
    server.get(ANA, "/memories?user_id=ana").await.expect(200);
    server.get(ANA, "/memories?top_k=1001").await.expect(422);
    server.get("", "/memories").await.expect(401);
    let mut rows = server.get(ADMIN, "/requests/?limit=2").await.expect(200);
    for row in rows.as_array_mut().unwrap() {
        assert!(row["latency_ms"].as_f64().unwrap() > 0.0);
        row["latency_ms"] = json!("[ms]");
        row["id"] = json!("[request id]");
    }
    assert_json_snapshot!("requests", redact(rows));
    let all = server.get(ADMIN, "/requests").await.expect(200);
    assert_eq!(all.as_array().unwrap().len(), 3, "requests without a key are not listed: {all}");
    for limit in ["0", "201", "-1", "x", "1.5"] {
        let refused = server.get(ADMIN, &format!("/requests?limit={limit}")).await.expect(422);
        assert_eq!(refused["detail"][0]["loc"][0], "query", "{limit}");
    }
    server.get(ADMIN, "/requests?limit=200").await.expect(200);
    assert_eq!(server.get(ANA, "/requests").await.expect(403)["detail"], "Admin role required.");
}

#[tokio::test]
async fn a_reset_requires_confirmation() {
    let server = populated().await;
    for (path, body) in [
        ("/reset", Value::Null),
        ("/reset", json!({})),
        ("/reset/", json!({"confirm": "yes"})),
        ("/reset?confirm=", json!({"confirm": "RESET"})),
        ("/reset?confirm=true", json!(null)),
    ] {
        assert_eq!(server.post(ADMIN, path, body).await.expect(400)["code"], "confirmation_required", "{path}");
    }
    server.post(ADMIN, "/reset", json!({"confirm": true})).await.expect(422);
    server.post(ANA, "/reset?confirm=reset", json!({"confirm": "reset"})).await.expect(403);
    server.post("", "/reset?confirm=reset", Value::Null).await.expect(401);
    assert_eq!(names(&server, ADMIN).await.len(), 5);
    let done = server.post(ADMIN, "/reset/", json!({"confirm": "reset"})).await.expect(200);
    assert_eq!(done, json!({"message": "All memories reset"}));
    assert!(names(&server, ADMIN).await.is_empty());
    server.remember(ANA, "again").await;
    server.post(ADMIN, "/reset?confirm=reset", Value::Null).await.expect(200);
    assert!(names(&server, ADMIN).await.is_empty());
}

#[tokio::test]
async fn generate_instructions_checks_the_request_before_the_model() {
    let server = TestServer::start().await;
    let answer = server.post(ANA, "/generate-instructions/", json!({"use_case": "a diary"})).await.expect(503);
    assert_eq!(answer["code"], "llm_not_configured");
    for body in [json!({}), json!({"use_case": ""}), json!({"use_case": " "}), json!({"use_case": 7})] {
        server.post(ANA, "/generate-instructions", body).await.expect(422);
    }
}
