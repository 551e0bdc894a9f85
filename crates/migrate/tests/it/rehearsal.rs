//! Rehearsals: all points are copied, anomalies are reported, and words are found that the old collection could not find.

use mnemon_migrate::source::Source;
use mnemon_migrate::{CarriedPoints, RehearsalReport, StoreTarget, SyncOptions, VerifyOptions, rehearse, sync, verify};
use mnemon_store::sqlite::{SqliteOptions, SqliteStore};
use mnemon_store::{Change, ChangeSet, Store};

use crate::snapshots::{NAMES, exported_points, fixture, open, sha};

struct World {
    store: SqliteStore,
    carried: CarriedPoints,
    _folder: tempfile::TempDir,
}

fn world(dims: usize) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("store"), "legacy", dims)).unwrap();
    let carried = CarriedPoints::open(&folder.path().join("carried")).unwrap();
    World { store, carried, _folder: folder }
}

fn rehearsed(name: &str, world: &World) -> RehearsalReport {
    rehearse(&open(&fixture(name)).unwrap(), &world.store, &world.carried, None, &|_, _, _| {}).unwrap()
}

#[test]
fn all_points_are_copied_exactly() {
    for name in NAMES {
        let world = world(384);
        let rehearsal = rehearsed(name, &world);
        assert!(rehearsal.is_green(), "{name}: {:?}", rehearsal.verified);
        let exported = exported_points(name);
        assert_eq!(rehearsal.verified.points, exported.len());
        assert_eq!(rehearsal.copied.added, exported.len());
        // Compares with an export that our readers did not write.
        let ids: Vec<_> = exported.keys().copied().collect();
        for (id, stored) in ids.iter().zip(world.store.get_stored(&ids).unwrap()) {
            let stored = stored.unwrap();
            let (payload, vector) = &exported[id];
            assert_eq!(&sha(&stored.vector), vector, "{name} {id}");
            let found = stored.memory.payload.as_map();
            for (key, value) in payload.as_object().unwrap() {
                assert_eq!(found.get(key), Some(value), "{name} {id} {key}");
            }
            assert!(found.keys().all(|key| key == "text_lemmatized" || payload.get(key).is_some()), "{name} {id}");
        }
        assert_eq!(world.store.check().unwrap(), [], "{name}");
        let words = rehearsal.verified.words;
        assert!(!words.is_empty() && words.iter().all(|word| word.found), "{words:?}");
    }
}

#[test]
fn a_second_rehearsal_copies_nothing() {
    let world = world(384);
    rehearsed("legacy_v1", &world);
    let again = rehearsed("legacy_v1", &world);
    assert!(again.is_green());
    assert!(again.copied.is_idle(), "{:?}", again.copied);
    assert_eq!(again.copied.seen, 204);
}

#[test]
fn counts_and_anomalies_are_reported() {
    let survey = rehearsed("legacy_quirks", &world(384)).survey;
    assert_eq!(survey.points, 78);
    assert!(survey.counts().contains("user-06: 12\n"), "{}", survey.counts());
    assert_eq!(survey.by_user["null"], 7);
    let kinds: Vec<(&str, usize)> = survey.anomalies.iter().map(|anomaly| (anomaly.kind, anomaly.count)).collect();
    for kind in [
        "integer_id",
        "no_text",
        "no_scope",
        "scope_no_text",
        "scope_odd",
        "hash_wrong",
        "time_unreadable",
        "text_long",
        "control_characters",
        "duplicate",
    ] {
        assert!(kinds.iter().any(|(own, _)| *own == kind), "{kind} of {kinds:?}");
    }
    let plain = rehearsed("legacy_v1", &world(384)).survey;
    assert!(plain.anomalies.iter().all(|anomaly| anomaly.kind != "no_text"), "{:?}", plain.anomalies);
}

#[test]
fn differences_are_found() {
    let world = world(384);
    let source = open(&fixture("legacy_v1")).unwrap();
    sync(&source, &StoreTarget::new(&world.store), &world.carried, SyncOptions::default(), &|_| {}).unwrap();
    let ids: Vec<_> = exported_points("legacy_v1").into_keys().take(3).collect();
    let apply = |change: Change| world.store.apply(&ChangeSet { expected: Vec::new(), changes: vec![change] }).unwrap();
    let stored = world.store.get_stored(&ids).unwrap();
    let record = |at: usize| {
        let stored = stored[at].clone().unwrap();
        mnemon_store::Record {
            memory: stored.memory,
            vector: stored.vector,
            bm25: stored.bm25,
            terms: mnemon_store::Terms::default(),
            holds_time_word: false,
            mentions: Vec::new(),
        }
    };
    apply(Change::Remove(ids[0]));
    let mut other = record(1);
    other.vector[7] = f32::from_bits(other.vector[7].to_bits() ^ 1);
    apply(Change::Replace(Box::new(other)));
    let mut other = record(2);
    other.memory.payload.set("hash", "another");
    other.bm25.pop();
    apply(Change::Replace(Box::new(other)));
    let found = verify(&source, &StoreTarget::new(&world.store), VerifyOptions::default(), &|_| {}).unwrap();
    assert!(!found.is_green());
    assert_eq!((found.missing, found.vectors, found.payloads, found.sparse, found.extra), (1, 1, 1, 1, 0));
    assert_eq!(found.users.len(), 1, "{:?}", found.users);
    let reported: Vec<_> = found.differences.iter().map(|difference| difference.id).collect();
    assert!(ids.iter().all(|id| reported.contains(id)), "{:?}", found.differences);
    assert_eq!(source.info().points, 204);
}

#[test]
fn a_store_with_other_dims_is_refused() {
    let world = world(256);
    let error =
        rehearse(&open(&fixture("legacy_v1")).unwrap(), &world.store, &world.carried, None, &|_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("384") && error.to_string().contains("256"), "{error}");
}
