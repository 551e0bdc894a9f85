//! Moves of a store to another embedder. They are atomic, even if other processes write or an error occurs.

use std::cell::Cell;
use std::path::Path;

use mnemon_store::sqlite::{NewVector, Reembedding, SwitchReport};
use mnemon_store::{
    Change, ChangeSet, MemoryId, Payload, Result, SqliteStore, Store, StoreError, StoreWarning, View, run_search,
};
use rusqlite::Connection;

use crate::fixture::{DIMS, add, by_user, open, options, record};

const OTHER: &str = "other";
/// Dims of the other embedder.
const MORE: usize = 12;

fn embedding_text(payload: &Payload) -> String {
    format!("said: {}", payload.text())
}

/// The other embedder. The position of the 1 in a vector depends on the text.
fn embed(texts: &[&str]) -> Vec<Vec<f32>> {
    let position = |text: &str| text.bytes().map(usize::from).sum::<usize>() % MORE;
    texts.iter().map(|text| (0..MORE).map(|at| if at == position(text) { 1.0 } else { 0.0 }).collect()).collect()
}

fn to_other(store: &SqliteStore) -> Reembedding<'_> {
    store.reembedding(OTHER, MORE, embedding_text)
}

/// Embeds up to `limit` texts; returns their number.
fn embed_some(moving: &Reembedding<'_>, limit: usize) -> usize {
    let missing = moving.missing(None, limit).unwrap();
    let texts: Vec<&str> = missing.iter().map(|text| text.text()).collect();
    let vectors: Vec<NewVector> = embed(&texts).into_iter().map(NewVector::from).collect();
    moving.store_vectors(&missing, &vectors).unwrap();
    missing.len()
}

fn switch(moving: &Reembedding<'_>, at_most: usize) -> Result<Option<SwitchReport>> {
    moving.switch(at_most, |texts| Ok(embed(texts)))
}

fn open_other(path: &Path) -> SqliteStore {
    let mut options = options(path);
    options.embedder = OTHER.into();
    options.dims = MORE;
    SqliteStore::open(options).unwrap()
}

fn nearest(store: &SqliteStore, vector: &[f32]) -> Result<Vec<MemoryId>> {
    let filter = by_user("u1");
    Ok(run_search(store, View::new(&filter, None), |reads| reads.nearest(vector, 1000))?
        .into_iter()
        .map(|hit| hit.0)
        .collect())
}

fn replaced(number: u64, text: &str) -> ChangeSet {
    let mut record = record(number, "u1");
    record.memory.payload.set("data", text);
    ChangeSet { expected: Vec::new(), changes: vec![Change::Replace(Box::new(record))] }
}

/// A file with this number of memories of u1, and an entity that all of them mention.
fn filled(memories: u64) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open(&path);
    for number in 0..memories {
        add(&store, record(number, "u1")).unwrap();
    }
    (folder, path)
}

