//! The engine of Mnemon: the operations on memories that the server and the command line offer.
#![warn(missing_docs)]

mod config;
mod embedding_text;
mod engine;
mod error;

mod time;
mod validate;

mod analyse;
mod json;
mod message;
mod session;
mod terms;

mod add;
mod delete;
mod read;
mod update;

mod search;
mod versions;

mod chat;
mod event;
mod extract;
mod fields;
mod joined_owners;
mod late_entities;
mod learn;
mod prompts;

mod foreign;
mod identity;
mod reembed;
mod reindex;
mod transfer;

pub use add::{AddRequest, AddedMemory, text_hash};
pub use analyse::{describe_terms, sparse_vector};
pub use chat::{ChatContext, ChatTurn, OnDelta};
pub use config::{EngineConfig, FusionWeights, MAX_TEXT_BYTES, Mem0Config, ModelServices, Weights};
pub use engine::Engine;
pub use error::{EngineError, ErrorCode, Exit, Result};
pub use event::{Event, EventData, EventResult, EventStatus, Events, NotLearnt, RequestKind};
pub use extract::Extractor;
pub use fields::PlatformFields;
pub use foreign::{ForeignPoint, embed_entities, embed_mentions, enrich, mentions_in};
pub use json::{OversizedNumber, check_numbers, is_cut_json, is_json, read_json};
pub use learn::{
    AddOutcome, DOCUMENT_KINDS, JobResult, LearnRequest, LearnResult, MAX_INSTRUCTIONS, ParkedRequest, PendingJobs,
};
pub use message::Message;
pub use read::{EmbeddingCounts, ListRequest, MemoryDetail, Replacement};
pub use reembed::{Reembed, ReembedReport};
pub use search::{
    Explanation, LlmReranker, Mem0Query, Mem0Score, Profile, Ranking, SearchAnswer, SearchHit, SearchRequest, Signal,
    SignalKind,
};
pub use time::read_time;
pub use transfer::{ImportFormat, ImportOptions, ImportReport, RejectedRecord, Rejection, TransferCounts};
pub use update::{MetadataMode, UpdateRequest};
