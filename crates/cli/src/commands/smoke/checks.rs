//! The checks in their order, and the cleanup after them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mnemon_engine::ErrorCode;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::answer::{Answer, FoundMemory};
use super::cleanup::TestData;
use super::client::Credentials;
use super::memory_api::{CheckError, MAX_LIST, MemoryApi, is_segment};
use super::report::{Check, Report, Status};
use super::target::Target;
use crate::error::CliError;

/// After this many timeouts, no further check starts.
const MAX_TIMEOUTS: usize = 2;
/// Time that a write without a response has to appear, so that it can be deleted.
const LATE_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

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

    /// Fails the whole run if the server does not answer.
    fn health(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let answer = self.api.client.get(&["health"], &[]).map_err(|error| {
            let message = format!("can't reach the server: {}; is it running, and is --url correct?", error.message);
            CliError::failed(ErrorCode::Unreachable, message)
        })?;
        self.api.is_mnemon.set(answer.body["hybrid_search"].is_boolean());
        let version = answer.body["version"].as_str();
        self.server = if self.api.is_mnemon.get() {
            Some(format!("mnemon {}", version.unwrap_or_default()).trim_end().to_owned())
        } else {
            answer.server.clone()
        };
        let outcome = check_health(&answer);
        self.record("health", start, outcome);
        Ok(())
    }

    /// Also records the existing memories before anything is written.
    fn key(&mut self) -> Outcome {
        let answer = self.api.list(false)?;
        if answer.is_refused() {
            let advice = match (self.api.client.has_key(), &self.api.user) {
                (false, _) => "give a key with --api-key",
                (true, Some(_)) => "is --api-key correct, and does it give access to --user?",
                (true, None) => "is --api-key correct?",
            };
            self.stopped = Some("the key was refused".to_owned());
            return Err(CheckError::Failed(format!("{}; {advice}", answer.describe())));
        }
        if answer.status >= 500 {
            return Err(CheckError::Failed(answer.describe()));
        }
        if !answer.is_ok() {
            // A list that requires a user does not prevent the other checks.
            return Ok(Some(format!("accepted, but {}", answer.describe())));
        }
        if !answer.is_json {
            return Err(CheckError::Failed(format!("{}, which is not valid JSON", answer.describe())));
        }
        self.test_data.record_existing(answer.memories(), MAX_LIST);
        Ok(None)
    }

    fn wrong_key(&mut self) -> Outcome {
        if !self.api.client.has_key() {
            return Err(CheckError::Skip("no key was given, and the server requires none".to_owned()));
        }
        let wrong = format!("wrong-{}", self.word);
        for (credentials, which) in [(Credentials::Key(&wrong), "a wrong key"), (Credentials::None, "no key")] {
            let answer = self.api.search_as(credentials)?;
            if answer.is_ok() {
                // Without the response: it may contain memories.
                let reason = format!(
                    "{which} was accepted, {} answered {}: everyone can read; does the server run without authentication?",
                    answer.request, answer.status
                );
                return Err(CheckError::Failed(reason));
            }
            if !answer.is_refused() {
                return Err(CheckError::Failed(format!(
                    "{which} is not refused with 401 or 403: {}",
                    answer.describe()
                )));
            }
        }
        Ok(None)
    }

    fn write(&mut self) -> Outcome {
        let text = format!("My favourite tea is called {} and I drink it from an amber cup.", self.word);
        let first = self.add(&text, "amber")?;
        self.first = Some(first.clone());
        // Finds out the user of the key, if none was given. The next check verifies that the memory exists.
        if let Ok(Some((found, _))) = self.api.get(&first.id) {
            self.api.keeps_run.set(found.run.as_ref() == Some(&self.api.run));
            self.api.user = self.api.user.take().or(found.user);
        }
        Ok(None)
    }

    fn read_back(&mut self) -> Outcome {
        let first = self.first()?;
        match self.api.get(&first.id)? {
            None => {
                Err(CheckError::Failed(format!("memory {} was acknowledged but is missing: writes are lost", first.id)))
            }
            Some((found, _)) if !self.test_data.contains_word(&found) => Err(CheckError::Failed(format!(
                "memory {} has the text `{}`, which was not written",
                found.id, found.text
            ))),
            Some((_, remark)) => Ok(remark),
        }
    }

    /// The second memory must increase the count. Before the first, the user of the key may be unknown.
    fn stats(&mut self) -> Outcome {
        self.first()?;
        let before = self.count();
        let text = format!("The bakery in {} street sells the bread I like, wrapped in teal paper.", self.word);
        self.second = Some(self.add(&text, "teal")?);
        let before = before?;
        let after = self.count()?;
        if after > before {
            return Ok(Some(format!("{before}, then {after} memories")));
        }
        Err(CheckError::Failed(format!(
            "{before} memories before a write, {after} after it: does /stats count what is stored?"
        )))
    }

    fn list(&mut self) -> Outcome {
        self.first()?;
        let answer = self.api.list(true)?;
        if !answer.is_ok() {
            return Err(skipped_or_failed(&answer));
        }
        let listed = answer.memories();
        let missing = |found: &&FoundMemory| !listed.iter().any(|listed| listed.id == found.id);
        match self.first.iter().chain(&self.second).find(missing) {
            Some(_) if listed.len() >= MAX_LIST => {
                Ok(Some(format!("shows {} memories, not the new ones", listed.len())))
            }
            Some(found) => Err(CheckError::Failed(format!("memory {} is not in the list", found.id))),
            None => Ok(None),
        }
    }

    fn search(&mut self) -> Outcome {
        let first = self.first()?;
        let hits = self.api.search(&first.text, false, &[])?;
        self.test_data.record_seen(&hits);
        let rank = hits.iter().position(|hit| hit.id == first.id);
        match rank {
            Some(0) => Ok(None),
            Some(rank) => Ok(Some(format!("found at rank {} of {}", rank + 1, hits.len()))),
            None => Err(CheckError::Failed(format!(
                "memory {} is not among {} hits for its own text: does search read the store that is written to?",
                first.id,
                hits.len()
            ))),
        }
    }

    fn filters(&mut self) -> Outcome {
        let (first, Some(second)) = (self.first()?, self.second.clone()) else {
            return Err(CheckError::Skip("the second memory was not written".to_owned()));
        };
        for (colour, wanted, other) in [("amber", &first, &second), ("teal", &second, &first)] {
            let hits = self.api.search(&wanted.text, true, &[("colour", colour)])?;
            let contains = |found: &FoundMemory| hits.iter().any(|hit| hit.id == found.id);
            if contains(other) {
                let reason = "the filter on metadata is ignored: a memory with another value was found";
                return Err(CheckError::Failed(reason.to_owned()));
            }
            if !contains(wanted) {
                let reason = format!("memory {} is not found with a filter on its own metadata", wanted.id);
                return Err(CheckError::Failed(reason));
            }
        }
        Ok(None)
    }

    fn update(&mut self) -> Outcome {
        let first = self.first()?;
        let text = format!("My favourite tea is called {} and I drink it from a violet bowl.", self.word);
        let answer = self.api.update(&first.id, &text)?;
        if !answer.is_ok() {
            return Err(skipped_or_failed(&answer));
        }
        let found = self.api.get(&first.id)?;
        let Some((found, _)) = found.filter(|(found, _)| found.text == text) else {
            return Err(CheckError::Failed(format!("memory {} was updated but has its old text", first.id)));
        };
        self.first = Some(found);
        let hits = self.api.search(&text, true, &[])?;
        match hits.iter().find(|hit| hit.id == first.id) {
            Some(hit) if hit.text == text => Ok(None),
            Some(_) => Err(CheckError::Failed("search returns the text from before the update".to_owned())),
            None => Err(CheckError::Failed("search no longer finds the memory after the update".to_owned())),
        }
    }

    fn history(&mut self) -> Outcome {
        let first = self.first()?;
        let answer = self.api.history(&first.id)?;
        if !answer.is_ok() {
            return Err(skipped_or_failed(&answer));
        }
        let body = answer.body.to_string();
        let updated = self.checks.iter().any(|check| check.name == "update" && check.status == Status::Ok);
        let missing = ["ADD", "UPDATE"].into_iter().take(1 + usize::from(updated)).find(|event| !body.contains(event));
        match missing {
            Some(event) => Err(CheckError::Failed(format!("the history of memory {} has no {event}", first.id))),
            None => Ok(None),
        }
    }

    fn graph(&mut self) -> Outcome {
        let user = self.user()?;
        let answer = self.api.client.get(&["graph", "relationships", &user], &[])?;
        match answer.status {
            404 | 405 | 410 | 501 => Ok(Some("no such route, as expected: mem0 v2 has no graph".to_owned())),
            _ if !answer.is_ok() => Err(CheckError::Failed(answer.describe())),
            _ if answer.body["deprecated"] == true => Ok(Some("deprecated".to_owned())),
            _ if answer.body.is_array()
                || answer.body.as_object().is_some_and(|map| map.values().any(Value::is_array)) =>
            {
                Ok(None)
            }
            _ => Err(CheckError::Failed(format!(
                "{}; neither `deprecated` nor a list of relationships",
                answer.describe()
            ))),
        }
    }

    fn chat(&mut self) -> Outcome {
        self.first()?;
        let question = format!("What do I drink {} tea from? Answer in a few words.", self.word);
        let answer = self.api.chat(&question).inspect_err(|_| self.write_uncertain = true)?;
        if answer.code() == Some("llm_not_configured") || matches!(answer.status, 404 | 405 | 501) {
            return Err(CheckError::Skip("the server has no language model".to_owned()));
        }
        if !answer.is_ok() {
            return Err(CheckError::Failed(format!(
                "{}; are the language model and its key configured?",
                answer.describe()
            )));
        }
        if answer.has_text() {
            Ok(None)
        } else {
            Err(CheckError::Failed(format!("{}, without text", answer.describe())))
        }
    }

    fn delete(&mut self) -> Outcome {
        let first = self.first()?;
        let answer = self.api.delete(&first.id)?;
        if !answer.is_ok() {
            return Err(CheckError::Failed(answer.describe()));
        }
        if self.api.get(&first.id)?.is_some() {
            return Err(CheckError::Failed(format!("memory {} was deleted but still exists", first.id)));
        }
        let hits = self.api.search(&first.text, true, &[])?;
        if hits.iter().any(|hit| hit.id == first.id) {
            return Err(CheckError::Failed(format!("memory {} was deleted but search still finds it", first.id)));
        }
        self.test_data.mark_deleted(&first.id);
        let Some(second) = self.second.clone() else { return Ok(None) };
        match self.api.get(&second.id)? {
            Some(_) => Ok(None),
            None => Err(CheckError::Failed(format!("deleting memory {} also deleted {}", first.id, second.id))),
        }
    }

    /// Deletes the test data, whatever the other checks found.
    fn clean_up(&mut self) {
        let start = Instant::now();
        let wrote = self.checks.iter().any(|check| check.name == "write" && check.status != Status::Skipped);
        let outcome = if wrote { self.delete_all() } else { Err(CheckError::Skip("nothing was written".to_owned())) };
        self.record("clean up", start, outcome);
    }

    fn delete_all(&mut self) -> Outcome {
        let known = self.test_data.ids().len();
        let mut result = self.find_unreported();
        let deadline = Instant::now() + LATE_WRITE_TIMEOUT;
        while self.write_uncertain && self.test_data.ids().len() == known && Instant::now() < deadline {
            std::thread::sleep(LATE_WRITE_TIMEOUT / 10);
            result = self.find_unreported();
        }
        for id in self.test_data.ids() {
            match self.delete_one(&id) {
                Ok(()) => self.test_data.mark_deleted(&id),
                Err(error) => result = Err(error),
            }
        }
        result?;
        if let Some(id) = self.test_data.unclear().next() {
            return Err(CheckError::Failed(format!(
                "memory {id} contains the word of this run but may be older: check it, then delete it"
            )));
        }
        if self.write_uncertain {
            let remark =
                format!("a request got no answer and may still be carried out; search for {} later", self.word);
            return Ok(Some(remark));
        }
        Ok(None)
    }

    /// Finds memories of this run that no response named: from a write that timed out, or from a chat.
    fn find_unreported(&mut self) -> Result<(), CheckError> {
        let listed = [self.api.list(true)?, self.api.list(false)?];
        listed.iter().filter(|answer| answer.is_ok()).for_each(|answer| self.test_data.record_seen(&answer.memories()));
        // If search fails, its own check has failed.
        if let Ok(hits) = self.api.search(&self.word, false, &[]) {
            self.test_data.record_seen(&hits);
        }
        Ok(())
    }

    fn delete_one(&self, id: &str) -> Result<(), CheckError> {
        let answer = self.api.delete(id)?;
        // 404 for the memory is success: it no longer exists. A missing route deletes nothing.
        let deleted = answer.is_ok() || answer.status == 404 && !answer.is_absent();
        if !deleted {
            return Err(CheckError::Failed(answer.describe()));
        }
        match self.api.get(id)? {
            None => Ok(()),
            Some(_) => Err(CheckError::Failed(format!("memory {id} was deleted but still exists"))),
        }
    }

    /// Writes a text and returns the memory that contains its word.
    fn add(&mut self, text: &str, colour: &str) -> Result<FoundMemory, CheckError> {
        let added = self.api.add(text, &json!({"smoke": self.word, "colour": colour}));
        let added = added.inspect_err(|error| self.write_uncertain |= matches!(error, CheckError::NoAnswer(_)))?;
        let named = self.test_data.record_added(added).map_err(CheckError::Failed)?;
        let mut found = named.into_iter().find(|found| self.test_data.contains_word(found));
        if found.is_none() {
            // Some backends do not return what they stored.
            let before = self.test_data.ids();
            let listed = self.api.list(false)?.memories();
            self.test_data.record_seen(&listed);
            let new = |found: &FoundMemory| self.test_data.ids().contains(&found.id) && !before.contains(&found.id);
            found = listed.into_iter().find(|found| new(found) && self.test_data.contains_word(found));
        }
        found.ok_or_else(|| {
            let reason = "the write was acknowledged, but no memory with its words was returned or is listed: writes are lost, or a \
                          language model extracts facts although `infer` is false";
            CheckError::Failed(reason.to_owned())
        })
    }

    fn count(&self) -> Result<u64, CheckError> {
        let answer = self.api.client.get(&["stats", &self.user()?], &[])?;
        if !answer.is_ok() {
            return Err(skipped_or_failed(&answer));
        }
        answer.count().ok_or_else(|| CheckError::Failed(format!("{}; no memory_count in it", answer.describe())))
    }

    fn first(&self) -> Result<FoundMemory, CheckError> {
        self.first.clone().ok_or_else(|| CheckError::Skip("nothing was written".to_owned()))
    }

    fn user(&self) -> Result<String, CheckError> {
        let user = self.api.user.clone().filter(|user| is_segment(user));
        user.ok_or_else(|| CheckError::Skip("the user of the key is unknown; give it with --user".to_owned()))
    }
}

