//! What a refusal is about, read from the words of many services. No other place reads these words.

use super::Refusal;

/// Words for things that can be too long, and for their excess.
const LENGTHS: [&str; 16] = [
    "token",
    "length",
    "character",
    "context",
    "prompt",
    "input",
    "text",
    "message",
    "request",
    "payload",
    "body",
    "tensor",
    "entity",
    "content",
    "内容",
    "长度",
];
const EXCESSES: [&str; 29] = [
    "max ",
    "exceed",
    "too long",
    "too_long",
    "too large",
    "too_large",
    "too big",
    "too many",
    "maximum",
    "max length",
    "max_length",
    "maxlength",
    "max input",
    "less than",
    "at most",
    "longer than",
    "larger than",
    "reduce",
    "overflow",
    "must match",
    "up to",
    "should be [1",
    "window of",
    "limit is",
    "context length",
    "过长",
    "超过",
    "超长",
    "最大",
];
/// Words for many texts, and for limits of their number.
const BATCHES: [&str; 16] = [
    "batch",
    "inputs",
    "items",
    "item count",
    "instances",
    "instance(s)",
    "texts",
    "documents",
    "array",
    "list",
    "requests",
    "sequence, expected a string",
    "type: string",
    "valid string",
    "数组",
    "strings",
];
const LIMITS: [&str; 14] = [
    "too many",
    "at most",
    "max",
    "larger than",
    "greater than",
    "limit",
    "invalid",
    "allowed",
    "too long",
    "expected",
    "should be",
    "split",
    "exceed",
    "最大",
];
/// Words of those who count requests over time, or have too many of them.
const BUSY: [&str; 8] =
    ["rate limit", "rate_limit", "per min", "per day", "per second", "overload", "quota", "too many requests"];
const PARAMETERS: [&str; 16] = [
    "validation error",
    "not supported",
    "does not support",
    "unsupported",
    "unrecognized",
    "not permitted",
    "unexpected keyword",
    "unexpected argument",
    "unknown field",
    "unknown name",
    "unknown parameter",
    "unknown argument",
    "extra_forbidden",
    "extraneous",
    "extra fields",
    "additional properties",
];
/// Names of causes that are about the content of a request.
const CONTENT_SIGNALS: [&str; 18] = [
    "content_filter",
    "contentfilter",
    "content_policy",
    "contentpolicy",
    "responsibleaipolicy",
    "prohibited_content",
    "prohibitedcontent",
    "blockreason",
    "block_reason",
    "blocklist",
    "guardrail",
    "data_inspection_failed",
    "datainspectionfailed",
    "moderation",
    "unsafe_content",
    "content_violation",
    "flagged_input",
    "sensitive_content",
];
/// Phrases for the same.
const CONTENT_PHRASES: [&str; 22] = [
    "content management",
    "responsibleai",
    "data_inspection",
    "data inspection",
    "content filter",
    "content_filter",
    "content policy",
    "content moderation",
    "requires moderation",
    "moderation policy",
    "content exists risk",
    "safety system",
    "safety filter",
    "safety setting",
    "inappropriate content",
    "unsafe content",
    "prohibited content",
    "prohibited_content",
    "sensitive content",
    "sensitive information",
    "guardrail",
    "敏感",
];
/// Words that mean the same of a request's content, and something else of an account.
const REFUSED: [&str; 5] = ["filtered", "prohibited", "inappropriate", "flagged", "usage polic"];
const CONTENT: [&str; 6] = ["content", "prompt", "input", "message", "text", "output"];
const ACCOUNT: [&str; 15] = [
    "account",
    "country",
    "region",
    "location",
    "territory",
    "your access",
    "api key",
    "api_key",
    "organization",
    "subscription",
    "permission",
    "terminated",
    "suspended",
    "banned",
    "credential",
];
/// Words of services whose account has no money left.
const BILLING: [&str; 22] = [
    "insufficient_quota",
    "exceeded_current_quota_error",
    "insufficient credit",
    "insufficient balance",
    "insufficient_balance",
    "insufficient fund",
    "credit balance",
    "out of credit",
    "enough credit",
    "no credits",
    "more credits",
    "arrear",
    "payment required",
    "payment method",
    "billing hard limit",
    "billing_hard_limit",
    "billing_not_active",
    "spending limit",
    "budget has been exceeded",
    "budget exceeded",
    "余额不足",
    "欠费",
];

