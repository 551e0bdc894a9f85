//! Answers that say that there are no facts.
//!
//! An unreadable answer is not among them: it may hold facts.

use super::keys::{is_known, plain_key};
use super::lines;

/// What models write if there are no facts.
const NOTHING: [&str; 26] = [
    "none",
    "nothing",
    "empty",
    "no facts",
    "no new facts",
    "no facts found",
    "no memories",
    "no new memories",
    "no relevant facts",
    "no new information",
    "no information",
    "n/a",
    "null",
    "nil",
    "undefined",
    "keine",
    "keine fakten",
    "aucun",
    "aucun fait",
    "ninguno",
    "ningún hecho",
    "nessuno",
    "nenhum",
    "нет",
    "无",
    "なし",
];
/// How sentences begin that say so.
const BEGINNINGS: [&str; 14] = [
    "no ",
    "none of",
    "nothing",
    "there is no",
    "there's no",
    "there are no",
    "there aren't any",
    "there were no",
    "there was no",
    "i found no",
    "i found nothing",
    "i did not find any",
    "i didn't find any",
    "the conversation contains no",
];
/// Words for their subject.
const SUBJECTS: [&str; 6] = ["fact", "memor", "information", "remember", "extract", "details"];
/// Most characters of such a sentence.
const MAX_SENTENCE: usize = 160;
/// Most lines beside an empty list.
const MAX_LINES: usize = 3;

/// Whether a text says that there are no facts: in words, or with an empty list or object alone or in prose.
pub(super) fn is_said(text: &str) -> bool {
    let text = text.trim().trim_start_matches('\u{feff}').trim_matches('`').trim();
    let words = text.trim_matches(|char: char| char.is_ascii_punctuation() || "。．".contains(char)).to_lowercase();
    NOTHING.contains(&words.trim()) || is_sentence(&words) || is_empty_json(text)
}

fn is_sentence(words: &str) -> bool {
    let is_one = !words.contains(['\n', '{', '[', '"', ':']) && words.chars().count() <= MAX_SENTENCE;
    let words = words.replace('’', "'");
    is_one
        && BEGINNINGS.iter().any(|beginning| words.starts_with(beginning))
        && SUBJECTS.iter().any(|subject| words.contains(subject))
}

/// Whether a text has one empty list or object, and beside it only prose that is not a fact.
fn is_empty_json(text: &str) -> bool {
    let Some((start, end)) = text.find(['{', '[']).zip(text.rfind(['}', ']'])).filter(|(start, end)| start < end)
    else {
        return false;
    };
    let (before, after) = (text[..start].trim(), text[end + 1..].trim());
    let is_empty = text[start + 1..end].trim().is_empty();
    let is_prose = |text: &str| {
        let has_syntax = text.contains(['{', '}', '[', ']', '"', '“', '«', '「', '|', '<', '=', ';', '(', '\t']);
        let is_short = text.lines().count() <= MAX_LINES;
        is_short && !has_syntax && lines::facts(text).is_none_or(|facts| facts.is_empty())
    };
    // Of a list in a fact, such as `sources: []`.
    let last = before.trim_end_matches(':').rsplit(char::is_whitespace).next().unwrap_or_default();
    let is_attribute = before.ends_with(':') && !last.is_empty() && is_known(&plain_key(last)) && !is_list(last);
    is_empty && is_prose(before) && is_prose(after) && !is_attribute
}

fn is_list(key: &str) -> bool {
    super::LIST_KEYS.contains(&plain_key(key).as_str())
}
