//! Extractors for bodies, queries and paths. Their error answers give the location of the error.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Request};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use mnemon_engine::{check_numbers, read_time};
use mnemon_store::{MemoryId, is_blank, parse_day};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::body::read_body;
use super::fault::{fault_of, in_plain_words, is_json};
use super::parameters::Parameters;
use crate::answer;
use crate::error::Problem;
use crate::service::AppState;

/// The largest body of a request to this route, in bytes, if it is smaller than that of others.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxBody(pub(super) usize);

/// A JSON body, which must be an object. An empty body counts as an empty one.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<AppState> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Problem> {
        let path = original_path(request.extensions(), request.uri().path());
        let parameters = request.extensions().get::<Arc<Parameters>>().cloned();
        let limit = request.extensions().get::<MaxBody>().map_or(usize::MAX, |limit| limit.0);
        let bytes = read_body(request, limit.min(app.config.max_body)).await?;
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        let value = parse(text, &path);
        if let Some(parameters) = parameters {
            let checked = parameters.check_body(text);
            // A body that can't be read is refused for that; its answer names the unknown keys, too.
            return value.and_then(|value| checked.map(|()| Self(value)));
        }
        value.map(Self)
    }
}

fn parse<T: DeserializeOwned>(text: &[u8], path: &str) -> Result<T, Problem> {
    let text: &[u8] = if text.iter().all(u8::is_ascii_whitespace) { b"{}" } else { text };
    check_numbers(text).map_err(|error| Problem::bad_request(error.to_string()))?;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let Object(value) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let location = error.path().to_string();
        let error = error.into_inner();
        // Some values of a wrong type count as syntax errors for the parser.
        let kind = if error.is_data() || is_json(text) { "value_error" } else { "json_invalid" };
        invalid(path, "body", &location, kind, &fault_of(&error, text))
    })?;
    reader.end().map_err(|error| invalid(path, "body", ".", "json_invalid", &fault_of(&error, text)))?;
    Ok(value)
}

/// A value that is an object in JSON. A struct alone is also read from a list, as its fields in their order.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Marks a request whose path ended in a slash before the slash was removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HadTrailingSlash;

/// Requires a path that ended in a slash. Old clients do not encode `?` and `#` in an id. The path then ends in the
/// middle of the id, without its slash, and the first part of the id may be the id of another owner.
pub(crate) struct TrailingSlash;

impl<S: Sync> FromRequestParts<S> for TrailingSlash {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if parts.extensions.get::<HadTrailingSlash>().is_some() {
            return Ok(Self);
        }
        Err(Problem::not_found("The path of this route must end in a slash.")
            .hint("Add the slash, and percent-encode `?`, `#` and `/` in ids."))
    }
}

/// The query parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let path = original_path(&parts.extensions, parts.uri.path());
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(value)| Self(value)).map_err(|error| {
            let text = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            invalid(&path, "query", ".", "value_error", &in_plain_words(&text))
        })
    }
}

/// The path parameters, decoded.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = original_path(&parts.extensions, parts.uri.path());
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|error| invalid(&path, "path", ".", "value_error", &error.body_text()))
    }
}

/// A JSON answer. An object also has `ignored`: the names of the parameters and keys that the request gave and that
/// nothing reads.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        let ignored = answer::ignored();
        if ignored.is_empty() {
            return axum::Json(self.0).into_response();
        }
        match serde_json::to_string(&self.0).and_then(|body| Ok((body, serde_json::to_string(&ignored)?))) {
            Ok((body, names)) => {
                let body = match body.strip_suffix('}') {
                    Some("{") => format!("{{\"ignored\":{names}}}"),
                    Some(fields) => format!("{fields},\"ignored\":{names}}}"),
                    None => body,
                };
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
            }
            Err(_) => Problem::internal().into_response(),
        }
    }
}

/// The id of a memory in a path. An invalid id is answered like an unknown one.
pub(crate) fn memory_id(text: &str) -> Result<MemoryId, Problem> {
    text.parse().map_err(|_| Problem::memory_not_found(text.chars().take(80).collect::<String>()))
}

/// The answer to an invalid value: on the routes of the hosted platform 400 with a message, elsewhere 422 with a list,
/// as FastAPI has it.
fn invalid(path: &str, part: &str, location: &str, kind: &str, message: &str) -> Problem {
    let mut steps = vec![part];
    // `?`: the text ends before the key does.
    steps.extend(location.split('.').filter(|step| !step.is_empty() && *step != "?"));
    if is_platform(path) {
        let problem = Problem::bad_request(format!("{}: {message}", steps.join(".")));
        return if steps.len() > 1 { problem.param(&steps[1..].join(".")) } else { problem };
    }
    Problem::unprocessable(&steps, kind, message.to_owned(), Value::Null)
}

pub(crate) fn is_platform(path: &str) -> bool {
    ["/v1/", "/v2/", "/v3/", "/api/v1/"].iter().any(|prefix| path.starts_with(prefix))
}

/// Whether a path belongs to OpenAI's API: the first step after `/v1` is one of its resources.
pub(crate) fn is_openai(path: &str) -> bool {
    const RESOURCES: [&str; 22] = [
        "assistants",
        "audio",
        "batches",
        "chat",
        "completions",
        "containers",
        "conversations",
        "edits",
        "embeddings",
        "engines",
        "evals",
        "files",
        "fine_tuning",
        "images",
        "models",
        "moderations",
        "realtime",
        "responses",
        "threads",
        "uploads",
        "vector_stores",
        "videos",
    ];
    let resource = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next());
    resource.is_some_and(|resource| RESOURCES.contains(&resource))
}

fn original_path(extensions: &axum::http::Extensions, path: &str) -> String {
    extensions.get::<OriginalUri>().map_or_else(|| path.to_owned(), |uri| uri.path().to_owned())
}

/// Deserializes a field where null has a meaning different from an absent field: null is `Some(None)`.
pub(crate) fn double_option<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Deserializes a day: `YYYY-MM-DD`, or a time, of which it is the day in UTC, also as seconds since 1970. An empty text
/// counts as null.
pub(crate) fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    let of_time = |time: Timestamp| time.to_zoned(TimeZone::UTC).date();
    let day = match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if is_blank(&text) => return Ok(None),
        Some(Value::String(text)) => parse_day(&text),
        // A smaller number is a day written as 20240531.
        Some(Value::Number(number)) if number.as_f64().is_some_and(|seconds| seconds >= 1e8) => {
            read_time(&number.to_string()).map(of_time)
        }
        Some(_) => None,
    };
    day.map(Some).ok_or_else(|| {
        D::Error::custom(
            "must be a day such as 2024-05-31, a time such as 2024-05-31T12:00:00Z, or seconds since 1970; null for none",
        )
    })
}

/// The same where null has a meaning different from an absent field: null is `Some(None)`.
pub(crate) fn double_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Date>>, D::Error> {
    day(deserializer).map(Some)
}

/// Deserializes a whole number, which may also be a string (as in a query) or a float without a fraction.
pub(crate) fn usize_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    struct WholeNumber;

    impl Visitor<'_> for WholeNumber {
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
            if whole { Ok(Some(number as usize)) } else { Err(E::custom("must be a whole number, 0 or more")) }
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            text.trim().parse().map(Some).map_err(|_| E::custom("must be a whole number, 0 or more"))
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    deserializer.deserialize_any(WholeNumber).map_err(D::Error::custom)
}
