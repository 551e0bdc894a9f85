//! The language as a whole: what is read, what is refused, what matches, and the laws that hold for every filter.

mod laws;
mod matching;
mod parsing;
mod scopes;

use serde_json::Value;

use super::Filter;

fn parse(json: Value) -> Filter {
    Filter::parse(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}
