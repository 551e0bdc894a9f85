//! A running server on a free port, with its own store.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use mnemon_engine::{Engine, EngineConfig, ModelServices};
use mnemon_models::{ChatModel, Embedder, LlmClient, LlmConfig, LlmProvider, StaticEmbedder};
use mnemon_server::auth::ConfiguredKey;
use mnemon_server::{Config, Secret, Server};
use mnemon_store::SqliteStore;
use mnemon_store::sqlite::SqliteOptions;
use mnemon_testbed::FakeService as Endpoint;
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The keys of [`TestServer::start`].
pub(crate) const ANA: &str = "ka";
pub(crate) const BOB: &str = "kb";
pub(crate) const ADMIN: &str = "adm";

/// The document store in this file.
pub(crate) fn documents(path: &Path) -> SqliteStore {
    let (fingerprint, dims) = SqliteStore::embedder_of(path).unwrap().unwrap();
    SqliteStore::open(SqliteOptions::new(path, &fingerprint, dims)).unwrap()
}

/// A running server.
pub(crate) struct TestServer {
    pub(crate) url: String,
    pub(crate) engine: Arc<Engine>,
    pub(crate) documents: Arc<SqliteStore>,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
    folder: Option<tempfile::TempDir>,
}

/// An answer of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The body, if the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

/// Keys of ana, bob and an admin.
pub(crate) fn config() -> Config {
    Config {
        keys: ConfiguredKey::parse_all(r#"{"ka": "ana", "kb": "bob"}"#).unwrap(),
        admin_key: Some(Secret::new(ADMIN)),
        ..Config::default()
    }
}

impl TestServer {
    /// A server with [`config`] over a new store.
    pub(crate) async fn start() -> Self {
        Self::with(config()).await
    }

    /// A server over a new store.
    pub(crate) async fn with(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::over(&folder.path().join("m.db"), config).await;
        server.folder = Some(folder);
        server
    }

    /// A server over a new store, with a language model behind this endpoint.
    pub(crate) async fn with_llm(endpoint: &Endpoint, config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::over_with_llm(&folder.path().join("m.db"), endpoint, config).await;
        server.folder = Some(folder);
        server
    }

    /// A server over the store in this file, with a language model behind this endpoint.
    pub(crate) async fn over_with_llm(path: &Path, endpoint: &Endpoint, config: Config) -> Self {
        let mut llm = LlmConfig::new(LlmProvider::OpenAi, "some-model");
        llm.base_url.clone_from(&endpoint.url);
        llm.retries = 0;
        let llm: Arc<dyn ChatModel> = Arc::new(LlmClient::new(llm).unwrap());
        Self::serve(path, config, Some(llm)).await
    }

    /// A server over the store in this file.
    pub(crate) async fn over(path: &Path, config: Config) -> Self {
        Self::serve(path, config, None).await
    }

    async fn serve(path: &Path, config: Config, llm: Option<Arc<dyn ChatModel>>) -> Self {
        static EMBEDDER: OnceLock<Arc<StaticEmbedder>> = OnceLock::new();
        let embedder = EMBEDDER.get_or_init(|| Arc::new(StaticEmbedder::builtin().unwrap())).clone();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = SqliteOptions::new(path, embedder.fingerprint(), embedder.dims());
        let store = Arc::new(SqliteStore::open(options).unwrap());
        let model_services = ModelServices { llm, documents: Some(store.clone()), ..ModelServices::default() };
        let engine = Engine::new(store.clone(), embedder, EngineConfig::default()).with_model_services(model_services);
        let engine = Arc::new(engine);
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(loopback, engine.clone(), store.clone(), config).await.unwrap();
        let url = format!("http://{}", server.address());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { url, engine, documents: store, client, stop: Some(stop), running: Some(running), folder: None }
    }

    /// Stops the server as a signal does, and waits until it has stopped.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
    }

    /// A request to send.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.url))
    }

    /// Sends a request with a key; `Null` sends no body.
    pub(crate) async fn call(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let mut request = self.request(method, path);
        if !key.is_empty() {
            request = request.header("x-api-key", key);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Self::answer(request).await
    }

    /// Sends a request and reads the answer; a body that is not JSON becomes a string.
    pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
        let response: Response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, headers, body }
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.call(key, "GET", path, Value::Null).await
    }

    pub(crate) async fn post(&self, key: &str, path: &str, body: Value) -> Answer {
        self.call(key, "POST", path, body).await
    }

    /// Stores a text for the user of the key and returns the id of the memory.
    pub(crate) async fn remember(&self, key: &str, text: &str) -> String {
        let body = serde_json::json!({"messages": [{"role": "user", "content": text}], "infer": false});
        let answer = self.post(key, "/memories", body).await.expect(200);
        answer["results"][0]["id"].as_str().unwrap().to_owned()
    }
}
