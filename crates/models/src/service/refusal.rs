//! Why a service rejected a request, read from its error response.

use serde_json::Value;

use crate::error::RefusalCause;
use crate::text::first_chars;

/// Maximum number of characters of the service's message that are kept.
const MAX_MESSAGE_CHARS: usize = 300;

/// Why a service rejected a request.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// The service's message, in one line.
    pub(crate) message: String,
    /// The parameter that it names.
    pub(crate) param: Option<String>,
    /// The service's error code.
    pub(super) code: String,
}

impl Refusal {
    /// Reads `{"error": {"message", "code", "param"}}` and the variants of other services.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &json["error"];
        let found = [&error["message"], error, &json["message"], &json["detail"]].into_iter().find_map(Value::as_str);
        let listed = json["detail"].is_array().then(|| json["detail"].to_string());
        // An HTML page has no useful message.
        let plain = if json.is_null() && !text.trim_start().starts_with('<') { text.as_ref() } else { "" };
        let message = found.or(listed.as_deref()).unwrap_or(plain);
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            message: first_chars(&message, MAX_MESSAGE_CHARS).to_owned(),
            param: error["param"].as_str().map(str::to_owned),
            code: error["code"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// What the status and the message mean.
    pub(crate) fn cause(&self, status: u16, has_key: bool) -> RefusalCause {
        match status {
            401 if !has_key => RefusalCause::NoKey,
            401 => RefusalCause::InvalidKey,
            403 => RefusalCause::KeyNotAllowed,
            404 => RefusalCause::UnknownModel,
            300..=399 => RefusalCause::Moved,
            _ if self.is_about_quota() => RefusalCause::Quota,
            _ if status == 413 || self.is_about_length() => RefusalCause::TooLong,
            _ => RefusalCause::Other,
        }
    }

    /// The status and the message.
    pub(crate) fn describe(&self, status: u16) -> String {
        match self.message.as_str() {
            "" => format!("HTTP {status}"),
            message => format!("HTTP {status}: {message}"),
        }
    }

    /// The refusal of a request whose failure has this reason.
    pub(crate) fn of_failure(reason: String) -> Self {
        Self { message: reason, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_found_in_all_forms_of_responses() {
        for (body, expected) in [
            (r#"{"error": {"message": "no\n such model", "code": "x"}}"#, "no such model"),
            (r#"{"error": "model not found"}"#, "model not found"),
            (r#"{"detail": "Not Found"}"#, "Not Found"),
            (r#"{"detail": [{"loc": ["body", "store"]}]}"#, r#"[{"loc":["body","store"]}]"#),
            ("upstream connect error", "upstream connect error"),
            ("<html><body>502</body></html>", ""),
            ("", ""),
        ] {
            assert_eq!(Refusal::parse(body.as_bytes()).message, expected);
        }
    }
}
