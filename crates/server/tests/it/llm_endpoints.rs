//! The table of what language models' endpoints do, and what each request of a server then answers. No request is pending
//! for ever, and none harms another user.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mnemon_testbed::{FakeService as Endpoint, ReceivedRequest, Reply};
use serde_json::{Value, json};

use crate::learning::answer;
use crate::server::{ANA, BOB, TestServer, config};

/// In the message of ana that some endpoints refuse.
const ODD: &str = "quartz";
const BAD: &str = "400 Bad Request";
const FAILED: &str = "500 Internal Server Error";

type Behaviour = Arc<dyn Fn(&ReceivedRequest) -> Reply + Send + Sync>;

/// An endpoint, and what is expected of it: memories of ana's request with two messages, what becomes of the request, and
/// the status of ana's chat.
struct Row {
    name: String,
    behaviour: Behaviour,
    facts: usize,
    event: &'static str,
    chat: &'static str,
}

fn row(
    name: impl Into<String>,
    (facts, event, chat): (usize, &'static str, &'static str),
    behaviour: impl Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static,
) -> Row {
    Row { name: name.into(), behaviour: Arc::new(behaviour), facts, event, chat }
}

fn chars(request: &ReceivedRequest) -> usize {
    let messages = request.body["messages"].as_array().unwrap();
    messages.iter().map(|message| message["content"].as_str().unwrap().chars().count()).sum()
}

fn is_odd(request: &ReceivedRequest) -> bool {
    request.body["messages"].to_string().contains(ODD)
}

