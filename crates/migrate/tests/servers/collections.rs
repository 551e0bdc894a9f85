//! Migrations of collections written by mem0 before v2, restored on a real Qdrant.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use mnemon_engine::{Engine, EngineConfig, Profile, SearchRequest, describe_terms};
use mnemon_migrate::{
    BackupOptions, MigrateError, Migration, MigrationContext, Phase, Refusal, Route, ServerHooks, SourceSpec, Switch,
    TargetSpec, backup as make_backup, cutover, preflight, rebuild, retire, rollback, verify_migration,
};
use mnemon_models::{Embedder, Embedding, ModelError};
use mnemon_store::database::SqliteDatabase;
use mnemon_store::qdrant::{LEDGER_SCHEMA, NewCollection, QdrantOptions};
use mnemon_store::{Filter, MemoryId, Payload, QdrantStore, Terms};
use mnemon_testbed::{Qdrant, rest, restore_snapshot, shared, unique};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(super) const ALL: &[(&str, fn())] = &[
    ("a_new_collection_gets_exact_copies", a_new_collection_gets_exact_copies),
    ("in_place_points_only_get_additions", in_place_points_only_get_additions),
    ("words_and_names_find_memories_after_the_migration", words_and_names_find_memories_after_the_migration),
    ("writes_during_the_rebuild_are_copied", writes_during_the_rebuild_are_copied),
    ("entities_are_updated_with_their_memories", entities_are_updated_with_their_memories),
    ("a_rollback_copies_the_writes_back", a_rollback_copies_the_writes_back),
    ("an_emptied_store_does_not_empty_the_other", an_emptied_store_does_not_empty_the_other),
    ("a_failed_smoke_test_switches_back", a_failed_smoke_test_switches_back),
    ("a_rollback_in_place_removes_all_additions", a_rollback_in_place_removes_all_additions),
    ("operations_that_could_lose_data_are_refused", operations_that_could_lose_data_are_refused),
    ("nothing_is_retired_too_early", nothing_is_retired_too_early),
];

const NAMES: [&str; 3] = ["legacy_v0", "legacy_v1", "legacy_quirks"];
const DIMS: usize = 384;

/// The vectors of the texts in restored collections: the embedder must be the model that made them.
static RESTORED: LazyLock<Mutex<HashMap<String, Vec<f32>>>> = LazyLock::new(Mutex::default);

/// Makes vectors from the words of a text, unless its vector is known. Texts with common words have similar vectors.
struct ByWords;

impl Embedder for ByWords {
    fn dims(&self) -> usize {
        DIMS
    }

    fn fingerprint(&self) -> &str {
        "by words"
    }

    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>, ModelError> {
        let restored = RESTORED.lock().unwrap();
        let vector = |text: &&str| {
            if let Some(vector) = restored.get(*text) {
                return Embedding::whole(vector.clone());
            }
            let mut vector = vec![0.0f32; DIMS];
            for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
                let hash = Sha256::digest(word);
                vector[usize::from(hash[0]) * 256 % DIMS + usize::from(hash[1]) % 128] += 1.0;
            }
            let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-9);
            Embedding::whole(vector.iter().map(|value| value / length).collect())
        };
        Ok(texts.iter().map(vector).collect())
    }
}

/// A restored collection, and the folder and target of its migration.
struct Stack {
    server: &'static Qdrant,
    source: String,
    target: String,
    folder: tempfile::TempDir,
}

impl Stack {
    fn restored(name: &str) -> Self {
        let stack = Self::named();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.snapshot"));
        restore_snapshot(stack.server.http_url(), &file, &stack.source);
        for point in stack.points(&stack.source).into_values() {
            let text = point["payload"]["data"].as_str().unwrap_or_default().to_owned();
            let vector = point["vector"].get("").unwrap_or(&point["vector"]);
            RESTORED.lock().unwrap().insert(text, serde_json::from_value(vector.clone()).unwrap());
        }
        stack
    }

    fn named() -> Self {
        let server = shared().expect("a Qdrant");
        let folder = tempfile::tempdir().unwrap();
        Self { server, source: unique("old"), target: unique("new"), folder }
    }

