//! The lines of an export: on each a JSON object with one key, the kind of the record.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mnemon_store::{
    Entity, HistoryEvent, Link, Memory, MemoryId, Payload, Provenance, SCOPE_KEYS, Scope, SessionMessage, Sparse,
    StoredMemory,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::report::TransferCounts;
use crate::json::read_json;

/// The version of the format.
pub(super) const VERSION: u64 = 1;

/// A parsed line.
pub(super) enum Line {
    Header { embedder: String, dims: usize },
    Memory(Box<StoredMemory>),
    Entity(Box<Entity>),
    Link(Link),
    History(Box<HistoryEvent>),
    Message(Box<SessionMessage>),
    End(TransferCounts),
}

pub(super) fn header(embedder: &str, dims: usize) -> Value {
    json!({"mnemon_export": VERSION, "embedder": embedder, "dims": dims})
}

pub(super) fn memory(stored: &StoredMemory) -> Value {
    let memory = &stored.memory;
    let (indices, values): (Vec<u32>, Vec<f32>) = stored.bm25.iter().copied().unzip();
    json!({"memory": {
        "id": memory.id.to_value(),
        "session": memory.provenance.session,
        "position": memory.provenance.position,
        "event_time": memory.provenance.event_time.map(|time| time.to_string()),
        "payload": memory.payload.as_map(),
        "vector": vector_text(&stored.vector),
        "bm25": {"indices": indices, "values": values},
    }})
}

pub(super) fn entity(entity: &Entity) -> Value {
    let memories: Vec<Value> = entity.memories.iter().map(|id| id.to_value()).collect();
    json!({"entity": {
        "id": entity.id.to_value(),
        "payload": entity.payload.as_map(),
        "vector": vector_text(&entity.vector),
        "memories": memories,
    }})
}

pub(super) fn link(link: &Link) -> Value {
    json!({"link": {
        "source": link.source.to_value(),
        "target": link.target.to_value(),
        "kind": link.kind,
        "created_at": link.created_at,
    }})
}

pub(super) fn history(event: &HistoryEvent) -> Value {
    let mut line = json!({"history": event});
    for (key, id) in SCOPE_KEYS.into_iter().zip(event.scope.ids()) {
        if let Some(id) = id {
            line["history"][key] = id.into();
        }
    }
    line
}

pub(super) fn message(message: &SessionMessage) -> Value {
    json!({"message": message})
}

pub(super) fn end(counts: &TransferCounts) -> Value {
    json!({"end": {
        "memories": counts.memories,
        "entities": counts.entities,
        "links": counts.links,
        "history": counts.history,
        "messages": counts.messages,
    }})
}

/// Parses a line; the error describes the fault.
pub(super) fn parse(text: &str) -> Result<Line, String> {
    let value = read_json(text).map_err(|error| format!("invalid JSON: {error}"))?;
    let Value::Object(mut map) = value else { return Err("not a JSON object".into()) };
    if let Some(version) = map.get("mnemon_export") {
        if version.as_u64() != Some(VERSION) {
            return Err(format!("the export has format {version}; this version of Mnemon reads format {VERSION}"));
        }
        let fields = Fields(map);
        return Ok(Line::Header { embedder: fields.text("embedder")?, dims: fields.number("dims")? });
    }
    let Some(kind) = map.keys().next().cloned() else { return Err("the object is empty".into()) };
    let Some(Value::Object(fields)) = map.remove(&kind) else { return Err(format!("`{kind}` is not an object")) };
    let fields = Fields(fields);
    match kind.as_str() {
        "memory" => Ok(Line::Memory(Box::new(parse_memory(fields)?))),
        "entity" => Ok(Line::Entity(Box::new(parse_entity(fields)?))),
        "link" => Ok(Line::Link(parse_link(&fields)?)),
        "history" => Ok(Line::History(Box::new(parse_history(fields)?))),
        "message" => Ok(Line::Message(Box::new(fields.into_row()?))),
        "end" => Ok(Line::End(parse_end(&fields)?)),
        other => Err(format!("unknown kind of record `{other}`")),
    }
}

fn parse_memory(mut fields: Fields) -> Result<StoredMemory, String> {
    let position = match fields.0.get("position") {
        None | Some(Value::Null) => None,
        Some(_) => Some(fields.number("position")? as u32),
    };
    let event_time = match fields.optional("event_time")? {
        Some(time) => Some(time.parse().map_err(|_| format!("`event_time` is not a time: {time}"))?),
        None => None,
    };
    Ok(StoredMemory {
        memory: Memory {
            id: fields.id("id")?,
            provenance: Provenance { session: fields.optional("session")?, position, event_time },
            payload: fields.payload()?,
        },
        vector: fields.vector()?,
        bm25: fields.bm25()?,
    })
}

