//! Search: a question in, the right memories out, and why.

mod fusion;
mod mem0;
mod question;
mod rerank;
mod successors;

use mnemon_store::{Filter, Memory, MemoryId, View};

pub use fusion::{FusionWeights, Weights};
pub use mem0::{Mem0Config, Mem0Query, Mem0Score};

pub use rerank::LlmReranker;

use crate::engine::today;
use crate::{Engine, EngineError, Result};

/// mem0's default threshold, and ours.
const THRESHOLD: f32 = 0.1;
/// Results a search gives at most.
const MAX_TOP_K: usize = 1000;

/// Which ranking to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Dense, lexical, context, actor, session and time together: the default.
    #[default]
    Fusion,
    /// The formula of mem0 v2.0.2.
    Mem0,
}

/// The ranking an answer was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranking {
    /// All signals, for memories with order.
    Fusion,
    /// Without order: no context, no session.
    Facts,
    /// mem0 v2.0.2.
    Mem0,
}

impl Ranking {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fusion => "fusion",
            Self::Facts => "facts",
            Self::Mem0 => "mem0",
        }
    }
}

/// A question.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// What is asked.
    pub query: String,
    /// Whose memories, and which of them. Must pin one user_id, agent_id or run_id.
    pub filter: Filter,
    /// Most hits, 1 ..= 1000; mem0's default is 20.
    pub top_k: usize,
    /// 0 ..= 1; hits that score below are left out; under `mem0` those whose cosine is below, as there. If absent: 0.1,
    /// but under `fusion` a memory that holds a word of the question stays, however it scores.
    pub threshold: Option<f32>,
    /// The ranking.
    pub profile: Profile,
    /// Tells each hit's signals.
    pub explain: bool,
    /// Shows expired memories too.
    pub show_expired: bool,
    /// Has the best of them judged by the reranker, if there is one.
    pub rerank: bool,
    /// Leaves out facts that a newer one stands in for.
    pub latest_only: bool,
}

impl SearchRequest {
    /// A question with mem0's defaults.
    pub fn new(query: impl Into<String>, filter: Filter) -> Self {
        Self {
            query: query.into(),
            filter,
            top_k: 20,
            threshold: None,
            profile: Profile::default(),
            explain: false,
            show_expired: false,
            rerank: false,
            latest_only: false,
        }
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct SearchAnswer {
    /// Best first.
    pub hits: Vec<SearchHit>,
    /// How it was ranked.
    pub ranking: Ranking,
    /// Whether the reranker judged them: their scores are then its own, from 0 to 1.
    pub reranked: bool,
}

/// A memory that was found.
#[derive(Clone, Debug)]
pub struct SearchHit {
    /// The memory.
    pub memory: Memory,
    /// 0 ..= 1; under `fusion` and `facts` s / (1 + s) of the weighted sum s of the signals, under `mem0` its formula.
    pub score: f32,
    /// Why, if asked.
    pub explanation: Option<Explanation>,
    /// The newest fact that stands in for this one.
    pub superseded_by: Option<MemoryId>,
}

/// Why a memory ranked where it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Sum of weight · value.
    pub raw_score: f32,
    /// All signals, in the order of ARCHITECTURE.md.
    pub signals: Vec<Signal>,
}

/// One reason for a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// Its name.
    pub name: &'static str,
    /// What was measured.
    pub value: f32,
    /// What it weighs.
    pub weight: f32,
}

/// A ranked id, before its memory is read.
struct Ranked {
    id: MemoryId,
    score: f32,
    explanation: Option<Explanation>,
}

impl Engine {
    /// Finds the memories that answer a question, best first.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a blank question, a filter that pins no scope id, `top_k` outside 1 ..= 1000, or a
    /// threshold outside 0 ..= 1.
    pub fn search(&self, request: &SearchRequest) -> Result<SearchAnswer> {
        if request.query.trim().is_empty() {
            return Err(EngineError::invalid("the query is blank; ask something"));
        }
        if !(1..=MAX_TOP_K).contains(&request.top_k) {
            return Err(EngineError::invalid(format!("top_k is {}; give 1 to {MAX_TOP_K}", request.top_k)));
        }
        if let Some(threshold) = request.threshold.filter(|threshold| !(0.0..=1.0).contains(threshold)) {
            return Err(EngineError::invalid(format!("threshold is {threshold}; give 0 to 1")));
        }
        let owner = request.filter.scope();
        if !owner.any_pinned() && !owner.is_contradiction() {
            return Err(EngineError::invalid(
                "the filter must name one user_id, agent_id or run_id whose memories are searched",
            ));
        }
        // What the reranker may lift, and what stands in for others, comes from further down.
        let deeper = if self.reranks(request) {
            rerank::DEPTH
        } else if request.latest_only {
            2 * request.top_k
        } else {
            0
        };
        let wide = SearchRequest { top_k: request.top_k.max(deeper).min(MAX_TOP_K), ..request.clone() };
        let view = View::new(&wide.filter, (!wide.show_expired).then(today));
        let look = self.store.check_freshness(&view)?;
        let mut answer = self.answer(&wide, &view)?;
        if !look.map_or(Ok(true), |look| look())? {
            answer = self.answer(&wide, &view)?;
        }
        if self.reranks(request) {
            self.rerank(request, &mut answer);
        }
        if request.profile == Profile::Fusion {
            self.prefer_successors(request, &mut answer)?;
        }
        answer.hits.truncate(request.top_k);
        Ok(answer)
    }

    fn answer(&self, request: &SearchRequest, view: &View<'_>) -> Result<SearchAnswer> {
        let (ranked, ranking) = match request.profile {
            Profile::Fusion => self.rank_by_fusion(request, view)?,
            Profile::Mem0 => (self.rank_as_mem0(request, view)?, Ranking::Mem0),
        };
        let ids: Vec<MemoryId> = ranked.iter().map(|hit| hit.id).collect();
        let memories = self.store.get(&ids)?;
        // One that was deleted since, or given to another, is no longer an answer.
        let hits = ranked.into_iter().zip(memories).filter_map(|(hit, memory)| {
            let memory = memory.filter(|memory| request.filter.matches(memory.payload.as_map()))?;
            Some(SearchHit { memory, score: hit.score, explanation: hit.explanation, superseded_by: None })
        });
        Ok(SearchAnswer { hits: hits.collect(), ranking, reranked: false })
    }
}