    fn from(&self) -> SourceSpec {
        SourceSpec::Collection {
            grpc: vec![self.server.grpc_url().into()],
            rest: self.server.http_url().into(),
            name: self.source.clone(),
        }
    }

    fn to(&self) -> TargetSpec {
        TargetSpec::Collection { name: self.target.clone() }
    }

    fn context(&self) -> MigrationContext<'static> {
        MigrationContext {
            api_key: None,
            timeout: Duration::from_secs(30),
            retries: 2,
            embedder: Some(&ByWords),
            rate: None,
            without_entities: false,
            allow_removals: false,
            scratch: self.folder.path().to_owned(),
            new_collection: NewCollection::default(),
            store: None,
        }
    }

    fn migration(&self, to: TargetSpec) -> Migration {
        let mut migration = Migration::open(&self.folder.path().join("migration")).unwrap();
        migration.set_route(Route { source: self.from(), target: to }).unwrap();
        migration
    }

    /// Runs rebuild and verify.
    fn rebuilt_and_verified(&self, to: TargetSpec) -> Migration {
        let mut migration = self.migration(to);
        rebuild(&mut migration, &self.context(), false, &|_, _, _| {}).unwrap();
        let verified = verify_migration(&mut migration, &self.context(), &|_, _, _| {}).unwrap();
        assert!(verified.is_green(), "{verified:?}");
        migration
    }

    fn url(&self, collection: &str, rest: &str) -> String {
        format!("{}/collections/{collection}/{rest}", self.server.http_url())
    }

    /// All points as the REST API returns them.
    fn points(&self, collection: &str) -> BTreeMap<String, Value> {
        let request = json!({"limit": 100_000, "with_payload": true, "with_vector": true});
        let answer = rest::post(&self.url(collection, "points/scroll"), &request).unwrap();
        let points = answer["result"]["points"].as_array().unwrap();
        points.iter().map(|point| (id_of(&point["id"]), point.clone())).collect()
    }

    fn put(&self, collection: &str, id: u64, text: &str, user: &str) {
        let vector = ByWords.embed(&[text]).unwrap().remove(0);
        let payload = json!({"data": text, "user_id": user, "created_at": "2026-01-01T00:00:00Z"});
        let points = json!({"points": [{"id": id, "vector": vector, "payload": payload}]});
        rest::put(&self.url(collection, "points?wait=true"), &points).unwrap();
    }

    fn delete(&self, collection: &str, id: &Value) {
        rest::post(&self.url(collection, "points/delete?wait=true"), &json!({"points": [id]})).unwrap();
    }

    /// An engine with a collection as its store and a new ledger.
    fn engine(&self, collection: &str) -> Engine {
        let ledger = Arc::new(SqliteDatabase::open(&self.folder.path().join(unique("ledger")), LEDGER_SCHEMA).unwrap());
        let described = Arc::new(|payload: &Payload| -> (Terms, bool) { describe_terms(payload) });
        let options =
            QdrantOptions::new(self.server.grpc_url(), collection, ByWords.fingerprint(), DIMS, ledger, described);
        let store = Arc::new(QdrantStore::open(options).unwrap());
        Engine::new(store, Arc::new(ByWords), EngineConfig::default())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for name in [&self.source, &self.target] {
            let _ = rest::delete(&format!("{}/collections/{name}", self.server.http_url()));
            let _ = rest::delete(&format!("{}/collections/{name}_entities", self.server.http_url()));
        }
    }
}

fn id_of(id: &Value) -> String {
    MemoryId::from_value(id).unwrap().to_string()
}

/// The points of a fixture as Qdrant returned them, not written by our readers.
fn exported_points(name: &str) -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/fixtures");
    let text = std::fs::read_to_string(folder.join(format!("{name}.points.jsonl"))).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (id_of(&line["id"]), line)).collect()
}

fn sha(vector: &Value) -> String {
    let numbers = vector.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32);
    let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
    hex::encode(Sha256::digest(bytes))
}

/// The dense vector of a point, which may have other vectors, too.
fn dense(point: &Value) -> &Value {
    if point["vector"].is_array() { &point["vector"] } else { &point["vector"][""] }
}

