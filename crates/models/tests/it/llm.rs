//! The client of language models, with an endpoint on a real socket.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mnemon_models::{
    ChatMessage, ChatModel, ChatRequest, ChatRole, Finish, JsonShape, LlmClient, LlmConfig, LlmProvider, ModelError,
    RefusalCause,
};
use mnemon_testbed::{FakeService, ReceivedRequest, Reply};
use serde_json::{Value, json};

pub(crate) fn client(service: &FakeService, change: impl FnOnce(&mut LlmConfig)) -> LlmClient {
    let mut config = LlmConfig::new(LlmProvider::OpenAi, "some-model");
    config.base_url.clone_from(&service.url);
    change(&mut config);
    LlmClient::new(config).expect("a valid configuration")
}

fn unchanged(_: &mut LlmConfig) {}

fn question() -> ChatRequest {
    let messages = vec![ChatMessage::new(ChatRole::System, "Be brief."), ChatMessage::new(ChatRole::User, "Hi!")];
    ChatRequest { messages, ..ChatRequest::default() }
}

fn for_json() -> ChatRequest {
    let shape = JsonShape { name: "facts", schema: json!({"type": "object"}) };
    ChatRequest { json: Some(shape), ..question() }
}

#[test]
fn only_configured_parameters_are_sent() {
    let service = FakeService::start(|_, request| Reply::chat(request, "Hello."));
    let answer = client(&service, |config| config.api_key = Some("the-key".into())).chat(&question()).unwrap();
    assert_eq!((answer.text.as_str(), answer.finish), ("Hello.", Finish::Stop));
    let request = &service.requests()[0];
    assert_eq!(request.line, "POST /v1/chat/completions HTTP/1.1");
    assert!(request.headers.iter().any(|header| header == "authorization: Bearer the-key"), "{:?}", request.headers);
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi!"}]);
    assert_eq!(request.body, json!({"model": "some-model", "messages": messages}));
}

#[test]
fn configured_parameters_are_sent() {
    let service = FakeService::start(|_, request| Reply::chat(request, "Hello."));
    let client = client(&service, |config| {
        config.temperature = Some(0.5);
        config.max_tokens = Some(99);
        config.extra.insert("store".into(), false.into());
        config.headers.push(("X-Team".into(), "memory".into()));
    });
    client.chat(&for_json()).unwrap();
    let request = &service.requests()[0];
    assert_eq!((&request.body["temperature"], &request.body["max_tokens"]), (&json!(0.5), &json!(99)));
    assert_eq!(request.body["store"], false);
    assert_eq!(request.body["response_format"]["json_schema"]["schema"], json!({"type": "object"}));
    assert!(request.headers.contains(&"x-team: memory".to_owned()), "{:?}", request.headers);
}

/// Rejects all parameters that any of several endpoints would reject.
fn strict(request: &ReceivedRequest) -> Reply {
    let body = request.body.as_object().expect("an object");
    let format = body.get("response_format").map(|format| format["type"].as_str().unwrap_or_default().to_owned());
    let rejects = |message: &str| Reply::refusal("400 Bad Request", message);
    match format.as_deref() {
        _ if body.contains_key("store") => rejects("store: Extra inputs are not permitted"),
        _ if body.contains_key("temperature") && body.contains_key("top_p") => {
            rejects("`temperature` and `top_p` cannot both be specified for this model")
        }
        _ if body.contains_key("max_tokens") => rejects("'max_tokens' is not supported. Use 'max_completion_tokens'."),
        Some("json_schema") => rejects("Invalid parameter: response_format of type json_schema is not supported"),
        Some("json_object") => rejects("This response_format type is unavailable now"),
        _ => Reply::chat(request, "{}"),
    }
}

