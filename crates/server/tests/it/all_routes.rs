//! What all routes have in common: slashes, request ids, headers, errors, limits, the documentation page.

use std::time::Duration;

use mnemon_server::{AuthMode, Config, RateLimit};
use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, TestServer, config};

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let server = TestServer::start().await;
    for path in ["/memories", "/memories/", "/health/", "/stats/ana/", "/openapi.json", "/docs/"] {
        assert_eq!(server.get(ANA, path).await.status, 200, "{path}");
    }
    for (path, to) in [("/", "/docs/"), ("/docs", "/docs/"), ("/redoc", "/docs/")] {
        let answer = server.get("", path).await;
        assert!((301..=308).contains(&answer.status), "{path}");
        assert_eq!(answer.headers["location"], to, "{path}");
    }
    assert_eq!(server.get(ANA, "/memories//").await.status, 404, "an empty id is not the list");
    let page = server.get("", "/docs/").await.body;
    assert!(page.as_str().unwrap().contains("swagger-ui"));
    assert_eq!(server.get("", "/docs/swagger-ui.css").await.status, 200);
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_security_headers() {
    let server = TestServer::start().await;
    let answer = server.get("", "/health").await;
    let id = answer.headers["x-request-id"].to_str().unwrap();
    assert!(id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("cache-control", "no-store"), ("x-frame-options", "DENY")]
    {
        assert_eq!(answer.headers[name], value);
    }
    let answer = TestServer::answer(server.request("GET", "/memories").header("x-request-id", "my-id_1.a")).await;
    assert_eq!(answer.headers["x-request-id"], "my-id_1.a");
    assert_eq!(answer.body["request_id"], "my-id_1.a");
    let unsafe_id = TestServer::answer(server.request("GET", "/health").header("x-request-id", "a b\"c")).await;
    assert_ne!(unsafe_id.headers["x-request-id"], "a b\"c");
    assert!(!server.get("", "/health").await.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn invalid_requests_are_answered_with_their_error() {
    let server = TestServer::start().await;
    let unknown = server.get(ANA, "/nowhere").await;
    assert_eq!((unknown.status, &unknown.body["code"]), (404, &json!("not_found")));
    let method = server.call(ANA, "PATCH", "/memories", Value::Null).await;
    assert_eq!((method.status, &method.body["code"]), (405, &json!("method_not_allowed")));
    let broken = server.request("POST", "/memories").header("x-api-key", ANA).body("{\"messages\": [");
    let broken = TestServer::answer(broken).await;
    assert_eq!(broken.status, 422);
    assert_eq!(broken.body["detail"][0]["type"], "json_invalid");
    let twice = r#"{"messages": "a", "user_id": "ana", "user_id": "bob"}"#;
    let twice = TestServer::answer(server.request("POST", "/memories").header("x-api-key", ADMIN).body(twice)).await;
    assert_eq!(twice.status, 422, "{}", twice.body);
    let twice = server.get(ADMIN, "/memories?user_id=ana&user_id=bob").await;
    assert_eq!(twice.status, 422, "{}", twice.body);
    let binary = server.request("POST", "/memories").header("x-api-key", ANA).body(vec![0xff, 0xfe, 0x00]);
    assert_eq!(TestServer::answer(binary).await.status, 422);
    assert_eq!(server.get(ANA, "/memories").await.body["count"], 0);
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let server = TestServer::with(Config { max_body: 10_000, ..config() }).await;
    let body = json!({"messages": "x".repeat(20_000)});
    let declared = server.post(ANA, "/memories", body.clone()).await;
    assert_eq!((declared.status, &declared.body["code"]), (413, &json!("body_too_large")));
    let fits = server.post(ANA, "/memories", json!({"messages": "x".repeat(5_000)})).await;
    assert_eq!(fits.status, 200);
}

#[tokio::test]
async fn requests_above_the_rate_limit_are_refused() {
    let limit = RateLimit { per_minute: 3.try_into().unwrap() };
    let server = TestServer::with(Config { rate_limit: Some(limit), ..config() }).await;
    for left in ["2", "1", "0"] {
        let answer = server.get(ANA, "/memories").await;
        assert_eq!((answer.status, answer.headers["x-ratelimit-remaining"].to_str().unwrap()), (200, left));
    }
    let refused = server.get(ANA, "/memories").await;
    assert_eq!((refused.status, &refused.body["code"]), (429, &json!("rate_limited")));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(server.get(ADMIN, "/memories").await.status, 200, "the limit of another key is separate");
    assert_eq!(server.get("", "/health").await.status, 200);
}

#[tokio::test]
async fn keys_come_in_three_headers_and_must_agree() {
    let server = TestServer::start().await;
    let with = |headers: &[(&str, &str)]| {
        let request =
            headers.iter().fold(server.request("GET", "/memories"), |r, (name, value)| r.header(*name, *value));
        async { TestServer::answer(request).await.status }
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
async fn with_auth_off_no_key_is_required() {
    let server = TestServer::with(Config { auth: AuthMode::Off, ..Config::default() }).await;
    let body = json!({"messages": "I like tea", "user_id": "anybody"});
    assert_eq!(server.post("", "/memories", body).await.status, 200);
    assert_eq!(server.get("", "/memories?user_id=anybody").await.body["count"], 1);
}

#[tokio::test]
async fn with_auth_off_cross_site_requests_are_refused() {
    let server = TestServer::with(Config { auth: AuthMode::Off, ..Config::default() }).await;
    let port = server.url.rsplit(':').next().unwrap().to_owned();
    let with = |headers: &[(&str, String)]| {
        let request = server.request("POST", "/search").body(r#"{"query": "tea", "user_id": "ana"}"#);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        async { TestServer::answer(request).await.status }
    };
    assert_eq!(with(&[("origin", server.url.clone())]).await, 200, "the page under /docs");
    assert_eq!(with(&[("sec-fetch-site", "same-origin".into())]).await, 200);
    assert_eq!(with(&[("host", format!("localhost:{port}"))]).await, 200);
    for strange in [
        ("origin", "https://evil.example.com".to_owned()),
        ("origin", "null".to_owned()),
        ("sec-fetch-site", "cross-site".to_owned()),
        ("host", format!("rebound.example.com:{port}")),
    ] {
        assert_eq!(with(std::slice::from_ref(&strange)).await, 403, "{strange:?}");
    }
    let register = json!({"name": "e", "email": "e@example.com", "password": "long enough"}).to_string();
    let register = server.request("POST", "/auth/register").header("origin", "https://evil.example.com").body(register);
    assert_eq!(TestServer::answer(register).await.status, 403);
}

#[tokio::test]
async fn a_connection_without_a_complete_request_is_closed() {
    let server = TestServer::with(Config { header_timeout: Duration::from_millis(200), ..config() }).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let read = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /livez HTTP/1.1\r\nhost: x\r\n"].map(|said| {
            let mut stream = std::net::TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(said).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).map(|_| String::from_utf8_lossy(&answer).into_owned())
        })
    });
    for answer in read.await.unwrap() {
        let answer = answer.unwrap();
        assert!(!answer.contains(" 200 "), "{answer}");
    }
}

