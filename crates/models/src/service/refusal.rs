//! Why a service refused, read from whatever it says.

use serde_json::Value;

use super::cut;

/// What is told of its words, in characters.
const TOLD: usize = 300;

/// Why a service refused.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// Its words, in one line.
    pub(crate) message: String,
    /// The parameter it is about, where it says so.
    pub(crate) param: Option<String>,
    /// Its name for it.
    code: String,
}

impl Refusal {
    /// Reads `{"error": {"message", "code", "param"}}` and what others make of it.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &json["error"];
        let found = [&error["message"], error, &json["message"], &json["detail"]].into_iter().find_map(Value::as_str);
        let listed = json["detail"].is_array().then(|| json["detail"].to_string());
        // A page for browsers tells nothing.
        let plain = if json.is_null() && !text.trim_start().starts_with('<') { text.as_ref() } else { "" };
        let message = found.or(listed.as_deref()).unwrap_or(plain);
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            message: cut(&message, TOLD).to_owned(),
            param: error["param"].as_str().map(str::to_owned),
            code: error["code"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// Status and words.
    pub(crate) fn told(&self, status: u16) -> String {
        match self.message.as_str() {
            "" => format!("HTTP {status}"),
            message => format!("HTTP {status}: {message}"),
        }
    }

    /// Whether there is nothing left to pay with, which no second try mends.
    pub(crate) fn is_about_money(&self) -> bool {
        self.code == "insufficient_quota"
    }

    /// Whether the request's form was minded, not its moment.
    pub(crate) fn is_about_form(&self) -> bool {
        let message = self.message.to_lowercase();
        ["validation error", "not supported", "unsupported", "unrecognized", "not permitted", "unexpected keyword"]
            .iter()
            .any(|words| message.contains(words))
    }

    /// Whether what was sent was too long, alone or together.
    pub(crate) fn is_about_length(&self) -> bool {
        let message = self.message.to_lowercase();
        // A token may also be the key, and `max_tokens` a parameter.
        let message = message.replace("max_tokens", "").replace("max_completion_tokens", "");
        ["token", "too long", "too large", "context length", "maximum length", "sequence length", "input length"]
            .iter()
            .any(|word| message.contains(word))
            && !message.contains("auth")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_wherever_it_stands() {
        for (body, told) in [
            (r#"{"error": {"message": "no\n such model", "code": "x"}}"#, "no such model"),
            (r#"{"error": "model not found"}"#, "model not found"),
            (r#"{"detail": "Not Found"}"#, "Not Found"),
            (r#"{"detail": [{"loc": ["body", "store"]}]}"#, r#"[{"loc":["body","store"]}]"#),
            ("upstream connect error", "upstream connect error"),
            ("<html><body>502</body></html>", ""),
            ("", ""),
        ] {
            assert_eq!(Refusal::parse(body.as_bytes()).message, told);
        }
        let about = |message: &str| Refusal { message: message.into(), ..Refusal::default() }.is_about_length();
        assert!(about("This model's maximum context length is 8192 tokens"));
        assert!(about("the input length exceeds the context length"));
        assert!(!about("invalid auth token"));
        assert!(!about("unknown field `encoding_format`"));
        assert!(!about("Unsupported parameter: 'max_tokens'"));
    }
}
