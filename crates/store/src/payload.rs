//! What mem0 stores beside a vector: a JSON object whose known keys have typed readers and whose others are kept as they are.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::Scope;

/// Keys of a payload that the product reads or writes itself; all others are the caller's metadata.
pub mod keys {
    /// The text of the memory.
    pub const DATA: &str = "data";
    /// MD5 of the text, in hex.
    pub const HASH: &str = "hash";
    /// When the memory was stored, RFC 3339.
    pub const CREATED_AT: &str = "created_at";
    /// When it was last changed, RFC 3339.
    pub const UPDATED_AT: &str = "updated_at";
    /// Who spoke, by name.
    pub const ACTOR_ID: &str = "actor_id";
    /// The message's role: `user`, `assistant`, ….
    pub const ROLE: &str = "role";
    /// Space-joined lemmas: the input of the stored `bm25` vector.
    pub const TEXT_LEMMATIZED: &str = "text_lemmatized";
    /// Whose statement an extracted fact is: `user` or `assistant`.
    pub const ATTRIBUTED_TO: &str = "attributed_to";
    /// `procedural_memory`, or absent.
    pub const MEMORY_TYPE: &str = "memory_type";
    /// The last day the memory is shown, `YYYY-MM-DD`.
    pub const EXPIRATION_DATE: &str = "expiration_date";
    /// Ids of the messages that a fact was extracted from.
    pub const SOURCE_MESSAGES: &str = "source_messages";
}

/// Every key that [`Payload::metadata`] leaves out.
pub const RESERVED_KEYS: [&str; 14] = [
    keys::DATA,
    keys::HASH,
    keys::CREATED_AT,
    keys::UPDATED_AT,
    "user_id",
    "agent_id",
    "run_id",
    keys::ACTOR_ID,
    keys::ROLE,
    keys::TEXT_LEMMATIZED,
    keys::ATTRIBUTED_TO,
    keys::MEMORY_TYPE,
    keys::EXPIRATION_DATE,
    keys::SOURCE_MESSAGES,
];

/// A payload as it lies in the store. Reading never changes it: odd values of legacy writers survive as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload(Map<String, Value>);

impl Payload {
    /// Takes a JSON object as a payload.
    pub fn new(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// The JSON object.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The JSON object, by value.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// A string value, if the key holds one.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    /// Sets a key; a new key goes last.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Removes a key, keeping the order of the others.
    pub fn remove(&mut self, key: &str) {
        self.0.shift_remove(key);
    }

    /// The memory's text; empty where a legacy point has none.
    pub fn text(&self) -> &str {
        self.str(keys::DATA).unwrap_or_default()
    }

    /// The owner. Scope values that are not strings (a legacy oddity) own nothing.
    pub fn scope(&self) -> Scope {
        let id = |key| self.str(key).map(str::to_owned);
        Scope { user_id: id("user_id"), agent_id: id("agent_id"), run_id: id("run_id") }
    }

    /// Who spoke, if known by name.
    pub fn actor(&self) -> Option<&str> {
        self.str(keys::ACTOR_ID).filter(|name| !name.is_empty())
    }

    /// The message's role.
    pub fn role(&self) -> Option<&str> {
        self.str(keys::ROLE)
    }

    /// When it was stored; `None` where the value does not parse.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.str(keys::CREATED_AT).and_then(parse_time)
    }

    /// The last day the memory is shown; `None` where there is none or it does not parse.
    pub fn expiration_date(&self) -> Option<Date> {
        self.str(keys::EXPIRATION_DATE).and_then(|text| text.trim().parse().ok())
    }

    /// The caller's own keys.
    pub fn metadata(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().filter(|(key, _)| !RESERVED_KEYS.contains(&key.as_str()))
    }
}

/// Reads RFC 3339, with a space or a `T`; a time without offset is UTC, a bare date its first instant.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_instants() {
        let noon: Timestamp = "2024-05-01T12:00:00Z".parse().unwrap();
        for text in ["2024-05-01T12:00:00", "2024-05-01 05:00:00-07:00", " 2024-05-01T12:00:00+00:00 "] {
            assert_eq!(parse_time(text), Some(noon), "{text}");
        }
        assert!(parse_time("2024-05-01").is_some());
        assert_eq!(parse_time("yesterday"), None);
    }

    #[test]
    fn odd_values_are_read_as_absent_and_kept() {
        let Value::Object(map) = serde_json::json!({"data": null, "user_id": 42, "x": {"a": 1}}) else { panic!() };
        let payload = Payload::new(map.clone());
        assert_eq!(payload.text(), "");
        assert!(payload.scope().is_empty());
        assert_eq!(payload.metadata().count(), 1);
        assert_eq!(payload.into_map(), map);
    }
}
