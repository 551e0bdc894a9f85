//! Errors of the filter parser, each with advice on what to write instead.

use super::limits::{MAX_CONDITIONS, MAX_DEPTH, MAX_LIST_ITEMS};
use super::{InvalidScopeId, ScopeKey};

/// An invalid filter. Every variant gives the location as a path into the JSON (`AND[1].priority.gte`; `filters` is the
/// whole filter). It is an error of the caller: HTTP 400, never 500.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A filter is not a JSON object.
    #[error("{path}: a filter must be an object such as {{\"user_id\": \"alice\"}}, not {found}")]
    NotAnObject {
        /// The location.
        path: String,
        /// The JSON type found.
        found: &'static str,
    },
    /// An object has no conditions.
    #[error("{path}: an empty object has no condition; give a key and a value, or leave the object out")]
    Empty {
        /// The location.
        path: String,
    },
    /// A list is empty.
    #[error("{path}: the list is empty; give at least one item, or leave the key out")]
    EmptyList {
        /// The location.
        path: String,
    },
    /// The value of an operator that takes a list is not a list.
    #[error("{path}: needs a list, not {found}")]
    NotAList {
        /// The location.
        path: String,
        /// The JSON type found.
        found: &'static str,
    },
    /// The name of a logical operator where a field is expected.
    #[error("{path}: AND, OR and NOT are not fields; use them beside the fields")]
    UnusableKey {
        /// The location.
        path: String,
    },
    /// An unknown operator, or an object where a value is expected.
    #[error(
        "{path}: unknown operator; use eq, ne, gt, gte, lt, lte, in, nin, contains or icontains, or reach a nested \
         field by a dotted key (\"a.b\")"
    )]
    UnknownOperator {
        /// The location; its last step is the operator.
        path: String,
    },
    /// The value is null.
    #[error("{path}: null can't be compared; to match a missing field write {{\"NOT\": [{{\"key\": \"*\"}}]}}")]
    Null {
        /// The location.
        path: String,
    },
    /// A value of a type that its operator does not accept.
    #[error("{path}: needs {expected}, not {found}")]
    WrongType {
        /// The location.
        path: String,
        /// The types that are accepted.
        expected: &'static str,
        /// The JSON type found.
        found: &'static str,
    },
    /// A list with items of different types.
    #[error(
        "{path}: is {found} in a list that began with {first}; use one type in a list, and join several lists with OR"
    )]
    MixedList {
        /// The location; its last step is the item.
        path: String,
        /// The type of the first item.
        first: &'static str,
        /// The type of this one.
        found: &'static str,
    },
    /// A range bound that is neither a number nor an ISO 8601 date.
    #[error(
        "{path}: a range needs a number or an ISO 8601 date (\"2024-05-01\", \"2024-05-01T10:00:00Z\"), not {found}"
    )]
    RangeBound {
        /// The location.
        path: String,
        /// The value that was found.
        found: &'static str,
    },
    /// A range with a number and a date as bounds.
    #[error("{path}: the bounds of one range must all be numbers or all be dates")]
    MixedRange {
        /// The location.
        path: String,
    },
    /// The value of a scope key is not a valid id.
    #[error("{path}: {reason}")]
    ScopeId {
        /// The location.
        path: String,
        /// Why it is not valid.
        reason: InvalidScopeId,
    },
    /// A scope key with an operator that does not compare ids.
    #[error("{path}: {} accepts whole ids only; use eq, ne, in or nin", .key.as_str())]
    ScopeOperator {
        /// The location; its last step is the operator.
        path: String,
        /// The scope key.
        key: ScopeKey,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("{path}: filters nest at most {MAX_DEPTH} levels of AND, OR and NOT; flatten it")]
    TooDeep {
        /// The location where the limit was exceeded.
        path: String,
    },
    /// More conditions than [`MAX_CONDITIONS`].
    #[error(
        "{path}: a filter has at most {MAX_CONDITIONS} conditions; use a list instead of many conditions on one key"
    )]
    TooManyConditions {
        /// The location where the limit was exceeded.
        path: String,
    },
    /// More list items than [`MAX_LIST_ITEMS`].
    #[error("{path}: a filter has at most {MAX_LIST_ITEMS} list items in total; split it into several requests")]
    TooManyItems {
        /// The location where the limit was exceeded.
        path: String,
    },
}

impl FilterError {
    /// The location in the JSON, such as `AND[1].priority.gte`; `filters` is the whole filter.
    pub fn path(&self) -> &str {
        match self {
            Self::NotAnObject { path, .. }
            | Self::Empty { path }
            | Self::EmptyList { path }
            | Self::NotAList { path, .. }
            | Self::UnusableKey { path }
            | Self::UnknownOperator { path }
            | Self::Null { path }
            | Self::WrongType { path, .. }
            | Self::MixedList { path, .. }
            | Self::RangeBound { path, .. }
            | Self::MixedRange { path }
            | Self::ScopeId { path, .. }
            | Self::ScopeOperator { path, .. }
            | Self::TooDeep { path }
            | Self::TooManyConditions { path }
            | Self::TooManyItems { path } => path,
        }
    }
}
