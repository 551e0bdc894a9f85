//! Adds, updates and deletes on one side, seen on the other.

use mnemon_engine::{AddRequest, Profile};
use serde_json::{Value, json};

use super::{Both, USER, add_request, memory_id};

/// Memories that each thread, and mem0, adds concurrently.
const EACH: usize = 25;

pub(super) fn adds_are_seen(both: &mut Both<'_>) {
    assert_eq!(both.assert_equal_contents(), 0);
    let dog = both.add(USER, "My dog Nori loves the beach.", json!({"category": "pets", "n": 1, "tags": ["a", "b"]}));
    let flat = both.add(USER, "We moved to a flat in Lisbon.", json!({}));
    assert_eq!(both.assert_equal_contents(), 2);
    let got = both.mem0.ask(json!({"op": "get", "memory_id": dog}));
    assert_eq!(got["memory"], "My dog Nori loves the beach.");
    assert_eq!((&got["user_id"], &got["role"]), (&json!(USER), &json!("user")));
    assert_eq!(got["metadata"], json!({"category": "pets", "n": 1, "tags": ["a", "b"]}));
    assert_eq!(got["created_at"], got["updated_at"]);
    both.assert_found("What does my dog love?", &dog);
    both.assert_found("Which town did we move to?", &flat);

    let piano = both.mem0.add(USER, "I practise the piano each morning.", json!({"category": "music"}));
    both.assert_found("piano practise", &piano);
    let violin = both.mem0.add(USER, "My sister tunes her violin on Sundays.", json!({"category": "music"}));
    let memory = both.get(&violin).unwrap();
    assert_eq!(memory.payload.text(), "My sister tunes her violin on Sundays.");
    assert_eq!(memory.payload.as_map()["category"], "music");
    assert_eq!(memory.provenance.session, None);
    both.assert_found("Who tunes a violin?", &violin);
    assert_eq!(both.assert_equal_contents(), 4);
    both.reopen();
    assert_eq!(both.assert_equal_contents(), 4);
    both.assert_found("Who tunes a violin?", &violin);
    both.assert_found("What does my dog love?", &dog);
}

pub(super) fn updates_are_seen(both: &mut Both<'_>) {
    let before = both.assert_equal_contents();
    let ours = both.add(USER, "The bakery opens at seven.", json!({"category": "errands"}));
    let before_update = both.get(&ours).unwrap().provenance;
    assert!(before_update.session.is_some() && before_update.position.is_some(), "{before_update:?}");
    let text = "The harbour ferry leaves at noon.";
    both.mem0.ask(json!({"op": "update", "memory_id": ours, "text": text, "metadata": {"seen": true}}));
    let memory = both.get(&ours).unwrap();
    assert_eq!(memory.payload.text(), text);
    assert_eq!(memory.provenance, before_update, "the position in the session does not change");
    // mem0 2.0 drops metadata that the update does not contain, 2.2 keeps it.
    let kept = both.fixture.version != "2.0";
    assert_eq!(memory.payload.as_map().get("category").is_some(), kept);
    both.assert_found("When does the ferry leave?", &ours);
    assert_eq!(both.histories(&ours), [vec!["ADD"], vec!["UPDATE"]], "each history has the events of its own side");

    // The same with writes by mnemon between the update by mem0 and the next search.
    let text = "A glacier calved near the cabin.";
    both.mem0.ask(json!({"op": "update", "memory_id": ours, "text": text}));
    let between = both.add(USER, "The printer is out of toner.", json!({}));
    both.update(&between, "The printer has toner again.");
    both.assert_found("Did the glacier calve?", &ours);
    both.assert_found("printer toner", &between);

    let theirs = both.mem0.add(USER, "I water the tomatoes twice a week.", json!({"category": "garden"}));
    both.update(&theirs, "I feed the goldfish twice a week.");
    let got = both.mem0.ask(json!({"op": "get", "memory_id": theirs}));
    assert_eq!(got["memory"], "I feed the goldfish twice a week.");
    assert_eq!(got["metadata"], json!({"category": "garden"}));
    assert!(got["updated_at"].as_str() > got["created_at"].as_str(), "{got}");
    both.assert_found("Who feeds the goldfish?", &theirs);
    assert_eq!(both.histories(&theirs), [vec!["UPDATE"], vec!["ADD"]]);
    assert_eq!(both.assert_equal_contents(), before + 3);
}

