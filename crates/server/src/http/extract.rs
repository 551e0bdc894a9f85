//! Reading requests: bodies, queries and paths, each with an answer that says where the fault lies.

use std::fmt;

use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Request};
use axum::http::request::Parts;
use axum::response::IntoResponse;
use mnemon_store::MemoryId;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Problem;
use crate::http::serve::EndedInSlash;
use crate::service::app::Shared;

/// A JSON body. An empty one is an empty object.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Problem> {
        let path = original_path(request.extensions(), request.uri().path());
        let limit = app.config.max_body;
        let declared = request.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: usize| length > limit) {
            return Err(Problem::too_large(limit));
        }
        let bytes = axum::body::to_bytes(request.into_body(), limit).await.map_err(|error| {
            let text = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            if text.contains("limit") {
                Problem::too_large(limit)
            } else {
                Problem::bad_request("the body was cut off")
            }
        })?;
        let bytes: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &bytes };
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let read = serde_path_to_error::deserialize(&mut reader);
        read.map_err(|error| {
            let place = error.path().to_string();
            let fault = error.into_inner();
            let kind = if fault.is_syntax() || fault.is_eof() { "json_invalid" } else { "value_error" };
            refuse(&path, "body", &place, kind, &fault.to_string())
        })
        .and_then(|value| match reader.end() {
            Ok(()) => Ok(Self(value)),
            Err(fault) => Err(refuse(&path, "body", ".", "json_invalid", &fault.to_string())),
        })
    }
}

/// Passes only a path that came with a slash at its end. Old clients cut an id off at a `?` or `#` in it, and the slash with
/// it: what is left may be another's name.
pub(crate) struct WholePath;

impl<S: Sync> FromRequestParts<S> for WholePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let whole = parts.extensions.get::<EndedInSlash>().is_some();
        whole.then_some(Self).ok_or_else(|| {
            Problem::not_found("This route ends in a slash.")
                .hint("Add it; ids that hold `?`, `#` or `/` must be percent-encoded.")
        })
    }
}

/// The parameters of the query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let path = original_path(&parts.extensions, parts.uri.path());
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(value)| Self(value)).map_err(|error| {
            let text = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            refuse(&path, "query", ".", "value_error", &text)
        })
    }
}

/// Parts of the path, decoded.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = original_path(&parts.extensions, parts.uri.path());
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|error| refuse(&path, "path", ".", "value_error", &error.body_text()))
    }
}

/// A JSON answer.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

/// The id of a memory in a path; what is no id names no memory.
pub(crate) fn memory_id(text: &str) -> Result<MemoryId, Problem> {
    text.parse().map_err(|_| Problem::memory_not_found(text.chars().take(80).collect::<String>()))
}

/// The hosted platform answers 400 with a sentence, FastAPI 422 with a list.
fn refuse(path: &str, part: &str, place: &str, kind: &str, fault: &str) -> Problem {
    let mut at = vec![part];
    at.extend(place.split('.').filter(|step| !step.is_empty()));
    if is_platform(path) {
        return Problem::bad_request(format!("{}: {fault}", at.join(".")));
    }
    Problem::unprocessable(&at, kind, fault.to_owned(), Value::Null)
}

pub(crate) fn is_platform(path: &str) -> bool {
    ["/v1/", "/v2/", "/v3/", "/api/v1/"].iter().any(|prefix| path.starts_with(prefix))
}

fn original_path(extensions: &axum::http::Extensions, path: &str) -> String {
    extensions.get::<OriginalUri>().map_or_else(|| path.to_owned(), |uri| uri.path().to_owned())
}

/// For a field that may be absent, null or a value, where null means something of its own.
pub(crate) fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A number that a query may write as text, or a body as a number with nothing behind the point.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    struct Count;

    impl Visitor<'_> for Count {
        type Value = Option<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number, 0 or more")
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
            usize::try_from(number).map(Some).map_err(|_| E::custom("the number is too large"))
        }

        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Self::Value, E> {
            usize::try_from(number).map(Some).map_err(|_| E::custom("the number must be 0 or more"))
        }

        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Self::Value, E> {
            let whole = number.fract() == 0.0 && (0.0..1e15).contains(&number);
            if whole { Ok(Some(number as usize)) } else { Err(E::custom("give a whole number, 0 or more")) }
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.trim().parse().map(Some).map_err(|_| E::custom("give a whole number, 0 or more"))
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_any(Count).map_err(D::Error::custom)
}
