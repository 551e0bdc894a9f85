//! Answers of models in forms that the standard does not know.

use serde_json::{Value, json};

use super::{Behaviour, Case};
use crate::service::Reply;

type ChangeText = fn(&str) -> String;
type ChangeBody = fn(&mut Value);
type ChangeVectors = fn(&mut Value, &[&str]);

fn case(name: &str, behaviour: Behaviour) -> Case {
    Case { name: name.to_owned(), behaviour }
}

/// The facts of an answer.
fn texts(answer: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(answer).expect("an answer in JSON");
    let text = |fact: &Value| fact["text"].as_str().expect("a fact").to_owned();
    value["memory"].as_array().expect("a list").iter().map(text).collect()
}

/// Moves the text of an answer elsewhere.
fn move_text(body: &mut Value, change: impl FnOnce(&mut Value, String)) {
    let choice = &mut body["choices"][0];
    let text = choice["message"]["content"].as_str().unwrap_or_default().to_owned();
    change(choice, text);
}

/// Language models that answer with all facts, each in another form.
pub fn forms_of_facts() -> Vec<Case> {
    let facts = texts_with_facts().into_iter().map(|(name, change)| (name, Behaviour::Facts(change)));
    let bodies = bodies_with_facts().into_iter().map(|(name, change)| (name, Behaviour::Completion(change)));
    let raw: [(&str, ChangeText); 3] = [
        ("half a surrogate pair", |body| body.replacen('{', "{\"note\": \"\\ud83d\", ", 1)),
        ("a byte order mark", |body| format!("\u{feff}{body}")),
        ("NaN", |body| body.replacen('{', "{\"logprobs\": NaN, ", 1)),
    ];
    let raw = raw.into_iter().map(|(name, change)| (name, Behaviour::Body(change)));
    let named = |(name, behaviour)| case(&format!("facts: {name}"), behaviour);
    facts.chain(bodies).chain(raw).map(named).collect()
}

