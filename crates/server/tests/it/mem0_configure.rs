//! `/configure`: settings that are changed while the server runs.

use insta::assert_json_snapshot;
use mnemon_store::DocumentStore;
use serde_json::{Value, json};

use crate::redact::redact;
use crate::server::{ADMIN, ANA, TestServer, config, documents};

#[tokio::test]
async fn settings_are_shown_to_readers_and_changed_by_admins() {
    let server = TestServer::start().await;
    assert_json_snapshot!("configuration", redact(server.get(ANA, "/configure/").await.expect(200)));
    assert_json_snapshot!("providers", server.get(ANA, "/configure/providers/").await.expect(200));
    let patch = json!({"llm": {"provider": "openai", "config": {"model": "gpt-x", "api_key": "sk-1"}}, "mine": [1]});
    assert_json_snapshot!("configured", server.post(ADMIN, "/configure/", patch).await.expect(200));
    let plain = server.post(ADMIN, "/configure", json!({"mine": [2]})).await.expect(200);
    assert_eq!(plain, json!({"message": "Configuration set successfully"}));
    assert_json_snapshot!("configuration_changed", redact(server.get(ADMIN, "/configure").await.expect(200)));
    server.post(ANA, "/configure", json!({"mine": null})).await.expect(403);
    server.get("", "/configure").await.expect(401);
    server.get("", "/configure/providers").await.expect(401);
}

#[tokio::test]
async fn a_redacted_key_that_is_sent_back_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let server = TestServer::over(&path, config()).await;
    let patch = json!({
        "llm": {"provider": "openai", "config": {"api_key": "sk-secret", "model": "a"}},
        "hooks": [{"url": "https://x", "auth_token": "t-secret"}],
    });
    server.post(ADMIN, "/configure", patch.clone()).await.expect(200);
    let mut shown = server.get(ADMIN, "/configure").await.expect(200);
    assert!(!shown.to_string().contains("-secret"), "{shown}");
    shown["llm"]["config"]["model"] = json!("b");
    server.post(ADMIN, "/configure", shown).await.expect(200);
    let kept = || documents(&path).document("config", "overrides").unwrap().unwrap().body;
    let mut expected = patch;
    expected["llm"]["config"]["model"] = json!("b");
    assert_eq!(kept(), expected);
    let refused = server.post(ADMIN, "/configure", json!({"other": {"api_key": "[redacted]"}})).await;
    assert_eq!(refused.expect(400)["detail"].as_str().unwrap().split(':').next(), Some("other.api_key"));
    assert_eq!(kept(), expected);
    // After a restart the settings are the same.
    server.stop().await;
    let server = TestServer::over(&path, config()).await;
    assert_eq!(server.get(ADMIN, "/configure").await.expect(200)["llm"]["config"]["model"], "b");
}

#[tokio::test]
async fn an_invalid_configuration_changes_nothing() {
    let server = TestServer::start().await;
    server.post(ADMIN, "/configure", json!({"llm": {"provider": "gemini"}, "x": 1})).await.expect(200);
    let before = server.get(ADMIN, "/configure").await.expect(200);
    for (patch, code) in [
        (json!({"x": 2, "llm": {"provider": "ollama"}}), "provider_not_bundled"),
        (json!({"x": 2, "embedder": {"provider": "openai"}}), "embedder_fixed"),
        (json!({"x": 2, "vector_store": {"provider": "qdrant"}}), "invalid_request"),
        (json!({"x": 2, "llm": []}), "invalid_request"),
        (json!({"x": "y".repeat(65 << 10)}), "invalid_request"),
    ] {
        let refused = server.post(ADMIN, "/configure", patch).await.expect(400);
        assert_eq!(refused["code"], code);
    }
    for body in [json!([]), json!("x"), json!(7)] {
        server.post(ADMIN, "/configure", body).await.expect(422);
    }
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({ "x": deep });
    }
    server.post(ADMIN, "/configure", deep).await.expect(400);
    assert_eq!(server.get(ADMIN, "/configure").await.expect(200), before);
    assert_json_snapshot!(
        "embedder_fixed",
        redact(server.post(ADMIN, "/configure", json!({"embedder": {"provider": "openai"}})).await.expect(400))
    );
    server.post(ADMIN, "/configure", json!({"llm": null, "x": null})).await.expect(200);
    assert_eq!(server.get(ADMIN, "/configure").await.expect(200)["llm"]["provider"], Value::Null);
}

#[tokio::test]
async fn concurrent_changes_are_all_saved() {
    let server = TestServer::start().await;
    let changes = (0..10).map(|number| {
        let body = json!({"map": {format!("k{number}"): number}}).to_string();
        tokio::spawn(server.request("POST", "/configure").header("x-api-key", ADMIN).body(body).send())
    });
    for change in changes.collect::<Vec<_>>() {
        assert_eq!(change.await.unwrap().unwrap().status(), 200);
    }
    let stored = server.documents.document("config", "overrides").unwrap().unwrap().body;
    assert_eq!(stored["map"].as_object().unwrap().len(), 10);
}
