//! The payload of a memory: a JSON object in the format of mem0. Known keys have typed readers, other keys are kept unchanged.

pub mod keys;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::Scope;
use crate::filter::Instant;

/// Reserved keys that are shown beside the metadata, in this order.
const PROMOTED_KEYS: [&str; 14] = [
    "user_id",
    "agent_id",
    "run_id",
    keys::ACTOR_ID,
    keys::ROLE,
    keys::ATTRIBUTED_TO,
    keys::EXPIRATION_DATE,
    keys::SOURCE_MESSAGES,
    keys::MEMORY_TYPE,
    keys::VECTOR_PIECES,
    keys::VECTOR_LEFT_OUT,
    keys::APP_ID,
    keys::CATEGORIES,
    keys::STRUCTURED_ATTRIBUTES,
];
/// The start of keys whose field has the rest as its name.
const PREFIX: &str = "mnemon_";
/// Reserved keys that every format shows in its own way, or not at all.
const INTERNAL_KEYS: [&str; 7] =
    [keys::DATA, keys::HASH, keys::CREATED_AT, keys::UPDATED_AT, keys::ID, keys::TEXT_LEMMATIZED, keys::IMMUTABLE];

/// The keys that are not metadata.
pub fn reserved_keys() -> impl Iterator<Item = &'static str> {
    PROMOTED_KEYS.into_iter().chain(INTERNAL_KEYS)
}

/// Whether a key is one of [`reserved_keys`]: a caller can't set it as metadata.
pub fn is_reserved_key(key: &str) -> bool {
    PROMOTED_KEYS.contains(&key) || INTERNAL_KEYS.contains(&key)
}

/// A payload in the parts that are shown to callers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PayloadParts {
    /// The stored hash of the text.
    pub hash: Option<Value>,
    /// When the memory was stored; a number in the payload is shown as a time.
    pub created_at: Option<Value>,
    /// When it was last changed; a number in the payload is shown as a time.
    pub updated_at: Option<Value>,
    /// Reserved keys that are shown beside the metadata, if the payload has them: owner, speaker, `attributed_to`,
    /// `expiration_date`, `source_messages`, `memory_type`, and `app_id`, `categories` and `structured_attributes` under these
    /// names. Values of legacy writers are unchanged.
    pub promoted: Map<String, Value>,
    /// The caller's metadata. An update accepts it as it is.
    pub metadata: Map<String, Value>,
}

/// A payload as stored. Reading never changes it: unusual values of legacy writers are kept unchanged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload(Map<String, Value>);

impl Payload {
    /// Makes a payload of a JSON object.
    pub fn new(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// The JSON object.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Returns the JSON object by value.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// The value of a key, if it is a string.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(Value::as_str)
    }

    /// Sets a key. A new key is added at the end.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Removes a key. The order of the other keys does not change.
    pub fn remove(&mut self, key: &str) {
        self.0.shift_remove(key);
    }

    /// The text of the memory; empty if a legacy point has none.
    pub fn text(&self) -> &str {
        self.str(keys::DATA).unwrap_or_default()
    }

    /// The owner. Scope values that are not strings (some legacy points have them) are ignored.
    pub fn scope(&self) -> Scope {
        let id = |key| self.str(key).map(str::to_owned);
        Scope { user_id: id("user_id"), agent_id: id("agent_id"), run_id: id("run_id") }
    }

    /// The name of the speaker, if it is known.
    pub fn actor(&self) -> Option<&str> {
        self.str(keys::ACTOR_ID).filter(|name| !name.is_empty())
    }

    /// The role of the message.
    pub fn role(&self) -> Option<&str> {
        self.str(keys::ROLE)
    }

    /// The speaker: the name if it is known, else the role.
    pub fn speaker(&self) -> Option<&str> {
        self.actor().or_else(|| self.role())
    }

    /// When the memory was stored; `None` if the value is missing or invalid.
    pub fn created_at(&self) -> Option<Timestamp> {
        match self.0.get(keys::CREATED_AT)? {
            Value::String(text) if parse_time(text).is_some() => parse_time(text),
            value => Instant::of_stored(value)?.timestamp(),
        }
    }

    /// The time under a key as it is shown: numbers since 1970, which some programs write, as RFC 3339, other values
    /// unchanged.
    pub fn shown_time(&self, key: &str) -> Option<Value> {
        let value = self.0.get(key)?;
        let is_number = value.is_number() || value.as_str().is_some_and(|text| Instant::parse(text).is_none());
        let time = Instant::of_stored(value).filter(|_| is_number).and_then(Instant::timestamp);
        Some(time.map_or_else(|| value.clone(), |time| time_text(time).into()))
    }

