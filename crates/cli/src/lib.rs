//! The command line of mnemon as a library: arguments, settings, and one module per command.
//!
//! The binary calls [`main`]. Everything else that is public serves the measurements in `bench/`, which open the same
//! stores and embedders.

mod args;
mod cli;
mod commands;
mod error;
mod output;
mod settings;
pub mod wiring;

pub use args::{GlobalArgs, SettingFlag};
pub use cli::main;
pub use commands::{TemporaryCollection, figures};
pub use error::Exit;
pub use output::Output;
pub use settings::{CollectionAddress, Settings};
