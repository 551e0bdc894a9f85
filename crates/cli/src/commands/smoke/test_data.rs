//! The memories that the check wrote and may delete.

use std::collections::{BTreeSet, HashSet};

use super::answer::FoundMemory;

/// The test data, distinguished from memories that existed before.
#[derive(Debug)]
pub(super) struct TestData {
    /// A random word that each text contains.
    word: String,
    run: String,
    user: Option<String>,
    /// Ids of memories that existed before anything was written.
    before: HashSet<String>,
    /// Whether `before` is complete.
    before_is_all: bool,
    ids: BTreeSet<String>,
    /// Memories that contain the word but may be older than this run.
    unclear: BTreeSet<String>,
}

impl TestData {
    pub(super) fn new(word: String, run: String, user: Option<String>) -> Self {
        Self {
            word,
            run,
            user,
            before: HashSet::new(),
            before_is_all: false,
            ids: BTreeSet::new(),
            unclear: BTreeSet::new(),
        }
    }

    /// Records the existing memories; `limit` is the longest list the server returns.
    pub(super) fn record_existing(&mut self, found: Vec<FoundMemory>, limit: usize) {
        self.before_is_all = found.len() < limit;
        self.before.extend(found.into_iter().map(|found| found.id));
    }

    /// Records the server's response to a write and returns the added memories.
    ///
    /// # Errors
    /// A message, if the server changed an existing memory: a language model may merge new facts into old ones.
    pub(super) fn record_added(&mut self, found: Vec<FoundMemory>) -> Result<Vec<FoundMemory>, String> {
        let (mut added, mut unexpected) = (Vec::new(), None);
        for found in found {
            let event = found.event.as_deref().unwrap_or("ADD").to_ascii_uppercase();
            if matches!(event.as_str(), "NONE" | "NOOP") {
                continue;
            }
            if event == "ADD" && self.is_new(&found.id) {
                self.ids.insert(found.id.clone());
            } else if !self.ids.contains(&found.id) {
                unexpected =
                    Some(format!("a write was answered with {event} of memory {}, which is not new", found.id));
                continue;
            }
            added.push(found);
        }
        unexpected.map_or(Ok(added), Err)
    }

    /// Records memories in a list or search result, if they come from this run.
    pub(super) fn record_seen(&mut self, found: &[FoundMemory]) {
        for found in found {
            if self.ids.contains(&found.id) || !self.is_new(&found.id) {
                continue;
            }
            let of_run = found.run.as_deref() == Some(&self.run);
            if of_run || self.contains_word(found) && self.before_is_all {
                self.ids.insert(found.id.clone());
            } else if self.contains_word(found) {
                self.unclear.insert(found.id.clone());
            }
        }
    }

    pub(super) fn contains_word(&self, found: &FoundMemory) -> bool {
        found.text.to_lowercase().contains(&self.word)
    }

    /// Ids to delete.
    pub(super) fn ids(&self) -> Vec<String> {
        self.ids.iter().cloned().collect()
    }

    pub(super) fn mark_deleted(&mut self, id: &str) {
        self.ids.remove(id);
    }

    /// Memories that contain the word but may be older: a person has to check them.
    pub(super) fn unclear(&self) -> impl Iterator<Item = &str> {
        self.unclear.iter().map(String::as_str)
    }

    /// Ids that could not be deleted, or that a person has to check.
    pub(super) fn left_behind(self) -> Vec<String> {
        self.ids.into_iter().chain(self.unclear).collect()
    }

    /// Whether the id is of a new memory, and of nothing else in a path: not `..`, not the user, not a wildcard.
    fn is_new(&self, id: &str) -> bool {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let is_id = !id.is_empty() && id.len() <= 128 && id.chars().all(is_plain) && Some(id) != self.user.as_deref();
        is_id && id != self.run && !self.before.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: &str, text: &str, event: Option<&str>, run: Option<&str>) -> FoundMemory {
        FoundMemory {
            id: id.into(),
            text: text.into(),
            event: event.map(Into::into),
            user: None,
            run: run.map(Into::into),
        }
    }

    fn test_data(before: &[&str], limit: usize) -> TestData {
        let mut data = TestData::new("zurivo".into(), "run-1".into(), Some("ana".into()));
        data.record_existing(before.iter().map(|id| found(id, "old", None, None)).collect(), limit);
        data
    }

    #[test]
    fn only_added_memories_are_test_data() {
        let mut data = test_data(&["old"], 1000);
        assert_eq!(data.record_added(vec![found("a", "Zurivo tea", Some("ADD"), None)]).unwrap().len(), 1);
        assert_eq!(data.record_added(vec![found("b", "Zurivo tea", None, None)]).unwrap().len(), 1);
        assert!(data.record_added(vec![found("old", "tea", Some("NONE"), None)]).unwrap().is_empty());
        for event in ["UPDATE", "DELETE", "ADD"] {
            assert!(data.record_added(vec![found("old", "zurivo tea", Some(event), None)]).is_err(), "{event}");
        }
        let both = vec![found("old", "tea", Some("UPDATE"), None), found("c", "zurivo", Some("ADD"), None)];
        assert!(data.record_added(both).unwrap_err().contains("UPDATE of memory old"));
        assert_eq!(data.ids(), ["a", "b", "c"]);
    }

    #[test]
    fn ids_that_name_more_than_a_memory_are_not_test_data() {
        for id in ["", ".", "..", "*", "ana", "a/b", "a?b", "a%2fb", "run-1", "a b"] {
            let mut data = test_data(&[], 1000);
            assert!(data.record_added(vec![found(id, "zurivo", Some("ADD"), None)]).is_err(), "{id}");
            data.record_seen(&[found(id, "zurivo", None, Some("run-1"))]);
            assert!(data.ids().is_empty(), "{id}");
        }
    }

    #[test]
    fn listed_memories_are_recognised_by_run_or_word() {
        let mut data = test_data(&["old"], 1000);
        let listed = [
            found("old", "zurivo, merged in", None, None),
            found("other", "no such word", None, None),
            found("a", "my Zurivo", None, None),
            found("b", "rephrased", None, Some("run-1")),
        ];
        data.record_seen(&listed);
        assert_eq!(data.ids(), ["a", "b"]);
        data.mark_deleted("a");
        assert_eq!(data.left_behind(), ["b"]);
    }

    #[test]
    fn memories_that_may_be_older_are_not_deleted() {
        let mut data = test_data(&["old"], 1);
        data.record_seen(&[found("a", "zurivo", None, None), found("b", "zurivo", None, Some("run-1"))]);
        assert_eq!(data.ids(), ["b"]);
        assert_eq!(data.left_behind(), ["b", "a"]);
    }
}
