//! Stories of writes: atomic, serialized, and within their scope.

use super::fixture::{
    DIMS, Open, Random, apply, assert_consistent, contents, event, id, insert, mention, one, plain, scope, user,
};
use crate::filter::ScopeKey;
use crate::{Change, ChangeSet, EventKind, Filter, Link, MemoryId, Store, StoreError, Terms, View, run_search};

pub(super) fn change_sets_are_all_or_nothing(open: Open<'_>) {
    let store = open();
    let owner = user("u1");
    let mut first = plain(1, &owner, "the first");
    first.mentions = vec![mention("Nori", 0)];
    insert(&*store, first.clone());
    let filter = Filter::eq("user_id", "u1").unwrap();
    let view = View::new(&filter, None);
    let state_of = |store: &dyn Store| {
        let mut state = format!("{:?}", contents(store));
        state += &format!("{:?}", run_search(store, view, |reads| reads.nearest(&first.vector, 9)).unwrap());
        state += &format!("{:?}", run_search(store, view, |reads| reads.scope_stats(&[1, 2, 3])).unwrap());
        state + &format!("{:?}", store.scope_version(&owner).unwrap())
    };
    let before = state_of(&*store);
    let mut short = plain(9, &owner, "a vector too short");
    short.vector.pop();
    let mut not_a_number = plain(9, &owner, "a vector with NaN");
    not_a_number.vector[0] = f32::NAN;
    let mut bad_mention = plain(9, &owner, "an entity's vector too short");
    bad_mention.mentions = vec![mention("Nobody", 0)];
    bad_mention.mentions[0].vector = vec![1.0];
    let missing = MemoryId::Number(404);
    let last = [
        Change::Insert(Box::new(plain(2, &owner, "the second again"))),
        Change::Insert(Box::new(short)),
        Change::Insert(Box::new(not_a_number)),
        Change::Insert(Box::new(bad_mention)),
        Change::Replace(Box::new(plain(404, &owner, "not there"))),
        Change::Remove(missing),
        Change::SetTerms(missing, Terms::default()),
    ];
    for last in last {
        let change = format!("{last:?}");
        let link = Link { source: id(1), target: id(2), kind: "related".into(), created_at: "now".into() };
        let mut second = plain(2, &owner, "the second");
        second.mentions = vec![mention("Nori", 0), mention("Rex", 1)];
        let changes = vec![
            Change::Insert(Box::new(second)),
            Change::History(Box::new(event("h", id(2), EventKind::Add))),
            Change::Link(link),
            Change::SetTerms(id(1), Random(1).terms()),
            Change::Remove(id(1)),
            last,
        ];
        assert!(apply(&*store, changes).is_err(), "{change}");
        assert_eq!(state_of(&*store), before, "{change}");
        assert_eq!(state_of(&*open()), before, "{change}, reopened");
    }
    assert_consistent(&*store);
}

pub(super) fn an_outdated_version_is_a_conflict(open: Open<'_>) {
    let store = open();
    let (alone, with_agent, other) = (user("u1"), scope(Some("u1"), Some("a1"), None), user("u2"));
    let write = |owner: &crate::Scope, expected, number| {
        let changes = vec![Change::Insert(Box::new(plain(number, owner, "text")))];
        store.apply(&ChangeSet { expected: vec![(owner.clone(), expected)], changes })
    };
    let fresh = store.scope_version(&alone).unwrap();
    write(&alone, fresh, 1).unwrap();
    let error = write(&alone, fresh, 2).unwrap_err();
    assert!(matches!(error, StoreError::Conflict), "{error}");
    assert_eq!(one(&*store, id(2)), None);
    // A write to another user does not change the version; one to a narrower scope of the same user does.
    let version = store.scope_version(&alone).unwrap();
    write(&other, store.scope_version(&other).unwrap(), 3).unwrap();
    assert_eq!(store.scope_version(&alone).unwrap(), version);
    write(&with_agent, store.scope_version(&with_agent).unwrap(), 4).unwrap();
    assert_ne!(store.scope_version(&alone).unwrap(), version);
    // So do replacing, setting terms, and removing.
    let last = [
        Change::Replace(Box::new(plain(1, &alone, "new"))),
        Change::SetTerms(id(1), Terms::default()),
        Change::Remove(id(1)),
    ];
    for change in last {
        let version = store.scope_version(&alone).unwrap();
        apply(&*store, vec![change]).unwrap();
        assert_ne!(store.scope_version(&alone).unwrap(), version);
    }
}

pub(super) fn links_are_removed_with_their_memories(open: Open<'_>) {
    let store = open();
    for number in 1..=4 {
        insert(&*store, plain(number, &user("u1"), &format!("text {number}")));
    }
    let link = |source, target, kind: &str| Link {
        source: id(source),
        target: id(target),
        kind: kind.into(),
        created_at: "2024-01-01T00:00:00Z".into(),
    };
    let links = [
        link(1, 2, "related"),
        link(2, 1, "related"),
        link(1, 2, "supersedes"),
        link(3, 1, "related"),
        link(3, 4, "x"),
    ];
    for link in &links {
        apply(&*store, vec![Change::Link(link.clone())]).unwrap();
    }
    apply(&*store, vec![Change::Link(Link { created_at: "later".into(), ..links[0].clone() })]).unwrap();
    let mut expected = links.to_vec();
    let sorted = |mut links: Vec<Link>| {
        links.sort_by_key(|link| format!("{link:?}"));
        links
    };
    assert_eq!(sorted(contents(&*store).links), sorted(expected.clone()), "an existing link does not change");
    let of = |number: u32| -> Vec<Link> {
        links.iter().filter(|link| link.source == id(number) || link.target == id(number)).cloned().collect()
    };
    for number in 1..=4 {
        assert_eq!(sorted(store.links_of(id(number)).unwrap()), sorted(of(number)));
    }
    apply(&*store, vec![Change::Replace(Box::new(plain(1, &user("u1"), "new")))]).unwrap();
    assert_eq!(store.links_of(id(1)).unwrap().len(), 4, "links survive a change of the text");
    apply(&*store, vec![Change::Remove(id(1))]).unwrap();
    expected.retain(|link| link.source != id(1) && link.target != id(1));
    assert_eq!(contents(&*store).links, expected);
    assert_consistent(&*store);
}

