//! What language models' endpoints refuse, and what the client learns from it.

use std::ops::ControlFlow;
use std::time::Duration;

use mnemon_models::{
    ChatMessage, ChatModel, ChatRequest, ChatRole, JsonShape, LlmClient, LlmConfig, LlmProvider, ModelError,
    RefusalCause,
};
use mnemon_testbed::endpoint::{self, Case};
use mnemon_testbed::{FakeEndpoint, FakeService, ReceivedRequest, Reply};
use serde_json::{Value, json};

use crate::llm::client;

fn for_json() -> ChatRequest {
    let messages = vec![
        ChatMessage::new(ChatRole::System, "Be brief."),
        ChatMessage::new(ChatRole::User, "My garden is in Lisbon!"),
    ];
    let shape = JsonShape { name: "facts", schema: json!({"type": "object"}) };
    ChatRequest { messages, json: Some(shape), ..ChatRequest::default() }
}

const BAD: &str = "400 Bad Request";

/// A refusal without a usable reason.
fn vague() -> Reply {
    Reply::new(BAD, &json!({"error": {"message": "Bad Request", "type": "None", "param": "None", "code": "400"}}))
}

#[test]
fn a_vague_refusal_is_learnt_from_whatever_the_reason_is() {
    type IsRefused = fn(&Value) -> bool;
    let cases: [(&str, IsRefused); 6] = [
        ("temperature", |body| body.get("temperature").is_some()),
        ("max_tokens", |body| body.get("max_tokens").is_some()),
        ("any limit of tokens", |body| body.get("max_tokens").or(body.get("max_completion_tokens")).is_some()),
        ("store", |body| body.get("store").is_some()),
        ("response_format", |body| body.get("response_format").is_some()),
        ("system", |body| body["messages"][0]["role"] == "system"),
    ];
    for (name, is_refused) in cases {
        let service = FakeService::start(move |_, request| match is_refused(&request.body) {
            true => vague(),
            false => Reply::chat(request, "{}"),
        });
        let client = client(&service, |config| {
            config.temperature = Some(0.0);
            config.max_tokens = Some(99);
            config.extra.insert("store".into(), false.into());
        });
        client.chat(&for_json()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let learned = service.requests().len();
        client.chat(&for_json()).unwrap();
        let requests = service.requests();
        assert_eq!(requests.len(), learned + 1, "{name} is refused once");
        // Only what helped is remembered.
        let last = &requests[learned].body;
        let has = |key: &str| last.get(key).is_some();
        let sent = [
            has("temperature"),
            has("max_tokens") || has("max_completion_tokens"),
            has("store"),
            has("response_format"),
            last["messages"][0]["role"] == "system",
        ];
        assert_eq!(sent.iter().filter(|sent| !**sent).count(), usize::from(name != "max_tokens"), "{name}: {last}");
    }
}

#[test]
fn several_parameters_may_be_refused_without_a_reason() {
    let service = FakeService::start(|_, request| {
        let body = request.body.as_object().expect("an object");
        match body.contains_key("temperature") || body.contains_key("response_format") {
            true => vague(),
            false => Reply::chat(request, "{}"),
        }
    });
    let client = client(&service, |config| config.temperature = Some(0.0));
    client.chat(&for_json()).unwrap();
    let count = service.requests().len();
    client.chat(&for_json()).unwrap();
    assert_eq!(service.requests().len(), count + 1);
}

#[test]
fn a_vague_refusal_of_everything_after_an_answer_is_about_the_settings() {
    let service = FakeService::start(|before, request| if before == 0 { Reply::chat(request, "{}") } else { vague() });
    let client = client(&service, |config| config.temperature = Some(0.0));
    client.chat(&for_json()).unwrap();
    assert!(matches!(client.chat(&for_json()), Err(ModelError::Refused { cause: RefusalCause::Other, .. })));
    // The refused request and a probe.
    assert_eq!(service.requests().len(), 3);
}

/// The cause of a refusal; `None` for another error.
fn cause(error: &ModelError) -> Option<RefusalCause> {
    match error {
        ModelError::Refused { cause, .. } => Some(*cause),
        _ => None,
    }
}

fn chats(request: &ReceivedRequest, word: &str) -> bool {
    request.all_texts().iter().any(|text| text.contains(word))
}

#[test]
fn a_request_that_fails_alone_costs_two_tries_and_harms_nobody() {
    let unexplained = [endpoint::vague(2000), endpoint::content_refusals("zebra")].concat();
    let others = [endpoint::text_limits(2000), endpoint::silent(2000)].concat();
    let check = |case: &Case, expected: &[RefusalCause]| {
        let name = &case.name;
        for is_first in [true, false] {
            let endpoint = FakeEndpoint::start(vec![case.behaviour.clone()]);
            let mut config = LlmConfig::new(LlmProvider::OpenAi, "some-model");
            config.base_url = endpoint.url().to_owned();
            config.timeout = Duration::from_millis(500);
            let client = LlmClient::new(config).expect("a valid configuration");
            if !is_first {
                client.chat(&for_json()).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            let mut long = for_json();
            long.messages[1].content = format!("zebra {}", "and a long story ".repeat(200));
            for round in 1..=4 {
                let error = client.chat(&long).expect_err(name);
                let cause = cause(&error).unwrap_or_else(|| panic!("{name}: {error}"));
                assert!(expected.contains(&cause), "{name}: {error}");
                let tries = endpoint.requests().iter().filter(|request| chats(request, "zebra")).count();
                assert!(tries <= 2 * round, "{name}: {tries} tries");
                client.chat(&for_json()).unwrap_or_else(|error| panic!("{name}: {error}"));
                let mut go_on = |_: &str| ControlFlow::Continue(());
                let streamed = client.chat_stream(&ChatRequest { json: None, ..for_json() }, &mut go_on);
                streamed.unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            let streamed = client.chat_stream(&long, &mut |_| ControlFlow::Continue(())).expect_err(name);
            // A stream may also break off.
            assert!(cause(&streamed).is_none_or(|cause| expected.contains(&cause)), "{name}: {streamed}");
            // Nothing that works was given up.
            let last = endpoint.requests().into_iter().rfind(|request| request.body.get("response_format").is_some());
            assert_eq!(last.expect(name).body["response_format"]["type"], "json_schema", "{name}");
        }
    };
    std::thread::scope(|scope| {
        for case in &unexplained {
            scope.spawn(|| check(case, &[RefusalCause::ThisRequest, RefusalCause::Filtered]));
        }
        for case in &others {
            scope.spawn(|| check(case, &[RefusalCause::TooLong, RefusalCause::ThisRequest]));
        }
    });
}

#[test]
fn a_failure_of_a_moment_is_no_refusal() {
    for before_failure in 0..4 {
        let service = FakeService::start(move |before, request| match before == before_failure {
            true => Reply::refusal("500 Internal Server Error", "Internal Server Error"),
            false => Reply::chat(request, "{}"),
        });
        let client = client(&service, |_| {});
        for _ in 0..5 {
            assert_eq!(client.chat(&for_json()).unwrap().text, "{}");
        }
    }
}

#[test]
fn a_parameter_that_is_refused_without_words_and_with_status_500_is_left_out() {
    for key in ["response_format", "temperature"] {
        for case in endpoint::refused_keys(key) {
            let endpoint = FakeEndpoint::start(vec![case.behaviour.clone()]);
            let mut config = LlmConfig::new(LlmProvider::OpenAi, "some-model");
            config.base_url = endpoint.url().to_owned();
            config.temperature = Some(0.0);
            config.retries = 1;
            let client = LlmClient::new(config).expect("a valid configuration");
            client.chat(&for_json()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let before = endpoint.requests().len();
            client.chat(&for_json()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            assert_eq!(endpoint.requests().len(), before + 1, "{}", case.name);
        }
    }
}

#[test]
fn models_without_a_system_role_get_the_instruction_from_the_user() {
    for (status, message) in [
        (BAD, "Developer instruction is not enabled for models/gemma-3-27b-it"),
        (BAD, "System role not supported"),
        ("422 Unprocessable Entity", "Only user and assistant roles are supported!"),
        ("500 Internal Server Error", "Conversation roles must alternate user/assistant/user/assistant/..."),
        ("500 Internal Server Error", "jinja: System role not supported"),
    ] {
        let service = FakeService::start(move |_, request| {
            let messages = request.body["messages"].as_array().expect("messages");
            let alternate = messages.windows(2).all(|pair| pair[0]["role"] != pair[1]["role"]);
            match messages[0]["role"] == "user" && alternate {
                true => Reply::chat(request, "{}"),
                false => Reply::refusal(status, message),
            }
        });
        let client = client(&service, |_| {});
        let mut request = for_json();
        request.messages.push(ChatMessage::new(ChatRole::User, "Where is it?"));
        client.chat(&request).unwrap_or_else(|error| panic!("{message}: {error}"));
        client.chat(&request).unwrap();
        let requests = service.requests();
        assert_eq!(requests.len(), 3, "{message}");
        let messages = json!([{"role": "user", "content": "Be brief.\n\nMy garden is in Lisbon!\n\nWhere is it?"}]);
        assert_eq!(requests[2].body["messages"], messages);
        // A conversation that begins with the model.
        let mut request = request;
        request.messages.insert(1, ChatMessage::new(ChatRole::Assistant, "Hi."));
        client.chat(&request).unwrap();
        let messages = &service.requests()[3].body["messages"];
        assert_eq!((&messages[0]["content"], &messages[1]["role"]), (&json!("Be brief."), &json!("assistant")));
    }
}

#[test]
fn a_server_that_fails_because_of_the_schema_gets_the_next_json_mode() {
    for message in
        ["failed to parse grammar", "Error compiling JSON schema", "response_format: unknown type json_schema"]
    {
        let service =
            FakeService::start(move |_, request| match request.body["response_format"]["type"] == "json_schema" {
                true => Reply::refusal("500 Internal Server Error", message),
                false => Reply::chat(request, "{}"),
            });
        client(&service, |_| {}).chat(&for_json()).unwrap();
        assert_eq!(service.requests().len(), 2, "{message}");
    }
}

/// The cause of a refusal in each form, of a request for JSON and of a stream.
fn causes(reply: impl Fn(&ReceivedRequest) -> Reply + Clone + Send + Sync + 'static) -> [Option<RefusalCause>; 2] {
    let cause = |result: Result<_, ModelError>| match result {
        Err(ModelError::Refused { cause, .. }) => Some(cause),
        _ => None,
    };
    let service = FakeService::start(move |_, request| reply(request));
    let client = client(&service, |config| config.retries = 0);
    [cause(client.chat(&for_json())), cause(client.chat_stream(&for_json(), &mut |_| ControlFlow::Continue(())))]
}

#[test]
fn refusals_of_content_are_recognized_in_every_form() {
    let filtered = Some(RefusalCause::Filtered);
    for (status, body) in [
        (
            BAD,
            json!({"error": {"code": "content_filter", "message": "filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
        ),
        (BAD, json!([{"error": {"code": 400, "message": "blocked", "status": "PROHIBITED_CONTENT"}}])),
        (
            "403 Forbidden",
            json!({"error": {"message": "openai requires moderation. Your input was flagged", "code": 403}}),
        ),
        ("500 Internal Server Error", json!({"error": {"message": "Guardrail blocked the request"}})),
        ("200 OK", json!({"error": {"code": 400, "message": "The response was filtered: content management policy"}})),
        (
            "200 OK",
            json!({"choices": [{"finish_reason": "content_filter", "message": {"role": "assistant", "content": ""}}]}),
        ),
        (
            "200 OK",
            json!({"choices": [{"finish_reason": "content_filter: SAFETY", "message": {"content": "{\"memo"}}]}),
        ),
        (
            "200 OK",
            json!({"choices": [{"finish_reason": "stop", "message": {"content": null, "refusal": "I can't help"}}]}),
        ),
        ("200 OK", json!({"choices": [], "promptFeedback": {"blockReason": "SAFETY"}})),
        ("200 OK", json!({"choices": [{"finish_reason": "guardrail_intervened", "message": {"content": "no"}}]})),
    ] {
        let reply = body.clone();
        assert_eq!(causes(move |_| Reply::new(status, &reply)), [filtered, filtered], "{body}");
    }
    assert_eq!(causes(|request| Reply::chat_cut(request, "{}", "content_filter")), [filtered, filtered]);
    let refused = json!({"content": [], "stop_reason": "refusal", "usage": {"input_tokens": 1, "output_tokens": 1}});
    let service = FakeService::start(move |_, _| Reply::new("200 OK", &refused));
    let anthropic = client(&service, |config| config.provider = LlmProvider::Anthropic);
    let error = anthropic.chat(&for_json()).unwrap_err();
    assert!(matches!(error, ModelError::Refused { cause: RefusalCause::Filtered, .. }), "{error}");
}

#[test]
fn an_error_with_a_successful_status_is_an_error() {
    let other = Some(RefusalCause::Other);
    let too_long = Some(RefusalCause::TooLong);
    for (body, expected) in [
        (json!({"error": {"message": "maximum context length is 4096 tokens", "code": 400}}), too_long),
        (json!({"error": {"message": "no such thing"}}), other),
        (json!([{"error": {"message": "no such thing", "status": "INVALID_ARGUMENT"}}]), other),
        (json!({"code": 20015, "msg": "the parameter is invalid", "data": null}), other),
        (json!({"errors": [{"message": "no such thing"}], "success": false}), other),
        (json!({"error": {"message": "overloaded", "code": 529}}), None),
        (json!({"error": "rate limit exceeded"}), None),
    ] {
        let reply = body.clone();
        assert_eq!(causes(move |_| Reply::new("200 OK", &reply)), [expected, expected], "{body}");
    }
}

#[test]
fn a_reason_has_neither_keys_nor_what_the_request_contains() {
    for body in [
        json!([{"error": {"message": "bad: My garden is in Lisbon! sk-other1234567890 the-key-1234"}}]),
        json!({"errors": ["bad: My garden is in Lisbon! sk-other1234567890 the-key-1234"]}),
        json!({"error": {"message": "Provider returned error", "metadata": {"raw":
            "{\"detail\": [{\"msg\": \"bad: My garden is in Lisbon! sk-other1234567890 the-key-1234\"}]}"}}}),
        json!({"choices": [{"message": {"refusal": "bad: My garden is in Lisbon! sk-other1234567890 the-key-1234"}}]}),
    ] {
        let status = if body["choices"].is_null() { BAD } else { "200 OK" };
        let service = FakeService::start(move |_, _| Reply::new(status, &body));
        let error =
            client(&service, |config| config.api_key = Some("the-key-1234".into())).chat(&for_json()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("bad: …! [redacted] [redacted]"), "{text}");
    }
    let long = json!({"error": {"message": "word ".repeat(1000)}});
    let service = FakeService::start(move |_, _| Reply::new(BAD, &long));
    let error = client(&service, |_| {}).chat(&for_json()).unwrap_err().to_string();
    assert!(error.len() < 500, "{error}");
}

#[test]
fn a_request_that_is_read_in_part_is_too_long() {
    let service = FakeService::start(|_, request| {
        let mut reply = Reply::chat(request, "{}");
        let mut body: Value = serde_json::from_str(&reply.body).expect("JSON");
        body["usage"] = json!({"prompt_tokens": 2048, "completion_tokens": 2});
        reply.body = body.to_string();
        reply
    });
    let client = client(&service, |_| {});
    let long = |chars: usize| {
        let mut request = for_json();
        request.messages[1].content = "x".repeat(chars);
        request
    };
    let error = client.chat(&long(20_000)).unwrap_err();
    assert!(matches!(error, ModelError::Refused { cause: RefusalCause::TooLong, .. }), "{error}");
    client.chat(&long(8000)).unwrap();
    client.chat(&ChatRequest { json: None, ..long(20_000) }).unwrap();
}

#[test]
fn an_answer_that_is_not_valid_json_is_read() {
    for body in [
        r#"{"choices": [{"message": {"content": "half \ud83d of a pair"}}]}"#,
        "\u{feff}{\"choices\": [{\"message\": {\"content\": \"half \\ude00 of a pair\"}, \"logprobs\": NaN}]}",
    ] {
        let service = FakeService::start(move |_, _| Reply { status: "200 OK", headers: "", body: body.to_owned() });
        assert_eq!(client(&service, |_| {}).chat(&for_json()).unwrap().text, "half \u{fffd} of a pair");
    }
}
