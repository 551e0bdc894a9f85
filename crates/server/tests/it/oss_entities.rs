//! `/entities`, `/requests`, `/reset` and `/generate-instructions`.

use insta::assert_json_snapshot;
use mnemon_store::{Document, DocumentStore, Durability};
use serde_json::{Value, json};

use crate::redact::redact;
use crate::service::{ADMIN, ANA, BOB, Service, config};

/// Memories of ana with a bot, of bob with the bot and in a run, and of an agent alone.
async fn populated() -> Service {
    let service = Service::start().await;
    for (key, ids) in [
        (ANA, json!({})),
        (ANA, json!({"agent_id": "bot"})),
        (BOB, json!({"agent_id": "bot", "run_id": "r1"})),
        (ADMIN, json!({"agent_id": "lone/wolf"})),
    ] {
        let mut body = json!({"messages": "likes tea", "infer": false});
        body.as_object_mut().unwrap().extend(ids.as_object().unwrap().clone());
        service.post(key, "/memories", body).await.expect(200);
    }
    service
}

async fn names(service: &Service, key: &str) -> Vec<String> {
    let all = service.get(key, "/entities").await.expect(200);
    let name = |entity: &Value| {
        format!("{} {} {}", entity["type"].as_str().unwrap(), entity["id"].as_str().unwrap(), entity["total_memories"])
    };
    all.as_array().unwrap().iter().map(name).collect()
}

async fn delete(service: &Service, key: &str, path: &str) -> (u16, Value) {
    let answer = service.call(key, "DELETE", &format!("/entities/{path}"), Value::Null).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn everybody_is_listed_and_a_user_sees_who_shares_their_memories() {
    let service = populated().await;
    assert_json_snapshot!("entities", redact(service.get(ADMIN, "/entities/").await.expect(200)));
    assert_eq!(
        names(&service, ADMIN).await,
        ["agent bot 2", "agent lone/wolf 1", "run r1 1", "user ana 2", "user bob 1"]
    );
    assert_eq!(names(&service, ANA).await, ["agent bot 1", "user ana 2"]);
    assert_eq!(names(&service, BOB).await, ["agent bot 1", "run r1 1", "user bob 1"]);
    service.get("", "/entities").await.expect(401);
}

#[tokio::test]
async fn an_admin_deletes_anybody_and_nothing_twice() {
    let service = populated().await;
    let (status, body) = delete(&service, ADMIN, "agent/lone%2Fwolf/").await;
    assert_eq!((status, body), (200, json!({"message": "Entity deleted"})));
    assert_eq!(delete(&service, ADMIN, "agent/lone%2Fwolf").await.0, 404);
    for odd in ["user/*", "user/%2A", "agent/*", "user/%20", "user/nobody", "user/BOB"] {
        assert_eq!(delete(&service, ADMIN, odd).await.0, 404, "{odd}");
    }
    let (status, body) = delete(&service, ADMIN, "app/shop").await;
    assert_eq!(status, 422);
    assert_json_snapshot!("entity_of_another_type", redact(body));
    assert_eq!(names(&service, ADMIN).await, ["agent bot 2", "run r1 1", "user ana 2", "user bob 1"]);
    assert_eq!(delete(&service, ADMIN, "agent/bot").await.0, 200);
    assert_eq!(names(&service, ADMIN).await, ["user ana 1"]);
}

#[tokio::test]
async fn a_user_deletes_only_what_is_theirs() {
    let service = populated().await;
    assert_eq!(delete(&service, ANA, "user/bob").await.1["code"], "not_your_user");
    for path in ["user/*", "user/bob%20", "user/"] {
        assert!([403, 404].contains(&delete(&service, ANA, path).await.0), "{path}");
    }
    for path in ["run/r1", "agent/lone%2Fwolf", "run/nothing"] {
        let (status, body) = delete(&service, ANA, path).await;
        assert_eq!((status, &body["code"]), (404, &json!("not_found")), "{path}");
    }
    assert_eq!(delete(&service, ANA, "agent/bot").await.0, 200);
    assert_eq!(names(&service, ANA).await, ["user ana 1"]);
    assert_eq!(names(&service, BOB).await, ["agent bot 1", "run r1 1", "user bob 1"]);
    assert_eq!(delete(&service, ANA, "user/ana").await.0, 200);
    assert_eq!(names(&service, ADMIN).await, ["agent bot 1", "agent lone/wolf 1", "run r1 1", "user bob 1"]);
}

#[tokio::test]
async fn with_a_user_goes_what_the_server_keeps_of_them_but_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let service = Service::over(&path, config()).await;
    service.remember(ANA, "Ana likes tea").await;
    let key = service.post(ANA, "/api-keys", json!({"label": "laptop"})).await.expect(201)["key"].clone();
    let ledger = crate::service::ledger(&path);
    let documents = [Document::new("event", "1", json!(1)).of(Some("ana")), Document::new("event", "2", json!(2))];
    ledger.put(&documents, Durability::Synced).unwrap();
    assert_eq!(delete(&service, ADMIN, "user/ana").await.0, 200);
    assert_eq!(ledger.document("event", "1").unwrap(), None);
    assert!(ledger.document("event", "2").unwrap().is_some());
    service.get(key.as_str().unwrap(), "/memories").await.expect(200);
    assert_eq!(delete(&service, ADMIN, "user/ana").await.0, 404);
}

