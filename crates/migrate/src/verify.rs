//! Proof that nothing was lost: every point of the source beside its memory in the target.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use mnemon_engine::ForeignPoint;
use mnemon_store::{MemoryId, StoredMemory, keys};

use crate::base::{CarriedPoints, digest};
use crate::read::Source;
use crate::rebuild::Progress;
use crate::route::MigrationContext;
use crate::state::{Migration, Phase, TargetSpec};
use crate::survey::user_of;
use crate::target::Target;
use crate::{MigrateError, Result};

/// Differences told.
const TOLD: usize = 20;
/// Users whose rare words are looked for, and memories read of each to find one.
const USERS: usize = 5;
const MEMORIES: usize = 200;

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verification {
    /// Points of the source that were looked at.
    pub points: usize,
    /// Of them, how many are not in the target.
    pub missing: usize,
    /// How many have another vector; compared bit by bit.
    pub vectors: usize,
    /// How many lack a key of their payload, have it otherwise, or have one more than what search adds.
    pub payloads: usize,
    /// How many have another sparse vector than their text gives.
    pub sparse: usize,
    /// Users whose counts differ: expected, and found.
    pub users: BTreeMap<String, [usize; 2]>,
    /// Memories of the target that the source does not have.
    pub more: usize,
    /// Payload keys without the index that search needs, and why vectors have none.
    pub indexes: Vec<String>,
    /// Searches by a word that few memories hold.
    pub words: Vec<WordFound>,
    /// The first differences.
    pub differences: Vec<Difference>,
}

/// A memory that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub id: MemoryId,
    /// What was found.
    pub what: String,
}

/// A search by a rare word, which the old collection has no index for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordFound {
    /// Whose memories were searched.
    pub user: String,
    /// The word, as lemmas have it.
    pub word: String,
    /// A memory of the user's that holds it.
    pub memory: MemoryId,
    /// Its text.
    pub text: String,
    /// Whether what came first holds it.
    pub found: bool,
}

impl Verification {
    /// Whether all is as it should be.
    pub fn is_green(&self) -> bool {
        [self.missing, self.vectors, self.payloads, self.sparse, self.more].iter().all(|count| *count == 0)
            && self.users.is_empty()
            && self.indexes.is_empty()
            && self.words.iter().all(|word| word.found)
    }

    fn differs(&mut self, id: MemoryId, what: impl Into<String>) {
        if self.differences.len() < TOLD {
            self.differences.push(Difference { id, what: what.into() });
        }
    }

    fn compare(&mut self, point: &ForeignPoint, stored: &StoredMemory) {
        let bits = |vector: &[f32]| -> Vec<u32> { vector.iter().map(|value| value.to_bits()).collect() };
        if bits(&point.vector) != bits(&stored.vector) {
            self.vectors += 1;
            self.differs(point.id, "the vector differs");
        }
        let (given, there) = (point.payload.as_map(), stored.memory.payload.as_map());
        let differing = given.iter().find(|(key, value)| there.get(*key) != Some(*value)).map(|(key, _)| key);
        let added = there.keys().find(|key| !given.contains_key(*key) && *key != keys::TEXT_LEMMATIZED);
        if let Some(key) = differing.or(added) {
            self.payloads += 1;
            self.differs(point.id, format!("the payload's `{key}` differs"));
        }
        let text = stored.memory.payload.text();
        let lemmas = stored.memory.payload.str(keys::TEXT_LEMMATIZED);
        if lemmas.is_none() && !text.is_empty() {
            self.sparse += 1;
            self.differs(point.id, "it has no lemmas");
        } else if mnemon_engine::sparse(lemmas.unwrap_or_default(), text) != stored.bm25 {
            self.sparse += 1;
            self.differs(point.id, "the sparse vector is not that of its text");
        }
    }
}

