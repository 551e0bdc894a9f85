//! The files of a backup that are no snapshots: aliases and settings, and the dump of Neo4j.

use std::fs::File;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::inventory::Found;
use super::layout::{ALIASES, COLLECTION, NEO4J};
use super::manifest::{Artifact, ArtifactKind};
use super::unfinished::Underway;
use crate::error::{MigrateError, Result};
use crate::files::{self, Hashed};

/// Aliases and settings.
pub(super) fn documents(found: &Found, folder: &Path, underway: &mut Underway) -> Result<()> {
    let infos: Map<String, Value> =
        found.collections.iter().map(|seen| (seen.name.clone(), seen.info.clone())).collect();
    let aliases = found.aliases["aliases"].as_array().map_or(0, Vec::len);
    for (file, kind, value, count) in [
        (ALIASES, ArtifactKind::Aliases, found.aliases.clone(), aliases),
        (COLLECTION, ArtifactKind::Collection, json!({"collections": infos}), infos.len()),
    ] {
        if underway.kept(folder, file)?.is_none() {
            files::write(&folder.join(file), format!("{value:#}\n").as_bytes())?;
            underway.add(of_file(folder, file, kind, Some(count as u64))?)?;
        }
    }
    Ok(())
}

/// A file of the backup as it is on disk.
pub(super) fn of_file(folder: &Path, file: &str, kind: ArtifactKind, count: Option<u64>) -> Result<Artifact> {
    let hashed = Hashed::file(&folder.join(file))?;
    Ok(Artifact { file: file.to_owned(), kind, bytes: hashed.bytes, sha256: hashed.sha256(), count })
}

pub(super) fn copied(dump: &Path, folder: &Path) -> Result<Artifact> {
    let target = folder.join(NEO4J);
    let part = files::part_of(&target);
    let bytes = std::fs::metadata(dump).map_err(files::failed(dump))?.len();
    if let Some(free) = files::free(folder).filter(|free| *free < bytes) {
        return Err(MigrateError::NoSpace { path: part, needs: Some(bytes), free: Some(free) });
    }
    let mut source = File::open(dump).map_err(files::failed(dump))?;
    let file = files::open(&part)?;
    file.set_len(0).map_err(files::failed(&part))?;
    let mut writer = files::Hashing::new(file);
    std::io::copy(&mut source, &mut writer).map_err(files::failed(&part))?;
    let (bytes, sha256) = (writer.hashed.bytes, writer.hashed.sha256());
    files::finish(&part, &target)?;
    Ok(Artifact { file: NEO4J.into(), kind: ArtifactKind::Neo4jDump, bytes, sha256, count: None })
}
