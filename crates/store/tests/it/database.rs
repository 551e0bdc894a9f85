//! The database of a ledger in an SQLite file.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use mnemon_store::conformance::{DATABASE_STORIES, DOCUMENT_STORIES, DOCUMENTS_SCHEMA};
use mnemon_store::database::{Database, Lock, SqliteDatabase};
use mnemon_store::{Document, DocumentStore, Durability, SqliteStore, StoreError};
use rusqlite::Connection;
use serde_json::json;

use crate::fixture::{open, options};

#[test]
fn sqlite_passes_all_stories_of_databases() {
    for (name, story) in DATABASE_STORIES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join(name);
        story(&|steps| Ok(Box::new(SqliteDatabase::open(&path, steps)?) as Box<dyn Database>));
    }
}

#[test]
fn ledgers_pass_all_stories_of_documents() {
    for (name, story) in DOCUMENT_STORIES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        story(&|| Box::new(SqliteDatabase::open(&path, &[DOCUMENTS_SCHEMA]).unwrap()) as Box<dyn DocumentStore>);
    }
}

/// Opens a file and expects an error. Checks that the files in its folder did not change.
fn refused(path: &Path, steps: &[&str]) -> StoreError {
    let contents = || {
        let mut files: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect::<Vec<_>>()
    };
    let before = contents();
    let error = SqliteDatabase::open(path, steps).unwrap_err();
    assert!(contents() == before, "{error}: a file was changed");
    error
}

#[test]
fn foreign_files_are_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let check = |error: StoreError, words: &str| {
        assert!(matches!(error, StoreError::NotALedger { .. }) && error.to_string().contains(words), "{error}");
    };
    fs::write(&path, b"just a text\n").unwrap();
    check(refused(&path, &[DOCUMENTS_SCHEMA]), "too short");
    fs::write(&path, [b'a'; 5000]).unwrap();
    check(refused(&path, &[DOCUMENTS_SCHEMA]), "not an SQLite database");
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE documents(id TEXT)").unwrap();
    check(refused(&path, &[DOCUMENTS_SCHEMA]), "another program");
    fs::remove_file(&path).unwrap();
    drop(open(&path));
    check(refused(&path, &[DOCUMENTS_SCHEMA]), "is a Mnemon store");
    check(SqliteDatabase::open(folder.path(), &[]).unwrap_err(), "folder");
    check(SqliteDatabase::open(Path::new(":memory:"), &[]).unwrap_err(), "takes a file");
}

#[test]
fn a_ledger_is_not_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    drop(SqliteDatabase::open(&path, &[DOCUMENTS_SCHEMA]).unwrap());
    let before = fs::read(&path).unwrap();
    let error = SqliteStore::open(options(&path)).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }) && error.to_string().contains("ledger"), "{error}");
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn a_newer_or_truncated_ledger_is_refused_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    drop(SqliteDatabase::open(&path, &[DOCUMENTS_SCHEMA, "CREATE TABLE more(a BIGINT)"]).unwrap());
    let error = refused(&path, &[DOCUMENTS_SCHEMA]);
    assert!(matches!(error, StoreError::NewerSchema { found: 2, known: 1, .. }), "{error}");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = refused(&path, &[DOCUMENTS_SCHEMA, "CREATE TABLE more(a BIGINT)"]);
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_ledger() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let database = SqliteDatabase::open(&path, &[DOCUMENTS_SCHEMA]).unwrap();
    database.put(&[Document::new("note", "a", json!(1))], Durability::Synced).unwrap();
    drop(database.lock(&Lock::Everything).unwrap());
    let mut files = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        files += 1;
    }
    assert!(files >= 3, "the database, its log and its lock");
}

#[test]
fn the_lock_of_a_killed_process_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let database = SqliteDatabase::open(&path, &[]).unwrap();
    // Another process that holds the lock. When it ends, the system closes its files.
    let other = fs::File::create(folder.path().join("file.lock")).unwrap();
    other.lock().unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            drop(database.lock(&Lock::Keys(vec![1])).unwrap());
            sender.send(()).unwrap();
        });
        assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err(), "locked twice");
        drop(other);
        receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    });
}

#[test]
fn a_busy_process_releases_the_lock_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let [busy, other] = [SqliteDatabase::open(&path, &[]).unwrap(), SqliteDatabase::open(&path, &[]).unwrap()];
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for key in 0..4 {
            let (busy, done) = (&busy, &done);
            threads.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    let guard = busy.lock(&Lock::Keys(vec![key])).unwrap();
                    std::thread::sleep(Duration::from_millis(3));
                    drop(guard);
                }
            });
        }
        let started = Instant::now();
        let locked: Vec<bool> = (0..10).map(|_| other.lock(&Lock::Everything).is_ok()).collect();
        done.store(true, Ordering::SeqCst);
        assert!(locked.iter().all(|&locked| locked), "a lock was not granted");
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    });
}

#[test]
fn an_empty_file_becomes_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, b"").unwrap();
    drop(SqliteDatabase::open(&path, &[]).unwrap());
    drop(SqliteDatabase::open(&path, &[DOCUMENTS_SCHEMA]).unwrap());
    let database = SqliteDatabase::open(&path, &[DOCUMENTS_SCHEMA]).unwrap();
    assert!(!database.remove("note", "a").unwrap());
    assert!(database.location().starts_with("sqlite:/"));
}
