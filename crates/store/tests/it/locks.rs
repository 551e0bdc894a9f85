//! The locks by which other programs see that a database is in use. When a process closes any descriptor of a file, it loses
//! its locks on that file (POSIX). Another program that opens and closes the database then takes itself for the last one
//! and deletes the log, with the commits in it.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use mnemon_store::conformance::DOCUMENTS_SCHEMA;
use mnemon_store::database::{Database, Lock, SqliteDatabase};
use mnemon_store::sqlite::read_mem0_history;
use mnemon_store::{
    Document, DocumentStore, Durability, MemoryId, PageRequest, Scope, SqliteStore, Store, View, run_search,
};

use crate::fixture::{DIMS, add, by_user, open, options, record};

/// Whether this process has a lock on a file, according to the kernel. A list that is read while other locks come and go may
/// lack entries, so it is read again; a lock that was lost stays lost.
fn is_locked(path: &Path) -> bool {
    (0..50).any(|_| {
        is_listed(path) || {
            std::thread::sleep(Duration::from_millis(2));
            false
        }
    })
}

fn is_listed(path: &Path) -> bool {
    let inode = fs::metadata(path).unwrap().ino();
    let owner = std::process::id().to_string();
    fs::read_to_string("/proc/locks").unwrap().lines().any(|line| {
        // "1: POSIX  ADVISORY  READ 4711 fd:00:1234 1073741826 1073742335"
        let fields: Vec<&str> = line.split_whitespace().collect();
        let file = fields.get(5).and_then(|file| file.rsplit(':').next());
        fields.get(1) == Some(&"POSIX")
            && fields.get(4) == Some(&owner.as_str())
            && file.and_then(|inode| inode.parse().ok()) == Some(inode)
    })
}

/// Checks that the database and the shared memory of its log are locked.
#[track_caller]
fn check_locked(path: &Path, after: &str) {
    let shared_memory = path.with_file_name(format!("{}-shm", path.file_name().unwrap().to_str().unwrap()));
    assert!(is_locked(path), "the lock on the database was lost by: {after}");
    assert!(is_locked(&shared_memory), "the lock on the shared memory was lost by: {after}");
}

/// A call with its name.
type Call<'a> = (&'a str, Box<dyn Fn() + 'a>);

#[test]
fn no_call_drops_the_locks_on_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (symbolic, hard) = (folder.path().join("symbolic"), folder.path().join("hard"));
    drop(open(&path));
    std::os::unix::fs::symlink(&path, &symbolic).unwrap();
    fs::hard_link(&path, &hard).unwrap();
    // Opened again, it has only a connection that reads. The first write opens the one that writes.
    let store = open(&path);
    store.info().unwrap();
    check_locked(&path, "opening");
    let filter = by_user("u1");
    let refused_with = |embedder: &str, dims: usize, file: &Path| {
        let mut options = options(file);
        options.embedder = embedder.into();
        options.dims = dims;
        SqliteStore::open(options).unwrap_err();
    };
    let calls: Vec<Call<'_>> = vec![
        ("a write of nothing", Box::new(|| assert_eq!(store.remove_matching(Some(&filter), "now").unwrap(), 0))),
        ("a write", Box::new(|| add(&store, record(1, "u1")).unwrap())),
        ("a second write", Box::new(|| add(&store, record(2, "u1")).unwrap())),
        ("a conflict", Box::new(|| drop(add(&store, record(2, "u1")).unwrap_err()))),
        ("get", Box::new(|| drop(store.get(&[MemoryId::Number(1)]).unwrap()))),
        (
            "list",
            Box::new(|| drop(store.list(None, None, &PageRequest { limit: 9, ..PageRequest::default() }).unwrap())),
        ),
        (
            "a search",
            Box::new(|| {
                let view = View::new(&filter, None);
                run_search(&store, view, |reads| reads.nearest(&[1.0; DIMS], 9)).unwrap();
            }),
        ),
        ("info", Box::new(|| drop(store.info().unwrap()))),
        ("summary", Box::new(|| drop(store.summary(&Scope::user("u1").unwrap()).unwrap()))),
        ("an export", Box::new(|| store.visit(&mut |_| ControlFlow::Continue(())).unwrap())),
        ("check", Box::new(|| drop(store.check().unwrap()))),
        ("repair", Box::new(|| drop(store.repair().unwrap()))),
        (
            "a document that is not synced",
            Box::new(|| store.put(&[Document::new("note", "a", true.into())], Durability::Written).unwrap()),
        ),
        ("the embedder of a file", Box::new(|| drop(SqliteStore::embedder_of(&path).unwrap()))),
        ("its symbolic link", Box::new(|| drop(SqliteStore::embedder_of(&symbolic).unwrap()))),
        ("a second store", Box::new(|| add(&open(&path), record(3, "u1")).unwrap())),
        ("a second store by a symbolic link", Box::new(|| add(&open(&symbolic), record(4, "u1")).unwrap())),
        ("another embedder", Box::new(|| refused_with("another", DIMS, &path))),
        ("other dims by a symbolic link", Box::new(|| refused_with("test", 99, &symbolic))),
        ("opening it as a ledger", Box::new(|| drop(SqliteDatabase::open(&path, &[]).unwrap_err()))),
        ("opening a hard link as a ledger", Box::new(|| drop(SqliteDatabase::open(&hard, &[]).unwrap_err()))),
        ("opening it as mem0's history", Box::new(|| assert!(read_mem0_history(&path).is_ok()))),
        ("reading its hard link as mem0's history", Box::new(|| drop(read_mem0_history(&hard)))),
        ("a last write", Box::new(|| add(&store, record(5, "u1")).unwrap())),
    ];
    for (name, call) in calls {
        call();
        check_locked(&path, name);
    }
}

