//! Messages of every kind that agents send, on every route that takes messages.

use mnemon_testbed::FakeService as Endpoint;
use serde_json::{Value, json};

use crate::learning::answer;
use crate::server::{ADMIN, ANA, TestServer, config};

/// The routes that add memories.
const ADDS: [&str; 3] = ["/memories", "/v1/memories/", "/v3/memories/add/"];

/// Messages that say nothing in words.
fn wordless() -> Vec<Value> {
    let calls = json!([{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]);
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}});
    vec![
        json!({"role": "assistant", "tool_calls": calls}),
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
        json!({"role": "assistant", "content": "", "tool_calls": calls}),
        json!({"role": "assistant", "content": [], "tool_calls": calls}),
        json!({"role": "Assistant", "content": " ", "tool_calls": calls, "refusal": null, "audio": null}),
        json!({"role": "assistant", "content": null, "function_call": {"name": "weather", "arguments": "{}"}}),
        json!({"role": "assistant", "function_call": {"name": "weather", "arguments": "{}"}}),
        json!({"role": "assistant", "content": null}),
        json!({"role": "assistant", "content": ""}),
        json!({"role": "assistant", "content": null, "audio": {"id": "a1"}}),
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {}}]}),
        json!({"role": "tool", "tool_call_id": "c1", "content": ""}),
        json!({"role": "tool", "tool_call_id": "c1", "content": null}),
        json!({"role": "tool", "tool_call_id": "c1"}),
        json!({"role": "user", "content": [image]}),
        json!({"role": "user", "content": image}),
        json!({"role": "user", "content": [{"type": "input_image", "image_url": "https://example.org/cat.png"}]}),
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": []}]}),
        json!({"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"json": {}}]}}]}),
        json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "weather", "input": {}}}]}),
        json!({"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {}}}]}),
        json!({"role": "assistant", "content": {}, "tool_calls": calls}),
        json!({"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}),
        json!({"type": "reasoning", "id": "r1", "summary": []}),
        json!({"type": "web_search_call", "id": "w1", "status": "completed"}),
        json!({"type": "ai", "content": "", "tool_calls": calls}),
    ]
}

fn texts(server: &TestServer) -> Vec<String> {
    let page = mnemon_store::PageRequest { limit: 100, ..mnemon_store::PageRequest::default() };
    let memories = server.engine.store().list(None, None, &page).unwrap().items;
    memories.into_iter().rev().map(|memory| memory.payload.text().to_owned()).collect()
}

/// Adds messages and returns the answer, which is always an object.
async fn add(server: &TestServer, path: &str, messages: &Value, infer: bool) -> Value {
    let body = json!({"messages": messages, "infer": infer, "output_format": "v1.1"});
    server.post(ANA, path, body).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_without_words_are_skipped_and_named() {
    let endpoint = Endpoint::start(|_, request| answer(request));
    for server in [TestServer::start().await, TestServer::with_llm(&endpoint, config()).await] {
        for path in ADDS {
            for infer in [false, true] {
                for message in wordless() {
                    let alone = add(&server, path, &json!([message]), infer).await;
                    assert_eq!(alone["results"], json!([]), "{path} {infer} {message}");
                    assert!(alone["note"].as_str().unwrap().contains("1 message without text"), "{alone}");
                }
                assert!(texts(&server).is_empty(), "{path} {infer}");
                // The conversation of an agent.
                let mut conversation = vec![json!({"role": "user", "content": "I live in Lisbon."})];
                conversation.extend(wordless());
                let added = add(&server, path, &conversation.into(), infer).await;
                assert_eq!(texts(&server), ["I live in Lisbon."], "{path} {infer}: {added}");
                assert!(
                    added["note"].as_str().unwrap().contains(&format!("{} messages without text", wordless().len())),
                    "{added}"
                );
                server.call(ADMIN, "DELETE", "/memories?user_id=ana", Value::Null).await.expect(200);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_a_list_has_the_note_in_a_header() {
    let server = TestServer::start().await;
    let call = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c1"}]});
    let answer = server.post(ANA, "/v1/memories/", json!({"messages": [call]})).await;
    assert_eq!((answer.status, &answer.body), (200, &json!([])));
    assert!(answer.headers["x-mnemon-note"].to_str().unwrap().contains("1 message without text"));
    let answer = server.post(ANA, "/v1/memories/", json!({"messages": "I like tea."})).await;
    assert_eq!(answer.headers.get("x-mnemon-note"), None);
}

#[tokio::test]
async fn parts_with_text_are_stored_and_the_others_named() {
    let server = TestServer::start().await;
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}});
    for path in ADDS {
        for (content, text, note) in [
            (json!([{"type": "text", "text": "My cat."}, image]), "My cat.", Some("1 part")),
            (json!([{"type": "input_text", "text": "Tea."}]), "Tea.", None),
            (json!([{"type": "output_text", "text": "a"}, "b"]), "a\nb", None),
            (json!([{"type": "refusal", "refusal": "I can't do that."}]), "I can't do that.", None),
            (json!({"type": "text", "text": "One part."}), "One part.", None),
        ] {
            let added = add(&server, path, &json!([{"role": "user", "content": content}]), false).await;
            assert_eq!(added["results"][0]["memory"], text, "{path} {content}");
            let named = added.get("note").and_then(Value::as_str);
            assert_eq!(named.is_some(), note.is_some(), "{added}");
            assert!(note.is_none_or(|note| named.unwrap().contains(note)), "{added}");
        }
    }
}

#[tokio::test]
async fn a_text_that_a_person_left_empty_is_skipped_beside_others_and_refused_alone() {
    let server = TestServer::start().await;
    let mut stored = 0;
    for path in ADDS {
        for infer in [false, true] {
            for content in [
                json!(""),
                json!(" \n"),
                json!("\u{feff}"),
                json!("\u{a0}\u{200b}"),
                json!("\u{2060}\u{3164}"),
                json!("\u{0}"),
                json!([{"type": "text", "text": ""}]),
            ] {
                let empty = json!({"role": "user", "content": content});
                let body = json!({"messages": [empty], "infer": infer});
                let refused = server.post(ANA, path, body.clone()).await.expect(400);
                assert!(refused["detail"].as_str().unwrap().contains("messages[0] is empty"), "{body}: {refused}");
                let said = json!({"role": "user", "content": format!("The tram {stored} leaves at six.")});
                let added = add(&server, path, &json!([empty, said, empty]), infer).await;
                assert_eq!(added["results"].as_array().unwrap().len(), 1, "{path} {infer} {content}: {added}");
                assert!(added["note"].as_str().unwrap().contains("2 messages without text"), "{added}");
                stored += 1;
            }
            for message in [json!({"role": "user"}), json!({}), json!({"content": 7}), json!([{}])] {
                let body = json!({"messages": [message], "infer": infer});
                let status = server.post(ANA, path, body.clone()).await.status;
                assert!([400, 422].contains(&status), "{path} {body}");
            }
        }
    }
    assert_eq!(texts(&server).len(), stored);
}

#[tokio::test]
async fn what_tools_answered_is_kept_as_the_tools_and_is_nobodys_fact() {
    let server = TestServer::start().await;
    let text = "The flight to Oslo leaves at nine.";
    for path in ADDS {
        for message in [
            json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": text}]}),
            json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": text}]},
            ]}),
            json!({"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": text}]}}]}),
            json!({"role": "tool", "tool_call_id": "c1", "content": text}),
            json!({"type": "tool", "tool_call_id": "c1", "content": text}),
            json!({"type": "function_call_output", "call_id": "c1", "output": text}),
        ] {
            let added = add(&server, path, &json!([message]), false).await;
            assert_eq!(added["results"][0]["memory"], text, "{path} {message}");
            let id = added["results"][0]["id"].as_str().unwrap();
            assert_eq!(server.get(ANA, &format!("/memories/{id}")).await.expect(200)["role"], "tool", "{message}");
            assert_eq!(add(&server, path, &json!([message]), true).await["results"], json!([]), "{path} {message}");
        }
    }
}

