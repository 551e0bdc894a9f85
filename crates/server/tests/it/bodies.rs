//! Bodies: packed ones, numbers that do not fit, byte order marks, and bodies that are no objects.

use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, Answer, TestServer, config};

/// Encodings by their name in the header; `raw deflate` is deflate without zlib's header.
const ENCODINGS: [&str; 6] = ["gzip", "x-gzip", "GZIP", "deflate", "gzip, identity", "raw deflate"];

fn pack(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    if encoding == "deflate" {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    } else if encoding == "raw deflate" {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    } else {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }
}

async fn send(server: &TestServer, method: &str, path: &str, encoding: &str, body: Vec<u8>) -> Answer {
    let request = server.request(method, path).header("x-api-key", ANA).header("content-type", "application/json");
    let name = encoding.trim_start_matches("raw ");
    let request = if name.is_empty() { request } else { request.header("content-encoding", name) };
    TestServer::answer(request.body(body)).await
}

#[tokio::test]
async fn packed_bodies_are_read_on_every_surface() {
    let server = TestServer::start().await;
    for encoding in ENCODINGS {
        for (path, body) in [
            ("/memories", json!({"messages": format!("I like tea, {encoding}."), "infer": false})),
            ("/v3/memories/add/", json!({"messages": format!("I like milk, {encoding}."), "infer": false})),
            ("/search", json!({"query": "tea", "filters": {"user_id": "ana"}})),
            ("/v3/memories/search/", json!({"query": "tea", "filters": {"user_id": "ana"}})),
        ] {
            let answer = send(&server, "POST", path, encoding, pack(encoding, body.to_string().as_bytes())).await;
            let answer = answer.expect(200);
            assert!(!answer["results"].as_array().unwrap().is_empty(), "{path} {encoding}: {answer}");
        }
    }
    assert_eq!(server.get(ANA, "/memories").await.body["count"], 2 * ENCODINGS.len());
    let body = json!({"messages": "Packed twice.", "infer": false}).to_string();
    let parts = [pack("gzip", &body.as_bytes()[..10]), pack("gzip", &body.as_bytes()[10..])].concat();
    send(&server, "POST", "/memories", "gzip", parts).await.expect(200);
    send(&server, "POST", "/memories", "identity", body.clone().into_bytes()).await.expect(200);
    // An empty body counts as an empty object, packed or not.
    send(&server, "POST", "/memories", "gzip", Vec::new()).await.expect(422);
    send(&server, "POST", "/memories", "gzip", pack("gzip", b"")).await.expect(422);
}

#[tokio::test]
async fn the_limit_counts_unpacked_bytes() {
    let server = TestServer::with(mnemon_server::Config { max_body: 100_000, ..config() }).await;
    for encoding in ["gzip", "deflate"] {
        let body = |bytes: usize| json!({"messages": "x ".repeat(bytes / 2), "infer": false}).to_string();
        send(&server, "POST", "/memories", encoding, pack(encoding, body(90_000).as_bytes())).await.expect(200);
        let larger = pack(encoding, body(110_000).as_bytes());
        assert!(larger.len() < 1000);
        let refused = send(&server, "POST", "/memories", encoding, larger).await.expect(413);
        assert_eq!(refused["code"], "body_too_large");
        // Bombs: 64 MB of spaces, packed once and twice.
        let bomb = pack(encoding, &vec![b' '; 64 << 20]);
        send(&server, "POST", "/memories", encoding, bomb).await.expect(413);
    }
}

