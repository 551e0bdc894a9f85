//! What a store is asked to find, and what it answers.

use std::cell::Cell;
use std::collections::HashMap;

use jiff::civil::Date;

use crate::{Entity, Filter, HistoryEvent, Link, Memory, MemoryId, SessionMessage, Sparse};

/// Which memories a read may see.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// Scope and further conditions.
    pub filter: &'a Filter,
    /// Memories that expired before this day are hidden; `None` shows all.
    pub today: Option<Date>,
    /// Whether a store that others write to as well has looked for their changes for this view.
    #[cfg_attr(not(feature = "qdrant"), allow(dead_code, reason = "a store in one file sees every commit anyway"))]
    pub(crate) checked: Cell<bool>,
}

impl<'a> View<'a> {
    /// What the filter matches, without what expired before `today`.
    pub fn new(filter: &'a Filter, today: Option<Date>) -> Self {
        Self { filter, today, checked: Cell::new(false) }
    }
}

/// What is asked for candidates of the default ranking.
#[derive(Clone, Debug)]
pub struct CandidateQuery<'a> {
    /// The embedded question; L2-normalised.
    pub vector: &'a [f32],
    /// Its distinct terms.
    pub terms: &'a [u32],
    /// BM25's parameters.
    pub bm25: Bm25,
    /// Best hits to take of each signal: dense, text, context.
    pub per_signal: usize,
    /// Best memories to return of each candidate's session.
    pub per_session: usize,
    /// A session's best are those with the largest cosine + `text_share` · BM25 of the text.
    pub text_share: f32,
}

/// Parameters of BM25; see [`CandidateQuery::bm25`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bm25 {
    /// Term frequency saturation.
    pub k: f32,
    /// Length normalisation, 0 ..= 1.
    pub b: f32,
    /// The assumed average number of terms.
    pub avg_len: f32,
    /// Σ idf·tf is divided by sqrt(`norm` · Σ idf of the question's terms).
    pub norm: f32,
}

/// Candidates with all that ranking needs.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// The union of the best by dense, text and context, oldest first.
    pub hits: Vec<Candidate>,
    /// Mean of (cosine + `text_share` · BM25 of the text) over the best memories of a candidate's session, by session number.
    pub sessions: HashMap<u32, f32>,
    /// Memories of the pinned scope that have not expired, whatever else the filter says.
    pub in_scope: usize,
    /// Those of them that belong to a session.
    pub in_session: usize,
}

/// A candidate and its signals.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The memory.
    pub id: MemoryId,
    /// Cosine, −1 ..= 1.
    pub dense: f32,
    /// Σ idf·tf over the memory's text.
    pub text_sum: f32,
    /// The same divided by sqrt(norm · Σ idf).
    pub text: f32,
    /// The same over text and context.
    pub context: f32,
    /// `text` of the memory just before it in its session; 0 where there is none or the view hides it.
    pub before: f32,
    /// `text` of the memory just after it.
    pub after: f32,
    /// Number of its session in this answer; 0 for none.
    pub session: u32,
    /// Who spoke, by name, if known.
    pub actor: Option<String>,
    /// Who wrote it.
    pub role: Role,
    /// The day it was said.
    pub day: Option<Date>,
    /// Whether the text speaks of a time.
    pub holds_time_word: bool,
}

/// The author's role, as far as ranking cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A human.
    User,
    /// The assistant.
    Assistant,
    /// Unknown or another.
    Other,
}

/// Statistics of a scope.
#[derive(Clone, Debug, Default)]
pub struct ScopeStats {
    /// Memories in the scope.
    pub memories: usize,
    /// For each asked term: memories whose text or speaker's name holds it.
    pub document_frequency: Vec<usize>,
    /// Names of those who spoke.
    pub actors: Vec<String>,
}

/// Ids with scores, best first.
pub type Scored = Vec<(MemoryId, f32)>;

/// The sparse half of mem0's search.
#[derive(Clone, Debug)]
pub struct SparseQuery<'a> {
    /// The encoded question.
    pub vector: &'a Sparse,
    /// Most hits to return.
    pub limit: usize,
}

