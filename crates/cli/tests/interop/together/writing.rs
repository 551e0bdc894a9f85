//! Adds, updates and deletes across.

use mnemon_engine::{AddRequest, Profile};
use serde_json::{Value, json};

use super::{Both, USER, memory_id, said};

/// What each thread, and Python, adds while the others do.
const EACH: usize = 25;

pub(super) fn adds_are_seen(both: &mut Both<'_>) {
    assert_eq!(both.agree(), 0);
    let dog = both.add(USER, "My dog Nori loves the beach.", json!({"category": "pets", "n": 1, "tags": ["a", "b"]}));
    let flat = both.add(USER, "We moved to a flat in Lisbon.", json!({}));
    assert_eq!(both.agree(), 2);
    let got = both.mem0.ask(json!({"op": "get", "memory_id": dog}));
    assert_eq!(got["memory"], "My dog Nori loves the beach.");
    assert_eq!((&got["user_id"], &got["role"]), (&json!(USER), &json!("user")));
    assert_eq!(got["metadata"], json!({"category": "pets", "n": 1, "tags": ["a", "b"]}));
    assert_eq!(got["created_at"], got["updated_at"]);
    both.finds("What does my dog love?", &dog);
    both.finds("Which town did we move to?", &flat);

    let piano = both.mem0.add(USER, "I practise the piano each morning.", json!({"category": "music"}));
    both.finds("piano practise", &piano);
    let violin = both.mem0.add(USER, "My sister tunes her violin on Sundays.", json!({"category": "music"}));
    let memory = both.get(&violin).unwrap();
    assert_eq!(memory.payload.text(), "My sister tunes her violin on Sundays.");
    assert_eq!(memory.payload.as_map()["category"], "music");
    assert_eq!(memory.provenance.session, None);
    both.finds("Who tunes a violin?", &violin);
    assert_eq!(both.agree(), 4);
    both.reopen();
    assert_eq!(both.agree(), 4);
    both.finds("Who tunes a violin?", &violin);
    both.finds("What does my dog love?", &dog);
}

pub(super) fn updates_are_seen(both: &mut Both<'_>) {
    let before = both.agree();
    let ours = both.add(USER, "The bakery opens at seven.", json!({"category": "errands"}));
    let place = both.get(&ours).unwrap().provenance;
    assert!(place.session.is_some() && place.position.is_some(), "{place:?}");
    let text = "The harbour ferry leaves at noon.";
    both.mem0.ask(json!({"op": "update", "memory_id": ours, "text": text, "metadata": {"seen": true}}));
    let memory = both.get(&ours).unwrap();
    assert_eq!(memory.payload.text(), text);
    assert_eq!(memory.provenance, place, "it stays where it was said");
    // 2.0 drops metadata that the update does not name, 2.2 keeps it.
    let kept = both.bed.version != "2.0";
    assert_eq!(memory.payload.as_map().get("category").is_some(), kept);
    both.finds("When does the ferry leave?", &ours);
    assert_eq!(both.histories(&ours), [vec!["ADD"], vec!["UPDATE"]], "each side tells what it did itself");

    // The same, with writes of ours between their update and our next question.
    let text = "A glacier calved near the cabin.";
    both.mem0.ask(json!({"op": "update", "memory_id": ours, "text": text}));
    let between = both.add(USER, "The printer is out of toner.", json!({}));
    both.update(&between, "The printer has toner again.");
    both.finds("Did the glacier calve?", &ours);
    both.finds("printer toner", &between);

    let theirs = both.mem0.add(USER, "I water the tomatoes twice a week.", json!({"category": "garden"}));
    both.update(&theirs, "I feed the goldfish twice a week.");
    let got = both.mem0.ask(json!({"op": "get", "memory_id": theirs}));
    assert_eq!(got["memory"], "I feed the goldfish twice a week.");
    assert_eq!(got["metadata"], json!({"category": "garden"}));
    assert!(got["updated_at"].as_str() > got["created_at"].as_str(), "{got}");
    both.finds("Who feeds the goldfish?", &theirs);
    assert_eq!(both.histories(&theirs), [vec!["UPDATE"], vec!["ADD"]]);
    assert_eq!(both.agree(), before + 3);
}

