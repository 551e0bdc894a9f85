//! Memory ids: UUIDs as mem0 writes them, or unsigned integers as other programs write them to Qdrant.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use uuid::Uuid;

/// A text or JSON value that is not a memory id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a memory id: give a UUID or an unsigned integer")]
pub struct InvalidId(pub String);

/// The id of a memory. It is the same as the id of its point in Qdrant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryId {
    /// An unsigned integer, 0 ..= 2⁶⁴ − 1.
    Number(u64),
    /// A UUID. New memories get version 4.
    Uuid(Uuid),
}

impl MemoryId {
    /// A new random id.
    pub fn random() -> Self {
        Self::Uuid(Uuid::new_v4())
    }

    /// The id as JSON: a number, or the hyphenated UUID.
    pub fn to_value(self) -> Value {
        match self {
            Self::Number(number) => Value::from(number),
            Self::Uuid(uuid) => Value::from(uuid.to_string()),
        }
    }

    /// Reads the output of [`MemoryId::to_value`].
    ///
    /// # Errors
    /// [`InvalidId`] if the value is neither a UUID nor an unsigned integer.
    pub fn from_value(value: &Value) -> Result<Self, InvalidId> {
        match value {
            Value::String(text) => text.parse(),
            Value::Number(number) if number.is_u64() => Ok(Self::Number(number.as_u64().unwrap_or_default())),
            other => Err(InvalidId(other.to_string())),
        }
    }

    /// The 16 bytes of a UUID, or the 8 bytes of a number in big-endian order, so that numbers sort by value.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Number(number) => number.to_be_bytes().to_vec(),
            Self::Uuid(uuid) => uuid.as_bytes().to_vec(),
        }
    }

    /// Reads the output of [`MemoryId::to_bytes`]; `None` if the length is neither 8 nor 16.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok(number) = <[u8; 8]>::try_from(bytes) {
            return Some(Self::Number(u64::from_be_bytes(number)));
        }
        Uuid::from_slice(bytes).ok().map(Self::Uuid)
    }
}

impl fmt::Display for MemoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Uuid(uuid) => write!(f, "{uuid}"),
        }
    }
}

impl FromStr for MemoryId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId(text.chars().take(80).collect());
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.len() < 32 {
            return text.parse().map(Self::Number).map_err(|_| invalid());
        }
        Uuid::parse_str(text).map(Self::Uuid).map_err(|_| invalid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_as_text_json_and_bytes() {
        for text in ["0", "18446744073709551615", "00000000-0000-0000-0000-000000000001"] {
            let id: MemoryId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(MemoryId::from_value(&id.to_value()).unwrap(), id);
            assert_eq!(MemoryId::from_bytes(&id.to_bytes()), Some(id));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "-1", "18446744073709551616", "abc", "1.5", "*"] {
            assert!(text.parse::<MemoryId>().is_err(), "{text}");
        }
    }
}
