//! The `mem0` profile, compared with the scores of mem0 2.0.2 over a collection that it wrote.

use std::collections::HashMap;
use std::sync::Arc;

use mnemon_engine::{Engine, EngineConfig, Mem0Query};
use mnemon_models::{Embedder, Embedding, ModelError};
use mnemon_store::{Change, ChangeSet, Entity, Memory, MemoryId, Payload, Provenance, Record, Store, Terms, View};
use serde_json::Value;

use crate::fixture::{filter, fixture, fixture_lines};
use crate::stores;

tests!(scores_equal_those_of_mem0);
tests!(SNAPSHOT_TESTS = [scores_over_snapshots_equal_those_of_mem0]);

/// An embedder that is not used: the vectors are in the fixtures.
struct Stored;

impl Embedder for Stored {
    fn dims(&self) -> usize {
        384
    }

    fn fingerprint(&self) -> &str {
        "stored"
    }

    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>, ModelError> {
        Ok(vec![Embedding::whole(vec![0.0; 384]); texts.len()])
    }
}

fn vector(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn vectors(name: &str) -> HashMap<MemoryId, Vec<f32>> {
    let lines = fixture_lines(name);
    lines.iter().map(|line| (MemoryId::from_value(&line["id"]).unwrap(), vector(&line["vector"]))).collect()
}

fn point(line: &Value) -> (MemoryId, Payload) {
    let payload = Payload::new(line["payload"].as_object().unwrap().clone());
    (MemoryId::from_value(&line["id"]).unwrap(), payload)
}

fn fill(store: &dyn Store) {
    let dense = vectors("v2_written.vectors.jsonl");
    let mut changes = Vec::new();
    for line in fixture_lines("v2_written.points.jsonl") {
        let (id, payload) = point(&line);
        let indices = line["bm25"]["indices"].as_array().unwrap().iter();
        let values = vector(&line["bm25"]["values"]);
        changes.push(Change::Insert(Box::new(Record {
            memory: Memory { id, payload, provenance: Provenance::default() },
            vector: dense[&id].clone(),
            bm25: indices.map(|index| index.as_u64().unwrap() as u32).zip(values).collect(),
            terms: Terms::default(),
            holds_time_word: false,
            mentions: Vec::new(),
        })));
    }
    let dense = vectors("v2_written_entities.vectors.jsonl");
    for line in fixture_lines("v2_written_entities.points.jsonl") {
        let (id, mut payload) = point(&line);
        let linked = line["payload"]["linked_memory_ids"].as_array().unwrap();
        let memories = linked.iter().map(|id| MemoryId::from_value(id).unwrap()).collect();
        payload.remove("linked_memory_ids");
        changes.push(Change::InsertEntity(Box::new(Entity { id, payload, vector: dense[&id].clone(), memories })));
    }
    store.apply(&ChangeSet { expected: Vec::new(), changes }).unwrap();
}

/// Inserts and deletes a memory. When the scores were recorded, Qdrant still counted a memory that mem0 had deleted. Without
/// it, the scores of memories with a word of the question are up to 2e-4 lower.
fn count_a_deleted_memory(store: &dyn Store) {
    let id = MemoryId::Number(1);
    let deleted = Record {
        memory: Memory { id, payload: Payload::default(), provenance: Provenance::default() },
        vector: vec![0.0; 384],
        bm25: vec![(1, 1.0)],
        terms: Terms::default(),
        holds_time_word: false,
        mentions: Vec::new(),
    };
    for change in [Change::Insert(Box::new(deleted)), Change::Remove(id)] {
        store.apply(&ChangeSet { expected: Vec::new(), changes: vec![change] }).unwrap();
    }
}

fn scores_equal_those_of_mem0() {
    let folder = tempfile::tempdir().unwrap();
    let location = stores::new_store(folder.path());
    let store = location.open(&Stored);
    fill(&*store);
    check(store);
}

/// Over the snapshots of the collections that mem0 wrote.
fn scores_over_snapshots_equal_those_of_mem0() {
    let folder = tempfile::tempdir().unwrap();
    let location = stores::new_store(folder.path());
    location.restore(&fixture("v2_written.snapshot"), &fixture("v2_written_entities.snapshot"));
    check(location.open(&Stored));
}

fn check(store: Arc<dyn Store>) {
    count_a_deleted_memory(&*store);
    let engine = Engine::new(store, Arc::new(Stored), EngineConfig::default());
    let questions: HashMap<String, Value> = fixture_lines("mem0_query_vectors.jsonl")
        .into_iter()
        .map(|line| (line["text"].as_str().unwrap().to_owned(), line))
        .collect();

    let (mut searches, mut hits, mut max_difference) = (0, 0, 0f64);
    for line in fixture_lines("mem0_searches.jsonl") {
        let text = line["query"].as_str().unwrap();
        let question = &questions[text];
        let lemmas = line["lemmas"].as_str().unwrap();
        let encoded = mnemon_text::bm25::encode(if lemmas.is_empty() { text } else { lemmas });
        let query = Mem0Query {
            vector: vector(&question["vector"]),
            sparse: encoded.indices.into_iter().zip(encoded.values).collect(),
            lemmas: lemmas.split_whitespace().count(),
            entities: question["entities"].as_array().unwrap().iter().take(8).map(|e| vector(&e["vector"])).collect(),
        };
        let filter = filter(line["filters"].clone());
        let view = View::new(&filter, None);
        let top_k = line["top_k"].as_u64().unwrap() as usize;
        let threshold = line["threshold"].as_f64().unwrap() as f32;
        let found = engine.mem0_scores(&view, &query, top_k, threshold).unwrap();
        let case = format!("{text} {} top {top_k}", line["filters"]);
        let expected: Vec<(MemoryId, f64)> = line["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hit| (MemoryId::from_value(&hit["id"]).unwrap(), hit["score"].as_f64().unwrap()))
            .collect();
        assert_eq!(found.len(), expected.len(), "{case}");
        for (hit, (_, score)) in found.iter().zip(&expected) {
            let difference = (f64::from(hit.score) - score).abs();
            assert!(difference < 1e-4, "{case}: {hit:?} instead of {score}");
            max_difference = max_difference.max(difference);
            // mem0 gives the memory the same score. Only memories with the score of the last hit may differ.
            match expected.iter().find(|(id, _)| *id == hit.id) {
                Some((_, own)) => assert!((f64::from(hit.score) - own).abs() < 1e-4, "{case}: {hit:?}, not {own}"),
                None => {
                    let last = expected.last().unwrap().1;
                    assert!((f64::from(hit.score) - last).abs() < 1e-4, "{case}: {hit:?} is not among mem0's hits");
                }
            }
            hits += 1;
        }
        searches += 1;
    }
    assert_eq!(searches, 200);
    assert!(hits > 700);
    eprintln!("{searches} searches, {hits} scores, maximum difference {max_difference:.2e}");
}
