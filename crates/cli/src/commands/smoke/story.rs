//! The checks in their order, and what is done whatever becomes of them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::answer::{Answer, Found};
use super::calls::{Calls, PAGE, Trouble, is_segment};
use super::cleanup::Written;
use super::client::With;
use super::report::{Check, Report, Status};
use super::target::Smoke;
use crate::error::CliError;

/// After so many requests without an answer no further check is begun.
const SILENCES: usize = 2;
/// How long a write whose answer did not come is waited for, so that it can be deleted.
const LATE: Duration = Duration::from_secs(5);

/// What a check finds: ok, perhaps with a remark, or not.
type Outcome = Result<Option<String>, Trouble>;

/// A run of all checks.
struct Story<'s> {
    smoke: &'s Smoke,
    calls: Calls,
    written: Written,
    word: String,
    /// The first memory that was written, by which single ones are tried.
    first: Option<Found>,
    /// Of the second, which must stay when the first goes.
    second: Option<Found>,
    server: Option<String>,
    checks: Vec<Check>,
    silences: usize,
    /// Why no further check is begun.
    stopped: Option<String>,
    /// Whether a write may have been stored without our knowing.
    unsure: bool,
}

/// Tries the server with a few memories that are gone when this returns. Not to be called from async code: it blocks.
///
/// # Errors
/// A fault `unreachable` if nothing answers at the address; nothing was written then. Whatever fails later is in the report.
pub(crate) fn tell(smoke: &Smoke) -> anyhow::Result<Report> {
    let word = rare_word();
    let run = format!("smoke-{word}");
    let mut story = Story {
        calls: Calls::new(smoke, run.clone())?,
        written: Written::new(word.clone(), run, smoke.user.clone()),
        smoke,
        word,
        first: None,
        second: None,
        server: None,
        checks: Vec::new(),
        silences: 0,
        stopped: None,
        unsure: false,
    };
    story.health()?;
    story.step("key", Story::key);
    story.step("wrong key", Story::wrong_key);
    story.step("write", Story::write);
    story.step("read back", Story::read_back);
    story.step("stats", Story::stats);
    story.step("list", Story::list);
    story.step("search", Story::search);
    story.step("filters", Story::filters);
    story.step("update", Story::update);
    story.step("history", Story::history);
    story.step("graph", Story::graph);
    story.step("chat", Story::chat);
    story.step("delete", Story::delete);
    story.clean_up();
    let Story { checks, written, server, .. } = story;
    let left_behind = written.left();
    Ok(Report {
        ok: left_behind.is_empty()
            && checks.iter().all(|check| check.status != Status::Failed)
            && !smoke.interrupted.load(Ordering::SeqCst),
        url: smoke.url.to_string().trim_end_matches('/').to_owned(),
        server,
        checks,
        left_behind,
    })
}

