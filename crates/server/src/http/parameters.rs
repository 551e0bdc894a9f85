//! The parameters of a request that its route does not have: named in the answer, or refused. What a route has, it
//! declares in the OpenAPI document.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

use crate::answer;
use crate::error::Problem;

/// The header with the names of ignored parameters, separated by commas.
pub(super) const IGNORED: HeaderName = HeaderName::from_static("x-mnemon-ignored");

/// The extension of operations that delete many memories. They refuse unknown parameters, which may be meant as
/// conditions.
const REFUSES_UNKNOWN: &str = "x-refuses-unknown";

/// Parameters that mem0's clients add to every request. No route refuses them.
const OF_EVERY_REQUEST: [&str; 7] =
    ["org_id", "project_id", "org_name", "project_name", "source", "output_format", "version"];

/// Keys of a body that choose memories. In the query of a route that has them in its body they are refused: the request
/// would apply to other memories than it seems to.
const CHOOSING: [&str; 6] = ["user_id", "agent_id", "app_id", "run_id", "filters", "memory_ids"];

/// The largest body that is read of a request whose route has none, in bytes.
const UNREAD_BODY: usize = 64 << 10;

/// The parameters of one operation.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    query: BTreeSet<String>,
    /// `None` if the operation has no body.
    body: Option<Shape>,
    refuses_unknown: bool,
}

/// The operations of all routes, by path.
pub(crate) type Operations = HashMap<String, Vec<(Method, Arc<Parameters>)>>;

/// The operations of an OpenAPI document.
pub(crate) fn operations(api: &OpenApi) -> Operations {
    let document = serde_json::to_value(api).unwrap_or_default();
    let no_paths = Map::new();
    let paths = document["paths"].as_object().unwrap_or(&no_paths);
    let operation = |(method, operation): (&String, &Value)| {
        let method = method.to_ascii_uppercase().parse().ok()?;
        Some((method, Arc::new(Parameters::of(operation, &document))))
    };
    let operations = |item: &Value| item.as_object().into_iter().flatten().filter_map(operation).collect();
    paths.iter().map(|(path, item)| (path.clone(), operations(item))).collect()
}

impl Parameters {
    fn of(operation: &Value, document: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_query = parameters.filter(|parameter| parameter["in"] == "query");
        let content = &operation["requestBody"]["content"];
        let schema = content.as_object().and_then(|content| content.values().next()).map(|content| &content["schema"]);
        Self {
            query: in_query.filter_map(|parameter| Some(parameter["name"].as_str()?.to_owned())).collect(),
            body: schema.map(|schema| Shape::of(schema, document, 0)),
            refuses_unknown: operation[REFUSES_UNKNOWN] == true,
        }
    }

    /// Refuses or notes a name that the operation does not have.
    fn unknown(&self, name: &str, known: impl FnOnce() -> Vec<String>) -> Result<(), Problem> {
        if self.refuses_unknown && !OF_EVERY_REQUEST.contains(&name) {
            let known = known();
            let all = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let name: String = name.chars().take(80).collect();
            return Err(Problem::bad_request(format!(
                "the parameter `{name}` is not supported; nothing was deleted. The parameters of this route are: {all}"
            ))
            .hint("A deletion refuses parameters that it does not have: they may be meant as conditions.")
            .param(&name));
        }
        answer::ignore(name);
        Ok(())
    }

    fn check_query(&self, query: &str) -> Result<(), Problem> {
        let Ok(pairs) = query_pairs(query) else { return Ok(()) };
        for (name, _) in pairs {
            if self.query.contains(&name) {
                continue;
            }
            let is_in_body = matches!(&self.body, Some(Shape::Keys(keys)) if keys.contains_key(&name));
            if is_in_body && CHOOSING.contains(&name.as_str()) {
                let message = format!("{name}: belongs into the body of this request, not into its query");
                return Err(Problem::bad_request(message).param(&name));
            }
            self.unknown(&name, || self.names_of_query())?;
        }
        Ok(())
    }

    fn names_of_query(&self) -> Vec<String> {
        self.query.iter().cloned().collect()
    }

    /// Checks the keys of a body that was read.
    pub(crate) fn check_body(&self, body: &[u8]) -> Result<(), Problem> {
        let Some(shape) = &self.body else { return Ok(()) };
        let mut unknown = BTreeSet::new();
        // This ends early where there are more names than an answer lists, or where the body is not JSON.
        let _ = Walk { shape, path: "", unknown: &mut unknown }
            .deserialize(&mut serde_json::Deserializer::from_slice(body));
        let known = || match shape {
            Shape::Keys(keys) => keys.keys().cloned().collect(),
            _ => Vec::new(),
        };
        unknown.iter().try_for_each(|name| self.unknown(name, known))
    }

    /// Checks the body of an operation that has none.
    fn check_unread(&self, body: &Bytes) -> Result<(), Problem> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let keys = match serde_json::from_slice(body) {
            Ok(Value::Object(keys)) => keys.into_iter().map(|(key, _)| key).collect(),
            Ok(Value::Null) => Vec::new(),
            _ => vec!["body".to_owned()],
        };
        keys.iter().try_for_each(|name| self.unknown(name, || self.names_of_query()))
    }
}

fn query_pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let uri = format!("/?{query}").parse().map_err(|_| Problem::bad_request("query: is invalid"))?;
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri);
    pairs.map(|axum::extract::Query(pairs)| pairs).map_err(|error| Problem::bad_request(error.to_string()))
}

