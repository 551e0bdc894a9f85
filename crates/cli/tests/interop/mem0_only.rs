//! What Python mem0 alone writes to a collection and how it changes existing points.

use mnemon_models::Embedder;
use serde_json::{Value, json};

use crate::{Fixture, keys};

/// Payload keys of an add with `infer=False`, in this order.
const KEYS: [&str; 8] = ["topic", "user_id", "role", "data", "hash", "created_at", "updated_at", "text_lemmatized"];
const TEXT: &str = "My dog Nori met Maria Silva in Lisbon.";

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// The lemmas are spaCy's. Everything computed from them must equal ours bit by bit.
pub(crate) fn an_added_memory_equals_ours(fixture: &Fixture) {
    let mut mem0 = fixture.mem0();
    let id = mem0.add("ana", TEXT, json!({"topic": "dogs"}));
    let point = mem0.point(&id).unwrap();
    let payload = &point["payload"];
    assert_eq!(keys(payload), KEYS);
    assert_eq!(payload["created_at"], payload["updated_at"]);
    assert!(payload["created_at"].as_str().unwrap().ends_with("+00:00"), "{payload}");
    assert_eq!(payload["role"], "user");
    assert_eq!(payload["text_lemmatized"], "dog nori meet maria silva lisbon");

    let own = fixture.embedder.embed(&[TEXT]).unwrap().remove(0);
    let bits = |vector: &[f32]| vector.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&floats(&point["vector"][""])), bits(&own), "Qdrant does not change a unit vector");

    let lemmas = payload["text_lemmatized"].as_str().unwrap();
    let mut own: Vec<(u32, f32)> = {
        let encoded = mnemon_text::bm25::encode(lemmas);
        encoded.indices.into_iter().zip(encoded.values).collect()
    };
    own.sort_by_key(|term| term.0);
    let bm25 = &point["vector"]["bm25"];
    let indices: Vec<u32> = bm25["indices"].as_array().unwrap().iter().map(|i| i.as_u64().unwrap() as u32).collect();
    assert_eq!(indices, own.iter().map(|term| term.0).collect::<Vec<_>>());
    for (value, term) in floats(&bm25["values"]).iter().zip(&own) {
        assert!((value - term.1).abs() < 1e-6, "{bm25} and {own:?}");
    }
    assert_eq!(mem0.entities(), [], "infer=False links no entities");
    let hits = mem0.ask(json!({"op": "search", "query": "Where is Nori?", "filters": {"user_id": "ana"}}));
    assert_eq!(hits["results"][0]["id"], id);
}

/// mem0 2.0 drops unknown payload keys, 2.2 keeps them.
pub(crate) fn an_update_replaces_the_point(fixture: &Fixture) {
    let mut mem0 = fixture.mem0();
    let id = mem0.add("ana", TEXT, json!({"topic": "dogs"}));
    let more =
        json!({"payload": {"ours": {"a": 1}, "actor_id": "Tom", "expiration_date": "2999-01-01"}, "points": [id]});
    fixture.post("points/payload?wait=true", &more);
    let before = mem0.point(&id).unwrap();
    let text = "My cat Biscuit met Aiko in Kyoto.";
    mem0.ask(json!({"op": "update", "memory_id": id, "text": text, "metadata": {"n": 2}}));
    let after = mem0.point(&id).unwrap();
    let (old, new) = (&before["payload"], &after["payload"]);
    for key in ["user_id", "role", "actor_id", "created_at"] {
        assert_eq!(new[key], old[key], "{key}");
    }
    for key in ["data", "hash", "updated_at", "text_lemmatized"] {
        assert_ne!(new[key], old[key], "{key}");
    }
    assert_eq!(new["n"], 2);
    let keeps = fixture.version != "2.0";
    for key in ["topic", "ours", "expiration_date"] {
        assert_eq!(new.get(key).is_some(), keeps, "{key}");
    }
    assert_ne!(after["vector"]["bm25"]["indices"], before["vector"]["bm25"]["indices"]);
    let entities = mem0.entities();
    assert!(!entities.is_empty(), "an update links entities");
    assert!(entities.iter().all(|(_, ids)| *ids == [id.as_str()]), "{entities:?}");
    let events = mem0.ask(json!({"op": "history", "memory_id": id}));
    let events: Vec<&str> = events.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["ADD", "UPDATE"]);
}

/// A process that has not used entities yet does not remove deleted memories from them.
pub(crate) fn a_new_process_leaves_entity_links_when_it_deletes(fixture: &Fixture) {
    let mut mem0 = fixture.mem0();
    let id = mem0.add("ana", "A note.", json!({}));
    mem0.ask(json!({"op": "link", "memory_id": id, "text": TEXT, "filters": {"user_id": "ana"}}));
    let entities = mem0.entities();
    assert!(!entities.is_empty());
    let other = mem0.add("ana", "Another note.", json!({}));
    mem0.ask(json!({"op": "link", "memory_id": other, "text": TEXT, "filters": {"user_id": "ana"}}));
    mem0.ask(json!({"op": "delete", "memory_id": other}));
    assert_eq!(mem0.entities(), entities, "this process has used entities");
    drop(mem0);
    let mut fresh = fixture.mem0();
    fresh.ask(json!({"op": "delete", "memory_id": id}));
    assert_eq!(fresh.point(&id), None);
    assert_eq!(fresh.entities(), entities, "links to a deleted memory remain");
}

/// mem0 2.0 deletes only one page of 100.
pub(crate) fn delete_all_deletes_a_scope(fixture: &Fixture) {
    let mut mem0 = fixture.mem0();
    let messages: Vec<Value> = (0..110).map(|n| json!({"role": "user", "content": format!("Note {n}.")})).collect();
    mem0.ask(json!({"op": "add", "messages": messages, "user_id": "ana"}));
    mem0.ask(json!({"op": "delete_all", "user_id": "ana"}));
    let left = mem0.ask(json!({"op": "raw"}))["memories"].as_array().unwrap().len();
    assert_eq!(left, if fixture.version == "2.0" { 10 } else { 0 });
}
