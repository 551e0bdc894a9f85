//! Cleans what was found: strips markdown, drops duplicates and parts of longer entities.

use std::collections::HashMap;

use super::words::GENERIC_NAMES;
use super::{Entity, EntityKind, is_one_of};

/// Longer entities are sentences or lists, not names.
const LONGEST: usize = 100;

pub(super) fn finish(found: Vec<Entity>) -> Vec<Entity> {
    let mut kept: Vec<(String, Entity)> = Vec::with_capacity(found.len());
    let mut places: HashMap<String, usize> = HashMap::with_capacity(found.len());
    for Entity { kind, text } in found {
        let text = clean(&text);
        if text.chars().nth(2).is_none() || is_artifact(text) {
            continue;
        }
        let key = text.to_lowercase();
        if kind == EntityKind::Proper && is_one_of(&key, GENERIC_NAMES) {
            continue;
        }
        if !places.contains_key(&key) {
            places.insert(key.clone(), kept.len());
            kept.push((key, Entity { kind, text: text.to_owned() }));
        }
    }
    let part = parts_of_others(&kept);
    let mut part = part.into_iter();
    kept.retain(|_| !part.next().unwrap_or(false));
    kept.into_iter().map(|(_, entity)| entity).collect()
}

/// For each key, whether it stands inside another one.
fn parts_of_others(kept: &[(String, Entity)]) -> Vec<bool> {
    // All endings of all keys, sorted: those that start with a key are neighbours, itself first.
    let mut endings: Vec<&str> =
        kept.iter().flat_map(|(key, _)| key.char_indices().map(|(at, _)| &key[at..])).collect();
    endings.sort_unstable();
    kept.iter()
        .map(|(key, _)| {
            let at = endings.partition_point(|ending| *ending < key.as_str());
            endings.get(at + 1).is_some_and(|next| next.starts_with(key.as_str()))
        })
        .collect()
}

/// Without markdown stars, a trailing colon, a list number.
fn clean(text: &str) -> &str {
    let mut text = text.trim();
    if let Some(rest) = text.strip_prefix('*') {
        text = rest.trim_start_matches('*').trim_start();
    }
    if let Some(rest) = text.strip_suffix('*') {
        text = rest.trim_end_matches('*').trim_end();
    }
    if let Some(rest) = text.strip_suffix(':') {
        text = rest.trim_end_matches(':').trim_end();
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0
        && let Some(rest) = text[digits..].trim_start().strip_prefix('.')
    {
        text = rest.trim_start();
    }
    text
}

/// Whether a text shows remains of markdown, or is no short phrase on one line.
fn is_artifact(text: &str) -> bool {
    text.chars().nth(LONGEST).is_some()
        || text.starts_with(['•', '-', '+', '–', '—'])
        || ["**", "__", ":*", "  ", "\n", "\t", " * "].iter().any(|mark| text.contains(mark))
        || text.starts_with("* ")
        || text.ends_with(" *")
}
