//! Proof that nothing was lost: every point of the source beside its memory in the target.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mnemon_engine::ForeignPoint;
use mnemon_store::{MemoryId, Store, StoredMemory, keys};

use crate::Result;
use crate::read::Source;
use crate::survey::user_of;

/// Differences told.
const TOLD: usize = 20;

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

impl Verification {
    /// Whether all is as it should be.
    pub fn is_green(&self) -> bool {
        [self.missing, self.vectors, self.payloads, self.sparse, self.more].iter().all(|count| *count == 0)
            && self.users.is_empty()
    }

    fn differs(&mut self, id: MemoryId, what: String) {
        if self.differences.len() < TOLD {
            self.differences.push(Difference { id, what });
        }
    }

    fn compare(&mut self, point: &ForeignPoint, stored: &StoredMemory) {
        let bits = |vector: &[f32]| -> Vec<u32> { vector.iter().map(|value| value.to_bits()).collect() };
        if bits(&point.vector) != bits(&stored.vector) {
            self.vectors += 1;
            self.differs(point.id, "the vector differs".into());
        }
        let (given, there) = (point.payload.as_map(), stored.memory.payload.as_map());
        let differing = given.iter().find(|(key, value)| there.get(*key) != Some(*value)).map(|(key, _)| key);
        let added = there.keys().find(|key| !given.contains_key(*key) && *key != keys::TEXT_LEMMATIZED);
        if let Some(key) = differing.or(added) {
            self.payloads += 1;
            self.differs(point.id, format!("the payload's `{key}` differs"));
        }
        let lemmas = stored.memory.payload.str(keys::TEXT_LEMMATIZED).unwrap_or_default();
        if mnemon_engine::sparse(lemmas, stored.memory.payload.text()) != stored.bm25 {
            self.sparse += 1;
            self.differs(point.id, "the sparse vector is not that of its text".into());
        }
    }
}

/// Compares all points of a source with a store. `progress` is told how many are done.
///
/// # Errors
/// [`crate::MigrateError`] of the source or the store.
pub fn verify(source: &dyn Source, target: &dyn Store, progress: &dyn Fn(usize)) -> Result<Verification> {
    let mut verified = Verification::default();
    let mut failed = None;
    source.scan(&mut |page| {
        let ids: Vec<MemoryId> = page.iter().map(|point| point.id).collect();
        let stored = match target.get_stored(&ids) {
            Ok(stored) => stored,
            Err(error) => {
                failed = Some(error);
                return ControlFlow::Break(());
            }
        };
        for (point, stored) in page.iter().zip(stored) {
            verified.points += 1;
            let [expected, found] = verified.users.entry(user_of(point.payload.as_map().get("user_id"))).or_default();
            *expected += 1;
            *found += usize::from(stored.is_some());
            match stored {
                Some(stored) => verified.compare(point, &stored),
                None => {
                    verified.missing += 1;
                    verified.differs(point.id, "it is not there".into());
                }
            }
        }
        progress(verified.points);
        ControlFlow::Continue(())
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    verified.users.retain(|_, [expected, found]| expected != found);
    verified.more = (target.info()?.memories + verified.missing).saturating_sub(verified.points);
    Ok(verified)
}
