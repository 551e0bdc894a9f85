//! Removes keys and quotations of the request from a service's message, which goes to a log.

use std::collections::HashSet;

use serde_json::Value;

/// What replaces a quotation.
const ELLIPSIS: &str = "…";
/// Letters and digits in common with the request that are a quotation. (White space and punctuation may differ.)
const QUOTE_CHARS: usize = 16;
/// Letters and digits of a whole text of the request that are a quotation.
const SHORT_TEXT_CHARS: usize = 8;
/// What replaces a key.
const REDACTED: &str = "[redacted]";
/// How keys of services begin.
const KEY_PREFIXES: [&str; 18] = [
    "sk-", "sk_", "pk-", "rk-", "aiza", "gsk_", "hf_", "xai-", "r8_", "pplx-", "akia", "asia", "nvapi-", "eyj", "ghp_",
    "glpat-", "tgp_", "fw_",
];
/// Words after which a key follows.
const KEY_WORDS: [&str; 13] = [
    "bearer",
    "basic",
    "key",
    "apikey",
    "api_key",
    "api-key",
    "x-api-key",
    "token",
    "access_token",
    "secret",
    "password",
    "authorization",
    "signature",
];
/// A shorter text is not a key.
const MIN_KEY: usize = 8;
/// A text of so many letters and digits without separators is a key.
const MIN_UNKNOWN_KEY: usize = 30;

/// The texts of a request: all but the names of models and the schema of the answer.
pub(super) fn texts_of(body: &Value) -> Vec<&str> {
    fn collect<'v>(value: &'v Value, texts: &mut Vec<&'v str>) {
        match value {
            Value::String(text) => texts.push(text),
            Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
            Value::Object(map) => {
                let own = map
                    .iter()
                    .filter(|(key, _)| !matches!(key.as_str(), "model" | "role" | "response_format" | "format"));
                own.for_each(|(_, value)| collect(value, texts));
            }
            _ => {}
        }
    }
    let mut texts = Vec::new();
    collect(body, &mut texts);
    texts
}

/// The message without quotations of these texts.
pub(super) fn without_quotes(message: &str, texts: &[&str]) -> String {
    let letters = letters(message);
    let mut is_quoted = vec![false; letters.len()];
    let mut mark = |from: usize, len: usize| is_quoted[from..from + len].fill(true);
    let chars: Vec<char> = letters.iter().map(|(_, char)| *char).collect();
    let windows: HashSet<&[char]> = chars.windows(QUOTE_CHARS).collect();
    let mut common: HashSet<Vec<char>> = HashSet::new();
    for text in texts {
        let text: Vec<char> = self::letters(text).into_iter().map(|(_, char)| char).collect();
        common.extend(text.windows(QUOTE_CHARS).filter(|window| windows.contains(window)).map(<[char]>::to_vec));
        if (SHORT_TEXT_CHARS..QUOTE_CHARS).contains(&text.len()) {
            chars
                .windows(text.len())
                .enumerate()
                .filter(|(_, window)| *window == text)
                .for_each(|(at, _)| mark(at, text.len()));
        }
    }
    chars
        .windows(QUOTE_CHARS)
        .enumerate()
        .filter(|(_, window)| common.contains(*window))
        .for_each(|(at, _)| mark(at, QUOTE_CHARS));
    let mut result = String::new();
    let mut at = 0;
    let mut index = 0;
    while index < letters.len() {
        if !is_quoted[index] {
            index += 1;
            continue;
        }
        let last = (index..letters.len()).take_while(|index| is_quoted[*index]).last().unwrap_or(index);
        result.push_str(&message[at..letters[index].0]);
        result.push_str(ELLIPSIS);
        let (start, _) = letters[last];
        at = start + message[start..].chars().next().map_or(0, char::len_utf8);
        index = last + 1;
    }
    result + &message[at..]
}

/// The letters and digits of a text in lower case, with their positions; escapes count as white space.
fn letters(text: &str) -> Vec<(usize, char)> {
    let mut letters = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        if char == '\\' {
            chars.next_if(|(_, next)| matches!(next, 'n' | 'r' | 't'));
        } else if char.is_alphanumeric() {
            letters.push((at, char.to_lowercase().next().unwrap_or(char)));
        }
    }
    letters
}

