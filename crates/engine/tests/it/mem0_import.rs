//! Import of points and histories that mem0 0.1.118, 1.0.5 and 2.0.2 wrote, and of unusual points.

use mnemon_engine::{ImportFormat, ListRequest, Profile, SearchRequest};
use mnemon_store::{ExportRecord, MemoryId, OwnerKind};
use serde_json::Value;

use crate::fixture::{all_records, by_user, check_store, export, fixture, fixture_lines, import, world};

tests!(
    points_of_0_1_118,
    points_of_1_0_5,
    points_of_2_0_2,
    unusual_points,
    histories_are_imported_once,
    invalid_points_are_rejected_individually,
    owners_of_history_events_come_from_stored_memories,
    imported_stores_pass_the_check
);

fn check_points(name: &str) {
    let world = world();
    let lines = fixture_lines(name);
    let imported = import(&world, &fixture(name)).unwrap();
    assert_eq!(imported.format, ImportFormat::Points);
    assert_eq!(imported.stored.memories + imported.refused.len(), lines.len(), "{:?}", imported.refused);
    assert!(imported.refused.iter().all(|refused| !refused.reason.to_string().is_empty()));
    assert_eq!(imported.refused, [], "all points are imported");
    for line in &lines {
        let id = MemoryId::from_value(&line["id"]).unwrap();
        let memory = world.get(id).unwrap();
        let stored = memory.payload.as_map();
        let given = line["payload"].as_object().unwrap();
        for (key, value) in given {
            assert_eq!(stored.get(key).map(Value::to_string), Some(value.to_string()), "{id}: {key}");
        }
        assert!(stored.keys().all(|key| given.contains_key(key) || key == "text_lemmatized"), "{id}: {stored:?}");
        world.detail(id).unwrap();
    }
    let owners = world.owners(None).unwrap();
    for owner in owners.iter().filter(|owner| owner.kind == OwnerKind::User) {
        let (user, count) = (&owner.id, owner.memories);
        let Ok(scope) = mnemon_store::Scope::user(user) else { continue };
        world.stats(&scope).unwrap();
        if scope.user_id.as_deref() != Some(user) {
            continue;
        }
        for profile in [Profile::Fusion, Profile::Mem0] {
            let request = SearchRequest { profile, ..SearchRequest::new("Where does Maria live?", by_user(user)) };
            assert!(world.search(&request).unwrap().hits.len() <= count);
        }
    }
    let page = world.list(&ListRequest { limit: 1000, ..ListRequest::default() }).unwrap();
    assert_eq!(page.total, lines.len());
    let again = import(&world, &fixture(name)).unwrap();
    assert_eq!((again.stored.memories, again.unchanged, again.refused), (0, lines.len(), vec![]));
    check_store(&world);
    // A round trip through an export.
    let bytes = export(&world);
    let path = world.folder.path().join("export");
    std::fs::write(&path, &bytes).unwrap();
    let other = crate::fixture::world();
    assert_eq!(import(&other, &path).unwrap().refused, []);
    assert!(export(&other) == bytes);
}

fn points_of_0_1_118() {
    check_points("legacy_v0.points.jsonl");
}

fn points_of_1_0_5() {
    check_points("legacy_v1.points.jsonl");
}

fn points_of_2_0_2() {
    check_points("v2_written.points.jsonl");
}

fn unusual_points() {
    check_points("legacy_quirks.points.jsonl");
}

