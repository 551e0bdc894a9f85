//! The checks in their order, and the cleanup after them.

mod access;
mod clean_up;
mod memories;
mod routes;
mod search;

use std::sync::atomic::Ordering;
use std::time::Instant;

use rand::seq::IndexedRandom;

use super::answer::{Answer, FoundMemory};
use super::memory_api::{CheckError, MemoryApi, is_segment};
use super::report::{Check, Report, Status};
use super::target::Target;
use super::test_data::TestData;

/// After this many timeouts, no further check starts.
const MAX_TIMEOUTS: usize = 2;

/// Ok, with an optional remark, or why not.
type Outcome = Result<Option<String>, CheckError>;

/// One run of all checks.
struct Run<'t> {
    target: &'t Target,
    api: MemoryApi,
    test_data: TestData,
    /// A random word that every test memory contains.
    word: String,
    /// The first test memory, which is read, changed and deleted.
    first: Option<FoundMemory>,
    /// The second test memory, which must survive the deletion of the first.
    second: Option<FoundMemory>,
    server: Option<String>,
    checks: Vec<Check>,
    timeouts: usize,
    /// Why no further check starts.
    stopped: Option<String>,
    /// Whether a write without a response may have been stored.
    write_uncertain: bool,
}

/// Checks the server with a few memories and deletes them. Blocks: not for async code.
///
/// # Errors
/// A failure `unreachable` if the server does not answer; nothing was written. Later failures are in the report.
pub(crate) fn run(target: &Target) -> anyhow::Result<Report> {
    let word = rare_word();
    let run_id = format!("smoke-{word}");
    let mut run = Run {
        api: MemoryApi::new(target, run_id.clone())?,
        test_data: TestData::new(word.clone(), run_id, target.user.clone()),
        target,
        word,
        first: None,
        second: None,
        server: None,
        checks: Vec::new(),
        timeouts: 0,
        stopped: None,
        write_uncertain: false,
    };
    run.health()?;
    run.step("key", Run::key);
    run.step("wrong key", Run::wrong_key);
    run.step("write", Run::write);
    run.step("read back", Run::read_back);
    run.step("stats", Run::stats);
    run.step("list", Run::list);
    run.step("search", Run::search);
    run.step("filters", Run::filters);
    run.step("update", Run::update);
    run.step("history", Run::history);
    run.step("graph", Run::graph);
    run.step("chat", Run::chat);
    run.step("delete", Run::delete);
    run.clean_up();
    let Run { checks, test_data, server, .. } = run;
    let left_behind = test_data.left_behind();
    Ok(Report {
        ok: left_behind.is_empty()
            && checks.iter().all(|check| check.status != Status::Failed)
            && !target.interrupted.load(Ordering::SeqCst),
        url: target.url.to_string().trim_end_matches('/').to_owned(),
        server,
        checks,
        left_behind,
    })
}

impl Run<'_> {
    fn step(&mut self, name: &'static str, check: impl FnOnce(&mut Self) -> Outcome) {
        if self.stopped.is_none() && self.target.interrupted.load(Ordering::SeqCst) {
            self.stopped = Some("interrupted".to_owned());
        }
        let start = Instant::now();
        let outcome = match &self.stopped {
            Some(reason) => Err(CheckError::Skip(reason.clone())),
            None => check(self),
        };
        self.record(name, start, outcome);
    }

    fn record(&mut self, name: &'static str, start: Instant, outcome: Outcome) {
        let (status, detail) = match outcome {
            Ok(remark) => (Status::Ok, remark),
            Err(CheckError::Skip(reason)) => (Status::Skipped, Some(reason)),
            Err(CheckError::Failed(reason)) => (Status::Failed, Some(reason)),
            Err(CheckError::NoAnswer(error)) => {
                self.timeouts += 1;
                if !error.timed_out || self.timeouts >= MAX_TIMEOUTS {
                    self.stopped.get_or_insert_with(|| "the server stopped answering".to_owned());
                }
                (Status::Failed, Some(format!("{}; is the server still running?", error.message)))
            }
        };
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let check = Check { name, status, ms, detail: detail.map(|detail| self.without_key(detail)) };
        (self.target.on_check)(&check);
        self.checks.push(check);
    }

    /// Removes the key, which the server may repeat in an error: reports are shared.
    fn without_key(&self, detail: String) -> String {
        match &self.target.api_key {
            Some(key) if key.0.len() >= 8 => detail.replace(&key.0, "[key]"),
            _ => detail,
        }
    }

    fn first(&self) -> Result<FoundMemory, CheckError> {
        self.first.clone().ok_or_else(|| CheckError::Skip("nothing was written".to_owned()))
    }

    fn user(&self) -> Result<String, CheckError> {
        let user = self.api.user.clone().filter(|user| is_segment(user));
        user.ok_or_else(|| CheckError::Skip("the user of the key is unknown; give it with --user".to_owned()))
    }
}

fn skipped_or_failed(answer: &Answer) -> CheckError {
    if answer.is_absent() {
        CheckError::Skip(format!("no such route: {}", answer.describe()))
    } else {
        CheckError::Failed(answer.describe())
    }
}

/// A random word that reads like a name, because language models keep names.
fn rare_word() -> String {
    let mut random = rand::rng();
    let mut letter = |letters: &'static [char]| letters.choose(&mut random).copied().unwrap_or('z');
    (0..6)
        .flat_map(|_| {
            let consonant = letter(&['b', 'd', 'f', 'g', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'z']);
            [consonant, letter(&['a', 'e', 'i', 'o', 'u'])]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique() {
        let (one, other) = (rare_word(), rare_word());
        assert_eq!(one.len(), 12);
        assert_ne!(one, other);
    }
}
