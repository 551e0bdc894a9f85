//! Queries to a store and their results.

use std::collections::HashMap;

use jiff::civil::Date;

use crate::{Entity, Filter, HistoryEvent, Link, Memory, MemoryId, SessionMessage, Sparse, keys};

/// Which memories a read may see.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The scope and other conditions.
    pub filter: &'a Filter,
    /// Memories that expired before this day are hidden; `None` shows all.
    pub today: Option<Date>,
    /// Only the memories with these ids; `None` shows all.
    pub ids: Option<&'a [MemoryId]>,
}

impl<'a> View<'a> {
    /// The memories that the filter matches, without those that expired before `today`.
    pub fn new(filter: &'a Filter, today: Option<Date>) -> Self {
        Self { filter, today, ids: None }
    }

    /// Of these, only the memories with these ids.
    #[must_use]
    pub fn with_ids(self, ids: Option<&'a [MemoryId]>) -> Self {
        Self { ids, ..self }
    }
}

/// A query for candidates of the default ranking.
#[derive(Clone, Debug)]
pub struct CandidateQuery<'a> {
    /// The embedding of the question, L2-normalised.
    pub vector: &'a [f32],
    /// The distinct terms of the question, each with its weight: 1 for a word, less for weaker evidence.
    pub terms: &'a [(u32, f32)],
    /// Parameters of BM25.
    pub bm25: Bm25,
    /// Number of best memories to take by each signal: dense, text, context.
    pub per_signal: usize,
    /// Number of best memories to average in the session of each candidate.
    pub per_session: usize,
    /// The best memories of a session are those with the largest `dense_share` · cosine + `text_share` · BM25 of the text.
    pub dense_share: f32,
    /// See `dense_share`.
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
    /// Σ weight·idf·tf is divided by sqrt(`norm` · Σ weight·idf of the question's terms).
    pub norm: f32,
}

/// Candidates with all the values that ranking needs.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// The union of the best memories by dense, text and context, oldest first.
    pub hits: Vec<Candidate>,
    /// Mean of (`dense_share` · cosine + `text_share` · BM25 of the text) over the best memories of each candidate's session, by session
    /// number.
    pub sessions: HashMap<u32, f32>,
    /// Memories of the pinned scope that have not expired; other conditions of the filter do not apply.
    pub in_scope: usize,
    /// Those of `in_scope` that belong to a session.
    pub in_session: usize,
}

/// A candidate and its signals.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The memory.
    pub id: MemoryId,
    /// Cosine, −1 ..= 1.
    pub dense: f32,
    /// Σ idf·tf over the text of the memory.
    pub text_sum: f32,
    /// `text_sum` divided by sqrt(norm · Σ idf).
    pub text: f32,
    /// The same as `text`, over text and context.
    pub context: f32,
    /// `text` of the previous memory in the session; 0 if there is none or the view hides it.
    pub before: f32,
    /// `text` of the next memory in the session; 0 as for `before`.
    pub after: f32,
    /// Number of its session in this result; 0 if it has none.
    pub session: u32,
    /// The name of the speaker, if it is known.
    pub actor: Option<String>,
    /// Whether its role is `user`.
    pub by_user: bool,
    /// The day when the text was said, in UTC.
    pub day: Option<Date>,
    /// Whether the text mentions a time.
    pub holds_time_word: bool,
}

/// Statistics of a scope.
#[derive(Clone, Debug, Default)]
pub struct ScopeStats {
    /// Memories in the scope.
    pub memories: usize,
    /// For each requested term, the number of memories whose text or speaker's name contains it.
    pub document_frequency: Vec<usize>,
    /// Names of the speakers.
    pub actors: Vec<String>,
}

/// Ids with their scores, best first.
pub type Scored = Vec<(MemoryId, f32)>;

/// The sparse part of mem0's search.
#[derive(Clone, Debug)]
pub struct SparseQuery<'a> {
    /// The sparse vector of the question.
    pub vector: &'a Sparse,
    /// Maximum number of hits to return.
    pub limit: usize,
}