/// An entity near a question's entity.
#[derive(Clone, Debug, PartialEq)]
pub struct NearEntity {
    /// Cosine.
    pub score: f32,
    /// The name.
    pub text: String,
    /// The memories that name it.
    pub memories: Vec<MemoryId>,
}

/// Which memories of a session to read, in order of position.
#[derive(Clone, Copy, Debug)]
pub enum SessionWindow {
    /// The last n.
    Last(usize),
    /// Those whose position is within `before` places before and `after` places after `position`, counted in memories that exist.
    Around {
        /// The middle, itself not returned.
        position: u32,
        /// Places before.
        before: usize,
        /// Places after.
        after: usize,
    },
}

/// Where a page starts and how long it is.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// The `next` of the page before.
    pub cursor: Option<String>,
    /// Items to skip first, after the cursor.
    pub offset: usize,
    /// Most items to return.
    pub limit: usize,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Newest first.
    pub items: Vec<T>,
    /// Items in the whole list.
    pub total: usize,
    /// Where the next page starts; `None` on the last.
    pub next: Option<String>,
}

/// A memory with its vectors as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMemory {
    /// The memory.
    pub memory: Memory,
    /// Its dense vector, bit by bit.
    pub vector: Vec<f32>,
    /// Its `bm25` slot.
    pub bm25: Sparse,
}

/// One of all the things a store holds.
#[derive(Clone, Debug, PartialEq)]
pub enum ExportRecord {
    /// A memory with its vectors.
    Memory(Box<StoredMemory>),
    /// An entity with its links.
    Entity(Box<Entity>),
    /// A link between memories.
    Link(Link),
    /// A row of the history.
    History(Box<HistoryEvent>),
    /// A message of a session.
    Message(Box<SessionMessage>),
}

/// What a store holds, over all scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreInfo {
    /// Where it is.
    pub location: String,
    /// Schema version.
    pub schema: u32,
    /// The embedder's fingerprint.
    pub embedder: String,
    /// Dims of its vectors.
    pub dims: usize,
    /// Memories.
    pub memories: usize,
    /// Entities.
    pub entities: usize,
    /// Rows of the history.
    pub history: usize,
    /// Links between memories.
    pub links: usize,
    /// Messages of sessions.
    pub messages: usize,
    /// Bytes on disk.
    pub bytes: u64,
}

/// What a store holds of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSummary {
    /// Memories.
    pub memories: usize,
    /// Entities.
    pub entities: usize,
    /// Links that start at its memories.
    pub links: usize,
    /// First `created_at`, RFC 3339 as stored.
    pub first: Option<String>,
    /// Last `created_at`.
    pub last: Option<String>,
}

/// Somebody who owns memories, or an app they were made in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// What it is.
    pub kind: OwnerKind,
    /// Its id.
    pub id: String,
    /// Its memories, expired ones included.
    pub memories: usize,
    /// The earliest `created_at`, as stored; times that can't be read don't count.
    pub first: Option<String>,
    /// The latest `updated_at`, or `created_at` of a memory without; as stored.
    pub last: Option<String>,
}

/// What can own memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    /// A person.
    User,
    /// An agent.
    Agent,
    /// An app; no part of the scope, but a key of the payload.
    App,
    /// A run or conversation.
    Run,
}

impl OwnerKind {
    /// All four.
    pub const ALL: [Self; 4] = [Self::User, Self::Agent, Self::App, Self::Run];

    /// Its name: `user`, `agent`, `app`, `run`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::App => "app",
            Self::Run => "run",
        }
    }

    /// The payload key that holds its id.
    pub fn key(self) -> &'static str {
        match self {
            Self::User => "user_id",
            Self::Agent => "agent_id",
            Self::App => "app_id",
            Self::Run => "run_id",
        }
    }

    /// The kind of this name, as [`OwnerKind::as_str`] gives it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Something wrong inside a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the check.
    pub check: &'static str,
    /// How many rows are concerned.
    pub count: usize,
    /// What it means and what to do.
    pub detail: String,
}
