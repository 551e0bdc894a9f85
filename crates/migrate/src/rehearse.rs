//! The whole migration on a copy, so that what will happen in the maintenance window has happened before.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mnemon_models::Embedder;
use mnemon_store::{Filter, Memory, MemoryId, PageRequest, SparseQuery, Store, View, keys};

use crate::read::{About, Source};
use crate::{Copied, Result, Survey, Verification, copy, verify};

/// Users whose rare words are looked for, and memories read of each to find one.
const USERS: usize = 5;
const MEMORIES: usize = 200;

/// What a rehearsal showed.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The source.
    pub about: About,
    /// What it holds.
    pub survey: Survey,
    /// What was carried over.
    pub copied: Copied,
    /// Entities made; none without an embedder of the collection's kind.
    pub entities: usize,
    /// Whether all is there.
    pub verified: Verification,
    /// How long the comparison took.
    pub verify_took: Duration,
    /// Searches by a word that one memory holds.
    pub words: Vec<WordFound>,
}

/// A search by a rare word, which the old collection has no index for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordFound {
    /// Whose memories were searched.
    pub user: String,
    /// The word, as lemmas have it.
    pub word: String,
    /// The only memory of the user's that holds it.
    pub memory: MemoryId,
    /// Its text.
    pub text: String,
    /// Whether it came first.
    pub found: bool,
}

impl Rehearsal {
    /// Whether the migration may be done like this.
    pub fn is_green(&self) -> bool {
        self.verified.is_green() && self.words.iter().all(|word| word.found)
    }
}

/// Surveys a source, carries it over into an empty store, compares both and searches. `progress` is told the phase and how
/// many points are done.
///
/// # Errors
/// [`crate::MigrateError`] of the source, the embedder or the store.
pub fn rehearse(
    source: &dyn Source,
    scratch: &dyn Store,
    embedder: Option<&dyn Embedder>,
    progress: &(dyn Fn(&'static str, usize) + Sync),
) -> Result<Rehearsal> {
    let mut survey = Survey::default();
    source.scan(&mut |page| {
        survey.add(&page);
        progress("surveyed", survey.points);
        std::ops::ControlFlow::Continue(())
    })?;
    let survey = survey.finish();
    let copied = copy(source, scratch, embedder, &|done| progress("carried over", done))?;
    let begun = Instant::now();
    let verified = verify(source, scratch, &|done| progress("compared", done))?;
    let verify_took = begun.elapsed();
    let words = rare_words(scratch, &survey)?;
    let entities = scratch.info()?.entities;
    Ok(Rehearsal { about: source.about().clone(), survey, copied, entities, verified, verify_took, words })
}

/// Searches, for the users with the most memories, a word that only one of their latest memories holds.
fn rare_words(store: &dyn Store, survey: &Survey) -> Result<Vec<WordFound>> {
    let mut users: Vec<(&String, &usize)> = survey.by_user.iter().collect();
    users.sort_by_key(|(user, count)| (std::cmp::Reverse(**count), *user));
    let mut found = Vec::new();
    for (user, _) in users {
        if found.len() == USERS {
            break;
        }
        // Those that requests can't name, null among them, can't be searched.
        let Ok(filter) = Filter::eq("user_id", user.as_str()) else { continue };
        let page = PageRequest { limit: MEMORIES, ..PageRequest::default() };
        let listed = store.list(Some(&filter), None, &page)?;
        let Some((word, memory)) = rare_word(&listed.items) else { continue };
        let vector = mnemon_engine::sparse(&word, &word);
        let hits = store.sparse(&View::new(&filter, None), &SparseQuery { vector: &vector, limit: 1 })?;
        found.push(WordFound {
            user: user.clone(),
            found: hits.first().is_some_and(|(id, _)| *id == memory.id),
            memory: memory.id,
            text: memory.payload.text().to_owned(),
            word,
        });
    }
    Ok(found)
}

/// The longest word that one memory alone holds.
fn rare_word(memories: &[Memory]) -> Option<(String, &Memory)> {
    let mut holders: HashMap<&str, (usize, &Memory)> = HashMap::new();
    for memory in memories {
        let lemmas = memory.payload.str(keys::TEXT_LEMMATIZED).unwrap_or_default();
        let mut words: Vec<&str> = lemmas.split(' ').filter(|word| word.chars().all(char::is_alphabetic)).collect();
        words.sort_unstable();
        words.dedup();
        for word in words {
            holders.entry(word).or_insert((0, memory)).0 += 1;
        }
    }
    let alone = holders.into_iter().filter(|(word, (count, _))| *count == 1 && (4..=20).contains(&word.len()));
    let best = alone.max_by_key(|(word, _)| (word.len(), std::cmp::Reverse(*word)))?;
    Some((best.0.to_owned(), best.1.1))
}
