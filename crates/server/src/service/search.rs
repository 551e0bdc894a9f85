//! Search within what a caller may see.

use std::collections::HashSet;

use mnemon_engine::{SearchAnswer, SearchRequest};
use mnemon_store::Filter;
use mnemon_store::filter::{ScopeKey, ScopeTerm};

use super::app::App;
use crate::error::Problem;

/// Most owners of one search; a filter that names more is searched as a whole.
const MAX_BRANCHES: usize = 32;

impl App {
    /// Searches with a filter from [`crate::auth::Caller::filter`]. A filter that names several owners is searched once
    /// for each of them, and the best hits of all searches are returned.
    pub(crate) async fn search(&self, request: SearchRequest) -> Result<SearchAnswer, Problem> {
        let rerank = request.rerank;
        let engine = self.engine.clone();
        let search = move || {
            let engine = &*engine;
            let branches = branches(&request.filter);
            let Some((first, rest)) = branches.split_first() else { return Ok(engine.search(&request)?) };
            let search = |filter: &Filter| engine.search(&SearchRequest { filter: filter.clone(), ..request.clone() });
            let mut answer = search(first)?;
            for branch in rest {
                answer.hits.extend(search(branch)?.hits);
            }
            answer.hits.sort_by(|a, b| b.score.total_cmp(&a.score));
            let mut seen = HashSet::new();
            answer.hits.retain(|hit| seen.insert(hit.memory.id));
            answer.hits.truncate(request.top_k);
            Ok(answer)
        };
        if rerank { self.blocking_on_model(search).await? } else { self.blocking(search).await? }
    }
}

/// Splits a filter that does not require one owner into filters that each require one. Empty if it cannot be split.
fn branches(filter: &Filter) -> Vec<Filter> {
    let terms = filter.scope();
    if terms.any_pinned() || terms.is_contradiction() {
        return Vec::new();
    }
    for key in ScopeKey::ALL {
        if let ScopeTerm::AnyOf(ids) = terms.term(key) {
            let one = |id: &&str| Some(Filter::eq(key.as_str(), *id).ok()?.and(filter.clone()));
            return if ids.len() > MAX_BRANCHES { Vec::new() } else { ids.iter().filter_map(one).collect() };
        }
    }
    match filter {
        Filter::Or(parts) if parts.len() <= MAX_BRANCHES && parts.iter().all(|part| part.scope().any_pinned()) => {
            parts.to_vec()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_with_several_owners_is_split_by_owner() {
        let count = |filter: serde_json::Value| branches(&Filter::parse(&filter).unwrap()).len();
        assert_eq!(count(json!({"user_id": "ana"})), 0);
        assert_eq!(count(json!({"user_id": ["ana", "bob"], "x": 1})), 2);
        assert_eq!(count(json!({"OR": [{"user_id": "ana"}, {"agent_id": "bot", "x": 1}]})), 2);
        assert_eq!(count(json!({"OR": [{"user_id": "ana"}, {"x": 1}]})), 0);
        assert_eq!(count(json!({"x": 1})), 0);
    }
}
