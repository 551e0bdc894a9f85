//! Verify: compares every point of the source with its memory in the target.

mod entities;
mod words;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mnemon_engine::ForeignPoint;
use mnemon_store::{MemoryId, StoredMemory, keys};

use entities::ExpectedEntities;
use words::WordSamples;

pub use entities::EntityComparison;
pub use words::WordSearch;

use super::history::{HistoryComparison, compare_history};

use crate::carried::{CarriedPoints, digest};
use crate::endpoints::MigrationContext;
use crate::error::{Refusal, Result};
use crate::progress::Progress;
use crate::source::Source;
use crate::state::{Migration, Part, PartResult, PartState, Phase, TargetSpec};
use crate::survey::user_label;
use crate::target::Target;

/// The number of differences that are reported; all are counted.
const MAX_DIFFERENCES: usize = 20;

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerificationReport {
    /// The number of points in the source that were compared.
    pub points: usize,
    /// Points that the target lacks.
    pub missing: usize,
    /// Points whose vector differs in at least one bit.
    pub vectors: usize,
    /// Points whose payload lacks a key, has another value, or has a key more, not counting the key that the migration
    /// adds.
    pub payloads: usize,
    /// Points whose sparse vector is not the one of their text.
    pub sparse: usize,
    /// Users whose counts differ: the expected count and the count found.
    pub users: BTreeMap<String, [usize; 2]>,
    /// Memories in the target that the source does not have.
    pub extra: usize,
    /// Payload keys without the index that search needs, and the reason if vectors could not be indexed.
    pub indexes: Vec<String>,
    /// Searches by rare words.
    pub words: Vec<WordSearch>,
    /// The entities; `None` if they were not asked for.
    pub entities: Option<EntityComparison>,
    /// The history; `None` if it was not asked for.
    pub history: Option<HistoryComparison>,
    /// Memories that were copied as the source has them now, so that another rebuild does not write them again.
    pub changed_in_target: usize,
    /// The first differences.
    pub differences: Vec<Difference>,
}

/// What to compare besides the points.
#[derive(Clone, Copy, Debug, Default)]
pub struct VerifyOptions<'c> {
    /// The digests of the points when they were copied.
    pub carried: Option<&'c CarriedPoints>,
    /// Whether source and target are the same collection. Its points are compared with `carried`, then.
    pub same_collection: bool,
    /// Whether the target is to have entities.
    pub entities: bool,
}

/// A memory that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its id.
    pub id: MemoryId,
    /// What differs.
    pub what: String,
}

impl VerificationReport {
    /// Whether there are no differences.
    pub fn is_green(&self) -> bool {
        [self.missing, self.vectors, self.payloads, self.sparse, self.extra].iter().all(|count| *count == 0)
            && self.users.is_empty()
            && self.indexes.is_empty()
            && self.words.iter().all(|word| word.found)
            && self.entities.as_ref().is_none_or(EntityComparison::is_green)
            && self.history.as_ref().is_none_or(HistoryComparison::is_green)
    }

    /// The result of each part, as the phase records it.
    pub(super) fn parts(&self) -> BTreeMap<Part, PartResult> {
        let points = [self.missing, self.vectors, self.payloads, self.extra, self.users.len(), self.indexes.len()];
        let state = |is_green: bool| if is_green { PartState::Done } else { PartState::Failed };
        let missed = self.words.iter().filter(|word| !word.found).count();
        let left_out = || PartResult::new(PartState::LeftOut, "");
        let entities = self.entities.as_ref().map(|entities| {
            let detail = format!(
                "{} expected; {} missing, {} with other links, {} without vector",
                entities.expected, entities.missing, entities.links, entities.vectors
            );
            PartResult::new(state(entities.is_green()), detail)
        });
        let history = self.history.as_ref().map(|history| {
            let detail = history.unreadable.clone().unwrap_or_else(|| {
                let (rows, missing, differ, lost) = (history.rows, history.missing, history.differ, history.lost);
                format!("{rows} rows; {missing} missing, {differ} differ, {lost} lost by the file")
            });
            PartResult::new(state(history.is_green()), detail)
        });
        BTreeMap::from([
            (Part::Points, PartResult::new(state(points.iter().sum::<usize>() == 0), "")),
            (Part::SparseVectors, PartResult::new(state(self.sparse + missed == 0), "")),
            (Part::Entities, entities.unwrap_or_else(left_out)),
            (Part::History, history.unwrap_or_else(left_out)),
        ])
    }