/// Compares a migrated collection with the exported points of its fixture.
fn assert_exact_copies(name: &str, points: &BTreeMap<String, Value>) {
    let exported = exported_points(name);
    assert_eq!(points.keys().collect::<Vec<_>>(), exported.keys().collect::<Vec<_>>(), "{name}");
    for (id, line) in &exported {
        let point = &points[id];
        assert_eq!(sha(dense(point)), line["vector_sha256"], "{name} {id}");
        let (payload, before) = (point["payload"].as_object().unwrap(), line["payload"].as_object().unwrap());
        let text = before.get("data").and_then(Value::as_str).unwrap_or_default();
        assert_eq!(payload.contains_key("text_lemmatized"), !text.is_empty(), "{name} {id}");
        // Words of more than 40 letters have no terms in fastembed.
        let words = text.split_whitespace().any(|word| word.chars().any(char::is_alphanumeric) && word.len() <= 40);
        assert!(point["vector"].get("bm25").is_some() || !words, "{name} {id}");
        let mut payload = payload.clone();
        // One point already had lemmas, which stay.
        if !before.contains_key("text_lemmatized") {
            payload.remove("text_lemmatized");
        }
        assert_eq!(&payload, before, "{name} {id}");
    }
}

fn a_new_collection_gets_exact_copies() {
    for name in NAMES {
        let stack = Stack::restored(name);
        let mut migration = stack.migration(stack.to());
        let found = preflight(&mut migration, &stack.context(), &BTreeMap::new(), &|_, _, _| {}).unwrap();
        assert!(found.is_clear(), "{found:?}");
        drop(migration);
        let mut migration = stack.rebuilt_and_verified(stack.to());
        assert_exact_copies(name, &stack.points(&stack.target));
        let entities = stack.points(&format!("{}_entities", stack.target));
        assert!(!entities.is_empty(), "{name}");
        let points = stack.points(&stack.target);
        for entity in entities.values() {
            let memories = entity["payload"]["linked_memory_ids"].as_array().unwrap();
            assert!(!memories.is_empty());
            for id in memories {
                let memory = &points[id.as_str().unwrap()]["payload"];
                // The name may be the singular of a word in the text.
                let text = memory["data"].as_str().unwrap().to_lowercase();
                let name = entity["payload"]["data"].as_str().unwrap().to_lowercase();
                let begins = |word: &str| text.contains(&word.chars().take(3).collect::<String>());
                assert!(name.split(' ').all(begins), "{name}: {text}");
                for key in ["user_id", "agent_id", "run_id"] {
                    // A value that is not a string is not a scope.
                    assert_eq!(entity["payload"][key].as_str(), memory[key].as_str(), "{name}: {key}: {memory}");
                }
            }
        }
        let again = rebuild(&mut migration, &stack.context(), false, &|_, _, _| {}).unwrap();
        assert!(again.passes.len() == 1 && again.passes[0].is_idle(), "{again:?}");
        assert_eq!(stack.points(&format!("{}_entities", stack.target)).len(), entities.len());
    }
}

fn in_place_points_only_get_additions() {
    for name in NAMES {
        let stack = Stack::restored(name);
        let mut migration = stack.rebuilt_and_verified(TargetSpec::InPlace);
        assert_exact_copies(name, &stack.points(&stack.source));
        // A change that has not been copied is found.
        stack.put(&stack.source, 990, "an unseen memory", "ana");
        let verified = verify_migration(&mut migration, &stack.context(), &|_, _, _| {}).unwrap();
        assert_eq!((verified.extra, verified.sparse), (1, 1), "{verified:?}");
        rebuild(&mut migration, &stack.context(), false, &|_, _, _| {}).unwrap();
        assert!(verify_migration(&mut migration, &stack.context(), &|_, _, _| {}).unwrap().is_green());
    }
}

