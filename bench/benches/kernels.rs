//! Single functions that every add or search calls.
//!
//! `cargo bench -p mnemon-bench` runs them. Criterion keeps results by name: `-- --save-baseline before`, then, after a
//! change, `-- --baseline before`.
#![expect(clippy::unwrap_used, reason = "a measurement that can't go on panics")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mnemon_bench::{HashedWords, Sentences};
use mnemon_engine::{AddRequest, Engine, EngineConfig, Message, Profile, SearchRequest};
use mnemon_models::{Embedder, StaticEmbedder};
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{Filter, Scope, SqliteStore};
use serde_json::{Value, json};

/// Memories in the searched scope.
const MEMORIES: usize = 10_000;
const DIMS: usize = 256;

fn texts(count: usize) -> Vec<String> {
    let mut sentences = Sentences::new(7);
    (0..count).map(|_| sentences.statement()).collect()
}

/// Calls `function` with one text after the other.
fn per_text<T>(criterion: &mut Criterion, name: &str, mut function: impl FnMut(&str) -> T) {
    let texts = texts(256);
    let mut at = 0;
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            at = (at + 1) % texts.len();
            function(black_box(&texts[at]))
        });
    });
}

fn text(criterion: &mut Criterion) {
    per_text(criterion, "text/terms", mnemon_text::terms);
    per_text(criterion, "text/index_terms", mnemon_text::index_terms);
    per_text(criterion, "text/lemmatize", mnemon_text::lemma::lemmatize);
    per_text(criterion, "text/entities", mnemon_text::entity::extract);
    per_text(criterion, "text/bm25_encode", mnemon_text::bm25::encode);
}

fn embedder(criterion: &mut Criterion) {
    let embedder = StaticEmbedder::builtin().unwrap();
    per_text(criterion, "embedder/one", |text| embedder.embed(&[text]).unwrap());
    let texts = texts(32);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    criterion.bench_function("embedder/32", |bencher| bencher.iter(|| embedder.embed(black_box(&texts)).unwrap()));
}

fn filter(criterion: &mut Criterion) {
    let filter = json!({
        "AND": [
            {"user_id": "ana"},
            {"OR": [{"category": {"in": ["food", "travel"]}}, {"priority": {"gte": 3}}]},
            {"NOT": [{"note": {"icontains": "secret"}}]},
        ],
    });
    let filter = Filter::parse(&filter).unwrap();
    let payload = json!({
        "data": "I booked a table for four", "user_id": "ana", "hash": "d41d8cd98f00b204e9800998ecf8427e",
        "created_at": "2026-01-01T00:00:00Z", "category": "sport", "priority": 4, "note": "by the window",
    });
    let Value::Object(payload) = payload else { return };
    criterion.bench_function("filter/matches", |bencher| bencher.iter(|| filter.matches(black_box(&payload))));
}

/// Searches in a scope that is in memory, with an embedder that costs almost nothing.
fn search(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let embedder = Arc::new(HashedWords::new(DIMS));
    let options = SqliteOptions::new(folder.path().join("bench.db"), embedder.fingerprint().to_owned(), DIMS);
    let store = Arc::new(SqliteStore::open(options).unwrap());
    let engine = Engine::new(store, embedder, EngineConfig::default());
    let texts = texts(MEMORIES);
    for (session, texts) in texts.chunks(100).enumerate() {
        let message = |text: &String| Message { role: "user".into(), content: text.clone(), ..Message::default() };
        let request = AddRequest {
            scope: Scope::user("ana").unwrap(),
            messages: texts.iter().map(message).collect(),
            session: Some(session.to_string()),
            ..AddRequest::default()
        };
        engine.add(request).unwrap();
    }
    for (name, profile) in [("search/fusion", Profile::Fusion), ("search/mem0", Profile::Mem0)] {
        let mut sentences = Sentences::new(99);
        let mut request = || {
            let filter = Filter::eq("user_id", "ana").unwrap();
            SearchRequest { profile, ..SearchRequest::new(sentences.question(), filter) }
        };
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched(&mut request, |request| engine.search(&request).unwrap(), BatchSize::SmallInput);
        });
    }
}

criterion_group!(kernels, text, embedder, filter, search);
criterion_main!(kernels);