#[tokio::test]
async fn a_type_without_a_role_is_the_role() {
    let server = TestServer::start().await;
    for (index, path) in ADDS.into_iter().enumerate() {
        let messages = json!([
            {"type": "system", "content": "You live in a cupboard and answer in rhymes."},
            {"type": "human", "content": format!("My tram is number {index}.")},
            {"type": "ai", "content": format!("The bus is number {index}.")},
            {"type": "AIMessage", "data": {"content": format!("The boat is number {index}.")}},
        ]);
        let added = add(&server, path, &messages, false).await;
        assert!(!added["ignored"].to_string().contains("type"), "{added}");
        let mut roles = Vec::new();
        for item in added["results"].as_array().unwrap() {
            let path = format!("/memories/{}", item["id"].as_str().unwrap());
            roles.push(server.get(ANA, &path).await.expect(200)["role"].as_str().unwrap().to_owned());
        }
        assert_eq!(roles, ["user", "assistant", "assistant"], "{path}");
    }
}

#[tokio::test]
async fn instructions_are_nobodys_memories_however_their_role_is_written() {
    let server = TestServer::start().await;
    let roles = ["system", "System", "SYSTEM", " system ", "developer", "Developer", "DEVELOPER\n"];
    for path in ADDS {
        for infer in [false, true] {
            for role in roles {
                let rule = json!({"role": role, "content": "You live in a cupboard and answer in rhymes."});
                let alone = add(&server, path, &json!([rule]), infer).await;
                assert_eq!(alone["results"], json!([]), "{path} {infer} {role}");
                assert!(alone["note"].as_str().unwrap().contains("1 instruction"), "{alone}");
                let said = json!({"role": "User", "content": format!("I like tea, {role:?} {infer} {path}.")});
                let both = add(&server, path, &json!([rule, said]), infer).await;
                assert_eq!(both["results"].as_array().unwrap().len(), 1, "{path} {infer} {role}: {both}");
            }
        }
    }
    assert_eq!(texts(&server).len(), ADDS.len() * 2 * roles.len());
}

