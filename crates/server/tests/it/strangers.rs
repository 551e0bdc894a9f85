//! What somebody without a key can make the server do: little, at little cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use mnemon_engine::ErrorCode;
use mnemon_server::auth::Keys;
use mnemon_server::{AuthMode, Config, create_first_key};
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{Document, DocumentStore, Durability, SqliteStore, StoreError};
use serde_json::{Value, json};

use crate::server::{ADMIN, TestServer, config};

/// Jobs of 2 MiB each, pending and parked, that no worker claims.
fn put_large_jobs(server: &TestServer, number: usize) {
    let day = jiff::SignedDuration::from_hours(24);
    let text = "x".repeat(2 << 20);
    for id in 0..number {
        let due = if id % 2 == 0 { Timestamp::now() + day } else { Timestamp::MAX - day / 24 };
        let body = json!({"job": {"messages": [{"role": "user", "content": text}], "attempts": 3}, "error": "e"});
        let job = Document::new("event", id.to_string(), body).due_at(due);
        server.documents.put(&[job], Durability::Written).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_read_no_waiting_requests() {
    let server = TestServer::start().await;
    put_large_jobs(&server, 64);
    let started = Instant::now();
    for path in ["/health", "/readyz", "/livez", "/auth/setup-status", "/openapi.json"] {
        let calls = (0..10).map(|_| server.get("", path));
        for answer in futures_util::future::join_all(calls).await {
            answer.expect(200);
        }
    }
    assert_eq!(server.get("", "/health").await.body["waiting"], 32);
    assert_eq!(server.get("", "/health").await.body["parked"], 32);
    server.get(ADMIN, "/metrics").await.expect(200);
    // Reading one of the jobs takes a tenth of a second in this build.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_request_without_a_key_is_small() {
    let server = TestServer::with(config()).await;
    let large = "x".repeat(70_000);
    for (path, body) in [
        ("/auth/login", json!({"email": large, "password": "long enough"})),
        ("/auth/register", json!({"name": large, "email": "a@b.c", "password": "long enough"})),
        ("/auth/refresh", json!({"refresh_token": large})),
    ] {
        let answer = server.post("", path, body).await.expect(413);
        assert_eq!(answer["code"], ErrorCode::BodyTooLarge.as_str(), "{path}");
    }
    // Each credential costs a look-up.
    for (number, status) in [(1, 200), (4, 200), (5, 401), (60, 401)] {
        let request =
            (0..number).fold(server.request("GET", "/memories"), |request, _| request.header("x-api-key", "ka"));
        TestServer::answer(request).await.expect(status);
    }
    let open = TestServer::with(Config::default()).await;
    open.post("", "/auth/refresh", json!({"refresh_token": "x"})).await.expect(401);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let account = json!({"name": "e", "email": "e@example.com", "password": "long enough"});
    let login = json!({"email": "e@example.com", "password": "wrong"});
    let strange: [&[(&str, &str)]; 12] = [
        &[("content-type", "text/plain")],
        &[("content-type", "text/plain;charset=UTF-8")],
        &[("content-type", " TEXT/PLAIN ; a=application/json")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "multipart/form-data; boundary=x")],
        &[("origin", "https://evil.example.com")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("host", "evil.example.com")],
        &[
            ("host", "evil.example.com:8000"),
            ("origin", "http://evil.example.com:8000"),
            ("sec-fetch-site", "same-origin"),
        ],
        &[("host", "localhost.evil.example.com"), ("x-forwarded-host", "localhost.evil.example.com")],
    ];
    let usual: [&[(&str, &str)]; 6] = [
        &[],
        &[("content-type", "application/json")],
        &[
            ("content-type", "application/json"),
            ("origin", "https://app.example.com"),
            ("sec-fetch-site", "cross-site"),
        ],
        &[("host", "localhost:8000"), ("origin", "http://localhost:8000"), ("content-type", "application/json")],
        &[("host", "[::1]:8000")],
        // A proxy on this machine that keeps the name of the site, which cors_origins has.
        &[("host", "app.example.com"), ("content-type", "application/json"), ("origin", "https://app.example.com")],
    ];
    let cors_origins = vec!["https://app.example.com".to_owned()];
    for auth in [AuthMode::On, AuthMode::Off] {
        let server = TestServer::with(Config { auth, cors_origins: cors_origins.clone(), ..config() }).await;
        let send = async |path: &str, body: &Value, headers: &[(&str, &str)]| {
            let request = server.request("POST", path).body(body.to_string());
            TestServer::answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
                .await
        };
        for (path, body) in
            [("/auth/register", &account), ("/auth/login", &login), ("/memories", &login), ("/nowhere", &login)]
        {
            for headers in strange {
                let answer = send(path, body, headers).await;
                assert_eq!(answer.expect(403)["code"], "cross_site", "{auth:?} {path} {headers:?}");
            }
        }
        for headers in usual {
            send("/auth/login", &login, headers).await.expect(401);
        }
        // With a key, every content type goes: curl sends that of forms.
        let form = server.request("POST", "/search").header("content-type", "application/x-www-form-urlencoded");
        let form = form.header("x-api-key", "ka").body(r#"{"query": "tea", "user_id": "ana"}"#);
        TestServer::answer(form).await.expect(if auth == AuthMode::On { 200 } else { 403 });
    }
}

#[test]
fn however_many_servers_start_one_first_key_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let open = || Arc::new(SqliteStore::open(SqliteOptions::new(&path, "none", 1)).unwrap()) as Arc<dyn DocumentStore>;
    let create = |config: &Config| create_first_key(&open(), config, |_| Ok::<_, StoreError>(())).unwrap();
    for has_key in [config(), Config { auth: AuthMode::Off, ..Config::default() }] {
        assert_eq!(create(&has_key), None);
    }
    let failing = create_first_key(&open(), &Config::default(), |_| Err(StoreError::Full));
    assert!(
        matches!(failing, Err(StoreError::Full)) && !Keys::new(open()).any().unwrap(),
        "what can't be kept is not made"
    );
    let made: Vec<Option<String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| create(&Config::default()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.iter().flatten().count(), 1, "{made:?}");
    let keys = Keys::new(open()).list().unwrap();
    assert_eq!((keys.len(), keys[0].user.as_deref(), keys[0].read && keys[0].write), (1, None, true));
    Keys::new(open()).revoke(&keys[0].id, None).unwrap();
    assert_eq!(create(&Config::default()), None, "revoking it does not open the server again");
}
