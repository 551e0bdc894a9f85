//! A memory, its provenance, and the record that a store keeps of it.

use jiff::Timestamp;

use crate::filter::Origin;
use crate::{Filter, MemoryId, Payload, SCOPE_KEYS, Scope, keys};

/// A memory as reads return it.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Its id.
    pub id: MemoryId,
    /// Text, owner, times and metadata.
    pub payload: Payload,
    /// Its session, its position there, and its event time.
    pub provenance: Provenance,
}

/// Where a memory came from. Empty for memories that were stored without a session, as legacy ones were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The session, unique within the scope of the memory.
    pub session: Option<String>,
    /// Position in the session, from 0.
    pub position: Option<u32>,
    /// When the text was said, if that differs from the time when it was stored.
    pub event_time: Option<Timestamp>,
}

impl Provenance {
    /// What filters know of it.
    pub fn origin(&self) -> Origin<'_> {
        Origin { session: self.session.as_deref(), event_time: self.event_time }
    }
}

impl Memory {
    /// Whether a filter matches it.
    pub fn matches(&self, filter: &Filter) -> bool {
        filter.matches_with(self.payload.as_map(), self.provenance.origin())
    }

    /// When the text was said: the event time, else the time when it was stored.
    pub fn happened_at(&self) -> Option<Timestamp> {
        self.provenance.event_time.or_else(|| self.payload.created_at())
    }
}

/// A sparse vector: (index, value) pairs with rising indices.
pub type Sparse = Vec<(u32, f32)>;

/// How often a term occurs in a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermCount {
    /// The term, hashed to 31 bits as in the sparse vectors.
    pub term: u32,
    /// Occurrences in the text of the memory.
    pub in_text: u16,
    /// Occurrences in the text and in the context before it. If both counts are 0, the term is only in the name of the
    /// speaker.
    pub in_context: u16,
}

/// The terms of a memory and of its context, for the statistics of the default ranking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// One entry for each term, sorted by term.
    pub counts: Vec<TermCount>,
    /// Number of terms in the text.
    pub text_len: u32,
    /// Number of terms in text and context.
    pub context_len: u32,
}

/// Everything that a store keeps of a memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The memory itself.
    pub memory: Memory,
    /// Its dense vector, with the dims of the store; stored bit by bit.
    pub vector: Vec<f32>,
    /// Its sparse vector `bm25` in the format of mem0 v2; empty if the text has no words.
    pub bm25: Sparse,
    /// Terms for the default ranking.
    pub terms: Terms,
    /// Whether the text mentions a time ("yesterday", "in May", "2023").
    pub holds_time_word: bool,
    /// The entities that it mentions.
    pub mentions: Vec<Mention>,
}

/// One occurrence of an entity in a memory. The store joins it to the entity of the same scope whose name differs at most
/// in case.
#[derive(Clone, Debug, PartialEq)]
pub struct Mention {
    /// `PROPER`, `QUOTED`, `COMPOUND` or `NOUN`.
    pub kind: String,
    /// The name as written in the text.
    pub text: String,
    /// Its embedding, with the dims of the store.
    pub vector: Vec<f32>,
}

/// An entity of a scope with all memories that mention it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// Its id.
    pub id: MemoryId,
    /// `data` (the name), `entity_type` and the scope keys, as mem0 v2 writes them; without the memories.
    pub payload: Payload,
    /// Its embedding.
    pub vector: Vec<f32>,
    /// The memories that mention it, sorted.
    pub memories: Vec<MemoryId>,
}

impl Entity {
    const KIND: &str = "entity_type";

    /// The entity of a mention in the memories of a scope, without memories.
    pub fn of_mention(id: MemoryId, scope: &Scope, mention: &Mention) -> Self {
        let mut payload = Payload::default();
        payload.set(keys::DATA, mention.text.as_str());
        payload.set(Self::KIND, mention.kind.as_str());
        for (key, value) in SCOPE_KEYS.iter().zip(scope.ids()) {
            if let Some(value) = value {
                payload.set(key, value);
            }
        }
        Self { id, payload, vector: mention.vector.clone(), memories: Vec::new() }
    }

    /// The name.
    pub fn text(&self) -> &str {
        self.payload.text()
    }

    /// `PROPER`, `QUOTED`, `COMPOUND` or `NOUN`.
    pub fn kind(&self) -> &str {
        self.payload.str(Self::KIND).unwrap_or_default()
    }
}

/// A directed link between two memories.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The memory where it starts.
    pub source: MemoryId,
    /// The memory where it ends.
    pub target: MemoryId,
    /// Its type: `related`, `supersedes`, or the name of another relation.
    pub kind: String,
    /// When it was created, RFC 3339.
    pub created_at: String,
}

impl Link {
    /// The kind of a link from a fact to an older fact that it replaces.
    pub const SUPERSEDES: &'static str = "supersedes";
    /// The kind of a link between facts about the same subject.
    pub const RELATED: &'static str = "related";
}
