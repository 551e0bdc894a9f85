//! Rebuild: copies everything to the target, and repeats the sync pass until it finds no changes.

mod complete;

use std::collections::BTreeMap;

use mnemon_engine::EngineError;
use mnemon_models::Embedder;

use complete::complete_entities;

use super::history::import_history;
use crate::carried::{CarriedPoints, EntitiesOf};
use crate::endpoints::MigrationContext;
use crate::entities::write_entities;
use crate::error::{MigrateError, Refusal, Result};
use crate::progress::{ENTITIES_STEP, Progress};
use crate::source::Source;
use crate::state::{Migration, Part, PartResult, PartState, Phase, TargetSpec};
use crate::sync::{SyncOptions, SyncReport, sync};
use crate::target::Target;

/// The highest number of passes. If clients write to the source all the time, the cutover makes the last pass.
const MAX_PASSES: usize = 4;

/// What a rebuild did.
#[derive(Clone, Debug, Default)]
pub struct RebuildReport {
    /// Each sync pass; the first one copies most.
    pub passes: Vec<SyncReport>,
    /// The number of entities in the target.
    pub entities: u64,
    /// Whether entities were written, which needs an embedder with the collection's dims.
    pub with_entities: bool,
    /// The number of imported rows of the history; `None` if it was not asked for.
    pub history: Option<usize>,
}

/// Copies all parts that the migration asks for to the target: all points, then the changes made during the copy, their
/// entities, and the history. An interrupted rebuild continues where it stopped. With `again`, points that were copied
/// before are written again. The result of each part is recorded; a part that fails does not keep the others from being
/// copied.
///
/// # Errors
/// [`MigrateError::Refused`] if the target holds other memories, or if entities are asked for and no embedder fits; the
/// first error of a part otherwise.
pub fn rebuild(
    migration: &mut Migration,
    context: &MigrationContext<'_>,
    again: bool,
    progress: &Progress<'_>,
) -> Result<RebuildReport> {
    let route = migration.route()?.clone();
    let in_place = matches!(route.target, TargetSpec::InPlace);
    if migration.state.switched && !in_place {
        return complete_entities(migration, context, again, progress);
    }
    let source = route.source(context)?;
    let dims = source.info().dims;
    let embedder = entity_embedder(migration, context, dims)?;
    let target = route.target(context, dims)?;
    target.check(dims)?;
    if !migration.state.started {
        if let Some(count) = target.approximate_count()?.filter(|count| *count > 0 && !in_place) {
            return Err(Refusal::TargetNotEmpty { location: target.location(), count }.into());
        }
        migration.state.started = true;
        migration.save()?;
    }
    let mut run = Run { parts: BTreeMap::new(), error: None };
    for part in Phase::Rebuild.parts() {
        let state = if migration.state.asks_for(*part) { PartState::Pending } else { PartState::LeftOut };
        run.parts.insert(*part, PartResult::new(state, ""));
    }
    migration.record_parts(Phase::Rebuild, false, "not complete", run.parts.clone())?;
    let mut report = RebuildReport { with_entities: embedder.is_some(), ..RebuildReport::default() };
    let copy = Copy { source: &*source, target: &*target, carried: migration.carried_points()?, context, embedder };
    copy.run(again, progress, &mut report, &mut run);
    if let Some(file) = migration.state.history.clone().filter(|_| run.is_done(Part::Points)) {
        let imported = import_history(&route, context, dims, &file);
        report.history = run.note(&[Part::History], imported.map(|rows| (rows, format!("{rows} rows imported"))));
    }
    report.entities = target.entity_count()?;
    let copied = copy.carried.count()?;
    let summary = format!("{copied} memories, {} entities", report.entities);
    migration.record_parts(Phase::Rebuild, run.error.is_none(), summary, run.parts)?;
    run.error.map_or(Ok(report), Err)
}

/// The embedder of the entities; `None` if the migration is to have none.
///
/// # Errors
/// [`MigrateError::Refused`] if no embedder with these dims is set; that of the embedder if it does not answer.
pub(super) fn entity_embedder<'e>(
    migration: &Migration,
    context: &MigrationContext<'e>,
    dims: usize,
) -> Result<Option<&'e dyn Embedder>> {
    if !migration.state.asks_for(Part::Entities) {
        return Ok(None);
    }
    let embedder = context
        .embedder_with_dims(dims)
        .ok_or_else(|| Refusal::NoEmbedder { dims, given: context.embedder.map(|embedder| embedder.dims()) })?;
    // One that fails should be found before anything is written.
    embedder.embed(&["preflight"]).map_err(EngineError::from)?;
    Ok(Some(embedder))
}

/// The results of the parts of a run, and the first error.
struct Run {
    parts: BTreeMap<Part, PartResult>,
    error: Option<MigrateError>,
}

impl Run {
    /// Records the result of parts, and keeps the error. A success has a detail for messages.
    fn note<T>(&mut self, parts: &[Part], result: Result<(T, String)>) -> Option<T> {
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

    fn is_done(&self, part: Part) -> bool {
        self.parts.get(&part).is_some_and(|part| part.state == PartState::Done)
    }
}

/// A source, a target, and what connects them.
pub(super) struct Copy<'c, 'e> {
    pub(super) source: &'c dyn Source,
    pub(super) target: &'c dyn Target,
    pub(super) carried: CarriedPoints,
    pub(super) context: &'c MigrationContext<'e>,
    /// Embeds entities; `None` if there are to be none.
    pub(super) embedder: Option<&'e dyn Embedder>,
}

impl Copy<'_, '_> {
    /// Repeats the pass until it finds no changes, and records the results of points, sparse vectors and entities.
    fn run(&self, again: bool, progress: &Progress<'_>, report: &mut RebuildReport, run: &mut Run) {
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
    pub(super) fn pass(&self, progress: &Progress<'_>) -> Result<SyncReport> {
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
    pub(super) fn mark_entities(&self) -> Result<()> {
        let missing = self.carried.count_with_entities(EntitiesOf::Unknown)? > 0;
        self.target.record_without_entities(missing)
    }
}
