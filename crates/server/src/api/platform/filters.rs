//! The hosted platform's filters: a short list of keys, `*` for "any", and `metadata` for the caller's own.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use mnemon_engine::EngineError;
use mnemon_store::filter::{Instant, MAX_CONDITIONS, ScopeKey, check_id};
use mnemon_store::{Filter, MemoryId, RESERVED_KEYS, keys};
use serde_json::{Map, Value};

use super::dto::{APP_ID, CATEGORIES, PLATFORM_KEYS, TIMESTAMP};
use crate::error::Problem;

/// Groups that may nest.
const MAX_DEPTH: usize = 16;
/// Ids of one `memory_ids`.
const MAX_IDS: usize = 1000;
/// The platform's words for whose memories are meant.
pub(super) const ENTITY_KEYS: [&str; 4] = ["user_id", "agent_id", APP_ID, "run_id"];

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    /// What memories must fulfil.
    pub(super) filter: Option<Filter>,
    /// The only memories meant, if they were named.
    pub(super) ids: Option<Vec<MemoryId>>,
}

impl Asked {
    /// Reads the platform's filters.
    pub(super) fn parse(value: &Value) -> Result<Self, Problem> {
        let mut reader = Reader::default();
        let filter = reader.group(value, "filters", 0, true)?;
        if filter.is_none() && reader.ids.is_none() {
            return Err(Problem::bad_request("filters: an empty object is no filter; name a key and a value"));
        }
        Ok(Self { filter, ids: reader.ids })
    }

    /// Also this must hold.
    pub(super) fn and(&mut self, filter: Filter) {
        self.filter = Some(match self.filter.take() {
            Some(before) => before.and(filter),
            None => filter,
        });
    }

    /// Whether nothing was asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.filter.is_none() && self.ids.is_none()
    }
}

/// `user_id`, `agent_id`, `app_id` or `run_id`, as a filter writes it.
pub(super) fn entity(key: &str, value: &Value) -> Result<Filter, Problem> {
    match ScopeKey::from_name(key) {
        Some(scope) => owner(scope, value, key),
        None => app(value, key),
    }
}

/// One or several categories.
pub(super) fn categories(value: &Value) -> Result<Filter, Problem> {
    tags(value, CATEGORIES)
}

/// Words that the text must hold.
pub(super) fn keywords(value: &Value) -> Result<Filter, Problem> {
    words(value, "keywords")
}

/// The caller's own keys.
pub(super) fn metadata(value: &Value) -> Result<Filter, Problem> {
    own_keys(value, "metadata")
}

/// From the start of a day, or an instant, to the end of another.
pub(super) fn created(from: Option<&str>, to: Option<&str>) -> Result<Option<Filter>, Problem> {
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
struct Reader {
    conditions: usize,
    ids: Option<Vec<MemoryId>>,
}

impl Reader {
    /// The keys of an object, all of which must hold. `None` where it says nothing but `memory_ids`.
    fn group(&mut self, value: &Value, path: &str, depth: usize, top: bool) -> Result<Option<Filter>, Problem> {
        let Value::Object(map) = value else {
            return Err(refused(path, "must be an object such as {\"user_id\": \"alice\"}"));
        };
        if depth > MAX_DEPTH {
            return Err(refused(path, "nests AND, OR and NOT too deep"));
        }
        if map.is_empty() {
            return Err(refused(path, "an empty object is no filter; name a key and a value"));
        }
        let mut all = None;
        for (key, value) in map {
            let path = format!("{path}.{key}");
            let part = match key.as_str() {
                "AND" | "OR" | "NOT" => self.logical(key, value, &path, depth, top)?,
                "memory_ids" if top => {
                    self.name_ids(value, &path)?;
                    None
                }
                "memory_ids" => return Err(refused(&path, "stands at the top, or in the AND at the top, only")),
                _ => Some(self.condition(key, value, &path)?),
            };
            all = both(all, part, Filter::and);
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
                return Err(refused(path, "the list is empty; give at least one filter, or leave the key out"));
            }
            Value::Array(parts) => {
                let mut joined = None;
                for (at, part) in parts.iter().enumerate() {
                    let part = self.group(part, &format!("{path}[{at}]"), depth + 1, top)?;
                    joined = both(joined, part, join);
                }
                joined
            }
            // Standing side by side they must all hold, under NOT as well.
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
            return Err(refused(path, "null is no value; give one, or leave the key out"));
        }
        match key {
            _ if ENTITY_KEYS.contains(&key) => entity(key, value).map_err(|fault| at(path, fault)),
            keys::CREATED_AT | keys::UPDATED_AT | keys::EXPIRATION_DATE | TIMESTAMP => time(key, value, path),
            CATEGORIES => tags(value, path),
            "text" | "keywords" | "keywords_search" => words(value, path),
            "metadata" => own_keys(value, path),
            _ => Err(Problem::bad_request(format!(
                "{path}: `{key}` is no key of the platform's filters; write your own keys as {{\"metadata\": \
                 {{\"{key}\": …}}}}"
            ))
            .hint(
                "Keys: AND, OR, NOT, user_id, agent_id, app_id, run_id, created_at, updated_at, timestamp, \
                 expiration_date, text, keywords, categories, metadata, memory_ids.",
            )),
        }
    }

    fn name_ids(&mut self, value: &Value, path: &str) -> Result<(), Problem> {
        let list = match value {
            Value::Object(map) if map.len() == 1 => map.get("in").ok_or_else(|| refused(path, "takes `in`"))?,
            other => other,
        };
        let one;
        let items = match list {
            Value::Array(items) => items,
            Value::String(_) | Value::Number(_) => {
                one = vec![list.clone()];
                &one
            }
            _ => return Err(refused(path, "must be a list of ids, or {\"in\": [ids]}")),
        };
        if items.is_empty() || items.len() > MAX_IDS {
            return Err(refused(path, "give 1 to 1000 ids"));
        }
        let mut ids = Vec::with_capacity(items.len());
        for item in items {
            if !item.is_string() && !item.is_u64() {
                return Err(refused(path, "an id is a string"));
            }
            // What is no id names no memory.
            ids.extend(MemoryId::from_value(item).ok().filter(|id| !ids.contains(id)));
        }
        match &mut self.ids {
            Some(before) => before.retain(|id| ids.contains(id)),
            none => *none = Some(ids),
        }
        Ok(())
    }
}