impl Story<'_> {
    fn step(&mut self, name: &'static str, check: impl FnOnce(&mut Self) -> Outcome) {
        if self.stopped.is_none() && self.smoke.interrupted.load(Ordering::SeqCst) {
            self.stopped = Some("interrupted".to_owned());
        }
        let start = Instant::now();
        let outcome = match &self.stopped {
            Some(why) => Err(Trouble::Skip(why.clone())),
            None => check(self),
        };
        self.note(name, start, outcome);
    }

    fn note(&mut self, name: &'static str, start: Instant, outcome: Outcome) {
        let (status, detail) = match outcome {
            Ok(remark) => (Status::Ok, remark),
            Err(Trouble::Skip(why)) => (Status::Skipped, Some(why)),
            Err(Trouble::Wrong(what)) => (Status::Failed, Some(what)),
            Err(Trouble::Silent(silence)) => {
                self.silences += 1;
                if !silence.timed_out || self.silences >= SILENCES {
                    self.stopped.get_or_insert_with(|| "the server no longer answers".to_owned());
                }
                (Status::Failed, Some(format!("{}; does the server still run?", silence.message)))
            }
        };
        let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let check = Check { name, status, ms, detail: detail.map(|detail| self.without_key(detail)) };
        (self.smoke.on_check)(&check);
        self.checks.push(check);
    }

    /// A server may repeat a key that it refuses, and reports are shown around.
    fn without_key(&self, detail: String) -> String {
        match &self.smoke.api_key {
            Some(key) if key.0.len() >= 8 => detail.replace(&key.0, "[key]"),
            _ => detail,
        }
    }

    /// Nothing else is tried, and no report made, where nobody answers.
    fn health(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let answer = self.calls.client.get(&["health"], &[]).map_err(|silence| {
            let message = format!("can't reach the server: {}; is it running, and is --url right?", silence.message);
            CliError::failed("unreachable", message)
        })?;
        self.calls.is_ours.set(answer.body["hybrid_search"].is_boolean());
        let version = answer.body["version"].as_str();
        self.server = if self.calls.is_ours.get() {
            Some(format!("mnemon {}", version.unwrap_or_default()).trim_end().to_owned())
        } else {
            answer.server.clone()
        };
        let outcome = healthy(&answer);
        self.note("health", start, outcome);
        Ok(())
    }

    /// Also notes what is there, before anything is written.
    fn key(&mut self) -> Outcome {
        let answer = self.calls.list(false)?;
        if answer.is_refused() {
            let look = match (self.calls.client.has_key(), &self.calls.user) {
                (false, _) => "give a key with --api-key",
                (true, Some(_)) => "is --api-key right, and may it act for --user?",
                (true, None) => "is --api-key right?",
            };
            self.stopped = Some("the key was refused".to_owned());
            return Err(Trouble::Wrong(format!("{}; {look}", answer.said())));
        }
        if answer.status >= 500 {
            return Err(Trouble::Wrong(answer.said()));
        }
        if !answer.is_ok() {
            // A list that wants a user is no reason not to try the rest.
            return Ok(Some(format!("not refused, but {}", answer.said())));
        }
        if !answer.is_json {
            return Err(Trouble::Wrong(format!("{}, which is no JSON", answer.said())));
        }
        self.written.was_there(answer.memories(), PAGE);
        Ok(None)
    }

    fn wrong_key(&mut self) -> Outcome {
        if !self.calls.client.has_key() {
            return Err(Trouble::Skip("no key was given, and the server asked for none".to_owned()));
        }
        let wrong = format!("wrong-{}", self.word);
        for (with, which) in [(With::Key(&wrong), "a wrong key"), (With::Nothing, "no key")] {
            let answer = self.calls.ask_as(with)?;
            if answer.is_ok() {
                // Not what was answered: it may be somebody's memories.
                let told = format!(
                    "{which} was let in, {} answered {}: everybody can read; does the server run without authentication?",
                    answer.asked, answer.status
                );
                return Err(Trouble::Wrong(told));
            }
            if !answer.is_refused() {
                return Err(Trouble::Wrong(format!("{which} is not refused with 401 or 403: {}", answer.said())));
            }
        }
        Ok(None)
    }

    fn write(&mut self) -> Outcome {
        let text = format!("My favourite tea is called {} and I drink it from an amber cup.", self.word);
        let first = self.add(&text, "amber")?;
        self.first = Some(first.clone());
        // Whether it is there is the next check's; this tells whose the key is, where nobody said.
        if let Ok(Some((found, _))) = self.calls.get(&first.id) {
            self.calls.keeps_run.set(found.run.as_ref() == Some(&self.calls.run));
            self.calls.user = self.calls.user.take().or(found.user);
        }
        Ok(None)
    }

    fn read_back(&mut self) -> Outcome {
        let first = self.first()?;
        match self.calls.get(&first.id)? {
            None => {
                Err(Trouble::Wrong(format!("memory {} was acknowledged and is not there: writes are lost", first.id)))
            }
            Some((found, _)) if !self.written.holds_word(&found) => {
                Err(Trouble::Wrong(format!("memory {} reads `{}`, which was not written", found.id, found.text)))
            }
            Some((_, remark)) => Ok(remark),
        }
    }

    /// The count rises with the second memory. Before the first, nobody may have known whose key it is.
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
        Err(Trouble::Wrong(format!(
            "{before} memories before a write, {after} after: does /stats count what is stored?"
        )))
    }

    fn list(&mut self) -> Outcome {
        self.first()?;
        let answer = self.calls.list(true)?;
        if !answer.is_ok() {
            return Err(absent_or_wrong(&answer));
        }
        let listed = answer.memories();
        let missing = |found: &&Found| !listed.iter().any(|listed| listed.id == found.id);
        match self.first.iter().chain(&self.second).find(missing) {
            Some(_) if listed.len() >= PAGE => Ok(Some(format!("shows {} memories, not the new ones", listed.len()))),
            Some(found) => Err(Trouble::Wrong(format!("memory {} is not in the list", found.id))),
            None => Ok(None),
        }
    }

    fn search(&mut self) -> Outcome {
        let first = self.first()?;
        let hits = self.calls.search(&first.text, false, &[])?;
        self.written.seen(&hits);
        let place = hits.iter().position(|hit| hit.id == first.id);
        match place {
            Some(0) => Ok(None),
            Some(place) => Ok(Some(format!("found in place {} of {}", place + 1, hits.len()))),
            None => Err(Trouble::Wrong(format!(
                "memory {} is not among {} hits for its own text: is the index searched that is written to?",
                first.id,
                hits.len()
            ))),
        }
    }

    fn filters(&mut self) -> Outcome {
        let (first, Some(second)) = (self.first()?, self.second.clone()) else {
            return Err(Trouble::Skip("the second memory was not written".to_owned()));
        };
        for (colour, wanted, other) in [("amber", &first, &second), ("teal", &second, &first)] {
            let hits = self.calls.search(&wanted.text, true, &[("colour", colour)])?;
            let holds = |found: &Found| hits.iter().any(|hit| hit.id == found.id);
            if holds(other) {
                let told = "the filter on metadata is ignored: a memory with another value was found";
                return Err(Trouble::Wrong(told.to_owned()));
            }
            if !holds(wanted) {
                let told = format!("memory {} is not found with a filter on its own metadata", wanted.id);
                return Err(Trouble::Wrong(told));
            }
        }
        Ok(None)
    }

    fn update(&mut self) -> Outcome {
        let first = self.first()?;
        let text = format!("My favourite tea is called {} and I drink it from a violet bowl.", self.word);
        let answer = self.calls.update(&first.id, &text)?;
        if !answer.is_ok() {
            return Err(absent_or_wrong(&answer));
        }
        let found = self.calls.get(&first.id)?;
        let Some((found, _)) = found.filter(|(found, _)| found.text == text) else {
            return Err(Trouble::Wrong(format!("memory {} was changed, and reads as before", first.id)));
        };
        self.first = Some(found);
        let hits = self.calls.search(&text, true, &[])?;
        match hits.iter().find(|hit| hit.id == first.id) {
            Some(hit) if hit.text == text => Ok(None),
            Some(_) => Err(Trouble::Wrong("search still shows the text from before the change".to_owned())),
            None => Err(Trouble::Wrong("search no longer finds the memory after the change".to_owned())),
        }
    }

    fn history(&mut self) -> Outcome {
        let first = self.first()?;
        let answer = self.calls.history(&first.id)?;
        if !answer.is_ok() {
            return Err(absent_or_wrong(&answer));
        }
        let told = answer.body.to_string();
        let updated = self.checks.iter().any(|check| check.name == "update" && check.status == Status::Ok);
        let missing = ["ADD", "UPDATE"].into_iter().take(1 + usize::from(updated)).find(|event| !told.contains(event));
        match missing {
            Some(event) => Err(Trouble::Wrong(format!("the history of memory {} has no {event}", first.id))),
            None => Ok(None),
        }
    }

    fn graph(&mut self) -> Outcome {
        let user = self.user()?;
        let answer = self.calls.client.get(&["graph", "relationships", &user], &[])?;
        match answer.status {
            404 | 405 | 410 | 501 => Ok(Some("not there, which is fine: mem0 v2 has no graph".to_owned())),
            _ if !answer.is_ok() => Err(Trouble::Wrong(answer.said())),
            _ if answer.body["deprecated"] == true => Ok(Some("deprecated".to_owned())),
            _ if answer.body.is_array()
                || answer.body.as_object().is_some_and(|map| map.values().any(Value::is_array)) =>
            {
                Ok(None)
            }
            _ => Err(Trouble::Wrong(format!("{}; neither `deprecated` nor a list of relationships", answer.said()))),
        }
    }

    fn chat(&mut self) -> Outcome {
        self.first()?;
        let question = format!("What do I drink {} tea from? Answer in a few words.", self.word);
        let answer = self.calls.chat(&question).inspect_err(|_| self.unsure = true)?;
        if answer.code() == Some("llm_not_configured") || matches!(answer.status, 404 | 405 | 501) {
            return Err(Trouble::Skip("no language model here".to_owned()));
        }
        if !answer.is_ok() {
            return Err(Trouble::Wrong(format!("{}; are the language model and its key configured?", answer.said())));
        }
        if answer.speaks() { Ok(None) } else { Err(Trouble::Wrong(format!("{}, without words", answer.said()))) }
    }

    fn delete(&mut self) -> Outcome {
        let first = self.first()?;
        let answer = self.calls.delete(&first.id)?;
        if !answer.is_ok() {
            return Err(Trouble::Wrong(answer.said()));
        }
        if self.calls.get(&first.id)?.is_some() {
            return Err(Trouble::Wrong(format!("memory {} was deleted, and is still there", first.id)));
        }
        let hits = self.calls.search(&first.text, true, &[])?;
        if hits.iter().any(|hit| hit.id == first.id) {
            return Err(Trouble::Wrong(format!("memory {} was deleted, and search still finds it", first.id)));
        }
        self.written.is_deleted(&first.id);
        let Some(second) = self.second.clone() else { return Ok(None) };
        match self.calls.get(&second.id)? {
            Some(_) => Ok(None),
            None => Err(Trouble::Wrong(format!("deleting memory {} took {} with it", first.id, second.id))),
        }
    }

    /// Deletes what was written, whatever happened before; a check only where there is something to tell.
    fn clean_up(&mut self) {
        let start = Instant::now();
        let wrote = self.checks.iter().any(|check| check.name == "write" && check.status != Status::Skipped);
        let outcome = if wrote { self.remove_all() } else { Err(Trouble::Skip("nothing was written".to_owned())) };
        self.note("clean up", start, outcome);
    }

    fn remove_all(&mut self) -> Outcome {
        let known = self.written.ids().len();
        let mut trouble = self.look();
        let deadline = Instant::now() + LATE;
        while self.unsure && self.written.ids().len() == known && Instant::now() < deadline {
            std::thread::sleep(LATE / 10);
            trouble = self.look();
        }
        for id in self.written.ids() {
            match self.remove(&id) {
                Ok(()) => self.written.is_deleted(&id),
                Err(why) => trouble = Err(why),
            }
        }
        trouble?;
        if let Some(id) = self.written.doubtful().next() {
            return Err(Trouble::Wrong(format!(
                "memory {id} holds the word of this run and may be older: look, then delete it"
            )));
        }
        if self.unsure {
            let told = format!("a request got no answer and may still be carried out; search for {} later", self.word);
            return Ok(Some(told));
        }
        Ok(None)
    }

    /// Looks for memories of this run that no answer named: of a write that timed out, or of a chat.
    fn look(&mut self) -> Result<(), Trouble> {
        let listed = [self.calls.list(true)?, self.calls.list(false)?];
        listed.iter().filter(|answer| answer.is_ok()).for_each(|answer| self.written.seen(&answer.memories()));
        // Where search does not work, its own check has failed.
        if let Ok(hits) = self.calls.search(&self.word, false, &[]) {
            self.written.seen(&hits);
        }
        Ok(())
    }

    fn remove(&self, id: &str) -> Result<(), Trouble> {
        let answer = self.calls.delete(id)?;
        // Gone is gone, whoever did it: a route that is not there deletes nothing.
        let gone = answer.is_ok() || answer.status == 404 && !answer.is_absent();
        if !gone {
            return Err(Trouble::Wrong(answer.said()));
        }
        match self.calls.get(id)? {
            None => Ok(()),
            Some(_) => Err(Trouble::Wrong(format!("memory {id} was deleted, and is still there"))),
        }
    }

    /// Writes a text, and answers the memory that holds its word.
    fn add(&mut self, text: &str, colour: &str) -> Result<Found, Trouble> {
        let added = self.calls.add(text, &json!({"smoke": self.word, "colour": colour}));
        let added = added.inspect_err(|trouble| self.unsure |= matches!(trouble, Trouble::Silent(_)))?;
        let named = self.written.added(added).map_err(Trouble::Wrong)?;
        let mut found = named.into_iter().find(|found| self.written.holds_word(found));
        if found.is_none() {
            // Not every backend names what it stored.
            let before = self.written.ids();
            let listed = self.calls.list(false)?.memories();
            self.written.seen(&listed);
            let new = |found: &Found| self.written.ids().contains(&found.id) && !before.contains(&found.id);
            found = listed.into_iter().find(|found| new(found) && self.written.holds_word(found));
        }
        found.ok_or_else(|| {
            let told = "the write was acknowledged, but no memory with its words was named or is listed: writes are lost, or a \
                        language model takes texts apart although `infer` is false";
            Trouble::Wrong(told.to_owned())
        })
    }

    fn count(&self) -> Result<u64, Trouble> {
        let answer = self.calls.client.get(&["stats", &self.user()?], &[])?;
        if !answer.is_ok() {
            return Err(absent_or_wrong(&answer));
        }
        answer.count().ok_or_else(|| Trouble::Wrong(format!("{}; no memory_count in it", answer.said())))
    }

    fn first(&self) -> Result<Found, Trouble> {
        self.first.clone().ok_or_else(|| Trouble::Skip("nothing was written".to_owned()))
    }

    fn user(&self) -> Result<String, Trouble> {
        let user = self.calls.user.clone().filter(|user| is_segment(user));
        user.ok_or_else(|| Trouble::Skip("whose key it is is not known; say it with --user".to_owned()))
    }
}

