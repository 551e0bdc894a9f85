//! `/auth`: the first account, its passwords and its tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use insta::assert_json_snapshot;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mnemon_server::{AuthMode, Config, Secret};
use mnemon_store::DocumentStore;
use serde_json::{Value, json};

use crate::redact::redact;
use crate::server::{ADMIN, ANA, Answer, TestServer, config, documents};

const PASSWORD: &str = "correct horse";

fn admin_only() -> Config {
    Config { admin_key: Some(Secret::new(ADMIN)), ..Config::default() }
}

fn account() -> Value {
    json!({"name": "Ana", "email": "ana@example.org", "password": PASSWORD})
}

async fn login(server: &TestServer, password: &str) -> Answer {
    server.post("", "/auth/login", json!({"email": "ana@example.org", "password": password})).await
}

async fn bearer(server: &TestServer, token: &str, method: &str, path: &str, body: Value) -> Answer {
    let request = server.request(method, path).header("authorization", format!("Bearer {token}"));
    TestServer::answer(request.body(if body.is_null() { String::new() } else { body.to_string() })).await
}

async fn me(server: &TestServer, token: &str) -> u16 {
    bearer(server, token, "GET", "/auth/me", Value::Null).await.status
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn only_the_first_account_can_be_registered() {
    let server = TestServer::with(admin_only()).await;
    assert_eq!(server.get("", "/auth/setup-status/").await.expect(200), json!({"needsSetup": true}));
    let tokens = server.post(ADMIN, "/auth/register/", account()).await.expect(200);
    assert_eq!(server.get("", "/auth/setup-status").await.expect(200), json!({"needsSetup": false}));
    let access = text(&tokens, "access_token");
    assert_json_snapshot!("tokens", redact(tokens));
    let answer = bearer(&server, &access, "GET", "/auth/me/", Value::Null).await.expect(200);
    assert_json_snapshot!("me", redact(answer));
    // The caller is an admin.
    bearer(&server, &access, "GET", "/requests", Value::Null).await.expect(200);
    let again = json!({"name": "Eve", "email": "eve@example.org", "password": "long enough"});
    assert_eq!(server.post(ADMIN, "/auth/register", again).await.expect(403)["code"], "registration_closed");
    login(&server, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn one_of_two_concurrent_registrations_succeeds() {
    let server = TestServer::with(admin_only()).await;
    let both = tokio::join!(
        server.post(ADMIN, "/auth/register", account()),
        server.post(ADMIN, "/auth/register", json!({"name": "Eve", "email": "eve@example.org", "password": PASSWORD}))
    );
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
}

#[tokio::test]
async fn registration_requires_an_admin_key_if_there_are_keys() {
    let server = TestServer::start().await;
    assert_eq!(server.post("", "/auth/register", account()).await.expect(403)["code"], "admin_required");
    assert_eq!(server.post(ANA, "/auth/register", account()).await.expect(403)["code"], "admin_required");
    server.post("wrong", "/auth/register", account()).await.expect(401);
    assert_eq!(server.get("", "/auth/setup-status").await.body["needsSetup"], true);
    server.post(ADMIN, "/auth/register", account()).await.expect(200);

    for config in [admin_only(), Config::default()] {
        TestServer::with(config).await.post("", "/auth/register", account()).await.expect(403);
    }

    let off = TestServer::with(Config { auth: AuthMode::Off, ..config() }).await;
    off.post("", "/auth/register", account()).await.expect(200);
    assert_eq!(off.get("", "/auth/me").await.expect(200)["name"], "Ana");
}

#[tokio::test]
async fn a_user_cannot_become_admin_by_revoking_the_last_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let server = TestServer::over(&path, config()).await;
    let made = server.post(ADMIN, "/api-keys", json!({"label": "x", "user_id": "ana"})).await.expect(201);
    server.stop().await;
    // Without the keys of the settings, ana's key is the only one.
    let server = TestServer::over(&path, Config::default()).await;
    server.post("", "/auth/register", account()).await.expect(403);
    let revoke = format!("/api-keys/{}", made["id"].as_str().unwrap());
    server.call(made["key"].as_str().unwrap(), "DELETE", &revoke, Value::Null).await.expect(200);
    server.post("", "/auth/register", account()).await.expect(403);
}

#[tokio::test]
async fn invalid_accounts_are_refused() {
    let server = TestServer::with(Config { auth: AuthMode::Off, ..Config::default() }).await;
    let with = |key: &str, value: Value| {
        let mut body = account();
        body[key] = value;
        body
    };
    let mut statuses = Vec::new();
    for body in [with("password", json!("short")), with("email", json!("nobody")), with("name", json!(" "))] {
        statuses.push(server.post("", "/auth/register", body).await.status);
    }
    for body in [with("password", json!("x".repeat(1025))), with("name", Value::Null)] {
        statuses.push(server.post("", "/auth/register", body).await.status);
    }
    assert_eq!(statuses, [400, 400, 400, 400, 422]);
    for (method, path, body) in [
        ("GET", "/auth/me", Value::Null),
        ("PATCH", "/auth/me", json!({"name": "x"})),
        ("POST", "/auth/change-password", json!({"current_password": "a", "new_password": "long enough"})),
        ("POST", "/auth/onboarding-complete", json!({"use_case": "x"})),
    ] {
        let answer = server.call("", method, path, body).await.expect(404);
        assert!(answer["hint"].as_str().unwrap().contains("/auth/register"), "{answer}");
    }
}

#[tokio::test]
async fn login_routes_have_rate_limits() {
    let server = TestServer::start().await;
    for (path, body, times, first) in [
        ("/auth/register", account(), 5, 403),
        ("/auth/login", json!({"email": "a@b.c", "password": "x"}), 10, 401),
        ("/auth/refresh", json!({"refresh_token": "x"}), 20, 401),
    ] {
        for _ in 0..times {
            server.post("", path, body.clone()).await.expect(first);
        }
        let refused = server.post("", path, body.clone()).await;
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(refused.expect(429)["error"], format!("Rate limit exceeded: {times} per 1 minute"));
    }
}

#[tokio::test]
async fn a_login_requires_the_right_password() {
    let server = TestServer::with(admin_only()).await;
    server.post(ADMIN, "/auth/register", account()).await.expect(200);
    let wrong = login(&server, "wrong horse").await.expect(401);
    let unknown = json!({"email": "eve@example.org", "password": PASSWORD});
    let unknown = server.post("", "/auth/login", unknown).await.expect(401);
    assert_eq!(redact(wrong), redact(unknown), "an answer does not reveal whether the address is known");
    login(&server, &"x".repeat(10_000)).await.expect(401);
    server.post("", "/auth/login", json!({"email": "ana@example.org"})).await.expect(422);
    let shouted = json!({"email": " ANA@example.org ", "password": PASSWORD});
    let tokens = server.post("", "/auth/login/", shouted).await.expect(200);
    assert_eq!(me(&server, &text(&tokens, "access_token")).await, 200);
}

#[tokio::test]
async fn only_admins_may_access_the_account() {
    let server = TestServer::start().await;
    server.post(ADMIN, "/auth/register", account()).await.expect(200);
    assert_eq!(server.get(ADMIN, "/auth/me").await.expect(200)["email"], "ana@example.org");
    for (method, path) in [
        ("GET", "/auth/me"),
        ("PATCH", "/auth/me"),
        ("POST", "/auth/change-password"),
        ("POST", "/auth/onboarding-complete"),
    ] {
        server.call(ANA, method, path, Value::Null).await.expect(403);
        server.call("", method, path, Value::Null).await.expect(401);
    }
    let patch = json!({"name": " Ana Lima ", "email": "ana@lima.org"});
    let changed = server.call(ADMIN, "PATCH", "/auth/me/", patch).await.expect(200);
    assert_eq!((&changed["name"], &changed["email"]), (&json!("Ana Lima"), &json!("ana@lima.org")));
    assert_eq!(server.call(ADMIN, "PATCH", "/auth/me", json!({})).await.expect(200), changed);
    server.call(ADMIN, "PATCH", "/auth/me", json!({"email": "x"})).await.expect(400);
    let done = server.post(ADMIN, "/auth/onboarding-complete/", json!({"use_case": "a diary"})).await.expect(200);
    assert_eq!(done, json!({"message": "Onboarding completed."}));
}

#[tokio::test]
async fn a_refresh_token_that_is_shown_twice_ends_its_login_only() {
    let server = TestServer::with(admin_only()).await;
    let first = server.post(ADMIN, "/auth/register", account()).await.expect(200);
    let other = login(&server, PASSWORD).await.expect(200);
    let refresh = async |tokens: &Value| {
        server.post("", "/auth/refresh/", json!({"refresh_token": tokens["refresh_token"]})).await
    };
    let second = refresh(&first).await.expect(200);
    let third = refresh(&second).await.expect(200);
    assert_eq!(me(&server, &text(&third, "access_token")).await, 200);
    // Neither kind of token is accepted as the other.
    server.post("", "/auth/refresh", json!({"refresh_token": third["access_token"]})).await.expect(401);
    assert_eq!(me(&server, &text(&third, "refresh_token")).await, 401);
    assert_eq!(me(&server, &text(&third, "access_token")).await, 200);
    // Somebody else has an old one.
    refresh(&second).await.expect(401);
    for tokens in [&first, &second, &third] {
        refresh(tokens).await.expect(401);
        assert_eq!(me(&server, &text(tokens, "access_token")).await, 401);
    }
    assert_eq!(me(&server, &text(&other, "access_token")).await, 200);
    refresh(&other).await.expect(200);
    login(&server, PASSWORD).await.expect(200);
}

#[tokio::test]
async fn of_concurrent_uses_of_a_refresh_token_none_leaves_a_login() {
    let server = TestServer::with(admin_only()).await;
    let first = server.post(ADMIN, "/auth/register", account()).await.expect(200);
    let body = || json!({"refresh_token": first["refresh_token"]});
    let uses = futures_util::future::join_all((0..6).map(|_| server.post("", "/auth/refresh", body()))).await;
    let won: Vec<_> = uses.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(me(&server, &text(&won[0].body, "access_token")).await, 401);
}

#[tokio::test]
async fn a_new_password_invalidates_all_tokens() {
    let server = TestServer::with(admin_only()).await;
    let old = server.post(ADMIN, "/auth/register", account()).await.expect(200);
    let token = text(&old, "access_token");
    let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    let to = "/auth/change-password";
    bearer(&server, &token, "POST", to, change("wrong horse", "battery staple")).await.expect(401);
    bearer(&server, &token, "POST", to, change(PASSWORD, "short")).await.expect(400);
    assert_eq!(me(&server, &token).await, 200);
    let done = bearer(&server, &token, "POST", to, change(PASSWORD, "battery staple")).await.expect(200);
    assert_eq!(done, json!({"message": "Password updated."}));
    assert_eq!(me(&server, &token).await, 401);
    server.post("", "/auth/refresh", json!({"refresh_token": old["refresh_token"]})).await.expect(401);
    login(&server, PASSWORD).await.expect(401);
    let tokens = login(&server, "battery staple").await.expect(200);
    assert_eq!(me(&server, &text(&tokens, "access_token")).await, 200);
}

#[tokio::test]
async fn only_tokens_of_this_server_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let server = TestServer::over(&path, admin_only()).await;
    let tokens = server.post(ADMIN, "/auth/register", account()).await.expect(200);
    let token = text(&tokens, "access_token");
    let parts: Vec<&str> = token.split('.').collect();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    assert_eq!((&claims["type"], &claims["role"]), (&json!("access"), &json!("admin")));
    let secret = documents(&path).document("secret", "jwt").unwrap().unwrap().body;
    let secret = secret.as_str().unwrap();
    let sign = |claims: &Value, secret: &str, algorithm: Algorithm| {
        jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    let with = |key: &str, value: Value| {
        let mut claims = claims.clone();
        claims[key] = value;
        sign(&claims, secret, Algorithm::HS256)
    };
    assert_eq!(me(&server, &sign(&claims, secret, Algorithm::HS256)).await, 200, "signed with the right secret");
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
        assert_eq!(me(&server, &forged).await, 401, "{what}");
    }
    // A token stays valid after a restart.
    server.stop().await;
    let server = TestServer::over(&path, Config::default()).await;
    assert_eq!(me(&server, &token).await, 200);
}
