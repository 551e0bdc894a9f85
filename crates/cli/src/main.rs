//! The mnemon binary: long-term memory for AI agents, from the command line.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(mnemon_cli::main() as u8)
}
