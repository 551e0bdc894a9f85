//! Memories are written, read, changed and deleted.

use serde_json::json;

use super::{Outcome, Run, skipped_or_failed};
use crate::commands::smoke::answer::FoundMemory;
use crate::commands::smoke::memory_api::CheckError;
use crate::commands::smoke::report::Status;

impl Run<'_> {
    pub(super) fn write(&mut self) -> Outcome {
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

    pub(super) fn read_back(&mut self) -> Outcome {
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
    pub(super) fn stats(&mut self) -> Outcome {
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

    pub(super) fn update(&mut self) -> Outcome {
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

    pub(super) fn history(&mut self) -> Outcome {
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

    pub(super) fn delete(&mut self) -> Outcome {
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
}
