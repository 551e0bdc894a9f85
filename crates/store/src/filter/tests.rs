//! Tests of the filter language: parsing, errors, matching, scope conditions, and property-based tests.

mod laws;
mod matching;
mod parsing;
mod scopes;

use serde_json::Value;

use super::Filter;

fn parse(json: Value) -> Filter {
    Filter::parse(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}