    fn add_difference(&mut self, id: MemoryId, what: impl Into<String>) {
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(Difference { id, what: what.into() });
        }
    }

    fn compare_page(
        &mut self,
        page: &[ForeignPoint],
        target: &dyn Target,
        options: VerifyOptions<'_>,
        words: &mut WordSamples,
    ) -> Result<()> {
        let ids: Vec<MemoryId> = page.iter().map(|point| point.id).collect();
        let stored = target.get(&ids)?;
        let recorded = options.carried.map(|carried| carried.get(&ids)).transpose()?;
        for point in page {
            self.points += 1;
            let stored = stored.get(&point.id);
            let [expected, found] = self.users.entry(user_label(point.payload.as_map().get("user_id"))).or_default();
            *expected += 1;
            *found += usize::from(stored.is_some());
            let is_carried = recorded.as_ref().is_some_and(|recorded| {
                recorded.get(&point.id).is_some_and(|known| *known == digest(&point.payload, &point.vector))
            });
            let Some(stored) = stored else {
                self.missing += 1;
                self.changed_in_target += usize::from(is_carried);
                self.add_difference(point.id, "it is missing in the target");
                continue;
            };
            self.changed_in_target += usize::from(!self.compare(point, stored) && is_carried);
            words.add(stored);
            let Some(recorded) = recorded.as_ref().filter(|_| options.same_collection) else { continue };
            match recorded.get(&point.id) {
                None => {
                    self.extra += 1;
                    self.add_difference(point.id, "it was written after the last pass: run `rebuild` again");
                }
                Some(known) if *known != digest(&point.payload, &point.vector) => {
                    self.payloads += 1;
                    self.add_difference(point.id, "it was changed after the last pass: run `rebuild` again");
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Compares a point with its memory, and returns whether they are equal.
    fn compare(&mut self, point: &ForeignPoint, stored: &StoredMemory) -> bool {
        let before = self.vectors + self.payloads + self.sparse;
        let bits = |vector: &[f32]| -> Vec<u32> { vector.iter().map(|value| value.to_bits()).collect() };
        if bits(&point.vector) != bits(&stored.vector) {
            self.vectors += 1;
            self.add_difference(point.id, "the vector differs");
        }
        let (expected, found) = (point.payload.as_map(), stored.memory.payload.as_map());
        let differing = expected.iter().find(|(key, value)| found.get(*key) != Some(*value)).map(|(key, _)| key);
        let added = found.keys().find(|key| !expected.contains_key(*key) && *key != keys::TEXT_LEMMATIZED);
        if let Some(key) = differing.or(added) {
            self.payloads += 1;
            self.add_difference(point.id, format!("the payload's `{key}` differs"));
        }
        let text = stored.memory.payload.text();
        let lemmas = stored.memory.payload.str(keys::TEXT_LEMMATIZED);
        if lemmas.is_none() && !text.is_empty() {
            self.sparse += 1;
            self.add_difference(point.id, "it has no lemmas");
        } else if mnemon_engine::sparse_vector(lemmas.unwrap_or_default(), text) != stored.bm25 {
            self.sparse += 1;
            self.add_difference(point.id, "the sparse vector does not match its text");
        }
        before == self.vectors + self.payloads + self.sparse
    }
}

/// Compares all points of a source with a target. If both are the same collection, the points are also compared with
/// their digests before the migration. `progress` gets the number of points compared so far.
///
/// # Errors
/// [`crate::MigrateError::Store`] if the source or the target fails.
pub fn verify(
    source: &dyn Source,
    target: &dyn Target,
    options: VerifyOptions<'_>,
    progress: &dyn Fn(usize),
) -> Result<VerificationReport> {
    let mut verified = VerificationReport::default();
    let mut words = WordSamples::default();
    let mut entities = ExpectedEntities::default();
    let mut failed = None;
    source.scan(&mut |page| match verified.compare_page(&page, target, options, &mut words) {
        Ok(()) => {
            if options.entities {
                entities.add(&page);
            }
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
    let carried = options.carried.filter(|_| options.same_collection);
    let expected = match carried {
        Some(carried) => usize::try_from(carried.count()?).unwrap_or(usize::MAX),
        None => verified.points,
    };
    let found = usize::try_from(target.count()?).unwrap_or(usize::MAX);
    match carried {
        // If source and target are the same collection, only the count shows that points are missing.
        Some(_) => verified.missing += expected.saturating_sub(found),
        None => verified.extra = (found + verified.missing).saturating_sub(expected),
    }
    verified.indexes = target.missing_indexes()?;
    verified.words = words.search(target)?;
    if options.entities {
        verified.entities = Some(entities.compare(target, source.info().dims, options.same_collection)?);
    }
    Ok(verified)
}

/// Compares the source of a migration with its target, and records the result.
///
/// # Errors
/// [`crate::MigrateError::Refused`] before the first rebuild and after a cutover; [`crate::MigrateError::Store`] if the source or the target fails.
pub fn verify_migration(
    migration: &mut Migration,
    context: &MigrationContext<'_>,
    progress: &Progress<'_>,
) -> Result<VerificationReport> {
    let route = migration.route()?.clone();
    if migration.state.switched {
        return Err(Refusal::TargetInUse.into());
    }
    if !migration.state.started {
        return Err(Refusal::NothingCopied.into());
    }
    let source = route.source(context)?;
    let target = route.target(context, source.info().dims)?;
    let carried = migration.carried_points()?;
    let same_collection = matches!(route.target, TargetSpec::InPlace);
    let (dims, points) = (source.info().dims, source.info().points);
    let options =
        VerifyOptions { carried: Some(&carried), same_collection, entities: migration.state.asks_for(Part::Entities) };
    let mut verified = verify(&*source, &*target, options, &|done| progress("compared", done, points))?;
    verified.indexes.extend(target.wait_for_index(progress)?);
    if let Some(file) = &migration.state.history {
        verified.history = Some(compare_history(file, context.open_target(&route, dims)?.store(), &carried)?);
    }
    let is_green = verified.is_green();
    let outcome = if is_green { "no difference" } else { "see the differences" };
    let summary = format!("{} memories compared, {outcome}", verified.points);
    migration.record_parts(Phase::Verify, is_green, summary, verified.parts())?;
    Ok(verified)
}
