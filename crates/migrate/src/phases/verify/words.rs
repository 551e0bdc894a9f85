//! Searches by rare words, which the old collection has no index for.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use mnemon_store::{Filter, MemoryId, StoredMemory, keys};

use crate::error::Result;
use crate::target::Target;

/// The number of users with a search.
const MAX_USERS: usize = 5;
/// The number of users whose texts are sampled; those with the most texts are searched.
const MAX_SAMPLED_USERS: usize = MAX_USERS * 4;
/// The number of texts of a user in which a rare word is looked for.
const MAX_TEXTS_PER_USER: usize = 200;
/// The number of characters of a text that are reported.
const MAX_SHOWN_CHARS: usize = 200;

/// A search by a rare word with the sparse vector alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordSearch {
    /// The user whose memories were searched.
    pub user: String,
    /// The word, lemmatized.
    pub word: String,
    /// A memory of the user that contains the word.
    pub memory: MemoryId,
    /// The memory's text.
    pub text: String,
    /// Whether the first hit contains the word.
    pub found: bool,
}

/// A memory in which a rare word is looked for.
struct Sample {
    memory: MemoryId,
    lemmas: String,
    text: String,
}

/// Memories of some users.
#[derive(Default)]
pub(super) struct WordSamples(BTreeMap<String, Vec<Sample>>);

impl WordSamples {
    /// Adds a memory, if there is room for it.
    pub(super) fn add(&mut self, stored: &StoredMemory) {
        let payload = &stored.memory.payload;
        // A user id that is not valid in a request can't be searched.
        let Some(user) = payload.str("user_id").filter(|user| Filter::eq("user_id", *user).is_ok()) else {
            return;
        };
        if self.0.len() >= MAX_SAMPLED_USERS && !self.0.contains_key(user) {
            return;
        }
        let samples = self.0.entry(user.to_owned()).or_default();
        if let Some(lemmas) = payload.str(keys::TEXT_LEMMATIZED).filter(|_| samples.len() < MAX_TEXTS_PER_USER) {
            let text = payload.text().chars().take(MAX_SHOWN_CHARS).collect();
            samples.push(Sample { memory: stored.memory.id, lemmas: lemmas.to_owned(), text });
        }
    }

    /// Searches by one rare word of each of the users with the most samples.
    pub(super) fn search(self, target: &dyn Target) -> Result<Vec<WordSearch>> {
        let mut users: Vec<_> = self.0.into_iter().collect();
        users.sort_by_key(|(_, samples)| Reverse(samples.len()));
        let mut searches = Vec::new();
        for (user, samples) in users.into_iter().take(MAX_USERS) {
            let Some((word, sample)) = rare_word(&samples) else { continue };
            let query = mnemon_engine::sparse_vector(word, word);
            let hit = target.first_by_bm25(&user, &query)?;
            let hit = hit.map(|id| target.get(&[id])).transpose()?.and_then(|stored| stored.into_values().next());
            let found = hit.is_some_and(|hit| {
                let contains_word = hit.bm25.iter().any(|(term, _)| query.iter().any(|(wanted, _)| wanted == term));
                contains_word && hit.memory.payload.str("user_id") == Some(&user)
            });
            let (word, text) = (word.to_owned(), sample.text.clone());
            searches.push(WordSearch { user, word, memory: sample.memory, text, found });
        }
        Ok(searches)
    }
}

/// The longest word that occurs in only one of the samples, and that sample.
fn rare_word(samples: &[Sample]) -> Option<(&str, &Sample)> {
    let mut occurrences: HashMap<&str, (usize, &Sample)> = HashMap::new();
    for sample in samples {
        let mut words: Vec<&str> =
            sample.lemmas.split(' ').filter(|word| word.chars().all(char::is_alphabetic)).collect();
        words.sort_unstable();
        words.dedup();
        for word in words {
            occurrences.entry(word).or_insert((0, sample)).0 += 1;
        }
    }
    let rare = occurrences.into_iter().filter(|(word, (count, _))| *count == 1 && (4..=20).contains(&word.len()));
    let (word, (_, sample)) = rare.max_by_key(|(word, _)| (word.len(), Reverse(*word)))?;
    Some((word, sample))
}
