//! Deletes what the checks wrote.

use std::time::{Duration, Instant};

use super::{Outcome, Run};
use crate::commands::smoke::memory_api::CheckError;
use crate::commands::smoke::report::Status;

/// Time that a write without a response has to appear, so that it can be deleted.
const LATE_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

impl Run<'_> {
    /// Deletes the test data, whatever the other checks found.
    pub(super) fn clean_up(&mut self) {
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
}
