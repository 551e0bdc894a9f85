//! Facts in XML, or in a list of HTML.

use mnemon_models::json;
use serde_json::{Map, Value};

use super::keys::{LIST_KEYS, TEXT_KEYS, plain_key};

/// Most elements inside of each other.
const MAX_DEPTH: usize = 32;
/// Elements of lists.
const ITEMS: [&str; 2] = ["li", "item"];

/// What an answer in markup holds.
pub(super) struct Markup {
    /// The elements: an object by their names, a text if an element has only text.
    pub(super) value: Value,
    /// Whether an element is not closed.
    pub(super) cut: bool,
}

/// Reads markup with at least one element that holds a list of facts or a fact. A page of HTML is none.
pub(super) fn read(text: &str) -> Option<Markup> {
    let lower = text.to_lowercase();
    if !text.contains("</") && !text.contains("/>") || lower.contains("<html") || lower.contains("<!doctype") {
        return None;
    }
    let mut reader = Reader { rest: text, cut: false, has_facts: false };
    let (map, _) = reader.content(None, 0);
    reader.has_facts.then(|| Markup { value: map.into(), cut: reader.cut })
}

struct Reader<'t> {
    rest: &'t str,
    cut: bool,
    has_facts: bool,
}

impl<'t> Reader<'t> {
    /// Reads up to the end of an element: the elements in it, and its text.
    fn content(&mut self, name: Option<&str>, depth: usize) -> (Map<String, Value>, String) {
        let (mut map, mut text) = (Map::new(), String::new());
        loop {
            let Some(at) = self.rest.find('<') else {
                text.push_str(self.rest);
                self.rest = "";
                self.cut |= name.is_some();
                return (map, text);
            };
            text.push_str(&self.rest[..at]);
            self.rest = &self.rest[at..];
            if let Some(data) = self.rest.strip_prefix("<![CDATA[") {
                let (data, rest) = data.split_once("]]>").unwrap_or((data, ""));
                text.push_str(data);
                self.rest = rest;
            } else if self.rest.starts_with("<!--") {
                self.rest = self.rest.split_once("-->").map_or("", |(_, rest)| rest);
            } else if self.rest.starts_with("</") {
                self.rest = self.rest.split_once('>').map_or("", |(_, rest)| rest);
                if name.is_some() {
                    return (map, text);
                }
            } else if let Some((name, value)) = (depth < MAX_DEPTH).then(|| self.element(depth)).flatten() {
                json::add(&mut map, name, value);
            } else {
                let end = if self.rest.starts_with("<?") { self.rest.find('>').map_or(1, |end| end + 1) } else { 1 };
                text.push_str(if end == 1 { "<" } else { "" });
                self.rest = &self.rest[end..];
            }
        }
    }

    /// Reads an element; `None` if none begins here, or if it is a text that is not closed.
    fn element(&mut self, depth: usize) -> Option<(String, Value)> {
        let (tag, rest) = self.rest[1..].split_once('>').filter(|(tag, _)| tag.starts_with(char::is_alphabetic))?;
        let is_closed = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        self.rest = rest;
        let name = plain_key(name);
        self.has_facts |= [&LIST_KEYS[..], &TEXT_KEYS, &ITEMS].iter().any(|keys| keys.contains(&name.as_str()));
        let mut map = attributes_of(attributes);
        let was_cut = self.cut;
        let (inner, text) = if is_closed { Default::default() } else { self.content(Some(&name), depth + 1) };
        let text = if self.cut && !was_cut { String::new() } else { unescaped(text.trim()) };
        if map.is_empty() && inner.is_empty() {
            return Some((name, text.into()));
        }
        inner.into_iter().for_each(|(key, value)| json::add(&mut map, key, value));
        if !text.is_empty() {
            map.entry("text").or_insert_with(|| text.into());
        }
        Some((name, map.into()))
    }
}

/// The attributes of a tag.
fn attributes_of(mut text: &str) -> Map<String, Value> {
    let mut map = Map::new();
    while let Some((name, rest)) = text.split_once('=') {
        let rest = rest.trim_start();
        let Some(quote) = rest.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else { break };
        let Some((value, after)) = rest[1..].split_once(quote) else { break };
        map.insert(plain_key(name), unescaped(value).into());
        text = after;
    }
    map
}

/// A text without the escapes of markup.
pub(super) fn unescaped(text: &str) -> String {
    const NAMES: [(&str, &str); 6] =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    NAMES.iter().fold(text.to_owned(), |text, (name, char)| text.replace(name, char))
}
