//! The one table of what can go wrong: status, stable code, and what to do about it.

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

use crate::http::observe::request_id;

/// An answer that says what went wrong.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    hint: Option<&'static str>,
    /// FastAPI's list, in place of the message.
    list: Option<Box<Value>>,
    /// Boxed: a `Problem` is what every `Result` here may hold.
    headers: Box<HeaderMap>,
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What is wrong; for 422 FastAPI's list of `{type, loc, msg, input}`.
    detail: Value,
    /// What is wrong, as text.
    error: String,
    /// A stable name for it.
    code: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The request's id, as in X-Request-ID and in the log.
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

    /// mem0's words, by which its users know it.
    pub(crate) fn memory_not_found(id: impl std::fmt::Display) -> Self {
        Self::not_found(format!("Memory with id {id} not found. Please provide a valid 'memory_id'"))
    }

    pub(crate) fn no_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authenticated", "Authentication is required.")
            .hint("Send your key as X-API-Key, or as Authorization: Token KEY or Bearer KEY.")
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(crate) fn bad_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", "The key or token is not valid.")
            .hint("Check it for typing errors; it may have been revoked or have expired.")
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// A wrong password or token in a body.
    pub(crate) fn wrong_login(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", message)
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(crate) fn admin_only() -> Self {
        Self::forbidden("admin_required", "Admin role required.").hint("Use ADMIN_API_KEY or a key of role admin.")
    }

    pub(crate) fn missing_scope(scope: &str) -> Self {
        Self::forbidden("missing_scope", format!("This key has no `{scope}` scope."))
    }

    pub(crate) fn not_yours() -> Self {
        Self::forbidden("not_your_user", "This key reads and writes its own user_id only.")
            .hint("Leave user_id out, or use the key of that user or an admin's.")
    }

    pub(crate) fn strange_page() -> Self {
        Self::forbidden("cross_site", "Without keys, pages of other sites may not call.")
            .hint("Call by 127.0.0.1 or localhost, name the page's origin in cors_origins, or use keys.")
    }

    pub(crate) fn no_scope() -> Self {
        Self::bad_request("At least one identifier (user_id, agent_id, run_id) is required.")
    }

    pub(crate) fn too_many_requests(limit: u32, wait: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", format!("Rate limit exceeded: {limit} per 1 minute"))
            .hint("Wait as long as Retry-After says.")
            .header(RETRY_AFTER, wait)
            .header("x-ratelimit-limit", limit)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset", wait)
    }

    pub(crate) fn no_llm(what: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "llm_not_configured", format!("{what} needs a language model."))
            .hint("Set llm (MNEMON_LLM), such as openai:gpt-4o-mini or ollama:qwen3; all else works without one.")
    }

    pub(crate) fn not_yet(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "not_implemented",
            format!("{what} is nothing that this server writes yet."),
        )
    }

    pub(crate) fn timeout() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", "The request took too long.")
            .hint("Try again; a write may have been stored nevertheless, so look before you repeat it.")
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("The body is larger than {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
            .hint("Send it in several requests, or raise max_body_mb.")
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on our side.")
            .hint("The log has the reason under this request_id.")
    }

    /// A model does not answer. Where it is, and what it said, is the operator's business.
    fn model_away(kind: ModelKind, error: &ModelError) -> Self {
        tracing::warn!(request_id = request_id(), %error, "a model is away");
        let code = match kind {
            ModelKind::LanguageModel => "llm_unavailable",
            _ => "embedder_unavailable",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, format!("The {kind} is not available; try again later."))
            .hint("Nothing was stored. The log has the reason under this request_id.")
    }

    /// The embedder does not work as it is set up. A service may quote a part of the key: its words go to the log alone.
    fn embedder_failed(error: &ModelError) -> Self {
        tracing::error!(request_id = request_id(), error = %error, "the embedder failed");
        Self::new(StatusCode::BAD_GATEWAY, "embedder_failed", "The embedder does not work as it is set up.").hint(
            "Nothing was stored. The log has the reason under this request_id; look at embedder, embedder_url, \
             embedder_dims and OPENAI_API_KEY.",
        )
    }

    /// The language model does not work as it is set up; its words go to the log alone as well.
    fn llm_failed(error: &ModelError) -> Self {
        tracing::error!(request_id = request_id(), error = %error, "the language model failed");
        Self::new(StatusCode::BAD_GATEWAY, "llm_failed", "The language model does not work as it is set up.").hint(
            "Nothing was stored. The log has the reason under this request_id; look at llm, llm_url, llm_max_tokens and \
             LLM_API_KEY.",
        )
    }

    /// A value that is not what it must be, told as FastAPI does: where it lies, and what was expected there.
    pub(crate) fn unprocessable(place: &[&str], kind: &str, message: String, input: Value) -> Self {
        let list = json!([{"type": kind, "loc": place, "msg": message, "input": input}]);
        let message = format!("{}: {message}", place.join("."));
        Self { list: Some(Box::new(list)), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", message) }
    }
}

