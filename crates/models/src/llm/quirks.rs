//! What an endpoint does not take, learnt from its refusals.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::service::Refusal;

/// How an endpoint is told that the answer is to be JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum JsonMode {
    /// By a schema.
    #[default]
    Schema,
    /// As an object, with the schema beside it, as servers of local models have it.
    ObjectOfSchema,
    /// As any object.
    Object,
    /// By the messages alone.
    Words,
}

/// What an endpoint calls the most tokens of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TokensKey {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
    /// It knows neither.
    Unknown,
}

/// What is known of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Quirks {
    pub(super) json: JsonMode,
    pub(super) tokens: TokensKey,
    /// Parameters that are left out.
    pub(super) dropped: BTreeSet<String>,
}

/// Keys that a request can't do without.
const NEEDED: [&str; 4] = ["model", "messages", "stream", "system"];
/// Ways to ask for JSON, by which endpoints name what they refuse.
const JSON_KEYS: [&str; 2] = ["response_format", "format"];

impl Quirks {
    /// Changes what is sent so that the refusal does not come again, and says how, in words for the log; `None` if nothing
    /// that was sent is to blame.
    pub(super) fn learn(&mut self, status: u16, refusal: &Refusal, sent: &Map<String, Value>) -> Option<String> {
        if !matches!(status, 400 | 415 | 422 | 500 | 501) {
            return None;
        }
        let message = refusal.message.to_lowercase();
        let words: Vec<&str> = message
            .split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
            .filter(|w| !w.is_empty())
            .collect();
        let about = |key: &str| {
            let param = refusal.param.as_deref().and_then(|param| param.split(['.', '[']).next());
            param == Some(key) || words.contains(&key)
        };
        let lesson = Some;

        for key in ["max_tokens", "max_completion_tokens"] {
            if sent.contains_key(key) && (about("max_tokens") || about("max_completion_tokens")) {
                self.tokens = match (key, self.tokens) {
                    ("max_tokens", TokensKey::MaxTokens) => TokensKey::MaxCompletionTokens,
                    _ => TokensKey::Unknown,
                };
                return lesson(match self.tokens {
                    TokensKey::MaxCompletionTokens => "takes `max_completion_tokens` for `max_tokens`".into(),
                    _ => "takes no limit of tokens".into(),
                });
            }
        }
        let json = JSON_KEYS.iter().any(|key| sent.contains_key(*key));
        let about_json = ["response_format", "json_schema", "json_object", "format"].iter().any(|key| about(key))
            || message.contains("json mode")
            || message.contains("structured output");
        if json && about_json {
            return lesson(self.less_json());
        }
        // Both may not come together: the one that people set less often goes.
        if sent.contains_key("top_p") && about("top_p") && about("temperature") {
            return lesson(self.without("top_p"));
        }
        let optional = || sent.keys().filter(|key| !NEEDED.contains(&key.as_str()));
        let by_place = |key: &&String| words.iter().position(|word| word == key);
        let named = optional()
            .find(|key| refusal.param.as_deref() == Some(key.as_str()))
            .or_else(|| optional().filter(|key| by_place(key).is_some()).min_by_key(by_place));
        if let Some(key) = named {
            return lesson(self.without(key));
        }
        if json && status != 500 && !refusal.is_about_length() && refusal.param.is_none() {
            // The endpoint does not say what it minds: this is the likeliest.
            return Some(self.less_json());
        }
        None
    }

    fn without(&mut self, key: &str) -> String {
        self.dropped.insert(key.to_owned());
        format!("refuses `{key}`, which is left out from now on")
    }

    fn less_json(&mut self) -> String {
        self.json = match self.json {
            JsonMode::Schema => JsonMode::ObjectOfSchema,
            JsonMode::ObjectOfSchema => JsonMode::Object,
            JsonMode::Object | JsonMode::Words => JsonMode::Words,
        };
        match self.json {
            JsonMode::ObjectOfSchema => "takes no `json_schema`; it is asked for a JSON object of that schema".into(),
            JsonMode::Object => "takes no schema; it is asked for a JSON object".into(),
            _ => "takes no `response_format`; JSON is asked for in words".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(message: &str) -> Refusal {
        Refusal::parse(json!({"error": {"message": message}}).to_string().as_bytes())
    }

    fn learnt(sent: Value, refusals: &[&str]) -> Quirks {
        let mut quirks = Quirks::default();
        for refusal in refusals {
            let sent = sent.as_object().unwrap();
            assert!(quirks.learn(400, &refused(refusal), sent).is_some(), "{refusal}");
        }
        quirks
    }

    #[test]
    fn what_is_named_is_left_out() {
        for (sent, refusal, dropped) in [
            (json!({"temperature": 1, "top_p": 1}), "`temperature` and `top_p` cannot both be specified", "top_p"),
            (json!({"temperature": 1, "store": false}), "store: Extra inputs are not permitted", "store"),
            (
                json!({"temperature": 1}),
                "Unsupported value: 'temperature' does not support 0 with this model",
                "temperature",
            ),
            (json!({"seed": 1, "user": "x"}), "Unrecognized request argument supplied: seed", "seed"),
        ] {
            assert_eq!(learnt(sent, &[refusal]).dropped, BTreeSet::from([dropped.to_owned()]), "{refusal}");
        }
    }

    #[test]
    fn the_limit_of_tokens_has_two_names() {
        let told = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        assert_eq!(learnt(json!({"max_tokens": 9}), &[told]).tokens, TokensKey::MaxCompletionTokens);
        let mut quirks = Quirks { tokens: TokensKey::MaxCompletionTokens, ..Quirks::default() };
        let sent = json!({"max_completion_tokens": 9});
        quirks.learn(400, &refused("unknown field max_completion_tokens"), sent.as_object().unwrap()).unwrap();
        assert_eq!(quirks.tokens, TokensKey::Unknown);
    }

    #[test]
    fn json_is_asked_for_in_ever_plainer_ways() {
        let sent = json!({"response_format": {"type": "json_schema"}});
        assert_eq!(learnt(sent.clone(), &["json_schema is not supported"]).json, JsonMode::ObjectOfSchema);
        let told = "response_format is not supported";
        assert_eq!(learnt(sent.clone(), &[told, told]).json, JsonMode::Object);
        assert_eq!(learnt(sent, &[told, told, told]).json, JsonMode::Words);
    }

    #[test]
    fn what_has_another_reason_teaches_nothing() {
        let sent = json!({"model": "x", "temperature": 1});
        let sent = sent.as_object().unwrap();
        for (status, refusal) in [(401, "bad temperature"), (400, "model x does not exist"), (404, "store")] {
            assert_eq!(Quirks::default().learn(status, &refused(refusal), sent), None, "{refusal}");
        }
    }

    #[test]
    fn where_nothing_is_named_json_is_the_likeliest_to_be_minded() {
        let sent = json!({"model": "x", "response_format": {"type": "json_schema"}});
        let sent = sent.as_object().unwrap();
        let mut quirks = Quirks::default();
        assert!(quirks.learn(400, &refused("Bad Request"), sent).is_some());
        assert_eq!(quirks.json, JsonMode::ObjectOfSchema);
        assert_eq!(Quirks::default().learn(400, &refused("the context length is 4096 tokens"), sent), None);
    }
}
