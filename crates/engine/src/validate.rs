//! Limits that texts, payloads and metadata must keep.

use mnemon_store::filter::is_filter_word;
use mnemon_store::{Filter, Payload, SCOPE_KEYS, is_blank, is_reserved_key};
use serde_json::{Map, Value};

use crate::config::MAX_TEXT_BYTES;
use crate::error::{EngineError, Result};

/// Maximum nesting of lists and objects in a payload. JSON parsers, ours included, stop at 128 levels, and a payload must
/// stay readable inside a request or an export.
const MAX_DEPTH: usize = 100;
/// Maximum size of metadata as JSON, in bytes. Each message of a request gets a copy, and each page of a list repeats it.
const MAX_METADATA_BYTES: usize = 64 << 10;

/// Checks that a text is neither blank nor too long.
pub(crate) fn check_text(text: &str) -> Result<(), String> {
    if is_blank(text) {
        return Err("is empty".into());
    }
    check_length(text)
}

/// Checks that a filter does not require two different values of one scope id at once. Such a filter matches nothing, so it
/// is a mistake.
pub(crate) fn check_owners(filter: &Filter) -> Result<()> {
    for key in SCOPE_KEYS {
        if let Some([first, second]) = filter.conflict(key) {
            return Err(EngineError::invalid(format!(
                "{key} is required to be `{first}` and `{second}` at once; name one of them"
            )));
        }
    }
    Ok(())
}

/// Checks that a text is not too long.
pub(crate) fn check_length(text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("has {} bytes; the maximum is {MAX_TEXT_BYTES}: split it into parts", text.len()));
    }
    Ok(())
}

/// Checks that a payload does not nest too deeply.
pub(crate) fn check_depth(map: &Map<String, Value>) -> Result<(), String> {
    let mut level: Vec<&Value> = map.values().collect();
    for _ in 0..MAX_DEPTH {
        level = level
            .into_iter()
            .flat_map(|value| match value {
                Value::Array(items) => items.iter().collect::<Vec<_>>(),
                Value::Object(fields) => fields.values().collect(),
                _ => Vec::new(),
            })
            .collect();
        if level.is_empty() {
            return Ok(());
        }
    }
    Err(format!("nests lists and objects deeper than {MAX_DEPTH} levels"))
}

/// Checks a caller's metadata: its depth, its size, and that it sets no key that the store writes itself.
pub(crate) fn check_metadata(metadata: &Map<String, Value>) -> Result<()> {
    check_depth(metadata).map_err(|fault| EngineError::invalid(format!("metadata {fault}")))?;
    check_metadata_size(metadata, 0)?;
    match metadata.keys().find(|key| is_reserved_key(key)) {
        Some(key) => Err(EngineError::invalid(format!("metadata must not contain the reserved key `{key}`"))),
        None => Ok(()),
    }
}

/// Checks that every key of metadata can be filtered by. Keys that are `stored` already may be sent again.
pub(crate) fn check_filterable(metadata: &Map<String, Value>, stored: Option<&Payload>) -> Result<()> {
    let is_stored = |key: &str| stored.is_some_and(|payload| payload.as_map().contains_key(key));
    match metadata.keys().find(|key| is_filter_word(key) && !is_stored(key)) {
        Some(key) => Err(EngineError::invalid(format!(
            "metadata must not contain the key `{key}`, which has another meaning in filters: choose another name"
        ))),
        None => Ok(()),
    }
}

/// Checks that metadata is not too large. What an older version stored with more than the maximum may not grow:
/// `stored_bytes` is its [`metadata_bytes`].
pub(crate) fn check_metadata_size(metadata: &Map<String, Value>, stored_bytes: usize) -> Result<()> {
    let bytes = metadata_bytes(metadata);
    if bytes > MAX_METADATA_BYTES && bytes > stored_bytes {
        return Err(EngineError::invalid(format!(
            "metadata has {bytes} bytes; the maximum is {MAX_METADATA_BYTES}: put long texts into messages"
        )));
    }
    Ok(())
}

/// The length of metadata as JSON, in bytes.
pub(crate) fn metadata_bytes(metadata: &Map<String, Value>) -> usize {
    serde_json::to_string(metadata).map_or(0, |text| text.len())
}
