//! Error answers: one table of status, stable code and hint.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use mnemon_engine::EngineError;
use mnemon_models::{ModelError, ModelKind};
use mnemon_store::StoreError;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::request_id;

/// An error answer.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    hint: Option<&'static str>,
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
    /// What the caller can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The id of the request, as in the header `X-Request-ID` and in the server's log.
    request_id: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None, list: None, headers: Box::default() }
    }

    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    fn header(mut self, name: impl axum::http::header::IntoHeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// The message is mem0's own, because its clients may match it.
    pub(crate) fn memory_not_found(id: impl std::fmt::Display) -> Self {
        Self::not_found(format!("Memory with id {id} not found. Please provide a valid 'memory_id'"))
    }

    pub(crate) fn no_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authenticated", "Authentication is required.")
            .hint("Send your key in the header X-API-Key, or as Authorization: Token KEY or Authorization: Bearer KEY.")
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(crate) fn bad_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", "The key or token is not valid.")
            .hint("Check the spelling. The key may have been revoked, and a token may have expired.")
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// A wrong password or token in a request body.
    pub(crate) fn wrong_login(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", message)
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(crate) fn admin_only() -> Self {
        Self::forbidden("admin_required", "Admin role required.").hint("Use ADMIN_API_KEY or a key of role admin.")
    }

    pub(crate) fn missing_scope(scope: &str) -> Self {
        Self::forbidden("missing_scope", format!("This key does not have the scope `{scope}`."))
    }

    pub(crate) fn wrong_user() -> Self {
        Self::forbidden("not_your_user", "This key may access only the memories of its own user_id.")
            .hint("Omit user_id, or use the key of that user or an admin key.")
    }

    pub(crate) fn cross_site() -> Self {
        Self::forbidden("cross_site", "With authentication off, requests from pages of other sites are refused.").hint(
            "Call the server at 127.0.0.1 or localhost and add the page's origin to cors_origins, or turn on \
                 authentication and send an API key.",
        )
    }

    pub(crate) fn no_scope() -> Self {
        Self::bad_request("At least one identifier (user_id, agent_id, run_id) is required.")
    }

    pub(crate) fn too_many_requests(limit: u32, wait: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", format!("Rate limit exceeded: {limit} per 1 minute"))
            .hint("Wait for the number of seconds in Retry-After.")
            .header(RETRY_AFTER, wait)
            .header("x-ratelimit-limit", limit)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset", wait)
    }

    pub(crate) fn no_language_model(feature: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "llm_not_configured",
            format!("{feature} requires a language model."),
        )
        .hint("Set llm (MNEMON_LLM), e.g. to openai:gpt-4o-mini or ollama:qwen3. Other features do not need it.")
    }

    pub(crate) fn not_implemented(feature: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", format!("{feature} is not implemented yet."))
    }

    pub(crate) fn timeout() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "The request took too long.")
            .hint("Try again. A write may have been stored all the same: check before you repeat it.")
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("The request body is larger than {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
            .hint("Split it into several requests, or raise max_body_mb.")
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "An internal error occurred.")
            .hint("The server's log has the reason under this request_id.")
    }

    /// A model does not answer. Its address and its message are for operators, so they are only logged.
    fn model_unavailable(kind: ModelKind, error: &ModelError) -> Self {
        tracing::warn!(request_id = request_id::current(), %error, "model unavailable");
        let code = match kind {
            ModelKind::LanguageModel => "llm_unavailable",
            _ => "embedder_unavailable",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, format!("The {kind} is unavailable; try again later."))
            .hint("Nothing was stored. The server's log has the reason under this request_id.")
    }

    /// The embedder refuses requests or answers wrongly. Its message may quote a part of the key, so it is only logged.
    fn embedder_failed(error: &ModelError) -> Self {
        tracing::error!(request_id = request_id::current(), error = %error, "embedder failed");
        Self::new(StatusCode::BAD_GATEWAY, "embedder_failed", "The embedder does not work with its current settings.").hint(
            "Nothing was stored. The server's log has the reason under this request_id. Check embedder, embedder_url, \
             embedder_dims and OPENAI_API_KEY.",
        )
    }

    /// The language model refuses requests or answers wrongly. Its message is only logged.
    fn llm_failed(error: &ModelError) -> Self {
        tracing::error!(request_id = request_id::current(), error = %error, "language model failed");
        Self::new(StatusCode::BAD_GATEWAY, "llm_failed", "The language model does not work with its current settings.")
            .hint(
                "Nothing was stored. The server's log has the reason under this request_id. Check llm, llm_url, \
             llm_max_tokens and LLM_API_KEY.",
            )
    }

    /// An invalid value, in FastAPI's format: its location and the expected value.
    pub(crate) fn unprocessable(location: &[&str], kind: &str, message: String, input: Value) -> Self {
        let list = json!([{"type": kind, "loc": location, "msg": message, "input": input}]);
        let message = format!("{}: {message}", location.join("."));
        Self { list: Some(Box::new(list)), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", message) }
    }
}

