//! The part of a filter that Qdrant can evaluate. It matches at least everything that the filter matches; the rest of the
//! filter is evaluated on payloads here.

use qdrant_client::qdrant::{Condition, Filter as RemoteFilter};

use crate::filter::{FieldFilter, Scalar, ScopeFilter, ScopeTest, Test};
use crate::{Filter, SCOPE_KEYS, Scope};

/// A condition that matches at least everything that the filter matches; `exact` if it matches nothing else.
struct Part {
    condition: Option<Condition>,
    exact: bool,
}

/// The filter for all points that a filter may match, and whether they all match.
pub(super) fn remote_filter(filter: &Filter) -> (RemoteFilter, bool) {
    let part = part(filter);
    (part.condition.map_or_else(RemoteFilter::default, |condition| RemoteFilter::must([condition])), part.exact)
}

/// The filter for points with all ids of a scope.
pub(super) fn has_scope_ids(scope: &Scope) -> RemoteFilter {
    let ids = SCOPE_KEYS.iter().zip(scope.ids());
    RemoteFilter::must(ids.filter_map(|(key, id)| Some(Condition::matches(*key, id?.to_owned()))))
}

/// The filter for points of exactly this scope.
pub(super) fn has_exact_scope(scope: &Scope) -> RemoteFilter {
    RemoteFilter::must(SCOPE_KEYS.iter().zip(scope.ids()).map(|(key, id)| match id {
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
            if conditions.is_empty() {
                unknown
            } else {
                Part { condition: Some(RemoteFilter::must(conditions).into()), exact }
            }
        }
        Filter::Or(group) => {
            let parts: Vec<Part> = group.iter().map(part).collect();
            let exact = parts.iter().all(|part| part.exact);
            match parts.into_iter().map(|part| part.condition).collect::<Option<Vec<Condition>>>() {
                Some(conditions) => Part { condition: Some(RemoteFilter::should(conditions).into()), exact },
                None => unknown,
            }
        }
        Filter::Not(inner) => match part(inner) {
            // The complement of a condition that matches too much would match too little.
            Part { condition: Some(condition), exact: true } => {
                Part { condition: Some(RemoteFilter::must_not([condition]).into()), exact: true }
            }
            _ => unknown,
        },
        Filter::Scope(scope) => scope_part(scope),
        Filter::Field(field) => field_part(field).unwrap_or(unknown),
    }
}

/// Exact, except that Qdrant also matches lists of ids, which are not owners here. Reads and removals check the owner
/// again.
fn scope_part(filter: &ScopeFilter) -> Part {
    let key = filter.key.as_str();
    let among = |ids: &[String]| Condition::matches(key, ids.to_vec());
    match &filter.test {
        ScopeTest::In(ids) => Part { condition: Some(among(ids)), exact: true },
        ScopeTest::NotIn(ids) => Part { condition: Some(RemoteFilter::must_not([among(ids)]).into()), exact: true },
        ScopeTest::Present => {
            Part { condition: Some(RemoteFilter::must_not([Condition::is_empty(key)]).into()), exact: false }
        }
    }
}

/// Supports tests for equality with texts, under keys that have no special meaning in Qdrant.
fn field_part(field: &FieldFilter) -> Option<Part> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !field.key().chars().all(plain) || field.reads_origin() || field.is_time() {
        return None;
    }
    let text = |value: &Scalar| match value {
        // Qdrant compares bytes, and a text may be stored in other forms.
        Scalar::Text(text) if text.is_ascii() => Some(text.clone()),
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
    let condition = if wanted { among } else { RemoteFilter::must_not([among]).into() };
    Some(Part { condition: Some(condition), exact: true })
}