/// Answers of an extraction are changed by `change`.
fn answers(change: impl Fn(&str) -> String + Send + Sync + 'static) -> impl Fn(&ReceivedRequest) -> Reply {
    move |request| {
        let mut reply = answer(request);
        let mut body: Value = serde_json::from_str(&reply.body).unwrap();
        let text = body["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        if text.starts_with("{\"memory\"") {
            body["choices"][0]["message"]["content"] = change(&text).into();
            reply.body = body.to_string();
        }
        reply
    }
}

/// The facts of an answer, one a line, each with a mark before it.
fn lines(text: &str, mark: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    let facts = value["memory"].as_array().unwrap().iter();
    facts.map(|fact| format!("{mark}{}\n", fact["text"].as_str().unwrap())).collect()
}

fn rows() -> Vec<Row> {
    let stored = (2, "SUCCEEDED", "200");
    let mut rows = vec![row("no peculiarity", stored, answer)];
    for (name, status, message) in [
        ("OpenAI", BAD, "This model's maximum context length is 8192 tokens"),
        ("llama.cpp", FAILED, "the request exceeds the available context size"),
        ("413", "413 Payload Too Large", "Request Entity Too Large"),
        ("vague", BAD, "Bad Request"),
    ] {
        // Room for the prompt and a chat with a few memories.
        let chat = if name == "vague" { "502 llm_failed" } else { "400 llm_input_too_long" };
        rows.push(row(format!("too long: {name}"), (2, "SUCCEEDED", chat), move |request| {
            match chars(request) > 12_000 {
                true => Reply::refusal(status, message),
                false => answer(request),
            }
        }));
    }
    let filtered = [
        (
            "Azure",
            BAD,
            json!({"error": {"code": "content_filter", "message": "filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
        ),
        ("Gemini", BAD, json!([{"error": {"code": 400, "message": "blocked", "status": "PROHIBITED_CONTENT"}}])),
        (
            "OpenRouter",
            "403 Forbidden",
            json!({"error": {"code": 403, "message": "requires moderation", "metadata": {"reasons": ["x"]}}}),
        ),
        ("guardrail", FAILED, json!({"message": "the guardrail intervened"})),
        (
            "in the answer",
            "200 OK",
            json!({"choices": [{"finish_reason": "content_filter", "message": {"content": ""}}]}),
        ),
        ("the model's own", "200 OK", json!({"choices": [{"message": {"refusal": "no"}, "finish_reason": "stop"}]})),
        ("blockReason", "200 OK", json!({"choices": [], "promptFeedback": {"blockReason": "SAFETY"}})),
    ];
    for (name, status, body) in filtered {
        let expected = (1, "SUCCEEDED, 1 not learnt", "400 llm_content_refused");
        rows.push(row(format!("filter: {name}"), expected, move |request| match is_odd(request) {
            true => Reply::new(status, &body),
            false => answer(request),
        }));
    }
    rows.push(row("no system role", stored, |request| match request.body["messages"][0]["role"] == "system" {
        true => Reply::refusal(BAD, "Developer instruction is not enabled for models/gemma"),
        false => answer_in_user_message(request),
    }));
    for (name, status, message) in [
        ("vague", BAD, "Bad Request"),
        ("schema", FAILED, "failed to parse grammar"),
        ("named", "422 Unprocessable Entity", "response_format: Extra inputs are not permitted"),
    ] {
        rows.push(row(format!("refused parameter: {name}"), stored, move |request| {
            match request.body.get("response_format") {
                Some(_) => Reply::new(status, &json!({"error": {"message": message, "param": "None"}})),
                None => answer(request),
            }
        }));
    }
    rows.extend([
        row("answer without brackets", stored, answers(|text| text.trim_end_matches(['}', ']']).to_owned())),
        row("answer in a list", stored, answers(|text| format!("[{text}]"))),
        row("answer under a key", stored, answers(|text| format!("{{\"result\": {text}}}"))),
        row("answer in a string", stored, answers(|text| Value::from(text).to_string())),
        row("answer in lines", stored, answers(|text| lines(text, "- "))),
        row("answer with curly quotes", stored, answers(|text| text.replace('"', "\u{201d}"))),
        row("answer []", (0, "SUCCEEDED", "200"), answers(|_| "[]".to_owned())),
        row("half a surrogate pair", stored, |request| {
            let mut reply = answer(request);
            reply.body = reply.body.replacen("\"choices\"", "\"note\": \"\\ud83d\", \"choices\"", 1);
            reply
        }),
        row("unusable answers", (0, "FAILED, parked", "200"), answers(|_| "I would rather not.".to_owned())),
        row("an error with status 200", (1, "SUCCEEDED, 1 not learnt", "502 llm_failed"), |request| {
            match is_odd(request) {
                true => Reply::new("200 OK", &json!({"error": {"message": "no such thing", "code": 422}})),
                false => answer(request),
            }
        }),
    ]);
    rows
}

/// As [`answer`], for a prompt whose instruction is in the user's message.
fn answer_in_user_message(request: &ReceivedRequest) -> Reply {
    let mut request = request.clone();
    let last = request.body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
    let user = last.rsplit_once("## New Messages").map_or(last.clone(), |(_, rest)| format!("## New Messages{rest}"));
    request.body["messages"] = json!([{"role": "user", "content": user}]);
    answer(&request)
}

/// The end of a request; a pending one is tried again as often as it may be.
async fn end_of(server: &TestServer, key: &str, id: &str) -> String {
    let begun = Instant::now();
    loop {
        let event = server.get(key, &format!("/v1/event/{id}/")).await.expect(200);
        if event["status"] != "PENDING" {
            let parked = if event["parked"] == true { ", parked" } else { "" };
            let not_learnt = event["not_learnt"].as_array().map(|list| format!(", {} not learnt", list.len()));
            return format!("{}{parked}{}", event["status"].as_str().unwrap(), not_learnt.unwrap_or_default());
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{event}");
        server.engine.run_soon(id).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn chat(server: &TestServer, key: &str, message: &str) -> String {
    let answer = server.post(key, "/chat", json!({"message": message, "remember": false})).await;
    let code = answer.body["code"].as_str().map(|code| format!(" {code}"));
    format!("{}{}", answer.status, code.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_ends_and_harms_nobody() {
    let mut table = format!("{:<28} {:<6} {:<26} {:<7} {:<24} others\n", "endpoint", "add", "infer", "search", "chat");
    let mut wrong = 0;
    for Row { name, behaviour, facts, event, chat: expected_chat } in rows() {
        let endpoint = Endpoint::start(move |_, request| behaviour(request));
        let server = TestServer::with_llm(&endpoint, config()).await;
        // The endpoint answers somebody first, so that it is known what it supports.
        let first = server.post(BOB, "/memories", json!({"messages": "I like milk."})).await;
        let long = name.starts_with("too long");
        let odd = if long {
            format!("The {ODD} is mine. {}", "It is blue and it is old. ".repeat(600))
        } else {
            format!("The {ODD} is mine.")
        };
        let added = server.post(ANA, "/memories", json!({"messages": "I like jam.", "infer": false})).await.status;
        let body = json!({"messages": [{"role": "user", "content": "I like tea."}, {"role": "user", "content": odd}]});
        let begun = server.post(ANA, "/memories", body).await;
        // Others, while the request may be pending.
        let others = [
            first.status == 200 || first.status == 202,
            chat(&server, BOB, "Where do I live?").await == "200",
            server.post(BOB, "/search", json!({"query": "milk", "user_id": "bob"})).await.status == 200,
        ];
        let inferred = end_of(&server, ANA, begun.body["event_id"].as_str().unwrap()).await;
        let searched = server.post(ANA, "/search", json!({"query": "tea", "user_id": "ana"})).await.status;
        let chatted = chat(&server, ANA, &odd).await;
        let others = others.iter().all(|ok| *ok) && chat(&server, BOB, "And now?").await == "200";
        let memories = server.get(ANA, "/memories?top_k=1000").await.expect(200)["count"].as_u64().unwrap();
        let found = usize::try_from(memories).unwrap() - 1;
        let enough = if long { found > facts } else { found == facts };
        let right =
            others && enough && inferred == event && chatted == expected_chat && (added, searched) == (200, 200);
        wrong += usize::from(!right);
        let mark = if right { "" } else { "   <- wrong" };
        let others = if others { "200" } else { "HARMED" };
        table.push_str(&format!(
            "{name:<28} {added:<6} {:<26} {searched:<7} {chatted:<24} {others}{mark}\n",
            format!("{inferred} ({found})")
        ));
    }
    eprintln!("{table}");
    assert_eq!(wrong, 0, "\n{table}");
}
