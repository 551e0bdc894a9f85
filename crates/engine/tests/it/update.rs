//! Updates: changed and unchanged properties.

use mnemon_engine::{AddRequest, EngineError, Message, MetadataMode, UpdateRequest};
use mnemon_store::{MemoryId, Scope, StoreError};
use serde_json::json;

use crate::fixture::{add, check_store, note, search, user_message, world};

tests!(
    a_text_update_keeps_the_origin,
    metadata_updates_keep_the_text,
    metadata_changes_at_once_lose_nothing,
    a_batch_is_one_change,
    merged_metadata_stays_within_the_maximum,
    invalid_updates_are_rejected
);

fn a_text_update_keeps_the_origin() {
    let world = world();
    let other = add(&world, note("ana", "Nori likes Maria Silva."));
    let request = AddRequest {
        scope: Scope::new(Some("ana"), Some("coach"), None).unwrap(),
        messages: vec![Message { name: Some("Ana".into()), ..user_message("My dog Nori lives in Lisbon.") }],
        metadata: json!({"topic": "dogs"}).as_object().unwrap().clone(),
        expiration_date: Some("2999-01-01".parse().unwrap()),
        links: vec![],
        ..AddRequest::default()
    };
    let id = add(&world, request);
    let before = world.get(id).unwrap();
    let text = Some("My cat Biscuit lives in Kyoto.".to_owned());
    let after = world.update(id, &UpdateRequest { text, ..UpdateRequest::default() }).unwrap();
    assert_eq!(world.get(id).unwrap(), after);
    assert_eq!((after.id, &after.provenance), (before.id, &before.provenance));
    for key in ["created_at", "user_id", "agent_id", "role", "actor_id", "topic", "expiration_date"] {
        assert_eq!(after.payload.as_map()[key], before.payload.as_map()[key], "{key}");
    }
    for key in ["data", "hash", "updated_at", "text_lemmatized"] {
        assert_ne!(after.payload.as_map()[key], before.payload.as_map()[key], "{key}");
    }
    let keys = |memory: &mnemon_store::Memory| memory.payload.as_map().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&after), keys(&before), "the order of the keys is unchanged");
    let names: Vec<String> = world.detail(id).unwrap().entities.iter().map(|entity| entity.text().to_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("Lisbon")), "{names:?}");
    assert!(!names.is_empty());
    assert_eq!(search(&world, "ana", "cat in Kyoto")[0].memory.id, id);
    let history = world.history(id).unwrap();
    assert_eq!(history.iter().map(|event| event.event.as_str()).collect::<Vec<_>>(), ["ADD", "UPDATE"]);
    assert_eq!(history[1].old_memory.as_deref(), Some("My dog Nori lives in Lisbon."));
    assert_eq!(history[1].new_memory.as_deref(), Some("My cat Biscuit lives in Kyoto."));
    assert!(world.get(other).is_ok());
    check_store(&world);
}

fn metadata_updates_keep_the_text() {
    let world = world();
    let metadata = json!({"topic": "dogs", "n": 1}).as_object().unwrap().clone();
    let id = add(&world, AddRequest { metadata, ..note("ana", "My dog Nori lives in Lisbon.") });
    let before = world.store().get_stored(&[id]).unwrap().remove(0).unwrap();
    let entities = world.detail(id).unwrap().entities;
    let metadata = Some(json!({"n": 2, "new": true}).as_object().unwrap().clone());
    let after = world.update(id, &UpdateRequest { metadata, ..UpdateRequest::default() }).unwrap();
    let mut own: Vec<String> = after.payload.metadata().map(|(key, value)| format!("{key}={value}")).collect();
    // Qdrant does not keep the order of keys.
    own.sort();
    assert_eq!(own, ["n=2", "new=true", "topic=\"dogs\""]);
    let stored = world.store().get_stored(&[id]).unwrap().remove(0).unwrap();
    assert_eq!((stored.vector, stored.bm25), (before.vector, before.bm25));
    assert_eq!(world.detail(id).unwrap().entities, entities);
    let set = |date| UpdateRequest { expiration_date: Some(date), ..UpdateRequest::default() };
    let date = Some("2999-01-01".parse().unwrap());
    assert_eq!(world.update(id, &set(date)).unwrap().payload.expiration_date(), date);
    assert_eq!(world.update(id, &set(None)).unwrap().payload.expiration_date(), None);
    assert_eq!(world.history(id).unwrap().len(), 4);
    check_store(&world);
}

fn merged_metadata_stays_within_the_maximum() {
    let world = world();
    let metadata = (0..10).map(|at| (format!("k{at}"), json!(1))).collect();
    let id = add(&world, AddRequest { metadata, ..note("ana", "My dog Nori lives in Lisbon.") });
    let grow = |at: usize| world.update(id, &with_metadata(json!({format!("k{at}"): "x".repeat(40_000)})));
    grow(0).unwrap();
    let error = grow(1).unwrap_err();
    assert!(matches!(&error, EngineError::Invalid(text) if text.contains("the maximum is")), "{error:?}");
    assert_eq!(world.get(id).unwrap().payload.as_map()["k1"], 1);
    world.update(id, &with_metadata(json!({"k0": 1}))).unwrap();
    grow(1).unwrap();
}

