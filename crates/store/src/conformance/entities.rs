//! Stories of entities: joined by name within a scope, removed with the last memory that mentions them.

use super::fixture::{DIMS, Open, apply, assert_consistent, id, insert, mention, plain, scope, unit, user};
use crate::{Change, Entity, Filter, MemoryId, Payload, Record, Scope, Store, StoreError, keys};

fn mentioning(number: u32, owner: &Scope, names: &[(&str, usize)]) -> Record {
    let mut record = plain(number, owner, &format!("text {number}"));
    record.mentions = names.iter().map(|&(name, axis)| mention(name, axis)).collect();
    record
}

fn entities_of(store: &dyn Store, number: u32) -> Vec<(String, usize)> {
    let mut found: Vec<_> = store
        .entities_of(id(number))
        .unwrap()
        .into_iter()
        .map(|entity| (entity.text().to_owned(), entity.memories.len()))
        .collect();
    found.sort();
    found
}

pub(super) fn joined_within_the_exact_scope(open: Open<'_>) {
    let store = open();
    let (alone, with_agent) = (user("u1"), scope(Some("u1"), Some("a1"), None));
    insert(&*store, mentioning(1, &alone, &[("Zoë Müller", 0), ("Nori", 1)]));
    insert(&*store, mentioning(2, &alone, &[("ZOË MÜLLER", 2), ("nori", 3), ("Nori", 1)]));
    insert(&*store, mentioning(3, &with_agent, &[("Nori", 1)]));
    insert(&*store, mentioning(4, &user("u2"), &[("Nori", 1)]));
    assert_eq!(entities_of(&*store, 1), [("Nori".into(), 2), ("Zoë Müller".into(), 2)]);
    assert_eq!(entities_of(&*store, 2), entities_of(&*store, 1), "linked once, even if it is mentioned several times");
    assert_eq!(entities_of(&*store, 3), [("Nori".into(), 1)]);
    assert_eq!(entities_of(&*store, 4), [("Nori".into(), 1)]);
    let nori = store.entities_of(id(3)).unwrap().remove(0);
    assert_eq!(nori.kind(), "PROPER");
    assert_eq!(nori.payload.scope(), with_agent);
    assert_eq!(nori.vector, mention("Nori", 1).vector);
    assert_eq!(store.info().unwrap().entities, 4);
    assert_consistent(&*store);
}

pub(super) fn removed_with_their_last_memory(open: Open<'_>) {
    let store = open();
    let owner = user("u1");
    insert(&*store, mentioning(1, &owner, &[("Nori", 0), ("Rex", 1)]));
    insert(&*store, mentioning(2, &owner, &[("Nori", 0)]));
    apply(&*store, vec![Change::Remove(id(1))]).unwrap();
    assert_eq!(entities_of(&*store, 2), [("Nori".into(), 1)]);
    assert_eq!(store.info().unwrap().entities, 1);
    apply(&*store, vec![Change::Remove(id(2))]).unwrap();
    assert_eq!(store.info().unwrap().entities, 0);
    assert_eq!(store.entities_of(id(2)).unwrap(), []);
    // An inserted entity keeps its id, and more memories can be linked to it.
    insert(&*store, mentioning(3, &owner, &[]));
    insert(&*store, mentioning(4, &owner, &[]));
    let mut payload = Payload::default();
    payload.set(keys::DATA, "Nori");
    payload.set("entity_type", "QUOTED");
    payload.set("user_id", "u1");
    payload.set("extra", 7);
    let entity = Entity { id: MemoryId::Number(77), payload, vector: unit(vec![0.5; DIMS]), memories: vec![id(3)] };
    apply(&*store, vec![Change::InsertEntity(Box::new(entity.clone()))]).unwrap();
    let more = Entity { memories: vec![id(4)], ..entity.clone() };
    apply(&*store, vec![Change::InsertEntity(Box::new(more))]).unwrap();
    insert(&*store, mentioning(5, &owner, &[("NORI", 0)]));
    let found = store.entities_of(id(5)).unwrap();
    let mut memories = vec![id(3), id(4), id(5)];
    memories.sort_by_key(|id| found[0].memories.iter().position(|other| other == id));
    assert_eq!(found, [Entity { memories, ..entity }]);
    assert_consistent(&*store);
}

pub(super) fn surviving_a_replacement(open: Open<'_>) {
    let store = open();
    let owner = user("u1");
    insert(&*store, mentioning(1, &owner, &[("Nori", 0), ("Rex", 1)]));
    let before = store.entities_of(id(1)).unwrap();
    apply(&*store, vec![Change::Replace(Box::new(mentioning(1, &owner, &[("nori", 5), ("Max", 2)])))]).unwrap();
    let after = store.entities_of(id(1)).unwrap();
    assert_eq!(entities_of(&*store, 1), [("Max".into(), 1), ("Nori".into(), 1)]);
    assert_eq!(store.info().unwrap().entities, 2, "Rex was removed");
    let nori = |entities: &[Entity]| entities.iter().find(|entity| entity.text() == "Nori").cloned();
    assert_eq!(nori(&after), nori(&before), "Nori is the same entity");
    assert_consistent(&*store);
}

pub(super) fn near_entities_are_those_of_the_scope(open: Open<'_>) {
    let store = open();
    let (alone, with_agent) = (user("u1"), scope(Some("u1"), Some("a1"), None));
    insert(&*store, mentioning(1, &alone, &[("One", 0), ("Two", 1)]));
    insert(&*store, mentioning(2, &alone, &[("one", 0)]));
    insert(&*store, mentioning(3, &with_agent, &[("Three", 0)]));
    insert(&*store, mentioning(4, &user("u2"), &[("Four", 0)]));
    let mut between = vec![0.0; DIMS];
    between[0] = 3.0;
    between[1] = 4.0;
    let mut axis = vec![0.0; DIMS];
    axis[0] = 2.0;
    let near = |filter: &Filter, limit, min_score| -> Vec<Vec<(String, i32, usize)>> {
        let found = store.near_entities(filter, &[between.clone(), axis.clone()], limit, min_score).unwrap();
        let summary =
            |entity: crate::NearEntity| (entity.text, (entity.score * 100.0).round() as i32, entity.memories.len());
        let sorted = |list: Vec<crate::NearEntity>| {
            let mut list: Vec<_> = list.into_iter().map(summary).collect();
            list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.cmp(b)));
            list
        };
        found.into_iter().map(sorted).collect()
    };
    let by_user = Filter::eq("user_id", "u1").unwrap();
    let hit = |name: &str, score, links| (name.to_owned(), score, links);
    assert_eq!(
        near(&by_user, 99, 0.5),
        [
            vec![hit("Two", 80, 1), hit("One", 60, 2), hit("Three", 60, 1)],
            vec![hit("One", 100, 2), hit("Three", 100, 1)]
        ]
    );
    assert_eq!(near(&by_user, 1, 0.7)[0], [hit("Two", 80, 1)]);
    let by_both = by_user.clone().and(Filter::eq("agent_id", "a1").unwrap());
    assert_eq!(near(&by_both, 99, 0.5), [vec![hit("Three", 60, 1)], vec![hit("Three", 100, 1)]]);
    let contradiction = by_user.and(Filter::eq("user_id", "u2").unwrap());
    assert_eq!(near(&contradiction, 99, 0.0), [vec![], vec![]]);
    let unpinned = Filter::eq("colour", "red").unwrap();
    assert!(matches!(store.near_entities(&unpinned, &[axis.clone()], 9, 0.0), Err(StoreError::InvalidScope(_))));
}
