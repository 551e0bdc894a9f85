//! Preflight: counts the source's points and checks whether the migration is possible.

mod names;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mnemon_engine::EngineError;

pub use names::NameForecast;
use names::NameSurvey;

use super::embedder::other_model;
use super::start::check_target;
use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Result};
use crate::files::{free_bytes, replace_file};
use crate::progress::Progress;
use crate::source::SourceInfo;
use crate::state::{Migration, Phase, Route, TargetSpec};
use crate::survey::Survey;

/// The file in the migration's folder with the number of points of each user.
pub const COUNTS_FILE: &str = "pre-cutover-counts.txt";

/// The room that a memory takes in a SQLite store beside its vector, in bytes; measured.
const BYTES_PER_MEMORY: u64 = 3_000;

/// What a preflight found.
#[derive(Debug)]
pub struct PreflightReport {
    /// The source.
    pub info: SourceInfo,
    /// The version of the source's Qdrant; `None` if the source is a snapshot file.
    pub version: Option<String>,
    /// The counts and anomalies of the source.
    pub survey: Survey,
    /// The names to embed. They are not measured if the caller accepts a target without entities.
    pub names: NameForecast,
    /// What makes the migration impossible until it is fixed.
    pub obstacles: Vec<Obstacle>,
    /// What the user should know.
    pub notes: Vec<PreflightNote>,
    /// Users whose counts differ from the expected counts: the expected count and the count found.
    pub counts_differ: BTreeMap<String, [usize; 2]>,
}

/// Something that makes a migration impossible until it is fixed.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// The target can't be used.
    #[error(transparent)]
    Target(MigrateError),
    /// The embedder fails.
    #[error(transparent)]
    Embedder(EngineError),
    /// The disk of the target may be too small.
    #[error(
        "{} has {free_mib} MiB free, and {needed_mib} MiB may be needed: free disk space, or give a file on another disk",
        folder.display()
    )]
    DiskSpace {
        /// The folder of the target's file.
        folder: PathBuf,
        /// The free space.
        free_mib: u64,
        /// The space that may be needed.
        needed_mib: u64,
    },
}

/// Something to know before a migration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreflightNote {
    /// The source has sparse vectors.
    #[error("the source already has the bm25 slot, so mem0 v2 or Mnemon created it")]
    SourceHasBm25,
    /// The configured embedder is not the one that filled the source.
    #[error(
        "the embedder does not make vectors of {dims} dims: the entities can't be created, and search by meaning will not work \
         until the model that mem0 used is set"
    )]
    OtherEmbedder {
        /// Dims of the source.
        dims: usize,
    },
    /// The embedder has the right dims, but makes other vectors than the source has for the same texts.
    #[error(
        "for the same texts the embedder makes other vectors than those of the source (cosine at most 0.{percent:02}): it is not the model \
         that mem0 used, and search by meaning will not work with it"
    )]
    OtherModel {
        /// The best cosine of some texts, in percent.
        percent: u8,
    },
    /// The source changed while it was read.
    #[error("the source reported {reported} points, but {read} were read: clients are writing to it now")]
    SourceChanges {
        /// The number of points at the beginning.
        reported: u64,
        /// The number of points that were read.
        read: usize,
    },
}

impl PreflightReport {
    /// Whether the migration can continue.
    pub fn is_clear(&self) -> bool {
        self.obstacles.is_empty() && self.counts_differ.is_empty()
    }
}

/// Counts the source's points, checks source and target, and records the result in the migration's folder. Changes
/// neither the source nor the target. `expected` are counts by user from elsewhere: a running backend or a file.
///
/// # Errors
/// [`MigrateError`] if the source can't be read, or if the folder belongs to another migration.
pub fn preflight(
    migration: &mut Migration,
    context: &MigrationContext<'_>,
    expected: &BTreeMap<String, usize>,
    progress: &Progress<'_>,
) -> Result<PreflightReport> {
    let preflight = inspect(migration.route()?, context, expected, migration.state.started, progress)?;
    replace_file(&migration.folder().join(COUNTS_FILE), preflight.survey.counts().as_bytes())?;
    migration.state.counts.clone_from(&preflight.survey.by_user);
    let summary = format!("{} points of {} users", preflight.survey.points, preflight.survey.by_user.len());
    migration.record_result(Phase::Preflight, preflight.is_clear(), summary)?;
    Ok(preflight)
}

