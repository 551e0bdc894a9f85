//! Payloads with any JSON round trip.

use std::sync::LazyLock;

use mnemon_store::{Change, ChangeSet, MemoryId, Payload, Scope, SqliteStore, Store, View, run_search};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::fixture::{DIMS, by_user, open, record};

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no NaN", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "\\PC*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|pairs| Value::Object(Map::from_iter(pairs))),
        ]
    })
}

fn payload() -> impl Strategy<Value = Map<String, Value>> {
    let known = prop::sample::select(mnemon_store::reserved_keys().collect::<Vec<_>>()).prop_map(str::to_owned);
    prop::collection::vec((prop_oneof![known, any::<String>()], json()), 0..10).prop_map(Map::from_iter)
}

static STORE: LazyLock<(tempfile::TempDir, SqliteStore)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("store"));
    (folder, store)
});

#[test]
fn extreme_integers_and_vectors_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("store"));
    let mut record = record(1, "u1");
    record.memory.payload.set("max", u64::MAX);
    record.memory.payload.set("min", i64::MIN);
    record.vector = vec![0.1, -0.0, f32::MIN_POSITIVE, f32::MAX, 1e-45, -1.0, 0.333_333_34, f32::MIN];
    let (payload, vector) = (record.memory.payload.clone(), record.vector.clone());
    crate::fixture::add(&store, record).unwrap();
    let found = store.get_stored(&[MemoryId::Number(1)]).unwrap().remove(0).unwrap();
    assert_eq!(found.memory.payload, payload);
    let bits = |vector: &[f32]| vector.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&found.vector), bits(&vector));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn payloads_round_trip(map in payload(), number in any::<u64>()) {
        let store = &STORE.1;
        let mut record = record(number, "u1");
        record.memory.payload = Payload::new(map.clone());
        record.memory.payload.set("run_id", "r1");
        let payload = record.memory.payload.clone();
        let id = MemoryId::Number(number);
        let set = |change| ChangeSet { expected: Vec::new(), changes: vec![change] };
        store.apply(&set(Change::Insert(Box::new(record.clone())))).unwrap();
        let found = store.get(&[id]).unwrap().pop().flatten().unwrap();
        prop_assert_eq!(
            Value::from(found.payload.as_map().clone()).to_string(),
            Value::from(payload.as_map().clone()).to_string()
        );
        // No read fails because of the payload.
        let filter = mnemon_store::Filter::eq("run_id", "r1").unwrap();
        let view = View::new(&filter, Some(jiff::civil::date(2000, 1, 1)));
        run_search(store, view, |reads| reads.nearest(&[1.0; DIMS], 9)).unwrap();
        run_search(store, view, |reads| reads.scope_stats(&[1])).unwrap();
        store.summary(&payload.scope()).unwrap();
        store.summary(&Scope::new(None, None, Some("r1")).unwrap()).unwrap();
        store.near_entities(&by_user("u1"), &[vec![1.0; DIMS]], 9, 0.0).unwrap();
        store.owners(None).unwrap();
        store.apply(&set(Change::Remove(id))).unwrap();
        prop_assert!(store.check().unwrap().is_empty());
    }
}
