//! What all surfaces do with memories: within the caller's scope, and telling the webhooks.

use std::sync::Arc;

use mnemon_engine::{AddRequest, AddedMemory, EngineError, ListRequest, SearchAnswer, SearchRequest, UpdateRequest};
use mnemon_store::filter::{ScopeKey, ScopeTerm};
use mnemon_store::{Filter, Memory, MemoryId, Scope, StoreError};

use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::webhooks::{Happened, HappenedKind};

/// Payload key: whether a memory may not be changed.
pub(crate) const IMMUTABLE: &str = "immutable";
/// Branches of a search that names several owners.
const MAX_BRANCHES: usize = 32;
/// Memories that go at once of which webhooks hear one by one.
const MAX_TOLD: usize = 10_000;

impl App {
    /// Remembers. The request's scope must come from [`Caller::scope`].
    pub(crate) async fn add(self: &Arc<Self>, request: AddRequest) -> Result<Vec<AddedMemory>, Problem> {
        self.with_webhooks(move |app| {
            let owner = request.scope.user_id.clone();
            let added = app.engine.add(request)?;
            let happened = |added: &AddedMemory| Happened {
                kind: HappenedKind::Add,
                id: added.id.to_string(),
                memory: added.memory.clone(),
                owner: owner.clone(),
            };
            Ok((added.iter().map(happened).collect(), added))
        })
        .await
    }

    /// A memory of the caller's.
    pub(crate) async fn get(&self, caller: &Caller, id: MemoryId) -> Result<Memory, Problem> {
        let memory = self.engine(move |engine| Ok(engine.get(id)?)).await?;
        caller.own(memory)
    }

    /// Changes a memory of the caller's and returns it as it is now.
    pub(crate) async fn update(
        self: &Arc<Self>,
        caller: &Caller,
        id: MemoryId,
        request: UpdateRequest,
    ) -> Result<Memory, Problem> {
        let caller = caller.clone();
        self.with_webhooks(move |app| {
            may_change(&app.must_own(&caller, id)?)?;
            let memory = app.engine.update(id, &request)?;
            Ok((vec![Happened::to(HappenedKind::Update, &memory)], memory))
        })
        .await
    }

    /// Deletes a memory of the caller's.
    pub(crate) async fn delete(self: &Arc<Self>, caller: &Caller, id: MemoryId) -> Result<(), Problem> {
        let caller = caller.clone();
        self.with_webhooks(move |app| {
            let memory = app.must_own(&caller, id)?;
            app.engine.delete(id)?;
            Ok((vec![Happened::to(HappenedKind::Delete, &memory)], ()))
        })
        .await
    }

    /// Searches what the filter of [`Caller::filter`] shows. A filter that names several owners is asked for each of them,
    /// and the best of all answers count.
    pub(crate) async fn search(&self, request: SearchRequest) -> Result<SearchAnswer, Problem> {
        let rerank = request.rerank;
        let engine = self.engine.clone();
        let search = move || {
            let engine = &*engine;
            let branches = branches(&request.filter);
            let Some((first, rest)) = branches.split_first() else { return Ok(engine.search(&request)?) };
            let ask = |filter: &Filter| engine.search(&SearchRequest { filter: filter.clone(), ..request.clone() });
            let mut answer = ask(first)?;
            for branch in rest {
                answer.hits.extend(ask(branch)?.hits);
            }
            answer.hits.sort_by(|a, b| b.score.total_cmp(&a.score));
            let mut seen = std::collections::HashSet::new();
            answer.hits.retain(|hit| seen.insert(hit.memory.id));
            answer.hits.truncate(request.top_k);
            Ok(answer)
        };
        if rerank { self.thinking(search).await? } else { self.blocking(search).await? }
    }

    /// Deletes what the filter matches, or everything; it must come from [`Caller::filter`]. Returns how many those were.
    /// `then` runs once they are gone. Blocks.
    pub(crate) fn delete_matching<T>(
        &self,
        filter: Option<&Filter>,
        then: impl FnOnce(usize) -> Result<T, Problem>,
    ) -> Result<(Vec<Happened>, T), Problem> {
        let happened = self.about_to_go(filter)?;
        // What waits would come back as memories.
        match filter {
            None => self.cancel_pending(None)?,
            Some(filter) => {
                let owner = Scope::pinned_by(filter);
                if Filter::of_scope(&owner).as_ref() == Some(filter) {
                    self.cancel_pending(Some(&owner))?;
                }
            }
        }
        let deleted = match filter {
            Some(filter) => self.engine.delete_matching(filter)?,
            None => self.engine.reset()?,
        };
        Ok((happened, then(deleted)?))
    }

    /// Deletes what the filter matches, or everything; it must come from [`Caller::filter`]. Returns how many those were.
    pub(crate) async fn delete_all(self: &Arc<Self>, filter: Option<Filter>) -> Result<usize, Problem> {
        self.with_webhooks(move |app| app.delete_matching(filter.as_ref(), Ok)).await
    }

    /// The memories that match, if a webhook wants to hear of their end.
    fn about_to_go(&self, filter: Option<&Filter>) -> Result<Vec<Happened>, Problem> {
        if !self.webhooks.wanted(HappenedKind::Delete) {
            return Ok(Vec::new());
        }
        let mut request =
            ListRequest { filter: filter.cloned(), limit: 1000, show_expired: true, ..ListRequest::default() };
        let mut happened = Vec::new();
        loop {
            let page = self.engine.list(&request)?;
            if page.total > MAX_TOLD {
                tracing::warn!(deleted = page.total, "too many memories go at once to tell the webhooks of each");
                return Ok(Vec::new());
            }
            happened.extend(page.items.iter().map(|memory| Happened::to(HappenedKind::Delete, memory)));
            request.cursor = page.next;
            if request.cursor.is_none() {
                return Ok(happened);
            }
        }
    }

    /// A memory, expired or not, that is the caller's. Blocks.
    pub(crate) fn must_own(&self, caller: &Caller, id: MemoryId) -> Result<Memory, Problem> {
        let found = self.engine.store().get(&[id])?.pop().flatten();
        caller.own(found.ok_or(EngineError::Store(StoreError::NotFound(id)))?)
    }

    /// Runs a change, and queues what happened before anybody hears that it did.
    pub(crate) async fn with_webhooks<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<(Vec<Happened>, T), Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = self.clone();
        self.blocking(move || {
            let (happened, answer) = work(&app)?;
            app.webhooks.queue(&happened);
            Ok(answer)
        })
        .await?
    }
}

/// Memories that were stored as immutable stay what they are, whichever surface asks.
pub(crate) fn may_change(memory: &Memory) -> Result<(), Problem> {
    if memory.payload.as_map().get(IMMUTABLE) == Some(&true.into()) {
        return Err(Problem::bad_request(format!("Memory {} is immutable.", memory.id))
            .hint("It can be deleted, and added anew."));
    }
    Ok(())
}

/// A filter that pins no one owner, cut into filters that each pin one; empty where it can't be cut.
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
    fn a_filter_of_several_owners_is_cut_into_one_each() {
        let count = |filter: serde_json::Value| branches(&Filter::parse(&filter).unwrap()).len();
        assert_eq!(count(json!({"user_id": "ana"})), 0);
        assert_eq!(count(json!({"user_id": ["ana", "bob"], "x": 1})), 2);
        assert_eq!(count(json!({"OR": [{"user_id": "ana"}, {"agent_id": "bot", "x": 1}]})), 2);
        assert_eq!(count(json!({"OR": [{"user_id": "ana"}, {"x": 1}]})), 0);
        assert_eq!(count(json!({"x": 1})), 0);
    }
}
