//! The filter language: mem0's JSON filters as a typed tree with one parser and one meaning.
//!
//! ```text
//! {"k": v}                          equal                 {"k": [v, …]}   any of
//! {"k": {"eq"|"ne": v}}             equal, not equal      {"k": "*"}      present
//! {"k": {"in"|"nin": [v, …]}}       any of, none of
//! {"k": {"gt"|"gte"|"lt"|"lte": v}} numbers, or instants where v is an ISO 8601 date
//! {"k": {"contains"|"icontains": s}}
//! {"AND"|"OR"|"NOT": [filter, …]}   all, any, none; also a single filter; "$and", "$or", "$not" mean the same
//! ```
//!
//! Everything that stands side by side must hold: the keys of an object, and the operators of one key, where the range
//! operators form one interval. What the words mean, exactly:
//!
//! * A key is looked up as written; where the payload lacks it, dots descend into objects (`nested.source`).
//! * A field that holds a list matches if **any element** matches; an interval must hold a single element whole.
//! * `ne`, `nin` and `NOT` are the exact complements of `eq`, `in` and of "any of these": they also match memories
//!   that lack the field.
//! * Numbers compare by value, exactly, whether written as integer or float; `true` is not `1`, `"1"` is not `1`.
//! * Dates compare as instants: `YYYY-MM-DD`, with or without time, fraction and offset; without offset means UTC. A
//!   stored value that is no date never lies in a range of dates, nor one that is no number in a range of numbers.
//! * `{"k": "*"}` matches any value but null and the empty list. With an operator (`{"k": {"eq": "*"}}`) or in a list
//!   the star is the plain string.
//! * `contains` finds a part of a string, or an equal element of a list; `icontains` the same whatever the case.
//! * `user_id`, `agent_id` and `run_id` take ids only, by `eq`, `ne`, `in` or `nin`: never `*`, null, another type, the
//!   empty string or inner white space. Ids are trimmed. Only a string in the payload is compared.

mod build;
mod error;
mod field;
mod matches;
mod number;
mod parse;
mod path;
mod render;
mod scope;
mod time;

#[cfg(test)]
mod tests;

pub use error::FilterError;
pub use field::{Bounds, FieldFilter, List, Needle, Range, Scalar, Test};
pub use number::Number;
pub use scope::{IdFault, Ids, ScopeFilter, ScopeKey, ScopeTerm, ScopeTerms, ScopeTest, check_id};
pub use time::Instant;

/// Levels of AND, OR and NOT a filter may nest; keys standing side by side count as an AND.
pub const MAX_DEPTH: usize = 32;

/// Conditions a filter may hold. Each is decided on every payload that is looked at; a list of ids or words is one.
pub const MAX_CONDITIONS: usize = 128;

/// List items a filter may hold, over all its lists.
pub const MAX_LIST_ITEMS: usize = 10_000;

/// A condition on memories, in normal form: groups hold two or more filters, none of the group's own kind; no double
/// negation. Built by [`Filter::parse`] or from [`Filter::eq`] and its siblings; the groups' own constructors are
/// private, so an empty group does not exist.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All hold.
    And(Group),
    /// At least one holds.
    Or(Group),
    /// It does not hold. `NOT [a, b]`, "neither", is `Not(Or(a, b))`.
    Not(Box<Filter>),
    /// A condition on who owns the memory.
    Scope(ScopeFilter),
    /// A condition on any other key.
    Field(FieldFilter),
}

/// Two or more filters. Dereferences to a slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Group(Vec<Filter>);

impl std::ops::Deref for Group {
    type Target = [Filter];

    fn deref(&self) -> &[Filter] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Group {
    type Item = &'a Filter;
    type IntoIter = std::slice::Iter<'a, Filter>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