fn texts_with_facts() -> [(&'static str, ChangeText); 22] {
    [
        ("without brackets", |text| text.trim_end_matches(['}', ']']).to_owned()),
        ("in a list", |text| format!("[{text}]")),
        ("under a key", |text| format!("{{\"result\": {text}}}")),
        ("under two keys", |text| format!("{{\"output\": {{\"data\": {text}}}}}")),
        ("in a string", |text| Value::from(text).to_string()),
        ("in a string in a string", |text| Value::from(Value::from(text).to_string()).to_string()),
        ("one a line", |text| texts(text).iter().map(|fact| format!("- {fact}\n")).collect()),
        ("numbered lines", |text| texts(text).iter().zip(1..).map(|(fact, n)| format!("{n}. {fact}\n")).collect()),
        ("one object a line", |text| texts(text).iter().map(|fact| format!("{}\n", json!({"text": fact}))).collect()),
        ("curly quotes", |text| text.replace('"', "\u{201d}")),
        ("single quotes", |text| text.replace('"', "'")),
        ("a fence", |text| format!("```json\n{text}\n```")),
        ("a fence that is not closed", |text| format!("```\n{text}")),
        ("prose around it", |text| format!("Here are the facts:\n\n{text}\n\nLet me know if you need more.")),
        ("thoughts before it", |text| format!("<think>Is {{\"memory\": []}} right?</think>{text}")),
        ("thoughts that are not opened", |text| format!("Maybe []?</think>\n\n{text}")),
        ("comments", |text| format!("// facts\n{}", text.replacen('[', "[ /* all */ ", 1))),
        ("trailing commas", |text| text.replace("}]", "},]").replace("]}", "],}")),
        ("texts alone", |text| json!({"facts": texts(text)}).to_string()),
        ("nested lists", |text| json!({"memory": [texts(text)]}).to_string()),
        ("numbers among them", |text| {
            let facts = texts(text).into_iter().map(Value::from).chain([json!(42), json!(null), json!([])]);
            json!({"memory": facts.collect::<Vec<_>>()}).to_string()
        }),
        ("by number", |text| {
            let facts = texts(text).into_iter().enumerate().map(|(n, fact)| (n.to_string(), json!(fact)));
            json!({"memory": facts.collect::<serde_json::Map<_, _>>()}).to_string()
        }),
    ]
}

fn bodies_with_facts() -> [(&'static str, ChangeBody); 9] {
    [
        ("a call of a tool", |body| {
            move_text(body, |choice, text| {
                choice["finish_reason"] = "tool_calls".into();
                let function = json!({"name": "memories", "arguments": text});
                choice["message"] = json!({"content": null, "tool_calls": [{"id": "1", "function": function}]});
            });
        }),
        ("a call of a function", |body| {
            move_text(body, |choice, text| {
                choice["message"] = json!({"content": "", "function_call": {"name": "m", "arguments": text}});
            });
        }),
        ("parts", |body| {
            move_text(body, |choice, text| choice["message"]["content"] = json!([{"type": "text", "text": text}]));
        }),
        ("parts of text alone", |body| move_text(body, |choice, text| choice["message"]["content"] = json!([text]))),
        ("text of a choice", |body| {
            move_text(body, |choice, text| *choice = json!({"text": text, "finish_reason": "stop"}));
        }),
        ("as reasoning", |body| {
            move_text(body, |choice, text| choice["message"] = json!({"content": null, "reasoning_content": text}));
        }),
        ("an object as content", |body| {
            move_text(body, |choice, text| {
                if let Ok(object @ Value::Object(_)) = serde_json::from_str(&text) {
                    choice["message"]["content"] = object;
                }
            });
        }),
        ("without a reason of the end", |body| body["choices"][0]["finish_reason"] = Value::Null),
        ("an empty error", |body| (body["error"], body["choices"][0]["message"]["refusal"]) = (json!({}), Value::Null)),
    ]
}

/// Language models whose answers have no facts that can be read.
pub fn unusable_facts() -> Vec<Case> {
    let facts: [(&str, ChangeText); 3] = [
        ("prose", |_| "I would rather not.".to_owned()),
        ("numbers alone", |_| "{\"memory\": [1, 2]}".to_owned()),
        ("thoughts alone", |_| "<think>hm".to_owned()),
    ];
    let facts = facts.map(|(name, change)| case(&format!("unusable: {name}"), Behaviour::Facts(change)));
    let body = |name: &str, change: ChangeText| case(&format!("unusable: {name}"), Behaviour::Body(change));
    let others = [
        body("a page", |_| "<html><title>Welcome</title></html>".to_owned()),
        body("usage alone", |_| json!({"usage": {"prompt_tokens": 1, "completion_tokens": 1}}).to_string()),
        body("no choices", |_| json!({"choices": []}).to_string()),
    ];
    facts.into_iter().chain(others).collect()
}

/// Language models whose filter refuses a text that contains this word, in an answer with status 200.
pub fn filters(word: &'static str) -> Vec<Case> {
    [
        ("finish_reason", json!({"choices": [{"finish_reason": "content_filter", "message": {"content": ""}}]})),
        ("part of an answer", json!({"choices": [{"finish_reason": "SAFETY", "message": {"content": "{\"memo"}}]})),
        ("refusal", json!({"choices": [{"message": {"content": null, "refusal": "no"}, "finish_reason": "stop"}]})),
        ("blockReason", json!({"choices": [], "promptFeedback": {"blockReason": "SAFETY"}})),
        ("guardrail", json!({"choices": [{"finish_reason": "guardrail_intervened", "message": {"content": "no"}}]})),
        ("an error", json!({"error": {"code": 400, "message": "filtered: content management policy"}})),
        ("an error in a list", json!([{"error": {"code": 400, "message": "blocked", "status": "PROHIBITED_CONTENT"}}])),
    ]
    .into_iter()
    .map(|(name, body)| case(&format!("filter: {name}"), Behaviour::RefusedWord(word, Reply::new("200 OK", &body))))
    .collect()
}

/// Embedders that answer with all vectors in another form. Those with `odd` in their names have no usable vector for texts
/// that contain the word `forbidden`.
pub fn forms_of_vectors() -> Vec<Case> {
    let changes: [(&str, ChangeVectors); 9] = [
        ("reversed", |body, _| {
            if let Some(rows) = body["data"].as_array_mut() {
                rows.reverse();
            }
        }),
        ("without indexes", |body, _| rows(body, |row, _| row["index"] = Value::Null)),
        ("index 0 everywhere", |body, _| rows(body, |row, _| row["index"] = 0.into())),
        ("in a list", |body, _| rows(body, |row, _| row["embedding"] = json!([row["embedding"]]))),
        ("vectors alone", |body, _| {
            *body = body["data"].as_array().into_iter().flatten().map(|row| row["embedding"].clone()).collect();
        }),
        ("embeddings", |body, _| {
            let all: Value =
                body["data"].as_array().into_iter().flatten().map(|row| row["embedding"].clone()).collect();
            *body = json!({"model": "m", "embeddings": all});
        }),
        ("odd: another length", |body, texts| odd(body, texts, |vector| drop(vector.pop()))),
        ("odd: no numbers", |body, texts| odd(body, texts, Vec::clear)),
        ("odd: out of range", |body, texts| odd(body, texts, |vector| vector[0] = json!(1e99))),
    ];
    let named = |(name, change)| case(&format!("vectors: {name}"), Behaviour::Embeddings(change));
    let not_finite = [
        case("vectors: odd: null", Behaviour::NullVectors(ODD)),
        case("vectors: odd: NaN", Behaviour::NanVectors(ODD)),
    ];
    changes.into_iter().map(named).chain(not_finite).collect()
}

fn rows(body: &mut Value, mut change: impl FnMut(&mut Value, usize)) {
    let rows = body["data"].as_array_mut().into_iter().flatten();
    rows.enumerate().for_each(|(number, row)| change(row, number));
}

/// The word of texts that get an odd vector.
const ODD: &str = "forbidden";

fn odd(body: &mut Value, texts: &[&str], change: impl Fn(&mut Vec<Value>)) {
    rows(body, |row, number| {
        if texts[number].contains(ODD)
            && let Some(vector) = row["embedding"].as_array_mut()
        {
            change(vector);
        }
    });
}
