//! The filters of the hosted platform: a fixed list of keys, `*` for any value, and `metadata` for the caller's own
//! keys.

use mnemon_engine::EngineError;
use mnemon_store::filter::{EVENT_TIME, Instant, MAX_CONDITIONS, SESSION, ScopeKey, check_id};
use mnemon_store::{Filter, MemoryId, is_reserved_key, keys};
use serde_json::{Map, Value};

use super::dto::{ENTITY_KEYS, TIMESTAMP};
use crate::api::ids::{IDS_ONLY_AT_TOP, narrow_ids, read_ids, refused};
use crate::error::Problem;

/// Most levels of nested groups.
const MAX_DEPTH: usize = 16;

/// The filters of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ParsedFilters {
    /// The conditions on memories.
    pub(super) filter: Option<Filter>,
    /// Only memories with these ids.
    pub(super) ids: Option<Vec<MemoryId>>,
}

impl ParsedFilters {
    /// Parses the filters of the platform.
    pub(super) fn parse(value: &Value) -> Result<Self, Problem> {
        let mut parser = Parser::default();
        let filter = parser.group(value, "filters", 0, true)?;
        if filter.is_none() && parser.ids.is_none() {
            return Err(Problem::bad_request("filters: must not be empty"));
        }
        Ok(Self { filter, ids: parser.ids })
    }

    /// Adds a condition.
    pub(super) fn and(&mut self, filter: Filter) {
        self.filter = Some(match self.filter.take() {
            Some(existing) => existing.and(filter),
            None => filter,
        });
    }

    /// Whether there are no conditions.
    pub(super) fn is_empty(&self) -> bool {
        self.filter.is_none() && self.ids.is_none()
    }
}

/// The condition on `user_id`, `agent_id`, `app_id` or `run_id`.
pub(super) fn entity_filter(key: &str, value: &Value) -> Result<Filter, Problem> {
    match ScopeKey::from_name(key) {
        Some(scope) => scope_filter(scope, value, key),
        None => app_filter(value, key),
    }
}

/// The condition on `categories`.
pub(super) fn categories_filter(value: &Value) -> Result<Filter, Problem> {
    categories(value, "categories")
}

/// The condition on words in the text.
pub(super) fn keywords_filter(value: &Value) -> Result<Filter, Problem> {
    keywords(value, "keywords")
}

/// The condition on metadata.
pub(super) fn metadata_filter(value: &Value) -> Result<Filter, Problem> {
    metadata(value, "metadata")
}

/// The condition on `created_at`: from the start of a day, or a time, to the end of another.
pub(super) fn created_filter(from: Option<&str>, to: Option<&str>) -> Result<Option<Filter>, Problem> {
    let mut bounds = Map::new();
    for (operator, bound) in [("gte", from), ("lte", to)] {
        if let Some(bound) = bound {
            bounds.insert(operator.to_owned(), bound.into());
        }
    }
    if bounds.is_empty() {
        return Ok(None);
    }
    time(keys::CREATED_AT, &Value::Object(bounds), "start_date and end_date").map(Some)
}

#[derive(Default)]
struct Parser {
    conditions: usize,
    ids: Option<Vec<MemoryId>>,
}

impl Parser {
    /// An object of conditions, all of which must hold. `None` if it contains only `memory_ids`.
    fn group(&mut self, value: &Value, path: &str, depth: usize, top: bool) -> Result<Option<Filter>, Problem> {
        let Value::Object(map) = value else {
            return Err(refused(path, "must be an object such as {\"user_id\": \"alice\"}"));
        };
        if depth > MAX_DEPTH {
            return Err(refused(path, "has too many levels of AND, OR and NOT"));
        }
        if map.is_empty() {
            return Err(refused(path, "must not be empty"));
        }
        let mut all = None;
        for (key, value) in map {
            let path = format!("{path}.{key}");
            let part = match key.as_str() {
                "AND" | "OR" | "NOT" => self.logical(key, value, &path, depth, top)?,
                "memory_ids" | "id" if top => {
                    narrow_ids(&mut self.ids, read_ids(value, &path)?);
                    None
                }
                "memory_ids" | "id" => return Err(refused(&path, IDS_ONLY_AT_TOP)),
                _ => Some(self.condition(key, value, &path)?),
            };
            all = combine(all, part, Filter::and);
        }
        Ok(all)
    }

