//! Several threads and several stores on one file.

use std::sync::atomic::{AtomicBool, Ordering};

use mnemon_store::{Change, ChangeSet, MemoryId, SqliteStore, Store, View, run_search};

use crate::fixture::{DIMS, add, by_user, open, options, record};

fn found(store: &SqliteStore, user: &str) -> Vec<MemoryId> {
    let filter = by_user(user);
    let view = View::new(&filter, None);
    let mut ids: Vec<_> = run_search(store, view, |reads| reads.nearest(&[1.0; DIMS], 10_000))
        .unwrap()
        .into_iter()
        .map(|hit| hit.0)
        .collect();
    ids.sort_unstable();
    ids
}

#[test]
fn two_stores_on_one_file_see_each_others_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let stores = [open(&path), open(&path)];
    let mut expected = Vec::new();
    for number in 0..40 {
        let (writer, reader) = (&stores[number as usize % 2], &stores[(number as usize + 1) % 2]);
        add(writer, record(number, "u1")).unwrap();
        expected.push(MemoryId::Number(number));
        if number % 5 == 4 {
            let removed = expected.remove(expected.len() / 2);
            writer.apply(&ChangeSet { expected: Vec::new(), changes: vec![Change::Remove(removed)] }).unwrap();
        }
        assert_eq!(found(reader, "u1"), expected);
        assert_eq!(found(writer, "u1"), expected);
    }
    let mut moved = record(0, "u2");
    moved.vector = vec![0.5; DIMS];
    stores[0].apply(&ChangeSet { expected: Vec::new(), changes: vec![Change::Replace(Box::new(moved))] }).unwrap();
    assert_eq!(found(&stores[1], "u2"), [MemoryId::Number(0)]);
    stores[1].remove_matching(Some(&by_user("u1")), "2025-01-01T00:00:00Z").unwrap();
    assert_eq!(found(&stores[0], "u1"), []);
    assert_eq!(found(&stores[0], "u2"), [MemoryId::Number(0)]);
}

#[test]
fn opening_a_new_file_from_many_threads_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        std::thread::scope(|threads| {
            for number in 0..6 {
                let path = &path;
                threads.spawn(move || add(&open(path), record(number, "u1")).unwrap());
            }
        });
        assert_eq!(open(&path).info().unwrap().memories, 6);
    }
}

#[test]
fn writers_in_two_stores_lose_nothing() {
    const EACH: u64 = 25;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let stores = [open(&path), open(&path)];
    std::thread::scope(|threads| {
        for thread in 0..8u64 {
            let store = &stores[thread as usize % 2];
            threads.spawn(move || {
                for number in 0..EACH {
                    add(store, record(thread * 1000 + number, "u1")).unwrap();
                    assert!(found(store, "u1").len() as u64 > number);
                }
            });
        }
    });
    let expected: Vec<_> =
        (0..8).flat_map(|thread| (0..EACH).map(move |number| MemoryId::Number(thread * 1000 + number))).collect();
    for store in &stores {
        assert_eq!(found(store, "u1"), expected);
        assert_eq!(store.info().unwrap().history as u64, 8 * EACH);
        assert_eq!(store.info().unwrap().entities, 1);
        assert_eq!(store.check().unwrap(), []);
    }
}

/// Stops the readers when dropped, even if the writer fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Every change set adds or removes a pair of memories. A reader that counts an odd number has seen a part of a set.
#[test]
fn readers_never_see_a_part_of_a_change_set() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut small = options(&path);
    small.cache_bytes = 1;
    for (writer, reader) in [(open(&path), open(&path)), (open(&path), SqliteStore::open(small).unwrap())] {
        let done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            for store in [&writer, &reader, &reader] {
                let done = &done;
                threads.spawn(move || {
                    let filter = by_user("u1");
                    while !done.load(Ordering::Relaxed) {
                        let ids = found(store, "u1");
                        assert_eq!(ids.len() % 2, 0, "{ids:?}");
                        let page = mnemon_store::PageRequest { limit: 1000, ..Default::default() };
                        let page = store.list(Some(&filter), None, &page).unwrap();
                        assert_eq!((page.total % 2, page.items.len()), (0, page.total));
                        let _ = found(store, "u2");
                    }
                });
            }
            let _stop = StopOnDrop(&done);
            for number in 0..60u64 {
                let (one, other) = (2 * number, 2 * number + 1);
                let pair = [one, other].map(|number| Change::Insert(Box::new(record(number, "u1"))));
                writer.apply(&ChangeSet { expected: Vec::new(), changes: pair.into() }).unwrap();
                if number % 3 == 2 {
                    let removed = [one - 2, other - 2].map(|number| Change::Remove(MemoryId::Number(number)));
                    writer.apply(&ChangeSet { expected: Vec::new(), changes: removed.into() }).unwrap();
                }
                if number % 21 == 20 {
                    writer.remove_matching(Some(&by_user("u1")), "2025-01-01T00:00:00Z").unwrap();
                    assert_eq!(found(&writer, "u1"), []);
                }
            }
        });
    }
}

#[test]
fn readers_do_not_wait_for_writers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    add(&open(&path), record(1, "u1")).unwrap();
    // Another program holds the write lock.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let store = open(&path);
    assert_eq!(found(&store, "u1"), [MemoryId::Number(1)]);
    other.execute_batch("ROLLBACK").unwrap();
    add(&store, record(2, "u1")).unwrap();
    assert_eq!(found(&store, "u1").len(), 2);
}
