//! A memory in command output: mem0's JSON item, and parts of it as text.

use mnemon_engine::AddedMemory;
use mnemon_store::{EventKind, Memory};
use serde_json::{Map, Value, json};

/// The memory as mem0 shows it, with its session and position if it has them.
pub(crate) fn memory_to_json(memory: &Memory, score: Option<f32>) -> Value {
    let parts = memory.payload.split();
    let mut item = Map::new();
    item.insert("id".into(), memory.id.to_string().into());
    item.insert("memory".into(), memory.payload.text().into());
    item.insert("hash".into(), parts.hash.unwrap_or_default());
    let metadata = Some(parts.metadata).filter(|metadata| !metadata.is_empty());
    item.insert("metadata".into(), metadata.map(Value::Object).unwrap_or_default());
    item.insert("created_at".into(), parts.created_at.unwrap_or_default());
    item.insert("updated_at".into(), parts.updated_at.unwrap_or_default());
    if let Some(score) = score {
        item.insert("score".into(), f32_to_json(score));
    }
    item.extend(parts.promoted);
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

/// The number with as few digits as f32 needs. A conversion to f64 would add more.
pub(crate) fn f32_to_json(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// A new memory as mem0's `add` returns it.
pub(crate) fn added_to_json(added: &AddedMemory) -> Value {
    json!({
        "id": added.id.to_string(),
        "memory": added.memory,
        "event": EventKind::Add.as_str(),
        "actor_id": added.actor_id,
        "role": added.role,
    })
}

/// The day of the message, in UTC.
pub(crate) fn day(memory: &Memory) -> Option<String> {
    memory.happened_at().map(|time| time.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mnemon_store::{MemoryId, Payload, Provenance};

    fn memory(payload: Value) -> Memory {
        let Value::Object(map) = payload else { panic!("not an object") };
        Memory { id: MemoryId::Number(7), payload: Payload::new(map), provenance: Provenance::default() }
    }

    #[test]
    fn an_item_has_the_keys_of_mem0() {
        let memory = memory(json!({
            "data": "x", "hash": "h", "created_at": "t", "text_lemmatized": "x", "user_id": "u", "colour": "red"
        }));
        assert_eq!(
            memory_to_json(&memory, None),
            json!({
                "id": "7", "memory": "x", "hash": "h", "metadata": {"colour": "red"}, "created_at": "t",
                "updated_at": null, "user_id": "u"
            })
        );
    }

    #[test]
    fn unusual_payloads_are_shown_unchanged() {
        let shown = memory_to_json(&memory(json!({"data": null, "user_id": 42})), Some(0.5));
        assert_eq!((&shown["memory"], &shown["user_id"], &shown["metadata"]), (&json!(""), &json!(42), &Value::Null));
        assert_eq!(shown["score"], json!(0.5));
    }
}
