//! Which memories are ours to delete.

use std::collections::{BTreeSet, HashSet};

use super::answer::Found;

/// What was written, told apart from what was there.
#[derive(Debug)]
pub(super) struct Written {
    /// A random word that each text holds.
    word: String,
    run: String,
    user: Option<String>,
    /// Ids that were there before anything was written.
    before: HashSet<String>,
    /// Whether `before` is all there was.
    before_is_all: bool,
    ids: BTreeSet<String>,
    /// Ours by the word in them, but perhaps older than this run.
    doubtful: BTreeSet<String>,
}

impl Written {
    pub(super) fn new(word: String, run: String, user: Option<String>) -> Self {
        Self {
            word,
            run,
            user,
            before: HashSet::new(),
            before_is_all: false,
            ids: BTreeSet::new(),
            doubtful: BTreeSet::new(),
        }
    }

    /// Notes what is there; `page` is the most that a list shows.
    pub(super) fn was_there(&mut self, found: Vec<Found>, page: usize) {
        self.before_is_all = found.len() < page;
        self.before.extend(found.into_iter().map(|found| found.id));
    }

    /// Takes in what the server says it did for a write of ours; answers what it added.
    ///
    /// # Errors
    /// A sentence, if it changed a memory that is not ours: a language model may merge what it is told into what it knows.
    pub(super) fn added(&mut self, found: Vec<Found>) -> Result<Vec<Found>, String> {
        let (mut added, mut odd) = (Vec::new(), None);
        for found in found {
            let event = found.event.as_deref().unwrap_or("ADD").to_ascii_uppercase();
            if matches!(event.as_str(), "NONE" | "NOOP") {
                continue;
            }
            if event == "ADD" && self.is_new(&found.id) {
                self.ids.insert(found.id.clone());
            } else if !self.ids.contains(&found.id) {
                odd = Some(format!("it answered a write with {event} of memory {}, which is not a new one", found.id));
                continue;
            }
            added.push(found);
        }
        odd.map_or(Ok(added), Err)
    }

    /// Takes in memories that a list or search shows, if they come from this run.
    pub(super) fn seen(&mut self, found: &[Found]) {
        for found in found {
            if self.ids.contains(&found.id) || !self.is_new(&found.id) {
                continue;
            }
            let of_run = found.run.as_deref() == Some(&self.run);
            if of_run || self.holds_word(found) && self.before_is_all {
                self.ids.insert(found.id.clone());
            } else if self.holds_word(found) {
                self.doubtful.insert(found.id.clone());
            }
        }
    }

    pub(super) fn holds_word(&self, found: &Found) -> bool {
        found.text.to_lowercase().contains(&self.word)
    }

    /// Ids to delete.
    pub(super) fn ids(&self) -> Vec<String> {
        self.ids.iter().cloned().collect()
    }

    pub(super) fn is_deleted(&mut self, id: &str) {
        self.ids.remove(id);
    }

    /// Memories that hold the word and may be older: somebody has to look.
    pub(super) fn doubtful(&self) -> impl Iterator<Item = &str> {
        self.doubtful.iter().map(String::as_str)
    }

    /// What could not be deleted, or must not be without somebody looking.
    pub(super) fn left(self) -> Vec<String> {
        self.ids.into_iter().chain(self.doubtful).collect()
    }

    /// Not there before, and nothing that a path could take for more than a memory: neither `..`, nor the user, nor a star.
    fn is_new(&self, id: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let one = !id.is_empty() && id.len() <= 128 && id.chars().all(plain) && Some(id) != self.user.as_deref();
        one && id != self.run && !self.before.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: &str, text: &str, event: Option<&str>, run: Option<&str>) -> Found {
        Found { id: id.into(), text: text.into(), event: event.map(Into::into), user: None, run: run.map(Into::into) }
    }

    fn written(before: &[&str], page: usize) -> Written {
        let mut written = Written::new("zurivo".into(), "run-1".into(), Some("ana".into()));
        written.was_there(before.iter().map(|id| found(id, "old", None, None)).collect(), page);
        written
    }

    #[test]
    fn only_what_was_added_is_ours() {
        let mut written = written(&["old"], 1000);
        assert_eq!(written.added(vec![found("a", "Zurivo tea", Some("ADD"), None)]).unwrap().len(), 1);
        assert_eq!(written.added(vec![found("b", "Zurivo tea", None, None)]).unwrap().len(), 1);
        assert!(written.added(vec![found("old", "tea", Some("NONE"), None)]).unwrap().is_empty());
        for event in ["UPDATE", "DELETE", "ADD"] {
            assert!(written.added(vec![found("old", "zurivo tea", Some(event), None)]).is_err(), "{event}");
        }
        let both = vec![found("old", "tea", Some("UPDATE"), None), found("c", "zurivo", Some("ADD"), None)];
        assert!(written.added(both).unwrap_err().contains("UPDATE of memory old"));
        assert_eq!(written.ids(), ["a", "b", "c"]);
    }

    #[test]
    fn nothing_that_names_more_than_a_memory_is_ours() {
        for id in ["", ".", "..", "*", "ana", "a/b", "a?b", "a%2fb", "run-1", "a b"] {
            let mut written = written(&[], 1000);
            assert!(written.added(vec![found(id, "zurivo", Some("ADD"), None)]).is_err(), "{id}");
            written.seen(&[found(id, "zurivo", None, Some("run-1"))]);
            assert!(written.ids().is_empty(), "{id}");
        }
    }

    #[test]
    fn what_a_list_shows_is_ours_by_its_run_or_word() {
        let mut written = written(&["old"], 1000);
        let listed = [
            found("old", "zurivo, merged in", None, None),
            found("other", "no such word", None, None),
            found("a", "my Zurivo", None, None),
            found("b", "rephrased", None, Some("run-1")),
        ];
        written.seen(&listed);
        assert_eq!(written.ids(), ["a", "b"]);
        written.is_deleted("a");
        assert_eq!(written.left(), ["b"]);
    }

    #[test]
    fn what_may_be_older_is_left_for_somebody_to_look_at() {
        let mut written = written(&["old"], 1);
        written.seen(&[found("a", "zurivo", None, None), found("b", "zurivo", None, Some("run-1"))]);
        assert_eq!(written.ids(), ["b"]);
        assert_eq!(written.left(), ["b", "a"]);
    }
}