#[tokio::test]
async fn bodies_that_unpack_to_nothing_stop_nobody() {
    let server = TestServer::start().await;
    let members = pack("gzip", b"").repeat((8 << 20) / 20);
    let blocks = [0, 0, 0, 0xff, 0xff].repeat((8 << 20) / 5);
    let zlib = [&[0x78, 0x9c][..], &blocks[..blocks.len() - 5]].concat();
    let nested = pack("gzip", &pack("gzip", b"").repeat(2_000_000));
    let long_name = [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3][..], &vec![b'a'; 8 << 19]].concat();
    for (encoding, body, statuses) in [
        ("gzip", members, [400, 422]),
        ("raw deflate", blocks, [400, 422]),
        ("deflate", zlib, [400, 422]),
        ("gzip", long_name, [400, 400]),
        ("gzip, gzip", nested.clone(), [415, 415]),
        ("gzip, gzip, gzip", pack("gzip", &nested), [415, 415]),
        ("deflate, gzip", pack("gzip", &pack("deflate", b"{}")), [415, 415]),
        ("gzip, identity, gzip", pack("gzip", &pack("gzip", b"{}")), [415, 415]),
    ] {
        let answer = send(&server, "POST", "/memories", encoding, body);
        // The server shares the thread of this test: whoever blocks it delays these ticks.
        let (last, longest) = (Cell::new(Instant::now()), Cell::new(Duration::ZERO));
        let tick = || longest.set(longest.get().max(last.replace(Instant::now()).elapsed()));
        let ticks = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                tick();
            }
        };
        let answer = tokio::select! { answer = answer => answer, () = ticks => unreachable!() };
        tick();
        let longest = longest.get();
        assert!(statuses.contains(&answer.status), "{encoding}: {} {}", answer.status, answer.body);
        assert!(longest < Duration::from_secs(5), "{encoding}: {longest:?}");
    }
}

#[tokio::test]
async fn a_packed_body_ends_where_its_data_ends() {
    let server = TestServer::start().await;
    let body = json!({"messages": "I like tea.", "infer": false}).to_string();
    for encoding in ["gzip", "deflate", "raw deflate"] {
        let packed = pack(encoding, body.as_bytes());
        let refused = send(&server, "POST", "/memories", encoding, [&packed[..], b"more"].concat()).await;
        assert_eq!(refused.status, 400, "{encoding}: {}", refused.body);
        let refused = send(&server, "POST", "/memories", encoding, packed[..1].to_vec()).await;
        assert_eq!(refused.status, 400, "{encoding}: {}", refused.body);
        let refused = send(&server, "POST", "/memories", encoding, packed[..packed.len() / 2].to_vec()).await;
        assert!([400, 422].contains(&refused.status), "{encoding}: {}", refused.body);
    }
    assert_eq!(server.get(ANA, "/memories").await.body["count"], 0);
}

#[tokio::test]
async fn other_encodings_and_damaged_bodies_are_refused() {
    let server = TestServer::start().await;
    let body = json!({"messages": "I like tea.", "infer": false}).to_string().into_bytes();
    for encoding in ["br", "zstd", "compress", "gzip, br", "no such thing", "*"] {
        for path in ["/memories", "/v3/memories/add/"] {
            let refused = send(&server, "POST", path, encoding, body.clone()).await;
            assert_eq!(refused.headers["accept-encoding"], "gzip, deflate");
            let refused = refused.expect(415);
            assert_eq!(refused["code"], "unsupported_encoding");
            assert!(refused["detail"].as_str().unwrap().contains("gzip"), "{refused}");
        }
    }
    let packed = pack("gzip", &body);
    let mut damaged = packed.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    for bytes in [body.clone(), packed[..packed.len() - 5].to_vec(), packed[..9].to_vec(), damaged] {
        let refused = send(&server, "POST", "/memories", "gzip", bytes).await;
        assert!([400, 422].contains(&refused.status), "{}", refused.body);
    }
    assert_eq!(server.get(ANA, "/memories").await.body["count"], 0);
}

