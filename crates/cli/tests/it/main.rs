//! The binary as it is called: arguments and stdin in, stdout, stderr and an exit code out.
#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod add;
mod change;
mod closed;
mod doctor;
mod embedder;
mod help;
mod infer;
mod list;
mod migrate;
#[cfg(feature = "minilm")]
mod models;
mod place;
mod readme;
mod reembed;
mod search;
mod serve;
mod settings;
mod smoke;
mod tour;
mod transfer;