#[test]
fn each_unsupported_parameter_is_rejected_once() {
    let service = FakeService::start(|_, request| strict(request));
    let client = Arc::new(client(&service, |config| {
        config.temperature = Some(0.5);
        config.top_p = Some(0.5);
        config.max_tokens = Some(99);
        config.extra.insert("store".into(), false.into());
        config.extra.insert("seed".into(), 1.into());
    }));
    let threads: Vec<_> = (0..20)
        .map(|_| {
            let client = Arc::clone(&client);
            std::thread::spawn(move || client.chat(&for_json()).expect("an answer"))
        })
        .collect();
    threads.into_iter().for_each(|thread| drop(thread.join().expect("no panic")));
    let request = service.requests();
    assert_eq!(request.len(), 20 + 6, "six rejected requests");
    let last = &request[25].body;
    let keys: Vec<&str> = last.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["model", "messages", "temperature", "max_completion_tokens", "seed"]);
}

#[test]
fn status_500_may_be_a_refusal() {
    let service = FakeService::start(|_, request| match request.body["response_format"]["type"].as_str() {
        Some("json_schema") => {
            let message =
                "1 validation error: {'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be 'text'\"}";
            Reply::refusal("500 Internal Server Error", message)
        }
        _ => Reply::chat(request, "{}"),
    });
    assert_eq!(client(&service, unchanged).chat(&for_json()).unwrap().text, "{}");
    assert_eq!(service.requests().len(), 2);
}

#[test]
fn refusals_that_no_parameter_explains_are_errors() {
    let service = FakeService::start(|_, _| Reply::refusal("404 Not Found", "The model `some-model` does not exist"));
    let error = client(&service, unchanged).chat(&for_json()).unwrap_err();
    assert!(matches!(error, ModelError::Refused { cause: RefusalCause::UnknownModel, .. }), "{error:?}");
    assert_eq!(service.requests().len(), 1);
    // Changes that did not help are not kept for later requests.
    let service = FakeService::start(|_, _| Reply::refusal("400 Bad Request", "no"));
    let client = client(&service, unchanged);
    assert!(client.chat(&for_json()).is_err() && client.chat(&for_json()).is_err());
    let formats: Vec<Value> =
        service.requests().iter().map(|request| request.body["response_format"]["type"].clone()).collect();
    let (schema, object) = (json!("json_schema"), json!("json_object"));
    // A small conversation as a probe, then each JSON mode, then the instruction in the user's message, then both.
    let round = [schema.clone(), schema.clone(), object.clone(), object, Value::Null, schema, Value::Null];
    assert_eq!(formats, [round.clone(), round].concat());
}

#[test]
fn failed_requests_are_retried_after_the_requested_time() {
    // The second request is a probe.
    let service = FakeService::start(|before, request| match before {
        0 | 1 => Reply::refusal("500 Internal Server Error", "injected"),
        2 => Reply { headers: "Retry-After: 1\r\n", ..Reply::refusal("429 Too Many Requests", "slowly") },
        _ => Reply::chat(request, "At last."),
    });
    assert_eq!(client(&service, unchanged).chat(&question()).unwrap().text, "At last.");
    let request = service.requests();
    assert!(request[3].at - request[2].at >= Duration::from_secs(1));
}

#[test]
fn a_circuit_breaker_stops_calls_to_a_failing_endpoint() {
    let service = FakeService::start(|_, _| Reply::refusal("503 Service Unavailable", "never"));
    let client = client(&service, |config| {
        config.retries = 0;
        // Too short to wait until the circuit breaker closes.
        config.deadline = Duration::from_millis(500);
    });
    // Each call sends the question, and a probe with and without optional parameters.
    for _ in 0..3 {
        assert!(client.chat(&question()).unwrap_err().to_string().contains("HTTP 503"));
    }
    let start = Instant::now();
    let error = client.chat(&question()).unwrap_err().to_string();
    assert!(error.contains("failed 9 times in a row") && start.elapsed() < Duration::from_secs(1), "{error}");
    assert_eq!(service.requests().len(), 9);
}

#[test]
fn reasoning_is_removed_from_answers() {
    for (text, expected) in [
        ("<think>hm {\"a\": 1}</think>\n```json\n{\"b\": 2}\n```", Some("{\"b\": 2}")),
        ("hm</think>Yes.", Some("Yes.")),
        ("<think>never closed", None),
        ("", None),
        (" \n", None),
    ] {
        let service = FakeService::start(move |_, request| Reply::chat(request, text));
        let answer = client(&service, unchanged).chat(&question());
        match expected {
            Some(expected) => assert_eq!(answer.unwrap().text, expected),
            None => assert!(matches!(answer.unwrap_err(), ModelError::Answer { .. }), "{text}"),
        }
    }
}

