//! `/api-keys`: keys created at run time, and which keys may create them.

use insta::assert_json_snapshot;
use mnemon_server::Config;
use mnemon_server::auth::ConfiguredKey;
use serde_json::{Value, json};

use crate::redact::redact;
use crate::server::{ADMIN, ANA, BOB, TestServer, config};

async fn create(server: &TestServer, key: &str, body: Value) -> (String, String) {
    let made = server.post(key, "/api-keys", body).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

async fn labels(server: &TestServer, key: &str) -> Vec<String> {
    let keys = server.get(key, "/api-keys").await.expect(200);
    keys.as_array().unwrap().iter().map(|key| key["label"].as_str().unwrap().to_owned()).collect()
}

async fn revoke(server: &TestServer, key: &str, id: &str) -> u16 {
    server.call(key, "DELETE", &format!("/api-keys/{id}"), Value::Null).await.status
}

#[tokio::test]
async fn a_key_is_created_used_listed_and_revoked() {
    let server = TestServer::start().await;
    let made = server.post(ADMIN, "/api-keys/", json!({"label": "  laptop "})).await.expect(201);
    let secret = made["key"].as_str().unwrap().to_owned();
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(secret.len() == 48 && secret.starts_with(made["key_prefix"].as_str().unwrap()), "{made}");
    assert_json_snapshot!("key_made", redact(made));
    server.get(&secret, "/requests").await.expect(200);
    let listed = server.get(ADMIN, "/api-keys/").await.expect(200);
    assert!(!listed.to_string().contains(&secret));
    assert!(listed[0]["last_used_at"].is_string(), "{listed}");
    assert_json_snapshot!("keys_listed", redact(listed));
    let revoked = server.call(ADMIN, "DELETE", &format!("/api-keys/{id}/"), Value::Null).await.expect(200);
    assert_eq!(revoked, json!({"message": "API key revoked."}));
    server.get(&secret, "/memories").await.expect(401);
    assert!(labels(&server, ADMIN).await.is_empty());
    assert_eq!(revoke(&server, ADMIN, &id).await, 400);
    for unknown in ["00000000-0000-4000-8000-000000000000", "nonsense", "%2A", &secret] {
        assert_eq!(revoke(&server, ADMIN, unknown).await, 404, "{unknown}");
    }
}

#[tokio::test]
async fn invalid_labels_scopes_and_users_are_refused() {
    let server = TestServer::start().await;
    let long = "ä".repeat(200);
    create(&server, ADMIN, json!({"label": long})).await;
    for label in [json!(""), json!(" \n"), json!("ä".repeat(201)), json!(7), Value::Null] {
        server.post(ADMIN, "/api-keys", json!({"label": label})).await.expect(422);
    }
    server.post(ADMIN, "/api-keys", json!({})).await.expect(422);
    for scopes in [json!([]), json!(["admin"]), json!("read"), json!([1])] {
        server.post(ADMIN, "/api-keys", json!({"label": "x", "scopes": scopes})).await.expect(422);
    }
    for user in ["*", "", "a b"] {
        server.post(ADMIN, "/api-keys", json!({"label": "x", "user_id": user})).await.expect(400);
    }
    assert_eq!(labels(&server, ADMIN).await.len(), 1);
}

#[tokio::test]
async fn an_admin_may_create_keys_for_users() {
    let server = TestServer::start().await;
    let (_, key) = create(&server, ADMIN, json!({"label": "eve", "user_id": "eve", "scopes": ["read"]})).await;
    assert_eq!(server.post(&key, "/memories", json!({"messages": "x"})).await.expect(403)["code"], "missing_scope");
    server.get(&key, "/memories").await.expect(200);
    server.get(&key, "/memories?user_id=ana").await.expect(403);
    server.get(&key, "/requests").await.expect(403);
}

#[tokio::test]
async fn a_user_may_create_keys_only_for_themselves() {
    let server = TestServer::start().await;
    let (anas, key) = create(&server, ANA, json!({"label": "ana's"})).await;
    let (bobs, _) = create(&server, BOB, json!({"label": "bob's", "user_id": "bob"})).await;
    let (admins, _) = create(&server, ADMIN, json!({"label": "admin's"})).await;
    for user in ["bob", "*", "admin"] {
        let status = server.post(ANA, "/api-keys", json!({"label": "x", "user_id": user})).await.status;
        assert!([400, 403].contains(&status), "{user}");
    }
    // A null user does not create an admin key, and the role is refused.
    let body = json!({"label": "sly", "user_id": null});
    let (sly, sly_key) = create(&server, ANA, body.clone()).await;
    let mut admin = body;
    admin["role"] = json!("admin");
    server.post(ANA, "/api-keys", admin).await.expect(403);
    server.get(&sly_key, "/requests").await.expect(403);
    server.get(&key, "/requests").await.expect(403);
    assert_eq!(labels(&server, &key).await, ["sly", "ana's"]);
    assert_eq!(labels(&server, BOB).await, ["bob's"]);
    assert_eq!(labels(&server, ADMIN).await.len(), 4);
    for id in [&bobs, &admins] {
        assert_eq!(revoke(&server, ANA, id).await, 404);
    }
    assert_eq!(revoke(&server, ANA, &sly).await, 200);
    assert_eq!(revoke(&server, &key, &anas).await, 200, "a key may revoke itself");
    server.get(&key, "/memories").await.expect(401);
    assert_eq!(revoke(&server, ADMIN, &bobs).await, 200);
}

#[tokio::test]
async fn a_key_cannot_create_a_key_with_more_permissions() {
    let keys = r#"{"ro": {"user": "ana", "scopes": ["read"]}, "wo": {"user": "ana", "scopes": ["write"]},
        "admin-ro": {"role": "admin", "scopes": ["read"]}}"#;
    let server = TestServer::with(Config { keys: ConfiguredKey::parse_all(keys).unwrap(), ..config() }).await;
    for key in ["ro", "admin-ro"] {
        for scopes in [json!(["read"]), json!(["write"]), Value::Null] {
            let answer = server.post(key, "/api-keys", json!({"label": "x", "scopes": scopes})).await;
            assert_eq!(answer.expect(403)["code"], "missing_scope", "{key} {scopes}");
        }
    }
    server.post("wo", "/api-keys", json!({"label": "x", "scopes": ["read", "write"]})).await.expect(403);
    let made = server.post("wo", "/api-keys", json!({"label": "x"})).await.expect(201);
    assert_eq!(made["scopes"], json!(["write"]));
    server.get(made["key"].as_str().unwrap(), "/memories").await.expect(403);
    let id = made["id"].as_str().unwrap();
    assert_eq!(revoke(&server, "ro", id).await, 403);
    assert_eq!(revoke(&server, "admin-ro", id).await, 403);
    assert_eq!(labels(&server, "admin-ro").await, ["x"]);
}