/// The table: each error of the engine with its status, code and hint.
impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        use StatusCode as S;
        if let EngineError::Store(StoreError::NotFound(id)) = &error {
            return Self::memory_not_found(id);
        }
        let (status, code, hint) = match &error {
            EngineError::Invalid(_) => (S::BAD_REQUEST, "invalid_request", None),
            EngineError::NoLanguageModel(feature) => return Self::no_language_model(feature),
            EngineError::Extraction(_) => (S::BAD_GATEWAY, "llm_answer", Some("Nothing was stored. Try again.")),
            EngineError::Model(error) => match error {
                ModelError::Unavailable { kind, .. } => return Self::model_unavailable(*kind, error),
                ModelError::Refused { kind: ModelKind::LanguageModel, .. }
                | ModelError::Answer { kind: ModelKind::LanguageModel, .. } => return Self::llm_failed(error),
                ModelError::Refused { .. } | ModelError::Answer { .. } | ModelError::Dims { .. } => {
                    return Self::embedder_failed(error);
                }
                _ => (S::BAD_GATEWAY, "embedder_failed", Some("Nothing was stored. Try again.")),
            },
            EngineError::Store(error) => match error {
                // An invalid id is treated as an unknown one.
                StoreError::InvalidId(_) => (S::NOT_FOUND, "not_found", Some("The id of a memory is a UUID.")),
                StoreError::InvalidScope(_) => (S::BAD_REQUEST, "invalid_scope", None),
                StoreError::Filter(_) => (S::BAD_REQUEST, "invalid_filter", None),
                StoreError::InvalidCursor => (S::BAD_REQUEST, "invalid_cursor", None),
                StoreError::TooDeep { .. } => (S::BAD_REQUEST, "invalid_request", Some("Use fewer levels of nesting.")),
                StoreError::Exists(_) => (S::CONFLICT, "exists", None),
                StoreError::Conflict | StoreError::Busy => {
                    (S::SERVICE_UNAVAILABLE, "busy", Some("Nothing was stored. Try again."))
                }
                StoreError::Unavailable { .. } => (
                    S::SERVICE_UNAVAILABLE,
                    "datastore_unavailable",
                    Some("Try again. The server reconnects by itself."),
                ),
                StoreError::OutcomeUnknown { .. } => (
                    S::SERVICE_UNAVAILABLE,
                    "outcome_unknown",
                    Some("The write may have been stored: check before you repeat it."),
                ),
                StoreError::EmbedderMismatch { .. } => (
                    S::SERVICE_UNAVAILABLE,
                    "embedder_mismatch",
                    Some("The store now uses another embedder. Restart the server with the new embedder setting."),
                ),
                StoreError::Unsupported(_) => (S::BAD_REQUEST, "invalid_request", None),
                StoreError::Full => (S::INSUFFICIENT_STORAGE, "full", Some("Free some space on the server's disk.")),
                _ => (S::INTERNAL_SERVER_ERROR, "datastore_unavailable", None),
            },
            _ => (S::INTERNAL_SERVER_ERROR, "internal", None),
        };
        if status == S::INTERNAL_SERVER_ERROR {
            tracing::error!(request_id = request_id::current(), code, error = %error, "request failed");
            return Self { code, ..Self::internal() };
        }
        Self { hint, ..Self::new(status, code, error.to_string()) }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        EngineError::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            detail: self.list.map_or_else(|| self.message.clone().into(), |list| *list),
            error: self.message,
            code: self.code.to_owned(),
            hint: self.hint.map(str::to_owned),
            request_id: request_id::current(),
        };
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().extend(*self.headers);
        response
    }
}