/// A [`preflight`] that records nothing. `started` says whether the target holds memories that this migration wrote.
///
/// # Errors
/// [`MigrateError`] if the source can't be read.
pub fn inspect(
    route: &Route,
    context: &MigrationContext<'_>,
    expected: &BTreeMap<String, usize>,
    started: bool,
    progress: &Progress<'_>,
) -> Result<PreflightReport> {
    let version = route.server(context)?.map(|server| server.version()).transpose()?;
    let source = route.source(context)?;
    let info = source.info().clone();
    let (mut survey, mut names) = (Survey::default(), NameSurvey::default());
    source.scan(&mut |page| {
        survey.add(&page);
        names.add(&page);
        progress("surveyed", survey.points, info.points);
        ControlFlow::Continue(())
    })?;
    let survey = survey.finish();
    let (mut obstacles, mut notes) = (Vec::new(), Vec::new());
    match check_target(route, context, info.dims, started) {
        Ok(()) => {}
        Err(error @ (MigrateError::Refused(_) | MigrateError::Invalid(_))) => obstacles.push(Obstacle::Target(error)),
        Err(error) => return Err(error),
    }
    obstacles.extend(check_free_space(route, &survey, info.dims));
    if info.has_bm25 && !matches!(route.target, TargetSpec::InPlace) {
        notes.push(PreflightNote::SourceHasBm25);
    }
    let embedder = context.embedder_with_dims(info.dims);
    if embedder.is_none() {
        notes.push(PreflightNote::OtherEmbedder { dims: info.dims });
    }
    let counted = names.counted();
    // An embedder that fails should be found now, not when the first entities are written.
    let names = names.finish(embedder.filter(|_| !context.without_entities)).unwrap_or_else(|error| {
        obstacles.push(Obstacle::Embedder(error));
        counted
    });
    if let Some(percent) = other_model(names.cosine) {
        notes.push(PreflightNote::OtherModel { percent });
    }
    if survey.points as u64 != info.points {
        notes.push(PreflightNote::SourceChanges { reported: info.points, read: survey.points });
    }
    let mut counts_differ = BTreeMap::new();
    for (user, expected) in expected {
        let found = survey.by_user.get(user).copied().unwrap_or(0);
        if *expected != found {
            counts_differ.insert(user.clone(), [*expected, found]);
        }
    }
    Ok(PreflightReport { info, version, survey, names, obstacles, notes, counts_differ })
}

/// An obstacle if the disk of a SQLite target may be too small. Twice the expected size must be free.
fn check_free_space(route: &Route, survey: &Survey, dims: usize) -> Option<Obstacle> {
    let TargetSpec::Sqlite { file } = &route.target else { return None };
    let folder = file.parent()?;
    let free = free_bytes(folder)?;
    let needed = survey.points as u64 * (dims as u64 * 4 + BYTES_PER_MEMORY) * 2;
    let (free_mib, needed_mib) = (free >> 20, needed >> 20);
    (free < needed).then(|| Obstacle::DiskSpace { folder: folder.to_owned(), free_mib, needed_mib })
}

/// Reads a file of counts by user: `user: N` in each line. The user ends at the last colon.
///
/// # Errors
/// [`MigrateError::Io`]; [`MigrateError::Invalid`] for a line in another format.
pub fn read_counts(file: &Path) -> Result<BTreeMap<String, usize>> {
    let text = fs::read_to_string(file).map_err(|source| MigrateError::Io { path: file.to_owned(), source })?;
    let mut counts = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = line.rsplit_once(':').and_then(|(user, count)| Some((user, count.trim().parse().ok()?)));
        let Some((user, count)) = parsed else {
            let message = format!("{}, line {}: `{line}` is not `user: N`", file.display(), at + 1);
            return Err(MigrateError::Invalid(message));
        };
        counts.insert(user.to_owned(), count);
    }
    Ok(counts)
}
