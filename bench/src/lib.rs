//! Measurements of mnemon on this machine: rates and latencies of whole operations, and a comparison of two results.
//!
//! `benches/` measures single functions. `load/` is a load test of a running server.

pub mod compare;
pub mod embed;
mod hashed_words;
pub mod qdrant;
mod sentences;
pub mod speed;

pub use hashed_words::HashedWords;
pub use sentences::Sentences;
