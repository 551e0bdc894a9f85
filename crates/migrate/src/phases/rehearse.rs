//! Rehearse: the whole migration on a copy, so that problems show before the maintenance window.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use mnemon_models::Embedder;
use mnemon_store::Store;

use super::verify::{VerificationReport, VerifyOptions, verify};
use crate::carried::CarriedPoints;
use crate::error::Result;
use crate::progress::Progress;
use crate::source::{Source, SourceInfo};
use crate::state::{Part, PartResult};
use crate::survey::Survey;
use crate::sync::{SyncOptions, SyncReport, sync};
use crate::target::StoreTarget;

/// What a rehearsal found.
#[derive(Clone, Debug)]
pub struct RehearsalReport {
    /// The source.
    pub info: SourceInfo,
    /// The counts and anomalies of the source.
    pub survey: Survey,
    /// The sync pass.
    pub copied: SyncReport,
    /// The number of entities written; `None` if they were not rehearsed, for lack of an embedder.
    pub entities: Option<usize>,
    /// The comparison of the copy with the source.
    pub verified: VerificationReport,
    /// How long the comparison took.
    pub verify_took: Duration,
}

impl RehearsalReport {
    /// The results of the parts, as the phase records them. Entities that were not rehearsed are left out.
    pub fn parts(&self) -> BTreeMap<Part, PartResult> {
        let mut parts = self.verified.parts();
        parts.remove(&Part::History);
        parts
    }

    /// Whether the comparison found no differences.
    pub fn is_green(&self) -> bool {
        self.verified.is_green()
    }
}

/// Counts the points of a source, copies them to an empty store, and compares both. `carried` must be empty, too.
///
/// # Errors
/// [`crate::MigrateError`] of the source, the embedder or the store.
pub fn rehearse(
    source: &dyn Source,
    scratch: &dyn Store,
    carried: &CarriedPoints,
    embedder: Option<&dyn Embedder>,
    progress: &Progress<'_>,
) -> Result<RehearsalReport> {
    let points = source.info().points;
    let mut survey = Survey::default();
    source.scan(&mut |page| {
        survey.add(&page);
        progress("surveyed", survey.points, points);
        ControlFlow::Continue(())
    })?;
    let survey = survey.finish();
    let target = StoreTarget::new(scratch);
    let options = SyncOptions { embedder, ..SyncOptions::default() };
    let copied = sync(source, &target, carried, options, &|done| progress("copied", done, points))?;
    let started = Instant::now();
    let compared = VerifyOptions { entities: embedder.is_some(), ..VerifyOptions::default() };
    let verified = verify(source, &target, compared, &|done| progress("compared", done, points))?;
    let verify_took = started.elapsed();
    let entities = embedder.map(|_| scratch.info().map(|info| info.entities)).transpose()?;
    Ok(RehearsalReport { info: source.info().clone(), survey, copied, entities, verified, verify_took })
}