#[tokio::test]
async fn no_owner_is_left_out() {
    let service = Service::start().await;
    for number in 0..300 {
        let body = json!({"messages": "x", "run_id": format!("run-{number:03}"), "infer": false});
        service.post(ANA, "/memories", body).await.expect(200);
    }
    assert_eq!(service.get(ANA, "/entities").await.expect(200).as_array().unwrap().len(), 301);
}

#[tokio::test]
async fn the_last_requests_are_shown_to_admins() {
    let service = Service::start().await;
    service.get(ANA, "/memories?user_id=ana").await.expect(200);
    service.get(ANA, "/memories?top_k=1001").await.expect(422);
    service.get("", "/memories").await.expect(401);
    let mut rows = service.get(ADMIN, "/requests/?limit=2").await.expect(200);
    for row in rows.as_array_mut().unwrap() {
        assert!(row["latency_ms"].as_f64().unwrap() > 0.0);
        row["latency_ms"] = json!("[ms]");
        row["id"] = json!("[request id]");
    }
    assert_json_snapshot!("requests", redact(rows));
    let all = service.get(ADMIN, "/requests").await.expect(200);
    assert_eq!(all.as_array().unwrap().len(), 3, "those without a key are no business of the list: {all}");
    for limit in ["0", "201", "-1", "x", "1.5"] {
        let refused = service.get(ADMIN, &format!("/requests?limit={limit}")).await.expect(422);
        assert_eq!(refused["detail"][0]["loc"][0], "query", "{limit}");
    }
    service.get(ADMIN, "/requests?limit=200").await.expect(200);
    assert_eq!(service.get(ANA, "/requests").await.expect(403)["detail"], "Admin role required.");
}

#[tokio::test]
async fn a_reset_must_be_meant() {
    let service = populated().await;
    for (path, body) in [
        ("/reset", Value::Null),
        ("/reset", json!({})),
        ("/reset/", json!({"confirm": "yes"})),
        ("/reset?confirm=", json!({"confirm": "RESET"})),
        ("/reset?confirm=true", json!(null)),
    ] {
        assert_eq!(service.post(ADMIN, path, body).await.expect(400)["code"], "confirmation_required", "{path}");
    }
    service.post(ADMIN, "/reset", json!({"confirm": true})).await.expect(422);
    service.post(ANA, "/reset?confirm=reset", json!({"confirm": "reset"})).await.expect(403);
    service.post("", "/reset?confirm=reset", Value::Null).await.expect(401);
    assert_eq!(names(&service, ADMIN).await.len(), 5);
    let done = service.post(ADMIN, "/reset/", json!({"confirm": "reset"})).await.expect(200);
    assert_eq!(done, json!({"message": "All memories reset"}));
    assert!(names(&service, ADMIN).await.is_empty());
    service.remember(ANA, "again").await;
    service.post(ADMIN, "/reset?confirm=reset", Value::Null).await.expect(200);
    assert!(names(&service, ADMIN).await.is_empty());
}

#[tokio::test]
async fn instructions_need_a_model_but_say_first_what_is_wrong() {
    let service = Service::start().await;
    let answer = service.post(ANA, "/generate-instructions/", json!({"use_case": "a diary"})).await.expect(503);
    assert_eq!(answer["code"], "llm_not_configured");
    for body in [json!({}), json!({"use_case": ""}), json!({"use_case": " "}), json!({"use_case": 7})] {
        service.post(ANA, "/generate-instructions", body).await.expect(422);
    }
}
