//! Cleans the list of entities: removes markdown, duplicates, and entities that are part of longer ones.

use std::collections::HashSet;

use super::kind::{Entity, EntityKind};
use super::words::{GENERIC_NAMES, is_one_of};

/// Maximum length of an entity; longer ones are sentences or lists.
const MAX_CHARS: usize = 100;

pub(super) fn finish(found: Vec<Entity>) -> Vec<Entity> {
    let mut kept: Vec<(String, Entity)> = Vec::with_capacity(found.len());
    let mut seen: HashSet<String> = HashSet::with_capacity(found.len());
    for Entity { kind, text } in found {
        let text = clean(&text);
        if text.chars().nth(2).is_none() || is_artifact(text) {
            continue;
        }
        let key = text.to_lowercase();
        if kind == EntityKind::Proper && is_one_of(&key, GENERIC_NAMES) {
            continue;
        }
        if seen.insert(key.clone()) {
            kept.push((key, Entity { kind, text: text.to_owned() }));
        }
    }
    let mut is_part = are_parts_of_others(&kept).into_iter();
    kept.retain(|_| !is_part.next().unwrap_or(false));
    kept.into_iter().map(|(_, entity)| entity).collect()
}

/// For each key, whether another key contains it.
fn are_parts_of_others(kept: &[(String, Entity)]) -> Vec<bool> {
    // In the sorted list of all endings of all keys, the endings that start with a key follow the key itself.
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

/// Removes markdown stars, a trailing colon, and a list number.
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

/// Whether a text has remains of markdown, is too long, or has several lines.
fn is_artifact(text: &str) -> bool {
    text.chars().nth(MAX_CHARS).is_some()
        || text.starts_with(['•', '-', '+', '–', '—'])
        || ["**", "__", ":*", "  ", "\n", "\t", " * "].iter().any(|mark| text.contains(mark))
        || text.starts_with("* ")
        || text.ends_with(" *")
}
