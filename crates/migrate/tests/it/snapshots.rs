//! Snapshot files: all points are read, and files that can't be read are refused with a reason.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mnemon_engine::ForeignPoint;
use mnemon_migrate::MigrateError;
use mnemon_migrate::source::{Snapshot, Source};
use mnemon_store::MemoryId;
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(crate) const NAMES: [&str; 3] = ["legacy_v0", "legacy_v1", "legacy_quirks"];

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.snapshot"))
}

/// The points of a fixture as Qdrant's REST API returned them, not written by our readers: payload and SHA-256 of the
/// vector by id.
pub(crate) fn exported_points(name: &str) -> BTreeMap<MemoryId, (Value, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/fixtures");
    let text = std::fs::read_to_string(folder.join(format!("{name}.points.jsonl"))).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let point = |line: Value| {
        let sha = line["vector_sha256"].as_str().unwrap().to_owned();
        (MemoryId::from_value(&line["id"]).unwrap(), (line["payload"].clone(), sha))
    };
    lines.map(point).collect()
}

/// The SHA-256 of a vector's bytes in little-endian order.
pub(crate) fn sha(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn open(file: &Path) -> Result<Snapshot, MigrateError> {
    Snapshot::open(file, &std::env::temp_dir())
}

fn points(source: &dyn Source) -> Vec<ForeignPoint> {
    let mut all = Vec::new();
    source
        .scan(&mut |page| {
            all.extend(page);
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}

#[test]
fn every_point_is_read_exactly() {
    for (name, shards) in NAMES.into_iter().zip([1, 1, 2]) {
        let snapshot = open(&fixture(name)).unwrap();
        let exported = exported_points(name);
        let info = snapshot.info();
        assert_eq!((info.points, info.dims, info.shards), (exported.len() as u64, 384, shards), "{name}");
        assert!(!info.has_bm25);
        assert!(info.indexed.contains(&"user_id".to_owned()) || name == "legacy_quirks", "{:?}", info.indexed);
        let read = points(&snapshot);
        assert_eq!(read.len(), exported.len());
        for point in read {
            let (payload, vector) = &exported[&point.id];
            assert_eq!(Some(point.payload.as_map()), payload.as_object(), "{name} {}", point.id);
            assert_eq!(&sha(&point.vector), vector, "{name} {}", point.id);
        }
    }
}

#[test]
fn a_scan_can_be_stopped() {
    let mut pages = 0;
    open(&fixture("legacy_quirks"))
        .unwrap()
        .scan(&mut |_| {
            pages += 1;
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(pages, 1);
}

#[test]
fn invalid_snapshots_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(fixture("legacy_quirks")).unwrap();
    let file = folder.path().join("file");
    let message_for = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let error = open(&file).unwrap_err();
        assert!(matches!(error, MigrateError::Snapshot { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&file.display().to_string()), "{message}");
        message
    };
    assert!(message_for(b"").contains("give the file that POST"));
    assert!(message_for(b"{\"points\": []}").contains("snapshot"));
    assert!(message_for(&vec![0; 100_000]).contains("give the file that POST"));
    for part in [512, 2000, 100_000, whole.len() / 2, whole.len() * 9 / 10] {
        let message = message_for(&whole[..part]);
        assert!(message.contains("cut off"), "{part}: {message}");
    }
    let missing = open(&folder.path().join("nothing")).unwrap_err();
    assert!(matches!(missing, MigrateError::Io { .. }), "{missing}");
}

/// An older Qdrant kept the ids of a segment in RocksDB. The reader ignores them, and takes the segment for empty.
#[test]
fn segments_without_readable_ids_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.snapshot");
    let is_id_file = |path: &str| path.contains("id_tracker");
    for (keep, is_read) in
        [(&(|_: &str| true) as &dyn Fn(&str) -> bool, true), (&|path: &str| !is_id_file(path), false)]
    {
        std::fs::write(&file, repacked(&std::fs::read(fixture("legacy_v1")).unwrap(), keep)).unwrap();
        match open(&file) {
            Ok(snapshot) => assert!(is_read && snapshot.info().points == 204, "{} points", snapshot.info().points),
            Err(error) => assert!(!is_read && error.to_string().contains("RocksDB"), "{error}"),
        }
    }
}

/// The archive with those files of its segments that are kept.
fn repacked(archive: &[u8], keep: &dyn Fn(&str) -> bool) -> Vec<u8> {
    let mut packed = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let kind = entry.header().entry_type();
        if !keep(&path) || !(kind.is_file() || kind.is_gnu_sparse()) {
            continue;
        }
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        if path.ends_with(".tar") {
            bytes = repacked(&bytes, keep);
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        packed.append_data(&mut header, &path, &bytes[..]).unwrap();
    }
    packed.into_inner().unwrap()
}
