//! The database of a ledger in an SQLite file.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use mnemon_store::conformance::{DATABASE_STORIES, DOCUMENT_STORIES, DOCUMENTS};
use mnemon_store::database::{Database, Lock, SqliteDatabase};
use mnemon_store::{Document, DocumentStore, Durability, SqliteStore, StoreError};
use rusqlite::Connection;
use serde_json::json;

use crate::fixture::{open, options};

#[test]
fn sqlite_tells_all_stories_of_databases() {
    for (name, story) in DATABASE_STORIES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join(name);
        story(&|steps| Ok(Box::new(SqliteDatabase::open(&path, steps)?) as Box<dyn Database>));
    }
}

#[test]
fn ledgers_tell_all_stories_of_documents() {
    for (name, story) in DOCUMENT_STORIES {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        story(&|| Box::new(SqliteDatabase::open(&path, &[DOCUMENTS]).unwrap()) as Box<dyn DocumentStore>);
    }
}

/// Opens, expects an error, and checks that no byte and no file beside it came or went.
fn refused(path: &Path, steps: &[&str]) -> StoreError {
    let picture = || {
        let mut files: Vec<_> =
            fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect::<Vec<_>>()
    };
    let before = picture();
    let error = SqliteDatabase::open(path, steps).unwrap_err();
    assert!(picture() == before, "{error}: the file was touched");
    error
}

#[test]
fn foreign_files_are_left_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let told = |error: StoreError, words: &str| {
        assert!(matches!(error, StoreError::NotALedger { .. }) && error.to_string().contains(words), "{error}");
    };
    fs::write(&path, b"just a text\n").unwrap();
    told(refused(&path, &[DOCUMENTS]), "too short");
    fs::write(&path, [b'a'; 5000]).unwrap();
    told(refused(&path, &[DOCUMENTS]), "no SQLite database");
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE documents(id TEXT)").unwrap();
    told(refused(&path, &[DOCUMENTS]), "another program");
    fs::remove_file(&path).unwrap();
    drop(open(&path));
    told(refused(&path, &[DOCUMENTS]), "is a Mnemon store");
    told(SqliteDatabase::open(folder.path(), &[]).unwrap_err(), "folder");
    told(SqliteDatabase::open(Path::new(":memory:"), &[]).unwrap_err(), "takes a file");
}

#[test]
fn a_ledger_is_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    drop(SqliteDatabase::open(&path, &[DOCUMENTS]).unwrap());
    let before = fs::read(&path).unwrap();
    let error = SqliteStore::open(options(&path)).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }) && error.to_string().contains("ledger"), "{error}");
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn a_newer_or_truncated_ledger_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    drop(SqliteDatabase::open(&path, &[DOCUMENTS, "CREATE TABLE more(a BIGINT)"]).unwrap());
    let error = refused(&path, &[DOCUMENTS]);
    assert!(matches!(error, StoreError::NewerSchema { found: 2, known: 1, .. }), "{error}");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = refused(&path, &[DOCUMENTS, "CREATE TABLE more(a BIGINT)"]);
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn a_ledger_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let database = SqliteDatabase::open(&path, &[DOCUMENTS]).unwrap();
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
fn what_a_killed_process_held_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let database = SqliteDatabase::open(&path, &[]).unwrap();
    // As the system sees a process that holds something, and its end: its files are closed.
    let other = fs::File::create(folder.path().join("file.lock")).unwrap();
    other.lock().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            drop(database.lock(&Lock::Keys(vec![1])).unwrap());
            tell.send(()).unwrap();
        });
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "held twice");
        drop(other);
        told.recv_timeout(Duration::from_secs(20)).unwrap();
    });
}

#[test]
fn a_process_gets_its_turn_while_another_goes_on_and_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let [busy, other] = [SqliteDatabase::open(&path, &[]).unwrap(), SqliteDatabase::open(&path, &[]).unwrap()];
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for key in 0..4 {
            let (busy, done) = (&busy, &done);
            threads.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    let held = busy.lock(&Lock::Keys(vec![key])).unwrap();
                    std::thread::sleep(Duration::from_millis(3));
                    drop(held);
                }
            });
        }
        let begun = Instant::now();
        let got: Vec<bool> = (0..10).map(|_| other.lock(&Lock::Everything).is_ok()).collect();
        done.store(true, Ordering::SeqCst);
        assert!(got.iter().all(|&got| got) && begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    });
}

#[test]
fn an_empty_ledger_is_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, b"").unwrap();
    drop(SqliteDatabase::open(&path, &[]).unwrap());
    drop(SqliteDatabase::open(&path, &[DOCUMENTS]).unwrap());
    let database = SqliteDatabase::open(&path, &[DOCUMENTS]).unwrap();
    assert_eq!(database.take("note", "a").unwrap(), None);
    assert!(database.location().starts_with("sqlite:/"));
}
