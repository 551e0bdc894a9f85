//! Tests of the Qdrant store: the conformance suite, with a ledger in a file and in Postgres, and tests of the features
//! that only it has.

use std::path::Path;
use std::sync::Arc;

use mnemon_store::conformance::{DIMS, STORIES};
use mnemon_store::database::{Database, PostgresDatabase, SqliteDatabase};
use mnemon_store::qdrant::{LEDGER_SCHEMA, QdrantOptions, QdrantStore};
use mnemon_store::{
    Change, ChangeSet, Filter, Memory, MemoryId, PageRequest, Payload, Provenance, Record, SparseQuery, Store,
    StoreError, StoreWarning, Terms, View, run_search,
};
use mnemon_testbed::trials::{Trials, unset};
use mnemon_testbed::{POSTGRES, QDRANT, fresh_database, rest, shared, unique};
use serde_json::json;

pub(super) fn add_tests(trials: &mut Trials) {
    for (kind, in_postgres) in [("qdrant", false), ("qdrant_postgres", true)] {
        let missing = unset(if in_postgres { &[QDRANT, POSTGRES] } else { &[QDRANT] });
        for &(name, story) in STORIES {
            let run = move || {
                let folder = tempfile::tempdir().unwrap();
                let database = in_postgres.then(|| fresh_database().expect("a Postgres"));
                let ledger = || -> Arc<dyn Database> {
                    match &database {
                        Some(database) => Arc::new(PostgresDatabase::open(database.url(), LEDGER_SCHEMA).unwrap()),
                        None => Arc::new(SqliteDatabase::open(&folder.path().join("ledger"), LEDGER_SCHEMA).unwrap()),
                    }
                };
                let collection = Collection(unique("story"));
                story(&|| Box::new(open(&collection.0, ledger())) as Box<dyn Store>);
            };
            trials.add(format!("{kind}::{name}"), missing.as_deref(), run);
        }
    }
    let missing = unset(&[QDRANT]);
    for (name, test) in QDRANT_TESTS {
        trials.add(format!("qdrant::{name}"), missing.as_deref(), || test(tempfile::tempdir().unwrap().path()));
    }
}

/// A collection that is deleted when dropped.
struct Collection(String);

impl Collection {
    fn points(&self) -> String {
        format!("{}/collections/{}/points", shared().expect("a Qdrant").http_url(), self.0)
    }

    /// Writes a point as another program does.
    fn put(&self, id: u64, text: &str, axis: usize, at: &str) {
        let mut vector = vec![0.0; DIMS];
        vector[axis] = 1.0;
        let payload = json!({"data": text, "hash": text, "user_id": "ana", "created_at": at, "updated_at": at});
        let points = json!({"points": [{"id": id, "vector": vector, "payload": payload}]});
        rest::put(&format!("{}?wait=true", self.points()), &points).unwrap();
    }

    /// Deletes a point as another program does.
    fn delete(&self, id: u64) {
        rest::post(&format!("{}/delete?wait=true", self.points()), &json!({"points": [id]})).unwrap();
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        let server = shared().expect("a Qdrant");
        for name in [self.0.clone(), format!("{}_entities", self.0)] {
            let _ = rest::delete(&format!("{}/collections/{name}", server.http_url()));
        }
    }
}

fn options(collection: &str, ledger: Arc<dyn Database>) -> QdrantOptions {
    let describe = Arc::new(|_: &Payload| (Terms::default(), false));
    QdrantOptions::new(shared().expect("a Qdrant").grpc_url(), collection, "test", DIMS, ledger, describe)
}

fn open(collection: &str, ledger: Arc<dyn Database>) -> QdrantStore {
    QdrantStore::open(options(collection, ledger)).unwrap()
}

fn ledger(folder: &Path) -> Arc<dyn Database> {
    Arc::new(SqliteDatabase::open(&folder.join("ledger"), LEDGER_SCHEMA).unwrap())
}

/// A test with an empty folder.
type Test = fn(&Path);

/// Tests of features that only the Qdrant store has.
const QDRANT_TESTS: &[(&str, Test)] = &[
    ("collections_with_other_vectors_are_refused", collections_with_other_vectors_are_refused),
    ("a_missing_server_is_reported", a_missing_server_is_reported),
    ("a_ledger_belongs_to_one_collection", a_ledger_belongs_to_one_collection),
    ("a_lost_or_second_ledger_is_reported", a_lost_or_second_ledger_is_reported),
    ("an_old_collection_is_served_with_a_warning", an_old_collection_is_served_with_a_warning),
    ("unsupported_values_are_refused", unsupported_values_are_refused),
    ("external_changes_are_detected_and_positions_kept", external_changes_are_detected_and_positions_kept),
    ("partly_refused_writes_are_reverted", partly_refused_writes_are_reverted),
    ("changes_that_counts_do_not_show_are_found", changes_that_counts_do_not_show_are_found),
];