    fn logical(
        &mut self,
        key: &str,
        value: &Value,
        path: &str,
        depth: usize,
        top: bool,
    ) -> Result<Option<Filter>, Problem> {
        let top = top && key == "AND";
        let join = if key == "AND" { Filter::and } else { Filter::or };
        let joined = match value {
            Value::Array(parts) if parts.is_empty() => {
                return Err(refused(path, "must not be an empty list"));
            }
            Value::Array(parts) => {
                let mut joined = None;
                for (index, part) in parts.iter().enumerate() {
                    let part = self.group(part, &format!("{path}[{index}]"), depth + 1, top)?;
                    joined = combine(joined, part, join);
                }
                joined
            }
            // The conditions of one object must all hold, under NOT as well.
            one => self.group(one, path, depth + 1, top)?,
        };
        Ok(if key == "NOT" { joined.map(|filter| !filter) } else { joined })
    }

    fn condition(&mut self, key: &str, value: &Value, path: &str) -> Result<Filter, Problem> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(refused(path, "there are too many conditions"));
        }
        if value.is_null() {
            return Err(refused(path, "must not be null"));
        }
        match key {
            _ if ENTITY_KEYS.contains(&key) => entity_filter(key, value).map_err(|problem| at(path, problem)),
            keys::CREATED_AT | keys::UPDATED_AT | keys::EXPIRATION_DATE => time(key, value, path),
            TIMESTAMP | "event_time" => time(EVENT_TIME, value, path),
            "session" => checked(Filter::parse_condition(SESSION, value)),
            "categories" => categories(value, path),
            "text" | "keywords" | "keywords_search" => keywords(value, path),
            "metadata" => metadata(value, path),
            _ => Err(Problem::bad_request(format!(
                "{path}: unknown key `{key}`; filter by your own metadata with {{\"metadata\": {{\"{key}\": …}}}}"
            ))
            .hint(
                "The keys are AND, OR, NOT, user_id, agent_id, app_id, run_id, created_at, updated_at, timestamp, \
                 event_time, expiration_date, session, text, keywords, categories, metadata, memory_ids.",
            )),
        }
    }
}

/// An id, `*` for any, a list, or `{eq, ne, in}`.
fn scope_filter(key: ScopeKey, value: &Value, path: &str) -> Result<Filter, Problem> {
    match value {
        Value::String(text) if text.trim() == "*" => Ok(Filter::has_scope(key)),
        Value::Object(operators) => all_operators(operators, path, &["eq", "ne", "in"], |operator, operand| {
            checked(Filter::operator(key.as_str(), operator, operand.clone()))
        }),
        Value::Array(_) => checked(Filter::operator(key.as_str(), "in", value.clone())),
        _ => checked(Filter::operator(key.as_str(), "eq", value.clone())),
    }
}

/// The same for `app_id`, which is not part of the scope.
fn app_filter(value: &Value, path: &str) -> Result<Filter, Problem> {
    let id = |value: &Value| {
        let Value::String(text) = value else { return Err(refused(path, "an id must be a string")) };
        check_id(text).map(Value::from).map_err(|reason| refused(path, &reason.to_string()))
    };
    let ids = |value: &Value| {
        let Value::Array(items) = value else { return Err(refused(path, "`in` must be a list of ids")) };
        items.iter().map(id).collect::<Result<Value, _>>()
    };
    match value {
        Value::String(text) if text.trim() == "*" => checked(Filter::exists(keys::APP_ID)),
        Value::Object(operators) => all_operators(operators, path, &["eq", "ne", "in"], |operator, operand| {
            let operand = if operator == "in" { ids(operand)? } else { id(operand)? };
            checked(Filter::operator(keys::APP_ID, operator, operand))
        }),
        Value::Array(_) => checked(Filter::operator(keys::APP_ID, "in", ids(value)?)),
        _ => checked(Filter::operator(keys::APP_ID, "eq", id(value)?)),
    }
}

/// A category, a list of categories of which the memory must have one, or `{eq, ne, in, contains}`.
fn categories(value: &Value, path: &str) -> Result<Filter, Problem> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(Value::from(text.as_str())),
        _ => Err(refused(path, "a category must be a string")),
    };
    let list = |value: &Value| match value {
        Value::Array(items) => items.iter().map(text).collect::<Result<Value, _>>(),
        single => Ok(Value::Array(vec![text(single)?])),
    };
    match value {
        Value::String(star) if star == "*" => checked(Filter::exists(keys::CATEGORIES)),
        Value::Object(operators) => {
            all_operators(operators, path, &["eq", "ne", "in", "contains", "icontains"], |operator, operand| {
                match (operator, operand) {
                    ("in", _) | ("contains", Value::Array(_)) => {
                        checked(Filter::operator(keys::CATEGORIES, "in", list(operand)?))
                    }
                    _ => checked(Filter::operator(keys::CATEGORIES, operator, text(operand)?)),
                }
            })
        }
        other => checked(Filter::operator(keys::CATEGORIES, "in", list(other)?)),
    }
}