/// The message with everything that looks like a key replaced.
pub(super) fn without_keys(message: &str) -> String {
    let mut result = String::with_capacity(message.len());
    let mut rest = message;
    // The last word, if only a separator came after it.
    let mut word_before = String::new();
    while !rest.is_empty() {
        let end = rest.find(|char: char| !is_key_char(char)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let separators = after.find(is_key_char).unwrap_or(after.len());
        let (separator, next) = after.split_at(separators);
        let follows = KEY_WORDS.contains(&word_before.as_str()) && word.len() >= MIN_KEY && has_digit_or_symbol(word);
        result.push_str(if follows || is_key(word) { REDACTED } else { word });
        result.push_str(separator);
        let introduces =
            matches!(separator.trim(), "" | ":" | "=" | "\":\"" | "\": \"" | "': '" | "=\"" | "='" | ":\"");
        let keeps = KEY_WORDS.contains(&word.to_lowercase().as_str());
        word_before = if introduces && keeps { word.to_lowercase() } else { String::new() };
        rest = next;
    }
    result
}

fn is_key_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '*' | '.' | '+' | '/')
}

fn has_digit_or_symbol(word: &str) -> bool {
    word.contains(|char: char| char.is_ascii_digit() || matches!(char, '-' | '_' | '*' | '+' | '/'))
        || word.len() >= 2 * MIN_KEY
}

fn is_key(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let has_digit = word.contains(|char: char| char.is_ascii_digit() || char == '*');
    let is_known = KEY_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) && word.len() >= MIN_KEY && has_digit;
    let longest = word.split(|char: char| !char.is_ascii_alphanumeric()).map(str::len).max().unwrap_or(0);
    is_known || (longest >= MIN_UNKNOWN_KEY && has_digit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_replaced() {
        for (message, expected) in [
            ("Incorrect API key provided: sk-abcDEF1234567890.", "Incorrect API key provided: [redacted]"),
            ("Incorrect API key provided: sk-proj-********wxyz", "Incorrect API key provided: [redacted]"),
            ("header Authorization: Bearer abc12345xyz is bad", "header Authorization: Bearer [redacted] is bad"),
            ("API key AIzaSyA1234567890abcdefghijklmnopqrstuv not valid", "API key [redacted] not valid"),
            ("GET /v1?key=abcd1234efgh&alt=json", "GET /v1?key=[redacted]&alt=json"),
            (r#"{"api_key": "abcd-1234-efgh"}"#, r#"{"api_key": "[redacted]"}"#),
            ("0123456789abcdef0123456789abcdef is unknown", "[redacted] is unknown"),
            (
                "model text-embedding-3-large-2024-07-18 is unknown",
                "model text-embedding-3-large-2024-07-18 is unknown",
            ),
            ("request 0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", "request 0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f"),
            ("the token limit is 8192, key not found", "the token limit is 8192, key not found"),
            ("invalid token: tok_1234567890", "invalid token: [redacted]"),
        ] {
            assert_eq!(without_keys(message), expected);
        }
    }

    #[test]
    fn quotations_of_the_request_are_replaced() {
        let body = json!({"model": "some-model-with-a-long-name", "messages": [
            {"role": "system", "content": "Extract facts."},
            {"role": "user", "content": "My PIN is 4711, and\nmy \"secret\" garden is in Lisbon."},
            {"role": "user", "content": "PIN is 0815!"},
        ]});
        let texts = texts_of(&body);
        for (message, expected) in [
            ("refused: My PIN is 4711, and my \"secret\" garden is in Lisbon. Sorry", "refused: …. Sorry"),
            (r#"refused: {'content': 'My PIN is 4711, and\nmy "secret" garden'}"#, "refused: {'content': '…'}"),
            ("refused: my pin is 4711 AND MY secret garden", "refused: …"),
            ("`PIN is 0815` is refused", "`…` is refused"),
            ("model some-model-with-a-long-name is unknown", "model some-model-with-a-long-name is unknown"),
            ("the garden is closed", "the garden is closed"),
            ("", ""),
        ] {
            assert_eq!(without_quotes(message, &texts), expected);
        }
        let japanese = json!({"input": ["私の鍵は台所の引き出しの中にありますから見てください"]});
        let message = "bad input: 私の鍵は台所の引き出しの中にありますから見てください!";
        assert_eq!(without_quotes(message, &texts_of(&japanese)), "bad input: …!");
    }
}
