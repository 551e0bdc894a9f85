//! Tests of messages.

use serde_json::json;

use super::*;

fn defaults() -> Message {
    Message { name: Some("Ana".into()), ..Message::default() }
}

fn message(content: &str) -> Message {
    Message { content: content.into(), ..defaults() }
}

#[test]
fn all_forms_of_a_list_are_read() {
    let spoken = json!({"role": "assistant", "content": "b", "name": "Bot", "timestamp": 0});
    let b = Message {
        role: Role::Assistant,
        content: "b".into(),
        name: Some("Bot".into()),
        timestamp: Some(Timestamp::UNIX_EPOCH),
        unread_parts: 0,
    };
    let forms = [
        (json!("a"), vec![message("a")]),
        (json!({"content": "a"}), vec![message("a")]),
        (spoken.clone(), vec![b.clone()]),
        (json!([]), vec![]),
        (json!(["a", spoken, {"content": "c", "role": null}]), vec![message("a"), b, message("c")]),
        (json!([{"content": [{"text": "a"}, {"type": "text", "text": "b"}]}]), vec![message("a\nb")]),
        (json!({"content": "\u{feff}a"}), vec![message("a")]),
        (json!("\u{feff}a"), vec![message("a")]),
    ];
    for (form, expected) in forms {
        assert_eq!(Message::list_from_json(&form, &defaults()).as_ref(), Ok(&expected), "{form}");
        let wrapped = json!({"messages": form, "timestamp": "ignored"});
        assert_eq!(Message::list_from_json(&wrapped, &defaults()).as_ref(), Ok(&expected), "{wrapped}");
    }
}

#[test]
fn messages_without_words_are_read_and_say_so() {
    let call = json!([{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}});
    // The message, its text, and the number of parts that are not read.
    for (value, text, unread) in [
        (json!({"role": "assistant", "tool_calls": call}), "", 1),
        (json!({"role": "assistant", "content": null, "tool_calls": call}), "", 1),
        (json!({"role": "assistant", "content": "", "tool_calls": call}), "", 1),
        (json!({"role": "assistant", "content": [], "tool_calls": call}), "", 1),
        (json!({"role": "assistant", "content": "Let me look.", "tool_calls": call}), "Let me look.", 1),
        (json!({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}), "", 1),
        (json!({"role": "assistant", "content": "a", "tool_calls": null, "function_call": null}), "a", 0),
        (json!({"role": "assistant", "content": "a", "tool_calls": []}), "a", 0),
        (json!({"role": "assistant", "content": null}), "", 1),
        (json!({"role": "assistant", "content": null, "audio": {"id": "a1"}}), "", 1),
        (json!({"role": "assistant", "content": null, "refusal": "I can't."}), "I can't.", 0),
        (json!({"role": "assistant", "refusal": "I can't."}), "I can't.", 0),
        (json!({"role": "tool", "tool_call_id": "c1", "content": "21 °C"}), "21 °C", 0),
        (json!({"role": "tool", "tool_call_id": "c1"}), "", 1),
        (json!({"content": [image, {"type": "text", "text": "my cat"}]}), "my cat", 1),
        (json!({"content": [image]}), "", 1),
        (json!({"content": image}), "", 1),
        (json!({"content": [{"type": "input_text", "text": "a"}, {"type": "input_image"}]}), "a", 1),
        (json!({"content": ["a", {"type": "output_text", "text": "b", "annotations": []}]}), "a\nb", 0),
        (json!({"content": [{"type": "text", "text": {"value": "a", "annotations": []}}]}), "a", 0),
        (json!({"content": [{"type": "refusal", "refusal": "I can't."}]}), "I can't.", 0),
        (json!({"content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]}), "", 1),
        (json!({"content": [{"type": "tool_result", "tool_use_id": "c1", "content": []}]}), "", 1),
        (json!({"content": [{"type": "tool_result", "content": [{"type": "image", "source": {}}]}]}), "", 1),
        (json!({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}]}), "a", 1),
        (json!({"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "a"}]}), "a", 1),
        (json!({"content": [{"type": "tool-call", "toolName": "f"}, {"type": "tool-result"}]}), "", 2),
        (json!({"content": [{"toolUse": {"toolUseId": "c1", "input": {}}}]}), "", 1),
        (json!({"content": {}, "tool_calls": call}), "", 1),
        (json!({"content": false, "tool_calls": call}), "", 1),
        (json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}), "", 1),
        (json!({"role": "user", "parts": [{"text": "I ski."}, {"inlineData": {"data": ""}}]}), "I ski.", 1),
        (json!({"role": "assistant", "content": "", "parts": [{"type": "step-start"}]}), "", 1),
        (json!({"role": "assistant", "content": "a", "parts": [{"type": "text", "text": "a"}]}), "a", 0),
        (json!({"role": "model", "parts": [{"text": "hm", "thought": true}, {"text": "a"}]}), "a", 1),
        (json!({"content": [{"type": "text", "content": "a"}]}), "a", 0),
        (json!({"type": "function_call", "name": "f", "arguments": "{}", "call_id": "1"}), "", 1),
        (json!({"type": "function_call_output", "call_id": "1", "output": [{"type": "input_image"}]}), "", 1),
        (json!({"type": "reasoning", "id": "r1", "summary": []}), "", 1),
        (json!({"type": "web_search_call", "id": "w1", "status": "completed"}), "", 1),
        (json!({"type": "item_reference", "id": "m1"}), "", 1),
        (json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}), "a", 0),
        (json!({"content": [{"type": "input_audio", "input_audio": {"data": ""}}, {"type": "file"}]}), "", 2),
        (json!({"content": "a", "images": ["aGk="]}), "a", 1),
        (json!({"content": null}), "", 1),
        (json!({"content": []}), "", 1),
    ] {
        let read = Message::list_from_json(&json!([value]), &Message::default()).unwrap().remove(0);
        assert_eq!((read.content.as_str(), read.unread_parts), (text, unread), "{value}");
        assert_eq!(read.is_wordless(), text.is_empty(), "{value}");
    }
    let empty = |role: Role| Message { role, ..Message::default() };
    assert!(!empty(Role::User).is_wordless() && empty(Role::Assistant).is_wordless());
}

