//! The end of a backup: the calendar's event and the manifest.

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

pub(super) fn retention(created: Timestamp, days: u32) -> Result<jiff::civil::Date> {
    let day = created.to_zoned(TimeZone::UTC).date();
    day.checked_add(i64::from(days).days())
        .map_err(|_| MigrateError::Unfit(format!("a retention of {days} days is longer than the calendar goes")))
}

/// Writes the calendar's event and, last of all, the manifest.
pub(super) fn seal(
    server: &QdrantRest,
    options: &BackupOptions,
    found: Inventory,
    unfinished: &mut UnfinishedBackup,
    complete: Option<Manifest>,
) -> Result<Manifest> {
    let folder = options.folder.as_path();
    let manifest = if let Some(manifest) = complete {
        Manifest { artifacts: unfinished.artifacts.clone(), ..manifest }
    } else {
        // To the second, as calendars have it.
        let created = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let retention_until = retention(created, options.retention_days)?;
        let place = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).display().to_string();
        let event = calendar::event(&found.collection, server.url(), &place, created, retention_until);
        files::write_private(&folder.join(CALENDAR), event.as_bytes())?;
        unfinished.add_artifact(describe_file(folder, CALENDAR, ArtifactKind::Calendar, None)?)?;
        let of_source = unfinished.done.iter().find(|done| done.name == found.collection);
        Manifest {
            format: Manifest::current(),
            mnemon: env!("CARGO_PKG_VERSION").to_owned(),
            qdrant: found.version,
            server: server.url().to_owned(),
            created,
            retention_until,
            source: options.source.clone(),
            collection: found.collection.clone(),
            points: of_source.map_or(0, |done| done.points),
            collections: unfinished.done.clone(),
            artifacts: unfinished.artifacts.clone(),
        }
    };
    manifest.write(folder)?;
    unfinished.remove()?;
    Ok(manifest)
}
