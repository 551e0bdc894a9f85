//! A memory, where it came from, and the record of it that a store keeps.

use jiff::Timestamp;

use crate::{MemoryId, Payload};

/// A memory as readers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Its id.
    pub id: MemoryId,
    /// Text, owner, times and metadata.
    pub payload: Payload,
    /// Where in which conversation it was said.
    pub provenance: Provenance,
}

/// Where a memory came from. Empty for memories that were stored without order, as legacy ones were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The conversation, unique within the memory's scope.
    pub session: Option<String>,
    /// Place in the session, from 0.
    pub position: Option<u32>,
    /// When it was said, where that differs from when it was stored.
    pub event_time: Option<Timestamp>,
}

impl Memory {
    /// When it was said: the event time, else when it was stored.
    pub fn happened_at(&self) -> Option<Timestamp> {
        self.provenance.event_time.or_else(|| self.payload.created_at())
    }
}

/// A sparse vector: (index, value), indices rising.
pub type Sparse = Vec<(u32, f32)>;

/// How often a term occurs in a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TermCount {
    /// The term, hashed to 31 bits as in the sparse vectors.
    pub term: u32,
    /// Occurrences in the memory's own text.
    pub in_text: u16,
    /// Occurrences in the text and the context before it. 0 in both: the term only names the speaker.
    pub in_context: u16,
}

/// The terms of a memory and of its context, for the engine's own statistics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// One entry a term, rising.
    pub counts: Vec<TermCount>,
    /// Number of terms in the text.
    pub text_len: u32,
    /// Number of terms in text and context.
    pub context_len: u32,
}

/// Everything a store keeps of a memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The memory itself.
    pub memory: Memory,
    /// Dense embedding; length = the store's dims, kept bit by bit.
    pub vector: Vec<f32>,
    /// The `bm25` slot as mem0 v2 has it; empty where the text has no words.
    pub bm25: Sparse,
    /// Terms for the default ranking.
    pub terms: Terms,
    /// Whether the text speaks of a time ("yesterday", "in May", "2023").
    pub holds_time_word: bool,
    /// The entities it mentions.
    pub mentions: Vec<Mention>,
}

/// An entity named by a memory; the store joins it to the scope's entity of the same name, whatever its case.
#[derive(Clone, Debug, PartialEq)]
pub struct Mention {
    /// `PROPER`, `QUOTED`, `COMPOUND` or `NOUN`.
    pub kind: String,
    /// The name as it stands in the text.
    pub text: String,
    /// Its embedding; same dims as memories.
    pub vector: Vec<f32>,
}

/// An entity of a scope with all memories that name it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// Its id.
    pub id: MemoryId,
    /// `data` (the name), `entity_type` and the scope keys, as mem0 v2 writes them; without the links.
    pub payload: Payload,
    /// Its embedding.
    pub vector: Vec<f32>,
    /// The memories that name it, sorted.
    pub memories: Vec<MemoryId>,
}

impl Entity {
    /// The name.
    pub fn text(&self) -> &str {
        self.payload.text()
    }

    /// `PROPER`, `QUOTED`, `COMPOUND` or `NOUN`.
    pub fn kind(&self) -> &str {
        self.payload.str("entity_type").unwrap_or_default()
    }
}

/// A directed link between two memories.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Where it starts.
    pub source: MemoryId,
    /// Where it leads.
    pub target: MemoryId,
    /// What it means: `related`, `supersedes`, or a relation's name.
    pub kind: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

impl Link {
    /// The kind of a link from a fact to an older one that it stands in for.
    pub const SUPERSEDES: &'static str = "supersedes";
    /// The kind of a link between facts about the same thing.
    pub const RELATED: &'static str = "related";
}