/// Words, a list of words of which the text must contain one, or `{contains, icontains}`.
fn keywords(value: &Value, path: &str) -> Result<Filter, Problem> {
    let part = |operator: &str, value: &Value| match value {
        Value::String(text) if !text.trim().is_empty() => {
            checked(Filter::operator(keys::DATA, operator, text.as_str().into()))
        }
        _ => Err(refused(path, "must be words that the text contains")),
    };
    let parts = |operator: &str, value: &Value| match value {
        Value::Array(items) => {
            let any = items.iter().map(|item| part(operator, item)).collect::<Result<Vec<_>, _>>()?;
            Filter::any(any).ok_or_else(|| refused(path, "must not be an empty list"))
        }
        single => part(operator, single),
    };
    match value {
        Value::Object(operators) => all_operators(operators, path, &["contains", "icontains"], parts),
        other => parts("icontains", other),
    }
}

/// `{key: condition}`, with the conditions of [`Filter::parse`].
fn metadata(value: &Value, path: &str) -> Result<Filter, Problem> {
    let Value::Object(map) = value else { return Err(refused(path, "must be an object")) };
    let mut all = None;
    for (key, value) in map {
        let path = format!("{path}.{key}");
        if is_reserved_key(key) {
            return Err(refused(&path, "is not metadata; use it beside `metadata`"));
        }
        all = combine(all, Some(checked(Filter::parse_condition(key, value))?), Filter::and);
    }
    all.ok_or_else(|| refused(path, "must not be empty"))
}

/// A day, a time, `*` for any, a list, or `{gt, gte, lt, lte, eq, in}`. A day is the whole day.
fn time(key: &str, value: &Value, path: &str) -> Result<Filter, Problem> {
    let time = |time: &Value| match Instant::of_stored(time) {
        Some(_) if time.as_str().is_some_and(|text| Instant::parse(text).is_some()) => Ok(time.clone()),
        Some(instant) => Ok(Value::from(instant.to_string())),
        None => Err(refused(
            path,
            "must be a date such as 2024-05-01, RFC 3339 such as 2024-05-01T12:00:00Z, or seconds since 1970",
        )),
    };
    let times = |items: &[Value]| items.iter().map(time).collect::<Result<Value, _>>();
    let condition = match value {
        Value::String(star) if star == "*" => return checked(Filter::exists(key)),
        Value::Object(operators) if operators.is_empty() => return Err(refused(path, "must not be empty")),
        Value::Object(operators) => {
            const KNOWN: [&str; 6] = ["gt", "gte", "lt", "lte", "eq", "in"];
            let checked = |(operator, operand): (&String, &Value)| match operand {
                _ if !KNOWN.contains(&operator.as_str()) => Err(unknown_operator(path, operator, &KNOWN)),
                Value::Array(items) if operator == "in" => Ok((operator.clone(), times(items)?)),
                _ if operator == "in" => Err(refused(path, "`in` must be a list of days or times")),
                operand => Ok((operator.clone(), time(operand)?)),
            };
            Value::Object(operators.iter().map(checked).collect::<Result<_, _>>()?)
        }
        Value::Array(items) => times(items)?,
        one => time(one)?,
    };
    let within = |key: &str| checked(Filter::parse_condition(key, &condition));
    if key != keys::CREATED_AT {
        return within(key);
    }
    // A memory with an event time counts as created at that time, as answers show it.
    let stored_then = within(key)?.and(!checked(Filter::exists(EVENT_TIME))?);
    Ok(within(EVENT_TIME)?.or(stored_then))
}

/// The conditions of all operators of one key; all must hold.
fn all_operators(
    operators: &Map<String, Value>,
    path: &str,
    known: &[&str],
    read: impl Fn(&str, &Value) -> Result<Filter, Problem>,
) -> Result<Filter, Problem> {
    let mut all = None;
    for (operator, operand) in operators {
        if !known.contains(&operator.as_str()) {
            return Err(unknown_operator(path, operator, known));
        }
        all = combine(all, Some(read(operator, operand)?), Filter::and);
    }
    all.ok_or_else(|| refused(path, "must not be empty"))
}