fn histories_are_imported_once() {
    for (name, events, messages) in
        [("legacy_v0.history.db", 237, 0), ("legacy_v1.history.db", 222, 0), ("v2_written.history.db", 250, 40)]
    {
        let world = world();
        let before = std::fs::read(fixture(name)).unwrap();
        let imported = import(&world, &fixture(name)).unwrap();
        assert_eq!(imported.format, ImportFormat::HistoryDb);
        assert_eq!((imported.stored.history, imported.stored.messages), (events, messages), "{name}");
        let stored = all_records(&world).into_iter().filter_map(|record| match record {
            ExportRecord::History(event) => Some(*event),
            _ => None,
        });
        let stored: Vec<_> = stored.collect();
        let (history, _) = mnemon_store::sqlite::read_mem0_history(&fixture(name)).unwrap();
        assert_eq!(stored, history);
        let again = import(&world, &fixture(name)).unwrap();
        assert_eq!((again.stored.history, again.stored.messages, again.unchanged), (0, 0, events), "{name}");
        assert_eq!(world.store().info().unwrap().history, events);
        assert!(std::fs::read(fixture(name)).unwrap() == before, "{name} must not be changed");
        check_store(&world);
    }
}

fn invalid_points_are_rejected_individually() {
    let world = world();
    let path = world.folder.path().join("points.jsonl");
    let deep = "[".repeat(115) + &"]".repeat(115);
    let long = "x".repeat((1 << 20) + 1);
    let huge = format!("[{}1e39]", "0,".repeat(255));
    let lines = [
        r#"{"id": 1, "payload": {"data": "good", "user_id": "ana"}}"#.to_owned(),
        "{".into(),
        "[]".into(),
        r#"{"payload": {}}"#.into(),
        r#"{"id": -1, "payload": {}}"#.into(),
        r#"{"id": "no id", "payload": {}}"#.into(),
        r#"{"id": 2, "payload": null}"#.into(),
        r#"{"id": 3, "payload": {}, "vector": [1, 2]}"#.into(),
        format!(r#"{{"id": 4, "payload": {{}}, "vector": {huge}}}"#),
        format!(r#"{{"id": 5, "payload": {{"deep": {deep}}}}}"#),
        format!(r#"{{"id": 6, "payload": {{"data": "{long}"}}}}"#),
        r#"{"id": 1, "payload": {"data": "the id again", "user_id": "ana"}}"#.into(),
        r#"{"id": 7, "payload": {"data": "also good", "user_id": "ana"}}"#.into(),
    ];
    let mut bytes = lines.join("\r\n").into_bytes();
    bytes.extend(b"\n\n{\"id\": 8, \"payload\": {\"data\": \"no UTF-8: \xff\"}}\n");
    std::fs::write(&path, bytes).unwrap();
    let imported = import(&world, &path).unwrap();
    assert_eq!(imported.stored.memories, 2);
    let mut refused: Vec<usize> = imported.refused.iter().map(|refused| refused.line).collect();
    refused.sort_unstable();
    assert_eq!(refused, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15], "{:?}", imported.refused);
    check_store(&world);
}

fn owners_of_history_events_come_from_stored_memories() {
    let world = world();
    import(&world, &fixture("v2_written.points.jsonl")).unwrap();
    import(&world, &fixture("v2_written.history.db")).unwrap();
    let (mut known, mut unknown) = (0, 0);
    for record in all_records(&world) {
        let ExportRecord::History(event) = record else { continue };
        let id: MemoryId = event.memory_id.parse().unwrap();
        let memory = world.store().get(&[id]).unwrap().remove(0);
        match memory {
            Some(memory) => {
                assert_eq!(event.scope, memory.payload.scope());
                assert_eq!(world.scope_of(id).unwrap(), Some(event.scope));
                known += 1;
            }
            None => {
                assert!(event.scope.is_empty());
                assert_eq!(world.scope_of(id).unwrap(), None);
                unknown += 1;
            }
        }
    }
    assert!(known > 200, "{known} of {}", known + unknown);
    check_store(&world);
}

fn imported_stores_pass_the_check() {
    for version in ["legacy_v0", "legacy_v1", "v2_written"] {
        let (points, history) = (format!("{version}.points.jsonl"), format!("{version}.history.db"));
        for files in [[&points, &history], [&history, &points]] {
            let world = world();
            for file in files {
                import(&world, &fixture(file)).unwrap();
            }
            check_store(&world);
            assert_eq!(world.store().repair().unwrap(), [], "{version}");
        }
    }
}