#[test]
fn no_call_drops_the_locks_on_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let symbolic = folder.path().join("symbolic");
    let steps = [DOCUMENTS_SCHEMA];
    drop(SqliteDatabase::open(&path, &steps).unwrap());
    std::os::unix::fs::symlink(&path, &symbolic).unwrap();
    let ledger = SqliteDatabase::open(&path, &steps).unwrap();
    check_locked(&path, "opening");
    let put = |database: &SqliteDatabase| {
        let document = Document::new("note", "a", true.into());
        database.put(std::slice::from_ref(&document), Durability::Synced).unwrap();
    };
    let calls: Vec<Call<'_>> = vec![
        ("a first write", Box::new(|| put(&ledger))),
        ("a sync", Box::new(|| ledger.sync().unwrap())),
        ("a write that is synced later", Box::new(|| ledger.transact_unsynced(&mut |_| Ok(())).unwrap())),
        ("a lock", Box::new(|| drop(ledger.lock(&Lock::Everything).unwrap()))),
        ("its size", Box::new(|| assert!(ledger.bytes() > 0))),
        ("a second ledger", Box::new(|| put(&SqliteDatabase::open(&path, &steps).unwrap()))),
        (
            "a sync by a symbolic link",
            Box::new(|| {
                let linked = SqliteDatabase::open(&symbolic, &steps).unwrap();
                put(&linked);
                linked.sync().unwrap();
            }),
        ),
        ("opening it as a store", Box::new(|| drop(SqliteStore::open(options(&path)).unwrap_err()))),
        ("the embedder of a file", Box::new(|| drop(SqliteStore::embedder_of(&path).unwrap_err()))),
        ("a newer schema", Box::new(|| drop(SqliteDatabase::open(&path, &[]).unwrap_err()))),
    ];
    for (name, call) in calls {
        call();
        check_locked(&path, name);
    }
}

/// Threads that create the same file at the same time.
#[test]
fn a_new_file_keeps_its_locks() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let stores: Vec<SqliteStore> = std::thread::scope(|threads| {
            let opening: Vec<_> = (0..6).map(|_| threads.spawn(|| open(&path))).collect();
            opening.into_iter().map(|store| store.join().unwrap()).collect()
        });
        stores.iter().for_each(|store| drop(store.info().unwrap()));
        check_locked(&path, "creating it");
    }
}

/// The log of a ledger is synced by SQLite: a sync adds a commit, which SQLite syncs with everything before it.
#[test]
fn a_sync_is_a_commit_that_is_synced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = SqliteDatabase::open(&path, &[DOCUMENTS_SCHEMA]).unwrap();
    ledger.put(&[Document::new("note", "a", true.into())], Durability::Written).unwrap();
    let length = || fs::metadata(folder.path().join("ledger-wal")).unwrap().len();
    let before = length();
    ledger.sync().unwrap();
    assert!(length() > before, "nothing was committed, so nothing was synced");
    // The schema version is still the one that the ledger needs.
    drop(ledger);
    SqliteDatabase::open(&path, &[DOCUMENTS_SCHEMA]).unwrap();
}