fn combine(left: Option<Filter>, right: Option<Filter>, join: impl Fn(Filter, Filter) -> Filter) -> Option<Filter> {
    match (left, right) {
        (Some(left), Some(right)) => Some(join(left, right)),
        (left, right) => left.or(right),
    }
}

fn checked(filter: Result<Filter, mnemon_store::FilterError>) -> Result<Filter, Problem> {
    filter.map_err(|error| EngineError::from(error).into())
}

fn unknown_operator(path: &str, operator: &str, known: &[&str]) -> Problem {
    let hint = if operator == "nin" { "; use NOT with `in` instead" } else { "" };
    refused(path, &format!("unknown operator `{operator}`; the operators are {}{hint}", known.join(", ")))
}

/// The problem with the path of the condition in front of its message.
fn at(path: &str, mut problem: Problem) -> Problem {
    if !problem.message.starts_with("filters") {
        let message = problem.message.split_once(": ").map_or(problem.message.as_str(), |(_, message)| message);
        problem.message = format!("{path}: {message}");
    }
    problem
}

#[cfg(test)]
mod tests {
    use mnemon_store::filter::Origin;
    use serde_json::json;

    use super::*;

    fn matches(filter: Value, payload: Value) -> bool {
        let parsed = ParsedFilters::parse(&filter).unwrap_or_else(|problem| panic!("{filter}: {}", problem.message));
        let event_time = payload.get("$event_time").and_then(|time| time.as_str()?.parse().ok());
        let origin = Origin { session: payload.get("$session").and_then(Value::as_str), event_time };
        parsed.filter.unwrap().matches_with(payload.as_object().unwrap(), origin)
    }

    #[test]
    fn filters_match_memories() {
        let memory = json!({
            "data": "Likes green Tea", "user_id": "ana", "mnemon_app_id": "shop", "mnemon_categories": ["food", "home"],
            "app_id": "mine", "categories": "foo", "k": 1,
            "created_at": "2024-05-31T23:59:00Z", "updated_at": "2024-05-31T23:59:00Z",
            "$event_time": "2023-11-14T22:13:20Z", "$session": "monday", "expiration_date": "2030-01-01",
            "timestamp": "yesterday", "event_time": 7, "session": "mine", "immutable": true, "$price": 5,
        });
        for (filter, expected) in [
            (json!({"user_id": "ana"}), true),
            (json!({"user_id": "*"}), true),
            (json!({"agent_id": "*"}), false),
            (json!({"NOT": [{"agent_id": "*"}]}), true),
            (json!({"NOT": {"user_id": "ana", "agent_id": "x"}}), true),
            (json!({"app_id": "*"}), true),
            (json!({"app_id": ["a", "shop"]}), true),
            (json!({"app_id": {"ne": "shop"}}), false),
            (json!({"AND": [{"user_id": "ana"}, {"OR": [{"agent_id": "x"}, {"app_id": "shop"}]}]}), true),
            (json!({"categories": {"contains": "food"}}), true),
            (json!({"categories": {"in": ["x", "home"]}}), true),
            (json!({"categories": "foo"}), false),
            (json!({"keywords": "green tea"}), true),
            (json!({"text": {"contains": "green tea"}}), false),
            (json!({"metadata": {"app_id": "mine", "categories": "foo"}}), true),
            (json!({"metadata": {"app_id": "shop"}}), false),
            (json!({"app_id": "mine"}), false),
            (json!({"metadata": {"k": 1}}), true),
            (json!({"metadata": {"k": {"gt": 1}}}), false),
            (json!({"updated_at": {"gte": "2024-05-01", "lte": "2024-05-31"}}), true),
            (json!({"updated_at": {"gt": "2024-05-31"}}), false),
            (json!({"updated_at": "2024-05-31"}), true),
            (json!({"created_at": {"gte": "2024-05-01"}}), false),
            (json!({"created_at": "2023-11-14"}), true),
            (json!({"timestamp": 1_700_000_000}), true),
            (json!({"timestamp": {"lt": 1_700_000_000}}), false),
            (json!({"event_time": {"gte": "2023-11-14", "lte": "2023-11-14"}}), true),
            (json!({"session": "monday"}), true),
            (json!({"session": {"ne": "monday"}}), false),
            (json!({"session": "mine"}), false),
            (
                json!({"metadata": {"timestamp": "yesterday", "immutable": true, "event_time": 7, "session": "mine"}}),
                true,
            ),
            (json!({"metadata": {"$price": {"gt": 4}}}), true),
            (json!({"expiration_date": {"lte": "2030-01-01"}}), true),
            (json!({"expiration_date": {"eq": "2030-01-01"}}), true),
            (json!({"updated_at": {"gt": 1_717_199_939, "lte": 1_717_199_940_000_u64}}), true),
            (json!({"updated_at": {"gt": "1717199940"}}), false),
            (json!({"created_at": {"eq": "2023-11-14", "lt": "1700000001"}}), true),
            (json!({"created_at": {"in": ["2023-11-14", 0]}}), true),
            (json!({"updated_at": ["2023-11-14", "2024-05-30"]}), false),
        ] {
            assert_eq!(matches(filter.clone(), memory.clone()), expected, "{filter}");
        }
    }