#[tokio::test]
async fn a_key_has_the_role_that_was_asked_for_or_is_not_made() {
    let server = TestServer::start().await;
    for (key, body, status, user) in [
        (ADMIN, json!({"role": "user"}), 400, Value::Null),
        (ADMIN, json!({"role": "user", "user_id": null}), 400, Value::Null),
        (ADMIN, json!({"role": "admin", "user_id": "cleo"}), 400, Value::Null),
        (ADMIN, json!({"role": "owner"}), 422, Value::Null),
        (ADMIN, json!({"role": ["user"]}), 422, Value::Null),
        (ANA, json!({"role": "admin"}), 403, Value::Null),
        (ANA, json!({"role": "admin", "user_id": "ana"}), 403, Value::Null),
        (ADMIN, json!({"role": "user", "user_id": "cleo"}), 201, json!("cleo")),
        (ADMIN, json!({"role": "admin"}), 201, Value::Null),
        (ADMIN, json!({"role": null, "user_id": "cleo"}), 201, json!("cleo")),
        (ANA, json!({"role": "user"}), 201, json!("ana")),
        (ANA, json!({}), 201, json!("ana")),
    ] {
        let mut body = body;
        body["label"] = json!("x");
        let made = server.post(key, "/api-keys", body.clone()).await;
        assert_eq!((made.status, &made.body["user_id"]), (status, &user), "{body}");
    }
    assert_eq!(server.get(ADMIN, "/api-keys").await.expect(200).as_array().unwrap().len(), 5);
}
