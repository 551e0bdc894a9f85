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
    /// The newest of the current facts that supersede this one.
    pub superseded_by: Option<MemoryId>,
    /// The facts that this one supersedes, if it is current: the last ones first, and only those that the request may show.
    pub supersedes: Vec<MemoryId>,
}

impl SearchHit {
    /// A hit whose links were not followed yet.
    pub(super) fn new(memory: Memory, score: f32, explanation: Option<Explanation>) -> Self {
        Self { memory, score, explanation, superseded_by: None, supersedes: Vec::new() }
    }
}

/// The signals behind a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The sum of weight · value.
    pub raw_score: f32,
    /// All signals, in the order of ARCHITECTURE.md.
    pub signals: Vec<Signal>,
}

impl Explanation {
    /// The signal of a kind, if the ranking has it.
    pub fn signal(&self, kind: SignalKind) -> Option<&Signal> {
        self.signals.iter().find(|signal| signal.kind == kind)
    }

    /// How close the memory is in meaning, in either ranking.
    pub fn closeness(&self) -> f32 {
        self.first([SignalKind::Semantic, SignalKind::Dense])
    }

    /// BM25 of the text, in either ranking.
    pub fn bm25(&self) -> f32 {
        self.first([SignalKind::Bm25, SignalKind::Text])
    }

    /// What shared entities add; 0 unless the ranking is mem0's.
    pub fn entity_boost(&self) -> f32 {
        self.first([SignalKind::EntityBoost])
    }

    fn first<const N: usize>(&self, kinds: [SignalKind; N]) -> f32 {
        kinds.into_iter().find_map(|kind| self.signal(kind)).map_or(0.0, |signal| signal.value)
    }
}

/// What a component of a score measures; ARCHITECTURE.md explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalKind {
    /// Cosine of the question and the memory.
    Dense,
    /// BM25 of the text, divided by the length of the question.
    Text,
    /// BM25 of the text.
    TextSum,
    /// BM25 of the text and its context.
    Context,
    /// BM25 of the previous memory in the session.
    Before,
    /// BM25 of the next memory in the session.
    After,
    /// Whether the person of the question said it.
    Actor,
    /// The score of the session.
    Session,
    /// How well the day fits the dates of the question.
    Date,
    /// Whether it mentions a time, if the question asks for one.
    When,
    /// mem0's cosine.
    Semantic,
    /// mem0's BM25.
    Bm25,
    /// mem0's bonus for shared entities.
    EntityBoost,
}

impl SignalKind {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Text => "text",
            Self::TextSum => "text_sum",
            Self::Context => "context",
            Self::Before => "before",
            Self::After => "after",
            Self::Actor => "actor",
            Self::Session => "session",
            Self::Date => "date",
            Self::When => "when",
            Self::Semantic => "semantic",
            Self::Bm25 => "bm25",
            Self::EntityBoost => "entity_boost",
        }
    }
}

/// One component of a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// What it measures.
    pub kind: SignalKind,
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
