//! Adding: invalid requests, stored properties, links and duplicates.

use mnemon_engine::{AddRequest, EngineError, MAX_TEXT_BYTES, Message};
use mnemon_store::{MemoryId, Role, Scope, StoreError};
use serde_json::json;

use crate::fixture::{World, add, check_store, note, user, user_message, world};

tests!(
    invalid_requests_are_rejected_as_a_whole,
    a_memory_is_stored_with_all_properties,
    links_to_other_owners_are_rejected,
    duplicates_are_skipped_on_request,
    delete_all_deletes_and_counts_a_scope
);

fn check_empty(world: &World) {
    let info = world.store().info().unwrap();
    assert_eq!((info.memories, info.history, info.entities, info.links), (0, 0, 0, 0));
}

fn invalid_requests_are_rejected_as_a_whole() {
    let world = world();
    let with = |change: &dyn Fn(&mut AddRequest)| {
        let mut request = note("ana", "first a good one");
        request.messages.push(user_message("and another"));
        change(&mut request);
        request
    };
    let deep = (0..120).fold(json!(1), |inner, _| json!([inner]));
    let cases: [(&str, AddRequest); 10] = [
        ("no scope", with(&|request| request.scope = Scope::default())),
        ("no messages", with(&|request| request.messages.clear())),
        ("too long", with(&|request| request.messages[1].content = "x".repeat(MAX_TEXT_BYTES + 1))),
        ("no role", with(&|request| request.messages[1].role = " ".into())),
        ("blank session", with(&|request| request.session = Some(" ".into()))),
        ("user_id in metadata", with(&|request| drop(request.metadata.insert("user_id".into(), json!("ben"))))),
        ("data in metadata", with(&|request| drop(request.metadata.insert("data".into(), json!("x"))))),
        ("created_at in metadata", with(&|request| drop(request.metadata.insert("created_at".into(), json!("x"))))),
        ("deep metadata", with(&|request| drop(request.metadata.insert("deep".into(), deep.clone())))),
        ("a link to a missing memory", with(&|request| request.links = vec![(MemoryId::Number(1), "related".into())])),
    ];
    for (case, request) in cases {
        let error = world.add(request.clone()).unwrap_err();
        assert!(error.is_callers_error(), "{case}: {error}");
        // In a batch with valid requests, none is stored.
        assert!(world.add_batch(&[note("ana", "a good one"), request]).is_err(), "{case}");
        check_empty(&world);
    }
    add(&world, note("ana", &"x ".repeat(MAX_TEXT_BYTES / 2)));
}

fn a_memory_is_stored_with_all_properties() {
    let world = world();
    let request = AddRequest {
        scope: Scope::new(Some("ana"), Some("coach"), Some("r1")).unwrap(),
        messages: vec![
            Message { role: Role::System, content: "Be kind.".into(), ..Message::default() },
            Message { name: Some(" Ana ".into()), ..user_message("My dog Nori lives in Lisbon.") },
            Message { role: Role::Assistant, ..user_message("A fine city!") },
        ],
        metadata: json!({"topic": "dogs", "nested": {"a": [1, 2]}}).as_object().unwrap().clone(),
        expiration_date: Some("2999-01-01".parse().unwrap()),
        ..AddRequest::default()
    };
    let added = world.add(request).unwrap();
    assert_eq!(added.len(), 2, "system messages are not stored");
    assert_eq!((added[0].memory.as_str(), &added[0].role), ("My dog Nori lives in Lisbon.", &Role::User));
    assert_eq!(added[0].actor_id.as_deref(), Some("Ana"));
    assert_eq!(added[1].actor_id, None);
    let memory = world.get(added[0].id).unwrap();
    let payload = &memory.payload;
    assert_eq!(payload.scope(), Scope::new(Some("ana"), Some("coach"), Some("r1")).unwrap());
    assert_eq!(payload.str("hash"), Some("1ff680a8484d0c94fc7c00b039eb0361"));
    assert_eq!(payload.str("created_at"), payload.str("updated_at"));
    assert_eq!(payload.str("expiration_date"), Some("2999-01-01"));
    assert_eq!(payload.metadata().count(), 2);
    assert!(payload.str("text_lemmatized").unwrap().contains("nori"));
    let history = world.history(added[0].id).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].event.as_str(), history[0].actor_id.as_deref()), ("ADD", Some("Ana")));
    assert_eq!(history[0].new_memory.as_deref(), Some("My dog Nori lives in Lisbon."));
    let detail = world.detail(added[0].id).unwrap();
    assert!(detail.entities.iter().any(|entity| entity.text() == "Nori" || entity.text() == "Lisbon"), "{detail:?}");
    assert_eq!(
        world
            .add(AddRequest {
                messages: vec![Message { role: Role::System, ..user_message("Only this.") }],
                ..note("ana", "")
            })
            .unwrap(),
        []
    );
    check_store(&world);
}

