//! What of a filter Qdrant can decide: never less than the filter matches, and the rest is decided on payloads here.

use qdrant_client::qdrant::{Condition, Filter as Remote};

use crate::filter::{FieldFilter, Scalar, ScopeFilter, ScopeTest, Test};
use crate::{Filter, SCOPE_KEYS, Scope};

/// A condition that matches at least what the filter matches; `exact` if nothing else.
struct Part {
    condition: Option<Condition>,
    exact: bool,
}

/// All points that a filter may match, and whether those are just the ones it matches.
pub(super) fn remote(filter: &Filter) -> (Remote, bool) {
    let part = part(filter);
    (part.condition.map_or_else(Remote::default, |condition| Remote::must([condition])), part.exact)
}

/// Points that carry all ids of a scope.
pub(super) fn carrying(scope: &Scope) -> Remote {
    let ids = SCOPE_KEYS.iter().zip(scope.ids());
    Remote::must(ids.filter_map(|(key, id)| Some(Condition::matches(*key, id?.to_owned()))))
}

/// Points of exactly this scope.
pub(super) fn exactly(scope: &Scope) -> Remote {
    Remote::must(SCOPE_KEYS.iter().zip(scope.ids()).map(|(key, id)| match id {
        Some(id) => Condition::matches(*key, id.to_owned()),
        None => Condition::is_empty(*key),
    }))
}

fn part(filter: &Filter) -> Part {
    let unknown = Part { condition: None, exact: false };
    match filter {
        Filter::And(group) => {
            let parts: Vec<Part> = group.iter().map(part).collect();
            let exact = parts.iter().all(|part| part.exact);
            let conditions: Vec<Condition> = parts.into_iter().filter_map(|part| part.condition).collect();
            match conditions.is_empty() {
                true => unknown,
                false => Part { condition: Some(Remote::must(conditions).into()), exact },
            }
        }
        Filter::Or(group) => {
            let parts: Vec<Part> = group.iter().map(part).collect();
            let exact = parts.iter().all(|part| part.exact);
            match parts.into_iter().map(|part| part.condition).collect::<Option<Vec<Condition>>>() {
                Some(conditions) => Part { condition: Some(Remote::should(conditions).into()), exact },
                None => unknown,
            }
        }
        Filter::Not(inner) => match part(inner) {
            // What is more than the filter matches leaves less than its complement.
            Part { condition: Some(condition), exact: true } => {
                Part { condition: Some(Remote::must_not([condition]).into()), exact: true }
            }
            _ => unknown,
        },
        Filter::Scope(scope) => of_scope(scope),
        Filter::Field(field) => of_field(field).unwrap_or(unknown),
    }
}

/// Exact but for lists of ids in a payload, which own nothing here; those who show or remove look at the owner again.
fn of_scope(filter: &ScopeFilter) -> Part {
    let key = filter.key.as_str();
    let among = |ids: &[String]| Condition::matches(key, ids.to_vec());
    match &filter.test {
        ScopeTest::In(ids) => Part { condition: Some(among(ids)), exact: true },
        ScopeTest::NotIn(ids) => Part { condition: Some(Remote::must_not([among(ids)]).into()), exact: true },
        ScopeTest::Present => {
            Part { condition: Some(Remote::must_not([Condition::is_empty(key)]).into()), exact: false }
        }
    }
}

/// Text that is, or is not, one of some, under a key without Qdrant's own syntax.
fn of_field(field: &FieldFilter) -> Option<Part> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !field.key().chars().all(plain) {
        return None;
    }
    let text = |value: &Scalar| match value {
        Scalar::Text(text) => Some(text.clone()),
        _ => None,
    };
    let (texts, wanted) = match field.test() {
        Test::Eq(value) => (vec![text(value)?], true),
        Test::Ne(value) => (vec![text(value)?], false),
        Test::In(list) => (list.iter().map(text).collect::<Option<Vec<String>>>()?, true),
        Test::NotIn(list) => (list.iter().map(text).collect::<Option<Vec<String>>>()?, false),
        _ => return None,
    };
    let among = Condition::matches(field.key(), texts);
    let condition = if wanted { among } else { Remote::must_not([among]).into() };
    Some(Part { condition: Some(condition), exact: true })
}
