//! Export and import: round trips without loss, and damaged exports.

use mnemon_engine::{AddRequest, Engine, ImportOptions, Message, UpdateRequest};
use mnemon_store::{MemoryId, Scope, SessionMessage};
use serde_json::{Value, json};

use crate::fixture::{World, add, check_store, export, import, note, search, user, user_message, world};

tests!(
    a_round_trip_gives_the_same_export,
    history_without_owners_is_imported_unchanged,
    a_partial_import_is_completed,
    a_damaged_export_is_rejected_as_a_whole,
    vectors_of_another_embedder_are_recomputed_on_request,
    a_different_stored_memory_is_kept_and_reported,
    a_kept_memory_gets_no_history_or_entities
);

/// A store with records of all kinds.
fn full_store() -> World {
    let world = world();
    let path = world.folder.path().join("points.jsonl");
    let points = [
        json!({"id": 0, "payload": {"data": "An old point of Nori.", "user_id": "ana", "big": 9_007_199_254_740_993_u64}}),
        json!({"id": u64::MAX, "payload": {"data": "control \u{0} \u{1f} char and \u{202e}rtl 👩‍👩‍👧", "user_id": "ana"}}),
        json!({"id": 7, "payload": {"data": null, "user_id": 42, "neg": -0.0, "list": [1.5, {"x": null}]}}),
    ];
    std::fs::write(&path, points.map(|point| point.to_string()).join("\n")).unwrap();
    assert_eq!(import(&world, &path).unwrap().stored.memories, 3);
    let lines = [
        "My dog Nori met Maria Silva in Lisbon.",
        "She gave him a bone.",
        "我喜欢在周末喝乌龙茶。",
        "Yesterday we read \"Project Hail Mary\".",
        "The book was long.",
        "أحب القهوة بدون سكر.",
    ];
    let messages = lines.map(|line| Message { name: Some("Ana".into()), ..user_message(line) }).to_vec();
    let chat = AddRequest { messages, session: Some("s 1".into()), ..note("ana", "") };
    let ids: Vec<MemoryId> = world.add(chat).unwrap().into_iter().map(|added| added.id).collect();
    let timed = |time: &str, text| AddRequest { timestamp: Some(time.parse().unwrap()), ..note("ben", text) };
    add(&world, timed("2024-05-01T10:00:00.123456Z", "Ben runs."));
    add(&world, timed("2024-05-02T10:00:00Z", "Ben swims."));
    let links = vec![(ids[0], "related".into()), (MemoryId::Number(0), "supersedes".into())];
    let metadata = json!({"z": 1, "a": {"b": [true]}}).as_object().unwrap().clone();
    let date = Some("2999-12-31".parse().unwrap());
    let past = Some("2001-01-01".parse().unwrap());
    add(&world, AddRequest { links, metadata, expiration_date: date, ..note("ana", "Maria Silva moved to Porto.") });
    add(&world, AddRequest { expiration_date: past, unordered: true, ..note("ana", "An expired fact.") });
    let text = Some("She gave Nori two bones.".to_owned());
    world.update(ids[1], &UpdateRequest { text, ..UpdateRequest::default() }).unwrap();
    world.delete(ids[4]).unwrap();
    let agent = Scope::new(Some("ana"), Some("coach"), Some("r&1")).unwrap();
    add(&world, AddRequest { scope: agent.clone(), ..note("ana", "Ana trains for a marathon.") });
    let message = SessionMessage {
        id: "m1".into(),
        session_scope: agent.session_scope(),
        role: Some("user".into()),
        content: Some("a message\nof two lines".into()),
        name: None,
        created_at: None,
    };
    let changes = vec![mnemon_store::Change::Message(Box::new(message))];
    world.store().apply(&mnemon_store::ChangeSet { expected: Vec::new(), changes }).unwrap();
    world
}

fn take(world: &World, bytes: &[u8]) -> mnemon_engine::Result<mnemon_engine::ImportReport> {
    let path = world.folder.path().join("export.jsonl");
    std::fs::write(&path, bytes).unwrap();
    import(world, &path)
}

