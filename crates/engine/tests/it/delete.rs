//! Deleting by filter: whole sessions, parts of sessions, and all memories.

use mnemon_engine::{AddRequest, Message};
use mnemon_store::filter::ScopeKey;
use mnemon_store::{Filter, MemoryId, Scope, StoreError};
use serde_json::json;

use crate::fixture::{World, add, by_user, check_store, filter, note, search, user, user_message, world};

tests!(
    contexts_are_recounted_after_partial_deletes,
    delete_matching_covers_all_owners,
    concurrent_adds_are_not_lost,
    the_scope_of_a_deleted_memory_is_known
);

/// Adds a session of lines with tags.
fn add_session(world: &World, owner: &str, lines: &[(&str, &str)]) -> Vec<MemoryId> {
    let one = |(number, (text, tag)): (usize, &(&str, &str))| {
        let timestamp = Some(format!("2024-05-01T10:{number:02}:00Z").parse().unwrap());
        let messages = vec![Message { timestamp, ..user_message(text) }];
        let metadata = json!({"tag": tag}).as_object().unwrap().clone();
        AddRequest { messages, metadata, session: Some("trip".into()), ..note(owner, "") }
    };
    lines.iter().enumerate().map(one).map(|request| add(world, request)).collect()
}

fn scores(world: &World, owner: &str) -> Vec<(String, f32)> {
    let questions = ["museum Porto", "sardines", "What happened after the taxi?", "Kenya", "driver", "rain"];
    let mut scores: Vec<(String, f32)> = Vec::new();
    for question in questions {
        let mut hits: Vec<_> = search(world, owner, question)
            .into_iter()
            .map(|hit| (hit.memory.payload.text().to_owned(), hit.score))
            .collect();
        hits.sort_by(|a, b| a.0.cmp(&b.0));
        scores.extend(hits);
    }
    scores
}

const LINES: [&str; 9] = [
    "We went to the museum in Porto.",
    "The paintings were from Holland.",
    "Afterwards we had lunch by the river.",
    "I had sardines, and Tom had soup.",
    "Then it rained for hours.",
    "So we took a taxi home.",
    "The driver knew my uncle.",
    "He is from Kenya too.",
    "We talked until midnight.",
];

/// The remaining memories of a session have the same scores as in a session without the deleted ones.
fn contexts_are_recounted_after_partial_deletes() {
    for tags in ["xoooooooo", "oxxoooooo", "ooxoxoxoo", "oooxxxxoo", "xxxxxxxox", "ooooooxxx", "oxooooooo"] {
        let lines: Vec<(&str, &str)> = LINES.iter().enumerate().map(|(at, line)| (*line, &tags[at..=at])).collect();
        let remaining: Vec<(&str, &str)> = lines.iter().filter(|line| line.1 == "o").copied().collect();
        let (world, fresh) = (world(), world());
        for owner in ["ana", "ben"] {
            add_session(&world, owner, &lines);
            add_session(&fresh, owner, &remaining);
        }
        // Builds the index in memory, which the deletion must update.
        scores(&world, "ana");
        let deleted = world.delete_matching(&filter(json!({"tag": "x"}))).unwrap();
        assert_eq!(deleted, 2 * (lines.len() - remaining.len()));
        let other = world.another();
        for owner in ["ana", "ben"] {
            let (changed, built) = (scores(&world, owner), scores(&fresh, owner));
            assert_eq!(changed.len(), built.len());
            for (one, two) in changed.iter().zip(&built) {
                assert_eq!(one.0, two.0);
                assert!((one.1 - two.1).abs() < 1e-5, "{tags}: {one:?} and {two:?}");
            }
            assert_eq!(search(&other, owner, "Kenya").len(), remaining.len());
        }
        assert_eq!(world.delete_matching(&filter(json!({"tag": "x"}))).unwrap(), 0);
        check_store(&world);
    }
}

