//! What somebody without a key can make the server do: little, at little cost.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use mnemon_engine::ErrorCode;
use mnemon_server::Config;
use mnemon_store::{Document, DocumentStore, Durability};
use serde_json::json;

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
