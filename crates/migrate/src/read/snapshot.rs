//! A snapshot file of a Qdrant collection, opened without a server.
//!
//! The file is a tar: the collection's settings, and for each shard its segments, each a tar again. They are unpacked into
//! a scratch folder and opened there, so the file itself stays as it is. What Qdrant had written to its log only, and not
//! to its segments, is not in there for us: the number of points should be compared with what the server said.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

use mnemon_engine::ForeignPoint;
use mnemon_store::{MemoryId, Payload};
use qdrant_edge::{DEFAULT_VECTOR_NAME, EdgeShard, PointId, Record, ScrollRequest, VectorStructInternal, WithVector};
use qdrant_edge::{VectorInternal, WithPayloadInterface};
use serde_json::Value;

use super::{Source, SourceInfo};
use crate::backup::free;
use crate::{MigrateError, Result};

/// Points of one page.
const PAGE: usize = 512;
/// Bytes that opening the shards takes beside the file: their logs are mapped, and a full disk then ends the process.
const SPARE: u64 = 128 << 20;

/// A snapshot that was opened.
pub struct Snapshot {
    about: SourceInfo,
    shards: Vec<EdgeShard>,
    /// Where it was unpacked to; removed with it.
    _scratch: tempfile::TempDir,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("about", &self.about).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Opens a snapshot of one or several shards, unpacking it into a new folder under `scratch`, which needs about as much
    /// room as the collection has.
    ///
    /// # Errors
    /// [`MigrateError::Snapshot`] for a file that is no snapshot of a collection, is cut, or comes from a Qdrant too old;
    /// [`MigrateError::Io`] where it can't be read or unpacked; [`MigrateError::Unfit`] for a collection of another kind.
    pub fn open(file: &Path, scratch: &Path) -> Result<Self> {
        let unreadable = |reason: String| MigrateError::Snapshot { path: file.to_owned(), reason };
        let folder = tempfile::Builder::new()
            .prefix("mnemon-snapshot-")
            .tempdir_in(scratch)
            .map_err(|source| MigrateError::Io { path: scratch.to_owned(), source })?;
        let needs = std::fs::metadata(file).map_or(0, |file| file.len()) + SPARE;
        if let Some(free) = free(scratch).filter(|free| *free < needs) {
            return Err(MigrateError::NoSpace { path: scratch.to_owned(), needs: Some(needs), free: Some(free) });
        }
        let unpacked = unpack(file, folder.path())?;
        let config: Value = match &unpacked.config {
            Some(config) => {
                serde_json::from_slice(config).map_err(|_| unreadable("its config.json is damaged".into()))?
            }
            None => return Err(unreadable(NO_SNAPSHOT.into())),
        };
        let params = &config["params"];
        let dims = dense(params).map_err(MigrateError::Unfit)?;
        let expected = params["shard_number"].as_u64().unwrap_or(1);
        if unpacked.shards.is_empty() || (unpacked.shards.len() as u64) < expected {
            let found = unpacked.shards.len();
            return Err(unreadable(format!(
                "the collection has {expected} shards, the file holds {found}: it is cut, or of one node of a cluster; take \
                 a snapshot of each node"
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
        let about = SourceInfo {
            place: file.display().to_string(),
            dims,
            points,
            shards: shards.len(),
            has_bm25: params["sparse_vectors"].get("bm25").is_some(),
            indexed: indexed.into_iter().collect(),
        };
        Ok(Self { about, shards, _scratch: folder })
    }
}

impl Source for Snapshot {
    fn about(&self) -> &SourceInfo {
        &self.about
    }

    fn scan(&self, visit: &mut dyn FnMut(Vec<ForeignPoint>) -> ControlFlow<()>) -> Result<()> {
        for shard in &self.shards {
            let mut offset = None;
            loop {
                let asked = ScrollRequest {
                    offset,
                    limit: Some(PAGE),
                    filter: None,
                    with_payload: Some(WithPayloadInterface::Bool(true)),
                    with_vector: WithVector::Selector(vec![DEFAULT_VECTOR_NAME.to_owned()]),
                    order_by: None,
                };
                let (records, next) = shard.scroll(asked).map_err(|error| MigrateError::Snapshot {
                    path: PathBuf::from(&self.about.place),
                    reason: format!("a page of points: {error}"),
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

    /// A file does not change: what was read from it once is there.
    fn missing(&self, _ids: &[MemoryId]) -> Result<Vec<MemoryId>> {
        Ok(Vec::new())
    }
}

impl Snapshot {
    fn point(&self, record: Record) -> Result<ForeignPoint> {
        let id = match record.id {
            PointId::NumId(number) => MemoryId::Number(number),
            PointId::Uuid(uuid) => uuid.to_string().parse()?,
        };
        let vector = match record.vector {
            Some(VectorStructInternal::Single(vector)) => Some(vector),
            Some(VectorStructInternal::Named(mut named)) => match named.remove(DEFAULT_VECTOR_NAME) {
                Some(VectorInternal::Dense(vector)) => Some(vector),
                _ => None,
            },
            _ => None,
        };
        let dims = self.about.dims;
        let vector = vector.filter(|vector| vector.len() == dims);
        let vector =
            vector.ok_or_else(|| MigrateError::Unfit(format!("point {id} has no dense vector of {dims} dims")))?;
        let payload = Payload::new(record.payload.map(|payload| payload.0).unwrap_or_default());
        Ok(ForeignPoint { id, payload, vector })
    }
}

const NO_SNAPSHOT: &str = "it is no tar with a collection's config.json; give the file that POST \
                           /collections/NAME/snapshots made";

/// What was found in the file.
#[derive(Default)]
struct Unpacked {
    config: Option<Vec<u8>>,
    payload_index: Option<Value>,
    /// Folders of shards.
    shards: BTreeSet<String>,
}

/// Unpacks all but the logs, segments included.
fn unpack(file: &Path, folder: &Path) -> Result<Unpacked> {
    let io = |source| MigrateError::Io { path: file.to_owned(), source };
    // The archive's own words say neither which file nor what helps.
    let cut = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => MigrateError::Io { path: folder.to_owned(), source: error },
        _ => MigrateError::Snapshot {
            path: file.to_owned(),
            reason: format!("{error}: the file is cut or damaged, or no snapshot; compare its size and SHA-256"),
        },
    };
    let mut archive = tar::Archive::new(BufReader::new(File::open(file).map_err(io)?));
    let mut unpacked = Unpacked::default();
    let mut segments: BTreeMap<PathBuf, ()> = BTreeMap::new();
    for entry in archive.entries().map_err(cut)? {
        let mut entry = entry.map_err(cut)?;
        let path = entry.path().map_err(cut)?.into_owned();
        let parts: Vec<String> = path
            .components()
            .filter(|part| *part != Component::CurDir)
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        match &parts[..] {
            [name] if name == "config.json" || name == "payload_index.json" => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(cut)?;
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
                    std::fs::create_dir_all(&target).map_err(cut)?;
                    let mut inner = tar::Archive::new(entry);
                    for inner in inner.entries().map_err(cut)? {
                        let mut inner = inner.map_err(cut)?;
                        let path = inner.path().map_err(cut)?.into_owned();
                        place(&mut inner, &path, &target).map_err(cut)?;
                    }
                } else {
                    let path: PathBuf = parts[3..].iter().collect();
                    place(&mut entry, &path, &target).map_err(cut)?;
                }
                segments.insert(target, ());
            }
            _ => {}
        }
    }
    for segment in segments.into_keys() {
        if segment.join("CURRENT").exists() || segment.join("payload_index").join("CURRENT").exists() {
            let reason =
                "its segments are in RocksDB, as Qdrant kept them before 1.16: restore it in a newer Qdrant, let that \
                          convert it, and take a new snapshot there"
                    .to_owned();
            return Err(MigrateError::Snapshot { path: file.to_owned(), reason });
        }
    }
    Ok(unpacked)
}

/// Unpacks a file of a segment where Qdrant itself would have it: snapshots put it under `snapshot/files`.
fn place<R: Read>(entry: &mut tar::Entry<'_, R>, path: &Path, target: &Path) -> std::io::Result<()> {
    let inner = path.strip_prefix("snapshot").unwrap_or(path);
    let inner = match inner.strip_prefix("files") {
        Ok(inner) => inner.to_owned(),
        Err(_) => inner.to_owned(),
    };
    if inner.as_os_str().is_empty()
        || !entry.header().entry_type().is_file() && !entry.header().entry_type().is_gnu_sparse()
    {
        return Ok(());
    }
    let safe = inner.components().all(|part| matches!(part, Component::Normal(_)));
    if !safe {
        return Err(std::io::Error::other(format!("`{}` leads out of the archive", inner.display())));
    }
    let file = target.join(inner);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    entry.unpack(file).map(drop)
}

/// The length of the unnamed dense vector.
fn dense(params: &Value) -> Result<usize, String> {
    let vectors = &params["vectors"];
    let unnamed = if vectors.get("size").is_some() { vectors } else { &vectors[""] };
    let Some(size) = unnamed["size"].as_u64() else {
        return Err("the collection has no unnamed dense vector: it was not made by mem0".into());
    };
    if unnamed["distance"] != "Cosine" {
        return Err(format!("the collection compares vectors by {}, not by Cosine as mem0 does", unnamed["distance"]));
    }
    usize::try_from(size).map_err(|_| "the collection's vectors are too long".into())
}
