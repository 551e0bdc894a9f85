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
        if entry.raw_file_position() + entry.size() > metadata.len() {
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
