//! Extraction of facts, `/chat` and OpenAI's chat completions, with a language model behind an endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mnemon_testbed::{FakeService as Endpoint, ReceivedRequest, Reply};
use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, BOB, TestServer, config};

/// Answers an extraction with facts, and a chat with text.
pub(crate) fn answer(request: &ReceivedRequest) -> Reply {
    let messages = request.body["messages"].as_array().unwrap();
    let last = messages.last().unwrap()["content"].as_str().unwrap();
    if !last.contains("## New Messages") {
        return Reply::chat(request, "You live in Lisbon [m1].");
    }
    let section = last.split("## New Messages\n").nth(1).unwrap().split("\n\n## ").next().unwrap();
    let said: Vec<Value> = serde_json::from_str(section).unwrap();
    let facts: Vec<Value> =
        said.iter().filter(|m| m["role"] == "user").map(|m| json!({"text": m["content"]})).collect();
    Reply::chat(request, &json!({"memory": facts}).to_string())
}

pub(crate) async fn until_done(server: &TestServer, key: &str, event: &str) -> Value {
    let begun = Instant::now();
    loop {
        let event = server.get(key, &format!("/v1/event/{event}/")).await.expect(200);
        if event["status"] != "PENDING" {
            return event;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{event}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_extracted_on_both_surfaces() {
    let endpoint = Endpoint::start(|_, request| answer(request));
    let server = TestServer::with_llm(&endpoint, config()).await;
    let body = json!({"messages": [{"role": "user", "content": "I live in Lisbon."}, {"role": "assistant", "content": "Ok."}],
        "prompt": "Only places."});
    let added = server.post(ANA, "/memories", body).await.expect(200);
    assert_eq!((&added["extractor"], &added["results"][0]["memory"]), (&json!("llm"), &json!("I live in Lisbon.")));
    let id = added["results"][0]["id"].as_str().unwrap();
    let memory = server.get(ANA, &format!("/memories/{id}")).await.expect(200);
    assert_eq!((&memory["attributed_to"], &memory["metadata"]), (&json!("user"), &Value::Null));
    let sources = server.get(ANA, &format!("/memories/{id}/sources")).await.expect(200);
    assert_eq!(sources["messages"][0]["content"], "I live in Lisbon.");
    server.get(BOB, &format!("/memories/{id}/sources")).await.expect(404);

    let body = json!({"messages": "I have a cat.", "custom_instructions": "Only pets."});
    let added = server.post(ANA, "/v3/memories/add/", body).await.expect(200);
    assert_eq!((&added["status"], &added["extractor"]), (&json!("SUCCEEDED"), &json!("llm")));
    let event = server.get(ANA, &format!("/v1/event/{}/", added["event_id"].as_str().unwrap())).await.expect(200);
    assert_eq!(
        (&event["status"], &event["results"][0]["data"]["memory"]),
        (&json!("SUCCEEDED"), &json!("I have a cat."))
    );
    let requests = endpoint.requests();
    for (request, instructions) in requests.iter().zip(["Only places.", "Only pets."]) {
        assert!(request.body["messages"][1]["content"].as_str().unwrap().ends_with(instructions));
    }
    let verbatim = json!({"messages": "Hm.", "infer": false});
    assert_eq!(server.post(ANA, "/memories", verbatim).await.expect(200)["extractor"], Value::Null);
    assert_eq!(endpoint.requests().len(), 2);
    let health = server.get("", "/health").await.expect(200);
    assert_eq!((&health["llm"], &health["waiting"]), (&json!("some-model"), &json!(0)));
}

const PROJECT: &str = "/api/v1/orgs/organizations/default/projects/default/";

/// The instructions in the last prompt.
fn instructions(endpoint: &Endpoint) -> Option<String> {
    let requests = endpoint.requests();
    let prompt = requests.last().unwrap().body["messages"][1]["content"].as_str().unwrap();
    prompt.split_once("## Custom Instructions\n").map(|(_, text)| text.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_instructions_reach_the_model() {
    let endpoint = Endpoint::start(|_, request| answer(request));
    let server = TestServer::with_llm(&endpoint, config()).await;
    let set = |body: Value| server.call(ADMIN, "PATCH", PROJECT, body);
    set(json!({"custom_instructions": "Only places.", "agent_custom_instructions": "Only tasks."})).await.expect(200);
    let (places, tasks, pets) = (Some("Only places."), Some("Only tasks."), Some("Only pets."));
    let agent = json!({"agent_id": "bot"});
    for (key, path, more, expected) in [
        (ANA, "/v3/memories/add/", json!({}), places),
        (ANA, "/v1/memories/", json!({}), places),
        (ANA, "/v3/memories/add/", json!({"sync": true}), places),
        (ANA, "/v3/memories/add/", json!({"custom_instructions": "Only pets."}), pets),
        (ANA, "/v3/memories/add/", json!({"custom_instructions": " "}), places),
        // Of a user and an agent: not the agent's alone.
        (ANA, "/v3/memories/add/", agent.clone(), places),
        (ADMIN, "/v3/memories/add/", agent.clone(), tasks),
        (ADMIN, "/v3/memories/add/", json!({"agent_id": "bot", "custom_instructions": "Only pets."}), pets),
        // mem0's own server has no projects.
        (ANA, "/memories", json!({}), None),
    ] {
        let mut body = json!({"messages": format!("I live in {more}{path}.")});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.post(key, path, body.clone()).await.expect(200);
        assert_eq!(instructions(&endpoint).as_deref(), expected, "{path} {body}");
    }
    // Without its own, an agent's memory takes those of all; cleared by null or an empty text, nothing is sent.
    for (change, expected) in [
        (json!({"agent_custom_instructions": null}), places),
        (json!({"custom_instructions": null}), None),
        (json!({"custom_instructions": "Only places."}), places),
        (json!({"custom_instructions": ""}), None),
    ] {
        set(change.clone()).await.expect(200);
        let body = json!({"messages": format!("I use {change}."), "agent_id": "bot"});
        server.post(ADMIN, "/v3/memories/add/", body).await.expect(200);
        assert_eq!(instructions(&endpoint).as_deref(), expected, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_keeps_the_instructions_it_was_accepted_with() {
    let away = Arc::new(AtomicBool::new(true));
    let gone = away.clone();
    let endpoint = Endpoint::start(move |_, request| match gone.load(Ordering::SeqCst) {
        true => Reply::refusal("503 Service Unavailable", "overloaded"),
        false => answer(request),
    });
    let server = TestServer::with_llm(&endpoint, config()).await;
    server.call(ADMIN, "PATCH", PROJECT, json!({"custom_instructions": "Only places."})).await.expect(200);
    let waiting = server.post(ANA, "/v3/memories/add/", json!({"messages": "I live in Lisbon."})).await.expect(202);
    server.call(ADMIN, "PATCH", PROJECT, json!({"custom_instructions": null})).await.expect(200);
    away.store(false, Ordering::SeqCst);
    let done = until_done(&server, ANA, waiting["event_id"].as_str().unwrap()).await;
    assert_eq!(done["status"], "SUCCEEDED", "{done}");
    assert_eq!(instructions(&endpoint).as_deref(), Some("Only places."));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_queued_while_the_model_is_unavailable() {
    let unavailable = Arc::new(AtomicBool::new(true));
    let refuse = unavailable.clone();
    let endpoint = Endpoint::start(move |_, request| {
        if refuse.load(Ordering::SeqCst) {
            Reply::refusal("503 Service Unavailable", "overloaded")
        } else {
            answer(request)
        }
    });
    let server = TestServer::with_llm(&endpoint, config()).await;
    let add = |text: &str| json!({"messages": text, "metadata": {"n": 1}});
    let added = server.post(ANA, "/memories", add("I live in Lisbon.")).await.expect(202);
    assert_eq!((&added["status"], &added["results"]), (&json!("PENDING"), &json!([])));
    assert_eq!(added["reason"], "the language model is not available", "the message of a service is only logged");
    let platform = server.post(ANA, "/v3/memories/add/", add("I have a cat.")).await.expect(202);
    assert_eq!(platform["status"], "PENDING");
    let old = server.post(ANA, "/v1/memories/", add("I like tea.")).await.expect(202);
    assert_eq!(old["status"], "PENDING", "a list has no status");
    let event = |added: &Value| added["event_id"].as_str().unwrap().to_owned();
    let health = server.get("", "/health").await.expect(200);
    let warning = "messages are queued for extraction: the language model is not available";
    assert_eq!((&health["waiting"], &health["warnings"]), (&json!(3), &json!([warning])));
    let pending = server.get(ANA, &format!("/v1/event/{}/", event(&added))).await.expect(200);
    assert_eq!(pending["error"], "the language model is not available");
    server.get(BOB, &format!("/v1/event/{}/", event(&added))).await.expect(404);
    assert_eq!(server.get(ANA, "/memories").await.expect(200)["count"], 0);
    unavailable.store(false, Ordering::SeqCst);
    // The event has the result as soon as it is stored.
    for (added, text) in [(&added, "I live in Lisbon."), (&platform, "I have a cat."), (&old, "I like tea.")] {
        let done = until_done(&server, ANA, &event(added)).await;
        assert_eq!((&done["status"], &done["error"]), (&json!("SUCCEEDED"), &Value::Null), "{done}");
        assert_eq!(done["results"][0]["data"]["memory"], text);
    }
    assert_eq!(server.get(ANA, "/memories").await.expect(200)["count"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_sync_waits_for_the_facts() {
    let endpoint = Endpoint::start(|before, request| match before {
        0 => Reply::refusal("503 Service Unavailable", "overloaded"),
        _ => answer(request),
    });
    let server = TestServer::with_llm(&endpoint, config()).await;
    let body = json!({"messages": "I live in Lisbon.", "sync": true});
    let added = server.post(ANA, "/memories", body).await.expect(200);
    assert_eq!(added["results"][0]["memory"], "I live in Lisbon.");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_jobs_are_cancelled_with_their_owner() {
    let endpoint = Endpoint::start(|_, _| Reply::refusal("503 Service Unavailable", "overloaded"));
    let server = TestServer::with_llm(&endpoint, config()).await;
    let deleted = server.post(ANA, "/memories", json!({"messages": "I live in Lisbon."})).await.expect(202);
    let kept = server.post(BOB, "/memories", json!({"messages": "I live in Rome."})).await.expect(202);
    server.call(ANA, "DELETE", "/memories?user_id=ana", Value::Null).await.expect(200);
    let event = until_done(&server, ANA, deleted["event_id"].as_str().unwrap()).await;
    assert!(event["status"] == "FAILED" && event["error"].as_str().unwrap().contains("deleted"), "{event}");
    let event = server.get(BOB, &format!("/v1/event/{}/", kept["event_id"].as_str().unwrap())).await.expect(200);
    assert_eq!(event["status"], "PENDING");
    assert_eq!(server.get("", "/health").await.expect(200)["waiting"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_uses_and_stores_memories() {
    let endpoint = Endpoint::start(|_, request| answer(request));
    let server = TestServer::with_llm(&endpoint, config()).await;
    server.remember(ANA, "I live in Lisbon.").await;
    server.remember(BOB, "Bob lives in Rome.").await;
    let body = json!({"message": "Where do I live? I like tea.", "run_id": "r1"});
    let reply = server.post(ANA, "/chat", body).await.expect(200);
    assert_eq!(reply["response"], "You live in Lisbon [m1].");
    let used = &reply["memories_used"];
    assert_eq!(
        (&used[0]["memory"], &used[0]["label"], &used[0]["cited"]),
        (&json!("I live in Lisbon."), &json!("m1"), &json!(true))
    );
    assert_eq!(used.as_array().unwrap().len(), 1, "{used}");
    assert_eq!(reply["memories_added"][0]["memory"], "Where do I live? I like tea.");
    let id = reply["memories_added"][0]["id"].as_str().unwrap();
    assert_eq!(server.get(ANA, &format!("/memories/{id}")).await.expect(200)["run_id"], "r1");
    let quiet = json!({"messages": [{"role": "user", "content": "And?"}], "remember": false});
    assert_eq!(server.post(ANA, "/chat", quiet).await.expect(200)["memories_added"], json!([]));

    server.post(ANA, "/chat", json!({})).await.expect(400);
    server.post(ANA, "/chat", json!({"message": "x", "user_id": "bob"})).await.expect(403);
    server.post(ADMIN, "/chat", json!({"message": "x"})).await.expect(400);
    let without = TestServer::start().await;
    let refused = without.post(ANA, "/chat", json!({"message": "x"})).await.expect(503);
    assert_eq!(refused["code"], "llm_not_configured");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_requires_the_scopes_that_it_uses() {
    let endpoint = Endpoint::start(|_, request| answer(request));
    let keys = r#"{"ro": {"user": "ana", "scopes": ["read"]}, "wo": {"user": "ana", "scopes": ["write"]}}"#;
    let keys = mnemon_server::auth::ConfiguredKey::parse_all(keys).unwrap();
    let server = TestServer::with_llm(&endpoint, mnemon_server::Config { keys, ..config() }).await;
    for path in ["/chat", "/v1/chat/completions"] {
        let body =
            |remember: bool| json!({"messages": [{"role": "user", "content": "I like tea."}], "remember": remember});
        server.post("wo", path, body(false)).await.expect(403);
        server.post("ro", path, body(true)).await.expect(403);
        server.post("ro", path, body(false)).await.expect(200);
    }
    assert_eq!(
        (endpoint.requests().len(), server.get("ro", "/memories").await.expect(200)["count"].clone()),
        (2, json!(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_with_rerank_reports_whether_it_was_reranked() {
    let server = TestServer::start().await;
    server.remember(ANA, "I like tea.").await;
    let body = json!({"query": "tea", "filters": {"user_id": "ana"}});
    let request = json!({"query": "tea", "filters": {"user_id": "ana"}, "rerank": true});
    for path in ["/search", "/v3/memories/search/"] {
        assert_eq!(server.post(ANA, path, body.clone()).await.expect(200).get("reranked"), None);
        assert_eq!(server.post(ANA, path, request.clone()).await.expect(200)["reranked"], false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_streams_memories_first() {
    let endpoint = Endpoint::start(|_, request| answer(request));
    let server = TestServer::with_llm(&endpoint, config()).await;
    server.remember(ANA, "I live in Lisbon.").await;
    let request = server.request("POST", "/chat").header("x-api-key", ANA);
    let body = json!({"message": "Where do I live?", "stream": true}).to_string();
    let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = answer.text().await.unwrap();
    let events: Vec<(&str, Value)> = text
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            (name.trim_start_matches("event: "), serde_json::from_str(data.trim_start_matches("data: ")).unwrap())
        })
        .collect();
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["memories", "delta", "delta", "delta", "delta", "delta", "done"]);
    assert_eq!(events[0].1["memories_used"][0]["memory"], "I live in Lisbon.");
    let said: String = events[1..6].iter().map(|(_, data)| data["text"].as_str().unwrap()).collect();
    let done = &events[6].1;
    assert_eq!(
        (done["response"].as_str(), done["memories_added"].as_array().map(Vec::len)),
        (Some(said.as_str()), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_completions_use_and_store_memories() {
    let endpoint = Endpoint::start(|_, request| answer(request));
    let server = TestServer::with_llm(&endpoint, config()).await;
    server.remember(ANA, "I live in Lisbon.").await;
    let body = json!({
        "model": "gpt-x", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where do I live? I like tea."}],
        "temperature": 0.3, "user": "someone", "metadata": {"run_id": "r1"}, "max_tokens": 99,
    });
    let reply = server.post(ANA, "/v1/chat/completions", body).await.expect(200);
    assert_eq!((&reply["object"], &reply["model"]), (&json!("chat.completion"), &json!("some-model")));
    let choice = &reply["choices"][0];
    assert_eq!(choice["message"], json!({"role": "assistant", "content": "You live in Lisbon [m1]."}));
    assert_eq!((&choice["finish_reason"], &reply["memories_used"][0]["cited"]), (&json!("stop"), &json!(true)));
    let request = &endpoint.requests()[0].body;
    assert_eq!((&request["max_tokens"], request.get("temperature")), (&json!(99), None));
    assert_eq!(request["messages"][1]["content"], "Be brief.");
    // Facts are extracted after the answer.
    let begun = Instant::now();
    while server.get(ANA, "/memories").await.expect(200)["count"] != 2 {
        assert!(begun.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let body = json!({"messages": [{"role": "user", "content": "Where?"}], "stream": true, "remember": false,
        "stream_options": {"include_usage": true}});
    let request = server.request("POST", "/v1/chat/completions").header("authorization", format!("Bearer {ANA}"));
    let text = request
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let lines: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(lines.last(), Some(&"data: [DONE]"));
    let events: Vec<Value> =
        lines[..lines.len() - 1].iter().map(|line| serde_json::from_str(&line["data: ".len()..]).unwrap()).collect();
    assert_eq!(
        (&events[0]["choices"][0]["delta"]["role"], &events[0]["object"]),
        (&json!("assistant"), &json!("chat.completion.chunk"))
    );
    let said: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, "You live in Lisbon [m1].");
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[events.len() - 1]["choices"], json!([]));
    let models = server.get(ANA, "/v1/models").await.expect(200);
    assert_eq!(models["data"][0]["id"], "some-model");
    for (key, value) in [("tools", json!([{}])), ("response_format", json!({"type": "json_object"}))] {
        let mut body = json!({"messages": [{"role": "user", "content": "x"}]});
        body[key] = value;
        let refused = server.post(ANA, "/v1/chat/completions", body).await.expect(400);
        assert_eq!(refused["error"]["type"], "invalid_request_error", "{refused}");
    }
    // A conversation with a tool call of the assistant.
    let body = json!({"messages": [{"role": "assistant", "content": null, "tool_calls": [{}]}, {"role": "tool", "content": "7"},
        {"role": "user", "content": "So?"}], "remember": false, "response_format": {"type": "text"}});
    server.post(ANA, "/v1/chat/completions", body).await.expect(200);
    let sent = endpoint.requests().pop().unwrap().body["messages"].clone();
    assert_eq!((sent[1]["content"].as_str(), sent[2]["content"].as_str()), (Some("7"), Some("So?")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extraction_that_exceeds_the_request_timeout_is_answered_202() {
    let endpoint = Endpoint::start(|_, request| {
        std::thread::sleep(Duration::from_millis(1500));
        answer(request)
    });
    let short = mnemon_server::Config { request_timeout: Duration::from_millis(2500), ..config() };
    let server = TestServer::with_llm(&endpoint, short).await;
    let body = json!({"messages": "I live in Lisbon.", "timestamp": 1_588_636_800});
    let added = server.post(ANA, "/memories", body).await.expect(202);
    let event = until_done(&server, ANA, added["event_id"].as_str().unwrap()).await;
    assert_eq!(
        (&event["status"], &event["results"][0]["data"]["memory"]),
        (&json!("SUCCEEDED"), &json!("I live in Lisbon."))
    );
    assert!(endpoint.requests()[0].body.to_string().contains("5 May 2020"));
    assert_eq!(server.get(ANA, "/memories").await.expect(200)["count"], 1);
}
