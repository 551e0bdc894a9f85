//! A request to search.

use mnemon_store::{Filter, MemoryId, is_blank};

use crate::error::{EngineError, Result};
use crate::validate::check_owners;

/// The default threshold, the same as mem0's.
pub(super) const DEFAULT_THRESHOLD: f32 = 0.1;
/// Maximum number of hits.
pub(super) const MAX_TOP_K: usize = 1000;

/// A ranking profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Combines dense, lexical, context, actor, session and time signals: the default.
    #[default]
    Fusion,
    /// The formula of mem0 v2.0.2.
    Mem0,
}

/// A search.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The question.
    pub query: String,
    /// Which memories to search. Must name one user_id, agent_id or run_id.
    pub filter: Filter,
    /// Only these memories, before any are left out as too low in rank.
    pub ids: Option<Vec<MemoryId>>,
    /// Maximum number of hits, 1 ..= 1000; mem0's default is 20.
    pub top_k: usize,
    /// Minimum score, 0 ..= 1; under `mem0` the minimum cosine, as there. If absent: 0.1, except that under `fusion` a
    /// memory that contains a word of the question is kept with any score, and that memories named by `ids` are always kept.
    pub threshold: Option<f32>,
    /// The ranking profile.
    pub profile: Profile,
    /// Returns the signals of each hit.
    pub explain: bool,
    /// Includes expired memories.
    pub show_expired: bool,
    /// Reranks the top hits, if a reranker is configured.
    pub rerank: bool,
    /// Leaves out superseded facts.
    pub latest_only: bool,
}

impl SearchRequest {
    /// A search with mem0's defaults.
    pub fn new(query: impl Into<String>, filter: Filter) -> Self {
        Self {
            query: query.into(),
            filter,
            ids: None,
            top_k: 20,
            threshold: None,
            profile: Profile::default(),
            explain: false,
            show_expired: false,
            rerank: false,
            latest_only: false,
        }
    }

    /// Whether the request leaves out a memory with this id.
    pub(super) fn leaves_out(&self, id: &MemoryId) -> bool {
        self.ids.as_ref().is_some_and(|ids| !ids.contains(id))
    }

    pub(super) fn check(&self) -> Result<()> {
        if is_blank(&self.query) {
            return Err(EngineError::invalid("the query is blank"));
        }
        if !(1..=MAX_TOP_K).contains(&self.top_k) {
            return Err(EngineError::invalid(format!("top_k is {}; it must be 1 to {MAX_TOP_K}", self.top_k)));
        }
        if let Some(threshold) = self.threshold.filter(|threshold| !(0.0..=1.0).contains(threshold)) {
            return Err(EngineError::invalid(format!("threshold is {threshold}; it must be 0 to 1")));
        }
        check_owners(&self.filter)?;
        let owner = self.filter.scope();
        if !owner.any_pinned() && !owner.is_contradiction() {
            return Err(EngineError::invalid("the filter must name one user_id, agent_id or run_id"));
        }
        Ok(())
    }
}
