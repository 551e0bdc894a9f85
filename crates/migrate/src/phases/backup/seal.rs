//! Completes a backup: writes the calendar file and the manifest.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::artifacts::describe_file;
use super::calendar;
use super::inventory::Inventory;
use super::layout::CALENDAR;
use super::manifest::{ArtifactKind, Manifest};
use super::options::BackupOptions;
use super::unfinished::UnfinishedBackup;
use crate::error::{MigrateError, Result};
use crate::files;
use crate::qdrant_rest::QdrantRest;

/// The first day on which a backup may be deleted, in UTC.
pub(super) fn retention_date(created: Timestamp, days: u32) -> Result<Date> {
    let day = created.to_zoned(TimeZone::UTC).date();
    day.checked_add(i64::from(days).days())
        .map_err(|_| MigrateError::Invalid(format!("a retention of {days} days ends after the last supported date")))
}

/// Writes the calendar file and then the manifest, which makes the backup complete. For a backup that was complete
/// before, only the list of files changes.
pub(super) fn seal(
    server: &QdrantRest,
    options: &BackupOptions,
    inventory: Inventory,
    unfinished: &mut UnfinishedBackup,
    complete: Option<Manifest>,
) -> Result<Manifest> {
    let folder = options.folder.as_path();
    let manifest = if let Some(manifest) = complete {
        Manifest { artifacts: unfinished.artifacts.clone(), ..manifest }
    } else {
        // Without fractions of a second, as in the calendar file.
        let created = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let retention_until = retention_date(created, options.retention_days)?;
        let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).display().to_string();
        let event = calendar::event(&inventory.collection, server.url(), &path, created, retention_until);
        files::write_private(&folder.join(CALENDAR), event.as_bytes())?;
        unfinished.add_artifact(describe_file(folder, CALENDAR, ArtifactKind::Calendar, None)?)?;
        let source = unfinished.completed.iter().find(|collection| collection.name == inventory.collection);
        Manifest {
            format: Manifest::FORMAT,
            mnemon: env!("CARGO_PKG_VERSION").to_owned(),
            qdrant: inventory.version,
            server: server.url().to_owned(),
            created,
            retention_until,
            source: options.source.clone(),
            collection: inventory.collection.clone(),
            points: source.map_or(0, |collection| collection.points),
            collections: unfinished.completed.clone(),
            artifacts: unfinished.artifacts.clone(),
        }
    };
    manifest.write(folder)?;
    unfinished.remove()?;
    Ok(manifest)
}