#[test]
fn what_tools_answered_is_a_message_of_the_tool() {
    let result = |content: Value| json!({"type": "tool_result", "tool_use_id": "c1", "content": content});
    let text = |text: &str| json!({"type": "text", "text": text});
    for (value, expected) in [
        (json!({"role": "user", "content": [result(json!("21"))]}), vec![("tool", "21", 0)]),
        (json!({"role": "user", "content": [result(json!([text("a"), text("b")]))]}), vec![("tool", "a\nb", 0)]),
        (
            json!({"role": "user", "content": [result(json!([text("a"), {"type": "image"}])), text("Thanks!")]}),
            vec![("tool", "a", 0), ("user", "Thanks!", 0)],
        ),
        (
            json!({"role": "assistant", "content": [text("Look:"), result(json!("21")), {"type": "image"}]}),
            vec![("assistant", "Look:", 1), ("tool", "21", 0)],
        ),
        (json!({"content": [{"type": "tool-result", "result": "21"}]}), vec![("tool", "21", 0)]),
        (json!({"content": [{"type": "tool-result", "text": "21"}]}), vec![("tool", "21", 0)]),
        (
            json!({"role": "tool", "content": [{"type": "tool-result", "output": {"type": "text", "value": "21"}}]}),
            vec![("tool", "21", 0)],
        ),
        (
            json!({"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "21"}]}}]}),
            vec![("tool", "21", 0)],
        ),
        (
            json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "21"}}}]}),
            vec![("tool", "21", 0)],
        ),
        (json!({"type": "function_call_output", "call_id": "1", "output": "21"}), vec![("tool", "21", 0)]),
        (
            json!({"type": "function_call_output", "output": [{"type": "output_text", "text": "21"}]}),
            vec![("tool", "21", 0)],
        ),
        (
            json!({"role": "assistant", "parts": [text("Look:"), {"type": "tool-weather", "output": "21"}]}),
            vec![("assistant", "Look:", 0), ("tool", "21", 0)],
        ),
    ] {
        let read = Message::list_from_json(&json!([value]), &Message::default()).unwrap();
        let read: Vec<_> = read.iter().map(|one| (one.role.as_str(), one.content.as_str(), one.unread_parts)).collect();
        assert_eq!(read, expected, "{value}");
    }
}

