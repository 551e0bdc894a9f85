//! The filter tree and the operations that keep it in normal form.

use super::{FieldFilter, ScopeFilter, ScopeKey};

/// A condition on memories, in normal form: a group has at least two filters, none of them a group of the same kind, and
/// there is no double negation. Filters are made by [`Filter::parse`] or by [`Filter::eq`] and similar functions. The
/// constructors of groups are private, so that an empty group can't exist.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All filters match.
    And(Group),
    /// At least one filter matches.
    Or(Group),
    /// The filter does not match. `NOT [a, b]`, "neither", is `Not(Or(a, b))`.
    Not(Box<Filter>),
    /// A condition on the owner of the memory.
    Scope(ScopeFilter),
    /// A condition on another key.
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

impl Filter {
    /// Both filters match.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::And(mut left), Self::And(right)) => {
                left.0.extend(right.0);
                Self::And(left)
            }
            (Self::And(mut left), right) => {
                left.0.push(right);
                Self::And(left)
            }
            (left, Self::And(mut right)) => {
                right.0.insert(0, left);
                Self::And(right)
            }
            (left, right) => Self::And(Group(vec![left, right])),
        }
    }

    /// At least one of the two filters matches.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Or(mut left), Self::Or(right)) => {
                left.0.extend(right.0);
                Self::Or(left)
            }
            (Self::Or(mut left), right) => {
                left.0.push(right);
                Self::Or(left)
            }
            (left, Self::Or(mut right)) => {
                right.0.insert(0, left);
                Self::Or(right)
            }
            (left, right) => Self::Or(Group(vec![left, right])),
        }
    }

    /// All filters match; `None` without filters, because there is no filter that matches everything.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Option<Self> {
        filters.into_iter().reduce(Self::and)
    }

    /// At least one filter matches; `None` without filters.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Option<Self> {
        filters.into_iter().reduce(Self::or)
    }
}

impl Filter {
    /// The filter with other ids of owners.
    ///
    /// # Errors
    /// Those of `map`.
    pub fn map_ids<E>(&self, map: &mut dyn FnMut(ScopeKey, &str) -> Result<String, E>) -> Result<Self, E> {
        let mut each = |group: &Group| -> Result<Group, E> {
            Ok(Group(group.iter().map(|filter| filter.map_ids(map)).collect::<Result<_, E>>()?))
        };
        Ok(match self {
            Self::And(group) => Self::And(each(group)?),
            Self::Or(group) => Self::Or(each(group)?),
            Self::Not(inner) => Self::Not(Box::new(inner.map_ids(map)?)),
            Self::Scope(ScopeFilter { key, test }) => {
                Self::Scope(ScopeFilter { key: *key, test: test.map_ids(|id| map(*key, id))? })
            }
            Self::Field(field) => Self::Field(field.clone()),
        })
    }
}

impl std::ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}
