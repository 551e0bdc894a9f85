//! Constructors for filters that are made in Rust instead of JSON.

use serde_json::{Map, Value};

use super::{Filter, FilterError, ScopeFilter, ScopeKey, ScopeTest};

impl Filter {
    /// `key` equals `value`. The rules for the value are the same as in JSON. On a scope key this pins the id.
    ///
    /// # Errors
    /// If the key is not allowed, if the value is null, a list or an object, or if an id is not valid.
    pub fn eq(key: &str, value: impl Into<Value>) -> Result<Self, FilterError> {
        Self::operator(key, "eq", value.into())
    }

    /// `key` does not equal `value`, or is missing: the complement of [`Filter::eq`].
    ///
    /// # Errors
    /// Same as [`Filter::eq`].
    pub fn ne(key: &str, value: impl Into<Value>) -> Result<Self, FilterError> {
        Self::operator(key, "ne", value.into())
    }

    /// `key` equals one of `values`.
    ///
    /// # Errors
    /// Same as [`Filter::eq`]; also if there are no values, or values of several types.
    pub fn one_of<V: Into<Value>>(key: &str, values: impl IntoIterator<Item = V>) -> Result<Self, FilterError> {
        Self::operator(key, "in", values.into_iter().map(Into::into).collect())
    }

    /// `key` is present, with a value other than null and the empty list.
    ///
    /// # Errors
    /// If the key is not allowed, or is a scope key.
    pub fn exists(key: &str) -> Result<Self, FilterError> {
        Self::parse_condition(key, &Value::from("*"))
    }

    /// The memory has any id under this scope key. The filter pins no id. Its JSON form (`{"user_id": "*"}`) is refused by
    /// the parser, so that an untrusted filter never contains it.
    pub fn has_scope(key: ScopeKey) -> Self {
        Self::Scope(ScopeFilter { key, test: ScopeTest::Present })
    }

    /// Any operator by its name in JSON: `Filter::operator("priority", "gte", 3.into())`.
    ///
    /// # Errors
    /// Same as [`Filter::parse`] for `{key: {operator: operand}}`. The name of a logical operator is not allowed as the
    /// key.
    pub fn operator(key: &str, operator: &str, operand: Value) -> Result<Self, FilterError> {
        Self::parse_condition(key, &Value::Object(Map::from_iter([(operator.to_owned(), operand)])))
    }
}