#[test]
fn a_kind_of_message_names_its_role() {
    for (value, role) in [
        (json!({"type": "human", "content": "a"}), "user"),
        (json!({"type": "ai", "content": "a"}), "assistant"),
        (json!({"type": "AI", "content": "a"}), "assistant"),
        (json!({"type": "system", "content": "a"}), "system"),
        (json!({"type": "developer", "content": "a"}), "system"),
        (json!({"type": "tool", "tool_call_id": "c1", "content": "a"}), "tool"),
        (json!({"type": "function", "name": "f", "content": "a"}), "function"),
        (json!({"type": "HumanMessage", "content": "a"}), "user"),
        (json!({"type": "AIMessageChunk", "content": "a"}), "assistant"),
        (json!({"type": "SystemMessage", "content": "a"}), "system"),
        (json!({"type": "ai", "data": {"content": "a", "type": "ai"}}), "assistant"),
        (json!({"type": "human", "data": {"content": "a"}}), "user"),
        (json!({"lc": 1, "type": "constructor", "id": ["x", "AIMessage"], "kwargs": {"content": "a"}}), "assistant"),
        (json!({"lc": 1, "type": "constructor", "id": ["x", "SystemMessage"], "kwargs": {"content": "a"}}), "system"),
        // The role counts where both are given.
        (json!({"type": "chat", "role": "assistant", "content": "a"}), "assistant"),
        (json!({"type": "human", "role": "system", "content": "a"}), "system"),
        (json!({"type": "message", "role": "assistant", "content": "a"}), "assistant"),
        (json!({"type": "message", "content": "a"}), "user"),
        (json!({"type": "generic", "content": "a"}), "user"),
        (json!({"type": "Message", "content": "a"}), "user"),
    ] {
        let read = Message::list_from_json(&value, &Message::default()).unwrap().remove(0);
        assert_eq!((read.role.as_str(), read.content.as_str()), (role, "a"), "{value}");
    }
    let call = json!({"type": "ai", "content": "", "tool_calls": [{"name": "f"}]});
    let read = Message::list_from_json(&call, &Message::default()).unwrap().remove(0);
    assert!(read.is_wordless() && read.role == Role::Assistant);
}

#[test]
fn errors_name_the_place_of_the_fault() {
    let faults = [
        (json!(7), ""),
        (json!(null), ""),
        (json!({}), ".content"),
        (json!({"role": "tool"}), ".content"),
        (json!({"content": 1}), ".content"),
        (json!({"content": [{"image": "…"}]}), ".content"),
        (json!({"content": [{"text": 1}]}), ".content"),
        (json!({"type": "message", "role": "user"}), ".content"),
        (json!({"type": "human"}), ".content"),
        (json!({"type": "text", "text": "a"}), ".content"),
        (json!({"content": "x", "role": 7}), ".role"),
        (json!({"content": "x", "name": ["n"]}), ".name"),
        (json!({"content": "x", "timestamp": "soon"}), ".timestamp"),
        (json!({"content": "x", "timestamp": {}}), ".timestamp"),
    ];
    for (fault, field) in faults {
        let lists = [
            (fault.clone(), format!("messages{field}: ")),
            (json!(["a", {"content": "b"}, fault]), format!("messages[2]{field}: ")),
        ];
        for (list, place) in lists {
            for form in [list.clone(), json!({"messages": list})] {
                let error = Message::list_from_json(&form, &defaults()).unwrap_err();
                assert!(error.starts_with(&place), "{form}: {error}");
            }
        }
    }
    // A list inside a list is not a message.
    assert!(Message::list_from_json(&json!([["a"]]), &defaults()).unwrap_err().starts_with("messages[0]: "));
    let nested = json!({"messages": {"messages": ["a"]}});
    assert!(Message::list_from_json(&nested, &defaults()).unwrap_err().starts_with("messages.content: "));
}