fn has(words: &str, list: &[&str]) -> bool {
    list.iter().any(|word| words.contains(word))
}

impl Refusal {
    /// The message and the code in lower case, without the parameters that limit an answer.
    fn words(&self) -> String {
        let words = format!("{} {}", self.message, self.code).to_lowercase();
        words.replace("max_tokens", "").replace("max_completion_tokens", "")
    }

    /// Whether the account's quota or money is used up, so that a retry is useless.
    pub(crate) fn is_about_quota(&self) -> bool {
        has(&self.words(), &BILLING)
    }

    /// Whether it is about the parameters of the request.
    pub(crate) fn is_about_parameters(&self) -> bool {
        has(&self.words(), &PARAMETERS)
    }

    /// Whether it names a key of the request.
    pub(crate) fn names(&self, key: &str) -> bool {
        let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
        self.param.as_deref().and_then(|param| param.split(['.', '[']).next()) == Some(key)
            || self.message.to_lowercase().split(|char| !is_part(char)).any(|word| word == key)
    }

    /// Whether the texts of the request are too long: one of them, or all together.
    pub(crate) fn is_about_length(&self) -> bool {
        let words = self.words();
        has(&words, &LENGTHS)
            && has(&words, &EXCESSES)
            && (!has(&words, &BUSY) || words.contains("request too large") || self.requests_more_than_the_limit())
            && !words.contains("auth")
    }

    /// Whether it names a limit and a larger number that the request needs alone, so that waiting does not help.
    fn requests_more_than_the_limit(&self) -> bool {
        let words = self.words();
        let number_after = |word: &str| {
            let rest = &words[words.find(word)? + word.len()..];
            let rest = rest.trim_start_matches(|char: char| !char.is_ascii_alphanumeric());
            let digits: String = rest
                .chars()
                .take_while(|char| char.is_ascii_digit() || *char == ',')
                .filter(|char| *char != ',')
                .collect();
            digits.parse::<u64>().ok()
        };
        let limit = ["limit: ", "limit "].iter().find_map(|word| number_after(word));
        limit.zip(number_after("requested")).is_some_and(|(limit, requested)| requested > limit)
    }

    /// Whether the request has too many texts.
    pub(crate) fn is_about_count(&self) -> bool {
        let words = self.words().replace("physical batch size", "");
        has(&words, &BATCHES) && has(&words, &LIMITS) && !has(&words, &BUSY) && !words.contains("token")
    }

    /// Whether a filter of the service refuses the content of the request.
    pub(crate) fn is_about_content(&self) -> bool {
        let words = self.words();
        let is_violation = words.contains("violat") && has(&words, &["polic", "guideline", "terms"]);
        let is_of_content = has(&words, &CONTENT) && !has(&words, &ACCOUNT);
        let is_name = |signal: &String| {
            matches!(signal.as_str(), "safety" | "recitation" | "spii" | "refusal") || has(signal, &CONTENT_SIGNALS)
        };
        (is_of_content && (is_violation || has(&words, &REFUSED)))
            || has(&words, &CONTENT_PHRASES)
            || self.signals.iter().any(is_name)
    }

    /// Whether the endpoint can't answer with JSON in the requested way.
    pub(crate) fn is_about_json(&self) -> bool {
        let message = self.message.to_lowercase();
        let names = [
            "response_format",
            "response format",
            "json_schema",
            "json schema",
            "jsonschema",
            "json_object",
            "json mode",
            "json_mode",
            "structured output",
            "grammar",
            "guided_",
            "guided decoding",
            "xgrammar",
            "outlines",
        ];
        names.iter().any(|name| message.contains(name))
            || self.param.as_deref().is_some_and(|param| param.starts_with("response_format"))
    }

