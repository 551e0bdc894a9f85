//! Engines over stores in temporary folders, and short ways to talk to them.

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

use crate::stores::{self, Place};

static EMBEDDER: LazyLock<StaticEmbedder> = LazyLock::new(|| StaticEmbedder::builtin().expect("the built-in embedder"));

/// An engine over a store of the kind that the test runs on, and a folder. The engine goes first, the folder last.
pub(crate) struct World {
    pub(crate) engine: Engine,
    place: Box<dyn Place>,
    pub(crate) folder: TempDir,
}

impl World {
    /// Another engine over the same store: a second process in all but name.
    pub(crate) fn another(&self) -> Engine {
        engine(self.place.open(&*EMBEDDER))
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
    let place = stores::place(folder.path());
    World { engine: engine(place.open(&*EMBEDDER)), place, folder }
}

/// An engine over a store in a file.
pub(crate) fn open_file(path: &Path) -> Engine {
    engine(path.to_owned().open(&*EMBEDDER))
}

fn engine(store: Arc<dyn Store>) -> Engine {
    Engine::new(store, Arc::new(EMBEDDER.clone()), EngineConfig::default())
}

/// An engine over the world's store that asks a language model at this endpoint.
pub(crate) fn model_services(world: &World, endpoint: &mnemon_testbed::Service) -> Engine {
    understanding_with(world, endpoint, |ledger| ledger)
}

/// The same with another ledger around the one there is.
pub(crate) fn understanding_with(
    world: &World,
    endpoint: &mnemon_testbed::Service,
    around: impl FnOnce(Arc<dyn DocumentStore>) -> Arc<dyn DocumentStore>,
) -> Engine {
    let mut config = LlmConfig::new(LlmProvider::OpenAi, "some-model");
    config.base_url.clone_from(&endpoint.url);
    config.timeout = Duration::from_secs(5);
    config.retries = 0;
    let llm = LlmClient::new(config).expect("a configuration");
    let ledger = SqliteStore::open(SqliteOptions::new(world.folder.path().join("ledger.db"), "none", 1));
    world.another().with_model_services(ModelServices {
        llm: Some(Arc::new(llm)),
        documents: Some(around(Arc::new(ledger.expect("a ledger")))),
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

pub(crate) fn says(content: &str) -> Message {
    Message { role: "user".into(), content: content.into(), ..Message::default() }
}

/// A request of a user with one message.
pub(crate) fn note(id: &str, content: &str) -> AddRequest {
    AddRequest { scope: user(id), messages: vec![says(content)], ..AddRequest::default() }
}

pub(crate) fn add(engine: &Engine, request: AddRequest) -> MemoryId {
    engine.add(request).expect("it is added").remove(0).id
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

pub(crate) fn whole(engine: &Engine) {
    assert_eq!(engine.store().check().expect("a check"), [], "the store's own check");
}

/// All that is stored.
pub(crate) fn everything(engine: &Engine) -> Vec<ExportRecord> {
    let mut all = Vec::new();
    let mut keep = |piece| {
        all.push(piece);
        ControlFlow::Continue(())
    };
    engine.store().visit(&mut keep).unwrap();
    all
}
