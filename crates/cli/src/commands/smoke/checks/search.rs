//! Memories are listed and found.

use super::{Outcome, Run, skipped_or_failed};
use crate::commands::smoke::answer::FoundMemory;
use crate::commands::smoke::memory_api::{CheckError, MAX_LIST};

impl Run<'_> {
    pub(super) fn list(&mut self) -> Outcome {
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

    pub(super) fn search(&mut self) -> Outcome {
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

    pub(super) fn filters(&mut self) -> Outcome {
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
}