/// The middleware around the routes, inside of authentication.
pub(crate) async fn check_parameters(
    State(operations): State<Arc<Operations>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let found = operations.get(path).into_iter().flatten().find(|(own, _)| *own == method);
    let Some((_, parameters)) = found else { return Ok(next.run(request).await) };
    parameters.check_query(request.uri().query().unwrap_or_default())?;
    let (mut parts, mut body) = request.into_parts();
    if parameters.body.is_none() {
        match axum::body::to_bytes(body, UNREAD_BODY).await {
            Ok(bytes) => parameters.check_unread(&bytes)?,
            Err(_) => parameters.unknown("body", || parameters.names_of_query())?,
        }
        body = Body::empty();
    }
    parts.extensions.insert(parameters.clone());
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// The value of the header that names ignored parameters; `None` if there are none.
pub(crate) fn ignored_header() -> Option<HeaderValue> {
    let names = answer::ignored();
    let safe = |name: &String| {
        let byte = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'[' | b']' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        };
        name.bytes().map(byte).collect::<String>()
    };
    let text = names.iter().map(safe).collect::<Vec<_>>().join(", ");
    if text.is_empty() { None } else { HeaderValue::from_str(&text).ok() }
}

/// The keys that a JSON value may have.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    /// Any value; its keys are the caller's own, or it has none.
    Any,
    /// An object with these keys.
    Keys(BTreeMap<String, Shape>),
    /// A list of such values, or one of them.
    List(Box<Shape>),
}

/// Most levels of a schema.
const MAX_DEPTH: usize = 8;

impl Shape {
    fn of(schema: &Value, document: &Value, depth: usize) -> Self {
        if depth > MAX_DEPTH {
            return Self::Any;
        }
        let of = |schema: &Value| Self::of(schema, document, depth + 1);
        if let Some(target) = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#')) {
            return document.pointer(target).map_or(Self::Any, of);
        }
        for list in ["oneOf", "anyOf", "allOf"] {
            if let Some(parts) = schema[list].as_array() {
                return parts.iter().map(of).fold(Self::Any, Self::or);
            }
        }
        if let Some(properties) = schema["properties"].as_object() {
            return Self::Keys(properties.iter().map(|(key, schema)| (key.clone(), of(schema))).collect());
        }
        match schema.get("items").map(of) {
            None | Some(Self::Any) => Self::Any,
            Some(items) => Self::List(Box::new(items)),
        }
    }

    /// A value of one shape or the other. Values without keys add nothing.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Any, shape) | (shape, Self::Any) => shape,
            (Self::Keys(mut keys), Self::Keys(others)) => {
                keys.extend(others);
                Self::Keys(keys)
            }
            (Self::List(items), shape) | (shape, Self::List(items)) => match shape {
                Self::List(other) => Self::List(Box::new(items.or(*other))),
                keys => Self::List(Box::new(items.or(keys))),
            },
        }
    }
}

/// Collects the paths of keys that a shape does not have.
struct Walk<'w> {
    shape: &'w Shape,
    path: &'w str,
    unknown: &'w mut BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.shape {
            Shape::Any => IgnoredAny::deserialize(deserializer).map(drop),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let shape = match self.shape {
            Shape::List(items) => items,
            shape => shape,
        };
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let child = match shape {
                Shape::Keys(keys) => keys.get(&key),
                _ => Some(&Shape::Any),
            };
            let Some(shape) = child else {
                self.unknown.insert(path);
                if self.unknown.len() > answer::MAX_NAMES {
                    return Err(A::Error::custom("too many unknown keys"));
                }
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            map.next_value_seed(Walk { shape, path: &path, unknown: self.unknown })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let items = match self.shape {
            Shape::List(items) => items,
            _ => &Shape::Any,
        };
        let path = format!("{}[]", self.path);
        while list.next_element_seed(Walk { shape: items, path: &path, unknown: self.unknown })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_a_schema_does_not_have_are_found_at_every_depth() {
        let document = json!({"components": {"schemas": {
            "Message": {"type": "object", "properties": {"role": {"type": "string"}, "content": {"type": "string"}}},
        }}});
        let message = json!({"$ref": "#/components/schemas/Message"});
        let schema = json!({"type": "object", "properties": {
            "messages": {"oneOf": [{"type": "string"}, message, {"type": "array", "items": message}]},
            "metadata": {"type": ["object", "null"]},
            "filters": {},
            "one": {"oneOf": [{"type": "null"}, message]},
            "tags": {"type": "array", "items": {"type": "string"}},
        }});
        let shape = Shape::of(&schema, &document, 0);
        for (body, expected) in [
            (json!({"messages": "a", "metadata": {"x": {"y": 1}}, "filters": {"AND": [{"z": 1}]}, "tags": ["a"]}), ""),
            (json!({"messages": {"role": "user", "name": 1}}), "messages.name"),
            (json!({"messages": [{"role": "user"}, "a", {"x": [1], "content": [{"type": "text"}]}]}), "messages[].x"),
            (json!({"one": {"role": 1, "a": {"b": 1}}, "x": null}), "one.a x"),
            (json!({"one": null, "metadata": [1.5, true]}), ""),
            (json!([{"a": 1}]), ""),
        ] {
            let mut unknown = BTreeSet::new();
            let text = body.to_string();
            let walk = Walk { shape: &shape, path: "", unknown: &mut unknown };
            walk.deserialize(&mut serde_json::Deserializer::from_str(&text)).unwrap();
            assert_eq!(unknown.into_iter().collect::<Vec<_>>().join(" "), expected, "{body}");
        }
        let many: Map<String, Value> = (0..100_000).map(|number| (format!("k{number}"), Value::Null)).collect();
        let mut unknown = BTreeSet::new();
        let walk = Walk { shape: &shape, path: "", unknown: &mut unknown };
        let text = Value::from(many).to_string();
        assert!(walk.deserialize(&mut serde_json::Deserializer::from_str(&text)).is_err());
        assert_eq!(unknown.len(), answer::MAX_NAMES + 1);
    }
}
