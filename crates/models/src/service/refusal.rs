//! Why a service rejected a request, read from its error response.

use super::reason::{self, Reason};
use crate::error::RefusalCause;
use crate::text::first_chars;

/// Maximum number of characters of the service's message that are reported.
const MAX_REPORTED_CHARS: usize = 300;
/// Maximum number of characters of the service's message that are searched for the cause.
const MAX_MESSAGE_CHARS: usize = 4000;
/// Why a service rejected a request.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// The service's message, in one line.
    pub(crate) message: String,
    /// The parameter that it names.
    pub(crate) param: Option<String>,
    /// The service's error code.
    pub(super) code: String,
    /// Names in the response, in lower case.
    pub(super) signals: Vec<String>,
}

impl Refusal {
    /// Reads the reason from the body of a response of any form.
    pub(crate) fn parse(body: &[u8]) -> Self {
        Self::of(reason::read(body))
    }

    /// Reads the error in a response whose status says that it succeeded, and the status that it should have had: the one that
    /// the error names; else 503 if a retry may help, or the response's own.
    pub(crate) fn in_success(body: &[u8]) -> Option<(u16, Self)> {
        let reason = reason::in_success(body)?;
        let status = reason.status;
        let refusal = Self::of(reason);
        let message = refusal.message.to_lowercase();
        let may_recover =
            ["overloaded", "rate limit", "rate_limit", "too many requests", "temporarily", "timed out", "timeout"]
                .iter()
                .any(|words| message.contains(words) || refusal.signals.iter().any(|signal| signal.contains(words)));
        Some((status.unwrap_or(if may_recover { 503 } else { 200 }), refusal))
    }

    fn of(reason: Reason) -> Self {
        let Reason { message, param, code, signals, .. } = reason;
        Self { message: first_chars(&message, MAX_MESSAGE_CHARS).to_owned(), param, code, signals }
    }

    /// What the status and the message mean.
    pub(crate) fn cause(&self, status: u16, has_key: bool) -> RefusalCause {
        match status {
            401 if !has_key => RefusalCause::NoKey,
            401 => RefusalCause::InvalidKey,
            402 => RefusalCause::Quota,
            _ if self.is_about_content() => RefusalCause::Filtered,
            403 if self.is_about_quota() => RefusalCause::Quota,
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
            message => format!("HTTP {status}: {}", first_chars(message, MAX_REPORTED_CHARS)),
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
            ("<html><body></body></html>", ""),
            (r#"[{"error": {"message": "API key not valid"}}]"#, "API key not valid"),
            ("", ""),
        ] {
            assert_eq!(Refusal::parse(body.as_bytes()).message, expected);
        }
    }

    #[test]
    fn refusals_of_content_are_recognized() {
        for body in [
            r#"{"error": {"message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", "code": "content_filter", "status": 400}}"#,
            r#"{"error": {"message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}"#,
            r#"{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}"#,
            r#"[{"error": {"message": "x", "status": "SAFETY"}}]"#,
            r#"{"error": {"message": "Your input was flagged", "metadata": {"reasons": ["violence"]}}}"#,
            r#"{"error": {"code": "1301", "message": "系统检测到输入可能包含敏感内容"}}"#,
            r#"{"error": {"message": "Content Exists Risk"}}"#,
            r#"{"error": {"message": "Output blocked", "type": "content_policy_violation"}}"#,
            r#"{"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}"#,
            r#"{"message": "Guardrail was enabled and blocked the request"}"#,
            r#"{"error": {"message": "Provider returned error", "metadata": {"raw": "{\"error\":{\"code\":\"content_filter\"}}"}}}"#,
        ] {
            for status in [400, 403, 422, 500] {
                assert_eq!(Refusal::parse(body.as_bytes()).cause(status, true), RefusalCause::Filtered, "{body}");
            }
        }
        for body in [
            r#"{"error": "maximum context length is 8192 tokens"}"#,
            r#"{"error": {"message": "case-sensitive name", "type": "invalid_request_error"}}"#,
        ] {
            assert!(!Refusal::parse(body.as_bytes()).is_about_content(), "{body}");
        }
    }

    #[test]
    fn refusals_of_an_account_are_not_about_content() {
        use RefusalCause::{InvalidKey, KeyNotAllowed, Quota};
        for (status, message, expected) in [
            (403, "Access prohibited: your country is not supported", KeyNotAllowed),
            (403, "Your access was terminated due to violation of our policies", KeyNotAllowed),
            (403, "Your account was flagged for unusual activity. Contact support.", KeyNotAllowed),
            (403, "The organization is banned: it violated the terms of service with this input", KeyNotAllowed),
            (401, "Your account was flagged: content policy", InvalidKey),
            (402, "Insufficient credits. Add more using the dashboard.", Quota),
            (402, "", Quota),
            (402, "Insufficient Balance", Quota),
            (403, "Insufficient balance: this key has no credits", Quota),
            (400, "Your credit balance is too low to access the API.", Quota),
            (400, "Budget has been exceeded! Current cost: 10.2, max budget: 10 for these tokens", Quota),
            (400, "Access denied, please make sure your account is in good standing: Arrearage", Quota),
            (429, "账户余额不足，请充值", Quota),
            (400, "Billing hard limit has been reached", Quota),
        ] {
            let body = serde_json::json!({"error": {"message": message}}).to_string();
            assert_eq!(Refusal::parse(body.as_bytes()).cause(status, true), expected, "{status} {message}");
        }
    }
}