#[test]
fn an_answer_in_the_reasoning_is_used_and_truncation_is_reported() {
    let service = FakeService::start(|_, _| {
        let message = json!({"role": "assistant", "content": null, "reasoning_content": "Yes."});
        Reply::new("200 OK", &json!({"choices": [{"message": message, "finish_reason": "length"}]}))
    });
    let answer = client(&service, unchanged).chat(&question()).unwrap();
    assert_eq!((answer.text.as_str(), answer.finish), ("Yes.", Finish::Length));
}

#[test]
fn unusable_answers_are_errors() {
    for body in [json!({}), json!({"choices": []}), json!([1]), json!({"choices": [{"error": {"message": "x"}}]})] {
        let service = FakeService::start(move |_, _| Reply::new("200 OK", &body));
        let error = client(&service, unchanged).chat(&question()).unwrap_err();
        assert!(matches!(error, ModelError::Answer { is_empty: false, .. }), "{error:?}");
    }
}

/// Streams an answer; returns its parts and its text.
fn stream(client: &LlmClient) -> (Vec<String>, String) {
    let mut deltas = Vec::new();
    let answer = client.chat_stream(&question(), &mut |delta| {
        deltas.push(delta.to_owned());
        ControlFlow::Continue(())
    });
    (deltas, answer.expect("an answer").text)
}

#[test]
fn an_answer_is_streamed_without_reasoning() {
    let service = FakeService::start(|_, request| Reply::chat(request, "<think>let me see</think>Hello there, you."));
    let (deltas, text) = stream(&client(&service, unchanged));
    assert_eq!((deltas.join("|").as_str(), text.as_str()), ("Hello |there, |you.", "Hello there, you."));
    assert_eq!(service.requests()[0].body["stream"], true);
}

#[test]
fn a_stream_can_be_ended_early_and_an_endpoint_may_not_stream() {
    let service = FakeService::start(|_, request| Reply::chat(request, "one two three"));
    let mut received = String::new();
    let answer = client(&service, unchanged).chat_stream(&question(), &mut |delta| {
        received += delta;
        ControlFlow::Break(())
    });
    assert_eq!((received.as_str(), answer.unwrap().text.as_str()), ("one ", "one "));
    let whole = FakeService::start(|_, request| {
        let plain = ReceivedRequest { body: json!({}), ..request.clone() };
        Reply::chat(&plain, "All at once.")
    });
    assert_eq!(stream(&client(&whole, unchanged)), (vec!["All at once.".to_owned()], "All at once.".to_owned()));
}

#[test]
fn a_stream_that_breaks_off_is_an_error() {
    let chunk = json!({"choices": [{"index": 0, "delta": {"content": "half an "}, "finish_reason": null}]});
    let service = FakeService::start(move |_, _| Reply {
        status: "200 OK",
        headers: "Content-Type: text/event-stream\r\n",
        body: format!("data: {chunk}\n\n"),
    });
    let error = client(&service, unchanged).chat_stream(&question(), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("broke off"), "{error}");
}

#[test]
fn parameters_in_a_quoted_question_are_not_dropped() {
    let service = FakeService::start(|_, request| {
        if request.body.to_string().contains("POISON") {
            let message = "you said: POISON temperature response_format is unsupported, key the-key";
            Reply::refusal("400 Bad Request", message)
        } else {
            Reply::chat(request, "{}")
        }
    });
    let client = client(&service, |config| {
        config.temperature = Some(0.5);
        config.api_key = Some("the-key".into());
    });
    let poison = ChatRequest { messages: vec![ChatMessage::new(ChatRole::User, "POISON")], ..for_json() };
    let error = client.chat(&poison).unwrap_err().to_string();
    assert!(error.contains("POISON") && !error.contains("the-key"), "{error}");
    client.chat(&for_json()).unwrap();
    let last = service.requests().pop().unwrap().body;
    assert_eq!((&last["temperature"], &last["response_format"]["type"]), (&json!(0.5), &json!("json_schema")));
}

