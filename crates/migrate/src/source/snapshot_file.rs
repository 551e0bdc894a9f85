//! Checks a snapshot file without unpacking it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use serde_json::Value;

use crate::error::{MigrateError, Result};
use crate::files::io_error;

pub(super) const NOT_A_SNAPSHOT: &str = "it is not a tar archive with the config.json of a collection; give the file that POST \
                              /collections/NAME/snapshots created";

/// The length of the dense vectors in a snapshot. Reads the headers of the archive to its end, so a file that is cut off or
/// is not a snapshot is found.
///
/// # Errors
/// [`MigrateError::Snapshot`]; [`MigrateError::Io`]; [`MigrateError::Invalid`] if mem0 did not create the collection.
pub(crate) fn snapshot_dims(file: &Path) -> Result<usize> {
    let unreadable = |reason: String| MigrateError::Snapshot { path: file.to_owned(), reason };
    let damaged = |error: std::io::Error| unreadable(format!("{error}: {CUT_OFF}"));
    let opened = File::open(file).map_err(io_error(file))?;
    let metadata = opened.metadata().map_err(io_error(file))?;
    if metadata.is_dir() {
        return Err(unreadable("it is a folder: give the file in it".into()));
    }
    let mut archive = tar::Archive::new(BufReader::new(opened));
    let mut config = None;
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        // The header has the size in the archive, which is smaller than that of a sparse file.
        let size = entry.header().entry_size().map_err(damaged)?;
        if entry.raw_file_position() + size > metadata.len() {
            return Err(unreadable(CUT_OFF.into()));
        }
        let path = entry.path().map_err(damaged)?.into_owned();
        if path.strip_prefix(".").unwrap_or(&path) == Path::new("config.json") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(damaged)?;
            config = Some(bytes);
        }
    }
    let config = config.ok_or_else(|| unreadable(NOT_A_SNAPSHOT.into()))?;
    let config: Value = serde_json::from_slice(&config).map_err(|_| unreadable("its config.json is damaged".into()))?;
    dense_dims(&config["params"]).map_err(MigrateError::Invalid)
}

const CUT_OFF: &str = "the file is cut off or damaged, or not a snapshot; compare its size and SHA-256";

/// The length of the unnamed dense vector.
pub(super) fn dense_dims(params: &Value) -> Result<usize, String> {
    let vectors = &params["vectors"];
    let unnamed = if vectors.get("size").is_some() { vectors } else { &vectors[""] };
    let Some(size) = unnamed["size"].as_u64() else {
        return Err("the collection has no unnamed dense vector: mem0 did not create it".into());
    };
    if unnamed["distance"] != "Cosine" {
        return Err(format!("the collection has {} distance, but mem0 uses Cosine", unnamed["distance"]));
    }
    usize::try_from(size).map_err(|_| "the collection's vectors are too long".into())
}

/// Refuses a segment whose vectors have no ids here. An older Qdrant kept the ids of segments that take new points in RocksDB,
/// which the reader ignores: such a segment would be read as empty.
///
/// # Errors
/// Why the segment can't be read.
pub(super) fn check_ids(segment: &Path) -> Result<(), String> {
    if segment.join("CURRENT").exists() || segment.join("payload_index/CURRENT").exists() {
        return Err(format!("a segment is a folder of RocksDB: {CONVERT}"));
    }
    let has_ids =
        ["mutable_id_tracker.mappings", "id_tracker.mappings"].iter().any(|file| segment.join(file).is_file());
    if has_ids || count_vectors(segment) == 0 {
        return Ok(());
    }
    Err(format!("a segment keeps the ids of its points in RocksDB, which can't be read here: {CONVERT}"))
}

const CONVERT: &str = "it was written by an older Qdrant; restore the snapshot on a newer one, which converts it, and make a \
                       snapshot there";

/// The number of vectors in a segment; only whether it is 0 is certain.
fn count_vectors(segment: &Path) -> u64 {
    let storage = segment.join("vector_storage");
    if let Ok(status) = std::fs::read(storage.join("vectors/status.dat")) {
        return status.first_chunk().map_or(0, |len| u64::from_le_bytes(*len));
    }
    // A header of four bytes, then the vectors.
    std::fs::metadata(storage.join("matrix.dat")).map_or(0, |matrix| matrix.len().saturating_sub(4))
}