/// The table: whatever the engine reports, with its status, its code and a hint.
impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        use StatusCode as S;
        if let EngineError::Store(StoreError::NotFound(id)) = &error {
            return Self::memory_not_found(id);
        }
        let (status, code, hint) = match &error {
            EngineError::Invalid(_) => (S::BAD_REQUEST, "invalid_request", None),
            EngineError::NoLanguageModel(what) => return Self::no_llm(what),
            EngineError::Extraction(_) => (S::BAD_GATEWAY, "llm_answer", Some("Nothing was stored; try again.")),
            EngineError::Model(error) => match error {
                ModelError::Unavailable { kind, .. } => return Self::model_away(*kind, error),
                ModelError::Refused { kind: ModelKind::LanguageModel, .. }
                | ModelError::Answer { kind: ModelKind::LanguageModel, .. } => return Self::llm_failed(error),
                ModelError::Refused { .. } | ModelError::Answer { .. } | ModelError::Dims { .. } => {
                    return Self::embedder_failed(error);
                }
                _ => (S::BAD_GATEWAY, "embedder_failed", Some("Nothing was stored; try again.")),
            },
            EngineError::Store(error) => match error {
                // Whatever is no id names no memory.
                StoreError::InvalidId(_) => (S::NOT_FOUND, "not_found", Some("A memory's id is a UUID.")),
                StoreError::InvalidScope(_) => (S::BAD_REQUEST, "invalid_scope", None),
                StoreError::Filter(_) => (S::BAD_REQUEST, "invalid_filter", None),
                StoreError::InvalidCursor => (S::BAD_REQUEST, "invalid_cursor", None),
                StoreError::TooDeep { .. } => (S::BAD_REQUEST, "invalid_request", Some("Flatten it.")),
                StoreError::Exists(_) => (S::CONFLICT, "exists", None),
                StoreError::Conflict | StoreError::Busy => {
                    (S::SERVICE_UNAVAILABLE, "busy", Some("Nothing was stored; try again."))
                }
                StoreError::Unavailable { .. } => {
                    (S::SERVICE_UNAVAILABLE, "datastore_unavailable", Some("Try again; the server goes on by itself."))
                }
                StoreError::OutcomeUnknown { .. } => (
                    S::SERVICE_UNAVAILABLE,
                    "outcome_unknown",
                    Some("It may have been stored: look before you repeat it."),
                ),
                StoreError::EmbedderMismatch { .. } => (
                    S::SERVICE_UNAVAILABLE,
                    "embedder_mismatch",
                    Some("The store was moved to another embedder: restart the server with its setting."),
                ),
                StoreError::Unsupported(_) => (S::BAD_REQUEST, "invalid_request", None),
                StoreError::Full => (S::INSUFFICIENT_STORAGE, "full", Some("Free space on the server's disk.")),
                _ => (S::INTERNAL_SERVER_ERROR, "datastore_unavailable", None),
            },
            _ => (S::INTERNAL_SERVER_ERROR, "internal", None),
        };
        if status == S::INTERNAL_SERVER_ERROR {
            tracing::error!(request_id = request_id(), code, error = %error, "failed");
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
            request_id: request_id(),
        };
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().extend(*self.headers);
        response
    }
}