fn check_health(answer: &Answer) -> Outcome {
    if answer.is_absent() {
        return Err(CheckError::Skip("the server has no /health".to_owned()));
    }
    if !answer.is_ok() {
        return Err(CheckError::Failed(answer.describe()));
    }
    if !answer.is_json {
        return Err(CheckError::Failed(format!(
            "{}, which is not valid JSON: is --url that of a memory server?",
            answer.describe()
        )));
    }
    let status = answer.body["status"].as_str().unwrap_or("ok").to_ascii_lowercase();
    if !["ok", "healthy", "up", "pass", "running", "success"].contains(&status.as_str()) {
        return Err(CheckError::Failed(answer.describe()));
    }
    let warnings = answer.body["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(warnings.map(str::to_owned).reduce(|all, next| format!("{all}; {next}")))
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

    fn answer(status: u16, text: &str) -> Answer {
        Answer::new("GET /health".into(), status, text, None, None)
    }

    #[test]
    fn words_are_unique() {
        let (one, other) = (rare_word(), rare_word());
        assert_eq!(one.len(), 12);
        assert_ne!(one, other);
    }

    #[test]
    fn health_depends_on_status_code_and_text() {
        let ok = |text| matches!(check_health(&answer(200, text)), Ok(None));
        assert!(ok(r#"{"status": "healthy"}"#) && ok(r#"{"status": "OK"}"#) && ok("{}"));
        assert!(matches!(check_health(&answer(200, r#"{"status": "degraded"}"#)), Err(CheckError::Failed(_))));
        assert!(matches!(check_health(&answer(200, "<html>")), Err(CheckError::Failed(_))));
        assert!(matches!(check_health(&answer(503, "{}")), Err(CheckError::Failed(_))));
        assert!(matches!(check_health(&answer(404, r#"{"detail": "Not Found"}"#)), Err(CheckError::Skip(_))));
        let warned = check_health(&answer(200, r#"{"status": "healthy", "warnings": ["no slot", "old"]}"#));
        assert_eq!(warned.unwrap().as_deref(), Some("no slot; old"));
    }
}