/// An id, `*` for any, a list, or `{eq, ne, in}`.
fn owner(key: ScopeKey, value: &Value, path: &str) -> Result<Filter, Problem> {
    match value {
        Value::String(text) if text.trim() == "*" => Ok(Filter::has_scope(key)),
        Value::Object(operators) => each(operators, path, &["eq", "ne", "in"], |operator, operand| {
            store(Filter::operator(key.as_str(), operator, operand.clone()))
        }),
        Value::Array(_) => store(Filter::operator(key.as_str(), "in", value.clone())),
        _ => store(Filter::operator(key.as_str(), "eq", value.clone())),
    }
}

/// The same for `app_id`, which is no part of the owner.
fn app(value: &Value, path: &str) -> Result<Filter, Problem> {
    let id = |value: &Value| {
        let Value::String(text) = value else { return Err(refused(path, "an id must be a string")) };
        check_id(text).map(Value::from).map_err(|fault| refused(path, &fault.to_string()))
    };
    let ids = |value: &Value| {
        let Value::Array(items) = value else { return Err(refused(path, "`in` takes a list of ids")) };
        items.iter().map(id).collect::<Result<Value, _>>()
    };
    match value {
        Value::String(text) if text.trim() == "*" => store(Filter::exists(APP_ID)),
        Value::Object(operators) => each(operators, path, &["eq", "ne", "in"], |operator, operand| {
            let operand = if operator == "in" { ids(operand)? } else { id(operand)? };
            store(Filter::operator(APP_ID, operator, operand))
        }),
        Value::Array(_) => store(Filter::operator(APP_ID, "in", ids(value)?)),
        _ => store(Filter::operator(APP_ID, "eq", id(value)?)),
    }
}

/// One category, several of which one must be there, or `{eq, ne, in, contains}`.
fn tags(value: &Value, path: &str) -> Result<Filter, Problem> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(Value::from(text.as_str())),
        _ => Err(refused(path, "a category is a string")),
    };
    let list = |value: &Value| match value {
        Value::Array(items) => items.iter().map(text).collect::<Result<Value, _>>(),
        one => Ok(Value::Array(vec![text(one)?])),
    };
    match value {
        Value::String(star) if star == "*" => store(Filter::exists(CATEGORIES)),
        Value::Object(operators) => {
            each(operators, path, &["eq", "ne", "in", "contains", "icontains"], |operator, operand| {
                match (operator, operand) {
                    ("in", _) | ("contains", Value::Array(_)) => {
                        store(Filter::operator(CATEGORIES, "in", list(operand)?))
                    }
                    _ => store(Filter::operator(CATEGORIES, operator, text(operand)?)),
                }
            })
        }
        other => store(Filter::operator(CATEGORIES, "in", list(other)?)),
    }
}

