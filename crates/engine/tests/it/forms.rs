//! Ids, filters and words in several Unicode forms; terms of older versions.

use std::collections::BTreeSet;

use mnemon_engine::{AddRequest, Engine, ForeignPoint, ListRequest, SearchRequest, UpdateRequest, enrich};
use mnemon_store::{Change, ChangeSet, Filter, MemoryId, OwnerKind, Payload, Scope, TERMS_VERSION, TermsState};
use serde_json::json;

use crate::fixture::{World, add, by_user, filter, note, search, user, world};

tests!(
    forms_of_an_id_are_one_owner,
    width_forms_are_different_owners,
    forms_of_a_stored_owner_find_it,
    forms_that_are_stored_stay_apart_until_they_are_joined,
    writes_while_owners_are_joined_are_kept,
    texts_in_filters_are_compared_in_nfc,
    old_terms_are_made_again_in_batches
);

/// The same ids, composed and decomposed.
const IDS: [[&str; 2]; 5] = [
    ["jos\u{e9}", "jose\u{301}"],
    ["\u{c5}sa-Zo\u{eb}", "A\u{30a}sa-Zoe\u{308}"],
    ["\u{d55c}\u{b098}", "\u{1112}\u{1161}\u{11ab}\u{1102}\u{1161}"],
    ["nguy\u{1ec5}n", "nguye\u{302}\u{303}n"],
    ["\u{304c}\u{304e}", "\u{304b}\u{3099}\u{304d}\u{3099}"],
];

fn count(engine: &Engine, filter: Filter) -> usize {
    engine.list(&ListRequest { filter: Some(filter), limit: 100, ..ListRequest::default() }).unwrap().total
}

fn forms_of_an_id_are_one_owner() {
    for key in ["user_id", "agent_id", "run_id"] {
        let world = world();
        for (number, [composed, decomposed]) in IDS.into_iter().enumerate() {
            let forms = [composed, decomposed, composed];
            for (turn, id) in forms.into_iter().enumerate() {
                let ids = ["user_id", "agent_id", "run_id"].map(|other| (other == key).then_some(id));
                let scope = Scope::new(ids[0], ids[1], ids[2]).unwrap();
                let text = format!("The zebra {number} likes plum {turn}.");
                add(&world, AddRequest { scope, ..note("x", &text) });
            }
            for id in forms {
                let by_id = filter(json!({key: id}));
                assert_eq!(count(&world, by_id.clone()), 3, "{key} {id:?}");
                assert_eq!(world.search(&SearchRequest::new("zebra", by_id.clone())).unwrap().hits.len(), 3);
                let either = filter(json!({"OR": [{key: composed}, {key: decomposed}]}));
                assert_eq!(count(&world, either), 3);
                let ids = ["user_id", "agent_id", "run_id"].map(|other| (other == key).then_some(id));
                let scope = Scope::new(ids[0], ids[1], ids[2]).unwrap();
                assert_eq!(world.stats(&scope).unwrap().memories, 3);
            }
            let owners = world.owners(None).unwrap();
            assert!(
                owners.iter().any(|owner| owner.id == composed) && owners.iter().all(|owner| owner.id != decomposed)
            );
        }
        for [composed, decomposed] in IDS {
            assert_eq!(world.delete_matching(&filter(json!({key: decomposed}))).unwrap(), 3);
            assert_eq!(count(&world, filter(json!({key: composed}))), 0);
        }
    }
}

fn width_forms_are_different_owners() {
    let world = world();
    for id in ["ana", "\u{ff41}na", "fin", "\u{fb01}n", "1", "\u{2460}"] {
        add(&world, note(id, "A text."));
    }
    let owners: BTreeSet<String> = world.owners(None).unwrap().into_iter().map(|owner| owner.id).collect();
    assert_eq!(owners.len(), 6);
    for id in owners {
        assert_eq!(count(&world, by_user(&id)), 1, "{id:?}");
    }
}

/// Stores a memory as an older version did: with the id as it was given.
fn store_as_given(world: &World, id: &str, text: &str) -> MemoryId {
    let mut payload = Payload::default();
    payload.set("data", text);
    payload.set("user_id", id);
    let memory = MemoryId::random();
    let mut record = enrich(vec![ForeignPoint { id: memory, payload, vector: vec![0.1; 256] }]).remove(0);
    record.mentions.clear();
    let changes = vec![Change::Insert(Box::new(record))];
    world.store().apply(&ChangeSet { expected: Vec::new(), changes }).unwrap();
    memory
}

fn forms_of_a_stored_owner_find_it() {
    for [composed, decomposed] in IDS {
        for stored in [composed, decomposed] {
            let world = world();
            store_as_given(&world, stored, "The zebra likes plums.");
            for asked in [composed, decomposed] {
                assert_eq!(search(&world, asked, "zebra").len(), 1, "{stored:?} {asked:?}");
            }
            for asked in [composed, decomposed] {
                add(&world, note(asked, "Another zebra."));
            }
            assert_eq!(count(&world, by_user(composed)), 3);
            assert_eq!(world.owners(None).unwrap().len(), 1);
        }
    }
}

