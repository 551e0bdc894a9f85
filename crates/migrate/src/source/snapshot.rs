//! A snapshot file of a Qdrant collection as a source, read without a server.
//!
//! The file is a tar archive with the settings of the collection and the segments of each shard, each segment a tar
//! archive itself. The segments are unpacked to a scratch folder and opened there, so the file is not changed. Points
//! that Qdrant has written only to its write-ahead log are not read: compare the number of points with the number that
//! the server reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

use mnemon_engine::ForeignPoint;
use mnemon_store::{MemoryId, Payload, StoreError};
use qdrant_edge::{DEFAULT_VECTOR_NAME, EdgeShard, PointId, Record, ScrollRequest, VectorStructInternal, WithVector};
use qdrant_edge::{VectorInternal, WithPayloadInterface};
use serde_json::Value;

use super::interface::{Source, SourceInfo};
use super::snapshot_file::{NOT_A_SNAPSHOT, check_ids, dense_dims};
use crate::error::{MigrateError, Result};
use crate::files::free_bytes;

/// The number of points in a page.
const PAGE: usize = 512;
/// The bytes needed besides the size of the file: the logs of the shards are memory-mapped, and a full disk would then
/// end the process.
const RESERVED_BYTES: u64 = 128 << 20;

/// An open snapshot.
pub struct Snapshot {
    info: SourceInfo,
    shards: Vec<EdgeShard>,
    /// The folder with the unpacked segments; removed when this value is dropped.
    _scratch: tempfile::TempDir,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("info", &self.info).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Opens a snapshot with one or several shards. It is unpacked to a new folder in `scratch`, which needs about as
    /// much disk space as the collection.
    ///
    /// # Errors
    /// [`MigrateError::Snapshot`] if the file is not a snapshot of a collection, is cut off, or was written by a Qdrant
    /// that is too old; [`MigrateError::Io`] if it can't be read or unpacked; [`MigrateError::Invalid`] if mem0 did not
    /// create the collection.
    pub fn open(file: &Path, scratch: &Path) -> Result<Self> {
        let unreadable = |reason: String| MigrateError::Snapshot { path: file.to_owned(), reason };
        let folder = tempfile::Builder::new()
            .prefix("mnemon-snapshot-")
            .tempdir_in(scratch)
            .map_err(|source| MigrateError::Io { path: scratch.to_owned(), source })?;
        let needs = std::fs::metadata(file).map_or(0, |file| file.len()) + RESERVED_BYTES;
        if let Some(free) = free_bytes(scratch).filter(|free| *free < needs) {
            return Err(MigrateError::NoSpace { path: scratch.to_owned(), needs: Some(needs), free: Some(free) });
        }
        let unpacked = unpack(file, folder.path())?;
        let config: Value = match &unpacked.config {
            Some(config) => {
                serde_json::from_slice(config).map_err(|_| unreadable("its config.json is damaged".into()))?
            }
            None => return Err(unreadable(NOT_A_SNAPSHOT.into())),
        };
        let params = &config["params"];
        let dims = dense_dims(params).map_err(MigrateError::Invalid)?;
        let expected = params["shard_number"].as_u64().unwrap_or(1);
        if unpacked.shards.is_empty() || (unpacked.shards.len() as u64) < expected {
            let found = unpacked.shards.len();
            return Err(unreadable(format!(
                "the collection has {expected} shards, but the file has {found}: it is cut off, or it was made on one node of \
                 a cluster; make a snapshot on each node"
            )));
        }
        let mut shards = Vec::with_capacity(unpacked.shards.len());
        let mut indexed = BTreeSet::new();
        let mut points = 0;
        for shard in &unpacked.shards {
            let shard =
                EdgeShard::load(&folder.path().join(shard), None).map_err(|error| unreadable(error.to_string()))?;
            let info = shard.info();
            points += info.points_count as u64;
            indexed.extend(info.payload_schema.keys().map(ToString::to_string));
            shards.push(shard);
        }
        if let Some(Value::Object(schema)) = unpacked.payload_index.map(|index| index["schema"].clone()) {
            indexed.extend(schema.keys().cloned());
        }
        let info = SourceInfo {
            location: file.display().to_string(),
            dims,
            points,
            shards: shards.len(),
            has_bm25: params["sparse_vectors"].get("bm25").is_some(),
            indexed: indexed.into_iter().collect(),
        };
        Ok(Self { info, shards, _scratch: folder })
    }
}

