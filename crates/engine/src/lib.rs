//! The engine of Mnemon: what the server and the command line call to remember and to find.
#![warn(missing_docs)]

mod add;
mod analyse;
mod chat;
mod delete;
mod engine;
mod error;
mod extract;
mod learn;
mod message;
mod prompts;
mod read;
mod reembed;
mod search;
mod session;
mod transfer;
mod update;

pub use add::{AddRequest, Added};
pub use analyse::{ForeignPoint, describe, embed_mentions, enrich, sparse};
pub use chat::{ChatTurn, OnPiece, Recalled};
pub use engine::{Engine, EngineConfig, MAX_TEXT_BYTES, Understanding};
pub use error::EngineError;
pub use extract::Extractor;
pub use learn::{LearnRequest, Learned, MAX_INSTRUCTIONS, Outcome, Waiting, Worked};
pub use message::{Message, read_time};
pub use read::{ListRequest, MemoryDetail};
pub use reembed::{Reembed, Reembedded};
pub use search::{
    Explanation, FusionWeights, LlmReranker, Profile, Ranking, SearchAnswer, SearchHit, SearchRequest, Signal, Weights,
};
pub use search::{Mem0Config, Mem0Query, Mem0Score};
pub use transfer::{ImportFormat, ImportOptions, Imported, Refused, Transferred};
pub use update::UpdateRequest;

/// The result of the engine's work.
pub type Result<T, E = EngineError> = std::result::Result<T, E>;