fn words_and_names_find_memories_after_the_migration() {
    let stack = Stack::named();
    let size = json!({"vectors": {"size": DIMS, "distance": "Cosine"}});
    rest::put(&format!("{}/collections/{}", stack.server.http_url(), stack.source), &size).unwrap();
    // The vectors do not depend on the words, so search by meaning finds a memory only by chance.
    for id in 0..60_u64 {
        let text = match id {
            41 => "The zymurgy class starts on Tuesday".to_owned(),
            42 => "Dinner with Bartholomew Quimby was pleasant".to_owned(),
            _ => format!("Something about day {id} of the journey"),
        };
        let vector: Vec<f32> = (0..DIMS as u64).map(|at| ((at * 7919 + id * 104_729) % 211) as f32).collect();
        RESTORED.lock().unwrap().insert(text.clone(), vector.clone());
        let payload = json!({"data": text, "user_id": "ana", "created_at": "2026-01-01T00:00:00Z"});
        let points = json!({"points": [{"id": id, "vector": vector, "payload": payload}]});
        rest::put(&stack.url(&stack.source, "points?wait=true"), &points).unwrap();
    }
    let first = |engine: &Engine, query: &str| {
        let filter = Filter::eq("user_id", "ana").unwrap();
        let profile = Profile::Mem0;
        let request = SearchRequest { top_k: 1, threshold: Some(0.0), profile, ..SearchRequest::new(query, filter) };
        let hits = engine.search(&request).unwrap().hits;
        hits.first().map(|hit| hit.memory.id)
    };
    let queries = [("zymurgy", 41), ("Who is Bartholomew Quimby?", 42)];
    let old = stack.engine(&stack.source);
    for (query, id) in queries {
        assert_ne!(first(&old, query), Some(MemoryId::Number(id)), "{query}");
    }
    stack.rebuilt_and_verified(stack.to());
    let new = stack.engine(&stack.target);
    for (query, id) in queries {
        assert_eq!(first(&new, query), Some(MemoryId::Number(id)), "{query}");
    }
}

fn writes_during_the_rebuild_are_copied() {
    for to in [None, Some(TargetSpec::InPlace)] {
        let stack = Stack::restored("legacy_v1");
        let mut migration = stack.migration(to.clone().unwrap_or_else(|| stack.to()));
        let mut context = stack.context();
        context.rate = Some(150);
        let written = AtomicBool::new(false);
        let ids: Vec<Value> = stack.points(&stack.source).into_values().map(|point| point["id"].clone()).collect();
        // Called after the first points were copied.
        let write_during_copy = |_: &'static str, _: usize, _: u64| {
            if !written.swap(true, Ordering::SeqCst) {
                for id in &ids[..5] {
                    stack.delete(&stack.source, id);
                }
                for id in &ids[5..10] {
                    let change = json!({"points": [id], "payload": {"data": "changed during the copy", "hash": "x"}});
                    rest::post(&stack.url(&stack.source, "points/payload?wait=true"), &change).unwrap();
                }
                for id in 0..5 {
                    stack.put(&stack.source, id, "added during the copy", "ana");
                }
            }
        };
        let rebuilt = rebuild(&mut migration, &context, false, &write_during_copy).unwrap();
        assert!(rebuilt.passes.last().unwrap().is_idle(), "{rebuilt:?}");
        let verified = verify_migration(&mut migration, &context, &|_, _, _| {}).unwrap();
        assert!(verified.is_green() && verified.points == 204, "{verified:?}");
        if to.is_none() {
            let target = stack.points(&stack.target);
            assert_eq!(target.len(), 204);
            let changed = target.values().filter(|point| point["payload"]["data"] == "changed during the copy");
            assert_eq!(changed.count(), 5);
        }
    }
}

