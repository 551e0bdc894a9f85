//! Retire: deletes the old collection and the backup.

use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Result};
use crate::state::{Migration, Phase, SourceSpec, TargetSpec};

/// Deletes the old collection and the backup after the backup's retention date. Returns the deleted things, or with
/// `dry_run` those that would be deleted.
///
/// # Errors
/// [`MigrateError::Refused`] before the retention date, before a cutover, or without a successful verify.
pub fn retire(
    migration: &mut Migration,
    context: &MigrationContext<'_>,
    today: jiff::civil::Date,
    dry_run: bool,
) -> Result<Vec<String>> {
    let route = migration.route()?.clone();
    let refused = |message: String| Err(MigrateError::Refused(message));
    if migration.is_done(Phase::Retire) {
        return refused("the old collection and the backup have been deleted already".into());
    }
    if !migration.state.switched {
        return refused("the old store is still in use: nothing can be deleted before a cutover".into());
    }
    if let Some(file) = migration.state.snapshot() {
        let file = file.display();
        return refused(format!("the source is the snapshot file {file}: there is no collection or backup to delete"));
    }
    if !migration.is_done(Phase::Verify) {
        return refused("the last `mnemon migrate verify` did not succeed: nothing is deleted before it does".into());
    }
    let Some((backup, until)) = migration.state.backup.clone() else {
        return refused(
            "there is no backup: make one (`mnemon migrate backup`), then wait for its retention date".into(),
        );
    };
    if today < until {
        return refused(format!("the backup must be kept until {until}, and today is {today}"));
    }
    let mut deleted = Vec::new();
    if let (SourceSpec::Collection { name, .. }, false, Some(server)) =
        (&route.source, matches!(route.target, TargetSpec::InPlace), route.server(context)?)
    {
        deleted.push(format!("collection `{name}`"));
        if !dry_run {
            server.delete_collection(name)?;
        }
    }
    deleted.push(format!("backup {}", backup.display()));
    if dry_run {
        return Ok(deleted);
    }
    std::fs::remove_dir_all(&backup).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(MigrateError::Io { path: backup.clone(), source: error }),
    })?;
    migration.record_result(Phase::Retire, true, deleted.join(", "))?;
    Ok(deleted)
}
