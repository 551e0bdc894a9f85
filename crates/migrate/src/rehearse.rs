//! The whole migration on a copy, so that what will happen in the maintenance window has happened before.

use std::time::{Duration, Instant};

use mnemon_models::Embedder;
use mnemon_store::Store;

use crate::read::{Source, SourceInfo};
use crate::{
    CarriedPoints, Progress, Result, StoreTarget, Survey, SyncOptions, SyncReport, Verification, sync, verify,
};

/// What a rehearsal showed.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The source.
    pub about: SourceInfo,
    /// What it holds.
    pub survey: Survey,
    /// What was carried over.
    pub copied: SyncReport,
    /// Entities made; none without an embedder of the collection's kind.
    pub entities: usize,
    /// Whether all is there.
    pub verified: Verification,
    /// How long the comparison took.
    pub verify_took: Duration,
}

impl Rehearsal {
    /// Whether the migration may be done like this.
    pub fn is_green(&self) -> bool {
        self.verified.is_green()
    }
}

/// Surveys a source, carries it over into an empty store, noting that in an empty table, compares both and searches.
///
/// # Errors
/// [`crate::MigrateError`] of the source, the embedder or the store.
pub fn rehearse(
    source: &dyn Source,
    scratch: &dyn Store,
    base: &CarriedPoints,
    embedder: Option<&dyn Embedder>,
    progress: &Progress<'_>,
) -> Result<Rehearsal> {
    let points = source.about().points;
    let mut survey = Survey::default();
    source.scan(&mut |page| {
        survey.add(&page);
        progress("surveyed", survey.points, points);
        std::ops::ControlFlow::Continue(())
    })?;
    let survey = survey.finish();
    let copied =
        sync(source, &StoreTarget::new(scratch), base, SyncOptions { embedder, ..SyncOptions::default() }, &|done| {
            progress("carried over", done, points);
        })?;
    let begun = Instant::now();
    let verified = verify(source, &StoreTarget::new(scratch), None, &|done| progress("compared", done, points))?;
    let verify_took = begun.elapsed();
    let entities = scratch.info()?.entities;
    Ok(Rehearsal { about: source.about().clone(), survey, copied, entities, verified, verify_took })
}