pub(super) fn deletes_are_seen(both: &mut Both<'_>) {
    let before = both.assert_equal_contents();
    let ours = both.add(USER, "The umbrella is broken.", json!({}));
    let theirs = both.mem0.add(USER, "The kettle whistles loudly.", json!({}));
    assert_eq!(both.assert_equal_contents(), before + 2);
    both.mem0.ask(json!({"op": "delete", "memory_id": ours}));
    both.assert_not_found("broken umbrella", &ours);
    assert_eq!(both.assert_equal_contents(), before + 1);
    assert_eq!(both.histories(&ours), [vec!["ADD"], vec!["DELETE"]]);
    both.delete(&theirs);
    both.assert_not_found("whistling kettle", &theirs);
    assert_eq!(both.assert_equal_contents(), before);
    assert_eq!(both.histories(&theirs), [vec!["DELETE"], vec!["ADD"]]);
    assert!(
        both.mem0.try_ask(json!({"op": "delete", "memory_id": theirs})).is_err(),
        "it does not exist for mem0 either"
    );
    assert!(both.engine.delete(memory_id(&ours)).is_err());

    // One memory is deleted and one added between two searches: the count does not change.
    let deleted = both.add(USER, "The ladder leans on the wall.", json!({}));
    assert_eq!(both.assert_equal_contents(), before + 1);
    both.mem0.ask(json!({"op": "delete", "memory_id": deleted}));
    let added = both.mem0.add(USER, "The lantern hangs by the door.", json!({}));
    both.assert_not_found("ladder on the wall", &deleted);
    both.assert_found("Where is the lantern?", &added);
    assert_eq!(both.assert_equal_contents(), before + 1);
}

pub(super) fn filters_match_memories_of_both(both: &mut Both<'_>) {
    let theirs = both.mem0.add(USER, "Peanuts make me ill.", json!({"category": "food", "level": 3}));
    let ours = both.add(USER, "I like fish tacos best.", json!({"category": "food", "level": 5}));
    for (filter, expected) in [
        (json!({"user_id": USER, "category": "food"}), vec![&theirs, &ours]),
        (json!({"user_id": USER, "category": "food", "level": {"gte": 4}}), vec![&ours]),
        (json!({"user_id": USER, "category": "food", "level": {"lt": 4}}), vec![&theirs]),
        (json!({"user_id": USER, "category": {"in": ["food", "nothing"]}}), vec![&theirs, &ours]),
        (json!({"user_id": USER, "category": "nothing"}), vec![]),
    ] {
        let mut expected: Vec<String> = expected.into_iter().cloned().collect();
        expected.sort();
        assert_eq!(both.list(&filter).into_keys().collect::<Vec<_>>(), expected, "{filter}");
        assert_eq!(both.list_in_mem0(&filter).into_keys().collect::<Vec<_>>(), expected, "{filter}");
        let mut found = vec![both.search_in_mem0("peanuts make ill, fish tacos like", &filter)];
        for profile in [Profile::Fusion, Profile::Mem0] {
            found.push(both.search("peanuts make ill, fish tacos like", &filter, profile));
        }
        for mut hits in found {
            hits.sort();
            assert_eq!(hits, expected, "{filter}");
        }
    }
}

pub(super) fn duplicates_are_recognised_across_both(both: &mut Both<'_>) {
    let text = "The spare key lies under the flowerpot.";
    both.mem0.add(USER, text, json!({}));
    let count = both.assert_equal_contents();
    let request = AddRequest { skip_duplicates: true, ..add_request(USER, text, json!({})) };
    assert_eq!(both.engine.add(request).unwrap(), []);
    assert_eq!(both.assert_equal_contents(), count);
}

pub(super) fn both_write_at_the_same_time(both: &mut Both<'_>) {
    let before = both.assert_equal_contents();
    let Both { engine, mem0, .. } = both;
    let engine = &*engine;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for n in 0..EACH {
                    let text = format!("Thread {thread} saw heron number {n}.");
                    engine.add(add_request(USER, &text, json!({"by": thread}))).unwrap();
                }
            });
        }
        for n in 0..EACH {
            mem0.add(USER, &format!("Python saw heron number {n}."), json!({"by": "python"}));
        }
    });
    assert_eq!(both.assert_equal_contents(), before + 5 * EACH);
    let mut texts: Vec<String> = both
        .list(&json!({"user_id": USER}))
        .into_values()
        .map(|(text, _)| text)
        .filter(|t| t.contains("heron"))
        .collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 5 * EACH, "no memory is lost or duplicated");
    let id = |text: Value, all: super::Listing| {
        all.into_iter().find(|(_, (own, _))| *own == text).map(|(id, _)| id).unwrap()
    };
    for text in ["Thread 3 saw heron number 24.", "Python saw heron number 24."] {
        let id = id(json!(text), both.list(&json!({"user_id": USER})));
        // Neighbouring messages contribute to the score, so a neighbour may come first by chance.
        both.assert_found_among(5, text, &id);
    }
    both.assert_no_findings();
}
