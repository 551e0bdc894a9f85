//! The parameters that an endpoint does not support, learned from its error responses.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::service::Refusal;

/// How an endpoint is asked for an answer in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum JsonMode {
    /// With a JSON schema.
    #[default]
    Schema,
    /// As a JSON object with a schema, in the form of servers of local models.
    ObjectOfSchema,
    /// As any JSON object.
    Object,
    /// By the messages alone.
    PromptOnly,
}

/// The name of the parameter that limits the tokens of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TokensKey {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
    /// The endpoint supports none.
    Unsupported,
}

/// The known differences of an endpoint from the standard API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Quirks {
    pub(super) json: JsonMode,
    pub(super) tokens: TokensKey,
    /// Parameters that are not sent.
    pub(super) dropped: BTreeSet<String>,
}

/// Keys that a request must have.
const REQUIRED_KEYS: [&str; 4] = ["model", "messages", "stream", "system"];
/// Keys of a request that ask for JSON.
const JSON_KEYS: [&str; 2] = ["response_format", "format"];

impl Quirks {
    /// Adapts the requests so that the endpoint accepts them, and returns a description for the log; `None` if no parameter
    /// seems to be the reason of the refusal.
    pub(super) fn learn(&mut self, status: u16, refusal: &Refusal, sent: &Map<String, Value>) -> Option<String> {
        if !matches!(status, 400 | 415 | 422 | 500 | 501) {
            return None;
        }
        let message = refusal.message.to_lowercase();
        let words: Vec<&str> = message
            .split(|char: char| !char.is_ascii_alphanumeric() && char != '_')
            .filter(|w| !w.is_empty())
            .collect();
        let is_named = |key: &str| {
            let param = refusal.param.as_deref().and_then(|param| param.split(['.', '[']).next());
            param == Some(key) || words.contains(&key)
        };
        for key in ["max_tokens", "max_completion_tokens"] {
            if sent.contains_key(key) && (is_named("max_tokens") || is_named("max_completion_tokens")) {
                self.tokens = match (key, self.tokens) {
                    ("max_tokens", TokensKey::MaxTokens) => TokensKey::MaxCompletionTokens,
                    _ => TokensKey::Unsupported,
                };
                return Some(match self.tokens {
                    TokensKey::MaxCompletionTokens => "uses `max_completion_tokens` instead of `max_tokens`".into(),
                    _ => "does not support a limit of tokens".into(),
                });
            }
        }
        let asks_for_json = JSON_KEYS.iter().any(|key| sent.contains_key(*key));
        let is_about_json = ["response_format", "json_schema", "json_object", "format"].iter().any(|key| is_named(key))
            || message.contains("json mode")
            || message.contains("structured output");
        if asks_for_json && is_about_json {
            return Some(self.weaken_json_mode());
        }
        // The two parameters exclude each other: `top_p` is set less often, so it is dropped.
        if sent.contains_key("top_p") && is_named("top_p") && is_named("temperature") {
            return Some(self.drop_parameter("top_p"));
        }
        let optional = || sent.keys().filter(|key| !REQUIRED_KEYS.contains(&key.as_str()));
        let position = |key: &&String| words.iter().position(|word| word == key);
        let named = optional()
            .find(|key| refusal.param.as_deref() == Some(key.as_str()))
            .or_else(|| optional().filter(|key| position(key).is_some()).min_by_key(position));
        if let Some(key) = named {
            return Some(self.drop_parameter(key));
        }
        if asks_for_json && status != 500 && !refusal.is_about_length() && refusal.param.is_none() {
            // The endpoint names no parameter; this is the most likely one.
            return Some(self.weaken_json_mode());
        }
        None
    }

    fn drop_parameter(&mut self, key: &str) -> String {
        self.dropped.insert(key.to_owned());
        format!("does not support `{key}`; it is not sent any more")
    }

    fn weaken_json_mode(&mut self) -> String {
        self.json = match self.json {
            JsonMode::Schema => JsonMode::ObjectOfSchema,
            JsonMode::ObjectOfSchema => JsonMode::Object,
            JsonMode::Object | JsonMode::PromptOnly => JsonMode::PromptOnly,
        };
        match self.json {
            JsonMode::ObjectOfSchema => {
                "does not support `json_schema`; it is asked for a JSON object with that schema".into()
            }
            JsonMode::Object => "does not support a schema; it is asked for a JSON object".into(),
            _ => "does not support `response_format`; only the prompt asks for JSON".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(message: &str) -> Refusal {
        Refusal::parse(json!({"error": {"message": message}}).to_string().as_bytes())
    }

    fn learned(sent: Value, messages: &[&str]) -> Quirks {
        let mut quirks = Quirks::default();
        for message in messages {
            let sent = sent.as_object().unwrap();
            assert!(quirks.learn(400, &refusal(message), sent).is_some(), "{message}");
        }
        quirks
    }

    #[test]
    fn a_named_parameter_is_dropped() {
        for (sent, message, dropped) in [
            (json!({"temperature": 1, "top_p": 1}), "`temperature` and `top_p` cannot both be specified", "top_p"),
            (json!({"temperature": 1, "store": false}), "store: Extra inputs are not permitted", "store"),
            (
                json!({"temperature": 1}),
                "Unsupported value: 'temperature' does not support 0 with this model",
                "temperature",
            ),
            (json!({"seed": 1, "user": "x"}), "Unrecognized request argument supplied: seed", "seed"),
        ] {
            assert_eq!(learned(sent, &[message]).dropped, BTreeSet::from([dropped.to_owned()]), "{message}");
        }
    }

    #[test]
    fn the_limit_of_tokens_has_two_names() {
        let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        assert_eq!(learned(json!({"max_tokens": 9}), &[message]).tokens, TokensKey::MaxCompletionTokens);
        let mut quirks = Quirks { tokens: TokensKey::MaxCompletionTokens, ..Quirks::default() };
        let sent = json!({"max_completion_tokens": 9});
        quirks.learn(400, &refusal("unknown field max_completion_tokens"), sent.as_object().unwrap()).unwrap();
        assert_eq!(quirks.tokens, TokensKey::Unsupported);
    }

    #[test]
    fn the_json_mode_is_weakened_step_by_step() {
        let sent = json!({"response_format": {"type": "json_schema"}});
        assert_eq!(learned(sent.clone(), &["json_schema is not supported"]).json, JsonMode::ObjectOfSchema);
        let message = "response_format is not supported";
        assert_eq!(learned(sent.clone(), &[message, message]).json, JsonMode::Object);
        assert_eq!(learned(sent, &[message, message, message]).json, JsonMode::PromptOnly);
    }

    #[test]
    fn refusals_for_other_reasons_change_nothing() {
        let sent = json!({"model": "x", "temperature": 1});
        let sent = sent.as_object().unwrap();
        for (status, message) in [(401, "bad temperature"), (400, "model x does not exist"), (404, "store")] {
            assert_eq!(Quirks::default().learn(status, &refusal(message), sent), None, "{message}");
        }
    }

    #[test]
    fn without_a_named_parameter_the_json_mode_is_weakened() {
        let sent = json!({"model": "x", "response_format": {"type": "json_schema"}});
        let sent = sent.as_object().unwrap();
        let mut quirks = Quirks::default();
        assert!(quirks.learn(400, &refusal("Bad Request"), sent).is_some());
        assert_eq!(quirks.json, JsonMode::ObjectOfSchema);
        assert_eq!(Quirks::default().learn(400, &refusal("the context length is 4096 tokens"), sent), None);
    }
}