fn collections_with_other_vectors_are_refused(folder: &Path) {
    let server = shared().unwrap();
    let make = |vectors: serde_json::Value| {
        let collection = Collection(unique("kind"));
        rest::put(&format!("{}/collections/{}", server.http_url(), collection.0), &json!({"vectors": vectors}))
            .unwrap();
        collection
    };
    let cases = [
        (json!({"size": DIMS, "distance": "Dot"}), "Cosine"),
        (json!({"size": DIMS + 1, "distance": "Cosine"}), "dims"),
        (json!({"other": {"size": DIMS, "distance": "Cosine"}}), "unnamed dense vector"),
    ];
    for (vectors, expected) in cases {
        let collection = make(vectors);
        let error = QdrantStore::open(options(&collection.0, ledger(folder))).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut absent = options(&unique("absent"), ledger(folder));
    absent.create = false;
    let error = QdrantStore::open(absent).unwrap_err().to_string();
    assert!(error.contains("there is no collection"), "{error}");
}

fn a_missing_server_is_reported(folder: &Path) {
    let mut options = options("x", ledger(folder));
    options.urls = vec!["http://127.0.0.1:1".into()];
    let error = QdrantStore::open(options).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
}

fn a_ledger_belongs_to_one_collection(folder: &Path) {
    let (one, other) = (Collection(unique("one")), Collection(unique("other")));
    drop(open(&one.0, ledger(folder)));
    let error = QdrantStore::open(options(&other.0, ledger(folder))).unwrap_err();
    assert!(matches!(error, StoreError::Misconfigured(_)) && error.to_string().contains(&one.0), "{error}");
}

fn a_lost_or_second_ledger_is_reported(folder: &Path) {
    let collection = Collection(unique("lost"));
    let first = open(&collection.0, ledger(folder));
    // Opening the same ledger again gives no warning, as with two servers on one Postgres.
    assert_eq!(open(&collection.0, ledger(folder)).warnings(), []);
    let elsewhere = folder.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let second = open(&collection.0, ledger(&elsewhere));
    assert!(matches!(second.warnings()[..], [StoreWarning::OtherLedger { .. }]), "{:?}", second.warnings());
    assert_eq!(second.check().unwrap()[0].check, "another_ledger");
    assert_eq!(first.check().unwrap(), []);
    assert_eq!(second.repair().unwrap()[0].check, "another_ledger");
    assert_eq!(second.warnings(), []);
    assert_eq!(second.check().unwrap(), []);
    // Now the first ledger is the other one.
    assert_eq!(first.check().unwrap()[0].check, "another_ledger");
}

/// A collection of mem0 1.x, without the vector `bm25`, with an alias.
fn an_old_collection_is_served_with_a_warning(folder: &Path) {
    let server = shared().unwrap();
    let old = Collection(unique("old"));
    let alias = Collection(unique("alias"));
    let base = server.http_url();
    rest::put(&format!("{base}/collections/{}", old.0), &json!({"vectors": {"size": DIMS, "distance": "Cosine"}}))
        .unwrap();
    let action = json!({"create_alias": {"collection_name": old.0, "alias_name": alias.0}});
    rest::post(&format!("{base}/collections/aliases"), &json!({"actions": [action]})).unwrap();
    let mut vector = vec![0.0; DIMS];
    vector[0] = 1.0;
    let point = json!({"id": 7, "vector": vector, "payload": {"data": "Ana likes tea", "user_id": "ana"}});
    rest::put(&format!("{base}/collections/{}/points?wait=true", old.0), &json!({"points": [point]})).unwrap();
    let mut by_name_only = options(&alias.0, ledger(folder));
    by_name_only.takes_alias = false;
    let error = QdrantStore::open(by_name_only).unwrap_err().to_string();
    assert!(error.contains(&format!("is an alias of `{}`", old.0)), "{error}");
    let store = open(&alias.0, ledger(folder));
    let warnings = store.warnings();
    assert_eq!(warnings, [StoreWarning::NoBm25 { collection: old.0.clone() }]);
    let filter = Filter::eq("user_id", "ana").unwrap();
    let found = run_search(&store, View::new(&filter, None), |reads| reads.nearest(&vector, 9)).unwrap();
    assert_eq!(found, [(MemoryId::Number(7), 1.0)]);
    let sparse = vec![(1, 1.0)];
    assert_eq!(
        run_search(&store, View::new(&filter, None), |reads| reads.sparse(&SparseQuery { vector: &sparse, limit: 9 }))
            .unwrap(),
        []
    );
    store
        .apply(&ChangeSet { expected: Vec::new(), changes: vec![Change::Insert(Box::new(record(8, "ana")))] })
        .unwrap();
    assert_eq!(run_search(&store, View::new(&filter, None), |reads| reads.nearest(&vector, 9)).unwrap().len(), 2);
    assert!(store.info().unwrap().location.contains(&old.0));
    assert_eq!(store.check().unwrap(), []);
    // The collection can be opened by its other name with the same ledger.
    drop(open(&old.0, ledger(folder)));
    // After the alias moves, the open store still serves the old collection, with a warning.
    let new = Collection(unique("new"));
    rest::put(&format!("{base}/collections/{}", new.0), &json!({"vectors": {"size": DIMS, "distance": "Cosine"}}))
        .unwrap();
    let delete_alias = json!({"delete_alias": {"alias_name": alias.0}});
    let create_alias = json!({"create_alias": {"collection_name": new.0, "alias_name": alias.0}});
    rest::post(&format!("{base}/collections/aliases"), &json!({"actions": [delete_alias, create_alias]})).unwrap();
    assert_eq!(run_search(&store, View::new(&filter, None), |reads| reads.nearest(&vector, 9)).unwrap().len(), 2);
    let started = std::time::Instant::now();
    while !store.warnings().contains(&StoreWarning::AliasMoved { collection: old.0.clone() }) {
        assert!(started.elapsed().as_secs() < 60, "{:?}", store.warnings());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

fn record(number: u64, user: &str) -> Record {
    let mut payload = Payload::default();
    payload.set("data", format!("text {number}"));
    payload.set("user_id", user);
    let mut vector = vec![0.0; DIMS];
    vector[number as usize % DIMS] = 1.0;
    Record {
        memory: Memory { id: MemoryId::Number(number), payload, provenance: Provenance::default() },
        vector,
        bm25: vec![(1, 1.0)],
        terms: Terms::default(),
        holds_time_word: false,
        mentions: Vec::new(),
    }
}

fn unsupported_values_are_refused(folder: &Path) {
    let collection = Collection(unique("wire"));
    let store = open(&collection.0, ledger(folder));
    let insert = |key: &str, value: serde_json::Value| {
        let mut record = record(1, "ana");
        record.memory.payload.set(key, value);
        store.apply(&ChangeSet { expected: Vec::new(), changes: vec![Change::Insert(Box::new(record))] })
    };
    let error = insert("big", json!(u64::MAX)).unwrap_err();
    assert!(matches!(error, StoreError::Unsupported(_)) && error.to_string().contains("as text"), "{error}");
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    let error = insert("deep", nested(29)).unwrap_err();
    assert!(matches!(error, StoreError::TooDeep { limit: 28 }), "{error}");
    assert_eq!(store.info().unwrap().memories, 0, "nothing is stored");
    insert("deep", nested(28)).unwrap();
    let stored = store.get(&[MemoryId::Number(1)]).unwrap().remove(0).unwrap();
    assert_eq!(stored.payload.as_map()["deep"], nested(28));
    assert_eq!(store.check().unwrap(), []);
}

/// Qdrant accepts the first part of a large write and refuses the next one.
fn partly_refused_writes_are_reverted(folder: &Path) {
    let collection = Collection(unique("strict"));
    let store = open(&collection.0, ledger(folder));
    let of = |ids: std::ops::Range<u64>| {
        let long: Vec<(u32, f32)> = (1..20).map(|term| (term, 1.0)).collect();
        let bm25 = |id| if id < 700 { vec![(1, 1.0)] } else { long.clone() };
        let inserts = ids.map(|id| Change::Insert(Box::new(Record { bm25: bm25(id), ..record(id, "ana") })));
        store.apply(&ChangeSet { expected: Vec::new(), changes: inserts.collect() })
    };
    of(0..10).unwrap();
    let url = format!("{}/collections/{}", shared().unwrap().http_url(), collection.0);
    let strict = json!({"strict_mode_config": {"enabled": true, "sparse_config": {"bm25": {"max_length": 9}}}});
    assert_eq!(rest::call("PATCH", &url, Some(&strict)).unwrap().0, 200);
    let error = of(10..1500).unwrap_err().to_string();
    assert!(error.contains("limit of 9 indices"), "{error}");
    assert_eq!(store.info().unwrap().memories, 10);
    assert_eq!(store.check().unwrap(), []);
    of(10..20).unwrap();
    assert_eq!(store.info().unwrap().memories, 20);
}

/// Another program adds, changes and deletes points. A deleted point that is added again gets its old position.
fn external_changes_are_detected_and_positions_kept(folder: &Path) {
    let collection = Collection(unique("others"));
    let store = open(&collection.0, ledger(folder));
    let put = |id, text, axis, at| collection.put(id, text, axis, at);
    let filter = Filter::eq("user_id", "ana").unwrap();
    let mut axis = vec![0.0; DIMS];
    axis[3] = 1.0;
    let search = || -> Vec<(MemoryId, bool)> {
        let found = run_search(&store, View::new(&filter, None), |reads| reads.nearest(&axis, 9)).unwrap();
        found.into_iter().map(|(id, score)| (id, score > 0.5)).collect()
    };
    assert_eq!(search(), []);
    let mut own = record(1, "ana");
    own.memory.provenance = Provenance { session: Some("s".into()), position: Some(4), event_time: None };
    store.apply(&ChangeSet { expected: Vec::new(), changes: vec![Change::Insert(Box::new(own))] }).unwrap();
    put(2, "second", 3, "2026-01-01T00:00:00.000001+00:00");
    assert_eq!(search(), [(MemoryId::Number(2), true), (MemoryId::Number(1), false)]);
    put(2, "second, changed", 5, "2026-01-01T00:00:01.000001+00:00");
    assert_eq!(search(), [(MemoryId::Number(1), false), (MemoryId::Number(2), false)], "the older of equals first");
    let page = PageRequest { limit: 9, ..PageRequest::default() };
    let listed = store.list(Some(&filter), None, &page).unwrap();
    assert_eq!(
        listed.items.iter().map(|memory| memory.payload.text()).collect::<Vec<_>>(),
        ["second, changed", "text 1"]
    );
    collection.delete(1);
    assert_eq!(search(), [(MemoryId::Number(2), false)]);
    assert_eq!(store.list(Some(&filter), None, &page).unwrap().total, 1);
    assert_eq!(store.list(None, None, &page).unwrap().total, 1);
    put(1, "text 1", 3, "2026-01-01T00:00:02.000001+00:00");
    assert_eq!(search(), [(MemoryId::Number(1), true), (MemoryId::Number(2), false)]);
    let back = store.get(&[MemoryId::Number(1)]).unwrap().remove(0).unwrap();
    assert_eq!((back.provenance.session.as_deref(), back.provenance.position), (Some("s"), Some(4)));
    let error =
        store.apply(&ChangeSet { expected: Vec::new(), changes: vec![Change::Insert(Box::new(record(2, "ana")))] });
    assert!(matches!(error, Err(StoreError::Exists(MemoryId::Number(2)))));
    store.apply(&ChangeSet { expected: Vec::new(), changes: vec![Change::Remove(MemoryId::Number(2))] }).unwrap();
    assert_eq!(store.info().unwrap().memories, 1);
    assert_eq!(store.check().unwrap(), []);
}

/// Another program, whose clock is behind, deletes a point, adds one, and changes one between two checks. This is
/// detected in the background while the scope is in use, and by `check`.
fn changes_that_counts_do_not_show_are_found(folder: &Path) {
    let collection = Collection(unique("swap"));
    let [first, second, third] = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"];
    let store = open(&collection.0, ledger(folder));
    collection.put(1, "first", 1, first);
    collection.put(2, "second", 2, third);
    let filter = Filter::eq("user_id", "ana").unwrap();
    let axis = |at: usize| -> Vec<f32> { (0..DIMS).map(|axis| f32::from(u8::from(axis == at))).collect() };
    let search = |at: usize| -> Vec<u64> {
        let found = run_search(&store, View::new(&filter, None), |reads| reads.nearest(&axis(at), 9)).unwrap();
        let near = found.into_iter().filter(|(_, score)| *score > 0.5);
        near.map(|(id, _)| if let MemoryId::Number(id) = id { id } else { 0 }).collect()
    };
    let swap = || {
        collection.delete(1);
        collection.put(3, "third", 3, second);
        collection.put(2, "second, changed", 4, third);
    };
    assert_eq!((search(1), search(2)), (vec![1], vec![2]));
    swap();
    let started = std::time::Instant::now();
    while (search(3), search(4)) != (vec![3], vec![2]) {
        assert!(started.elapsed().as_secs() < 90, "not found: {:?}", (search(3), search(4)));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!((search(1), search(2)), (vec![], vec![]));
    assert_eq!(store.check().unwrap(), []);
    // The scope was compared a moment ago and is not compared again soon.
    collection.delete(3);
    collection.put(1, "first", 1, second);
    let found = store.check().unwrap();
    assert_eq!(found.iter().map(|found| (found.check, found.count)).collect::<Vec<_>>(), [("memory_unseen", 2)]);
    assert_eq!((search(1), search(3)), (vec![1], vec![]));
    assert_eq!(store.check().unwrap(), []);
    collection.delete(1);
    collection.put(3, "third", 3, second);
    let repaired = store.repair().unwrap();
    assert_eq!(repaired.iter().map(|found| (found.check, found.count)).collect::<Vec<_>>(), [("memory_unseen", 2)]);
    assert_eq!((search(1), search(3)), (vec![], vec![3]));
}