/// A part of the text, several of which one must be there, or `{contains, icontains}`.
fn words(value: &Value, path: &str) -> Result<Filter, Problem> {
    let part = |operator: &str, value: &Value| match value {
        Value::String(text) if !text.trim().is_empty() => {
            store(Filter::operator(keys::DATA, operator, text.as_str().into()))
        }
        _ => Err(refused(path, "give words that the text must hold")),
    };
    let parts = |operator: &str, value: &Value| match value {
        Value::Array(items) => {
            let any = items.iter().map(|item| part(operator, item)).collect::<Result<Vec<_>, _>>()?;
            Filter::any(any).ok_or_else(|| refused(path, "the list is empty"))
        }
        one => part(operator, one),
    };
    match value {
        Value::Object(operators) => each(operators, path, &["contains", "icontains"], parts),
        other => parts("icontains", other),
    }
}

/// `{key: condition}`, in the language of the store.
fn own_keys(value: &Value, path: &str) -> Result<Filter, Problem> {
    let Value::Object(map) = value else { return Err(refused(path, "must be an object of your own keys")) };
    let mut all = None;
    for (key, value) in map {
        let path = format!("{path}.{key}");
        let reserved = RESERVED_KEYS.contains(&key.as_str()) || PLATFORM_KEYS.contains(&key.as_str());
        if reserved || key == "id" {
            return Err(refused(&path, "is no metadata; ask for it beside `metadata`"));
        }
        if ["AND", "OR", "NOT"].contains(&key.as_str()) {
            return Err(refused(&path, "AND, OR and NOT stand beside `metadata`, not inside"));
        }
        let condition = Map::from_iter([(key.clone(), value.clone())]);
        all = both(all, Some(store(Filter::parse(&Value::Object(condition)))?), Filter::and);
    }
    all.ok_or_else(|| refused(path, "an empty object is no condition"))
}

/// A day, an instant, `*` for any, or `{gt, gte, lt, lte, eq}`. A day as the end of an interval belongs to it.
fn time(key: &str, value: &Value, path: &str) -> Result<Filter, Problem> {
    let mut bounds = Map::new();
    let mut bound = |operator: &str, moment: &Value| {
        let (text, day) = moment_text(moment).ok_or_else(|| {
            refused(path, "give a date such as 2024-05-01, RFC 3339 such as 2024-05-01T12:00:00Z, or unix seconds")
        })?;
        let next = || day.and_then(|day| day.checked_add(1.day()).ok()).map(|day| day.to_string());
        let (operator, text) = match (operator, next()) {
            ("lte", Some(next)) => ("lt", next),
            ("gt", Some(next)) => ("gte", next),
            _ => (operator, text),
        };
        if bounds.insert(operator.to_owned(), text.into()).is_some() {
            return Err(refused(path, "two bounds say where it ends; give one"));
        }
        Ok(())
    };
    match value {
        Value::String(star) if star == "*" => return store(Filter::exists(key)),
        Value::Object(operators) if !operators.is_empty() => {
            for (operator, operand) in operators {
                match operator.as_str() {
                    "gt" | "gte" | "lt" | "lte" => bound(operator, operand)?,
                    "eq" => {
                        bound("gte", operand)?;
                        bound("lte", operand)?;
                    }
                    _ => return Err(unknown(path, operator, &["gt", "gte", "lt", "lte", "eq"])),
                }
            }
        }
        Value::Object(_) => return Err(refused(path, "an empty object is no condition")),
        moment => {
            bound("gte", moment)?;
            bound("lte", moment)?;
        }
    }
    let within = |key: &str| {
        let condition = Map::from_iter([(key.to_owned(), Value::Object(bounds.clone()))]);
        store(Filter::parse(&Value::Object(condition)))
    };
    if key != keys::CREATED_AT {
        return within(key);
    }
    // What was given a time counts as made then; answers show it so.
    let stored = within(key)?.and(!store(Filter::exists(TIMESTAMP))?);
    Ok(within(TIMESTAMP)?.or(stored))
}

/// A moment as text that compares, and the day where it is a whole one.
fn moment_text(value: &Value) -> Option<(String, Option<Date>)> {
    match value {
        Value::String(text) => {
            Instant::parse(text)?;
            let text = text.trim();
            Some((text.to_owned(), text.parse().ok().filter(|_| text.len() == 10)))
        }
        Value::Number(number) => Some((seconds(number.as_f64()?)?.to_string(), None)),
        _ => None,
    }
}

/// Unix seconds as an instant.
pub(crate) fn seconds(seconds: f64) -> Option<Timestamp> {
    let micros = seconds * 1e6;
    // Within what both i64 and the calendar hold.
    if !micros.is_finite() || micros.abs() >= 9.2e18 {
        return None;
    }
    Timestamp::from_microsecond(micros as i64).ok()
}

