//! Error answers. Status, code and hint are those of [`ErrorCode`].

use axum::Json;
use axum::http::header::{ACCEPT_ENCODING, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use mnemon_engine::{EngineError, ErrorCode};
use mnemon_models::ModelError;
use mnemon_store::StoreError;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::answer::{self, ErrorFormat, error_format};
use crate::request_id;

/// Most ignored names in the message of an error.
const MAX_NAMED: usize = 5;

/// An error answer.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    hint: Option<&'static str>,
    /// The parameter or key that is at fault, if it is one.
    param: Option<String>,
    /// The error of a model with the message of its service. Only admins see it.
    reason: Option<String>,
    /// The list of faults in FastAPI's format, in place of the message.
    list: Option<Box<Value>>,
    /// Boxed, because nearly every `Result` of this crate has room for a `Problem`.
    headers: Box<HeaderMap>,
}

/// The body of every error answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// The error message; for 422 a list of `{type, loc, msg, input}` in FastAPI's format.
    detail: Value,
    /// The error message as a string.
    error: String,
    /// A stable code for the kind of error.
    code: String,
    /// The error of a model with the message of its service; only with an admin's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What the caller can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The id of the request, as in the header `X-Request-ID` and in the server's log.
    request_id: String,
    /// The names of the parameters and keys that the request gave and that nothing reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
}

/// The body of every error answer of the routes of OpenAI's API.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiErrorBody {
    error: OpenAiError,
}

/// An error in OpenAI's format.
#[derive(Debug, Serialize, ToSchema)]
struct OpenAiError {
    /// The error message, and what the caller can do about it.
    message: String,
    /// `invalid_request_error`, `rate_limit_error` or `server_error`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The parameter that is at fault; null if it is none.
    param: Option<String>,
    /// A stable code for the kind of error.
    code: String,
}

