//! What can be known before a phase begins is checked before it writes anything.

use std::path::{Path, PathBuf};

use super::backup::check_history_source;
use crate::addresses::check_addresses;
use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Refusal, Result};
use crate::files::free_bytes;
use crate::outputs::{check_folder, parent};
use crate::state::{Route, SourceSpec, TargetSpec};

/// What a phase is going to use.
#[derive(Clone, Debug, Default)]
pub struct StartChecks {
    /// mem0's history database.
    pub history: Option<PathBuf>,
    /// Folders that are written to. They need not exist.
    pub folders: Vec<PathBuf>,
    /// The folder of a new backup, whose size is estimated.
    pub backup: Option<PathBuf>,
    /// Whether the phase uses only Qdrant's REST address.
    pub only_rest: bool,
    /// Whether the target is filled; `started` says whether this migration has begun to fill it.
    pub target: Option<Started>,
    /// Whether entities are created.
    pub entities: bool,
}

/// Whether a migration has begun to write to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started(pub bool);

/// Checks everything that a phase needs. Writes nothing, except a file in each folder that is deleted at once.
///
/// # Errors
/// The first fault: of the history, a folder, the addresses, the source, the embedder or the target.
pub fn check_start(route: &Route, context: &MigrationContext<'_>, checks: &StartChecks) -> Result<()> {
    if let Some(history) = &checks.history {
        check_history_source(history)?;
    }
    for folder in checks.folders.iter().chain(&checks.backup) {
        check_folder(folder)?;
    }
    check_addresses(route, context, !checks.only_rest)?;
    if checks.only_rest {
        return Ok(());
    }
    let (dims, points) = check_source(route, context, checks.entities)?;
    if let Some(folder) = checks.backup.as_ref().filter(|_| matches!(route.source, SourceSpec::Collection { .. })) {
        check_space(folder, points, dims as u64)?;
    }
    if let (TargetSpec::Sqlite { file }, Some(Started(false))) = (&route.target, checks.target) {
        check_space(parent(file), points, dims as u64)?;
    }
    match checks.target {
        Some(Started(started)) => check_target(route, context, dims, started),
        None => Ok(()),
    }
}

/// Refuses a disk that has no space for the vectors alone; payloads and indexes come on top.
///
/// # Errors
/// [`MigrateError::NoSpace`].
pub fn check_space(folder: &Path, points: u64, dims: u64) -> Result<()> {
    let needs = points * dims * 4;
    match free_bytes(folder).filter(|free| *free < needs) {
        Some(free) => Err(MigrateError::NoSpace { path: folder.to_owned(), needs: Some(needs), free: Some(free) }),
        None => Ok(()),
    }
}

/// Checks whether the target can be used, without creating it. `started`: whether this migration has begun to fill it.
pub(super) fn check_target(route: &Route, context: &MigrationContext<'_>, dims: usize, started: bool) -> Result<()> {
    if let TargetSpec::Sqlite { file } = &route.target {
        if !started && file.exists() {
            return Err(Refusal::TargetFileExists(file.clone()).into());
        }
        return check_folder(parent(file));
    }
    if let TargetSpec::Collection { name } = &route.target {
        check_collection_name(name)?;
    }
    let target = route.target(context, dims)?;
    target.check(dims)?;
    if started || matches!(route.target, TargetSpec::InPlace) {
        return Ok(());
    }
    match target.approximate_count()? {
        Some(count) if count > 0 => {
            return Err(Refusal::TargetNotEmpty { location: target.location(), count }.into());
        }
        _ => {}
    }
    match target.entity_count()? {
        0 => Ok(()),
        count => Err(Refusal::TargetHasEntities { location: target.location(), count }.into()),
    }
}

/// Refuses a name that Qdrant refuses for a new collection.
fn check_collection_name(name: &str) -> Result<()> {
    let is_valid = (1..=255).contains(&name.len())
        && !name.contains(['<', '>', ':', '"', '/', '\\', '|', '?', '*', '\0', '\u{1F}']);
    if is_valid {
        return Ok(());
    }
    Err(MigrateError::Invalid(format!("`{name}` is not a valid name of a collection")))
}

/// Length of the vectors and number of points of the source. With `entities`, an embedder that does not fit is refused; one that
/// does not answer is left to the phase. A snapshot file is not unpacked: its number of points is 0, and only the dims are checked.
fn check_source(route: &Route, context: &MigrationContext<'_>, entities: bool) -> Result<(usize, u64)> {
    #[cfg(feature = "snapshot")]
    if let SourceSpec::Snapshot { file } = &route.source {
        let dims = crate::source::snapshot_dims(file)?;
        if entities {
            context.embedder_for(dims)?;
        }
        return Ok((dims, 0));
    }
    let source = route.source(context)?;
    if entities && let Err(refused @ MigrateError::Refused(_)) = context.fitting_embedder(&*source) {
        return Err(refused);
    }
    Ok((source.info().dims, source.info().points))
}
