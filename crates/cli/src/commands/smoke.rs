//! `mnemon smoke`: an end-to-end check of a running server, mnemon's or the Python backend that it replaces.

mod answer;
mod checks;
mod client;
mod memory_api;
mod report;
mod target;
mod test_data;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) use checks::run as check;
pub(crate) use report::Status;
pub(crate) use target::{ApiKey, Target};

use super::stop_signal::stop_signal;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::parse_duration;

/// Which server to check, and with which key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The check writes two memories that contain a random word; reads, searches, changes and deletes them; and calls /health, /stats, \
/graph/relationships and /chat if the server has them. It deletes only what it wrote, also after a failure or Ctrl-C. History \
rows remain, as for every deleted memory.

  mnemon smoke --url http://127.0.0.1:8000 --api-key KEY
  MEM0_API_KEY=KEY mnemon smoke --url https://memory.example.org --user ana --json

Exit code 0: every check is ok or was skipped; 3: a check failed; 1: the server can't be reached, or the check was interrupted.")]
pub(crate) struct SmokeArgs {
    /// URL of the server
    #[arg(long, value_name = "URL")]
    url: String,
    /// API key [env: MNEMON_API_KEY, MEM0_API_KEY] [default: none; the server must then run without authentication]
    #[arg(long, value_name = "KEY")]
    api_key: Option<ApiKey>,
    /// User id for the test memories [default: the user of the key]
    #[arg(short, long, value_name = "ID")]
    user: Option<String>,
    /// Longest wait for one response
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
}

pub(crate) fn run(args: &SmokeArgs, out: &Output) -> anyhow::Result<Exit> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let user = args.user.as_deref().map(|user| user.trim().to_owned());
    let target = Target::new(&args.url, args.api_key.clone().or_else(key_from_environment), user)?
        .timeout(args.timeout)
        .interrupted(interrupted.clone());
    let out = *out;
    // An error on stdout does not stop the checks: the test data must be deleted.
    let target = target.on_check(move |check| {
        if !out.is_json() {
            let _ = out.write(&check.line(&out));
        }
    });
    let listener = listen_for_signals(interrupted.clone(), out)?;
    let report = check(&target);
    listener.shutdown_background();
    let report = report?;
    out.value(&report.to_json(), |_| report.verdict())?;
    Ok(match (report.ok, interrupted.load(Ordering::SeqCst)) {
        (_, true) => Exit::Failed,
        (true, false) => Exit::Ok,
        (false, false) => Exit::Differences,
    })
}

fn key_from_environment() -> Option<ApiKey> {
    let found = ["MNEMON_API_KEY", "MEM0_API_KEY"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|key| !key.trim().is_empty()));
    found.map(ApiKey::from)
}

/// The first signal sets `interrupted`; the second ends the process.
fn listen_for_signals(interrupted: Arc<AtomicBool>, out: Output) -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    // Registered before anything is written, so that no signal is missed.
    let first = runtime.block_on(async { stop_signal() })?;
    runtime.spawn(async move {
        first.await;
        interrupted.store(true, Ordering::SeqCst);
        out.note("interrupted: deleting the test data; interrupt again to leave it");
        if let Ok(second) = stop_signal() {
            second.await;
            std::process::exit(i32::from(Exit::Failed as u8));
        }
    });
    Ok(runtime)
}
