//! Engines over new stores, and helpers to use them.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mnemon_engine::{
    AddRequest, Engine, EngineConfig, ImportOptions, ImportReport, Message, ModelServices, SearchHit, SearchRequest,
};
use mnemon_models::{LlmClient, LlmConfig, LlmProvider, StaticEmbedder};
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{DocumentStore, ExportRecord, Filter, MemoryId, Scope, SqliteStore, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stores::{self, StoreLocation};

static EMBEDDER: LazyLock<StaticEmbedder> = LazyLock::new(|| StaticEmbedder::builtin().expect("the built-in embedder"));

/// An engine over a new store of the kind of the current test, and a folder. Dropped in the order of the fields.
pub(crate) struct World {
    pub(crate) engine: Engine,
    store: Box<dyn StoreLocation>,
    pub(crate) folder: TempDir,
}

impl World {
    /// Another engine over the same store, like that of a second process.
    pub(crate) fn another(&self) -> Engine {
        engine(self.store.open(&*EMBEDDER))
    }
}

impl std::ops::Deref for World {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

pub(crate) fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let store = stores::new_store(folder.path());
    World { engine: engine(store.open(&*EMBEDDER)), store, folder }
}

/// An engine over a store in a file.
pub(crate) fn open_file(path: &Path) -> Engine {
    engine(path.to_owned().open(&*EMBEDDER))
}

fn engine(store: Arc<dyn Store>) -> Engine {
    Engine::new(store, Arc::new(EMBEDDER.clone()), EngineConfig::default())
}

/// An engine over the same store, with a language model at this endpoint.
pub(crate) fn engine_with_llm(world: &World, endpoint: &mnemon_testbed::FakeService) -> Engine {
    engine_with_documents(world, endpoint, |documents| documents)
}

/// The same with a wrapper around the document store.
pub(crate) fn engine_with_documents(
    world: &World,
    endpoint: &mnemon_testbed::FakeService,
    wrap: impl FnOnce(Arc<dyn DocumentStore>) -> Arc<dyn DocumentStore>,
) -> Engine {
    let mut config = LlmConfig::new(LlmProvider::OpenAi, "some-model");
    config.base_url.clone_from(&endpoint.url);
    config.timeout = Duration::from_secs(5);
    config.retries = 0;
    let llm = LlmClient::new(config).expect("a configuration");
    let documents = SqliteStore::open(SqliteOptions::new(world.folder.path().join("ledger.db"), "none", 1));
    world.another().with_model_services(ModelServices {
        llm: Some(Arc::new(llm)),
        documents: Some(wrap(Arc::new(documents.expect("a document store")))),
        ..ModelServices::default()
    })
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn fixture_lines(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(fixture(name)).expect("a fixture");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

pub(crate) fn user(id: &str) -> Scope {
    Scope::user(id).expect("a scope")
}

pub(crate) fn by_user(id: &str) -> Filter {
    filter(json!({"user_id": id}))
}

pub(crate) fn filter(value: Value) -> Filter {
    Filter::parse(&value).expect("a filter")
}

pub(crate) fn user_message(content: &str) -> Message {
    Message { content: content.into(), ..Message::default() }
}

/// A request of a user with one message.
pub(crate) fn note(id: &str, content: &str) -> AddRequest {
    AddRequest { scope: user(id), messages: vec![user_message(content)], ..AddRequest::default() }
}

pub(crate) fn add(engine: &Engine, request: AddRequest) -> MemoryId {
    engine.add(request).expect("an added memory").remove(0).id
}

pub(crate) fn search(engine: &Engine, id: &str, query: &str) -> Vec<SearchHit> {
    let request = SearchRequest { threshold: Some(0.0), ..SearchRequest::new(query, by_user(id)) };
    engine.search(&request).expect("an answer").hits
}

pub(crate) fn import(engine: &Engine, path: &Path) -> mnemon_engine::Result<ImportReport> {
    engine.import(path, &ImportOptions::default(), &mut |_| {})
}

pub(crate) fn export(engine: &Engine) -> Vec<u8> {
    let mut bytes = Vec::new();
    engine.export(&mut bytes, &mut |_| {}).expect("an export");
    bytes
}

/// Checks the consistency of the store.
pub(crate) fn check_store(engine: &Engine) {
    assert_eq!(engine.store().check().expect("a check"), [], "findings of the store's check");
}

/// All records of the store.
pub(crate) fn all_records(engine: &Engine) -> Vec<ExportRecord> {
    let mut all = Vec::new();
    let mut keep = |piece| {
        all.push(piece);
        ControlFlow::Continue(())
    };
    engine.store().visit(&mut keep).unwrap();
    all
}