impl Problem {
    /// The status and the hint are those of the code.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let status = code.status().and_then(|status| StatusCode::from_u16(status).ok());
        Self {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code,
            message: message.into(),
            hint: code.hint(),
            param: None,
            reason: None,
            list: None,
            headers: Box::default(),
        }
    }

    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Names the parameter or key that is at fault.
    pub(crate) fn param(mut self, name: &str) -> Self {
        self.param = Some(name.to_owned());
        self
    }

    /// The error in OpenAI's format.
    pub(crate) fn to_openai(&self) -> OpenAiErrorBody {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let hint = self.hint.map_or_else(String::new, |hint| format!(" {hint}"));
        let reason = self.reason().map_or_else(String::new, |reason| format!(" ({reason})"));
        OpenAiErrorBody {
            error: OpenAiError {
                message: format!("{}{reason}{hint}", self.message),
                kind,
                param: self.param.clone(),
                code: self.code.as_str().to_owned(),
            },
        }
    }

    fn header(mut self, name: impl axum::http::header::IntoHeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// The message is mem0's own, because its clients may match it.
    pub(crate) fn memory_not_found(id: impl std::fmt::Display) -> Self {
        Self::not_found(format!("Memory with id {id} not found. Please provide a valid 'memory_id'"))
    }

    pub(crate) fn no_credentials() -> Self {
        Self::new(ErrorCode::NotAuthenticated, "Authentication is required.").with_challenge()
    }

    pub(crate) fn bad_credentials() -> Self {
        Self::new(ErrorCode::InvalidCredentials, "The key or token is not valid.")
            .hint("Check the spelling. The key may have been revoked, and a token may have expired.")
            .with_challenge()
    }

    /// A wrong password or token in a request body.
    pub(crate) fn wrong_login(message: &str) -> Self {
        Self::new(ErrorCode::InvalidCredentials, message).with_challenge()
    }

    fn with_challenge(self) -> Self {
        self.header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(crate) fn admin_only() -> Self {
        Self::new(ErrorCode::AdminRequired, "Admin role required.")
    }

    pub(crate) fn missing_scope(scope: &str) -> Self {
        Self::new(ErrorCode::MissingScope, format!("This key does not have the scope `{scope}`."))
    }

    pub(crate) fn wrong_user() -> Self {
        Self::new(ErrorCode::NotYourUser, "This key may access only the memories of its own user_id.")
    }

    pub(crate) fn cross_site() -> Self {
        Self::new(ErrorCode::CrossSite, "Requests from pages of other sites are refused unless they have a key.")
    }

    /// The answer to a body in a type that a page of another site may send.
    pub(crate) fn content_type() -> Self {
        Self::new(ErrorCode::CrossSite, "Without a key, the body must be sent as JSON.")
            .hint("Send the header Content-Type: application/json.")
    }

    pub(crate) fn no_scope() -> Self {
        Self::bad_request("At least one identifier (user_id, agent_id, run_id) is required.")
    }

    pub(crate) fn too_many_requests(limit: u32, wait: u64) -> Self {
        Self::new(ErrorCode::RateLimited, format!("Rate limit exceeded: {limit} per 1 minute"))
            .header(RETRY_AFTER, wait)
            .header("x-ratelimit-limit", limit)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset", wait)
    }

    pub(crate) fn no_language_model(feature: &str) -> Self {
        Self::new(ErrorCode::LlmNotConfigured, format!("{feature} requires a language model."))
    }

    pub(crate) fn not_implemented(feature: &str) -> Self {
        Self::new(ErrorCode::NotImplemented, format!("{feature} is not implemented yet."))
    }

    pub(crate) fn cancelled() -> Self {
        let message = "The memories of this owner were deleted during the extraction; nothing was stored.";
        Self::new(ErrorCode::Conflict, message)
    }

    pub(crate) fn timeout() -> Self {
        Self::new(ErrorCode::Timeout, "The request took too long.")
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(ErrorCode::BodyTooLarge, format!("The request body is larger than {limit} bytes."))
    }

    /// The answer to a body in an encoding that is not supported. The header names those that are.
    pub(crate) fn unsupported_encoding(name: &str) -> Self {
        let name: String = name.chars().take(40).collect();
        let message =
            format!("The Content-Encoding `{name}` of the body is not supported: send it plain, gzip or deflate.");
        Self::new(ErrorCode::UnsupportedEncoding, message)
            .header(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"))
    }

    /// The answer to a body that is packed several times.
    pub(crate) fn packed_twice() -> Self {
        Self::new(ErrorCode::UnsupportedEncoding, "The body is packed more than once: send it plain, or packed once.")
            .header(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"))
    }

    pub(crate) fn internal() -> Self {
        Self::new(ErrorCode::Internal, "An internal error occurred.")
    }

    /// A fault of the server. The reason is for operators, so it is only logged.
    fn own_fault(code: ErrorCode, error: &EngineError) -> Self {
        tracing::error!(request_id = request_id::current(), code = code.as_str(), %error, "request failed");
        let hint = code.status().and_then(|_| code.hint());
        let code = match (code.status(), error) {
            (Some(_), _) => code,
            (None, EngineError::Store(_)) => ErrorCode::DatastoreUnavailable,
            (None, _) => ErrorCode::Internal,
        };
        let fault = Self { code, ..Self::internal() };
        match hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }

    /// The error of a model with the message of its service, if the caller may see it.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref().filter(|_| crate::admin_request::is_current())
    }

    /// A model does not answer, refuses the request, or does not work with its settings. The message of its service is for
    /// operators, so it is logged, and answered to admins only.
    fn model_failed(error: &EngineError, failure: &ModelError) -> Self {
        let (code, kind) = (error.code(), failure.kind());
        let (request_id, name, hint) = (request_id::current(), code.as_str(), error.log_hint());
        let message = match (code, failure) {
            (_, ModelError::Unavailable { .. }) => format!("The {kind} is unavailable; try again later."),
            (ErrorCode::LlmInputTooLong, _) => format!("The messages are too long for the {kind}."),
            (ErrorCode::LlmContentRefused, _) => format!("The {kind} refuses the content of the messages."),
            _ => format!("The {kind} does not work with its current settings."),
        };
        if error.is_callers_error() || matches!(failure, ModelError::Unavailable { .. }) {
            tracing::warn!(request_id, code = name, %error, "{message}");
        } else {
            tracing::error!(request_id, code = name, %error, hint, "model failed");
        }
        Self { reason: Some(error.to_string()), ..Self::new(code, message) }
    }

    /// An invalid value, in FastAPI's format: its location, the kind of error, the message and the given value.
    pub(crate) fn unprocessable(location: &[&str], kind: &str, message: String, input: Value) -> Self {
        let list = json!([{"type": kind, "loc": location, "msg": message, "input": input}]);
        let message = format!("{}: {message}", location.join("."));
        let param = location.get(1..).map(|steps| steps.join(".")).filter(|param| !param.is_empty());
        Self {
            param,
            list: Some(Box::new(list)),
            status: StatusCode::UNPROCESSABLE_ENTITY,
            ..Self::bad_request(message)
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let code = error.code();
        if code.status().is_none_or(|status| status == 500) {
            return Self::own_fault(code, &error);
        }
        match &error {
            EngineError::Store(StoreError::NotFound(id)) => Self::memory_not_found(id),
            EngineError::NoLanguageModel(feature) => Self::no_language_model(feature),
            EngineError::Model(failure) => Self::model_failed(&error, failure),
            EngineError::Store(StoreError::InvalidId(_)) => {
                Self::not_found(error.to_string()).hint("The id of a memory is a UUID.")
            }
            EngineError::Store(StoreError::TooDeep { .. }) => {
                Self::bad_request(error.to_string()).hint("Use fewer levels of nesting.")
            }
            _ => Self::new(code, error.to_string()),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        EngineError::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let ignored = answer::ignored();
        // A misspelt name is the likely reason of such an error.
        if self.status == StatusCode::BAD_REQUEST && !ignored.is_empty() {
            let names = ignored.iter().take(MAX_NAMED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            self.message.push_str(&format!(" (not read: {names})"));
        }
        if error_format() == ErrorFormat::OpenAi {
            let mut response = (self.status, Json(self.to_openai())).into_response();
            response.headers_mut().extend(*self.headers);
            return response;
        }
        let reason = self.reason().map(str::to_owned);
        let body = ErrorBody {
            reason,
            detail: self.list.map_or_else(|| self.message.clone().into(), |list| *list),
            error: self.message,
            code: self.code.as_str().to_owned(),
            hint: self.hint.map(str::to_owned),
            request_id: request_id::current(),
            ignored,
        };
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().extend(*self.headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use mnemon_models::{ModelKind, RefusalCause};

    use super::*;

    #[test]
    fn errors_of_the_engine_keep_their_status_and_code() {
        let refused = |kind| ModelError::Refused {
            kind,
            server: "http://secret".into(),
            model: "m".into(),
            reason: "sk-secret".into(),
            cause: RefusalCause::InvalidKey,
        };
        let unavailable_model =
            |kind| ModelError::Unavailable { kind, server: "s".into(), reason: "r".into(), wait: None };
        let mismatch =
            StoreError::EmbedderMismatch { stored: "a".into(), stored_dims: 1, given: "b".into(), given_dims: 2 };
        let unavailable = StoreError::Unavailable { server: "s".into(), reason: "r".into() };
        let unknown = StoreError::OutcomeUnknown { server: "s".into(), reason: "r".into() };
        let dims = ModelError::Dims { model: "m".into(), expected: 1, found: 2 };
        let answer = EngineError::Extraction { reason: "no JSON".into(), is_truncated: false };
        for (error, status, code) in [
            (EngineError::Invalid("x".into()), 400, "invalid_request"),
            (EngineError::NoOwner, 400, "invalid_request"),
            (EngineError::NoLanguageModel("chat"), 503, "llm_not_configured"),
            (answer, 502, "llm_answer"),
            (unavailable_model(ModelKind::LanguageModel).into(), 503, "llm_unavailable"),
            (unavailable_model(ModelKind::Embedder).into(), 503, "embedder_unavailable"),
            (refused(ModelKind::LanguageModel).into(), 502, "llm_failed"),
            (refused(ModelKind::Embedder).into(), 502, "embedder_failed"),
            (dims.into(), 502, "embedder_failed"),
            ("x".parse::<mnemon_store::MemoryId>().map_err(StoreError::from).unwrap_err().into(), 404, "not_found"),
            (StoreError::NotFound(mnemon_store::MemoryId::Number(7)).into(), 404, "not_found"),
            (StoreError::InvalidScope("x".into()).into(), 400, "invalid_scope"),
            (StoreError::InvalidCursor.into(), 400, "invalid_cursor"),
            (StoreError::TooDeep { limit: 9 }.into(), 400, "invalid_request"),
            (StoreError::Unsupported("x".into()).into(), 400, "invalid_request"),
            (StoreError::Exists(mnemon_store::MemoryId::Number(7)).into(), 409, "exists"),
            (StoreError::Conflict.into(), 503, "busy"),
            (StoreError::Busy.into(), 503, "busy"),
            (unavailable.into(), 503, "datastore_unavailable"),
            (unknown.into(), 503, "outcome_unknown"),
            (mismatch.into(), 503, "embedder_mismatch"),
            (StoreError::Full.into(), 507, "full"),
            (StoreError::ReadOnly { reason: "x".into() }.into(), 503, "read_only"),
            (StoreError::Corrupt("secret".into()).into(), 500, "datastore_unavailable"),
            (StoreError::Database("secret".into()).into(), 500, "datastore_unavailable"),
            (StoreError::Misconfigured("secret".into()).into(), 500, "datastore_unavailable"),
            (EngineError::EmbedderChanged { text: "secret".into(), cosine: 0.5 }, 500, "internal"),
        ] {
            let problem = Problem::from(error);
            assert_eq!((problem.status.as_u16(), problem.code.as_str()), (status, code), "{}", problem.message);
            assert!(!problem.message.contains("secret"), "{code}: {}", problem.message);
        }
    }
}
