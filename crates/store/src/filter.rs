//! The filter language: mem0's JSON filters as a typed tree with one parser and one meaning.
//!
//! ```text
//! {"k": v}                          equal                 {"k": [v, …]}   any of
//! {"k": {"eq"|"ne": v}}             equal, not equal      {"k": "*"}      present
//! {"k": {"in"|"nin": [v, …]}}       any of, none of
//! {"k": {"gt"|"gte"|"lt"|"lte": v}} numbers, or instants if v is an ISO 8601 date
//! {"k": {"contains"|"icontains": s}}
//! {"AND"|"OR"|"NOT": [filter, …]}   all, any, none; also a single filter; "$and", "$or", "$not" mean the same
//! ```
//!
//! All keys of an object must match, and all operators of one key; the range operators of a key form one interval. The
//! exact rules:
//!
//! * A key is looked up as written. If the payload does not have it, dots descend into objects (`nested.source`), and
//!   `session` and `event_time` are the memory's own; `$session` and `$event_time` are these in any case.
//! * A field that holds a list matches if **any element** matches. One element must satisfy all bounds of an interval.
//! * `ne`, `nin` and `NOT` are the exact complements of `eq`, `in` and "any of these": they also match memories that do
//!   not have the field.
//! * Numbers compare by exact value, whether written as integer or float; `true` does not equal `1`, `"1"` does not equal
//!   `1`.
//! * Dates compare as instants: `YYYY-MM-DD`, with or without time, fraction and offset; without an offset they are UTC. A
//!   day as a bound is the whole day: `{"lte": "2024-05-31"}` includes all of that day, `{"gt": "2024-05-31"}` begins with
//!   the next one. A stored day is its first instant. A stored value that is not a date never matches a range of dates, and one that is not a number never matches a range of
//!   numbers.
//! * `created_at`, `updated_at`, `expiration_date` and the memory's `event_time` are times in any notation, also where another
//!   program stored a number: seconds since 1970, or milli-, micro- or nanoseconds by their size. They equal every notation of
//!   their instant, and their day; their bounds may be numbers too.
//! * `{"k": "*"}` matches any value except null and the empty list. With an operator (`{"k": {"eq": "*"}}`) or in a list,
//!   `*` is a normal string.
//! * `contains` matches a part of a string, or an equal element of a list; `icontains` does the same and ignores case.
//! * `user_id`, `agent_id` and `run_id` accept only ids, with `eq`, `ne`, `in` or `nin`: never `*`, null, another type, the
//!   empty string or a string with inner white space. Ids are trimmed. They are compared only with strings in the payload.

mod build;
mod error;
mod field;
mod limits;
mod matches;
mod number;
mod parse;
mod path;
mod render;
mod scope;
mod scope_terms;
mod time;
mod tree;

#[cfg(test)]
mod tests;

pub use error::FilterError;
pub use field::{Bounds, FieldFilter, List, Needle, Range, Scalar, Test};
pub use limits::{MAX_CONDITIONS, MAX_DEPTH, MAX_LIST_ITEMS};
pub use matches::{EVENT_TIME, Origin, SESSION, is_filter_word};
pub use number::Number;
pub use scope::{Ids, InvalidScopeId, ScopeFilter, ScopeKey, ScopeTest, check_id};
pub use scope_terms::{ScopeTerm, ScopeTerms};
pub use time::Instant;
pub use tree::{Filter, Group};
