//! The command line of mnemon as a library: arguments, settings, and one module a command.
//!
//! The binary calls [`main`]. All else that is public is for measurements of the same stores and embedders.

mod args;
mod cli;
mod commands;
mod error;
mod output;
mod settings;
pub mod wiring;

pub use args::GlobalArgs;
pub use cli::main;
pub use commands::{TemporaryCollection, figures};
pub use error::Exit;
pub use output::Output;
pub use settings::{CollectionPlace, Settings};