fn links_to_other_owners_are_rejected() {
    let world = world();
    let own = add(&world, note("ana", "My sister lives in Riga."));
    let foreign = add(&world, note("ben", "My sister lives in Oslo."));
    let narrower = add(
        &world,
        AddRequest { scope: Scope::new(Some("ana"), Some("coach"), None).unwrap(), ..note("ana", "Ana runs.") },
    );
    for target in [foreign, MemoryId::random()] {
        let request =
            AddRequest { links: vec![(own, "related".into()), (target, "related".into())], ..note("ana", "x") };
        let error = world.add(request).unwrap_err();
        assert!(matches!(&error, EngineError::Store(StoreError::NotFound(id)) if *id == target), "{error}");
    }
    assert_eq!(world.store().info().unwrap().links, 0);
    let links = vec![(own, "related".into()), (own, "supersedes".into()), (narrower, "related".into())];
    let new = add(&world, AddRequest { links, ..note("ana", "My sister moved to Tallinn.") });
    assert_eq!(world.detail(new).unwrap().links.len(), 3);
    assert_eq!(world.detail(own).unwrap().links.len(), 2);
    world.delete(own).unwrap();
    assert_eq!(world.detail(new).unwrap().links.len(), 1);
    assert_eq!(world.detail(narrower).unwrap().links[0].source, new);
    check_store(&world);
}

fn duplicates_are_skipped_on_request() {
    let world = world();
    let again = || AddRequest { skip_duplicates: true, ..note("ana", "I like tea.") };
    assert_eq!(world.add(again()).unwrap().len(), 1);
    assert_eq!(world.add(again()).unwrap(), []);
    assert_eq!(world.add(note("ana", "I like tea.")).unwrap().len(), 1, "without the option");
    let other = Scope::new(Some("ana"), Some("coach"), None).unwrap();
    assert_eq!(world.add(AddRequest { scope: other, ..again() }).unwrap().len(), 1, "another scope");
    let twice =
        AddRequest { messages: vec![user_message("Two."), user_message("Two."), user_message("Three.")], ..again() };
    assert_eq!(world.add(twice).unwrap().len(), 2);
    let batch = world
        .add_batch(&[note("ana", "Four."), AddRequest { messages: vec![user_message("Four.")], ..again() }])
        .unwrap();
    assert_eq!((batch[0].len(), batch[1].len()), (1, 0));
    let past = Some("2001-01-01".parse().unwrap());
    add(&world, AddRequest { expiration_date: past, ..note("ana", "It rains.") });
    let again_expired = AddRequest { messages: vec![user_message("It rains.")], ..again() };
    assert_eq!(world.add(again_expired.clone()).unwrap().len(), 1, "an expired memory is not a duplicate");
    assert_eq!(world.add(again_expired).unwrap(), [], "a visible one is");
}

fn delete_all_deletes_and_counts_a_scope() {
    let world = world();
    for number in 0..5 {
        add(&world, note("ana", &format!("Ana's note {number}.")));
    }
    let past = Some("2001-01-01".parse().unwrap());
    add(&world, AddRequest { expiration_date: past, ..note("ana", "It rains.") });
    let kept = add(&world, note("ben", "Ben's note."));
    assert!(world.delete_all(&Scope::default()).is_err());
    assert_eq!(world.delete_all(&user("ana")).unwrap(), 6);
    assert_eq!(world.delete_all(&user("ana")).unwrap(), 0);
    assert_eq!(world.stats(&user("ana")).unwrap().memories, 0);
    assert!(world.get(kept).is_ok());
    assert_eq!(world.store().info().unwrap().history, 13);
    check_store(&world);
}
