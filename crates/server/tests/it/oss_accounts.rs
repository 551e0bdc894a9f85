//! `/auth`: the first account, its passwords and its tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use insta::assert_json_snapshot;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mnemon_server::{AuthMode, Config, Secret};
use mnemon_store::DocumentStore;
use serde_json::{Value, json};

use crate::redact::redact;
use crate::service::{ADMIN, ANA, Answer, Service, config, ledger};

const PASSWORD: &str = "correct horse";

fn account() -> Value {
    json!({"name": "Ana", "email": "ana@example.org", "password": PASSWORD})
}

async fn login(service: &Service, password: &str) -> Answer {
    service.post("", "/auth/login", json!({"email": "ana@example.org", "password": password})).await
}

async fn bearer(service: &Service, token: &str, method: &str, path: &str, body: Value) -> Answer {
    let request = service.request(method, path).header("authorization", format!("Bearer {token}"));
    Service::answer(request.body(if body.is_null() { String::new() } else { body.to_string() })).await
}

async fn me(service: &Service, token: &str) -> u16 {
    bearer(service, token, "GET", "/auth/me", Value::Null).await.status
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_account_is_registered_and_no_second() {
    let service = Service::with(Config::default()).await;
    assert_eq!(service.get("", "/auth/setup-status/").await.expect(200), json!({"needsSetup": true}));
    let tokens = service.post("", "/auth/register/", account()).await.expect(200);
    assert_eq!(service.get("", "/auth/setup-status").await.expect(200), json!({"needsSetup": false}));
    let access = text(&tokens, "access_token");
    assert_json_snapshot!("tokens", redact(tokens));
    let answer = bearer(&service, &access, "GET", "/auth/me/", Value::Null).await.expect(200);
    assert_json_snapshot!("me", redact(answer));
    // An account is an admin's.
    bearer(&service, &access, "GET", "/requests", Value::Null).await.expect(200);
    let again = json!({"name": "Eve", "email": "eve@example.org", "password": "long enough"});
    assert_eq!(service.post("", "/auth/register", again).await.expect(403)["code"], "registration_closed");
    login(&service, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn of_two_who_register_at_once_one_is_first() {
    let service = Service::with(Config::default()).await;
    let both = tokio::join!(
        service.post("", "/auth/register", account()),
        service.post("", "/auth/register", json!({"name": "Eve", "email": "eve@example.org", "password": PASSWORD}))
    );
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
}

#[tokio::test]
async fn where_there_are_keys_registering_takes_an_admins() {
    let service = Service::start().await;
    assert_eq!(service.post("", "/auth/register", account()).await.expect(403)["code"], "admin_required");
    assert_eq!(service.post(ANA, "/auth/register", account()).await.expect(403)["code"], "admin_required");
    service.post("wrong", "/auth/register", account()).await.expect(401);
    assert_eq!(service.get("", "/auth/setup-status").await.body["needsSetup"], true);
    service.post(ADMIN, "/auth/register", account()).await.expect(200);

    let only_admin = Config { admin_key: Some(Secret::new(ADMIN)), ..Config::default() };
    let service = Service::with(only_admin).await;
    service.post("", "/auth/register", account()).await.expect(403);

    let off = Service::with(Config { auth: AuthMode::Off, ..config() }).await;
    off.post("", "/auth/register", account()).await.expect(200);
    assert_eq!(off.get("", "/auth/me").await.expect(200)["name"], "Ana");
}

#[tokio::test]
async fn a_user_can_not_become_admin_by_revoking_the_last_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let service = Service::over(&path, config()).await;
    let made = service.post(ADMIN, "/api-keys", json!({"label": "x", "user_id": "ana"})).await.expect(201);
    service.stop().await;
    // The settings' keys are gone; ana's is the only one.
    let service = Service::over(&path, Config::default()).await;
    service.post("", "/auth/register", account()).await.expect(403);
    let revoke = format!("/api-keys/{}", made["id"].as_str().unwrap());
    service.call(made["key"].as_str().unwrap(), "DELETE", &revoke, Value::Null).await.expect(200);
    service.post("", "/auth/register", account()).await.expect(403);
}

#[tokio::test]
async fn what_is_no_account_is_refused() {
    let service = Service::with(Config { auth: AuthMode::Off, ..Config::default() }).await;
    let with = |key: &str, value: Value| {
        let mut body = account();
        body[key] = value;
        body
    };
    let mut statuses = Vec::new();
    for body in [with("password", json!("short")), with("email", json!("nobody")), with("name", json!(" "))] {
        statuses.push(service.post("", "/auth/register", body).await.status);
    }
    for body in [with("password", json!("x".repeat(1025))), with("name", Value::Null)] {
        statuses.push(service.post("", "/auth/register", body).await.status);
    }
    assert_eq!(statuses, [400, 400, 400, 400, 422]);
    for (method, path, body) in [
        ("GET", "/auth/me", Value::Null),
        ("PATCH", "/auth/me", json!({"name": "x"})),
        ("POST", "/auth/change-password", json!({"current_password": "a", "new_password": "long enough"})),
        ("POST", "/auth/onboarding-complete", json!({"use_case": "x"})),
    ] {
        let answer = service.call("", method, path, body).await.expect(404);
        assert!(answer["hint"].as_str().unwrap().contains("/auth/register"), "{answer}");
    }
}

#[tokio::test]
async fn doors_are_tried_so_often_and_no_more() {
    let service = Service::start().await;
    for (path, body, times, first) in [
        ("/auth/register", account(), 5, 403),
        ("/auth/login", json!({"email": "a@b.c", "password": "x"}), 10, 401),
        ("/auth/refresh", json!({"refresh_token": "x"}), 20, 401),
    ] {
        for _ in 0..times {
            service.post("", path, body.clone()).await.expect(first);
        }
        let refused = service.post("", path, body.clone()).await;
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(refused.expect(429)["error"], format!("Rate limit exceeded: {times} per 1 minute"));
    }
}

#[tokio::test]
async fn a_login_takes_the_right_password() {
    let service = Service::with(Config::default()).await;
    service.post("", "/auth/register", account()).await.expect(200);
    let wrong = login(&service, "wrong horse").await.expect(401);
    let unknown = json!({"email": "eve@example.org", "password": PASSWORD});
    let unknown = service.post("", "/auth/login", unknown).await.expect(401);
    assert_eq!(redact(wrong), redact(unknown), "an address is not given away");
    login(&service, &"x".repeat(100_000)).await.expect(401);
    service.post("", "/auth/login", json!({"email": "ana@example.org"})).await.expect(422);
    let shouted = json!({"email": " ANA@example.org ", "password": PASSWORD});
    let tokens = service.post("", "/auth/login/", shouted).await.expect(200);
    assert_eq!(me(&service, &text(&tokens, "access_token")).await, 200);
}

#[tokio::test]
async fn the_account_belongs_to_admins() {
    let service = Service::start().await;
    service.post(ADMIN, "/auth/register", account()).await.expect(200);
    assert_eq!(service.get(ADMIN, "/auth/me").await.expect(200)["email"], "ana@example.org");
    for (method, path) in [
        ("GET", "/auth/me"),
        ("PATCH", "/auth/me"),
        ("POST", "/auth/change-password"),
        ("POST", "/auth/onboarding-complete"),
    ] {
        service.call(ANA, method, path, Value::Null).await.expect(403);
        service.call("", method, path, Value::Null).await.expect(401);
    }
    let patch = json!({"name": " Ana Lima ", "email": "ana@lima.org"});
    let changed = service.call(ADMIN, "PATCH", "/auth/me/", patch).await.expect(200);
    assert_eq!((&changed["name"], &changed["email"]), (&json!("Ana Lima"), &json!("ana@lima.org")));
    assert_eq!(service.call(ADMIN, "PATCH", "/auth/me", json!({})).await.expect(200), changed);
    service.call(ADMIN, "PATCH", "/auth/me", json!({"email": "x"})).await.expect(400);
    let done = service.post(ADMIN, "/auth/onboarding-complete/", json!({"use_case": "a diary"})).await.expect(200);
    assert_eq!(done, json!({"message": "Onboarding completed."}));
}

#[tokio::test]
async fn a_refresh_token_is_good_for_once() {
    let service = Service::with(Config::default()).await;
    let first = service.post("", "/auth/register", account()).await.expect(200);
    let body = json!({"refresh_token": first["refresh_token"]});
    let second = service.post("", "/auth/refresh/", body.clone()).await.expect(200);
    assert_eq!(me(&service, &text(&second, "access_token")).await, 200);
    service.post("", "/auth/refresh", body).await.expect(401);
    // Neither kind of token serves as the other.
    let access = json!({"refresh_token": second["access_token"]});
    service.post("", "/auth/refresh", access).await.expect(401);
    assert_eq!(me(&service, &text(&second, "refresh_token")).await, 401);
    service.post("", "/auth/refresh", json!({"refresh_token": second["refresh_token"]})).await.expect(200);
}

#[tokio::test]
async fn a_new_password_ends_all_tokens() {
    let service = Service::with(Config::default()).await;
    let old = service.post("", "/auth/register", account()).await.expect(200);
    let token = text(&old, "access_token");
    let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    let to = "/auth/change-password";
    bearer(&service, &token, "POST", to, change("wrong horse", "battery staple")).await.expect(401);
    bearer(&service, &token, "POST", to, change(PASSWORD, "short")).await.expect(400);
    assert_eq!(me(&service, &token).await, 200);
    let done = bearer(&service, &token, "POST", to, change(PASSWORD, "battery staple")).await.expect(200);
    assert_eq!(done, json!({"message": "Password updated."}));
    assert_eq!(me(&service, &token).await, 401);
    service.post("", "/auth/refresh", json!({"refresh_token": old["refresh_token"]})).await.expect(401);
    login(&service, PASSWORD).await.expect(401);
    let tokens = login(&service, "battery staple").await.expect(200);
    assert_eq!(me(&service, &text(&tokens, "access_token")).await, 200);
}

#[tokio::test]
async fn only_tokens_of_this_server_are_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let service = Service::over(&path, Config::default()).await;
    let tokens = service.post("", "/auth/register", account()).await.expect(200);
    let token = text(&tokens, "access_token");
    let parts: Vec<&str> = token.split('.').collect();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    assert_eq!((&claims["type"], &claims["role"]), (&json!("access"), &json!("admin")));
    let secret = ledger(&path).document("secret", "jwt").unwrap().unwrap().body;
    let secret = secret.as_str().unwrap();
    let sign = |claims: &Value, secret: &str, algorithm: Algorithm| {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    let with = |key: &str, value: Value| {
        let mut claims = claims.clone();
        claims[key] = value;
        sign(&claims, secret, Algorithm::HS256)
    };
    assert_eq!(me(&service, &sign(&claims, secret, Algorithm::HS256)).await, 200, "the forger knows the secret here");
    let now = jiff::Timestamp::now().as_second();
    let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
    let mut timeless = claims.clone();
    timeless.as_object_mut().unwrap().remove("exp");
    for (what, forged) in [
        ("expired", with("exp", json!(now - 5))),
        ("no end", sign(&timeless, secret, Algorithm::HS256)),
        ("wrong secret", sign(&claims, "another secret", Algorithm::HS256)),
        ("no secret", sign(&claims, "", Algorithm::HS256)),
        ("another algorithm", sign(&claims, secret, Algorithm::HS512)),
        ("alg none", format!("{none}.{}.", parts[1])),
        ("alg none, signed", format!("{none}.{}.{}", parts[1], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("refresh", with("type", json!("refresh"))),
        ("another account", with("sub", json!("00000000-0000-4000-8000-000000000000"))),
        ("another generation", with("generation", json!(1))),
        ("an audience", with("aud", json!("elsewhere"))),
    ] {
        assert_eq!(me(&service, &forged).await, 401, "{what}");
    }
    // A token outlives the process, not the account's other secrets.
    service.stop().await;
    let service = Service::over(&path, Config::default()).await;
    assert_eq!(me(&service, &token).await, 200);
}
