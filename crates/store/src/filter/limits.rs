//! Limits of a filter that is read from JSON.

/// Levels of AND, OR and NOT that a filter may nest. An object with several keys counts as an AND.
pub const MAX_DEPTH: usize = 32;

/// Maximum number of conditions in a filter: all of them are evaluated for every payload that is read. A list of ids or words
/// is one condition.
pub const MAX_CONDITIONS: usize = 128;

/// List items that a filter may have, over all its lists.
pub const MAX_LIST_ITEMS: usize = 10_000;
