//! Settings of the engine: limits, ranking weights, and the models that it may call.

use std::sync::Arc;
use std::time::Duration;

use jiff::Span;
use mnemon_models::{ChatModel, Reranker};
use mnemon_store::{Bm25, DocumentStore};

/// The maximum length of one memory's text, in bytes.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Tunable settings of an [`Engine`](crate::Engine).
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Weights of the `fusion` ranking profile.
    pub fusion: FusionWeights,
    /// Constants of the `mem0` ranking profile.
    pub mem0: Mem0Config,
    /// A message that is this much later than the previous one starts a new session, unless the request names a session.
    pub session_gap: Span,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { fusion: FusionWeights::default(), mem0: Mem0Config::default(), session_gap: Span::new().minutes(30) }
    }
}

/// Weights and constants of the `fusion` ranking profile. ARCHITECTURE.md explains each of them.
#[derive(Clone, Debug, PartialEq)]
pub struct FusionWeights {
    /// BM25 parameters of both fields, text and context.
    pub bm25: Bm25,
    /// Number of candidates taken from each of the dense, text and context rankings.
    pub candidates: usize,
    /// Number of best memories of a session that make up the session's score.
    pub session_best: usize,
    /// Weight of the text score, relative to the dense score, when the best memories of a session are chosen.
    pub session_text: f32,
    /// Weights for scopes whose memories mostly belong to sessions.
    pub ordered: Weights,
    /// Weights for scopes whose memories mostly belong to no session.
    pub facts: Weights,
}

/// The weight of each signal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weights {
    /// Cosine of question and memory.
    pub dense: f32,
    /// BM25 of the memory's text, normalised.
    pub text: f32,
    /// BM25 of the memory's text as a plain sum.
    pub text_sum: f32,
    /// BM25 of text and context, normalised.
    pub context: f32,
    /// BM25 of the previous memory of the session.
    pub before: f32,
    /// BM25 of the next memory of the session.
    pub after: f32,
    /// The question is about the memory's author.
    pub actor: f32,
    /// Mean score of the session's best memories.
    pub session: f32,
    /// The question's date matches the memory's date.
    pub date: f32,
    /// The question asks for a time, and the memory names one.
    pub when: f32,
}

impl Default for FusionWeights {
    fn default() -> Self {
        Self {
            bm25: Bm25 { k: 1.2, b: 0.75, avg_len: 64.0, norm: 60.0 },
            candidates: 300,
            session_best: 3,
            session_text: 0.5,
            ordered: Weights {
                dense: 1.0,
                text: 0.25,
                context: 1.0,
                before: 0.1,
                after: 0.2,
                actor: 0.4,
                session: 0.8,
                date: 0.4,
                when: 0.2,
                ..Weights::default()
            },
            facts: Weights { dense: 1.0, text_sum: 0.022, actor: 0.3, date: 0.3, when: 0.1, ..Weights::default() },
        }
    }
}

/// Constants of the `mem0` ranking profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Mem0Config {
    /// Dense and sparse candidates are limited to this multiple of `top_k` …
    pub overfetch: usize,
    /// … but at least to this number.
    pub least: usize,
    /// Number of the question's entities that are used.
    pub query_entities: usize,
    /// Number of stored entities compared with each of them.
    pub near_entities: usize,
    /// Minimum cosine at which a stored entity counts as the question's entity.
    pub entity_cosine: f32,
    /// Maximum that a shared entity adds to a score.
    pub entity_weight: f32,
    /// How much an entity's weight decreases with the number of its memories.
    pub crowding: f32,
}

impl Default for Mem0Config {
    fn default() -> Self {
        Self {
            overfetch: 4,
            least: 60,
            query_entities: 8,
            near_entities: 500,
            entity_cosine: 0.5,
            entity_weight: 0.5,
            crowding: 0.001,
        }
    }
}

/// The models that an engine uses beside its embedder, and where their jobs are stored.
#[derive(Clone)]
pub struct ModelServices {
    /// Extracts facts, answers chats and reranks. Without it the built-in rules extract facts.
    pub llm: Option<Arc<dyn ChatModel>>,
    /// Stores the jobs of learning requests. Without it a request fails when its model is unavailable.
    pub documents: Option<Arc<dyn DocumentStore>>,
    /// Reranks the top hits of a search when the search asks for it.
    pub reranker: Option<Arc<dyn Reranker>>,
    /// Added to the prompt of every extraction, unless the request has other instructions.
    pub instructions: Option<String>,
    /// How long a worker keeps a claimed job without renewing the claim; longer than one model call takes.
    pub lease: Duration,
}

impl Default for ModelServices {
    fn default() -> Self {
        Self { llm: None, documents: None, reranker: None, instructions: None, lease: Duration::from_secs(180) }
    }
}
