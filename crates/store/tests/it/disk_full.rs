//! A store without space refuses whole writes, still answers reads, and accepts writes again when there is space.

use mnemon_store::conformance::DOCUMENTS_SCHEMA;
use mnemon_store::database::{Database, SqliteDatabase};
use mnemon_store::{
    Change, ChangeSet, Document, DocumentStore, Durability, MemoryId, Record, SqliteStore, Store, StoreError,
    StoreWarning, View, run_search,
};
use mnemon_testbed::SmallDisk;

use crate::fixture::{DIMS, add, by_user, history, open, options, record};

#[test]
fn a_full_store_loses_nothing_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    drop(open(&path));
    let mut limited = options(&path);
    limited.max_pages = Some(120);
    let store = SqliteStore::open(limited.clone()).unwrap();
    let mut stored = 0;
    let full = loop {
        let mut record = record(stored, "u1");
        record.memory.payload.set("padding", "x".repeat(3000));
        match add(&store, record) {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "120 pages are never full");
    };
    assert!(matches!(full, StoreError::Full), "{full}");
    assert!(stored > 10);
    let check_contents = |store: &SqliteStore| {
        assert_eq!(store.check().unwrap(), []);
        let info = store.info().unwrap();
        assert_eq!((info.memories as u64, info.history as u64), (stored, stored));
        let filter = by_user("u1");
        let view = View::new(&filter, None);
        assert_eq!(run_search(store, view, |reads| reads.nearest(&[1.0; DIMS], 2000)).unwrap().len() as u64, stored);
        assert!(store.get(&[MemoryId::Number(stored)]).unwrap()[0].is_none());
    };
    check_contents(&store);
    drop(store);
    let store = SqliteStore::open(limited).unwrap();
    check_contents(&store);
    // A change set that frees space before it uses it.
    let added: Vec<Record> = (0..5).map(|number| record(2000 + number, "u1")).collect();
    let mut changes: Vec<Change> = (0..stored / 2).map(|number| Change::Remove(MemoryId::Number(number))).collect();
    changes.extend(added.into_iter().map(|record| Change::Insert(Box::new(record))));
    changes.push(Change::History(Box::new(history(2000))));
    store.apply(&ChangeSet { expected: Vec::new(), changes }).unwrap();
    add(&store, record(3000, "u1")).unwrap();
    assert_eq!(store.info().unwrap().memories as u64, stored - stored / 2 + 6);
    assert_eq!(store.check().unwrap(), []);
}

/// A small disk with a file in the folder, if one can be mounted here.
fn small_disk(folder: &std::path::Path) -> Option<SmallDisk> {
    let disk = SmallDisk::mount(&folder.join("disk"), 2048);
    if disk.is_none() {
        eprintln!("skipped: a small disk (tmpfs) can't be mounted here");
    }
    disk
}

#[test]
fn a_store_on_a_full_disk_goes_on_reading_and_says_so_until_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = small_disk(folder.path()) else { return };
    let path = disk.path().join("store");
    let store = open(&path);
    add(&store, record(1, "u1")).unwrap();
    assert_eq!(store.warnings(), []);
    for round in 0..2 {
        let filler = disk.fill();
        let mut stored = 0;
        // The log may have room for some writes.
        let full = (0..500).find_map(|number| match add(&store, record(1000 * (round + 1) + number, "u1")) {
            Ok(()) => {
                stored += 1;
                None
            }
            Err(error) => Some(error),
        });
        assert!(matches!(full, Some(StoreError::Full)), "{full:?}");
        for _ in 0..3 {
            assert_eq!(store.warnings(), [StoreWarning::Full]);
            assert!(matches!(add(&store, record(2, "u1")), Err(StoreError::Full)));
            let document = Document::new("note", "a", true.into());
            assert!(matches!(store.put(&[document], Durability::Written), Err(StoreError::Full)));
            assert!(store.get(&[MemoryId::Number(1)]).unwrap()[0].is_some());
            let filter = by_user("u1");
            let view = View::new(&filter, None);
            let found = run_search(&store, view, |reads| reads.nearest(&[1.0; DIMS], 999)).unwrap().len();
            assert!(found > stored, "{found}, {stored}");
        }
        std::fs::remove_file(filler).unwrap();
        assert_eq!(store.warnings(), [], "without another write");
        add(&store, record(10_000 + round, "u1")).unwrap();
    }
    assert_eq!(store.check().unwrap(), []);
    let count = store.info().unwrap().memories;
    drop(store);
    assert_eq!(open(&path).info().unwrap().memories, count);
}

#[test]
fn a_ledger_on_a_full_disk_says_so_until_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = small_disk(folder.path()) else { return };
    let ledger = SqliteDatabase::open(&disk.path().join("ledger"), &[DOCUMENTS_SCHEMA]).unwrap();
    let put = |id: usize| ledger.put(&[Document::new("note", id.to_string(), true.into())], Durability::Synced);
    put(0).unwrap();
    assert_eq!(ledger.refusal(), None);
    let filler = disk.fill();
    let full = (1..500).find_map(|number| put(number).err());
    assert!(matches!(full, Some(StoreError::Full)), "{full:?}");
    for _ in 0..2 {
        assert_eq!(ledger.refusal(), Some(StoreWarning::Full));
        assert!(matches!(ledger.sync(), Err(StoreError::Full)));
        assert!(ledger.document("note", "0").unwrap().is_some());
    }
    std::fs::remove_file(filler).unwrap();
    assert_eq!(ledger.refusal(), None);
    put(999).unwrap();
    ledger.sync().unwrap();
}
