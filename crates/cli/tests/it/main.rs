//! Tests of the binary: arguments and stdin in; stdout, stderr and the exit code out.
#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod add;
mod cli_tour;
mod closed;
mod doctor;
mod embedder;
mod extraction;
mod help;
mod list;
#[path = "../shared/listening.rs"]
mod listening;
mod migrate;
#[cfg(feature = "minilm")]
mod models;
#[cfg(target_os = "linux")]
mod other_programs;
#[cfg(unix)]
mod permissions;
mod reembed;
#[path = "../shared/sandbox.rs"]
mod sandbox;
mod search;
mod serve;
mod settings;
mod smoke;
mod tour;
mod transfer;
mod update_and_delete;