fn scores(engine: &Engine) -> Vec<(MemoryId, f32)> {
    let questions = ["Where is Nori?", "bones", "What did Ana read yesterday?", "乌龙茶", "When did Ben run?", "Maria"];
    let all = questions.iter().flat_map(|question| ["ana", "ben"].map(|user| search(engine, user, question)));
    all.flatten().map(|hit| (hit.memory.id, hit.score)).collect()
}

fn a_round_trip_gives_the_same_export() {
    let world = full_store();
    let bytes = export(&world);
    let other = crate::fixture::world();
    let imported = take(&other, &bytes).unwrap();
    assert_eq!(imported.refused, []);
    let info = world.store().info().unwrap();
    let stored = imported.stored;
    assert_eq!(
        (stored.memories, stored.entities, stored.links, stored.history, stored.messages),
        (info.memories, info.entities, info.links, info.history, info.messages)
    );
    let back = export(&other);
    for (number, (one, two)) in bytes.split(|b| *b == b'\n').zip(back.split(|b| *b == b'\n')).enumerate() {
        assert_eq!(String::from_utf8_lossy(one), String::from_utf8_lossy(two), "line {}", number + 1);
    }
    assert!(bytes == back);
    assert_eq!(scores(&world), scores(&other));
    check_store(&other);
    // Importing again stores nothing new.
    let again = take(&other, &bytes).unwrap();
    assert_eq!((again.stored, again.unchanged, again.refused), (Default::default(), info.memories, vec![]));
    assert!(export(&other) == bytes);
    // Both stores continue the session in the same way.
    for world in [&world, &other] {
        let request = AddRequest { session: Some("s 1".into()), ..note("ana", "And then Nori slept.") };
        let id = add(world, request);
        assert_eq!(world.get(id).unwrap().provenance.position, Some(7));
    }
}

/// Older exports have no owners in the history.
fn history_without_owners_is_imported_unchanged() {
    let text = String::from_utf8(export(&full_store())).unwrap();
    let old = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        if let Some(event) = value.get_mut("history").and_then(Value::as_object_mut) {
            let owned = ["user_id", "agent_id", "run_id"].map(|key| event.shift_remove(key).is_some());
            assert!(owned.contains(&true), "{line}");
        }
        format!("{value}\n")
    };
    let old: String = text.lines().map(old).collect();
    let other = world();
    assert_eq!(take(&other, old.as_bytes()).unwrap().refused, []);
    assert_eq!(String::from_utf8(export(&other)).unwrap(), old);
}

fn a_partial_import_is_completed() {
    let world = full_store();
    let bytes = export(&world);
    let other = crate::fixture::world();
    take(&other, &bytes).unwrap();
    // Every second memory of the session is missing.
    let session = other.store().session(&user("ana"), "s 1", mnemon_store::SessionWindow::Last(99)).unwrap();
    for memory in session.iter().step_by(2) {
        other.delete(memory.id).unwrap();
    }
    let imported = take(&other, &bytes).unwrap();
    assert_eq!(imported.refused, []);
    assert_eq!(imported.stored.memories, session.len().div_ceil(2));
    let sorted = |mut scores: Vec<(MemoryId, f32)>| {
        scores.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        scores
    };
    for (one, two) in sorted(scores(&world)).iter().zip(sorted(scores(&other))) {
        assert_eq!(one.0, two.0);
        assert!((one.1 - two.1).abs() < 1e-5, "{one:?} and {two:?}");
    }
    check_store(&other);
}

