//! Files that can only be read: reads go on, writes are refused, and both work again without opening the store again.
//!
//! The tests may run as root, for whom permissions do not count. They use the attribute `immutable` of the file system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mnemon_store::conformance::DOCUMENTS_SCHEMA;
use mnemon_store::database::{Database, SqliteDatabase};
use mnemon_store::{
    Document, DocumentStore, Durability, MemoryId, SqliteStore, Store, StoreError, StoreWarning, View, run_search,
};

use crate::fixture::{DIMS, add, by_user, open, options, record};

/// A folder whose files can't be changed, until it is dropped.
struct Frozen(Vec<PathBuf>);

impl Frozen {
    /// `None` if this is not possible here; says so. Shared memory that is in use is left out: the system would end a
    /// process that writes to it.
    fn new(folder: &Path) -> Option<Self> {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| !path.to_string_lossy().ends_with("-shm"));
        paths.push(folder.to_owned());
        let frozen = Self(paths);
        if chattr("+i", &frozen.0) && fs::File::create(folder.join("probe")).is_err() {
            return Some(frozen);
        }
        eprintln!("skipped: files can't be made immutable here (chattr +i)");
        None
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.reverse();
        chattr("-i", &self.0);
    }
}

fn chattr(flag: &str, paths: &[PathBuf]) -> bool {
    let output = Command::new("chattr").arg(flag).args(paths).output();
    output.is_ok_and(|output| output.status.success())
}

#[track_caller]
fn check_reads(store: &SqliteStore, count: usize) {
    assert_eq!(store.info().unwrap().memories, count);
    assert!(store.get(&[MemoryId::Number(1)]).unwrap()[0].is_some());
    let filter = by_user("u1");
    let view = View::new(&filter, None);
    assert_eq!(run_search(store, view, |reads| reads.nearest(&[1.0; DIMS], 99)).unwrap().len(), count);
    assert_eq!(store.document("note", "a").unwrap().unwrap().body, true);
}

#[track_caller]
fn check_refused<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err();
    assert!(matches!(&error, StoreError::ReadOnly { reason } if reason.starts_with("its ")), "{error}");
}

fn is_read_only(store: &SqliteStore) -> bool {
    store.warnings().iter().any(|warning| matches!(warning, StoreWarning::ReadOnly { .. }))
}

fn filled(path: &Path) -> SqliteStore {
    let store = open(path);
    add(&store, record(1, "u1")).unwrap();
    store.put(&[Document::new("note", "a", true.into())], Durability::Synced).unwrap();
    store
}

#[test]
fn a_running_store_goes_on_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = filled(&path);
    check_reads(&store, 1);
    assert!(!is_read_only(&store));
    let Some(frozen) = Frozen::new(folder.path()) else { return };
    for _ in 0..2 {
        assert!(is_read_only(&store));
        check_reads(&store, 1);
        check_refused(add(&store, record(2, "u1")));
        check_refused(store.remove_matching(Some(&by_user("u1")), "now"));
        check_refused(store.put(&[Document::new("note", "b", true.into())], Durability::Written));
        check_reads(&store, 1);
    }
    drop(frozen);
    assert!(!is_read_only(&store));
    add(&store, record(3, "u1")).unwrap();
    check_reads(&store, 2);
    drop(store);
    check_reads(&open(&path), 2);
}

#[test]
fn a_store_that_is_opened_can_be_read_and_then_written() {
    for is_closed in [true, false] {
        let (folder, original) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = folder.path().join("store");
        let filled = filled(&original.path().join("store"));
        let copy = || {
            for file in fs::read_dir(original.path()).unwrap().map(|entry| entry.unwrap()) {
                fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
            }
        };
        if is_closed {
            drop(filled);
            copy();
        } else {
            // With its log, like the files of a process that was killed.
            copy();
            drop(filled);
        }
        let Some(frozen) = Frozen::new(folder.path()) else { return };
        let store = open(&path);
        check_reads(&store, 1);
        assert!(is_read_only(&store));
        check_refused(add(&store, record(2, "u1")));
        assert_eq!(SqliteStore::embedder_of(&path).unwrap(), Some(("test".into(), DIMS)));
        assert_eq!(store.check().unwrap(), []);
        drop(frozen);
        // What others write is seen.
        add(&open(&path), record(3, "u1")).unwrap();
        check_reads(&store, 2);
        assert!(!is_read_only(&store));
        add(&store, record(4, "u1")).unwrap();
        check_reads(&store, 3);
    }
}

#[test]
fn a_store_that_has_to_be_updated_first_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema_2.db"), &path).unwrap();
    let (embedder, dims) = SqliteStore::embedder_of(&path).unwrap().unwrap();
    let mut options = options(&path);
    (options.embedder, options.dims) = (embedder, dims);
    let Some(frozen) = Frozen::new(folder.path()) else { return };
    let error = SqliteStore::open(options.clone()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
    drop(frozen);
    SqliteStore::open(options).unwrap();
}

#[test]
fn a_ledger_goes_on_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = SqliteDatabase::open(&path, &[DOCUMENTS_SCHEMA]).unwrap();
    let put = |id: &str| ledger.put(&[Document::new("note", id, true.into())], Durability::Synced);
    put("a").unwrap();
    assert_eq!(ledger.refusal(), None);
    let Some(frozen) = Frozen::new(folder.path()) else { return };
    assert!(ledger.refusal().is_some());
    check_refused(put("b"));
    check_refused(ledger.sync());
    assert!(ledger.document("note", "a").unwrap().is_some());
    drop(frozen);
    assert_eq!(ledger.refusal(), None);
    put("b").unwrap();
    ledger.sync().unwrap();
}

#[test]
fn a_file_that_was_removed_is_not_created_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(filled(&path));
    let store = open(&path);
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(folder.path().join(format!("store{suffix}")));
    }
    assert!(matches!(add(&store, record(2, "u1")), Err(StoreError::Io { .. })));
    assert!(!path.exists());
}
