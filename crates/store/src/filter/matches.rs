//! Evaluation of filters on payloads.

use serde_json::{Map, Value};

use super::{FieldFilter, Filter, Instant, Number, Range, Test};

impl Filter {
    /// Whether a memory with this payload matches. Only an `icontains` of more than 64 bytes allocates.
    pub fn matches(&self, payload: &Map<String, Value>) -> bool {
        match self {
            Self::And(group) => group.iter().all(|part| part.matches(payload)),
            Self::Or(group) => group.iter().any(|part| part.matches(payload)),
            Self::Not(inner) => !inner.matches(payload),
            Self::Scope(scope) => scope.admits(payload.get(scope.key.as_str()).and_then(Value::as_str)),
            Self::Field(field) => field.matches(payload),
        }
    }
}

impl FieldFilter {
    fn matches(&self, payload: &Map<String, Value>) -> bool {
        let value = lookup(payload, &self.key);
        let any = |test: &dyn Fn(&Value) -> bool| match value {
            None => false,
            Some(Value::Array(elements)) => elements.iter().any(test),
            Some(value) => test(value),
        };
        match &self.test {
            Test::Eq(scalar) => any(&|value| scalar.compare(value).is_some_and(|order| order.is_eq())),
            Test::Ne(scalar) => !any(&|value| scalar.compare(value).is_some_and(|order| order.is_eq())),
            Test::In(list) => any(&|value| list.has(value)),
            Test::NotIn(list) => !any(&|value| list.has(value)),
            Test::Range(range) => any(&|value| range.has(value)),
            Test::Contains(needle) => text_or_element(value, |text| text.contains(needle), |text| text == needle),
            Test::IContains(needle) => text_or_element(value, |text| needle.is_in(text), |text| needle.equals(text)),
            Test::Exists => match value {
                None | Some(Value::Null) => false,
                Some(Value::Array(elements)) => !elements.is_empty(),
                Some(_) => true,
            },
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
    if let Some(value) = payload.get(key) {
        return Some(value);
    }
    let (first, rest) = key.split_once('.')?;
    rest.split('.').try_fold(payload.get(first)?, |value, step| value.as_object()?.get(step))
}

fn text_or_element(value: Option<&Value>, in_text: impl Fn(&str) -> bool, is_text: impl Fn(&str) -> bool) -> bool {
    match value {
        Some(Value::String(text)) => in_text(text),
        Some(Value::Array(elements)) => elements.iter().any(|element| element.as_str().is_some_and(&is_text)),
        _ => false,
    }
}
