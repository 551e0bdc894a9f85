//! The phase that deletes what is old.

use crate::endpoints::MigrationContext;
use crate::error::{MigrateError, Result};
use crate::state::{Migration, Phase, SourceSpec, TargetSpec};

/// Deletes the old collection, and the backup, once nobody can want them any more; `what` is told before each.
///
/// # Errors
/// [`MigrateError::Refused`] before the retention date, before a cutover, or where the last verify is not green.
pub fn retire(
    migration: &mut Migration,
    tools: &MigrationContext<'_>,
    today: jiff::civil::Date,
    dry_run: bool,
) -> Result<Vec<String>> {
    let route = migration.route()?.clone();
    let refused = |told: String| Err(MigrateError::Refused(told));
    if migration.is_done(Phase::Retire) {
        return refused("the old collection and the backup were deleted before".into());
    }
    if !migration.state.switched {
        return refused(
            "the old store is still the one that is served: there is nothing to retire before a cutover".into(),
        );
    }
    if !migration.is_done(Phase::Verify) {
        return refused("the last `mnemon migrate verify` is not green: nothing is deleted before it is".into());
    }
    let Some((backup, until)) = migration.state.backup.clone() else {
        return refused(
            "there is no backup: make one (`mnemon migrate backup`), then wait for its retention date".into(),
        );
    };
    if today < until {
        return refused(format!("the backup must be kept until {until}, today is {today}: come back then"));
    }
    let mut told = Vec::new();
    if let (SourceSpec::Collection { name, .. }, false, Some(server)) =
        (&route.from, matches!(route.to, TargetSpec::InPlace), route.server(tools)?)
    {
        told.push(format!("collection `{name}`"));
        if !dry_run {
            server.delete_collection(name)?;
        }
    }
    told.push(format!("backup {}", backup.display()));
    if dry_run {
        return Ok(told);
    }
    std::fs::remove_dir_all(&backup).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(MigrateError::Io { path: backup.clone(), source: error }),
    })?;
    migration.end(Phase::Retire, true, told.join(", "))?;
    Ok(told)
}
