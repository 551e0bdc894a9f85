//! `/configure`: settings that are changed while the server runs.

use insta::assert_json_snapshot;
use mnemon_store::DocumentStore;
use serde_json::{Value, json};

use crate::redact::redact;
use crate::service::{ADMIN, ANA, Service, config, ledger};

#[tokio::test]
async fn settings_are_shown_to_readers_and_changed_by_admins() {
    let service = Service::start().await;
    assert_json_snapshot!("configuration", redact(service.get(ANA, "/configure/").await.expect(200)));
    assert_json_snapshot!("providers", service.get(ANA, "/configure/providers/").await.expect(200));
    let patch = json!({"llm": {"provider": "openai", "config": {"model": "gpt-x", "api_key": "sk-1"}}, "mine": [1]});
    assert_json_snapshot!("configured", service.post(ADMIN, "/configure/", patch).await.expect(200));
    let plain = service.post(ADMIN, "/configure", json!({"mine": [2]})).await.expect(200);
    assert_eq!(plain, json!({"message": "Configuration set successfully"}));
    assert_json_snapshot!("configuration_changed", redact(service.get(ADMIN, "/configure").await.expect(200)));
    service.post(ANA, "/configure", json!({"mine": null})).await.expect(403);
    service.get("", "/configure").await.expect(401);
    service.get("", "/configure/providers").await.expect(401);
}

#[tokio::test]
async fn a_redacted_key_sent_back_stays_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let service = Service::over(&path, config()).await;
    let patch = json!({
        "llm": {"provider": "openai", "config": {"api_key": "sk-secret", "model": "a"}},
        "hooks": [{"url": "https://x", "auth_token": "t-secret"}],
    });
    service.post(ADMIN, "/configure", patch.clone()).await.expect(200);
    let mut shown = service.get(ADMIN, "/configure").await.expect(200);
    assert!(!shown.to_string().contains("-secret"), "{shown}");
    shown["llm"]["config"]["model"] = json!("b");
    service.post(ADMIN, "/configure", shown).await.expect(200);
    let kept = || ledger(&path).document("config", "overrides").unwrap().unwrap().body;
    let mut expected = patch;
    expected["llm"]["config"]["model"] = json!("b");
    assert_eq!(kept(), expected);
    let refused = service.post(ADMIN, "/configure", json!({"other": {"api_key": "[redacted]"}})).await;
    assert_eq!(refused.expect(400)["detail"].as_str().unwrap().split(':').next(), Some("other.api_key"));
    assert_eq!(kept(), expected);
    // Another process reads the same.
    service.stop().await;
    let service = Service::over(&path, config()).await;
    assert_eq!(service.get(ADMIN, "/configure").await.expect(200)["llm"]["config"]["model"], "b");
}

#[tokio::test]
async fn a_configuration_that_could_not_be_used_changes_nothing() {
    let service = Service::start().await;
    service.post(ADMIN, "/configure", json!({"llm": {"provider": "gemini"}, "x": 1})).await.expect(200);
    let before = service.get(ADMIN, "/configure").await.expect(200);
    for (patch, code) in [
        (json!({"x": 2, "llm": {"provider": "ollama"}}), "provider_not_bundled"),
        (json!({"x": 2, "embedder": {"provider": "openai"}}), "embedder_fixed"),
        (json!({"x": 2, "vector_store": {"provider": "qdrant"}}), "invalid_request"),
        (json!({"x": 2, "llm": []}), "invalid_request"),
        (json!({"x": "y".repeat(65 << 10)}), "invalid_request"),
    ] {
        let refused = service.post(ADMIN, "/configure", patch).await.expect(400);
        assert_eq!(refused["code"], code);
    }
    for body in [json!([]), json!("x"), json!(7)] {
        service.post(ADMIN, "/configure", body).await.expect(422);
    }
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({ "x": deep });
    }
    service.post(ADMIN, "/configure", deep).await.expect(400);
    assert_eq!(service.get(ADMIN, "/configure").await.expect(200), before);
    assert_json_snapshot!(
        "embedder_fixed",
        redact(service.post(ADMIN, "/configure", json!({"embedder": {"provider": "openai"}})).await.expect(400))
    );
    service.post(ADMIN, "/configure", json!({"llm": null, "x": null})).await.expect(200);
    assert_eq!(service.get(ADMIN, "/configure").await.expect(200)["llm"]["provider"], Value::Null);
}

#[tokio::test]
async fn of_two_changes_at_once_none_is_lost() {
    let service = Service::start().await;
    let changes = (0..10).map(|number| {
        let body = json!({"map": {format!("k{number}"): number}}).to_string();
        tokio::spawn(service.request("POST", "/configure").header("x-api-key", ADMIN).body(body).send())
    });
    for change in changes.collect::<Vec<_>>() {
        assert_eq!(change.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(service.get(ADMIN, "/configure").await.body["map"].as_object().unwrap().len(), 10);
}
