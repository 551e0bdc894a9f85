//! Answers of a language model that was asked for facts.

use serde_json::{Value, json};

use crate::service::{ReceivedRequest, Reply};

/// Answers a prompt of an extraction: each new message is a fact. `None` for another prompt.
pub fn echo_facts(request: &ReceivedRequest) -> Option<Reply> {
    let texts = request.all_texts();
    let section = texts.iter().rev().find_map(|text| Some(text.rsplit_once("## New Messages\n")?.1))?;
    let messages: Vec<Value> = serde_json::from_str(section.split("\n\n## ").next()?).ok()?;
    let facts: Vec<Value> = messages.iter().map(|message| json!({"text": message["content"]})).collect();
    Some(Reply::chat(request, &json!({"memory": facts}).to_string()))
}
