//! Conditions on the owner of a memory.

use std::fmt;

/// One of the three keys of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScopeKey {
    /// `user_id`.
    User,
    /// `agent_id`.
    Agent,
    /// `run_id`.
    Run,
}

impl ScopeKey {
    /// All three, in the order used everywhere.
    pub const ALL: [Self; 3] = [Self::User, Self::Agent, Self::Run];

    /// The payload key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user_id",
            Self::Agent => "agent_id",
            Self::Run => "run_id",
        }
    }

    /// The scope key of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str() == name)
    }
}

/// A test on a scope key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeFilter {
    /// The key.
    pub key: ScopeKey,
    /// The test on the id.
    pub test: ScopeTest,
}

/// A test on an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeTest {
    /// One of these; with a single id, equality.
    In(Ids),
    /// None of these, or no id: the complement of `In`.
    NotIn(Ids),
    /// Any id. Only [`Filter::has_scope`](super::Filter::has_scope) makes it: JSON can't express it.
    Present,
}

impl ScopeTest {
    pub(super) fn map_ids<E>(&self, map: impl FnMut(&str) -> Result<String, E>) -> Result<Self, E> {
        let mapped = |ids: &Ids| -> Result<Ids, E> {
            let mut ids = ids.iter().map(String::as_str).map(map).collect::<Result<Vec<_>, E>>()?;
            ids.sort_unstable();
            ids.dedup();
            Ok(Ids(ids))
        };
        Ok(match self {
            Self::In(ids) => Self::In(mapped(ids)?),
            Self::NotIn(ids) => Self::NotIn(mapped(ids)?),
            Self::Present => Self::Present,
        })
    }
}

impl ScopeFilter {
    /// Whether the id of an owner passes the test. `None` means that it is missing or not a string.
    pub fn admits(&self, id: Option<&str>) -> bool {
        match &self.test {
            ScopeTest::In(ids) => id.is_some_and(|id| ids.has(id)),
            ScopeTest::NotIn(ids) => !id.is_some_and(|id| ids.has(id)),
            ScopeTest::Present => id.is_some(),
        }
    }
}

/// One or more distinct valid ids, sorted. Dereferences to a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids(Vec<String>);

impl Ids {
    /// Sorts the ids and removes duplicates; `None` if there are none. Ids from requests must have passed [`check_id`].
    pub(crate) fn of(mut ids: Vec<String>) -> Option<Self> {
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() { None } else { Some(Self(ids)) }
    }

    fn has(&self, id: &str) -> bool {
        self.0.binary_search_by(|item| item.as_str().cmp(id)).is_ok()
    }
}

impl std::ops::Deref for Ids {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

/// Why a value is not a valid scope id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidScopeId {
    /// It is null.
    Null,
    /// It is not a string.
    NotText,
    /// It is empty, or only white space.
    Empty,
    /// It contains white space.
    WhiteSpace,
    /// It is `*`, which would match every owner.
    Wildcard,
}

impl fmt::Display for InvalidScopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "the id is null; give an id, or leave the key out",
            Self::NotText => "an id must be a string; quote it, or give a list of strings",
            Self::Empty => "the id is empty; give an id, or leave the key out",
            Self::WhiteSpace => "the id contains white space; ids are single words",
            Self::Wildcard => "`*` is not allowed here as a wildcard; name one id",
        })
    }
}

/// The id without leading and trailing white space.
///
/// # Errors
/// [`InvalidScopeId`] if the rest is empty, contains white space, or is `*`.
pub fn check_id(id: &str) -> Result<&str, InvalidScopeId> {
    let id = id.trim_matches(is_space);
    if id.is_empty() {
        Err(InvalidScopeId::Empty)
    } else if id.contains(is_space) {
        Err(InvalidScopeId::WhiteSpace)
    } else if id == "*" {
        Err(InvalidScopeId::Wildcard)
    } else {
        Ok(id)
    }
}

/// White space as defined by Python, and so by mem0: that of Unicode, and the four ASCII separators.
fn is_space(char: char) -> bool {
    char.is_whitespace() || matches!(char, '\u{1c}'..='\u{1f}')
}