/// Compares all points of a source with a target. `carried` is given where both are the same collection: then points are
/// compared with what they were before anything was added to them. `progress` is told how many are done.
///
/// # Errors
/// [`crate::MigrateError`] of the source or the target.
pub fn verify(
    source: &dyn Source,
    target: &dyn Target,
    carried: Option<&CarriedPoints>,
    progress: &dyn Fn(usize),
) -> Result<Verification> {
    let mut verified = Verification::default();
    let mut words = Words::default();
    let mut failed = None;
    source.scan(&mut |page| match verified.page(&page, target, carried, &mut words) {
        Ok(()) => {
            progress(verified.points);
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    verified.users.retain(|_, [expected, found]| expected != found);
    let expected = match carried {
        Some(base) => usize::try_from(base.count()?).unwrap_or(usize::MAX),
        None => verified.points,
    };
    let there = usize::try_from(target.count()?).unwrap_or(usize::MAX);
    match carried {
        // In one collection with its source, nothing but a count tells what is not there.
        Some(_) => verified.missing += expected.saturating_sub(there),
        None => verified.more = (there + verified.missing).saturating_sub(expected),
    }
    verified.indexes = target.lacks_indexes()?;
    verified.words = words.search(target)?;
    Ok(verified)
}

impl Verification {
    fn page(
        &mut self,
        page: &[ForeignPoint],
        target: &dyn Target,
        carried: Option<&CarriedPoints>,
        words: &mut Words,
    ) -> Result<()> {
        let ids: Vec<MemoryId> = page.iter().map(|point| point.id).collect();
        let stored = target.get(&ids)?;
        let before = carried.map(|base| base.get(&ids)).transpose()?;
        for point in page {
            self.points += 1;
            let stored = stored.get(&point.id);
            let [expected, found] = self.users.entry(user_of(point.payload.as_map().get("user_id"))).or_default();
            *expected += 1;
            *found += usize::from(stored.is_some());
            let Some(stored) = stored else {
                self.missing += 1;
                self.differs(point.id, "it is not there");
                continue;
            };
            self.compare(point, stored);
            words.take(stored);
            let Some(before) = &before else { continue };
            match before.get(&point.id) {
                None => {
                    self.more += 1;
                    self.differs(point.id, "it was written since: run `rebuild` again");
                }
                Some(known) if *known != digest(&point.payload, &point.vector) => {
                    self.payloads += 1;
                    self.differs(point.id, "it was changed since: run `rebuild` again");
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// Texts of some users, to find rare words in.
#[derive(Default)]
struct Words(BTreeMap<String, Vec<(MemoryId, String, String)>>);

impl Words {
    fn take(&mut self, stored: &StoredMemory) {
        let payload = &stored.memory.payload;
        // Those that requests can't name can't be searched.
        let Some(user) = payload.str("user_id").filter(|user| mnemon_store::Filter::eq("user_id", *user).is_ok())
        else {
            return;
        };
        if self.0.len() >= USERS * 4 && !self.0.contains_key(user) {
            return;
        }
        let of_user = self.0.entry(user.to_owned()).or_default();
        if let Some(lemmas) = payload.str(keys::TEXT_LEMMATIZED).filter(|_| of_user.len() < MEMORIES) {
            of_user.push((stored.memory.id, lemmas.to_owned(), payload.text().chars().take(200).collect()));
        }
    }

    /// Searches a rare word for each of those with the most texts.
    fn search(self, target: &dyn Target) -> Result<Vec<WordFound>> {
        let mut users: Vec<_> = self.0.into_iter().collect();
        users.sort_by_key(|(_, texts)| std::cmp::Reverse(texts.len()));
        let mut searched = Vec::new();
        for (user, texts) in users.into_iter().take(USERS) {
            let Some((word, (memory, _, text))) = rare_word(&texts) else { continue };
            let asked = mnemon_engine::sparse(word, word);
            let first = target.first_by_words(&user, &asked)?;
            let first = first.map(|id| target.get(&[id])).transpose()?.and_then(|found| found.into_values().next());
            let holds = |stored: &StoredMemory| {
                let holds = stored.bm25.iter().any(|(term, _)| asked.iter().any(|(own, _)| own == term));
                holds && stored.memory.payload.str("user_id") == Some(&user)
            };
            let (found, word) = (first.as_ref().is_some_and(holds), word.to_owned());
            searched.push(WordFound { user, word, memory: *memory, text: text.clone(), found });
        }
        Ok(searched)
    }
}

/// The longest word that one text alone holds.
fn rare_word(texts: &[(MemoryId, String, String)]) -> Option<(&str, &(MemoryId, String, String))> {
    let mut holders: HashMap<&str, (usize, &(MemoryId, String, String))> = HashMap::new();
    for text in texts {
        let mut words: Vec<&str> = text.1.split(' ').filter(|word| word.chars().all(char::is_alphabetic)).collect();
        words.sort_unstable();
        words.dedup();
        for word in words {
            holders.entry(word).or_insert((0, text)).0 += 1;
        }
    }
    let alone = holders.into_iter().filter(|(word, (count, _))| *count == 1 && (4..=20).contains(&word.len()));
    let (word, (_, text)) = alone.max_by_key(|(word, _)| (word.len(), std::cmp::Reverse(*word)))?;
    Some((word, text))
}

/// Compares a migration's source with its target, and notes what came out.
///
/// # Errors
/// [`MigrateError`] of either side, or before anything was carried over.
pub fn verify_migration(
    migration: &mut Migration,
    tools: &MigrationContext<'_>,
    progress: &Progress<'_>,
) -> Result<Verification> {
    let route = migration.route()?.clone();
    if migration.state.switched {
        let message = "the new store is the one that is served, and changes: verify compares before a cutover, which carries \
                       over and counts what was written since; `mnemon doctor` looks at the new store now";
        return Err(MigrateError::Refused(message.into()));
    }
    if !migration.state.begun {
        return Err(MigrateError::Refused("nothing was carried over yet: run `mnemon migrate rebuild`".into()));
    }
    let source = route.source(tools)?;
    let opened = route.target(tools, source.about().dims)?;
    let base = migration.base()?;
    let carried = matches!(route.to, TargetSpec::InPlace).then_some(&base);
    let points = source.about().points;
    let mut verified = verify(&*source, &*opened.target(), carried, &|done| progress("compared", done, points))?;
    verified.indexes.extend(opened.indexed(progress)?);
    let told = match verified.is_green() {
        true => format!("{} memories compared, no difference", verified.points),
        false => format!("{} memories compared, see the differences", verified.points),
    };
    migration.end(Phase::Verify, verified.is_green(), told)?;
    Ok(verified)
}
