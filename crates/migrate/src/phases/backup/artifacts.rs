//! Files of a backup besides the snapshots: aliases, settings and the Neo4j dump.

use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::inventory::Inventory;
use super::layout::{ALIASES, COLLECTION, NEO4J};
use super::manifest::{Artifact, ArtifactKind};
use super::unfinished::UnfinishedBackup;
use crate::error::{MigrateError, Result};
use crate::files::{self, ContentHash, HashingWriter};

/// Writes the aliases and the settings of the collections, unless these files are complete.
pub(super) fn write_settings(inventory: &Inventory, folder: &Path, unfinished: &mut UnfinishedBackup) -> Result<()> {
    let collections = inventory.collections.iter();
    let infos: Map<String, Value> =
        collections.map(|collection| (collection.name.clone(), collection.info.clone())).collect();
    let count = infos.len();
    for (file, kind, value, count) in [
        (ALIASES, ArtifactKind::Aliases, inventory.aliases.clone(), inventory.alias_count()),
        (COLLECTION, ArtifactKind::Collection, json!({"collections": infos}), count),
    ] {
        if unfinished.intact_artifact(folder, file)?.is_none() {
            files::write_private(&folder.join(file), format!("{value:#}\n").as_bytes())?;
            unfinished.add_artifact(describe_file(folder, file, kind, Some(count as u64))?)?;
        }
    }
    Ok(())
}

/// Hashes a file of the backup.
pub(super) fn describe_file(folder: &Path, file: &str, kind: ArtifactKind, count: Option<u64>) -> Result<Artifact> {
    let hash = ContentHash::of_file(&folder.join(file))?;
    Ok(Artifact { file: file.to_owned(), kind, bytes: hash.bytes, sha256: hash.sha256(), count })
}

/// Copies the Neo4j dump to the folder.
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
    let mut writer = HashingWriter::new(file);
    std::io::copy(&mut source, &mut writer).map_err(files::io_error(&part))?;
    let (bytes, sha256) = (writer.hash.bytes, writer.hash.sha256());
    files::move_into_place(&part, &target)?;
    Ok(Artifact { file: NEO4J.into(), kind: ArtifactKind::Neo4jDump, bytes, sha256, count: None })
}
