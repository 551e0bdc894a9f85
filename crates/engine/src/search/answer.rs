//! The result of a search.

use mnemon_store::{Memory, MemoryId};

/// The ranking that an answer was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranking {
    /// `fusion` with all signals, for scopes whose memories mostly belong to sessions.
    Fusion,
    /// `fusion` without context and session signals, for scopes whose memories mostly belong to no session.
    Facts,
    /// The formula of mem0 v2.0.2.
    Mem0,
}

impl Ranking {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fusion => "fusion",
            Self::Facts => "facts",
            Self::Mem0 => "mem0",
        }
    }
}

/// The answer to a search.
#[derive(Clone, Debug)]
pub struct SearchAnswer {
    /// The hits, best first.
    pub hits: Vec<SearchHit>,
    /// How they were ranked.
    pub ranking: Ranking,
    /// Whether the reranker ordered them. Scores are then those of the reranker, 0 ..= 1.
    pub reranked: bool,
}

/// A memory that was found.
#[derive(Clone, Debug)]
pub struct SearchHit {
    /// The memory.
    pub memory: Memory,
    /// 0 ..= 1; under `fusion` and `facts` s / (1 + s), where s is the weighted sum of the signals; under `mem0` its
    /// formula.
    pub score: f32,
    /// The signals behind the score, if requested.
    pub explanation: Option<Explanation>,
    /// The newest fact that supersedes this one.
    pub superseded_by: Option<MemoryId>,
}

/// The signals behind a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The sum of weight · value.
    pub raw_score: f32,
    /// All signals, in the order of ARCHITECTURE.md.
    pub signals: Vec<Signal>,
}

/// One component of a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// Its name.
    pub name: &'static str,
    /// The measured value.
    pub value: f32,
    /// Its weight.
    pub weight: f32,
}

/// A ranked id, before its memory is read.
pub(super) struct Ranked {
    pub(super) id: MemoryId,
    pub(super) score: f32,
    pub(super) explanation: Option<Explanation>,
}
