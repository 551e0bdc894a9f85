//! Requests that the language model refuses: what each caller sees of them, and may do with them.

use mnemon_testbed::{FakeService as Endpoint, ReceivedRequest, Reply};
use serde_json::{Value, json};

use crate::learning::{answer, until_done};
use crate::server::{ADMIN, ANA, BOB, TestServer, config};

/// Refuses what contains "poison", in the words of a provider that quotes the prompt.
fn filter(request: &ReceivedRequest) -> Reply {
    let quoted = "the poison cabinet is in the cellar";
    match request.body["messages"].to_string().contains("poison") {
        true => {
            let message = format!("Azurion blocks `{quoted}` for sk-abcdef1234567890");
            Reply::new("400 Bad Request", &json!({"error": {"message": message, "code": "content_filter"}}))
        }
        false => answer(request),
    }
}

const POISON: &str = "the poison cabinet is in the cellar";

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_request_is_its_owners_and_an_admins() {
    let endpoint = Endpoint::start(|_, request| filter(request));
    let server = TestServer::with_llm(&endpoint, config()).await;
    let added = server.post(ANA, "/memories", json!({"messages": POISON})).await.expect(202);
    assert_eq!((&added["status"], &added["results"]), (&json!("FAILED"), &json!([])));
    let id = added["event_id"].as_str().unwrap();
    let platform = server.post(ANA, "/v3/memories/add/", json!({"messages": POISON, "sync": true})).await.expect(202);
    assert_eq!(platform["status"], "FAILED", "{platform}");
    let other = platform["event_id"].as_str().unwrap();

    let event = server.get(ANA, &format!("/v1/event/{id}/")).await.expect(200);
    assert_eq!((&event["status"], &event["parked"]), (&json!("FAILED"), &json!(true)));
    let list = server.get(ANA, "/v1/parked/").await.expect(200);
    assert_eq!((&list["count"], &list["results"][0]["messages"][0]["content"]), (&json!(2), &json!(POISON)));
    assert_eq!(server.get(BOB, "/v1/parked").await.expect(200), json!({"count": 0, "results": []}));
    let health = server.get("", "/health").await.expect(200);
    assert_eq!((&health["waiting"], &health["parked"], &health["degraded"]), (&json!(0), &json!(2), &json!(true)));
    assert_eq!(server.get(ANA, "/stats/ana").await.expect(200)["parked_requests"], 2);
    // Only an admin sees the provider's words, and nobody a key or what the provider quotes.
    let public = [event, list, health, added.clone(), platform.clone(), server.get(ANA, "/health").await.expect(200)];
    for seen in &public {
        assert!(!seen.to_string().contains("Azurion"), "{seen}");
    }
    let health = server.get(ADMIN, "/health").await.expect(200);
    assert_eq!(health["parked_requests"][0]["user_id"], "ana");
    let details = [
        &health["parked_requests"][0]["error"],
        &server.get(ADMIN, "/v1/parked").await.expect(200)["results"][0]["error_detail"],
        &server.get(ADMIN, &format!("/v1/event/{id}")).await.expect(200)["error_detail"],
    ]
    .map(|detail| detail.as_str().unwrap_or_else(|| panic!("{health}")).to_owned());
    for detail in details {
        assert!(detail.contains("Azurion blocks `…` for [redacted]"), "{detail}");
    }

    let path = format!("/v1/parked/{id}");
    let edit = json!({"messages": [{"role": "user", "content": "I like tea."}]});
    for (method, path, body) in [
        ("POST", format!("{path}/retry"), Value::Null),
        ("PUT", path.clone(), edit.clone()),
        ("DELETE", path.clone(), Value::Null),
    ] {
        server.call(BOB, method, &path, body).await.expect(404);
    }
    server.call(ANA, "PUT", &path, json!({"messages": []})).await.expect(400);
    server.call(ANA, "POST", &format!("{path}/retry/"), Value::Null).await.expect(200);
    let event = until_done(&server, ANA, id).await;
    assert_eq!((&event["status"], &event["parked"]), (&json!("FAILED"), &json!(true)), "it is refused again");
    server.call(ANA, "PUT", &path, edit).await.expect(200);
    let event = until_done(&server, ANA, id).await;
    assert_eq!((&event["status"], event.get("parked")), (&json!("SUCCEEDED"), None));
    server.call(ANA, "PUT", &path, json!({"messages": "x"})).await.expect(404);
    server.call(ADMIN, "DELETE", &format!("/v1/parked/{other}"), Value::Null).await.expect(200);
    let health = server.get("", "/health").await.expect(200);
    assert_eq!((&health["parked"], health.get("degraded")), (&json!(0), None));
    assert_eq!(server.get(ANA, "/memories").await.expect(200)["results"][0]["memory"], "I like tea.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_is_named_in_the_answer() {
    let endpoint = Endpoint::start(|_, request| filter(request));
    let server = TestServer::with_llm(&endpoint, config()).await;
    let body = json!({"messages": [{"role": "user", "content": "I like tea."}, {"role": "user", "content": POISON}]});
    for path in ["/memories", "/v3/memories/add/"] {
        let added = server.post(BOB, path, body.clone()).await.expect(200);
        let event = server.get(BOB, &format!("/v1/event/{}", added["event_id"].as_str().unwrap())).await.expect(200);
        for answer in [added, event] {
            let reason = "the language model refuses the content of the messages";
            assert_eq!(answer["not_learnt"], json!([{"message": 1, "role": "user", "reason": reason}]), "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_why_a_model_fails() {
    let endpoint = Endpoint::start(|_, request| match request.body["messages"].to_string() {
        text if text.contains("endless") => Reply::refusal("400 Bad Request", "maximum context length is 9 tokens"),
        text if text.contains("poison") => filter(request),
        text if text.contains("broken") => Reply::refusal("404 Not Found", "Azurion has no such model"),
        _ => answer(request),
    });
    let server = TestServer::with_llm(&endpoint, config()).await;
    for (message, status, code) in
        [("endless", 400, "llm_input_too_long"), (POISON, 400, "llm_content_refused"), ("broken", 502, "llm_failed")]
    {
        let ana = server.post(ANA, "/chat", json!({"message": message})).await.expect(status);
        assert_eq!((&ana["code"], ana.get("reason")), (&json!(code), None), "{ana}");
        let admin = server.post(ADMIN, "/chat", json!({"message": message, "user_id": "ana"})).await.expect(status);
        assert!(admin["reason"].as_str().unwrap().contains("HTTP 4"), "{admin}");
        for path in ["/chat", "/v1/chat/completions"] {
            let body = json!({"message": message, "messages": [{"role": "user", "content": message}], "user_id": "ana", "user": "ana"});
            let ana = server.post(ANA, path, body).await.expect(status);
            assert!(!ana.to_string().contains("Azurion") && !ana.to_string().contains("HTTP"), "{ana}");
        }
        // Others are answered.
        server.post(BOB, "/chat", json!({"message": "Where do I live?"})).await.expect(200);
    }
}
