//! Filters made in Rust rather than from JSON, and the normal form both ways lead to.

use serde_json::{Map, Value};

use super::{Filter, FilterError, Group, Ids, ScopeFilter, ScopeKey, ScopeTest};
use crate::Scope;

impl Filter {
    /// `key` equals `value`. The value is held to the same rules as in JSON; on a scope key this pins the id.
    ///
    /// # Errors
    /// A key that no field can have, a value that is null, a list or an object, or an id that is none.
    pub fn eq(key: &str, value: impl Into<Value>) -> Result<Self, FilterError> {
        Self::operator(key, "eq", value.into())
    }

    /// `key` equals none but other values, or is missing: the complement of [`Filter::eq`].
    ///
    /// # Errors
    /// As [`Filter::eq`].
    pub fn ne(key: &str, value: impl Into<Value>) -> Result<Self, FilterError> {
        Self::operator(key, "ne", value.into())
    }

    /// `key` equals one of `values`.
    ///
    /// # Errors
    /// As [`Filter::eq`]; no value at all, or values of several types.
    pub fn one_of<V: Into<Value>>(key: &str, values: impl IntoIterator<Item = V>) -> Result<Self, FilterError> {
        Self::operator(key, "in", values.into_iter().map(Into::into).collect())
    }

    /// `key` is present, with a value other than null and the empty list.
    ///
    /// # Errors
    /// A key that no field can have, or a scope key.
    pub fn exists(key: &str) -> Result<Self, FilterError> {
        Self::parse_condition(key, &Value::from("*"))
    }

    /// The memory carries all ids of this scope, compared as they are; `None` for a scope without ids.
    pub fn of_scope(scope: &Scope) -> Option<Self> {
        let ids = ScopeKey::ALL.into_iter().zip(scope.ids());
        Self::all(ids.filter_map(|(key, id)| {
            let test = ScopeTest::In(Ids::of(vec![id?.to_owned()])?);
            Some(Self::Scope(ScopeFilter { key, test }))
        }))
    }

    /// The memory has an id under this scope key, whichever. It pins nothing, and the parser refuses what it is written
    /// as (`{"user_id": "*"}`): who reads filters from strangers never gets one.
    pub fn has_scope(key: ScopeKey) -> Self {
        Self::Scope(ScopeFilter { key, test: ScopeTest::Present })
    }

    /// Any operator by its name in JSON: `Filter::operator("priority", "gte", 3.into())`.
    ///
    /// # Errors
    /// As [`Filter::parse`] on `{key: {operator: operand}}`; a logical operator is not a key here.
    pub fn operator(key: &str, operator: &str, operand: Value) -> Result<Self, FilterError> {
        Self::parse_condition(key, &Value::Object(Map::from_iter([(operator.to_owned(), operand)])))
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::And(mut left), Self::And(right)) => {
                left.0.extend(right.0);
                Self::And(left)
            }
            (Self::And(mut left), right) => {
                left.0.push(right);
                Self::And(left)
            }
            (left, Self::And(mut right)) => {
                right.0.insert(0, left);
                Self::And(right)
            }
            (left, right) => Self::And(Group(vec![left, right])),
        }
    }

    /// At least one holds.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Or(mut left), Self::Or(right)) => {
                left.0.extend(right.0);
                Self::Or(left)
            }
            (Self::Or(mut left), right) => {
                left.0.push(right);
                Self::Or(left)
            }
            (left, Self::Or(mut right)) => {
                right.0.insert(0, left);
                Self::Or(right)
            }
            (left, right) => Self::Or(Group(vec![left, right])),
        }
    }

    /// All hold; `None` without filters, since a filter that matches everything does not exist.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Option<Self> {
        filters.into_iter().reduce(Self::and)
    }

    /// At least one holds; `None` without filters.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Option<Self> {
        filters.into_iter().reduce(Self::or)
    }
}

impl std::ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}