    #[test]
    fn a_memory_without_a_timestamp_was_created_when_it_was_stored() {
        let in_may = || json!({"created_at": {"gte": "2024-05-01", "lte": "2024-05-31"}});
        assert!(matches(in_may(), json!({"created_at": "2024-05-31T23:59:00Z"})));
        assert!(!matches(in_may(), json!({"created_at": "2024-06-01T00:00:00Z"})));
        for timestamp in
            [json!(1_721_577_600), json!("yesterday"), json!("1999-01-01T00:00:00Z"), json!(null), json!({})]
        {
            let memory = json!({"created_at": "2024-05-31T23:59:00Z", "timestamp": timestamp, "event_time": timestamp});
            assert!(matches(in_may(), memory), "{timestamp}");
        }
    }

    #[test]
    fn filters_that_could_match_too_much_are_refused() {
        for filter in [
            json!(null),
            json!({}),
            json!([]),
            json!("user_id"),
            json!({"user_id": null}),
            json!({"user_id": ""}),
            json!({"user_id": 7}),
            json!({"user_id": {}}),
            json!({"user_id": {"in": []}}),
            json!({"user_id": {"in": ["*"]}}),
            json!({"user_id": {"nin": ["a"]}}),
            json!({"app_id": null}),
            json!({"app_id": ""}),
            json!({"app_id": 1}),
            json!({"app_id": {"in": [1]}}),
            json!({"AND": []}),
            json!({"AND": [{}]}),
            json!({"OR": [{"user_id": "a"}, {"memory_ids": ["1"]}]}),
            json!({"color": "red"}),
            json!({"metadata": {}}),
            json!({"metadata": {"user_id": "bob"}}),
            json!({"metadata": {"mnemon_app_id": "x"}}),
            json!({"metadata": {"OR": [{"user_id": "bob"}]}}),
            json!({"metadata": {"$or": [{"user_id": "bob"}]}}),
            json!({"memory_ids": []}),
            json!({"memory_ids": [null]}),
            json!({"created_at": "soon"}),
            json!({"created_at": {"gte": null}}),
            json!({"created_at": {"in": "2024-05-31"}}),
            json!({"created_at": {"in": []}}),
            json!({"created_at": ["soon"]}),
            json!({"created_at": {"gte": ["2024-05-31"]}}),
            json!({"categories": [1]}),
            json!({"keywords": ""}),
        ] {
            let parsed = ParsedFilters::parse(&filter);
            assert_eq!(parsed.err().map(|problem| problem.status.as_u16()), Some(400), "{filter}");
        }
        let unknown = ParsedFilters::parse(&json!({"color": "red"})).unwrap_err().message;
        assert!(unknown.contains("color") && unknown.contains("metadata"), "{unknown}");
    }

    #[test]
    fn memory_ids_are_allowed_at_the_top_level() {
        let parsed =
            ParsedFilters::parse(&json!({"AND": [{"memory_ids": {"in": ["1", "2"]}}, {"user_id": "a"}]})).unwrap();
        assert_eq!(parsed.ids, Some(vec![MemoryId::Number(1), MemoryId::Number(2)]));
        assert!(parsed.filter.is_some());
        let parsed = ParsedFilters::parse(&json!({"memory_ids": ["1", "no id"]})).unwrap();
        assert_eq!((parsed.filter, parsed.ids), (None, Some(vec![MemoryId::Number(1)])));
    }
}