fn parse_entity(mut fields: Fields) -> Result<Entity, String> {
    Ok(Entity {
        id: fields.id("id")?,
        payload: fields.payload()?,
        vector: fields.vector()?,
        memories: fields.ids("memories")?,
    })
}

fn parse_link(fields: &Fields) -> Result<Link, String> {
    Ok(Link {
        source: fields.id("source")?,
        target: fields.id("target")?,
        kind: fields.text("kind")?,
        created_at: fields.text("created_at")?,
    })
}

fn parse_history(fields: Fields) -> Result<HistoryEvent, String> {
    let scope = Scope {
        user_id: fields.optional("user_id")?,
        agent_id: fields.optional("agent_id")?,
        run_id: fields.optional("run_id")?,
    };
    Ok(HistoryEvent { scope, ..fields.into_row()? })
}

fn parse_end(fields: &Fields) -> Result<TransferCounts, String> {
    Ok(TransferCounts {
        memories: fields.number("memories")?,
        entities: fields.number("entities")?,
        links: fields.number("links")?,
        history: fields.number("history")?,
        messages: fields.number("messages")?,
    })
}

/// The fields of a record.
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&self, key: &str) -> Result<String, String> {
        self.0.get(key).and_then(Value::as_str).map(str::to_owned).ok_or(format!("`{key}` is missing or not a text"))
    }

    fn optional(&self, key: &str) -> Result<Option<String>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.text(key).map(Some),
        }
    }

    fn number(&self, key: &str) -> Result<usize, String> {
        let number = self.0.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        number.map(|number| number as usize).ok_or(format!("`{key}` is missing or not a count"))
    }

    fn id(&self, key: &str) -> Result<MemoryId, String> {
        let value = self.0.get(key).ok_or(format!("`{key}` is missing"))?;
        MemoryId::from_value(value).map_err(|error| format!("`{key}`: {error}"))
    }

    /// A row of a table of mem0.
    fn into_row<T: DeserializeOwned>(self) -> Result<T, String> {
        let is_text = |key: &str, value: &Value| key == "is_deleted" || value.is_null() || value.is_string();
        if let Some((key, _)) = self.0.iter().find(|(key, value)| !is_text(key, value)) {
            return Err(format!("`{key}` is not a text"));
        }
        serde_json::from_value(Value::Object(self.0)).map_err(|error| error.to_string())
    }

    fn ids(&self, key: &str) -> Result<Vec<MemoryId>, String> {
        let values = self.0.get(key).and_then(Value::as_array).ok_or(format!("`{key}` is missing or not a list"))?;
        values.iter().map(|value| MemoryId::from_value(value).map_err(|error| format!("`{key}`: {error}"))).collect()
    }

    fn payload(&mut self) -> Result<Payload, String> {
        match self.0.remove("payload") {
            Some(Value::Object(map)) => Ok(Payload::new(map)),
            _ => Err("`payload` is missing or not an object".into()),
        }
    }

    fn vector(&self) -> Result<Vec<f32>, String> {
        let bytes = BASE64_STANDARD.decode(self.text("vector")?).map_err(|error| format!("`vector`: {error}"))?;
        let (values, []) = bytes.as_chunks::<4>() else { return Err("`vector` is truncated".into()) };
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }

    fn bm25(&self) -> Result<Sparse, String> {
        let list = |key: &str| self.0.get("bm25").and_then(|bm25| bm25.get(key)).and_then(Value::as_array);
        let (Some(indices), Some(values)) = (list("indices"), list("values")) else {
            return Err("`bm25` is missing".into());
        };
        if indices.len() != values.len() {
            return Err("`bm25` has different numbers of indices and values".into());
        }
        let pair = |(index, value): (&Value, &Value)| {
            let index = index.as_u64().and_then(|index| u32::try_from(index).ok())?;
            Some((index, value.as_f64()? as f32))
        };
        indices
            .iter()
            .zip(values)
            .map(pair)
            .collect::<Option<_>>()
            .ok_or("`bm25` has items that are not numbers".into())
    }
}

/// A vector as base64 of its numbers in little endian.
fn vector_text(vector: &[f32]) -> String {
    BASE64_STANDARD.encode(vector.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}
