//! What holds of every route: slashes, ids, headers, errors, limits, the documentation.

use std::time::Duration;

use mnemon_server::{AuthMode, Config, RateLimit};
use serde_json::{Value, json};

use crate::service::{ADMIN, ANA, Service, config};

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let service = Service::start().await;
    for path in ["/memories", "/memories/", "/health/", "/stats/ana/", "/openapi.json", "/docs/"] {
        assert_eq!(service.get(ANA, path).await.status, 200, "{path}");
    }
    for (path, to) in [("/", "/docs/"), ("/docs", "/docs/"), ("/redoc", "/docs/")] {
        let answer = service.get("", path).await;
        assert!((301..=308).contains(&answer.status), "{path}");
        assert_eq!(answer.headers["location"], to, "{path}");
    }
    assert_eq!(service.get(ANA, "/memories//").await.status, 404, "an empty id is not the collection");
    let page = service.get("", "/docs/").await.body;
    assert!(page.as_str().unwrap().contains("swagger-ui"));
    assert_eq!(service.get("", "/docs/swagger-ui.css").await.status, 200);
}

#[tokio::test]
async fn every_answer_has_an_id_and_guards_itself() {
    let service = Service::start().await;
    let answer = service.get("", "/health").await;
    let id = answer.headers["x-request-id"].to_str().unwrap();
    assert!(id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("cache-control", "no-store"), ("x-frame-options", "DENY")]
    {
        assert_eq!(answer.headers[name], value);
    }
    let answer = Service::answer(service.request("GET", "/memories").header("x-request-id", "my-id_1.a")).await;
    assert_eq!(answer.headers["x-request-id"], "my-id_1.a");
    assert_eq!(answer.body["request_id"], "my-id_1.a");
    let odd = Service::answer(service.request("GET", "/health").header("x-request-id", "a b\"c")).await;
    assert_ne!(odd.headers["x-request-id"], "a b\"c");
    assert!(!service.get("", "/health").await.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn what_is_wrong_is_said_and_harms_nothing() {
    let service = Service::start().await;
    let unknown = service.get(ANA, "/nowhere").await;
    assert_eq!((unknown.status, &unknown.body["code"]), (404, &json!("not_found")));
    let method = service.call(ANA, "PATCH", "/memories", Value::Null).await;
    assert_eq!((method.status, &method.body["code"]), (405, &json!("method_not_allowed")));
    let broken = service.request("POST", "/memories").header("x-api-key", ANA).body("{\"messages\": [");
    let broken = Service::answer(broken).await;
    assert_eq!(broken.status, 422);
    assert_eq!(broken.body["detail"][0]["type"], "json_invalid");
    let twice = r#"{"messages": "a", "user_id": "ana", "user_id": "bob"}"#;
    let twice = Service::answer(service.request("POST", "/memories").header("x-api-key", ADMIN).body(twice)).await;
    assert_eq!(twice.status, 422, "{}", twice.body);
    let twice = service.get(ADMIN, "/memories?user_id=ana&user_id=bob").await;
    assert_eq!(twice.status, 422, "{}", twice.body);
    let binary = service.request("POST", "/memories").header("x-api-key", ANA).body(vec![0xff, 0xfe, 0x00]);
    assert_eq!(Service::answer(binary).await.status, 422);
    assert_eq!(service.get(ANA, "/memories").await.body["count"], 0);
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let service = Service::with(Config { max_body: 10_000, ..config() }).await;
    let body = json!({"messages": "x".repeat(20_000)});
    let declared = service.post(ANA, "/memories", body.clone()).await;
    assert_eq!((declared.status, &declared.body["code"]), (413, &json!("body_too_large")));
    let fits = service.post(ANA, "/memories", json!({"messages": "x".repeat(5_000)})).await;
    assert_eq!(fits.status, 200);
}

#[tokio::test]
async fn a_key_has_so_many_requests_and_no_more() {
    let limit = RateLimit { per_minute: 3.try_into().unwrap() };
    let service = Service::with(Config { rate_limit: Some(limit), ..config() }).await;
    for left in ["2", "1", "0"] {
        let answer = service.get(ANA, "/memories").await;
        assert_eq!((answer.status, answer.headers["x-ratelimit-remaining"].to_str().unwrap()), (200, left));
    }
    let refused = service.get(ANA, "/memories").await;
    assert_eq!((refused.status, &refused.body["code"]), (429, &json!("rate_limited")));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(service.get(ADMIN, "/memories").await.status, 200, "another key is not concerned");
    assert_eq!(service.get("", "/health").await.status, 200);
}

#[tokio::test]
async fn keys_come_in_three_headers_and_must_agree() {
    let service = Service::start().await;
    let with = |headers: &[(&str, &str)]| {
        let request =
            headers.iter().fold(service.request("GET", "/memories"), |r, (name, value)| r.header(*name, *value));
        async { Service::answer(request).await.status }
    };
    assert_eq!(with(&[("x-api-key", "ka")]).await, 200);
    assert_eq!(with(&[("authorization", "Token ka")]).await, 200);
    assert_eq!(with(&[("authorization", "bearer ka")]).await, 200);
    assert_eq!(with(&[("authorization", "Bearer ka"), ("x-api-key", "ka")]).await, 200);
    for wrong in [
        &[][..],
        &[("x-api-key", "")],
        &[("x-api-key", "KA")],
        &[("x-api-key", "ka ka")],
        &[("authorization", "ka")],
        &[("authorization", "Basic a2E6")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer a.b.c")],
        &[("authorization", "Bearer m0sk_0000000000000000000000000000000000000000000")],
        &[("authorization", "Bearer kb"), ("x-api-key", "ka")],
        &[("x-api-key", "ka"), ("x-api-key", "wrong")],
    ] {
        assert_eq!(with(wrong).await, 401, "{wrong:?}");
    }
}

#[tokio::test]
async fn with_auth_off_everybody_may() {
    let service = Service::with(Config { auth: AuthMode::Off, ..Config::default() }).await;
    let body = json!({"messages": "hello", "user_id": "anybody"});
    assert_eq!(service.post("", "/memories", body).await.status, 200);
    assert_eq!(service.get("", "/memories?user_id=anybody").await.body["count"], 1);
}

#[tokio::test]
async fn no_secret_is_shown() {
    let service = Service::start().await;
    let shown = format!("{:?}", config());
    for secret in ["ka", "kb", "adm"] {
        assert!(!shown.contains(&format!("\"{secret}\"")), "{shown}");
    }
    let answer = service.get("secret-that-is-wrong", "/memories").await;
    assert!(!answer.body.to_string().contains("secret-that-is-wrong"));
}

#[tokio::test]
async fn browsers_may_call_from_the_origins_that_were_named() {
    let service = Service::with(Config { cors_origins: vec!["https://app.example.com".into()], ..config() }).await;
    let from = |origin: &str| {
        let request = service.request("OPTIONS", "/memories").header("origin", origin);
        Service::answer(request.header("access-control-request-method", "POST"))
    };
    let allowed = from("https://app.example.com").await;
    assert_eq!(allowed.headers["access-control-allow-origin"], "https://app.example.com");
    assert!(!from("https://evil.example.com").await.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let service = Service::with(Config { request_timeout: Duration::from_millis(300), ..config() }).await;
    let address = service.url.trim_start_matches("http://").to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let head = "POST /memories HTTP/1.1\r\nhost: x\r\nx-api-key: ka\r\ncontent-length: 100\r\n\r\n{";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    });
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn what_was_accepted_is_finished_before_the_server_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let service = Service::over(&path, config()).await;
    let texts: Vec<String> = (0..40).map(|number| format!("fact number {number} about tea")).collect();
    let pending: Vec<_> = texts
        .iter()
        .map(|text| {
            let body = json!({"messages": text}).to_string();
            tokio::spawn(service.request("POST", "/memories").header("x-api-key", ANA).body(body).send())
        })
        .collect();
    tokio::task::yield_now().await;
    service.stop().await;
    let mut acknowledged = 0;
    for answer in pending {
        acknowledged += usize::from(answer.await.unwrap().is_ok_and(|answer| answer.status() == 200));
    }
    let again = Service::over(&path, config()).await;
    let count = again.get(ANA, "/memories").await.body["count"].as_u64().unwrap();
    assert!(count as usize >= acknowledged, "{count} of {acknowledged}");
}

#[tokio::test]
async fn every_route_but_the_public_ones_asks_for_a_key() {
    let service = Service::start().await;
    let api = serde_json::to_value(mnemon_server::openapi()).unwrap();
    let mut guarded = 0;
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let open = operation["security"] == json!([{}]);
            let path = path.replace(['{', '}'], "");
            let status = service.call("", &method.to_uppercase(), &path, Value::Null).await.status;
            assert_eq!(status == 401, !open, "{method} {path} answers {status}");
            guarded += usize::from(!open);
        }
    }
    assert!(guarded > 10, "{guarded}");
}