pub(super) fn deletes_are_seen(both: &mut Both<'_>) {
    let before = both.agree();
    let ours = both.add(USER, "The umbrella is broken.", json!({}));
    let theirs = both.mem0.add(USER, "The kettle whistles loudly.", json!({}));
    assert_eq!(both.agree(), before + 2);
    both.mem0.ask(json!({"op": "delete", "memory_id": ours}));
    both.finds_no_more("broken umbrella", &ours);
    assert_eq!(both.agree(), before + 1);
    assert_eq!(both.histories(&ours), [vec!["ADD"], vec!["DELETE"]]);
    both.delete(&theirs);
    both.finds_no_more("whistling kettle", &theirs);
    assert_eq!(both.agree(), before);
    assert_eq!(both.histories(&theirs), [vec!["DELETE"], vec!["ADD"]]);
    assert!(both.mem0.try_ask(json!({"op": "delete", "memory_id": theirs})).is_err(), "it is gone for Python as well");
    assert!(both.engine.delete(memory_id(&ours)).is_err());

    // One goes and one comes between our questions: as many as before.
    let gone = both.add(USER, "The ladder leans on the wall.", json!({}));
    assert_eq!(both.agree(), before + 1);
    both.mem0.ask(json!({"op": "delete", "memory_id": gone}));
    let come = both.mem0.add(USER, "The lantern hangs by the door.", json!({}));
    both.finds_no_more("ladder on the wall", &gone);
    both.finds("Where is the lantern?", &come);
    assert_eq!(both.agree(), before + 1);
}

pub(super) fn filters_reach_across(both: &mut Both<'_>) {
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
        assert_eq!(both.list_in_python(&filter).into_keys().collect::<Vec<_>>(), expected, "{filter}");
        let mut found = vec![both.search_in_python("peanuts make ill, fish tacos like", &filter)];
        for profile in [Profile::Fusion, Profile::Mem0] {
            found.push(both.search("peanuts make ill, fish tacos like", &filter, profile));
        }
        for mut hits in found {
            hits.sort();
            assert_eq!(hits, expected, "{filter}");
        }
    }
}

pub(super) fn a_text_is_known_whoever_added_it(both: &mut Both<'_>) {
    let text = "The spare key lies under the flowerpot.";
    both.mem0.add(USER, text, json!({}));
    let count = both.agree();
    let request = AddRequest { skip_duplicates: true, ..said(USER, text, json!({})) };
    assert_eq!(both.engine.add(request).unwrap(), []);
    assert_eq!(both.agree(), count);
}

pub(super) fn both_write_at_the_same_time(both: &mut Both<'_>) {
    let before = both.agree();
    let Both { engine, mem0, .. } = both;
    let engine = &*engine;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for n in 0..EACH {
                    let text = format!("Thread {thread} saw heron number {n}.");
                    engine.add(said(USER, &text, json!({"by": thread}))).unwrap();
                }
            });
        }
        for n in 0..EACH {
            mem0.add(USER, &format!("Python saw heron number {n}."), json!({"by": "python"}));
        }
    });
    assert_eq!(both.agree(), before + 5 * EACH);
    let mut texts: Vec<String> = both
        .list(&json!({"user_id": USER}))
        .into_values()
        .map(|(text, _)| text)
        .filter(|t| t.contains("heron"))
        .collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 5 * EACH, "none is lost, none is there twice");
    let id =
        |text: Value, all: super::Shown| all.into_iter().find(|(_, (own, _))| *own == text).map(|(id, _)| id).unwrap();
    for text in ["Thread 3 saw heron number 24.", "Python saw heron number 24."] {
        let id = id(json!(text), both.list(&json!({"user_id": USER})));
        // What was said just before and after counts too, so that chance may put a neighbour first.
        both.finds_among(5, text, &id);
    }
    both.nothing_is_wrong();
}
