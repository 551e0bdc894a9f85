//! `/api-keys`: keys made at run time, and what no key may make.

use insta::assert_json_snapshot;
use mnemon_server::Config;
use mnemon_server::auth::ConfiguredKey;
use serde_json::{Value, json};

use crate::redact::redact;
use crate::service::{ADMIN, ANA, BOB, Service, config};

async fn make(service: &Service, key: &str, body: Value) -> (String, String) {
    let made = service.post(key, "/api-keys", body).await.expect(201);
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

async fn labels(service: &Service, key: &str) -> Vec<String> {
    let keys = service.get(key, "/api-keys").await.expect(200);
    keys.as_array().unwrap().iter().map(|key| key["label"].as_str().unwrap().to_owned()).collect()
}

async fn revoke(service: &Service, key: &str, id: &str) -> u16 {
    service.call(key, "DELETE", &format!("/api-keys/{id}"), Value::Null).await.status
}

#[tokio::test]
async fn a_key_is_made_used_listed_and_revoked() {
    let service = Service::start().await;
    let made = service.post(ADMIN, "/api-keys/", json!({"label": "  laptop "})).await.expect(201);
    let secret = made["key"].as_str().unwrap().to_owned();
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(secret.len() == 48 && secret.starts_with(made["key_prefix"].as_str().unwrap()), "{made}");
    assert_json_snapshot!("key_made", redact(made));
    service.get(&secret, "/requests").await.expect(200);
    let listed = service.get(ADMIN, "/api-keys/").await.expect(200);
    assert!(!listed.to_string().contains(&secret));
    assert!(listed[0]["last_used_at"].is_string(), "{listed}");
    assert_json_snapshot!("keys_listed", redact(listed));
    let gone = service.call(ADMIN, "DELETE", &format!("/api-keys/{id}/"), Value::Null).await.expect(200);
    assert_eq!(gone, json!({"message": "API key revoked."}));
    service.get(&secret, "/memories").await.expect(401);
    assert!(labels(&service, ADMIN).await.is_empty());
    assert_eq!(revoke(&service, ADMIN, &id).await, 400);
    for unknown in ["00000000-0000-4000-8000-000000000000", "nonsense", "%2A", &secret] {
        assert_eq!(revoke(&service, ADMIN, unknown).await, 404, "{unknown}");
    }
}

#[tokio::test]
async fn a_label_must_be_one() {
    let service = Service::start().await;
    let long = "ä".repeat(200);
    make(&service, ADMIN, json!({"label": long})).await;
    for label in [json!(""), json!(" \n"), json!("ä".repeat(201)), json!(7), Value::Null] {
        service.post(ADMIN, "/api-keys", json!({"label": label})).await.expect(422);
    }
    service.post(ADMIN, "/api-keys", json!({})).await.expect(422);
    for scopes in [json!([]), json!(["admin"]), json!("read"), json!([1])] {
        service.post(ADMIN, "/api-keys", json!({"label": "x", "scopes": scopes})).await.expect(422);
    }
    for user in ["*", "", "a b"] {
        service.post(ADMIN, "/api-keys", json!({"label": "x", "user_id": user})).await.expect(400);
    }
    assert_eq!(labels(&service, ADMIN).await.len(), 1);
}

#[tokio::test]
async fn an_admin_makes_keys_for_users() {
    let service = Service::start().await;
    let (_, key) = make(&service, ADMIN, json!({"label": "eve", "user_id": "eve", "scopes": ["read"]})).await;
    assert_eq!(service.post(&key, "/memories", json!({"messages": "x"})).await.expect(403)["code"], "missing_scope");
    service.get(&key, "/memories").await.expect(200);
    service.get(&key, "/memories?user_id=ana").await.expect(403);
    service.get(&key, "/requests").await.expect(403);
}

#[tokio::test]
async fn a_user_makes_keys_for_themselves_alone() {
    let service = Service::start().await;
    let (anas, key) = make(&service, ANA, json!({"label": "ana's"})).await;
    let (bobs, _) = make(&service, BOB, json!({"label": "bob's", "user_id": "bob"})).await;
    let (admins, _) = make(&service, ADMIN, json!({"label": "admin's"})).await;
    for user in ["bob", "*", "admin"] {
        let status = service.post(ANA, "/api-keys", json!({"label": "x", "user_id": user})).await.status;
        assert!([400, 403].contains(&status), "{user}");
    }
    // Neither a null user nor a role that nobody reads makes an admin's key.
    let body = json!({"label": "sly", "user_id": null, "role": "admin"});
    let (sly, sly_key) = make(&service, ANA, body).await;
    service.get(&sly_key, "/requests").await.expect(403);
    service.get(&key, "/requests").await.expect(403);
    assert_eq!(labels(&service, &key).await, ["sly", "ana's"]);
    assert_eq!(labels(&service, BOB).await, ["bob's"]);
    assert_eq!(labels(&service, ADMIN).await.len(), 4);
    for id in [&bobs, &admins] {
        assert_eq!(revoke(&service, ANA, id).await, 404);
    }
    assert_eq!(revoke(&service, ANA, &sly).await, 200);
    assert_eq!(revoke(&service, &key, &anas).await, 200, "a key may end itself");
    service.get(&key, "/memories").await.expect(401);
    assert_eq!(revoke(&service, ADMIN, &bobs).await, 200);
}

#[tokio::test]
async fn no_key_makes_one_that_can_do_more() {
    let keys = r#"{"ro": {"user": "ana", "scopes": ["read"]}, "wo": {"user": "ana", "scopes": ["write"]},
        "admin-ro": {"role": "admin", "scopes": ["read"]}}"#;
    let service = Service::with(Config { keys: ConfiguredKey::parse_all(keys).unwrap(), ..config() }).await;
    for key in ["ro", "admin-ro"] {
        for scopes in [json!(["read"]), json!(["write"]), Value::Null] {
            let answer = service.post(key, "/api-keys", json!({"label": "x", "scopes": scopes})).await;
            assert_eq!(answer.expect(403)["code"], "missing_scope", "{key} {scopes}");
        }
    }
    service.post("wo", "/api-keys", json!({"label": "x", "scopes": ["read", "write"]})).await.expect(403);
    let made = service.post("wo", "/api-keys", json!({"label": "x"})).await.expect(201);
    assert_eq!(made["scopes"], json!(["write"]));
    service.get(made["key"].as_str().unwrap(), "/memories").await.expect(403);
    let id = made["id"].as_str().unwrap();
    assert_eq!(revoke(&service, "ro", id).await, 403);
    assert_eq!(revoke(&service, "admin-ro", id).await, 403);
    assert_eq!(labels(&service, "admin-ro").await, ["x"]);
}
