//! The conditions that a whole filter sets on the owner.

use super::{FieldFilter, Filter, Scalar, ScopeFilter, ScopeKey, ScopeTest, Test};
use crate::Scope;

/// The conditions of a filter on the owner. Every memory that the filter matches satisfies all three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeTerms<'a> {
    terms: [ScopeTerm<'a>; 3],
}

/// The condition of a filter on one scope key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeTerm<'a> {
    /// No condition: the key may have any value or be missing.
    Free,
    /// It must be this id.
    Pinned(&'a str),
    /// It must be one of these ids: two or more, sorted.
    AnyOf(Vec<&'a str>),
    /// It must be two ids at the same time: no memory can match.
    Contradiction,
}

impl<'a> ScopeTerms<'a> {
    /// The condition on one key.
    pub fn term(&self, key: ScopeKey) -> &ScopeTerm<'a> {
        &self.terms[key as usize]
    }

    /// The id that the key must have, if the filter pins it.
    pub fn pinned(&self, key: ScopeKey) -> Option<&'a str> {
        match self.term(key) {
            ScopeTerm::Pinned(id) => Some(id),
            _ => None,
        }
    }

    /// Whether at least one key is pinned.
    pub fn any_pinned(&self) -> bool {
        ScopeKey::ALL.into_iter().any(|key| self.pinned(key).is_some())
    }

    /// Whether no memory can match.
    pub fn is_contradiction(&self) -> bool {
        self.terms.contains(&ScopeTerm::Contradiction)
    }
}

impl Filter {
    /// The conditions of the filter on the owner: the positive conditions on scope keys that every match satisfies. AND
    /// intersects them at any depth. An OR counts only if every branch has a condition on the same key
    /// (`OR [user a, user b]` is "a or b"). Negations and [`Filter::has_scope`] add no condition.
    pub fn scope(&self) -> ScopeTerms<'_> {
        ScopeTerms {
            terms: ScopeKey::ALL.map(|key| match allowed(self, key.as_str()).as_deref() {
                None => ScopeTerm::Free,
                Some([]) => ScopeTerm::Contradiction,
                Some([id]) => ScopeTerm::Pinned(id),
                Some(ids) => ScopeTerm::AnyOf(ids.to_vec()),
            }),
        }
    }

    /// Two different values that the filter requires under `key` at once, a scope key or a key with one text, so that no
    /// memory can match. Several values of one condition are separated by commas.
    pub fn conflict(&self, key: &str) -> Option<[String; 2]> {
        let Self::And(group) = self else { return None };
        let mut before: Option<Vec<&str>> = None;
        for part in group {
            if let Some(conflict) = part.conflict(key) {
                return Some(conflict);
            }
            let Some(values) = allowed(part, key) else { continue };
            before = Some(match before {
                None => values,
                Some(before) => {
                    let both: Vec<&str> = before.iter().filter(|value| values.contains(value)).copied().collect();
                    if both.is_empty() {
                        return Some([before.join(", "), values.join(", ")]);
                    }
                    both
                }
            });
        }
        None
    }

    /// Whether the filter only pins ids: comparing the ids of [`ScopeTerms::pinned`] then gives the same result as
    /// [`Filter::matches`]. False for a contradiction.
    pub fn is_scope_only(&self) -> bool {
        pins_only(self) && !self.scope().is_contradiction()
    }
}

impl Filter {
    /// Whether the filter has conditions on ids of owners alone: [`Filter::admits_owner`] then decides for all memories of
    /// an owner.
    pub fn is_of_owners(&self) -> bool {
        match self {
            Self::And(group) | Self::Or(group) => group.iter().all(Self::is_of_owners),
            Self::Not(inner) => inner.is_of_owners(),
            Self::Scope(_) => true,
            Self::Field(_) => false,
        }
    }

    /// Whether a filter with conditions on ids of owners alone matches the memories of this owner. False for any other
    /// filter.
    pub fn admits_owner(&self, owner: &Scope) -> bool {
        self.is_of_owners() && admits(self, &owner.ids())
    }
}

fn admits(filter: &Filter, ids: &[Option<&str>; 3]) -> bool {
    match filter {
        Filter::And(group) => group.iter().all(|part| admits(part, ids)),
        Filter::Or(group) => group.iter().any(|part| admits(part, ids)),
        Filter::Not(inner) => !admits(inner, ids),
        Filter::Scope(scope) => scope.admits(ids[scope.key as usize]),
        Filter::Field(_) => false,
    }
}

fn pins_only(filter: &Filter) -> bool {
    match filter {
        Filter::Scope(ScopeFilter { test: ScopeTest::In(ids), .. }) => ids.len() == 1,
        Filter::And(group) => group.iter().all(pins_only),
        _ => false,
    }
}

/// The texts that a match can have under `key`, sorted; `None` if there is no condition.
fn allowed<'f>(filter: &'f Filter, key: &str) -> Option<Vec<&'f str>> {
    match filter {
        Filter::Scope(ScopeFilter { key: own, test: ScopeTest::In(ids) }) if own.as_str() == key => {
            Some(ids.iter().map(String::as_str).collect())
        }
        Filter::Field(FieldFilter { key: own, test: Test::Eq(Scalar::Text(text)) }) if own == key => Some(vec![text]),
        Filter::Field(FieldFilter { key: own, test: Test::In(list) }) if own == key => {
            let text = |value: &'f Scalar| match value {
                Scalar::Text(text) => Some(text.as_str()),
                _ => None,
            };
            list.iter().map(text).collect()
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