#[tokio::test]
async fn oversized_values_are_refused() {
    let server = TestServer::start().await;
    let large = json!({"messages": "a", "metadata": {"k": "x".repeat(70_000)}});
    let answer = server.post(ANA, "/memories", large).await;
    assert!(answer.status == 400 && answer.body["detail"].as_str().unwrap().contains("metadata"), "{answer:?}");
    let many: Vec<Value> = (0..200).map(|n| json!({"k": {"icontains": format!("{n}")}})).collect();
    let answer = server.post(ANA, "/search", json!({"query": "x", "filters": {"OR": many}})).await;
    assert_eq!((answer.status, &answer.body["code"]), (400, &json!("invalid_filter")));
}

#[tokio::test]
async fn a_deletion_with_unknown_parameters_deletes_nothing() {
    let server = TestServer::start().await;
    server.remember(ANA, "likes tea").await;
    for query in ["user_id=ana&app_id=shop", "user_id=ana&filters=%7B%7D", "user_id=ana&memory_id=5"] {
        let answer = server.call(ANA, "DELETE", &format!("/memories?{query}"), Value::Null).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(server.get(ANA, "/memories").await.body["count"], 1);
}

#[tokio::test]
async fn an_immutable_memory_is_immutable_on_every_surface() {
    let server = TestServer::start().await;
    let body = json!({"messages": "born in May", "immutable": true, "infer": false});
    let added = server.post(ANA, "/v3/memories/add", body).await.expect(200);
    let id = added["results"][0]["id"].as_str().unwrap().to_owned();
    for path in [format!("/memories/{id}"), format!("/v1/memories/{id}")] {
        assert_eq!(server.call(ANA, "PUT", &path, json!({"text": "born in June"})).await.status, 400, "{path}");
    }
    assert_eq!(server.get(ANA, &format!("/memories/{id}")).await.body["memory"], "born in May");
}

#[tokio::test]
async fn the_limit_of_exports_is_per_owner() {
    let server = TestServer::start().await;
    let export = json!({"schema": {}, "filters": {"user_id": "bob"}});
    let his = server.post("kb", "/v1/exports", export).await.expect(201)["id"].clone();
    for _ in 0..103 {
        server.post(ANA, "/v1/exports", json!({"schema": {}, "filters": {"user_id": "ana"}})).await.expect(201);
    }
    assert_eq!(server.get(ANA, "/v1/exports").await.body["count"], 100);
    server.post("kb", "/v1/exports/get", json!({"memory_export_id": his})).await.expect(200);
}

#[tokio::test]
async fn secrets_are_not_shown() {
    let server = TestServer::start().await;
    let shown = format!("{:?}", config());
    for secret in ["ka", "kb", "adm"] {
        assert!(!shown.contains(&format!("\"{secret}\"")), "{shown}");
    }
    let answer = server.get("secret-that-is-wrong", "/memories").await;
    assert!(!answer.body.to_string().contains("secret-that-is-wrong"));
}

#[tokio::test]
async fn cors_allows_only_the_configured_origins() {
    let server = TestServer::with(Config { cors_origins: vec!["https://app.example.com".into()], ..config() }).await;
    let from = |origin: &str| {
        let request = server.request("OPTIONS", "/memories").header("origin", origin);
        TestServer::answer(request.header("access-control-request-method", "POST"))
    };
    let allowed = from("https://app.example.com").await;
    assert_eq!(allowed.headers["access-control-allow-origin"], "https://app.example.com");
    assert!(!from("https://evil.example.com").await.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_aborted() {
    let server = TestServer::with(Config { request_timeout: Duration::from_millis(300), ..config() }).await;
    let address = server.url.trim_start_matches("http://").to_owned();
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
async fn accepted_requests_are_finished_before_the_server_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let server = TestServer::over(&path, config()).await;
    let texts: Vec<String> = (0..40).map(|number| format!("fact number {number} about tea")).collect();
    let pending: Vec<_> = texts
        .iter()
        .map(|text| {
            let body = json!({"messages": text}).to_string();
            tokio::spawn(server.request("POST", "/memories").header("x-api-key", ANA).body(body).send())
        })
        .collect();
    tokio::task::yield_now().await;
    server.stop().await;
    let mut acknowledged = 0;
    for answer in pending {
        acknowledged += usize::from(answer.await.unwrap().is_ok_and(|answer| answer.status() == 200));
    }
    let again = TestServer::over(&path, config()).await;
    let count = again.get(ANA, "/memories").await.body["count"].as_u64().unwrap();
    assert!(count as usize >= acknowledged, "{count} of {acknowledged}");
}

#[tokio::test]
async fn every_route_except_the_public_ones_requires_a_key() {
    let server = TestServer::start().await;
    let api = serde_json::to_value(mnemon_server::openapi()).unwrap();
    let mut guarded = 0;
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let open = operation["security"] == json!([{}]);
            let path = path.replace(['{', '}'], "");
            let status = server.call("", &method.to_uppercase(), &path, Value::Null).await.status;
            assert_eq!(status == 401, !open, "{method} {path} answers {status}");
            guarded += usize::from(!open);
        }
    }
    assert!(guarded > 10, "{guarded}");
}
