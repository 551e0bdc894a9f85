//! `points.jsonl`: every point as Qdrant returns it, one in each line, readable without Qdrant.

use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;

use super::events::BackupEvent;
use super::layout::POINTS;
use super::manifest::{Artifact, ArtifactKind};
use crate::error::Result;
use crate::files::{self, HashingWriter};
use crate::qdrant_rest::QdrantRest;

/// The number of points in a page.
const PAGE: usize = 256;

/// Writes all points of a collection. `total` is their approximate number.
pub(super) fn export_points(
    server: &QdrantRest,
    collection: &str,
    folder: &Path,
    total: u64,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<Artifact> {
    let target = folder.join(POINTS);
    let part = files::partial_path(&target);
    let file = files::open_private(&part)?;
    file.set_len(0).map_err(files::io_error(&part))?;
    let mut writer = BufWriter::with_capacity(files::CHUNK, HashingWriter::new(file));
    let (mut done, mut from) = (0, None);
    loop {
        let page = server.page(collection, PAGE, from.as_ref())?;
        done += page.points.len() as u64;
        for point in page.points {
            let line = json!({"id": point["id"], "payload": point["payload"], "vector": point["vector"]});
            serde_json::to_writer(&mut writer, &line)
                .map_err(std::io::Error::from)
                .and_then(|()| writer.write_all(b"\n"))
                .map_err(files::io_error(&part))?;
        }
        progress(BackupEvent::Export { done, total });
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let written = writer.into_inner().map_err(|error| files::io_error(&part)(error.into_error()))?;
    let hash = written.hash;
    files::move_into_place(&part, &target)?;
    let bytes = hash.bytes;
    Ok(Artifact { file: POINTS.into(), kind: ArtifactKind::Points, bytes, sha256: hash.sha256(), count: Some(done) })
}