fn forms_that_are_stored_stay_apart_until_they_are_joined() {
    let [composed, decomposed] = IDS[0];
    let world = world();
    let first = store_as_given(&world, composed, "The zebra likes plums.");
    let second = store_as_given(&world, decomposed, "Anna likes zebra pears.");
    for (id, memory) in [(composed, first), (decomposed, second)] {
        let hits = search(&world, id, "zebra");
        assert_eq!(hits.iter().map(|hit| hit.memory.id).collect::<Vec<_>>(), [memory], "{id:?}");
    }
    let forms = world.owners_in_several_forms().unwrap();
    assert_eq!(forms.len(), 1);
    assert_eq!((forms[0].len(), forms[0][0].kind), (2, OwnerKind::User));
    assert_eq!(world.join_owners().unwrap(), 1);
    assert!(world.owners_in_several_forms().unwrap().is_empty());
    for id in [composed, decomposed] {
        assert_eq!(search(&world, id, "zebra").len(), 2, "{id:?}");
    }
    assert_eq!(world.get(second).unwrap().payload.scope(), user(composed));
    assert_eq!(world.store().check().unwrap(), []);
}

/// Other writers change and delete memories of the owner while it is joined.
fn writes_while_owners_are_joined_are_kept() {
    let [composed, decomposed] = IDS[0];
    let world = world();
    store_as_given(&world, composed, "The first text.");
    let ids: Vec<MemoryId> =
        (0..60).map(|number| store_as_given(&world, decomposed, &format!("Plum {number} of Anna."))).collect();
    let other = world.another();
    let (joined, deleted) = std::thread::scope(|threads| {
        let write = || {
            let mut deleted = BTreeSet::new();
            for (number, id) in ids.iter().enumerate() {
                if number % 3 == 0 {
                    other.delete(*id).unwrap();
                    deleted.insert(*id);
                } else {
                    let text = Some(format!("Pear {number} of Boris."));
                    other.update(*id, &UpdateRequest { text, ..UpdateRequest::default() }).unwrap();
                }
            }
            deleted
        };
        let writer = threads.spawn(write);
        let mut joined = 0;
        while !writer.is_finished() {
            joined += world.join_owners().unwrap();
        }
        (joined + world.join_owners().unwrap(), writer.join().unwrap())
    });
    assert!(joined > 0 && joined <= ids.len(), "{joined}");
    for (number, id) in ids.iter().enumerate() {
        match world.store().get(&[*id]).unwrap().pop().flatten() {
            None => assert!(deleted.contains(id), "{number} is lost"),
            Some(memory) => {
                assert!(!deleted.contains(id), "{number} was deleted and is back");
                assert_eq!(memory.payload.text(), format!("Pear {number} of Boris."));
                assert_eq!(memory.payload.scope(), user(composed));
            }
        }
    }
    assert_eq!(world.store().check().unwrap(), []);
}

fn texts_in_filters_are_compared_in_nfc() {
    let world = world();
    for [composed, decomposed] in IDS {
        for stored in [composed, decomposed] {
            let metadata = json!({"city": stored, "tags": [stored, "x"]}).as_object().unwrap().clone();
            let id = add(&world, AddRequest { metadata, ..note("ana", &format!("In {stored}.")) });
            for asked in [composed, decomposed] {
                for condition in [
                    json!({"city": asked}),
                    json!({"city": {"in": [asked, "elsewhere"]}}),
                    json!({"city": {"contains": asked}}),
                    json!({"city": {"icontains": asked}}),
                    json!({"tags": {"contains": asked}}),
                    json!({"NOT": [{"city": {"ne": asked}}]}),
                ] {
                    let filter = by_user("ana").and(filter(condition.clone()));
                    let page = world
                        .list(&ListRequest { filter: Some(filter), limit: 100, ..ListRequest::default() })
                        .unwrap();
                    assert!(page.items.iter().any(|memory| memory.id == id), "{stored:?} {condition}");
                }
            }
        }
    }
}

fn old_terms_are_made_again_in_batches() {
    assert_eq!(TERMS_VERSION, mnemon_text::analysis::VERSION);
    let world = world();
    assert_eq!(world.reindex_progress().unwrap(), None, "a new store is current");
    let id = add(&world, note("ana", "我的猫叫米索"));
    for number in 0..450 {
        add(&world, AddRequest { unordered: true, ..note("ben", &format!("Number {number}")) });
    }
    // As a store of the first version: without a record, and with its terms.
    let old = mnemon_text::analysis::first_terms("我的猫叫米索");
    let counts = BTreeSet::from_iter(old).into_iter();
    let counts = counts.map(|term| mnemon_store::TermCount { term, in_text: 1, in_context: 1 }).collect::<Vec<_>>();
    let terms = mnemon_store::Terms { text_len: counts.len() as u32, context_len: counts.len() as u32, counts };
    world.store().apply(&ChangeSet { expected: Vec::new(), changes: vec![Change::SetTerms(id, terms)] }).unwrap();
    world.store().set_terms_state(&TermsState { version: 1, cursor: None, done: 0 }).unwrap();
    let text_of = |query: &str| {
        let request = SearchRequest { explain: true, ..SearchRequest::new(query, by_user("ana")) };
        world.search(&request).unwrap().hits.first().map_or(0.0, |hit| hit.explanation.as_ref().unwrap().bm25())
    };
    assert!(text_of("米索") > 0.0, "old terms are found meanwhile");
    assert_eq!(text_of("猫"), 0.0);
    assert!(world.reindex_batch().unwrap());
    let progress = world.reindex_progress().unwrap().unwrap();
    assert_eq!((progress.done, progress.total), (200, 451));
    // Another process continues.
    let other = world.another();
    assert!(other.reindex_batch().unwrap());
    assert!(!other.reindex_batch().unwrap());
    assert_eq!(world.reindex_progress().unwrap(), None);
    assert!(text_of("猫") > 0.0 && text_of("米索") > 0.0);
    assert!(!world.reindex_batch().unwrap());
}