#[track_caller]
fn check_moved(path: &Path, texts: &[(u64, &str)]) {
    assert_eq!(SqliteStore::embedder_of(path).unwrap(), Some((OTHER.into(), MORE)));
    let store = open_other(path);
    for (number, text) in texts {
        let vector = embed(&[&format!("said: {text}")]).remove(0);
        let stored = store.get_stored(&[MemoryId::Number(*number)]).unwrap().pop().flatten().unwrap();
        assert_eq!(stored.vector, vector, "{text}");
        assert!(nearest(&store, &vector).unwrap().contains(&MemoryId::Number(*number)));
    }
    let nori = embed(&["Nori"]);
    let near = store.near_entities(&by_user("u1"), &nori, 9, 0.99).unwrap();
    assert_eq!((near[0].len(), near[0][0].text.as_str()), (1, "Nori"));
    assert_eq!(store.check().unwrap(), []);
    let left = Connection::open(path).unwrap();
    let rows = |table: &str| -> i64 {
        left.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((rows("reembedded_memories"), rows("reembedded_entities")), (0, 0));
}

#[test]
fn another_process_continues_a_move() {
    let (_folder, path) = filled(20);
    {
        let store = open(&path);
        let moving = to_other(&store);
        moving.begin(false).unwrap();
        assert_eq!(embed_some(&moving, 8), 8);
    }
    let store = open(&path);
    let moving = to_other(&store);
    moving.begin(false).unwrap();
    let counts = moving.counts().unwrap();
    assert_eq!((counts.memories, counts.entities, counts.embedded), (20, 1, 8));
    assert_eq!(nearest(&store, &[1.0; DIMS]).unwrap().len(), 20, "the new vectors do not affect searches");
    assert_eq!(switch(&moving, 12).unwrap(), None, "13 are missing");
    assert_eq!(embed_some(&moving, 100), 13);
    assert_eq!(moving.missing(None, 100).unwrap(), []);
    assert_eq!(moving.sample(5).unwrap().len(), 5);
    let switched = switch(&moving, 0).unwrap().unwrap();
    assert_eq!((switched.memories, switched.entities, switched.embedded_late), (20, 1, 0));
    check_moved(&path, &[(0, "memory 0"), (19, "memory 19")]);
}

#[test]
fn changed_texts_are_embedded_again() {
    let (_folder, path) = filled(6);
    let store = open(&path);
    let moving = to_other(&store);
    moving.begin(false).unwrap();
    assert_eq!(embed_some(&moving, 100), 7);
    let server = open(&path);
    server.apply(&replaced(2, "another text")).unwrap();
    server.apply(&ChangeSet { expected: Vec::new(), changes: vec![Change::Remove(MemoryId::Number(3))] }).unwrap();
    add(&server, record(100, "u1")).unwrap();
    add(&server, record(101, "u2")).unwrap();
    assert_eq!(nearest(&server, &[1.0; DIMS]).unwrap().len(), 6);
    let missing: Vec<String> = moving.missing(None, 100).unwrap().iter().map(|text| text.text().to_owned()).collect();
    assert_eq!(missing, ["said: another text", "said: memory 100", "said: memory 101", "Nori"]);
    let switched = switch(&moving, 4).unwrap().unwrap();
    assert_eq!((switched.memories, switched.entities, switched.embedded_late), (7, 2, 4));
    check_moved(&path, &[(2, "another text"), (4, "memory 4"), (100, "memory 100")]);
}

#[test]
fn a_switch_is_atomic() {
    let (_folder, path) = filled(6);
    let store = open(&path);
    let moving = to_other(&store);
    moving.begin(false).unwrap();
    assert_eq!(embed_some(&moving, 4), 4);
    let stored = |store: &SqliteStore| {
        let ids: Vec<_> = (0..6).map(MemoryId::Number).collect();
        store.get_stored(&ids).unwrap()
    };
    let old = stored(&store);
    let failed = moving.switch(9, |_| Err::<Vec<Vec<f32>>, _>(StoreError::Conflict));
    assert!(matches!(failed, Err(StoreError::Conflict)));
    for wrong in [vec![0.0; DIMS], vec![f32::NAN; MORE]] {
        let refused = moving.switch(9, |texts| Ok::<_, StoreError>(vec![wrong.clone(); texts.len()]));
        assert!(matches!(refused, Err(StoreError::Dims { expected: MORE, .. })), "{refused:?}");
    }
    let few = moving.switch(9, |_| Ok::<_, StoreError>(Vec::<Vec<f32>>::new()));
    assert!(matches!(few, Err(StoreError::ReembedRefused(_))), "{few:?}");
    assert_eq!(moving.counts().unwrap().embedded, 4);
    assert_eq!(SqliteStore::embedder_of(&path).unwrap(), Some(("test".into(), DIMS)));
    assert_eq!(stored(&store), old);
    add(&store, record(50, "u1")).unwrap();
    switch(&moving, 9).unwrap().unwrap();
    check_moved(&path, &[(50, "memory 50")]);
}

#[test]
fn damaged_vectors_are_embedded_again() {
    let (_folder, path) = filled(6);
    let store = open(&path);
    let moving = to_other(&store);
    moving.begin(false).unwrap();
    embed_some(&moving, 100);
    let other = Connection::open(&path).unwrap();
    other.execute("UPDATE reembedded_memories SET vector = x'00000000' WHERE slot = 2", []).unwrap();
    let nan = f32::NAN.to_le_bytes().repeat(MORE);
    other.execute("UPDATE reembedded_memories SET vector = ? WHERE slot = 3", [nan]).unwrap();
    other.execute("UPDATE reembedded_entities SET digest = x''", []).unwrap();
    assert_eq!(moving.missing(None, 100).unwrap().len(), 3);
    assert_eq!(moving.missing(None, 1).unwrap().len(), 1);
    assert_eq!(switch(&moving, 3).unwrap().unwrap().embedded_late, 3);
    check_moved(&path, &[(1, "memory 1"), (2, "memory 2")]);
}

#[test]
fn stores_opened_before_the_switch_can_neither_write_nor_search() {
    let (_folder, path) = filled(6);
    let mover = open(&path);
    let server = open(&path);
    // Opens a writer and loads an index.
    add(&server, record(50, "u1")).unwrap();
    assert_eq!(nearest(&server, &[1.0; DIMS]).unwrap().len(), 7);
    let moving = to_other(&mover);
    moving.begin(false).unwrap();
    embed_some(&moving, 100);
    let never_wrote = open(&path);
    let late = Cell::new(None);
    let switched = moving.switch(9, |texts| {
        late.set(Some(texts.len()));
        Ok::<_, StoreError>(embed(texts))
    });
    assert!(switched.unwrap().is_some() && late.get().is_none());

    let version = server.scope_version(&mnemon_store::Scope::user("u1").unwrap()).unwrap();
    for store in [&mover, &server, &never_wrote] {
        let errors = [
            add(store, record(60, "u1")).unwrap_err(),
            store.remove_matching(None, "2025-01-01T00:00:00Z").unwrap_err(),
            nearest(store, &[1.0; DIMS]).unwrap_err(),
            store.near_entities(&by_user("u1"), &[vec![1.0; DIMS]], 9, 0.1).unwrap_err(),
            store.get_stored(&[MemoryId::Number(1)]).unwrap_err(),
            store.visit(&mut |_| std::ops::ControlFlow::Continue(())).unwrap_err(),
            to_other(store).begin(false).unwrap_err(),
        ];
        for error in errors {
            assert!(
                matches!(&error, StoreError::EmbedderMismatch { stored, stored_dims: MORE, .. } if stored == OTHER),
                "{error}"
            );
        }
        let warnings = store.warnings();
        assert!(
            matches!(&warnings[..], [StoreWarning::OtherEmbedder { stored, stored_dims: MORE, .. }] if stored == OTHER),
            "{warnings:?}"
        );
        // Reads without vectors still work.
        assert!(store.get(&[MemoryId::Number(1)]).unwrap()[0].is_some());
    }
    assert_eq!(server.scope_version(&mnemon_store::Scope::user("u1").unwrap()).unwrap(), version);
    assert!(matches!(SqliteStore::open(options(&path)), Err(StoreError::EmbedderMismatch { .. })));
    check_moved(&path, &[(50, "memory 50")]);
}

/// The two embedders have the same dims and differ only by name.
#[test]
fn indexes_of_other_processes_are_loaded_again() {
    let (_folder, path) = filled(6);
    let server = open(&path);
    nearest(&server, &[1.0; DIMS]).unwrap();
    let mover = open(&path);
    let moving = mover.reembedding("twin", DIMS, embedding_text);
    moving.begin(false).unwrap();
    let switched = moving.switch(99, |texts| Ok::<_, StoreError>(vec![vec![0.5; DIMS]; texts.len()])).unwrap().unwrap();
    assert_eq!((switched.memories, switched.embedded_late), (6, 7));
    assert!(matches!(nearest(&server, &[1.0; DIMS]), Err(StoreError::EmbedderMismatch { .. })));
    let back = {
        let mut options = options(&path);
        options.embedder = "twin".into();
        SqliteStore::open(options).unwrap()
    };
    nearest(&back, &[1.0; DIMS]).unwrap();
    let again = back.reembedding("test", DIMS, embedding_text);
    again.begin(false).unwrap();
    again.switch(99, |texts| Ok::<_, StoreError>(vec![vec![0.25; DIMS]; texts.len()])).unwrap().unwrap();
    // The store has its old embedder again, but the index in memory is outdated.
    assert_eq!(nearest(&server, &[1.0; DIMS]).unwrap().len(), 6);
    let stored = server.get_stored(&[MemoryId::Number(1)]).unwrap().pop().flatten().unwrap();
    assert_eq!(stored.vector, vec![0.25; DIMS]);
    add(&server, record(60, "u1")).unwrap();
}

#[test]
fn only_one_move_at_a_time() {
    let (_folder, path) = filled(6);
    let store = open(&path);
    let moving = to_other(&store);
    assert!(matches!(moving.store_vectors(&[], &[]), Err(StoreError::ReembedRefused(_))), "it has not begun");
    assert_eq!(store.warnings(), []);
    moving.begin(false).unwrap();
    embed_some(&moving, 3);
    assert_eq!(store.warnings(), [StoreWarning::ReembedBegun { embedder: OTHER.into(), dims: MORE }]);
    let third = store.reembedding("third", MORE, embedding_text);
    for result in [third.begin(false), third.counts().map(drop), third.store_vectors(&[], &[])] {
        let error = result.unwrap_err();
        assert!(matches!(&error, StoreError::Reembedding { current, .. } if current == OTHER), "{error}");
    }
    third.begin(true).unwrap();
    assert_eq!(third.counts().unwrap().embedded, 0);
    assert!(matches!(switch(&moving, 99), Err(StoreError::Reembedding { .. })));
    moving.begin(true).unwrap();
    switch(&moving, 99).unwrap().unwrap();
    check_moved(&path, &[(5, "memory 5")]);
}
