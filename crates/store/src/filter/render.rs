//! Conversion of filters to JSON.

use std::fmt;

use serde_json::{Map, Value};

use super::{Filter, Range, Scalar, ScopeTest, Test};

impl Filter {
    /// The filter as JSON in normal form. [`Filter::parse`] reads the same filter from it; it refuses only
    /// [`Filter::has_scope`].
    pub fn to_value(&self) -> Value {
        match self {
            Self::And(group) => object("AND", group.iter().map(Self::to_value).collect()),
            Self::Or(group) => object("OR", group.iter().map(Self::to_value).collect()),
            Self::Not(inner) => {
                let parts = match &**inner {
                    Self::Or(group) => group.iter().map(Self::to_value).collect(),
                    other => Value::Array(vec![other.to_value()]),
                };
                object("NOT", parts)
            }
            Self::Scope(scope) => {
                let operand = match &scope.test {
                    ScopeTest::In(ids) => match &**ids {
                        [id] => Value::from(id.as_str()),
                        ids => object("in", ids.iter().map(String::as_str).collect()),
                    },
                    ScopeTest::NotIn(ids) => match &**ids {
                        [id] => object("ne", id.as_str().into()),
                        ids => object("nin", ids.iter().map(String::as_str).collect()),
                    },
                    ScopeTest::Present => Value::from("*"),
                };
                object(scope.key.as_str(), operand)
            }
            Self::Field(field) => object(&field.key, field.test.to_value()),
        }
    }
}

impl Test {
    fn to_value(&self) -> Value {
        let list = |items: &[Scalar]| items.iter().map(Scalar::to_value).collect();
        match self {
            Self::Eq(Scalar::Text(text)) if text == "*" => object("eq", text.as_str().into()),
            Self::Eq(scalar) => scalar.to_value(),
            Self::Ne(scalar) => object("ne", scalar.to_value()),
            Self::In(items) => object("in", list(items)),
            Self::NotIn(items) => object("nin", list(items)),
            Self::Range(Range::Number(b)) => bounds([b.gt(), b.gte(), b.lt(), b.lte()], |number| number.to_value()),
            Self::Range(Range::Time(b)) => {
                bounds([b.gt(), b.gte(), b.lt(), b.lte()], |instant| instant.to_string().into())
            }
            Self::Contains(needle) => object("contains", needle.as_str().into()),
            Self::IContains(needle) => object("icontains", needle.as_str().into()),
            Self::Exists => Value::from("*"),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_value().fmt(f)
    }
}

fn object(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

fn bounds<T>(bounds: [Option<T>; 4], write: impl Fn(T) -> Value) -> Value {
    let set = ["gt", "gte", "lt", "lte"].into_iter().zip(bounds);
    set.filter_map(|(operator, bound)| Some((operator.to_owned(), write(bound?)))).collect()
}
