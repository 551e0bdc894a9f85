//! Snapshot files: what is in them, and what is said of those that can't be read.

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

/// The points as Qdrant's REST told them, in a file that our readers never saw: payload and SHA-256 of the vector by id.
pub(crate) fn told(name: &str) -> BTreeMap<MemoryId, (Value, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/fixtures");
    let text = std::fs::read_to_string(folder.join(format!("{name}.points.jsonl"))).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let point = |line: Value| {
        let sha = line["vector_sha256"].as_str().unwrap().to_owned();
        (MemoryId::from_value(&line["id"]).unwrap(), (line["payload"].clone(), sha))
    };
    lines.map(point).collect()
}

/// SHA-256 of a vector's bytes, little-endian.
pub(crate) fn sha(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
fn every_point_is_read_as_it_was() {
    for (name, shards) in NAMES.into_iter().zip([1, 1, 2]) {
        let snapshot = open(&fixture(name)).unwrap();
        let told = told(name);
        let about = snapshot.about();
        assert_eq!((about.points, about.dims, about.shards), (told.len() as u64, 384, shards), "{name}");
        assert!(!about.has_bm25);
        assert!(about.indexed.contains(&"user_id".to_owned()) || name == "legacy_quirks", "{:?}", about.indexed);
        let read = points(&snapshot);
        assert_eq!(read.len(), told.len());
        for point in read {
            let (payload, vector) = &told[&point.id];
            assert_eq!(Some(point.payload.as_map()), payload.as_object(), "{name} {}", point.id);
            assert_eq!(&sha(&point.vector), vector, "{name} {}", point.id);
        }
    }
}

#[test]
fn a_reader_may_leave() {
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
fn what_is_no_snapshot_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(fixture("legacy_quirks")).unwrap();
    let file = folder.path().join("file");
    let told = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let error = open(&file).unwrap_err();
        assert!(matches!(error, MigrateError::Snapshot { .. }), "{error}");
        let told = error.to_string();
        assert!(told.contains(&file.display().to_string()), "{told}");
        told
    };
    assert!(told(b"").contains("give the file that POST"));
    assert!(told(b"{\"points\": []}").contains("snapshot"));
    assert!(told(&vec![0; 100_000]).contains("give the file that POST"));
    for part in [512, 2000, 100_000, whole.len() / 2, whole.len() * 9 / 10] {
        let told = told(&whole[..part]);
        assert!(told.contains("cut"), "{part}: {told}");
    }
    let missing = open(&folder.path().join("nothing")).unwrap_err();
    assert!(matches!(missing, MigrateError::Io { .. }), "{missing}");
}
