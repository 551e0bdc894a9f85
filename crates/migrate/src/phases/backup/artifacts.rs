//! The files of a backup that are no snapshots: aliases and settings, and the dump of Neo4j.

use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::inventory::Inventory;
use super::layout::{ALIASES, COLLECTION, NEO4J};
use super::manifest::{Artifact, ArtifactKind};
use super::unfinished::UnfinishedBackup;
use crate::error::{MigrateError, Result};
use crate::files::{self, ContentHash};

/// Aliases and settings.
pub(super) fn write_settings(found: &Inventory, folder: &Path, unfinished: &mut UnfinishedBackup) -> Result<()> {
    let infos: Map<String, Value> =
        found.collections.iter().map(|seen| (seen.name.clone(), seen.info.clone())).collect();
    let aliases = found.aliases["aliases"].as_array().map_or(0, Vec::len);
    for (file, kind, value, count) in [
        (ALIASES, ArtifactKind::Aliases, found.aliases.clone(), aliases),
        (COLLECTION, ArtifactKind::Collection, json!({"collections": infos}), infos.len()),
    ] {
        if unfinished.intact_artifact(folder, file)?.is_none() {
            files::write_private(&folder.join(file), format!("{value:#}\n").as_bytes())?;
            unfinished.add_artifact(describe_file(folder, file, kind, Some(count as u64))?)?;
        }
    }
    Ok(())
}

/// A file of the backup as it is on disk.
pub(super) fn describe_file(folder: &Path, file: &str, kind: ArtifactKind, count: Option<u64>) -> Result<Artifact> {
    let hashed = ContentHash::file(&folder.join(file))?;
    Ok(Artifact { file: file.to_owned(), kind, bytes: hashed.bytes, sha256: hashed.sha256(), count })
}

pub(super) fn copy_neo4j_dump(dump: &Path, folder: &Path) -> Result<Artifact> {
    let target = folder.join(NEO4J);
    let part = files::partial_path(&target);
    let bytes = std::fs::metadata(dump).map_err(files::io_error(dump))?.len();
    if let Some(free) = files::free_bytes(folder).filter(|free| *free < bytes) {
        return Err(MigrateError::NoSpace { path: part, needs: Some(bytes), free: Some(free) });
    }
    let mut source = File::open(dump).map_err(files::io_error(dump))?;
    let file = files::open_private(&part)?;
    file.set_len(0).map_err(files::io_error(&part))?;
    let mut writer = files::HashingWriter::new(file);
    std::io::copy(&mut source, &mut writer).map_err(files::io_error(&part))?;
    let (bytes, sha256) = (writer.hashed.bytes, writer.hashed.sha256());
    files::move_into_place(&part, &target)?;
    Ok(Artifact { file: NEO4J.into(), kind: ArtifactKind::Neo4jDump, bytes, sha256, count: None })
}
