//! Updates: changed and unchanged properties.

use mnemon_engine::{AddRequest, EngineError, Message, UpdateRequest};
use mnemon_store::{MemoryId, Scope, StoreError};
use serde_json::json;

use crate::fixture::{add, check_store, note, search, user_message, world};

tests!(a_text_update_keeps_the_origin, metadata_updates_keep_the_text, invalid_updates_are_rejected);

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
    let own: Vec<String> = after.payload.metadata().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(own, ["n=2", "new=true"]);
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
