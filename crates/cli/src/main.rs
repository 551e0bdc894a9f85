//! The mnemon binary: long-term memory for AI agents, from the command line.

mod cli;
mod commands;
mod exit;
mod output;
mod settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main().into()
}