    /// The last day on which the memory is visible; `None` if the value is missing or invalid.
    pub fn expiration_date(&self) -> Option<Date> {
        // jiff's parser of dates would accept a time and drop its offset.
        self.str(keys::EXPIRATION_DATE)
            .and_then(|text| if text.contains(':') { parse_day(text) } else { text.trim().parse().ok() })
    }

    /// Whether the memory expired before `today`.
    pub fn is_expired(&self, today: Date) -> bool {
        self.expiration_date().is_some_and(|last| last < today)
    }

    /// Whether surfaces refuse changes of the memory.
    pub fn is_immutable(&self) -> bool {
        self.0.get(keys::IMMUTABLE) == Some(&Value::Bool(true))
    }

    /// The caller's metadata: all keys without [`reserved_keys`].
    pub fn metadata(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0.iter().filter(|(key, _)| !is_reserved_key(key))
    }

    /// Records how the text was embedded: of how many pieces the vector is the mean, and how many were left out.
    pub fn set_embedded(&mut self, pieces: usize, left_out: usize) {
        self.remove(keys::VECTOR_PIECES);
        self.remove(keys::VECTOR_LEFT_OUT);
        if (pieces, left_out) != (1, 0) {
            self.set(keys::VECTOR_PIECES, pieces);
        }
        if left_out > 0 {
            self.set(keys::VECTOR_LEFT_OUT, left_out);
        }
    }

    /// Takes the record of [`set_embedded`](Self::set_embedded) over from another payload.
    pub fn copy_embedded(&mut self, other: &Self) {
        for key in [keys::VECTOR_PIECES, keys::VECTOR_LEFT_OUT] {
            self.remove(key);
            if let Some(value) = other.0.get(key) {
                self.set(key, value.clone());
            }
        }
    }

    /// The payload without the record of [`set_embedded`](Self::set_embedded), which depends on the embedder.
    #[must_use]
    pub fn without_embedded(mut self) -> Self {
        self.set_embedded(1, 0);
        self
    }

    /// Replaces the caller's metadata. `metadata` must have none of [`reserved_keys`].
    pub fn set_metadata(&mut self, metadata: Map<String, Value>) {
        self.0.retain(|key, _| is_reserved_key(key));
        self.0.extend(metadata);
    }

