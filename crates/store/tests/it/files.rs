//! Which files are opened and which are refused. A refused file does not change.

use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mnemon_store::sqlite::{SqliteOptions, UNKNOWN_EMBEDDER};
use mnemon_store::{
    Collection, Document, DocumentStore, Durability, ExportRecord, PageRequest, Queue, RetryPolicy, Scope, SqliteStore,
    Store, StoreError, View, keys, run_search,
};
use rusqlite::Connection;
use serde_json::json;

use crate::fixture::{add, by_user, open, options, record};

/// Opens a file and expects an error. Checks that the file and its folder did not change.
fn refused(path: &Path) -> StoreError {
    let contents = || {
        let folder = path.parent().unwrap();
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        (files, fs::read(path).unwrap())
    };
    let before = contents();
    let error = SqliteStore::open(options(path)).unwrap_err();
    assert!(contents() == before, "{error}: the file was changed");
    error
}

#[test]
fn foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let contents: [&[u8]; 4] = [b"x", b"just a text\n", &[b'a'; 5000], b"SQLite format 3\0 and no more"];
    for bytes in contents {
        fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    }
    fs::remove_file(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE history(id TEXT); CREATE TABLE memories(id)").unwrap();
    drop(other);
    let error = refused(&path);
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    assert!(error.to_string().contains("history.db"), "{error}");
    let error = SqliteStore::open(options(folder.path())).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    let error = SqliteStore::open(options(Path::new(":memory:"))).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
}

#[test]
fn a_truncated_store_is_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    for number in 0..40 {
        add(&store, record(number, "u1")).unwrap();
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 20 * 4096);
    let cut = folder.path().join("cut");
    let lengths = (1..whole.len()).step_by(3331).chain([99, 100, 101, 4095, 4096, 4097, whole.len() - 1]);
    for length in lengths {
        fs::write(&cut, &whole[..length]).unwrap();
        let error = refused(&cut);
        match length {
            0..100 => assert!(matches!(error, StoreError::NotAStore { .. }), "{length}: {error}"),
            _ => assert!(matches!(error, StoreError::Damaged { .. }), "{length}: {error}"),
        }
    }
    fs::write(&cut, &whole).unwrap();
    assert_eq!(open(&cut).info().unwrap().memories, 40);
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(open(&path));
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = refused(&path);
    assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
}

#[test]
fn another_embedder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    add(&open(&path), record(1, "u1")).unwrap();
    for (embedder, dims) in [("another", crate::fixture::DIMS), ("test", 16)] {
        let mut options = options(&path);
        options.embedder = embedder.into();
        options.dims = dims;
        let before = fs::read(&path).unwrap();
        let error = SqliteStore::open(options).unwrap_err();
        assert!(matches!(error, StoreError::EmbedderMismatch { .. }), "{error}");
        assert!(fs::read(&path).unwrap() == before);
    }
    assert_eq!(open(&path).info().unwrap().memories, 1);
}

#[test]
fn an_unknown_embedder_is_replaced_by_the_first_with_the_same_dims() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let open_with = |embedder: &str, dims: usize| {
        let mut options = options(&path);
        options.embedder = embedder.into();
        options.dims = dims;
        SqliteStore::open(options).map(drop)
    };
    open_with(UNKNOWN_EMBEDDER, 16).unwrap();
    assert!(matches!(open_with("other dims", 8), Err(StoreError::EmbedderMismatch { .. })));
    open_with("first", 16).unwrap();
    assert!(matches!(open_with("second", 16), Err(StoreError::EmbedderMismatch { .. })));
    assert_eq!(SqliteStore::embedder_of(&path).unwrap(), Some(("first".into(), 16)));
}

#[test]
fn damaged_pages_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    for number in 0..200 {
        add(&store, record(number, "u1")).unwrap();
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2 / 4096 * 4096;
    bytes[half..half + 4096].fill(0xA5);
    fs::write(&path, &bytes).unwrap();
    let found = match SqliteStore::open(options(&path)).and_then(|store| store.check()) {
        Ok(findings) => !findings.is_empty(),
        Err(error) => matches!(error, StoreError::Corrupt(_)),
    };
    assert!(found, "a damaged page was not reported");
}

#[test]
fn any_path_is_the_name_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["file:a.db?mode=memory", "spaces and Zoë 乌龙茶.db", "new/folder/store.db"] {
        let path = folder.path().join(name);
        add(&open(&path), record(1, "u1")).unwrap();
        assert!(path.exists());
        assert_eq!(open(&path).info().unwrap().memories, 1);
    }
}

