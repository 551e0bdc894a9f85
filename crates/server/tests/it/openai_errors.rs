//! Every failure on the routes of OpenAI's API has the shape that OpenAI's clients read.

use std::time::Duration;

use mnemon_server::{Config, RateLimit};
use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, Answer, TestServer, config};

const COMPLETIONS: &str = "/v1/chat/completions";

#[track_caller]
fn check(answer: &Answer, status: u16, param: Option<&str>, case: &str) {
    assert_eq!(answer.status, status, "{case}: {}", answer.body);
    let error = answer.body["error"].as_object().unwrap_or_else(|| panic!("{case}: {}", answer.body));
    let keys: Vec<&str> = error.keys().map(String::as_str).collect();
    assert_eq!(keys, ["message", "type", "param", "code"], "{case}");
    assert!(error["message"].as_str().is_some_and(|text| text.len() > 10), "{case}: {error:?}");
    let kind = match status {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    assert_eq!(error["type"], kind, "{case}");
    assert!(error["code"].as_str().is_some_and(|code| !code.is_empty()), "{case}");
    assert_eq!(error["param"].as_str(), param, "{case}: {error:?}");
    assert!(answer.headers.contains_key("x-request-id"), "{case}");
}

fn chat() -> Value {
    json!({"messages": [{"role": "user", "content": "tea?"}], "user": "ana"})
}

#[tokio::test]
async fn errors_have_openais_shape() {
    let read_only = r#"{"ro": {"user": "ana", "scopes": ["read"]}, "wo": {"user": "ana", "scopes": ["write"]}}"#;
    let keys = mnemon_server::auth::ConfiguredKey::parse_all(read_only).unwrap();
    let mut config = config();
    config.keys.extend(keys);
    let server = TestServer::with(config).await;
    for path in [COMPLETIONS, "/v1/models"] {
        let method = if path == COMPLETIONS { "POST" } else { "GET" };
        check(&server.call("", method, path, Value::Null).await, 401, None, path);
        check(&server.call("wrong", method, path, Value::Null).await, 401, None, path);
        let bearer = server.request(method, path).header("authorization", "Bearer wrong");
        let answer = TestServer::answer(bearer).await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        check(&answer, 401, None, path);
        check(&server.call(ADMIN, "PATCH", path, json!({})).await, 405, None, path);
        check(&server.call("wo", method, path, chat()).await, 403, None, path);
    }
    check(&server.post("ro", COMPLETIONS, chat()).await, 403, None, "a read-only key learns nothing");
    for path in [
        "/v1/chat",
        "/v1/chat/completions/x",
        "/v1/models/gpt-4o",
        "/v1/embeddings",
        "/v1/responses/",
        "/v1/completions",
    ] {
        for method in ["GET", "POST"] {
            check(&server.call(ADMIN, method, path, Value::Null).await, 404, None, path);
        }
    }
    let stainless = server.request("GET", "/v1/something-new").header("x-stainless-lang", "python");
    check(&TestServer::answer(stainless).await, 404, None, "an unknown path, from OpenAI's client");
    let mem0 = server.get(ADMIN, "/v1/something-new").await;
    assert!(mem0.body["detail"].is_string() && mem0.body["error"].is_string(), "{}", mem0.body);
    for (body, param) in [
        (json!({}), None),
        (json!({"messages": 7}), Some("messages")),
        (json!({"messages": [{"role": "user", "content": 7}]}), Some("messages")),
        (json!({"messages": "a", "stream": "maybe"}), Some("stream")),
        (json!({"messages": "a", "n": 2}), Some("n")),
        (json!({"messages": "a", "tools": [{}]}), Some("tools")),
        (json!({"messages": "a", "response_format": {"type": "json_object"}}), Some("response_format")),
        (json!({"messages": "a", "metadata": {"agent_id": 1}}), Some("metadata")),
        (json!({"messages": "a", "stream_options": 7}), Some("stream_options")),
        (json!({"messages": "a", "max_tokens": 1, "max_completion_tokens": 2}), Some("max_completion_tokens")),
    ] {
        check(&server.post(ANA, COMPLETIONS, body.clone()).await, 400, param, &body.to_string());
    }
    for body in [b"{".to_vec(), vec![0xff, 0xfe], b"hello".to_vec()] {
        let request = server.request("POST", COMPLETIONS).header("x-api-key", ANA).body(body);
        check(&TestServer::answer(request).await, 400, None, "not JSON");
    }
    check(&server.post(ANA, COMPLETIONS, chat()).await, 503, None, "no language model");
    assert_eq!(server.get(ANA, "/v1/models").await.status, 200);
}

#[tokio::test]
async fn limits_and_timeouts_have_openais_shape() {
    let limits = Config {
        rate_limit: Some(RateLimit { per_minute: 2.try_into().unwrap() }),
        max_body: 1000,
        request_timeout: Duration::from_millis(300),
        ..config()
    };
    let server = TestServer::with(limits).await;
    let large = json!({"messages": "x".repeat(5000)});
    check(&server.post(ANA, COMPLETIONS, large).await, 413, None, "too large");
    let slow = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = server.request("POST", COMPLETIONS).header("x-api-key", ANA).body(reqwest::Body::wrap_stream(slow));
    check(&TestServer::answer(request).await, 503, None, "too slow");
    let limited = server.post(ANA, COMPLETIONS, chat()).await;
    assert!(limited.headers.contains_key("retry-after"));
    check(&limited, 429, None, "too many");
}

#[tokio::test]
async fn what_a_chat_ignores_is_named() {
    let server = TestServer::start().await;
    let body = json!({
        "messages": [{"role": "user", "content": "a", "refusal": null}], "model": "gpt-4o", "temperature": 0.5,
        "user": "somebody", "metadata": {"run_id": "r", "trace": "x"}, "stream_options": {"include_usage": true},
    });
    let answer = server.post(ANA, COMPLETIONS, body).await;
    let names = answer.headers["x-mnemon-ignored"].to_str().unwrap();
    for name in ["model", "temperature", "user", "metadata.trace", "stream_options.include_usage", "messages[].refusal"]
    {
        assert!(names.split(", ").any(|own| own == name), "{name}: {names}");
    }
}
