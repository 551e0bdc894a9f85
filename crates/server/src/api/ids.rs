//! Memories that a filter names by their ids.

use mnemon_store::MemoryId;
use serde_json::{Map, Value};

use crate::error::Problem;

/// Most ids in one condition.
const MAX_IDS: usize = 1000;
/// The keys of a filter that name memories by their ids.
const KEYS: [&str; 2] = ["memory_ids", "id"];
/// Where ids may not be.
pub(super) const IDS_ONLY_AT_TOP: &str = "is allowed only at the top level, or in an AND at the top level";

/// Reads an id, a list of ids, or `{"eq": id}` or `{"in": [ids]}`. Invalid ids match no memory, like unknown ones.
pub(super) fn read_ids(value: &Value, path: &str) -> Result<Vec<MemoryId>, Problem> {
    const FORM: &str = "must be an id, a list of ids, or {\"in\": [ids]}";
    let list = match value {
        Value::Object(map) if map.len() == 1 => {
            map.get("in").or_else(|| map.get("eq")).ok_or_else(|| refused(path, FORM))?
        }
        other => other,
    };
    let items = match list {
        Value::Array(items) => items.as_slice(),
        Value::String(_) | Value::Number(_) => std::slice::from_ref(list),
        _ => return Err(refused(path, FORM)),
    };
    if items.is_empty() || items.len() > MAX_IDS {
        return Err(refused(path, "must have 1 to 1000 ids"));
    }
    let mut ids = Vec::with_capacity(items.len());
    for item in items {
        if !item.is_string() && !item.is_u64() {
            return Err(refused(path, "an id must be a string"));
        }
        ids.extend(MemoryId::from_value(item).ok().filter(|id| !ids.contains(id)));
    }
    Ok(ids)
}

/// Adds another condition on the id.
pub(super) fn narrow_ids(ids: &mut Option<Vec<MemoryId>>, others: Vec<MemoryId>) {
    match ids {
        Some(existing) => existing.retain(|id| others.contains(id)),
        none => *none = Some(others),
    }
}

/// Takes the conditions on the id out of a filter; the filter may be empty then.
pub(super) fn take_ids(
    filters: &mut Map<String, Value>,
    path: &str,
    ids: &mut Option<Vec<MemoryId>>,
) -> Result<(), Problem> {
    for key in KEYS {
        if let Some(value) = filters.shift_remove(key) {
            narrow_ids(ids, read_ids(&value, &format!("{path}.{key}"))?);
        }
    }
    let mut emptied = Vec::new();
    for (key, value) in filters.iter_mut() {
        let path = format!("{path}.{key}");
        match (key.as_str(), value) {
            ("AND" | "$and", Value::Array(parts)) if !parts.is_empty() => {
                take_from_parts(parts, &path, ids)?;
                if parts.is_empty() {
                    emptied.push(key.clone());
                }
            }
            ("AND" | "$and", Value::Object(part)) if !part.is_empty() => {
                take_ids(part, &path, ids)?;
                if part.is_empty() {
                    emptied.push(key.clone());
                }
            }
            ("OR" | "$or" | "NOT" | "$not", value) => refuse_ids(value, &path)?,
            _ => {}
        }
    }
    filters.retain(|key, _| !emptied.contains(key));
    Ok(())
}

fn take_from_parts(parts: &mut Vec<Value>, path: &str, ids: &mut Option<Vec<MemoryId>>) -> Result<(), Problem> {
    let mut kept = Vec::with_capacity(parts.len());
    for (index, mut part) in std::mem::take(parts).into_iter().enumerate() {
        let is_emptied = match &mut part {
            Value::Object(map) if !map.is_empty() => {
                take_ids(map, &format!("{path}[{index}]"), ids)?;
                map.is_empty()
            }
            _ => false,
        };
        if !is_emptied {
            kept.push(part);
        }
    }
    *parts = kept;
    Ok(())
}

/// Refuses conditions on the id inside of OR and NOT.
fn refuse_ids(value: &Value, path: &str) -> Result<(), Problem> {
    match value {
        Value::Array(parts) => parts.iter().try_for_each(|part| refuse_ids(part, path)),
        Value::Object(map) => {
            if let Some(key) = KEYS.iter().find(|key| map.contains_key(**key)) {
                return Err(refused(&format!("{path}.{key}"), IDS_ONLY_AT_TOP));
            }
            let nested =
                map.iter().filter(|(key, _)| ["AND", "$and", "OR", "$or", "NOT", "$not"].contains(&key.as_str()));
            nested.into_iter().try_for_each(|(_, value)| refuse_ids(value, path))
        }
        _ => Ok(()),
    }
}

/// The refusal of a part of a filter.
pub(super) fn refused(path: &str, reason: &str) -> Problem {
    Problem::bad_request(format!("{path}: {reason}"))
}