    /// The parts that are shown to callers, besides the text.
    pub fn split(&self) -> PayloadParts {
        let value = |key: &str| self.0.get(key).cloned();
        PayloadParts {
            hash: value(keys::HASH),
            created_at: self.shown_time(keys::CREATED_AT),
            updated_at: self.shown_time(keys::UPDATED_AT),
            promoted: PROMOTED_KEYS.iter().filter_map(|key| Some((field_name(key).to_owned(), value(key)?))).collect(),
            metadata: self.metadata().map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// The name under which a promoted key is shown.
fn field_name(key: &str) -> &str {
    key.strip_prefix(PREFIX).unwrap_or(key)
}

/// A time in mem0's notation: RFC 3339 in UTC with microseconds and a numeric offset.
pub fn time_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string()
}

/// Reads an RFC 3339 time, with a space or a `T` before the time of day. A time without an offset is UTC; a date without a
/// time is its first instant.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Reads a day: `YYYY-MM-DD`, or a time, of which it is the day in UTC.
pub fn parse_day(text: &str) -> Option<Date> {
    Instant::parse(text).map(Instant::day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_its_day_in_utc() {
        let day = jiff::civil::date(2030, 1, 31);
        for text in [
            "2030-01-31",
            " 2030-01-31 ",
            "2030-01-31T23:59:59Z",
            "2030-01-31 12:00:00.5",
            "2030-01-31T00:00:00.000Z",
            "2030-01-31T00:00:00+00:00",
            "2030-02-01T01:00:00+02:00",
            "2030-01-30T20:00:00-05:00",
            "2030-01-31t23:59:59z",
            "2030-01-31 23:59:59z",
            "2030-01-31T10:00Z",
            "2030-01-31T10:00:00+0000",
            "2030-02-01T00:30:00+01",
            "\t2030-01-31T10:00:00Z\n",
        ] {
            assert_eq!(parse_day(text), Some(day), "{text}");
            let mut payload = Payload::default();
            payload.set(keys::EXPIRATION_DATE, text);
            assert_eq!(payload.expiration_date(), Some(day), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "2030-02-30",
            "20300131",
            "1900000000",
            "2030-13-01",
            "2030-1-31",
            "2030-W05-4",
            "2030W054",
            "2030-031",
            "31.01.2030",
            "01/31/2030",
            "2030-01",
            "2030-01-31T25:00:00Z",
            "2030-01-31T10:00:00X",
            "2030-01-31Z10",
            "2030-01-31 2030-01-31",
        ] {
            assert_eq!(parse_day(text), None, "{text}");
        }
        let payload = |text: &str| Payload::new([("expiration_date".to_owned(), text.into())].into_iter().collect());
        assert_eq!(payload("2030-01-31T10:00:00Z").expiration_date(), Some(day));
    }

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
    fn numbers_are_shown_as_times_and_other_values_unchanged() {
        use serde_json::json;
        let shown = "2024-07-21T15:33:20.000000+00:00";
        for (value, expected) in [
            (json!(1_721_576_000), json!(shown)),
            (json!(1_721_576_000.0), json!(shown)),
            (json!(1_721_576_000_000_u64), json!(shown)),
            (json!(1_721_576_000_000_000_u64), json!(shown)),
            (json!("1721576000"), json!(shown)),
            (json!(" 1721576000000 "), json!(shown)),
            (json!(1_721_576_000.25), json!("2024-07-21T15:33:20.250000+00:00")),
            (json!("2024-07-21T15:33:20Z"), json!("2024-07-21T15:33:20Z")),
            (json!("2024-07-21"), json!("2024-07-21")),
            (json!("yesterday"), json!("yesterday")),
            (json!("20240721"), json!("20240721")),
            (json!(1e300), json!(1e300)),
            (json!(null), json!(null)),
            (json!([1_721_576_000]), json!([1_721_576_000])),
        ] {
            let mut payload = Payload::default();
            payload.set(keys::CREATED_AT, value.clone());
            assert_eq!(payload.split().created_at, Some(expected.clone()), "{value}");
            let is_time = expected.as_str().is_some_and(|text| parse_time(text).is_some());
            assert_eq!(payload.created_at().is_some(), is_time, "{value}");
            assert_eq!(payload.as_map()[keys::CREATED_AT], value, "reading changes nothing");
        }
    }

    #[test]
    fn values_of_other_types_read_as_absent_and_are_kept() {
        let Value::Object(map) = serde_json::json!({"data": null, "user_id": 42, "x": {"a": 1}}) else { panic!() };
        let payload = Payload::new(map.clone());
        assert_eq!(payload.text(), "");
        assert!(payload.scope().is_empty());
        assert_eq!(payload.metadata().count(), 1);
        assert_eq!(payload.into_map(), map);
    }

    #[test]
    fn each_key_is_in_one_part() {
        let mut payload = Payload::default();
        payload.set("colour", "red");
        for key in reserved_keys() {
            payload.set(key, 7);
        }
        payload.set("metadata", serde_json::json!({"data": 1}));
        let parts = payload.split();
        assert_eq!(parts.metadata.keys().collect::<Vec<_>>(), ["colour", "metadata"]);
        assert_eq!(parts.promoted.keys().collect::<Vec<_>>(), PROMOTED_KEYS.map(field_name));
        let time = Some(Value::from("1970-01-01T00:00:07.000000+00:00"));
        assert_eq!((&parts.hash, &parts.created_at, &parts.updated_at), (&Some(Value::from(7)), &time, &time));
        assert_eq!(Payload::default().split(), PayloadParts::default());
    }

    #[test]
    fn a_text_that_was_embedded_as_a_whole_has_no_record() {
        let mut payload = Payload::default();
        payload.set("colour", "red");
        let whole = payload.clone();
        for (pieces, left_out, expected) in [
            (3, 0, r#"{"colour":"red","vector_pieces":3}"#),
            (0, 2, r#"{"colour":"red","vector_pieces":0,"vector_left_out":2}"#),
        ] {
            payload.set_embedded(pieces, left_out);
            assert_eq!(serde_json::to_string(payload.as_map()).unwrap(), expected);
            assert_eq!(payload.clone().without_embedded(), whole);
        }
        payload.set_embedded(1, 0);
        assert_eq!(payload, whole);
    }

    #[test]
    fn new_metadata_replaces_only_the_keys_of_the_caller() {
        let mut payload = Payload::default();
        for key in reserved_keys().chain(["colour"]) {
            payload.set(key, 7);
        }
        payload.set_metadata(Map::from_iter([("size".to_owned(), Value::from(1))]));
        assert_eq!(payload.metadata().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["size"]);
        assert!(reserved_keys().all(|key| payload.as_map()[key] == 7));
    }
}