    /// Whether the model knows no system messages, or requires that user and assistant take turns. A server that fails (5xx)
    /// may speak of messages and of its system.
    pub(crate) fn is_about_roles(&self, status: u16) -> bool {
        let message = self.message.to_lowercase();
        let words = ["role", "instruction", "message", "prompt"];
        let words = if status >= 500 { &words[..2] } else { &words[..] };
        let names_role = ["system", "developer"].iter().any(|role| message.contains(role))
            && words.iter().any(|word| message.contains(word));
        let is_refused = [
            "not enabled",
            "not support",
            "unsupported",
            "n't support",
            "not allowed",
            "not permitted",
            "not accept",
            "invalid",
            "unknown",
            "unexpected",
            "unrecognized",
            "must be one of",
            "should be one of",
            "only user and",
        ];
        names_role && is_refused.iter().any(|words| message.contains(words))
            || [
                "must alternate",
                "should alternate",
                "only user and assistant",
                "only user, assistant",
                "only user and model",
                "valid role: user, model",
                "first message must be",
                "start with a user",
                "start with user",
                "begin with a user",
            ]
            .iter()
            .any(|words| message.contains(words))
    }

    /// Whether the request itself is the reason of an error with this status, so that a retry of the same request is
    /// useless. Status 429, 503 and the like are about the service, unless the message says otherwise.
    pub(crate) fn is_about_the_request(&self, status: u16) -> bool {
        match status {
            408 | 425 => false,
            429 => self.words().contains("request too large") || self.requests_more_than_the_limit(),
            500 => {
                self.is_about_parameters()
                    || self.is_about_length()
                    || self.is_about_count()
                    || self.is_about_content()
                    || self.is_about_json()
                    || self.is_about_roles(status)
            }
            501..=599 => self.is_about_length() || self.is_about_content() || self.is_about_json(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &str) -> Refusal {
        Refusal { message: message.into(), ..Refusal::default() }
    }

    #[test]
    fn length_is_recognised_in_many_words() {
        for message in [
            "This model's maximum context length is 8192 tokens",
            "the input length exceeds the context length",
            "input is too large to process. increase the physical batch size",
            "String should have at most 2000 characters",
        ] {
            assert!(of(message).is_about_length(), "{message}");
            assert!(!of(message).is_about_count(), "{message}");
        }
        for message in [
            "invalid auth token",
            "unknown field `encoding_format`",
            "Unsupported parameter: 'max_tokens'",
            "Rate limit reached: limit is 30000 tokens per min",
            "the model does not exist",
        ] {
            assert!(!of(message).is_about_length(), "{message}");
        }
    }

    #[test]
    fn a_busy_service_is_not_a_refusal() {
        for (status, message, expected) in [
            (429, "Rate limit reached: maximum of 30000 tokens per min", false),
            (429, "Request too large for the model: limit 6000 tokens per min, requested 9000", true),
            (429, "Rate limit reached for tokens per min. Limit: 30,000, Used: 0, Requested: 45,000.", true),
            (429, "Rate limit reached for tokens per min. Limit: 30000, Used: 20000, Requested: 25000.", false),
            (503, "the server is overloaded with too many requests", false),
            (500, "Internal Server Error", false),
            (500, "An unexpected error occurred in our system, message id 7", false),
            (500, "The system is in an invalid state; the prompt was not processed", false),
            (500, "Unknown error of the system prompt cache", false),
            (500, "Developer message: unexpected end of stream", false),
            (500, "unexpected failure in the message queue of the system", false),
            (500, "System role not supported", true),
            (500, "Conversation roles must alternate user/assistant", true),
            (500, "Developer instruction is not enabled", true),
            (500, "input length exceeds maximum context length", true),
            (502, "", false),
            (400, "", true),
        ] {
            assert_eq!(of(message).is_about_the_request(status), expected, "{status} {message}");
        }
    }

    #[test]
    fn keys_are_found_as_words() {
        assert!(of("Unknown name \"dimensions\": cannot find field").names("dimensions"));
        assert!(!of("max_dimensions is wrong").names("dimensions"));
        let param = Refusal { param: Some("encoding_format".into()), ..Refusal::default() };
        assert!(param.names("encoding_format") && !param.names("user"));
    }
}
