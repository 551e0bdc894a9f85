//! A store without space refuses whole writes, still answers reads, and accepts writes again when there is space.

use mnemon_store::{Change, ChangeSet, MemoryId, Record, SqliteStore, Store, StoreError, View, run_search};

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
