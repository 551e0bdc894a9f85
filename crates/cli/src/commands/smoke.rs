//! `mnemon smoke`: whether a running server, ours or the Python backend it replaces, does what its callers need.

mod answer;
mod calls;
mod client;
mod report;
mod story;
mod written;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Url;

pub(crate) use report::{Check, Report, Status};

use super::serve::stop_signal;
use crate::exit::{Exit, Fault};
use crate::output::Output;
use crate::settings::Settings;
use crate::settings::server::duration;

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

/// A key that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKey(String);

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A server to try, and how.
pub(crate) struct Smoke {
    url: Url,
    api_key: Option<ApiKey>,
    user: Option<String>,
    timeout: Duration,
    interrupted: Arc<AtomicBool>,
    on_check: Box<dyn Fn(&Check)>,
}

impl Smoke {
    /// # Errors
    /// A fault of usage for an address, key or user that nothing can be asked with.
    pub(crate) fn new(url: &str, api_key: Option<ApiKey>, user: Option<String>) -> anyhow::Result<Self> {
        if api_key.as_ref().is_some_and(|key| key.0.trim().is_empty() || !key.0.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(Fault::usage("the API key is blank or holds characters that no key has").into());
        }
        if let Some(user) = &user {
            mnemon_store::filter::check_id(user).map_err(|fault| Fault::usage(format!("--user: {fault}")))?;
        }
        Ok(Self {
            url: address(url)?,
            api_key,
            user,
            timeout: Duration::from_secs(30),
            interrupted: Arc::default(),
            on_check: Box::new(|_| ()),
        })
    }

    /// The longest wait for one answer; 30 seconds if nothing is said.
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Once this is true no check is begun; what was written is still deleted.
    pub(crate) fn interrupted(mut self, interrupted: Arc<AtomicBool>) -> Self {
        self.interrupted = interrupted;
        self
    }

    /// Is told of each check when it is done.
    pub(crate) fn on_check(mut self, told: impl Fn(&Check) + 'static) -> Self {
        self.on_check = Box::new(told);
        self
    }
}

pub(crate) fn run(args: &SmokeArgs, _settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let user = args.user.as_deref().map(|user| user.trim().to_owned());
    let smoke = Smoke::new(&args.url, args.api_key.clone().or_else(key_of_environment), user)?
        .timeout(duration("--timeout", &args.timeout)?)
        .interrupted(interrupted.clone());
    let out = *out;
    // The checks go on where stdout can't be written: what they have stored must be deleted.
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

/// Tries the server with a few memories that are gone when this returns. Not to be called from async code: it blocks.
///
/// # Errors
/// A fault `unreachable` if nothing answers at the address; nothing was written then. Whatever fails later is in the report.
pub(crate) fn check(smoke: &Smoke) -> anyhow::Result<Report> {
    story::tell(smoke)
}

fn key_of_environment() -> Option<ApiKey> {
    let found = ["MNEMON_API_KEY", "MEM0_API_KEY"].into_iter().find_map(|name| std::env::var(name).ok());
    found.map(ApiKey::from)
}

fn address(text: &str) -> anyhow::Result<Url> {
    let wrong = |why: &str| Fault::usage(format!("--url {why}; give an address such as http://127.0.0.1:8000"));
    let url: Url = text.trim().parse().map_err(|error| wrong(&format!("is no address ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("is no address of HTTP").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a password, which reports would show").into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("ends in a query or fragment").into());
    }
    Ok(url)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_or_refused() {
        for good in ["http://localhost:8000", "https://memory.example.org/mem0/", " http://[::1]:8000/ "] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["localhost:8000", "", "ftp://a", "http://ana:secret@a/", "http://a/?key=1", "http://a/#x"] {
            let told = address(bad).unwrap_err().to_string();
            assert!(told.contains("http://127.0.0.1:8000") && !told.contains("secret"), "{bad}: {told}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = ApiKey::from("m0sk_secret".to_owned());
        assert_eq!(format!("{key:?}"), "[redacted]");
        for bad in ["", " ", "a b", "a\nb", "schlüssel"] {
            assert!(Smoke::new("http://a", Some(ApiKey::from(bad.to_owned())), None).is_err(), "{bad}");
        }
    }
}