/// An entity whose embedding is near a given vector.
#[derive(Clone, Debug, PartialEq)]
pub struct NearEntity {
    /// Cosine.
    pub score: f32,
    /// The name.
    pub text: String,
    /// The memories that mention it.
    pub memories: Vec<MemoryId>,
}

/// Which memories of a session to read, in order of position.
#[derive(Clone, Copy, Debug)]
pub enum SessionWindow {
    /// The last n.
    Last(usize),
    /// The `before` memories before a position and the `after` memories after it. Positions without a memory do not count.
    Around {
        /// The position in the middle. Its memory is not returned.
        position: u32,
        /// Number of memories before it.
        before: usize,
        /// Number of memories after it.
        after: usize,
    },
}

/// Which messages to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageSelector {
    /// All messages.
    All,
    /// The messages of these owners, each as [`crate::Scope::session_scope`] writes it.
    OfOwners(Vec<String>),
    /// The messages with these ids.
    Ids(Vec<String>),
}

/// Where a page starts and how long it is.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// [`Page::next`] of the previous page; `None` for the first page.
    pub cursor: Option<String>,
    /// Number of items to skip after the cursor.
    pub offset: usize,
    /// Maximum number of items to return.
    pub limit: usize,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Number of items in the whole list.
    pub total: usize,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// A memory with its vectors as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMemory {
    /// The memory.
    pub memory: Memory,
    /// Its dense vector, bit by bit as stored.
    pub vector: Vec<f32>,
    /// Its sparse vector `bm25`.
    pub bm25: Sparse,
}

/// One record of a full read of a store.
#[derive(Clone, Debug, PartialEq)]
pub enum ExportRecord {
    /// A memory with its vectors.
    Memory(Box<StoredMemory>),
    /// An entity with its memories.
    Entity(Box<Entity>),
    /// A link between memories.
    Link(Link),
    /// A row of the history.
    History(Box<HistoryEvent>),
    /// A message of a session.
    Message(Box<SessionMessage>),
}

/// Location, schema and contents of a store, over all scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreInfo {
    /// Its location.
    pub location: String,
    /// Schema version.
    pub schema: u32,
    /// Fingerprint of the embedder.
    pub embedder: String,
    /// Dims of the vectors.
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
    /// Size on disk, in bytes.
    pub bytes: u64,
}

/// Contents of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeSummary {
    /// Memories.
    pub memories: usize,
    /// Entities.
    pub entities: usize,
    /// Links that start at its memories.
    pub links: usize,
    /// Earliest `created_at`, RFC 3339 as stored.
    pub first: Option<String>,
    /// Latest `created_at`.
    pub last: Option<String>,
}

/// A user, agent, app or run with memories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its kind.
    pub kind: OwnerKind,
    /// Its id.
    pub id: String,
    /// Number of its memories, including expired ones.
    pub memories: usize,
    /// The earliest `created_at`, as stored. Invalid times are ignored.
    pub first: Option<String>,
    /// The latest `updated_at`, or `created_at` of a memory that has no `updated_at`; as stored.
    pub last: Option<String>,
}

/// The kind of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    /// A person.
    User,
    /// An agent.
    Agent,
    /// An app. It is not part of the scope; its id is the payload key [`keys::APP_ID`].
    App,
    /// A run or conversation.
    Run,
}

impl OwnerKind {
    /// All four kinds.
    pub const ALL: [Self; 4] = [Self::User, Self::Agent, Self::App, Self::Run];

    /// The name: `user`, `agent`, `app`, `run`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::App => "app",
            Self::Run => "run",
        }
    }

    /// The payload key that holds the id.
    pub fn key(self) -> &'static str {
        match self {
            Self::User => "user_id",
            Self::Agent => "agent_id",
            Self::App => keys::APP_ID,
            Self::Run => "run_id",
        }
    }

    /// The kind with this name; see [`OwnerKind::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// An inconsistency inside a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the check.
    pub check: &'static str,
    /// Number of affected rows.
    pub count: usize,
    /// The meaning of the finding, and advice.
    pub detail: String,
}