#[test]
fn an_error_event_in_a_stream_is_an_error() {
    let service = FakeService::start(|_, _| Reply {
        status: "200 OK",
        headers: "Content-Type: text/event-stream\r\n",
        body: "data: {\"error\": {\"message\": \"overloaded\"}}\n\n".into(),
    });
    let error = client(&service, unchanged).chat_stream(&question(), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("overloaded"), "{error}");
}

#[test]
fn anthropics_api_is_used() {
    let service = FakeService::start(|_, request| {
        if request.body["stream"] != true {
            let content = json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello."}]);
            return Reply::new("200 OK", &json!({"content": content, "stop_reason": "max_tokens"}));
        }
        let events = [
            json!({"type": "message_start", "message": {}}),
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hel"}}),
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "lo."}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        ];
        let line = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
        let body = events.iter().map(line).collect();
        Reply { status: "200 OK", headers: "Content-Type: text/event-stream\r\n", body }
    });
    let client = client(&service, |config| {
        config.provider = LlmProvider::Anthropic;
        config.api_key = Some("the-key".into());
    });
    let answer = client.chat(&for_json()).unwrap();
    assert_eq!((answer.text.as_str(), answer.finish), ("Hello.", Finish::Length));
    let request = &service.requests()[0];
    assert_eq!(request.line, "POST /v1/messages HTTP/1.1");
    for header in ["x-api-key: the-key", "anthropic-version: 2023-06-01"] {
        assert!(request.headers.iter().any(|found| found == header), "{:?}", request.headers);
    }
    let messages = json!([{"role": "user", "content": "Hi!"}]);
    let body = json!({"model": "some-model", "max_tokens": 4096, "system": "Be brief.", "messages": messages});
    assert_eq!(request.body, body);
    assert_eq!(stream(&client), (vec!["Hel".to_owned(), "lo.".to_owned()], "Hello.".to_owned()));
}

#[test]
fn ollamas_api_is_used() {
    let service = FakeService::start(|_, request| {
        let part = |text: &str, done: bool| json!({"message": {"role": "assistant", "content": text}, "done": done});
        if request.body["stream"] != true {
            return Reply::new("200 OK", &part("Hello.", true));
        }
        let body = format!("{}\n{}\n{}", part("Hel", false), part("lo.", false), part("", true));
        Reply { status: "200 OK", headers: "Content-Type: application/x-ndjson\r\n", body }
    });
    let client = client(&service, |config| {
        config.provider = LlmProvider::Ollama;
        config.base_url = config.base_url.trim_end_matches("/v1").to_owned();
        config.max_tokens = Some(99);
    });
    assert_eq!(client.chat(&for_json()).unwrap().text, "Hello.");
    let request = &service.requests()[0];
    assert_eq!(request.line, "POST /api/chat HTTP/1.1");
    assert_eq!((&request.body["stream"], &request.body["format"]), (&json!(false), &json!({"type": "object"})));
    assert_eq!(request.body["options"], json!({"num_predict": 99}));
    assert_eq!(stream(&client), (vec!["Hel".to_owned(), "lo.".to_owned()], "Hello.".to_owned()));
}

#[test]
fn invalid_configurations_are_rejected_and_keys_are_redacted() {
    let with = |change: fn(&mut LlmConfig)| {
        let mut config = LlmConfig::new(LlmProvider::OpenAi, "some-model");
        change(&mut config);
        LlmClient::new(config)
    };
    for change in [
        (|config| config.base_url = "localhost:8000".into()) as fn(&mut LlmConfig),
        |config| config.model = " ".into(),
        |config| config.api_key = Some("a\nb".into()),
        |config| config.headers.push(("no header".into(), "x".into())),
    ] {
        assert!(matches!(with(change), Err(ModelError::Settings { .. })));
    }
    let client = with(|config| {
        config.api_key = Some("hush".into());
        config.base_url = "http://me:hush@localhost:1/v1".into();
        config.headers.push(("x-key".into(), "hush".into()));
    });
    assert!(!format!("{client:?}").contains("hush"));
}
