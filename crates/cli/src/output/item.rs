//! A memory as the command line shows it: mem0's item, and in words who said it and when.

use mnemon_engine::Added;
use mnemon_store::{Memory, Payload, keys};
use serde_json::{Map, Value, json};

/// Keys of a payload that stand beside the text, where they are there.
const PROMOTED: [&str; 7] =
    ["user_id", "agent_id", "run_id", keys::ACTOR_ID, keys::ROLE, keys::ATTRIBUTED_TO, keys::EXPIRATION_DATE];
/// Keys that are shown under another name or not at all.
const HIDDEN: [&str; 6] = [keys::DATA, keys::HASH, keys::CREATED_AT, keys::UPDATED_AT, "id", keys::TEXT_LEMMATIZED];

/// A memory as mem0 shows it, with its place in a conversation where it has one.
pub(crate) fn item(memory: &Memory, score: Option<f32>) -> Value {
    let payload = memory.payload.as_map();
    let stored = |key: &str| payload.get(key).cloned().unwrap_or(Value::Null);
    let mut item = Map::new();
    item.insert("id".into(), memory.id.to_string().into());
    item.insert("memory".into(), memory.payload.text().into());
    item.insert("hash".into(), stored(keys::HASH));
    item.insert("metadata".into(), metadata(&memory.payload));
    item.insert("created_at".into(), stored(keys::CREATED_AT));
    item.insert("updated_at".into(), stored(keys::UPDATED_AT));
    if let Some(score) = score {
        item.insert("score".into(), number(score));
    }
    for key in PROMOTED {
        if let Some(value) = payload.get(key) {
            item.insert(key.into(), value.clone());
        }
    }
    let provenance = &memory.provenance;
    if let Some(session) = &provenance.session {
        item.insert("session".into(), session.as_str().into());
    }
    if let Some(position) = provenance.position {
        item.insert("position".into(), position.into());
    }
    if let Some(time) = provenance.event_time {
        item.insert("event_time".into(), time.to_string().into());
    }
    Value::Object(item)
}

fn metadata(payload: &Payload) -> Value {
    let own = payload.as_map().iter();
    let own = own.filter(|(key, _)| !PROMOTED.contains(&key.as_str()) && !HIDDEN.contains(&key.as_str()));
    let own: Map<String, Value> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    if own.is_empty() { Value::Null } else { Value::Object(own) }
}

/// A number with the digits it has, not those that widening it would add.
pub(crate) fn number(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// A stored memory as mem0's `add` answers.
pub(crate) fn added_item(added: &AddedMemory) -> Value {
    json!({
        "id": added.id.to_string(),
        "memory": added.memory,
        "event": "ADD",
        "actor_id": added.actor_id,
        "role": added.role,
    })
}

/// Who spoke: the name, else the role.
pub(crate) fn who(memory: &Memory) -> Option<&str> {
    memory.payload.actor().or_else(|| memory.payload.role())
}

/// The day it was said, in UTC.
pub(crate) fn when(memory: &Memory) -> Option<String> {
    memory.happened_at().map(|time| time.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mnemon_store::{MemoryId, Provenance};

    fn memory(payload: Value) -> Memory {
        let Value::Object(map) = payload else { panic!("no object") };
        Memory { id: MemoryId::Number(7), payload: Payload::new(map), provenance: Provenance::default() }
    }

    #[test]
    fn an_item_has_the_keys_of_mem0() {
        let memory = memory(json!({
            "data": "x", "hash": "h", "created_at": "t", "text_lemmatized": "x", "user_id": "u", "colour": "red"
        }));
        assert_eq!(
            item(&memory, None),
            json!({
                "id": "7", "memory": "x", "hash": "h", "metadata": {"colour": "red"}, "created_at": "t",
                "updated_at": null, "user_id": "u"
            })
        );
    }

    #[test]
    fn what_old_writers_left_is_shown_as_it_is() {
        let shown = item(&memory(json!({"data": null, "user_id": 42})), Some(0.5));
        assert_eq!((&shown["memory"], &shown["user_id"], &shown["metadata"]), (&json!(""), &json!(42), &Value::Null));
        assert_eq!(shown["score"], json!(0.5));
    }
}