impl Source for Snapshot {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn scan(&self, visit: &mut dyn FnMut(Vec<ForeignPoint>) -> ControlFlow<()>) -> Result<()> {
        for shard in &self.shards {
            let mut offset = None;
            loop {
                let request = ScrollRequest {
                    offset,
                    limit: Some(PAGE),
                    filter: None,
                    with_payload: Some(WithPayloadInterface::Bool(true)),
                    with_vector: WithVector::Selector(vec![DEFAULT_VECTOR_NAME.to_owned()]),
                    order_by: None,
                };
                let (records, next) = shard.scroll(request).map_err(|error| MigrateError::Snapshot {
                    path: PathBuf::from(&self.info.location),
                    reason: format!("a page of points can't be read: {error}"),
                })?;
                let page = records.into_iter().map(|record| self.point(record)).collect::<Result<Vec<_>>>()?;
                if visit(page).is_break() {
                    return Ok(());
                }
                offset = next;
                if offset.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A file does not change, so no point is ever missing.
    fn missing(&self, _ids: &[MemoryId]) -> Result<Vec<MemoryId>> {
        Ok(Vec::new())
    }
}

impl Snapshot {
    fn point(&self, record: Record) -> Result<ForeignPoint> {
        let id = match record.id {
            PointId::NumId(number) => MemoryId::Number(number),
            PointId::Uuid(uuid) => uuid.to_string().parse().map_err(StoreError::from)?,
        };
        let vector = match record.vector {
            Some(VectorStructInternal::Single(vector)) => Some(vector),
            Some(VectorStructInternal::Named(mut named)) => match named.remove(DEFAULT_VECTOR_NAME) {
                Some(VectorInternal::Dense(vector)) => Some(vector),
                _ => None,
            },
            _ => None,
        };
        let dims = self.info.dims;
        let vector = vector.filter(|vector| vector.len() == dims);
        let vector =
            vector.ok_or_else(|| MigrateError::Invalid(format!("point {id} has no dense vector of {dims} dims")))?;
        let payload = Payload::new(record.payload.map(|payload| payload.0).unwrap_or_default());
        Ok(ForeignPoint { id, payload, vector })
    }
}

/// The contents of the file.
#[derive(Default)]
struct Unpacked {
    config: Option<Vec<u8>>,
    payload_index: Option<Value>,
    /// The folders of the shards.
    shards: BTreeSet<String>,
}

/// Unpacks everything except the logs.
fn unpack(file: &Path, folder: &Path) -> Result<Unpacked> {
    let io = |source| MigrateError::Io { path: file.to_owned(), source };
    // The errors of the archive reader do not say which file is damaged or what to do.
    let damaged = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => MigrateError::Io { path: folder.to_owned(), source: error },
        _ => MigrateError::Snapshot {
            path: file.to_owned(),
            reason: format!("{error}: the file is cut off or damaged, or not a snapshot; compare its size and SHA-256"),
        },
    };
    let mut archive = tar::Archive::new(BufReader::new(File::open(file).map_err(io)?));
    let mut unpacked = Unpacked::default();
    let mut segments: BTreeMap<PathBuf, ()> = BTreeMap::new();
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        let parts: Vec<String> = path
            .components()
            .filter(|part| *part != Component::CurDir)
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        match &parts[..] {
            [name] if name == "config.json" || name == "payload_index.json" => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(damaged)?;
                if name == "config.json" {
                    unpacked.config = Some(bytes);
                } else {
                    unpacked.payload_index = serde_json::from_slice(&bytes).ok();
                }
            }
            [shard, segments_folder, name, ..]
                if segments_folder == "segments" && shard.parse::<u32>().is_ok() && !name.starts_with('.') =>
            {
                unpacked.shards.insert(shard.clone());
                let segment = name.strip_suffix(".tar").unwrap_or(name);
                let target = folder.join(shard).join("segments").join(segment);
                if parts.len() == 3 && name.ends_with(".tar") {
                    std::fs::create_dir_all(&target).map_err(damaged)?;
                    let mut inner = tar::Archive::new(entry);
                    for inner in inner.entries().map_err(damaged)? {
                        let mut inner = inner.map_err(damaged)?;
                        let path = inner.path().map_err(damaged)?.into_owned();
                        extract_file(&mut inner, &path, &target).map_err(damaged)?;
                    }
                } else {
                    let path: PathBuf = parts[3..].iter().collect();
                    extract_file(&mut entry, &path, &target).map_err(damaged)?;
                }
                segments.insert(target, ());
            }
            _ => {}
        }
    }
    for segment in segments.into_keys() {
        check_ids(&segment).map_err(|reason| MigrateError::Snapshot { path: file.to_owned(), reason })?;
    }
    Ok(unpacked)
}

/// Unpacks a file of a segment to the path where Qdrant has it. In a snapshot it is under `snapshot/files`.
fn extract_file<R: Read>(entry: &mut tar::Entry<'_, R>, path: &Path, target: &Path) -> std::io::Result<()> {
    let inner = path.strip_prefix("snapshot").unwrap_or(path);
    let inner = inner.strip_prefix("files").unwrap_or(inner);
    if inner.as_os_str().is_empty()
        || !entry.header().entry_type().is_file() && !entry.header().entry_type().is_gnu_sparse()
    {
        return Ok(());
    }
    let safe = inner.components().all(|part| matches!(part, Component::Normal(_)));
    if !safe {
        return Err(std::io::Error::other(format!("`{}` is a path outside the archive", inner.display())));
    }
    let file = target.join(inner);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    entry.unpack(file).map(drop)
}
