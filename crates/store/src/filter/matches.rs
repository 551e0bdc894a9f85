//! Evaluation of filters on payloads.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{FieldFilter, Filter, Instant, Number, Range, Scalar, Test};
use crate::{is_same_text, nfc};

/// The key of a memory's session, even if its metadata has a key `session`.
pub const SESSION: &str = "$session";
/// The key of a memory's event time, even if its metadata has a key `event_time`.
pub const EVENT_TIME: &str = "$event_time";

/// What a filter knows of a memory beside its payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'m> {
    /// Its session.
    pub session: Option<&'m str>,
    /// When its text was said.
    pub event_time: Option<Timestamp>,
}

impl Filter {
    /// Whether a memory with this payload, of no session and without event time, matches. Only an `icontains` of more than
    /// 64 bytes allocates.
    pub fn matches(&self, payload: &Map<String, Value>) -> bool {
        self.matches_with(payload, Origin::default())
    }

    /// Whether a memory with this payload, session and event time matches.
    pub fn matches_with(&self, payload: &Map<String, Value>, origin: Origin<'_>) -> bool {
        match self {
            Self::And(group) => group.iter().all(|part| part.matches_with(payload, origin)),
            Self::Or(group) => group.iter().any(|part| part.matches_with(payload, origin)),
            Self::Not(inner) => !inner.matches_with(payload, origin),
            Self::Scope(scope) => scope.admits(payload.get(scope.key.as_str()).and_then(Value::as_str)),
            Self::Field(field) => field.matches(payload, origin),
        }
    }

    /// Whether the session or the event time of a memory may decide.
    pub fn reads_origin(&self) -> bool {
        match self {
            Self::And(group) | Self::Or(group) => group.iter().any(Self::reads_origin),
            Self::Not(inner) => inner.reads_origin(),
            Self::Scope(_) => false,
            Self::Field(field) => field.reads_origin(),
        }
    }
}

/// Whether a payload key can't be filtered by, because the filter language gives its name another meaning.
pub fn is_filter_word(key: &str) -> bool {
    ["AND", "OR", "NOT", "$and", "$or", "$not", SESSION, EVENT_TIME].contains(&key)
}

impl FieldFilter {
    /// Whether its key may mean the session or the event time of a memory.
    pub fn reads_origin(&self) -> bool {
        [SESSION, EVENT_TIME].iter().any(|own| self.key == *own || self.key == own[1..])
    }

    fn matches(&self, payload: &Map<String, Value>, origin: Origin<'_>) -> bool {
        let value = lookup(payload, &self.key);
        if value.is_none() && self.reads_origin() {
            let is_session = self.key.ends_with(&SESSION[1..]);
            return match origin.event_time.filter(|_| !is_session).map(|time| Value::from(time.to_string())) {
                Some(time) => self.test.matches_time(&time),
                None => self.test.matches(origin.session.filter(|_| is_session).map(Value::from).as_ref()),
            };
        }
        match value {
            Some(time) if self.is_time() => self.test.matches_time(time),
            value => self.test.matches(value),
        }
    }
}

impl Test {
    fn matches(&self, value: Option<&Value>) -> bool {
        let any = |test: &dyn Fn(&Value) -> bool| match value {
            None => false,
            Some(Value::Array(elements)) => elements.iter().any(test),
            Some(value) => test(value),
        };
        match self {
            Test::Eq(scalar) => any(&|value| scalar.compare(value).is_some_and(|order| order.is_eq())),
            Test::Ne(scalar) => !any(&|value| scalar.compare(value).is_some_and(|order| order.is_eq())),
            Test::In(list) => any(&|value| list.has(value)),
            Test::NotIn(list) => !any(&|value| list.has(value)),
            Test::Range(range) => any(&|value| range.has(value)),
            Test::Contains(needle) => {
                text_or_element(value, |text| nfc(text).contains(needle), |text| nfc(text) == *needle)
            }
            Test::IContains(needle) => text_or_element(value, |text| needle.is_in(text), |text| needle.equals(text)),
            Test::Exists => match value {
                None | Some(Value::Null) => false,
                Some(Value::Array(elements)) => !elements.is_empty(),
                Some(_) => true,
            },
        }
    }
}

impl Test {
    /// Whether a time in any notation passes. It equals every notation of its instant, and its day. Other values are compared as
    /// they are.
    fn matches_time(&self, value: &Value) -> bool {
        let Some(instant) = Instant::of_stored(value) else { return self.matches(Some(value)) };
        let equals = |scalar: &Scalar| {
            let span = Instant::span_of_stored(&scalar.to_value());
            span.is_some_and(|(first, last)| (first..=last).contains(&instant))
                || scalar.compare(value).is_some_and(|order| order.is_eq())
        };
        let (earliest, latest) = Instant::LIMITS;
        let as_instant = |number: Number| {
            Instant::from_number(number).unwrap_or(if number.as_f64() < 0.0 { earliest } else { latest })
        };
        match self {
            Self::Eq(scalar) => equals(scalar),
            Self::Ne(scalar) => !equals(scalar),
            Self::In(list) => list.iter().any(equals),
            Self::NotIn(list) => !list.iter().any(equals),
            Self::Range(Range::Number(bounds)) => bounds.map(as_instant).contains(instant),
            Self::Range(Range::Time(bounds)) => bounds.contains(instant),
            Self::Contains(_) | Self::IContains(_) | Self::Exists => self.matches(Some(value)),
        }
    }
}

impl Range {
    fn has(&self, value: &Value) -> bool {
        match self {
            Self::Number(bounds) => Number::of(value).is_some_and(|number| bounds.contains(number)),
            Self::Time(bounds) => {
                value.as_str().and_then(Instant::parse).is_some_and(|instant| bounds.contains(instant))
            }
        }
    }
}

/// The value of the literal key, else of the path that its dots describe.
fn lookup<'a>(payload: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    if [SESSION, EVENT_TIME].contains(&key) {
        return None;
    }
    if let Some(value) = get(payload, key) {
        return Some(value);
    }
    let (first, rest) = key.split_once('.')?;
    rest.split('.').try_fold(get(payload, first)?, |value, step| get(value.as_object()?, step))
}

/// The value under a key in any Unicode form.
fn get<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let other_form = || map.iter().find(|(own, _)| is_same_text(own, key)).map(|(_, value)| value);
    map.get(key).or_else(|| if key.is_ascii() { None } else { other_form() })
}

fn text_or_element(value: Option<&Value>, in_text: impl Fn(&str) -> bool, is_text: impl Fn(&str) -> bool) -> bool {
    match value {
        Some(Value::String(text)) => in_text(text),
        Some(Value::Array(elements)) => elements.iter().any(|element| element.as_str().is_some_and(&is_text)),
        _ => false,
    }
}