#[tokio::test]
async fn numbers_that_would_be_rounded_are_refused_by_their_path() {
    let server = TestServer::start().await;
    let id = server.remember(ANA, "I like tea.").await;
    for number in ["18446744073709551616", "-9223372036854775809", "1e400", "-1E999", "123456789012345678901234567890"]
    {
        for (method, path, body, place) in [
            (
                "POST",
                "/memories".to_owned(),
                r#"{"messages": "x", "infer": false, "metadata": {"n": N}}"#,
                "metadata.n",
            ),
            ("POST", "/v1/memories/".to_owned(), r#"{"messages": "x", "metadata": {"a": [0, N]}}"#, "metadata.a[1]"),
            ("POST", "/v3/memories/add/".to_owned(), r#"{"messages": "x", "timestamp": N}"#, "timestamp"),
            ("POST", "/search".to_owned(), r#"{"query": "x", "filters": {"n": {"gte": N}}}"#, "filters.n.gte"),
            ("POST", "/v3/memories/search/".to_owned(), r#"{"query": "x", "top_k": N}"#, "top_k"),
            ("PUT", format!("/memories/{id}"), r#"{"metadata": {"a": {"b": N}}}"#, "metadata.a.b"),
            ("PUT", format!("/v1/memories/{id}/"), r#"{"metadata": {"n": N}}"#, "metadata.n"),
            ("PUT", "/v1/batch/".to_owned(), r#"{"memories": [{"metadata": {"n": N}}]}"#, "memories[0].metadata.n"),
            ("POST", "/chat".to_owned(), r#"{"message": "x", "max_tokens": N}"#, "max_tokens"),
        ] {
            let refused = send(&server, method, &path, "", body.replace('N', number).into_bytes()).await;
            assert_eq!(refused.status, 400, "{path} {number}: {}", refused.body);
            assert!(refused.body["detail"].as_str().unwrap().starts_with(&format!("{place}: ")), "{}", refused.body);
        }
    }
    let kept = json!({"big": u64::MAX, "low": i64::MIN, "float": 1e300, "text": "18446744073709551616"});
    let body = json!({"messages": "Numbers.", "infer": false, "metadata": kept});
    let added = server.post(ANA, "/memories", body).await.expect(200);
    let path = format!("/memories/{}", added["results"][0]["id"].as_str().unwrap());
    assert_eq!(server.get(ANA, &path).await.expect(200)["metadata"], kept);
    let big = json!({"query": "numbers", "filters": {"user_id": "ana", "big": u64::MAX}});
    assert_eq!(server.post(ANA, "/search", big).await.expect(200)["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_byte_order_mark_is_not_stored() {
    let server = TestServer::start().await;
    let body = json!({"messages": "I like tea.", "infer": false}).to_string();
    send(&server, "POST", "/memories", "", format!("\u{feff}{body}").into_bytes()).await.expect(200);
    for (infer, path) in
        [(false, "/memories"), (true, "/memories"), (false, "/v3/memories/add/"), (true, "/v1/memories/")]
    {
        for messages in [
            json!("\u{feff}I live in Bergen."),
            json!([{"role": "user", "content": "\u{feff}I live in Bergen."}]),
            json!([{"role": "\u{feff}user", "content": [{"type": "text", "text": "\u{feff}I live in Bergen."}]}]),
        ] {
            server.post(ANA, path, json!({"messages": messages, "infer": infer})).await.expect(200);
        }
    }
    let listed = server.get(ANA, "/memories?top_k=100").await.expect(200);
    for item in listed["results"].as_array().unwrap() {
        assert!(item["memory"].as_str().unwrap().starts_with("I "), "{item}");
    }
    let id = listed["results"][0]["id"].as_str().unwrap().to_owned();
    for path in [format!("/memories/{id}"), format!("/v1/memories/{id}/")] {
        server.call(ANA, "PUT", &path, json!({"text": "\u{feff}I live in Oslo."})).await.expect(200);
        assert_eq!(server.get(ANA, &path).await.expect(200)["memory"], "I live in Oslo.");
        server.call(ANA, "PUT", &path, json!({"text": "\u{feff}"})).await.expect(400);
    }
}

#[tokio::test]
async fn a_body_must_be_an_object() {
    let server = TestServer::start().await;
    let document = server.get("", "/openapi.json").await.expect(200);
    let mut tried = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["post", "put", "patch", "delete"] {
            let operation = &item[method];
            if operation["requestBody"].is_null() {
                continue;
            }
            let path = path.replace(['{', '}'], "");
            for body in ["[]", r#"["x", null, null]"#, "7", "\"text\"", "null", "true", " [[]] "] {
                let request = server.request(&method.to_uppercase(), &path).header("x-api-key", ADMIN);
                let answer = TestServer::answer(request.body(body)).await;
                assert!(
                    [400, 422].contains(&answer.status),
                    "{method} {path} {body}: {} {}",
                    answer.status,
                    answer.body
                );
                assert!(
                    answer.body.to_string().contains("must be a JSON object, not"),
                    "{method} {path}: {}",
                    answer.body
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
    assert_eq!(server.get(ADMIN, "/memories").await.body["count"], 0);
    assert_eq!(server.post(ADMIN, "/memories", Value::Null).await.status, 422);
    let id = server.remember(ANA, "I like tea.").await;
    for method in ["PUT", "DELETE"] {
        let body = json!({"memories": [[id, "Changed.", null]]});
        server.call(ANA, method, "/v1/batch/", body).await.expect(400);
    }
    assert_eq!(server.get(ANA, &format!("/memories/{id}")).await.expect(200)["memory"], "I like tea.");
}
