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
    /// Whether the model knows no system messages.
    pub(super) no_system: bool,
}

/// Keys that a request must have.
const REQUIRED_KEYS: [&str; 4] = ["model", "messages", "stream", "system"];
/// Keys of a request that ask for JSON.
const JSON_KEYS: [&str; 2] = ["response_format", "format"];

impl Quirks {
    /// Adapts the requests so that the endpoint accepts them, and returns a description for the log; `None` if no parameter
    /// seems to be the reason of the refusal.
    pub(super) fn learn(&mut self, status: u16, refusal: &Refusal, sent: &Map<String, Value>) -> Option<String> {
        // Some routers answer 404 if no provider of a model supports a parameter.
        let is_route = status == 404 && (refusal.is_about_json() || refusal.is_about_parameters());
        if !matches!(status, 200 | 400 | 405 | 406 | 409 | 415 | 422 | 500..=599) && !is_route {
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
        if refusal.is_about_roles(status) && !self.no_system && has_system_message(sent) {
            self.no_system = true;
            return Some("knows no system messages; the instruction is a part of the user's message".into());
        }
        let asks_for_json = JSON_KEYS.iter().any(|key| sent.contains_key(*key));
        let is_about_json = refusal.is_about_json() || is_named("format");
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
        None
    }

    /// Attempts after a refusal without a reason: without each optional parameter of the request alone, and then without
    /// all of them. Each with a description for the log.
    pub(super) fn guesses(&self, sent: &Map<String, Value>) -> Vec<(Self, String)> {
        let mut guesses = Vec::new();
        let mut all = self.clone();
        if JSON_KEYS.iter().any(|key| sent.contains_key(*key)) {
            while all.json != JsonMode::PromptOnly {
                let lesson = all.weaken_json_mode();
                guesses.push((Self { json: all.json, ..self.clone() }, lesson));
            }
        }
        for key in ["max_tokens", "max_completion_tokens"].into_iter().filter(|key| sent.contains_key(*key)) {
            all.tokens = TokensKey::Unsupported;
            if key == "max_tokens" {
                let guess = Self { tokens: TokensKey::MaxCompletionTokens, ..self.clone() };
                guesses.push((guess, "uses `max_completion_tokens` instead of `max_tokens`".into()));
            }
            let guess = Self { tokens: TokensKey::Unsupported, ..self.clone() };
            guesses.push((guess, "does not support a limit of tokens".into()));
        }
        let known = ["max_tokens", "max_completion_tokens"];
        let is_other = |key: &&String| !REQUIRED_KEYS.iter().chain(&JSON_KEYS).chain(&known).any(|known| known == key);
        for key in sent.keys().filter(is_other) {
            let mut guess = self.clone();
            let lesson = guess.drop_parameter(key);
            all.drop_parameter(key);
            guesses.push((guess, lesson));
        }
        if has_system_message(sent) {
            let guess = Self { no_system: true, ..self.clone() };
            guesses.push((guess, "knows no system messages; the instruction is a part of the user's message".into()));
            all.no_system = true;
        }
        if guesses.len() > 1 {
            guesses.push((all, "supports no optional parameters; none is sent any more".into()));
        }
        guesses
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

/// Whether a request has a message of the system.
fn has_system_message(sent: &Map<String, Value>) -> bool {
    let messages = sent.get("messages").and_then(Value::as_array);
    messages.is_some_and(|messages| messages.iter().any(|message| message["role"] == "system"))
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
    fn the_instruction_moves_into_the_users_message() {
        let sent = json!({"model": "gemma", "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]});
        for message in [
            "Developer instruction is not enabled for models/gemma-3-27b-it",
            "System role not supported",
            "'messages.0.role': 'system' is not supported. Only user and assistant roles are supported!",
            "Conversation roles must alternate user/assistant/user/assistant/...",
            "Invalid value: 'system'. Supported roles are: 'user' and 'assistant'.",
            "This model does not support system messages.",
            "Unexpected role 'system' in message 0",
            "Please use a valid role: user, model.",
        ] {
            assert!(learned(sent.clone(), &[message]).no_system, "{message}");
        }
        let plain = json!({"model": "gemma", "messages": [{"role": "user", "content": "y"}]});
        let refusal = refusal("System role not supported");
        assert_eq!(Quirks::default().learn(400, &refusal, plain.as_object().unwrap()), None);
    }

    #[test]
    fn a_schema_that_a_server_fails_to_compile_weakens_the_json_mode() {
        let sent = json!({"model": "x", "response_format": {"type": "json_schema"}});
        for message in [
            "failed to parse grammar",
            "Unable to compile JSON schema: unsupported keyword",
            "Invalid schema for response_format 'memories'",
            "xgrammar: the schema has an unknown type",
            "guided_json is not available with this engine",
            "No endpoints found that support structured outputs",
        ] {
            for status in [400, 404, 422, 500, 502] {
                let mut quirks = Quirks::default();
                assert!(quirks.learn(status, &refusal(message), sent.as_object().unwrap()).is_some(), "{message}");
                assert_eq!(quirks.json, JsonMode::ObjectOfSchema, "{message}");
            }
        }
    }

    #[test]
    fn guesses_try_each_parameter_alone_and_then_all() {
        let sent = json!({"model": "x", "stream": true, "messages": [{"role": "system"}], "temperature": 1, "max_tokens": 9,
            "response_format": {"type": "json_schema"}, "store": false});
        let guesses = Quirks::default().guesses(sent.as_object().unwrap());
        let count = guesses.len();
        assert_eq!(count, 3 + 2 + 2 + 1 + 1);
        for (guess, lesson) in &guesses[..count - 1] {
            let changes = [
                guess.json != JsonMode::Schema,
                guess.tokens != TokensKey::MaxTokens,
                !guess.dropped.is_empty(),
                guess.no_system,
            ];
            assert_eq!(changes.iter().filter(|changed| **changed).count(), 1, "{lesson}");
        }
        let (all, _) = &guesses[count - 1];
        assert_eq!((all.json, all.tokens, all.no_system), (JsonMode::PromptOnly, TokensKey::Unsupported, true));
        assert_eq!(all.dropped.len(), 2);
        let bare = json!({"model": "x", "messages": [{"role": "user"}]});
        assert!(Quirks::default().guesses(bare.as_object().unwrap()).is_empty());
    }
}