/// All operators of one key.
fn each(
    operators: &Map<String, Value>,
    path: &str,
    known: &[&str],
    read: impl Fn(&str, &Value) -> Result<Filter, Problem>,
) -> Result<Filter, Problem> {
    let mut all = None;
    for (operator, operand) in operators {
        if !known.contains(&operator.as_str()) {
            return Err(unknown(path, operator, known));
        }
        all = both(all, Some(read(operator, operand)?), Filter::and);
    }
    all.ok_or_else(|| refused(path, "an empty object is no condition"))
}

fn both(left: Option<Filter>, right: Option<Filter>, join: impl Fn(Filter, Filter) -> Filter) -> Option<Filter> {
    match (left, right) {
        (Some(left), Some(right)) => Some(join(left, right)),
        (left, right) => left.or(right),
    }
}

fn store(filter: Result<Filter, mnemon_store::FilterError>) -> Result<Filter, Problem> {
    filter.map_err(|fault| EngineError::from(fault).into())
}

fn refused(path: &str, fault: &str) -> Problem {
    Problem::bad_request(format!("{path}: {fault}"))
}

fn unknown(path: &str, operator: &str, known: &[&str]) -> Problem {
    let negated = if operator == "nin" { "; write NOT with `in` instead" } else { "" };
    refused(path, &format!("`{operator}` is no operator here, only {}{negated}", known.join(", ")))
}

/// The fault with the place where it lies.
fn at(path: &str, mut fault: Problem) -> Problem {
    if !fault.message.starts_with("filters") {
        fault.message =
            format!("{path}: {}", fault.message.split_once(": ").map_or(fault.message.as_str(), |(_, m)| m));
    }
    fault
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(filter: Value, payload: Value) -> bool {
        let asked = Asked::parse(&filter).unwrap_or_else(|fault| panic!("{filter}: {}", fault.message));
        asked.filter.unwrap().matches(payload.as_object().unwrap())
    }

    #[test]
    fn what_the_platform_asks_is_found() {
        let memory = json!({
            "data": "Likes green Tea", "user_id": "ana", "app_id": "shop", "categories": ["food", "home"], "k": 1,
            "created_at": "2024-05-31T23:59:00Z", "updated_at": "2024-05-31T23:59:00Z", "timestamp": "2023-11-14T22:13:20Z", "expiration_date": "2030-01-01",
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
            (json!({"metadata": {"k": 1}}), true),
            (json!({"metadata": {"k": {"gt": 1}}}), false),
            (json!({"updated_at": {"gte": "2024-05-01", "lte": "2024-05-31"}}), true),
            (json!({"updated_at": {"gt": "2024-05-31"}}), false),
            (json!({"updated_at": "2024-05-31"}), true),
            (json!({"created_at": {"gte": "2024-05-01"}}), false),
            (json!({"created_at": "2023-11-14"}), true),
            (json!({"timestamp": 1_700_000_000}), true),
            (json!({"timestamp": {"lt": 1_700_000_000}}), false),
            (json!({"expiration_date": {"lte": "2030-01-01"}}), true),
        ] {
            assert_eq!(matches(filter.clone(), memory.clone()), expected, "{filter}");
        }
    }

    #[test]
    fn a_memory_without_a_time_of_its_own_was_made_when_it_was_stored() {
        let may = || json!({"created_at": {"gte": "2024-05-01", "lte": "2024-05-31"}});
        assert!(matches(may(), json!({"created_at": "2024-05-31T23:59:00Z"})));
        assert!(!matches(may(), json!({"created_at": "2024-06-01T00:00:00Z"})));
    }

    #[test]
    fn what_could_widen_an_answer_is_refused() {
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
            json!({"metadata": {"app_id": "x"}}),
            json!({"metadata": {"OR": [{"user_id": "bob"}]}}),
            json!({"memory_ids": []}),
            json!({"memory_ids": [null]}),
            json!({"created_at": "soon"}),
            json!({"created_at": {"gte": null}}),
            json!({"categories": [1]}),
            json!({"keywords": ""}),
        ] {
            let answer = Asked::parse(&filter);
            assert_eq!(answer.err().map(|fault| fault.status.as_u16()), Some(400), "{filter}");
        }
        let unknown = Asked::parse(&json!({"color": "red"})).unwrap_err().message;
        assert!(unknown.contains("color") && unknown.contains("metadata"), "{unknown}");
    }

    #[test]
    fn ids_of_memories_stand_at_the_top() {
        let asked = Asked::parse(&json!({"AND": [{"memory_ids": {"in": ["1", "2"]}}, {"user_id": "a"}]})).unwrap();
        assert_eq!(asked.ids, Some(vec![MemoryId::Number(1), MemoryId::Number(2)]));
        assert!(asked.filter.is_some());
        let asked = Asked::parse(&json!({"memory_ids": ["1", "no id"]})).unwrap();
        assert_eq!((asked.filter, asked.ids), (None, Some(vec![MemoryId::Number(1)])));
    }
}