fn a_damaged_export_is_rejected_as_a_whole() {
    let bytes = export(&full_store());
    let text = String::from_utf8(bytes.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = |at: usize| {
        let mut lines = lines.clone();
        lines.remove(at);
        lines.join("\n")
    };
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines.insert(at, line);
        lines.join("\n")
    };
    let edited = |at: usize, change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(lines[at]).unwrap();
        change(&mut value);
        let line = value.to_string();
        let mut lines = lines.clone();
        lines[at] = &line;
        lines.join("\n")
    };
    let entity = lines.iter().position(|line| line.starts_with("{\"entity\"")).unwrap();
    let mut damaged: Vec<(String, String)> = vec![
        ("no last line".into(), without(lines.len() - 1)),
        ("a memory fewer".into(), without(2)),
        ("a memory twice".into(), with(2, lines[1])),
        ("a line after the end".into(), with(lines.len(), lines[1])),
        ("no JSON".into(), with(3, "{")),
        ("another kind".into(), with(3, "{\"fact\": {}}")),
        ("an invalid id".into(), edited(1, &|value| value["memory"]["id"] = json!("x"))),
        ("a short vector".into(), edited(1, &|value| value["memory"]["vector"] = json!("AAAAAA=="))),
        ("a cut vector".into(), edited(1, &|value| value["memory"]["vector"] = json!("AAAA"))),
        ("an entity's short vector".into(), edited(entity, &|value| value["entity"]["vector"] = json!("AAAAAA=="))),
        ("another embedder".into(), edited(0, &|value| value["embedder"] = json!("another"))),
        ("other dims".into(), edited(0, &|value| value["dims"] = json!(16))),
        ("another format".into(), edited(0, &|value| value["mnemon_export"] = json!(2))),
    ];
    // A memory in place of another one: the counts match, but an id appears twice.
    let mut twice = lines.clone();
    twice[2] = twice[1];
    damaged.push(("a memory in another's place".into(), twice.join("\n")));
    // NaN in a vector of the right length.
    let nan: Vec<u8> = f32::NAN.to_le_bytes().repeat(256);
    let nan = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, nan);
    for (at, kind) in [(1, "memory"), (entity, "entity")] {
        damaged.push((format!("NaN in a {kind}"), edited(at, &|value| value[kind]["vector"] = json!(nan))));
    }
    for part in 1..8 {
        damaged.push((format!("cut at {part}/8"), String::from_utf8_lossy(&bytes[..bytes.len() * part / 8]).into()));
    }
    let other = world();
    for (case, text) in damaged {
        let Err(error) = take(&other, text.as_bytes()) else { panic!("{case} was imported") };
        assert!(error.is_callers_error(), "{case}: {error}");
        let info = other.store().info().unwrap();
        assert_eq!((info.memories, info.entities, info.history, info.links, info.messages), (0, 0, 0, 0, 0), "{case}");
    }
    take(&other, &bytes).unwrap();
}

fn vectors_of_another_embedder_are_recomputed_on_request() {
    let bytes = export(&full_store());
    let text = String::from_utf8(bytes).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    let mut header: Value = serde_json::from_str(header).unwrap();
    header["embedder"] = json!("another");
    let other = world();
    let path = other.folder.path().join("export.jsonl");
    std::fs::write(&path, format!("{header}\n{rest}")).unwrap();
    assert!(import(&other, &path).is_err());
    let options = ImportOptions { reembed: true, ..ImportOptions::default() };
    other.import(&path, &options, &mut |_| {}).unwrap();
    assert_eq!(search(&other, "ana", "Where is Nori?").len(), search(&full_store(), "ana", "Where is Nori?").len());
    assert_eq!(other.stats(&user("ana")).unwrap().memories, 10);
    check_store(&other);
}

fn a_different_stored_memory_is_kept_and_reported() {
    let world = world();
    let id = add(&world, note("ana", "The first text."));
    let bytes = export(&world);
    let text = Some("The second text.".to_owned());
    world.update(id, &UpdateRequest { text, ..UpdateRequest::default() }).unwrap();
    let imported = take(&world, &bytes).unwrap();
    assert_eq!(imported.refused.len(), 1);
    assert_eq!((imported.refused[0].line, imported.stored.memories), (2, 0));
    assert_eq!(world.get(id).unwrap().payload.text(), "The second text.");
}

fn a_kept_memory_gets_no_history_or_entities() {
    let (one, other) = (world(), world());
    let id = add(&one, note("ana", "We moved to Lisbon."));
    take(&other, &export(&one)).unwrap();
    let before = export(&other);
    one.update(id, &UpdateRequest { text: Some("We moved to Madrid, near Maria Gomez.".into()), ..Default::default() })
        .unwrap();
    let imported = take(&other, &export(&one)).unwrap();
    assert_eq!((imported.refused.len(), imported.stored), (1, Default::default()));
    assert_eq!(export(&other), before);
}
