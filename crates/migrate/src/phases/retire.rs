//! Retire: deletes the old collection and the backup.

use super::backup::{check_removal, remove_backup};
use crate::endpoints::MigrationContext;
use crate::error::{Refusal, Result};
use crate::state::{Migration, Phase, SourceSpec, TargetSpec};

/// Deletes the old collection and the files of the backup after the backup's retention date. Returns the deleted things, or with
/// `dry_run` those that would be deleted.
///
/// # Errors
/// [`crate::MigrateError::Refused`] before the retention date, before a cutover, or without a successful verify;
/// [`crate::MigrateError::Io`] or [`crate::MigrateError::Invalid`] if the folder of the backup can't be written or has no manifest.
pub fn retire(
    migration: &mut Migration,
    context: &MigrationContext<'_>,
    today: jiff::civil::Date,
    dry_run: bool,
) -> Result<Vec<String>> {
    let route = migration.route()?.clone();
    if migration.is_done(Phase::Retire) {
        return Err(Refusal::AlreadyRetired.into());
    }
    if !migration.state.switched {
        return Err(Refusal::SourceInUse.into());
    }
    if let Some(file) = migration.state.snapshot() {
        return Err(Refusal::NothingToRetire(file.to_owned()).into());
    }
    // The cutover required a verification of all parts, or that of the older version which made it.
    if !migration.state.ended.get(&Phase::Verify).is_some_and(|verified| verified.ok) {
        return Err(Refusal::VerifyFailed.into());
    }
    let Some((backup, until)) = migration.state.backup.clone() else {
        return Err(Refusal::NoBackup.into());
    };
    if today < until {
        return Err(Refusal::Retention { until, today }.into());
    }
    // Nothing is deleted if the backup can't be.
    check_removal(&backup)?;
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
    remove_backup(&backup)?;
    migration.record_result(Phase::Retire, true, deleted.join(", "))?;
    Ok(deleted)
}