/// The first file was written by the last version with schema 1, and updated by the last versions with schemas 2 and 3.
#[test]
fn stores_with_older_schemas_are_migrated_completely() {
    for fixture in ["schema_1.db", "schema_2.db", "schema_3.db"] {
        check_migrated(fixture);
    }
}

fn check_migrated(fixture: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture), &path).unwrap();
    let (embedder, dims) = SqliteStore::embedder_of(&path).unwrap().unwrap();
    for _ in 0..2 {
        let store = SqliteStore::open(SqliteOptions::new(&path, &embedder, dims)).unwrap();
        let info = store.info().unwrap();
        assert_eq!((info.schema, info.memories, info.entities, info.history), (4, 4, 3, 6));
        let page = PageRequest { limit: 9, ..PageRequest::default() };
        let listed = store.list(Some(&by_user("ana")), None, &page).unwrap();
        let texts: Vec<&str> = listed.items.iter().map(|memory| memory.payload.text()).collect();
        assert_eq!(texts, ["An old point.", "I live in Linz."]);
        let filter = by_user("ben");
        let view = View::new(&filter, None);
        assert_eq!(run_search(&store, view, |reads| reads.nearest(&vec![1.0; dims], 9)).unwrap().len(), 2);
        let owners = store.owners(None).unwrap();
        let counts: Vec<String> =
            owners.iter().map(|owner| format!("{} {} {}", owner.kind.as_str(), owner.id, owner.memories)).collect();
        assert_eq!(counts, ["agent coach 2", "app app-1 2", "run r1 2", "user ana 2", "user ben 2"]);
        assert_eq!(owners[3].first.as_deref(), Some("2024-05-01T01:00:00+02:00"));
        assert!(owners[3].last.as_ref().unwrap().starts_with("2026-11-22T18:23:15"), "{:?}", owners[3]);
        let payloads: Vec<_> =
            store.list(None, None, &page).unwrap().items.into_iter().map(|memory| memory.payload).collect();
        let apps = payloads.iter().map(|payload| (payload.str(keys::APP_ID), payload.as_map().get("app_id")));
        assert_eq!(apps.collect::<HashSet<_>>(), [(None, None), (Some("app-1"), None), (None, Some(&json!(7)))].into());
        let history = store.history(&listed.items[1].id.to_string()).unwrap();
        assert_eq!(history.len(), 2);
        assert!(history.iter().all(|event| event.scope == Scope::user("ana").unwrap()));
        let mut without_owner = 0;
        let count = &mut |piece| {
            without_owner += usize::from(matches!(piece, ExportRecord::History(event) if event.scope.is_empty()));
            ControlFlow::Continue(())
        };
        store.visit(count).unwrap();
        assert_eq!(without_owner, 2, "of the memory that did not exist any more");
        store.put(&[Document::new("note", "a", true.into())], Durability::Synced).unwrap();
        assert_eq!(store.document("note", "a").unwrap().unwrap().body, true);
        assert_eq!(store.check().unwrap(), []);
    }
}

#[test]
fn a_document_that_is_not_json_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Arc::new(open(&path));
    let notes = Collection::<String>::new(store.clone(), "note");
    for id in ["a", "b", "c"] {
        notes.put_new(&notes.document(id, id.to_owned()).due_at(Timestamp::UNIX_EPOCH)).unwrap();
    }
    let damaged = Connection::open(&path).unwrap();
    damaged.execute("UPDATE documents SET body = '{\"text\": \"sec' WHERE id = 'b'", []).unwrap();
    let is_unreadable =
        |error: StoreError| matches!(error, StoreError::UnreadableDocument { kind: "note", id, .. } if id == "b");
    let page = PageRequest { limit: 9, ..PageRequest::default() };
    assert!(is_unreadable(notes.get("b").unwrap_err()));
    assert!(is_unreadable(notes.list(None, &page).unwrap_err()));
    assert!(is_unreadable(notes.change("b", &mut |_| true).unwrap_err()));
    let found = notes.scan(None, &page).unwrap();
    let found: Vec<Option<String>> = found.items.into_iter().map(|note| note.ok().map(|note| note.body)).collect();
    assert_eq!(found, [Some("c".to_owned()), None, Some("a".to_owned())]);
    // A queue can pass over it.
    let policy =
        RetryPolicy { poll: Duration::ZERO, backoff: Vec::new(), lease: Duration::from_secs(60), max_attempts: None };
    let queue = Queue::<String>::new(store.clone(), "note", policy);
    for expected in [Some("a"), Some("c"), None] {
        assert_eq!(queue.claim().unwrap().map(|job| job.body).as_deref(), expected);
    }
    assert_eq!(queue.count().unwrap(), 3, "it stays queued");
    assert_eq!(notes.unreadable().unwrap(), ["b"]);
    assert!(notes.remove("b").unwrap());
}
