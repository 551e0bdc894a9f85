//! What browsers and clients need of the transport: preflights, and answers to bodies that are not read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mnemon_server::Config;

use crate::server::{ANA, TestServer, config};

const PAGE: &str = "https://app.example.com";

#[tokio::test]
async fn pages_of_configured_origins_may_send_the_headers_of_all_clients() {
    let server = TestServer::with(Config { cors_origins: vec![PAGE.into()], ..config() }).await;
    let preflight = async |origin: &str, method: &str, headers: &str| {
        let request = server.request("OPTIONS", "/v3/memories/search/").header("origin", origin);
        let request = request.header("access-control-request-method", method);
        TestServer::answer(request.header("access-control-request-headers", headers)).await
    };
    let names = |answer: &crate::server::Answer, header: &str| -> Vec<String> {
        let value = answer.headers.get(header).map_or("", |value| value.to_str().unwrap());
        value.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect()
    };
    for header in [
        "authorization",
        "content-type",
        "content-encoding",
        "Content-Encoding",
        "x-api-key",
        "x-request-id",
        "mem0-user-id",
        "Mem0-User-ID",
        "x-mem0-source",
        "x-stainless-lang",
        "x-stainless-retry-count",
        "openai-organization",
        "openai-beta",
        "idempotency-key",
        "traceparent",
        "x-my-own",
    ] {
        let answer = preflight(PAGE, "POST", header).await;
        assert_eq!(answer.headers["access-control-allow-origin"], PAGE);
        assert_eq!(names(&answer, "access-control-allow-headers"), [header.to_ascii_lowercase()]);
        assert_eq!(answer.headers["access-control-allow-credentials"], "true");
    }
    let all = preflight(PAGE, "DELETE", "authorization,content-type,mem0-user-id,x-stainless-os").await;
    assert_eq!(names(&all, "access-control-allow-headers").len(), 4);
    assert!(names(&all, "access-control-allow-methods").contains(&"delete".to_owned()));
    for header in ["x-forwarded-for", "X-Forwarded-Proto", "forwarded", "x-real-ip", "via", "cf-connecting-ip"] {
        let answer = preflight(PAGE, "GET", &format!("authorization, {header}")).await;
        assert_eq!(names(&answer, "access-control-allow-headers"), ["authorization"], "{header}");
    }
    for origin in ["https://evil.example.com", "null", "https://app.example.com.evil.com", "http://app.example.com"] {
        let answer = preflight(origin, "GET", "authorization").await;
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{origin}");
    }
    // Errors can be read by the page as well, also those before authentication.
    for (path, status) in [("/memories", 401), ("/nowhere", 404), ("/health", 200)] {
        let answer = TestServer::answer(server.request("GET", path).header("origin", PAGE)).await;
        assert_eq!((answer.status, answer.headers["access-control-allow-origin"].to_str().unwrap()), (status, PAGE));
        let exposed = names(&answer, "access-control-expose-headers");
        for header in ["x-request-id", "retry-after", "x-ratelimit-remaining", "x-mnemon-ignored"] {
            assert!(exposed.contains(&header.to_owned()), "{header}");
        }
    }
}

/// Sends the whole request before it reads the answer, as many clients do.
fn send_all_then_read(address: &str, head: &str, body: &[&[u8]]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_write_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(head.as_bytes())?;
    for part in body {
        stream.write_all(part)?;
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        if read == 0 || text.ends_with('}') {
            return Ok(text.into_owned());
        }
    }
}

#[tokio::test]
async fn a_refused_body_is_read_to_its_end_so_that_the_answer_arrives() {
    let server = TestServer::with(Config { max_body: 100_000, ..config() }).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let sent = tokio::task::spawn_blocking(move || {
        let part = vec![b'x'; 1 << 20];
        let mut answers = Vec::new();
        for (path, key, status) in [
            ("/memories", "ka", 413),
            ("/v1/chat/completions", "ka", 413),
            ("/v3/memories/add/", "ka", 413),
            ("/memories", "wrong", 401),
            ("/nowhere", "ka", 404),
            ("/health", "", 405),
        ] {
            for version in ["1.1", "1.0"] {
                let head = format!(
                    "POST {path} HTTP/{version}\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: {}\r\n\r\n",
                    24 << 20
                );
                let answer = send_all_then_read(&address, &head, &vec![&part[..]; 24]);
                answers.push((format!("{path} {version} with a length"), status, answer));
            }
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
            );
            let size = format!("{:x}\r\n", part.len());
            let mut chunks: Vec<&[u8]> = Vec::new();
            for _ in 0..24 {
                chunks.extend([size.as_bytes(), &part, b"\r\n"]);
            }
            chunks.push(b"0\r\n\r\n");
            answers.push((format!("{path} in chunks"), status, send_all_then_read(&address, &head, &chunks)));
        }
        answers
    });
    for (case, status, answer) in sent.await.unwrap() {
        let answer = answer.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(answer.contains(&format!(" {status} ")) && answer.contains("error"), "{case}: {answer}");
    }
    assert_eq!(server.get(ANA, "/memories").await.body["count"], 0);
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_need_not_send_a_refused_body() {
    let server = TestServer::with(Config { max_body: 100_000, ..config() }).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let answers = tokio::task::spawn_blocking(move || {
        let head = |length: usize| {
            format!(
                "POST /memories HTTP/1.1\r\nhost: x\r\nx-api-key: ka\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
            )
        };
        let refused = send_all_then_read(&address, &head(200_000), &[]).unwrap();
        let body = br#"{"messages": "a", "infer": false}"#;
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(head(body.len()).as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).unwrap();
        let first = String::from_utf8_lossy(&buffer[..read]).into_owned();
        stream.write_all(body).unwrap();
        let read = stream.read(&mut buffer).unwrap();
        (refused, first, String::from_utf8_lossy(&buffer[..read]).into_owned())
    });
    let (refused, first, accepted) = answers.await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 413") && !refused.contains("100 Continue"), "{refused}");
    assert!(first.starts_with("HTTP/1.1 100"), "{first}");
    assert!(accepted.starts_with("HTTP/1.1 200"), "{accepted}");
}

#[tokio::test]
async fn a_connection_goes_on_after_a_refused_body_was_read() {
    let server = TestServer::with(Config { max_body: 100_000, ..config() }).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let head =
            format!("POST /memories HTTP/1.1\r\nhost: x\r\nx-api-key: ka\r\ncontent-length: {}\r\n\r\n", 1 << 20);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; 1 << 20]).unwrap();
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).unwrap();
        let first = String::from_utf8_lossy(&buffer[..read]).into_owned();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        (first, rest)
    });
    let (first, second) = answer.await.unwrap();
    assert!(first.starts_with("HTTP/1.1 413"), "{first}");
    assert!(second.starts_with("HTTP/1.1 200"), "{second}");
}
