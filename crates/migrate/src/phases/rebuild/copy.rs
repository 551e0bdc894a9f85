//! The copy of points and entities, with the results of the parts.

use std::collections::BTreeMap;

use mnemon_engine::EngineError;
use mnemon_models::Embedder;

use super::report::RebuildReport;
use crate::carried::{CarriedPoints, EntitiesOf};
use crate::endpoints::MigrationContext;
use crate::entities::write_entities;
use crate::error::{MigrateError, Result};
use crate::progress::{ENTITIES_STEP, Progress};
use crate::source::Source;
use crate::state::{Part, PartResult, PartState, Phase};
use crate::sync::{SyncOptions, SyncReport, sync};
use crate::target::Target;

/// The highest number of passes. If clients write to the source all the time, the cutover makes the last pass.
const MAX_PASSES: usize = 4;

/// The results of the parts of a run, and the first error.
pub(super) struct Run {
    pub(super) parts: BTreeMap<Part, PartResult>,
    pub(super) error: Option<MigrateError>,
}

impl Run {
    /// Records the result of parts, and keeps the error. A success has a detail for messages.
    pub(super) fn note<T>(&mut self, parts: &[Part], result: Result<(T, String)>) -> Option<T> {
        let (value, result) = match result {
            Ok((value, detail)) => (Some(value), PartResult::new(PartState::Done, detail)),
            Err(error) => {
                let result = PartResult::new(PartState::Failed, error.to_string());
                self.error.get_or_insert(error);
                (None, result)
            }
        };
        for part in parts {
            self.parts.insert(*part, result.clone());
        }
        value
    }

    pub(super) fn is_done(&self, part: Part) -> bool {
        self.parts.get(&part).is_some_and(|part| part.state == PartState::Done)
    }
}

/// A source, a target, and what connects them.
pub(in crate::phases) struct Copy<'c, 'e> {
    pub(in crate::phases) source: &'c dyn Source,
    pub(in crate::phases) target: &'c dyn Target,
    pub(in crate::phases) carried: CarriedPoints,
    pub(in crate::phases) context: &'c MigrationContext<'e>,
    /// Embeds entities; `None` if there are to be none.
    pub(in crate::phases) embedder: Option<&'e dyn Embedder>,
}

impl Copy<'_, '_> {
    /// Repeats the pass until it finds no changes, and records the results of points, sparse vectors and entities.
    pub(super) fn run(&self, again: bool, progress: &Progress<'_>, report: &mut RebuildReport, run: &mut Run) {
        let points = [Part::Points, Part::SparseVectors];
        let prepared = self.target.prepare(self.source.info().dims, &self.context.new_collection);
        if run.note(&points, prepared.map(|()| ((), String::new()))).is_none() {
            return;
        }
        while report.passes.len() < MAX_PASSES && !report.passes.last().is_some_and(SyncReport::is_idle) {
            let pass = self.sync(again && report.passes.is_empty(), progress);
            // A target that builds its entities gets them with the points.
            let of_embedder = matches!(pass, Err(MigrateError::Engine(EngineError::Model(_))));
            let pass = pass.map(|pass| (pass.clone(), format!("{} points", pass.seen)));
            let parts = if of_embedder { &Phase::Rebuild.parts()[..3] } else { &points[..] };
            let Some(pass) = run.note(parts, pass) else { break };
            report.passes.push(pass);
            if self.embedder.is_some() {
                let written = self.write_entities(progress);
                let written = written.map(|()| ((), String::new()));
                if run.note(&[Part::Entities], written).is_none() {
                    break;
                }
            }
        }
        if run.is_done(Part::Points)
            && let Err(error) = self.mark_entities().and_then(|()| self.target.start_indexing())
        {
            run.note::<()>(&points, Err(error));
        }
    }

    /// Makes one sync pass and writes the entities that it changed.
    pub(in crate::phases) fn pass(&self, progress: &Progress<'_>) -> Result<SyncReport> {
        let report = self.sync(false, progress)?;
        self.write_entities(progress)?;
        self.mark_entities()?;
        self.target.start_indexing()?;
        Ok(report)
    }

    fn sync(&self, rewrite_all: bool, progress: &Progress<'_>) -> Result<SyncReport> {
        let options = SyncOptions {
            embedder: self.embedder,
            rate: self.context.rate,
            rewrite_all,
            allow_removals: self.context.allow_removals,
            ..SyncOptions::default()
        };
        let points = self.source.info().points;
        sync(self.source, self.target, &self.carried, options, &|done| progress("copied", done, points))
    }

    /// Writes the entities that changed, if there are to be any.
    fn write_entities(&self, progress: &Progress<'_>) -> Result<()> {
        if let Some(embedder) = self.embedder.filter(|_| !self.target.builds_entities()) {
            let changed = self.carried.changed_entity_count()?;
            write_entities(&self.carried, embedder, self.target, &|done| progress(ENTITIES_STEP, done, changed))?;
        }
        Ok(())
    }

    /// Records in the target whether memories were copied without their entities.
    fn mark_entities(&self) -> Result<()> {
        let missing = self.carried.count_with_entities(EntitiesOf::Unknown)? > 0;
        self.target.record_without_entities(missing)
    }
}