fn entities_are_updated_with_their_memories() {
    let stack = Stack::named();
    let size = json!({"vectors": {"size": DIMS, "distance": "Cosine"}});
    rest::put(&format!("{}/collections/{}", stack.server.http_url(), stack.source), &size).unwrap();
    stack.put(&stack.source, 1, r#"They read "Red Harvest" and "Lisbon Story""#, "ana");
    stack.put(&stack.source, 2, r#"They read "Red Harvest" and "Vienna Blood""#, "ana");
    stack.put(&stack.source, 3, r#"They read "Red Harvest" and "Vienna Blood""#, "ben");
    let mut migration = stack.rebuilt_and_verified(stack.to());
    let named = |stack: &Stack| -> BTreeSet<(String, String, Vec<String>)> {
        let entities = stack.points(&format!("{}_entities", stack.target));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let entity = |point: &Value| {
            let payload = &point["payload"];
            let memories = payload["linked_memory_ids"].as_array().unwrap().iter().map(text).collect();
            (text(&payload["user_id"]), text(&payload["data"]).to_lowercase(), memories)
        };
        entities.values().map(entity).collect()
    };
    let entity = |user: &str, name: &str, memories: &[&str]| {
        (user.to_owned(), name.to_owned(), memories.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
    };
    let before = named(&stack);
    assert!(before.contains(&entity("ana", "red harvest", &["1", "2"])), "{before:?}");
    assert!(before.contains(&entity("ben", "red harvest", &["3"])), "{before:?}");
    assert!(before.contains(&entity("ana", "lisbon story", &["1"])), "{before:?}");
    stack.put(&stack.source, 1, r#"They read "Vienna Blood" only"#, "ana");
    stack.delete(&stack.source, &json!(3));
    rebuild(&mut migration, &stack.context(), false, &|_, _, _| {}).unwrap();
    let after = named(&stack);
    assert!(after.contains(&entity("ana", "red harvest", &["2"])), "{after:?}");
    assert!(after.contains(&entity("ana", "vienna blood", &["1", "2"])), "{after:?}");
    assert!(after.iter().all(|(user, name, _)| user == "ana" && name != "lisbon story"), "{after:?}");
}

/// An environment file with the name of the old collection, and its switch.
fn env_file(stack: &Stack) -> (PathBuf, Switch) {
    let file = stack.folder.path().join(".env");
    let key = "QDRANT_COLLECTION_NAME";
    std::fs::write(&file, format!("A=1\n{key}={}\n", stack.source)).unwrap();
    let switch = Switch::EnvFile {
        file: file.clone(),
        key: key.into(),
        was: Some(stack.source.clone()),
        now: stack.target.clone(),
    };
    (file, switch)
}

fn ready() -> Result<(), String> {
    Ok(())
}

const HOOKS: ServerHooks<'static> = ServerHooks { restart: &ready, smoke: &ready };

fn a_rollback_copies_the_writes_back() {
    let stack = Stack::restored("legacy_v1");
    let mut migration = stack.rebuilt_and_verified(stack.to());
    let (file, switch) = env_file(&stack);
    // A write between verify and cutover.
    stack.put(&stack.source, 500, "written late", "ana");
    let done = cutover(&mut migration, &stack.context(), switch.clone(), &HOOKS, &|_, _, _| {}).unwrap();
    assert_eq!(done.last.added, 1);
    assert!(std::fs::read_to_string(&file).unwrap().contains(&stack.target));
    let ids: Vec<Value> = stack.points(&stack.target).into_values().map(|point| point["id"].clone()).collect();
    let engine = stack.engine(&stack.target);
    let before = stack.points(&stack.source);
    for at in 0..50_u64 {
        stack.put(&stack.target, 1000 + at, &format!("new memory {at} about Greta Holm"), "ana");
    }
    for id in &ids[..7] {
        stack.delete(&stack.target, id);
    }
    for id in &ids[7..10] {
        let change = json!({"points": [id], "payload": {"data": "changed since"}});
        rest::post(&stack.url(&stack.target, "points/payload?wait=true"), &change).unwrap();
    }
    drop(engine);
    let back = rollback(&mut migration, &stack.context(), false, &ready, &|_, _, _| {}).unwrap();
    assert_eq!((back.carried.added, back.carried.changed, back.carried.removed), (50, 3, 7), "{back:?}");
    assert!(std::fs::read_to_string(&file).unwrap().contains(&stack.source));
    let legacy = stack.points(&stack.source);
    assert_eq!(legacy.len(), before.len() + 50 - 7);
    for (id, point) in &legacy {
        assert!(point["payload"].get("text_lemmatized").is_none(), "{point}");
        assert!(point["vector"].is_array(), "{point}");
        if let Some(before) = before.get(id).filter(|_| point["payload"]["data"] != "changed since") {
            assert_eq!(point, before);
        }
    }
    // The overwritten and removed points are saved.
    let kept = std::fs::read_to_string(back.replaced.unwrap()).unwrap();
    assert_eq!(kept.lines().count(), 10);
    // Another migration makes no duplicates, and points that other clients wrote without lemmas are written again.
    rebuild(&mut migration, &stack.context(), true, &|_, _, _| {}).unwrap();
    let verified = verify_migration(&mut migration, &stack.context(), &|_, _, _| {}).unwrap();
    assert!(verified.is_green(), "{verified:?}");
    cutover(&mut migration, &stack.context(), switch, &HOOKS, &|_, _, _| {}).unwrap();
    assert_eq!(stack.points(&stack.target).keys().collect::<Vec<_>>(), legacy.keys().collect::<Vec<_>>());
}

fn an_emptied_store_does_not_empty_the_other() {
    let stack = Stack::restored("legacy_v1");
    let mut migration = stack.rebuilt_and_verified(stack.to());
    let before = stack.points(&stack.source);
    let most: Vec<Value> = before.values().take(150).map(|point| point["id"].clone()).collect();
    let refused = |done: Result<(), MigrateError>| {
        let error = done.unwrap_err();
        assert!(matches!(error, MigrateError::Refused(Refusal::MassRemoval { .. })), "{error}");
        assert!(error.to_string().contains("150 of 204"), "{error}");
    };
    let (_, switch) = env_file(&stack);
    cutover(&mut migration, &stack.context(), switch, &HOOKS, &|_, _, _| {}).unwrap();
    // Most of the new store was deleted. The rollback must not delete that in the old store.
    most.iter().for_each(|id| stack.delete(&stack.target, id));
    refused(rollback(&mut migration, &stack.context(), false, &ready, &|_, _, _| {}).map(drop));
    assert_eq!(stack.points(&stack.source), before);
    rollback(&mut migration, &stack.context(), true, &ready, &|_, _, _| {}).unwrap();
    rebuild(&mut migration, &stack.context(), true, &|_, _, _| {}).unwrap();
    assert_eq!(stack.points(&stack.target).len(), before.len());
    // The same in the other direction.
    most.iter().for_each(|id| stack.delete(&stack.source, id));
    refused(rebuild(&mut migration, &stack.context(), false, &|_, _, _| {}).map(drop));
    assert_eq!(stack.points(&stack.target).len(), before.len());
    let context = MigrationContext { allow_removals: true, ..stack.context() };
    rebuild(&mut migration, &context, false, &|_, _, _| {}).unwrap();
    assert_eq!(stack.points(&stack.target).len(), before.len() - 150);
}

fn a_failed_smoke_test_switches_back() {
    let stack = Stack::restored("legacy_v0");
    let mut migration = stack.rebuilt_and_verified(stack.to());
    let (file, switch) = env_file(&stack);
    let before = std::fs::read_to_string(&file).unwrap();
    // A client writes before the smoke test fails.
    let failing = || {
        stack.put(&stack.target, 900, "written before it failed", "ana");
        Err("the search finds nothing".to_owned())
    };
    let error = cutover(
        &mut migration,
        &stack.context(),
        switch,
        &ServerHooks { restart: &ready, smoke: &failing },
        &|_, _, _| {},
    )
    .unwrap_err();
    assert!(matches!(error, MigrateError::SwitchFailed(_)) && error.to_string().contains("finds nothing"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    assert!(!migration.is_done(Phase::Cutover) && !migration.state.switched);
    let carried = stack.points(&stack.source).remove("900").expect("the write is copied back");
    assert_eq!(carried["payload"]["data"], "written before it failed");
}

fn a_rollback_in_place_removes_all_additions() {
    let stack = Stack::restored("legacy_v1");
    let before = stack.points(&stack.source);
    let mut migration = stack.rebuilt_and_verified(TargetSpec::InPlace);
    let (_, switch) = env_file(&stack);
    cutover(&mut migration, &stack.context(), switch, &HOOKS, &|_, _, _| {}).unwrap();
    stack.put(&stack.source, 7, "written since", "ana");
    rollback(&mut migration, &stack.context(), false, &ready, &|_, _, _| {}).unwrap();
    let mut after = stack.points(&stack.source);
    assert_eq!(after.remove("7").unwrap()["payload"]["data"], "written since");
    for (id, point) in &after {
        assert_eq!(point["payload"], before[id]["payload"]);
        assert_eq!(dense(point), dense(&before[id]));
        assert!(point["vector"].get("bm25").is_none(), "{point}");
    }
    drop(migration);
    stack.rebuilt_and_verified(TargetSpec::InPlace);
}

fn operations_that_could_lose_data_are_refused() {
    let stack = Stack::restored("legacy_v0");
    let refused = |to: TargetSpec, what: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut migration = Migration::open(folder.path()).unwrap();
        let route = Route { source: stack.from(), target: to };
        let error = match migration.set_route(route) {
            Err(error) => error,
            Ok(()) => rebuild(&mut migration, &stack.context(), false, &|_, _, _| {}).unwrap_err(),
        };
        assert!(matches!(error, MigrateError::Refused(_)), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    };
    refused(TargetSpec::Collection { name: stack.source.clone() }, "source and target are both");
    let vectors = |size: usize, distance: &str| {
        let body =
            json!({"vectors": {"size": size, "distance": distance}, "sparse_vectors": {"bm25": {"modifier": "idf"}}});
        rest::put(&format!("{}/collections/{}", stack.server.http_url(), stack.target), &body).unwrap();
    };
    vectors(128, "Cosine");
    refused(stack.to(), "128 dims");
    rest::delete(&format!("{}/collections/{}", stack.server.http_url(), stack.target)).unwrap();
    vectors(DIMS, "Dot");
    refused(stack.to(), "Dot");
    rest::delete(&format!("{}/collections/{}", stack.server.http_url(), stack.target)).unwrap();
    vectors(DIMS, "Cosine");
    let point = json!({"id": 1, "vector": {"": vec![0.5; DIMS]}, "payload": {"data": "of another client"}});
    rest::put(&stack.url(&stack.target, "points?wait=true"), &json!({"points": [point]})).unwrap();
    refused(stack.to(), "did not write");
    assert_eq!(stack.points(&stack.target).len(), 1);
    rest::delete(&format!("{}/collections/{}", stack.server.http_url(), stack.target)).unwrap();
    // The folder of another migration, and a second process.
    let mut migration = stack.rebuilt_and_verified(stack.to());
    let other = Route { source: stack.from(), target: TargetSpec::Collection { name: "another".into() } };
    let error = migration.set_route(other).unwrap_err();
    assert!(error.to_string().contains("another migration"), "{error}");
    let error = Migration::open(migration.folder()).unwrap_err();
    assert!(matches!(error, MigrateError::Busy(_)), "{error}");
}

fn nothing_is_retired_too_early() {
    let stack = Stack::restored("legacy_v0");
    let mut migration = stack.rebuilt_and_verified(stack.to());
    let (_, switch) = env_file(&stack);
    let until = jiff::civil::date(2030, 1, 31);
    let refused = |migration: &mut Migration, today: jiff::civil::Date, what: &str| {
        let error = retire(migration, &stack.context(), today, false).unwrap_err();
        assert!(matches!(error, MigrateError::Refused(_)) && error.to_string().contains(what), "{error}");
        assert_eq!(stack.points(&stack.source).len(), 219);
    };
    refused(&mut migration, until, "before a cutover");
    cutover(&mut migration, &stack.context(), switch, &HOOKS, &|_, _, _| {}).unwrap();
    refused(&mut migration, until, "no backup");
    let backup = stack.folder.path().join("backup");
    let options = BackupOptions::new(stack.server.http_url(), &stack.source, backup.clone());
    make_backup(&options, &|_| {}).unwrap();
    migration.state.backup = Some((backup.clone(), until));
    refused(&mut migration, until.yesterday().unwrap(), "kept until 2030-01-31");
    assert_eq!(retire(&mut migration, &stack.context(), until, true).unwrap().len(), 2);
    assert!(backup.exists());
    retire(&mut migration, &stack.context(), until, false).unwrap();
    assert!(!backup.exists());
    assert_eq!(stack.points(&stack.target).len(), 219);
    let deleted =
        rest::call("GET", &format!("{}/collections/{}", stack.server.http_url(), stack.source), None).unwrap();
    assert_eq!(deleted.0, 404);
}