fn healthy(answer: &Answer) -> Outcome {
    if answer.is_absent() {
        return Err(Trouble::Skip("no /health here".to_owned()));
    }
    if !answer.is_ok() {
        return Err(Trouble::Wrong(answer.said()));
    }
    if !answer.is_json {
        return Err(Trouble::Wrong(format!("{}, which is no JSON: is --url that of a memory server?", answer.said())));
    }
    let status = answer.body["status"].as_str().unwrap_or("ok").to_ascii_lowercase();
    if !["ok", "healthy", "up", "pass", "running", "success"].contains(&status.as_str()) {
        return Err(Trouble::Wrong(answer.said()));
    }
    let warnings = answer.body["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(warnings.map(str::to_owned).reduce(|all, next| format!("{all}; {next}")))
}

fn absent_or_wrong(answer: &Answer) -> Trouble {
    if answer.is_absent() {
        Trouble::Skip(format!("not there: {}", answer.said()))
    } else {
        Trouble::Wrong(answer.said())
    }
}

/// A word that nobody wrote before, and that reads like a name: language models keep names.
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
    fn words_differ() {
        let (one, other) = (rare_word(), rare_word());
        assert_eq!(one.len(), 12);
        assert_ne!(one, other);
    }

    #[test]
    fn health_is_judged_by_status_and_words() {
        let ok = |text| matches!(healthy(&answer(200, text)), Ok(None));
        assert!(ok(r#"{"status": "healthy"}"#) && ok(r#"{"status": "OK"}"#) && ok("{}"));
        assert!(matches!(healthy(&answer(200, r#"{"status": "degraded"}"#)), Err(Trouble::Wrong(_))));
        assert!(matches!(healthy(&answer(200, "<html>")), Err(Trouble::Wrong(_))));
        assert!(matches!(healthy(&answer(503, "{}")), Err(Trouble::Wrong(_))));
        assert!(matches!(healthy(&answer(404, r#"{"detail": "Not Found"}"#)), Err(Trouble::Skip(_))));
        let warned = healthy(&answer(200, r#"{"status": "healthy", "warnings": ["no slot", "old"]}"#));
        assert_eq!(warned.unwrap().as_deref(), Some("no slot; old"));
    }
}
