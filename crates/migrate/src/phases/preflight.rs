//! PreflightReport: counts the source's points and checks whether the migration is possible.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

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
#[derive(Clone, Debug)]
pub struct PreflightReport {
    /// The source.
    pub info: SourceInfo,
    /// The version of the source's Qdrant; `None` if the source is a snapshot file.
    pub version: Option<String>,
    /// The counts and anomalies of the source.
    pub survey: Survey,
    /// What makes the migration impossible until it is fixed.
    pub obstacles: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Users whose counts differ from the expected counts: the expected count and the count found.
    pub counts_differ: BTreeMap<String, [usize; 2]>,
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
    let mut survey = Survey::default();
    source.scan(&mut |page| {
        survey.add(&page);
        progress("surveyed", survey.points, info.points);
        ControlFlow::Continue(())
    })?;
    let survey = survey.finish();
    let (mut obstacles, mut notes) = (Vec::new(), Vec::new());
    match check_target(route, context, info.dims, started) {
        Ok(()) => {}
        Err(MigrateError::Refused(reason) | MigrateError::Unfit(reason)) => obstacles.push(reason),
        Err(error) => return Err(error),
    }
    obstacles.extend(check_free_space(route, &survey, info.dims));
    if info.has_bm25 && !matches!(route.target, TargetSpec::InPlace) {
        notes.push("the source already has the bm25 slot, so mem0 v2 or Mnemon created it".into());
    }
    match context.embedder_with_dims(info.dims) {
        None => notes.push(format!(
            "the embedder does not make vectors of {} dims: no entities will be written, and search by meaning will not work \
             until the model that mem0 used is set (MNEMON_EMBEDDER=openai:MODEL)",
            info.dims
        )),
        // An embedder that fails should be found now, not when the first entities are written.
        Some(embedder) => obstacles.extend(embedder.embed(&["preflight"]).err().map(|error| error.to_string())),
    }
    if survey.points as u64 != info.points {
        notes.push(format!(
            "the source reported {} points, but {} were read: clients are writing to it now",
            info.points, survey.points
        ));
    }
    let mut counts_differ = BTreeMap::new();
    for (user, expected) in expected {
        let found = survey.by_user.get(user).copied().unwrap_or(0);
        if *expected != found {
            counts_differ.insert(user.clone(), [*expected, found]);
        }
    }
    Ok(PreflightReport { info, version, survey, obstacles, notes, counts_differ })
}

/// Checks whether the target can be used, without creating it.
fn check_target(route: &Route, context: &MigrationContext<'_>, dims: usize, started: bool) -> Result<()> {
    if let TargetSpec::Sqlite { file } = &route.target {
        if started || !file.exists() {
            return Ok(());
        }
        let message = format!("{} exists: give a new file (--to sqlite:FILE)", file.display());
        return Err(MigrateError::Refused(message));
    }
    let target = route.target(context, dims)?;
    if started || matches!(route.target, TargetSpec::InPlace) {
        return Ok(());
    }
    match target.approximate_count()? {
        Some(count) if count > 0 => Err(MigrateError::Refused(format!(
            "{} already holds {count} memories: give a new collection (--target)",
            target.location()
        ))),
        _ => Ok(()),
    }
}

/// An obstacle if the disk of a SQLite target may be too small. Twice the expected size must be free.
fn check_free_space(route: &Route, survey: &Survey, dims: usize) -> Option<String> {
    let TargetSpec::Sqlite { file } = &route.target else { return None };
    let folder = file.parent()?;
    let free = free_bytes(folder)?;
    let needed = survey.points as u64 * (dims as u64 * 4 + BYTES_PER_MEMORY) * 2;
    let mib = |bytes: u64| bytes >> 20;
    (free < needed).then(|| {
        format!(
            "{} has {} MiB free, and {} MiB may be needed: free disk space, or give a file on another disk",
            folder.display(),
            mib(free),
            mib(needed)
        )
    })
}

/// Reads a file of counts by user: `user: N` in each line. The user ends at the last colon.
///
/// # Errors
/// [`MigrateError::Io`]; [`MigrateError::Unfit`] for a line in another format.
pub fn read_counts(file: &Path) -> Result<BTreeMap<String, usize>> {
    let text = fs::read_to_string(file).map_err(|source| MigrateError::Io { path: file.to_owned(), source })?;
    let mut counts = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = line.rsplit_once(':').and_then(|(user, count)| Some((user, count.trim().parse().ok()?)));
        let Some((user, count)) = parsed else {
            let message = format!("{}, line {}: `{line}` is not `user: N`", file.display(), at + 1);
            return Err(MigrateError::Unfit(message));
        };
        counts.insert(user.to_owned(), count);
    }
    Ok(counts)
}