#[tokio::test]
async fn other_names_of_roles_are_the_same_roles() {
    let server = TestServer::start().await;
    // The role that a client sends, the stored one, and whether rules extract from it and as whose words.
    for (index, (sent, stored, attributed)) in [
        ("user", "user", Some("user")),
        ("USER ", "user", Some("user")),
        ("human", "user", Some("user")),
        ("Assistant", "assistant", Some("assistant")),
        ("ai", "assistant", Some("assistant")),
        ("model", "assistant", Some("assistant")),
        ("Bot", "assistant", Some("assistant")),
        ("tool", "tool", None),
        ("Tool", "tool", None),
        ("function", "function", None),
        ("Narrator", "Narrator", Some("user")),
    ]
    .into_iter()
    .enumerate()
    {
        let message = json!([{"role": sent, "content": format!("The ferry number {index} leaves at six.")}]);
        let verbatim = add(&server, "/memories", &message, false).await;
        assert_eq!(verbatim["results"][0]["role"], stored, "{sent}");
        let id = verbatim["results"][0]["id"].as_str().unwrap();
        assert_eq!(server.get(ANA, &format!("/memories/{id}")).await.expect(200)["role"], stored, "{sent}");
        let message = json!([{"role": sent, "content": format!("The bus number {index} leaves at seven.")}]);
        let facts = add(&server, "/memories", &message, true).await;
        match attributed {
            None => assert_eq!(facts["results"], json!([]), "{sent}"),
            Some(role) => {
                let id = facts["results"][0]["id"].as_str().unwrap();
                let memory = server.get(ANA, &format!("/memories/{id}")).await.expect(200);
                assert_eq!((&memory["attributed_to"], &memory["role"]), (&json!(role), &json!(stored)), "{sent}");
            }
        }
    }
    let empty = json!({"messages": [{"role": " ", "content": "Hello there."}], "infer": false});
    server.post(ANA, "/memories", empty).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_answers_the_person_in_an_agents_loop() {
    let endpoint = Endpoint::start(|_, request| answer(request));
    let server = TestServer::with_llm(&endpoint, config()).await;
    let calls = json!([{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]);
    let asked = json!({"role": "user", "content": "Where do I live?"});
    let result = json!({"role": "tool", "tool_call_id": "c1", "content": "21 °C"});
    for path in ["/chat", "/v1/chat/completions"] {
        for call in wordless() {
            if call["role"] == "user" {
                continue;
            }
            for messages in [
                json!([call, asked]),
                json!([asked, call]),
                json!([asked, call, result]),
                json!([{"role": "Developer", "content": "Be brief."}, asked, call, result]),
                json!([{"role": "user", "content": "Hi!"}, {"role": "assistant", "tool_calls": calls}, result, asked]),
            ] {
                let body = json!({"messages": messages, "remember": false});
                let reply = server.post(ANA, path, body).await;
                assert_eq!(reply.status, 200, "{path} {messages}: {}", reply.body);
                let sent = endpoint.requests().pop().unwrap().body["messages"].clone();
                let sent = sent.as_array().unwrap();
                assert!(sent.iter().all(|message| !message["content"].as_str().unwrap().trim().is_empty()));
                assert!(sent.iter().any(|message| message["content"] == "Where do I live?"));
            }
        }
        for messages in [json!([asked, {"role": "assistant", "content": "In Lisbon."}]), json!([result]), json!([])] {
            let refused = server.post(ANA, path, json!({"messages": messages, "remember": false})).await;
            assert_eq!(refused.status, 400, "{path} {messages}");
        }
    }
}