fn delete_matching_covers_all_owners() {
    let world = world();
    let scope = |user, agent| Scope::new(user, agent, None).unwrap();
    for (user, agent) in [(Some("ana"), None), (Some("ana"), Some("coach")), (Some("ben"), Some("coach"))] {
        for colour in ["red", "blue"] {
            let metadata = json!({"colour": colour}).as_object().unwrap().clone();
            add(&world, AddRequest { scope: scope(user, agent), metadata, ..note("ana", "A note of Maria Silva.") });
        }
    }
    let past = Some("2001-01-01".parse().unwrap());
    add(&world, AddRequest { scope: scope(None, Some("coach")), expiration_date: past, ..note("ana", "Expired.") });
    let red = Filter::eq("colour", "red").unwrap();
    assert_eq!(world.delete_matching(&by_user("ana").and(red.clone())).unwrap(), 2);
    assert_eq!(world.delete_matching(&filter(json!({"user_id": "ana", "agent_id": "coach"}))).unwrap(), 1);
    assert_eq!(world.delete_matching(&!Filter::has_scope(ScopeKey::User)).unwrap(), 1, "expired ones too");
    assert_eq!(world.delete_matching(&red).unwrap(), 1);
    assert_eq!(world.stats(&user("ana")).unwrap().memories, 1);
    assert_eq!(world.delete_matching(&Filter::has_scope(ScopeKey::Agent)).unwrap(), 1);
    assert_eq!(world.store().info().unwrap().memories, 1);
    assert_eq!((world.reset().unwrap(), world.reset().unwrap()), (1, 0));
    let info = world.store().info().unwrap();
    assert_eq!((info.memories, info.entities, info.history), (0, 0, 14));
    assert!(matches!(
        world.delete_all(&Scope::default()),
        Err(mnemon_engine::EngineError::Store(StoreError::InvalidScope(_)))
    ));
    check_store(&world);
}

/// With writers of this process and of another one.
fn concurrent_adds_are_not_lost() {
    const ROUNDS: usize = 15;
    let world = world();
    let other = world.another();
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let engine = if thread % 2 == 0 { &world.engine } else { &other };
            threads.spawn(move || {
                for number in 0..ROUNDS {
                    for tag in ["x", "o"] {
                        let metadata = json!({"tag": tag}).as_object().unwrap().clone();
                        let text = format!("Line {number} of thread {thread}, by Captain Haddock.");
                        let owner = ["ana", "ben", "cleo"][number % 3];
                        add(engine, AddRequest { metadata, session: Some("s".into()), ..note(owner, &text) });
                    }
                }
            });
        }
        threads.spawn(|| {
            for _ in 0..ROUNDS {
                world.delete_matching(&filter(json!({"tag": "x"}))).unwrap();
                other.delete_matching(&by_user("cleo").and(filter(json!({"tag": "x"})))).unwrap();
            }
        });
    });
    world.delete_matching(&filter(json!({"tag": "x"}))).unwrap();
    let info = world.store().info().unwrap();
    assert_eq!((info.memories, info.history), (4 * ROUNDS, 12 * ROUNDS));
    check_store(&world);
    // The contexts equal those of a new count.
    let before: Vec<_> = ["ana", "ben", "cleo"].map(|owner| scores(&world, owner)).into();
    let mut bytes = Vec::new();
    world.export(&mut bytes, &mut |_| {}).unwrap();
    let fresh = crate::fixture::world();
    let path = fresh.folder.path().join("export");
    std::fs::write(&path, bytes).unwrap();
    crate::fixture::import(&fresh, &path).unwrap();
    let after: Vec<_> = ["ana", "ben", "cleo"].map(|owner| scores(&fresh, owner)).into();
    assert_eq!(before, after);
}

fn the_scope_of_a_deleted_memory_is_known() {
    let world = world();
    let scope = Scope::new(Some("ana"), None, Some("r-1")).unwrap();
    let past = Some("2001-01-01".parse().unwrap());
    let deleted = add(&world, AddRequest { scope: scope.clone(), ..note("ana", "It is deleted.") });
    let swept = add(&world, AddRequest { expiration_date: past, ..note("ben", "It is swept away.") });
    let expired = add(&world, AddRequest { expiration_date: past, ..note("cleo", "It expired.") });
    world.delete(deleted).unwrap();
    world.delete_matching(&by_user("ben")).unwrap();
    assert_eq!(world.scope_of(deleted).unwrap(), Some(scope.clone()));
    assert_eq!(world.scope_of(swept).unwrap(), Some(user("ben")));
    assert_eq!(world.scope_of(expired).unwrap(), Some(user("cleo")));
    assert_eq!(world.scope_of(MemoryId::Number(404)).unwrap(), None);
    let events = world.history(deleted).unwrap();
    assert!(events.len() == 2 && events.iter().all(|event| event.scope == scope));
    let owners: Vec<_> = world.owners(None).unwrap().into_iter().map(|owner| owner.id).collect();
    assert_eq!(owners, ["cleo"]);
    assert_eq!(world.owners(Some("cleo")).unwrap(), world.owners(None).unwrap());
    assert_eq!(world.owners(Some("ana")).unwrap(), []);
}