fn with_metadata(metadata: serde_json::Value) -> UpdateRequest {
    UpdateRequest { metadata: metadata.as_object().cloned(), ..UpdateRequest::default() }
}

fn metadata_changes_at_once_lose_nothing() {
    let world = world();
    let id = add(&world, note("ana", "My dog Nori lives in Lisbon."));
    let (writers, changes) = (6, 8);
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let world = &world;
            scope.spawn(move || {
                for change in 0..changes {
                    world.update(id, &with_metadata(json!({format!("w{writer}c{change}"): change}))).unwrap();
                }
            });
        }
    });
    assert_eq!(world.get(id).unwrap().payload.metadata().count(), writers * changes);
    // What replaces is as much one change: of several at once, one is left whole.
    let only = |n: usize| UpdateRequest {
        metadata_mode: MetadataMode::Replace(|_, key, _| key == "w0c0"),
        ..with_metadata(json!({"a": n, "b": n}))
    };
    std::thread::scope(|scope| {
        for n in 0..writers {
            let (world, only) = (&world, &only);
            scope.spawn(move || world.update(id, &only(n)).unwrap());
        }
    });
    let memory = world.get(id).unwrap();
    let mut keys: Vec<&String> = memory.payload.metadata().map(|(key, _)| key).collect();
    keys.sort();
    assert_eq!(keys, ["a", "b", "w0c0"]);
    assert_eq!(memory.payload.as_map()["a"], memory.payload.as_map()["b"]);
    check_store(&world);
}

fn a_batch_is_one_change() {
    let world = world();
    let lines = ["We met at the harbour.", "Then it rained.", "A taxi took us home.", "The driver sang.", "We slept."];
    let request = AddRequest { messages: lines.map(user_message).into(), ..note("ana", "") };
    let mut ids: Vec<MemoryId> = world.add(request).unwrap().iter().map(|added| added.id).collect();
    ids.push(add(&world, note("ben", "I like tea.")));
    let text = |text: &str| UpdateRequest { text: Some(text.into()), ..UpdateRequest::default() };
    let missing = MemoryId::random();
    let refused = [
        (missing, text("Nobody reads this.")),
        (ids[1], text(" ")),
        (ids[1], with_metadata(json!({"user_id": "ben"}))),
        (ids[1], with_metadata(json!({"AND": 1}))),
    ];
    for refused in refused {
        let changes = [(ids[0], text("We met in the museum.")), refused, (ids[5], text("I like coffee."))];
        assert!(world.update_batch(&changes).is_err());
        assert_eq!(world.get(ids[0]).unwrap().payload.text(), lines[0]);
        assert_eq!(world.get(ids[5]).unwrap().payload.text(), "I like tea.");
    }
    // Neighbours in a session, two owners, and one memory twice.
    let changes = [
        (ids[0], text("We met in the museum.")),
        (ids[1], text("Then we had lunch.")),
        (ids[3], with_metadata(json!({"a": 1, "b": 1}))),
        (ids[5], text("I like coffee.")),
        (ids[3], with_metadata(json!({"b": 2}))),
        (ids[0], with_metadata(json!({"place": "museum"}))),
    ];
    let updated = world.update_batch(&changes).unwrap();
    assert_eq!(updated.iter().map(|memory| memory.id).collect::<Vec<_>>(), [ids[0], ids[1], ids[3], ids[5]]);
    for memory in &updated {
        assert_eq!(&world.get(memory.id).unwrap(), memory);
    }
    let of = |id| world.get(id).unwrap().payload;
    assert_eq!((of(ids[0]).text(), &of(ids[0]).as_map()["place"]), ("We met in the museum.", &json!("museum")));
    assert_eq!((&of(ids[3]).as_map()["a"], &of(ids[3]).as_map()["b"]), (&json!(1), &json!(2)));
    assert_eq!(world.history(ids[3]).unwrap().len(), 2);
    // The contexts are those of the new texts: the check counts them again.
    check_store(&world);
    assert!(world.delete_batch(&[ids[0], missing]).is_err());
    assert!(world.get(ids[0]).is_ok());
    world.delete_batch(&[ids[0], ids[2], ids[2], ids[5]]).unwrap();
    assert_eq!(world.store().info().unwrap().memories, 3);
    check_store(&world);
}

fn invalid_updates_are_rejected() {
    let world = world();
    let id = add(&world, note("ana", "Something."));
    let before = world.get(id).unwrap();
    let reserved = json!({"user_id": "ben"}).as_object().unwrap().clone();
    for request in [
        UpdateRequest::default(),
        UpdateRequest { text: Some(String::new()), ..UpdateRequest::default() },
        UpdateRequest { text: Some(" \n".into()), ..UpdateRequest::default() },
        UpdateRequest { metadata: Some(reserved), ..UpdateRequest::default() },
    ] {
        let error = world.update(id, &request).unwrap_err();
        assert!(matches!(error, EngineError::Invalid(_)), "{error}");
    }
    assert_eq!(world.get(id).unwrap(), before);
    let request = UpdateRequest { text: Some("x".into()), ..UpdateRequest::default() };
    let missing = MemoryId::random();
    let error = world.update(missing, &request).unwrap_err();
    assert!(matches!(error, EngineError::Store(StoreError::NotFound(id)) if id == missing));
    assert!(matches!(world.delete(missing), Err(EngineError::Store(StoreError::NotFound(_)))));
}
