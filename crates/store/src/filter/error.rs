//! Why a filter was refused, and what to write instead.

use super::{IdFault, MAX_CONDITIONS, MAX_DEPTH, MAX_LIST_ITEMS, ScopeKey};

/// A filter that can't be used. Every variant names the place as a path into the JSON (`AND[1].priority.gte`; the whole
/// is `filters`), and is the caller's to mend: an HTTP 400, never a 500.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// A filter is something else than a JSON object.
    #[error("{path}: a filter must be an object such as {{\"user_id\": \"alice\"}}, not {found}")]
    NotAnObject {
        /// Where.
        path: String,
        /// The JSON type found.
        found: &'static str,
    },
    /// An object holds no condition.
    #[error("{path}: an empty object matches nothing in particular; name a key and a value, or leave it out")]
    Empty {
        /// Where.
        path: String,
    },
    /// A list holds nothing.
    #[error("{path}: the list is empty; give at least one item, or leave the key out")]
    EmptyList {
        /// Where.
        path: String,
    },
    /// An operator that takes a list got something else.
    #[error("{path}: needs a list, not {found}")]
    NotAList {
        /// Where.
        path: String,
        /// The JSON type found.
        found: &'static str,
    },
    /// A key that no field can have: the empty one, or one with `$` in front.
    #[error("{path}: no field can be named so; name a payload key, or use AND, OR, NOT")]
    UnusableKey {
        /// Where.
        path: String,
    },
    /// An operator the language does not have, or an object where a value was expected.
    #[error(
        "{path}: unknown operator; use eq, ne, gt, gte, lt, lte, in, nin, contains or icontains, or reach a nested \
         field by a dotted key (\"a.b\")"
    )]
    UnknownOperator {
        /// Where; its last step is the operator.
        path: String,
    },
    /// The value is null.
    #[error("{path}: null can't be compared; to ask for a missing field write {{\"NOT\": [{{\"key\": \"*\"}}]}}")]
    Null {
        /// Where.
        path: String,
    },
    /// A value of a type its operator does not take.
    #[error("{path}: needs {expected}, not {found}")]
    WrongType {
        /// Where.
        path: String,
        /// What fits.
        expected: &'static str,
        /// The JSON type found.
        found: &'static str,
    },
    /// A list with items of several types.
    #[error(
        "{path}: is {found} in a list that began with {first}; keep to one type a list, and join several lists with OR"
    )]
    MixedList {
        /// Where; its last step is the item.
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
        /// Where.
        path: String,
        /// What was found.
        found: &'static str,
    },
    /// One range with bounds of both kinds.
    #[error("{path}: the bounds of one range must all be numbers or all be dates")]
    MixedRange {
        /// Where.
        path: String,
    },
    /// A scope key with something that is no id.
    #[error("{path}: {fault}")]
    ScopeId {
        /// Where.
        path: String,
        /// What is wrong with it.
        fault: IdFault,
    },
    /// A scope key with an operator that does not name ids.
    #[error("{path}: {} is matched by whole ids only; use eq, ne, in or nin", .key.as_str())]
    ScopeOperator {
        /// Where; its last step is the operator.
        path: String,
        /// The scope key.
        key: ScopeKey,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("{path}: filters nest at most {MAX_DEPTH} levels of AND, OR and NOT; flatten it")]
    TooDeep {
        /// Where the limit was passed.
        path: String,
    },
    /// More conditions than [`MAX_CONDITIONS`].
    #[error(
        "{path}: a filter holds at most {MAX_CONDITIONS} conditions; use a list in place of many conditions on a key"
    )]
    TooManyConditions {
        /// Where the limit was passed.
        path: String,
    },
    /// More list items than [`MAX_LIST_ITEMS`].
    #[error("{path}: a filter holds at most {MAX_LIST_ITEMS} list items in all; ask in several requests")]
    TooManyItems {
        /// Where the limit was passed.
        path: String,
    },
}

impl FilterError {
    /// Where in the JSON the fault lies, such as `AND[1].priority.gte`; `filters` is the whole.
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
