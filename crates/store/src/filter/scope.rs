//! Conditions on whose a memory is, and what a filter as a whole says about it.

use std::fmt;

use super::Filter;

/// One of the three keys that own a memory.
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
    /// The ids it must, or must not, be.
    pub test: ScopeTest,
}

/// What the id must fulfil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeTest {
    /// One of these; with a single id, equality.
    In(Ids),
    /// None of these, or no id at all: the complement of `In`.
    NotIn(Ids),
    /// Any id. Made by [`Filter::has_scope`] alone: no JSON asks for everybody.
    Present,
}

impl ScopeFilter {
    /// Whether an owner's id (`None`: not a string, or missing) passes.
    pub fn admits(&self, id: Option<&str>) -> bool {
        match &self.test {
            ScopeTest::In(ids) => id.is_some_and(|id| ids.has(id)),
            ScopeTest::NotIn(ids) => !id.is_some_and(|id| ids.has(id)),
            ScopeTest::Present => id.is_some(),
        }
    }
}

/// One or more different valid ids, sorted. Dereferences to a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids(Vec<String>);

impl Ids {
    /// Sorts and drops repetitions. Ids from outside must have passed [`check_id`]; `None` without any.
    pub(super) fn of(mut ids: Vec<String>) -> Option<Self> {
        ids.sort_unstable();
        ids.dedup();
        (!ids.is_empty()).then_some(Self(ids))
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

/// Why a value is no scope id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdFault {
    /// null.
    Null,
    /// Not a string.
    NotText,
    /// Empty, or nothing but white space.
    Empty,
    /// White space inside.
    WhiteSpace,
    /// `*`, which would be everybody.
    Wildcard,
}

impl fmt::Display for IdFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "the id is null; give an id, or leave the key out",
            Self::NotText => "an id must be a string; quote it, or give a list of strings",
            Self::Empty => "the id is empty; give an id, or leave the key out",
            Self::WhiteSpace => "the id holds white space; ids are single words",
            Self::Wildcard => "`*` does not stand for everybody here; name one id",
        })
    }
}

/// The id without white space around it.
///
/// # Errors
/// Where nothing is left, white space is left inside, or it is `*`.
pub fn check_id(id: &str) -> Result<&str, IdFault> {
    let id = id.trim_matches(is_space);
    if id.is_empty() {
        Err(IdFault::Empty)
    } else if id.contains(is_space) {
        Err(IdFault::WhiteSpace)
    } else if id == "*" {
        Err(IdFault::Wildcard)
    } else {
        Ok(id)
    }
}

/// White space as Python, and so mem0, sees it: Unicode's, and the four ASCII separators.
fn is_space(char: char) -> bool {
    char.is_whitespace() || matches!(char, '\u{1c}'..='\u{1f}')
}

/// What a filter demands of the owner: every memory it matches fulfils all three terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeTerms<'a> {
    terms: [ScopeTerm<'a>; 3],
}

/// What a filter demands of one scope key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeTerm<'a> {
    /// Nothing: the key may be anything, or missing.
    Free,
    /// This id.
    Pinned(&'a str),
    /// One of these two or more ids, sorted.
    AnyOf(Vec<&'a str>),
    /// Two things at once: no memory can match.
    Contradiction,
}

impl<'a> ScopeTerms<'a> {
    /// The term of one key.
    pub fn term(&self, key: ScopeKey) -> &ScopeTerm<'a> {
        &self.terms[key as usize]
    }

    /// The one id the key must have, if the filter pins it.
    pub fn pinned(&self, key: ScopeKey) -> Option<&'a str> {
        match self.term(key) {
            ScopeTerm::Pinned(id) => Some(id),
            _ => None,
        }
    }

    /// Whether at least one key is pinned to one id.
    pub fn any_pinned(&self) -> bool {
        ScopeKey::ALL.into_iter().any(|key| self.pinned(key).is_some())
    }

    /// Whether the terms contradict each other: the answer is empty whatever is stored.
    pub fn is_contradiction(&self) -> bool {
        self.terms.contains(&ScopeTerm::Contradiction)
    }
}

impl Filter {
    /// What the filter demands of the owner: the positive conditions on scope keys that every match fulfils. Those
    /// joined by AND, at any depth, narrow each other; those in an OR count where every branch has one on the same key
    /// (`OR [user a, user b]` is "a or b"). Negations demand nothing, nor does [`Filter::has_scope`].
    pub fn scope(&self) -> ScopeTerms<'_> {
        ScopeTerms {
            terms: ScopeKey::ALL.map(|key| match allowed(self, key).as_deref() {
                None => ScopeTerm::Free,
                Some([]) => ScopeTerm::Contradiction,
                Some([id]) => ScopeTerm::Pinned(id),
                Some(ids) => ScopeTerm::AnyOf(ids.to_vec()),
            }),
        }
    }

    /// Whether the filter says nothing but what [`ScopeTerms::pinned`] tells: comparing the pinned ids is then the same
    /// as [`Filter::matches`]. Not so for a contradiction.
    pub fn is_scope_only(&self) -> bool {
        pins_only(self) && !self.scope().is_contradiction()
    }
}

fn pins_only(filter: &Filter) -> bool {
    match filter {
        Filter::Scope(ScopeFilter { test: ScopeTest::In(ids), .. }) => ids.len() == 1,
        Filter::And(group) => group.iter().all(pins_only),
        _ => false,
    }
}

/// The ids a match can have under `key`, sorted; `None` for any or none.
fn allowed(filter: &Filter, key: ScopeKey) -> Option<Vec<&str>> {
    match filter {
        Filter::Scope(ScopeFilter { key: own, test: ScopeTest::In(ids) }) if *own == key => {
            Some(ids.iter().map(String::as_str).collect())
        }
        Filter::And(group) => group.iter().filter_map(|part| allowed(part, key)).reduce(|mut left, right| {
            left.retain(|id| right.binary_search(id).is_ok());
            left
        }),
        Filter::Or(group) => {
            let mut union = Vec::new();
            for part in group {
                union.extend(allowed(part, key)?);
            }
            union.sort_unstable();
            union.dedup();
            Some(union)
        }
        Filter::Scope(_) | Filter::Field(_) | Filter::Not(_) => None,
    }
}