pub(super) fn remove_matching_removes_all_matches_only(open: Open<'_>) {
    let eq = |key: &str, value: &str| Filter::eq(key, value).unwrap();
    let filter_sequences: [&[Option<Filter>]; 4] = [
        &[
            Some(eq("user_id", "u1").and(eq("agent_id", "a1")).and(eq("colour", "red"))),
            Some(eq("user_id", "u1").and(eq("agent_id", "a1"))),
            Some(eq("user_id", "u1").and(!eq("colour", "red"))),
            Some(eq("user_id", "u1")),
            Some(eq("run_id", "r2")),
        ],
        // None of these pins an id.
        &[
            Some(eq("colour", "red").and(Filter::has_scope(ScopeKey::Run))),
            Some(Filter::one_of("user_id", ["u1", "u2"]).unwrap().and(Filter::has_scope(ScopeKey::Agent))),
            Some(eq("user_id", "u1").or(eq("agent_id", "a2"))),
            Some(eq("colour", "blue")),
        ],
        &[Some(!Filter::has_scope(ScopeKey::User)), Some(Filter::has_scope(ScopeKey::User))],
        &[None],
    ];
    let now = "2025-06-01T00:00:00Z";
    let by_user = eq("user_id", "u1");
    let view = View::new(&by_user, None);
    for (seed, filters) in (5..).zip(filter_sequences) {
        let store = open();
        let mut random = Random(seed);
        let mut records = Vec::new();
        let before = store.info().unwrap().history;
        for number in 0..80 {
            let number = number + 100 * seed as u32;
            let mut record = random.record(id(number), number);
            record.mentions = vec![mention("Nori", 0), mention(&format!("Name {}", number % 9), 1)];
            let added = event(&format!("h{number}"), id(number), EventKind::Add);
            apply(&*store, vec![Change::Insert(Box::new(record.clone())), Change::History(Box::new(added))]).unwrap();
            records.push(record);
        }
        // Loads the index that the removals must update.
        assert!(!run_search(&*store, view, |reads| reads.nearest(&[1.0; DIMS], 99)).unwrap().is_empty());
        for filter in filters {
            let filter = filter.as_ref();
            let inside = |record: &crate::Record| filter.is_none_or(|f| f.matches(record.memory.payload.as_map()));
            let (removed, left): (Vec<_>, Vec<_>) = records.into_iter().partition(inside);
            records = left;
            let touched = removed.first().expect("something to remove").memory.payload.scope();
            let version = store.scope_version(&touched).unwrap();
            assert_eq!(store.remove_matching(filter, now).unwrap(), removed.len(), "{filter:?}");
            assert!(touched.is_empty() || store.scope_version(&touched).unwrap() != version);
            for record in &removed {
                let history = store.history(&record.memory.id.to_string()).unwrap();
                assert_eq!(history.len(), 2);
                assert!(
                    history[1].event == EventKind::Delete.into()
                        && history[1].is_deleted
                        && history[1].new_memory.is_none()
                );
                assert_eq!(history[1].old_memory.as_deref(), Some(record.memory.payload.text()));
                assert_eq!(history[1].updated_at.as_deref(), Some(now));
            }
            let left = contents(&*store);
            let memories: Vec<_> = left.memories.into_iter().map(|stored| stored.memory).collect();
            assert_eq!(memories, records.iter().map(|record| record.memory.clone()).collect::<Vec<_>>());
            let named: Vec<MemoryId> = left.entities.into_iter().flat_map(|entity| entity.memories).collect();
            assert_eq!(named.len(), 2 * records.len(), "each of the two names of each memory");
            let seen = run_search(&*store, view, |reads| reads.nearest(&[1.0; DIMS], 99)).unwrap().len();
            assert_eq!(seen, records.iter().filter(|r| by_user.matches(r.memory.payload.as_map())).count());
            let versions = store.scope_version(&touched).unwrap();
            assert_eq!(store.remove_matching(filter, now).unwrap(), 0);
            assert_eq!(store.scope_version(&touched).unwrap(), versions, "nothing was written");
            assert_consistent(&*store);
        }
        for unmatched in [eq("user_id", "nobody"), eq("user_id", "u1").and(eq("user_id", "u2")), eq("colour", "none")] {
            assert_eq!(store.remove_matching(Some(&unmatched), now).unwrap(), 0);
        }
        assert_eq!(store.info().unwrap().memories, records.len());
        store.remove_matching(None, now).unwrap();
        let info = open().info().unwrap();
        assert_eq!((info.memories, info.entities, info.links), (0, 0, 0));
        assert_eq!(info.history, before + 160);
    }
}
