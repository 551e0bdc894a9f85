//! `mnemon smoke`: whether a running server, ours or the Python backend it replaces, does what its callers need.

mod answer;
mod calls;
mod cleanup;
mod client;
mod report;
mod story;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use report::Status;
pub(crate) use story::tell as check;
pub(crate) use target::{ApiKey, Smoke};

use super::stop_signal::stop_signal;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::durations::duration;

/// Which server, and as whom.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It writes two memories with a random word in them, reads, searches, changes and deletes them, and asks for /health, /stats, \
/graph/relationships and /chat where they are. It deletes nothing but what it wrote, also after a failure or Ctrl-C; rows of \
the history stay, as they do for everything deleted.

  mnemon smoke --url http://127.0.0.1:8000 --api-key KEY
  MEM0_API_KEY=KEY mnemon smoke --url https://memory.example.org --user ana --json

Exit code 0: every check is ok or was skipped; 3: a check failed; 1: the server can't be reached, or it was interrupted.")]
pub(crate) struct SmokeArgs {
    /// Address of the server
    #[arg(long, value_name = "URL")]
    url: String,
    /// Key to come with; without one the server must let everybody in [env: MNEMON_API_KEY, MEM0_API_KEY]
    #[arg(long, value_name = "KEY")]
    api_key: Option<ApiKey>,
    /// Whose memories [default: the user of the key]
    #[arg(short, long, value_name = "ID")]
    user: Option<String>,
    /// Longest wait for one answer
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: String,
}

pub(crate) fn run(args: &SmokeArgs, out: &Output) -> anyhow::Result<Exit> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let user = args.user.as_deref().map(|user| user.trim().to_owned());
    let smoke = Smoke::new(&args.url, args.api_key.clone().or_else(key_of_environment), user)?
        .timeout(duration("--timeout", &args.timeout)?)
        .interrupted(interrupted.clone());
    let out = *out;
    // The checks go on when nobody reads any more: what was written must be deleted.
    let smoke = smoke.on_check(move |check| {
        if !out.is_json() {
            let _ = out.write(&check.line(&out));
        }
    });
    let listener = listen(interrupted.clone(), out)?;
    let report = check(&smoke);
    listener.shutdown_background();
    let report = report?;
    out.value(&report.to_json(), |_| report.verdict())?;
    Ok(match (report.ok, interrupted.load(Ordering::SeqCst)) {
        (_, true) => Exit::Failed,
        (true, false) => Exit::Ok,
        (false, false) => Exit::Differences,
    })
}

fn key_of_environment() -> Option<ApiKey> {
    let found = ["MNEMON_API_KEY", "MEM0_API_KEY"].into_iter().find_map(|name| std::env::var(name).ok());
    found.map(ApiKey::from)
}

/// Notes the first signal to stop; the second ends the program.
fn listen(interrupted: Arc<AtomicBool>, out: Output) -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // Taken before anything is written, so that no signal comes too early.
    let first = runtime.block_on(async { stop_signal() })?;
    runtime.spawn(async move {
        first.await;
        interrupted.store(true, Ordering::SeqCst);
        out.note("interrupted: what was written is deleted first; once more to leave it there");
        if let Ok(second) = stop_signal() {
            second.await;
            std::process::exit(i32::from(Exit::Failed as u8));
        }
    });
    Ok(runtime)
}
