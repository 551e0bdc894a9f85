//! The whole server in this process, with a memory of bob that no response may contain.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use mnemon_engine::{AddRequest, Engine, EngineConfig, Message};
use mnemon_models::{Embedder, StaticEmbedder};
use mnemon_server::auth::ConfiguredKey;
use mnemon_server::{Config, Secret};
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{Scope, SqliteStore};
use tower::ServiceExt;

/// Ana's key, too long to be guessed.
pub const ANA: &str = "kJ4vQn8sZt2LwXc7RbYp5HdMf9GaEu3T";
/// A word in bob's memory that no request contains.
pub const MARK: &str = "xyzzybob";

struct World {
    router: axum::Router,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let embedder = Arc::new(StaticEmbedder::builtin().unwrap());
        let options = SqliteOptions::new(folder.path().join("m.db"), embedder.fingerprint(), embedder.dims());
        let store = Arc::new(SqliteStore::open(options).unwrap());
        let engine = Arc::new(Engine::new(store.clone(), embedder, EngineConfig::default()));
        for (user, text) in [("bob", "xyzzybob likes tea"), ("ana", "Ana likes tea")] {
            let message = Message { role: "user".into(), content: text.into(), ..Message::default() };
            let scope = Scope::new(Some(user), Some("bot"), None).unwrap();
            engine.add(AddRequest { scope, messages: vec![message], ..AddRequest::default() }).unwrap();
        }
        let keys = format!(r#"{{"{ANA}": "ana", "Wm6TqZ3xNc8VbKj5HgFd2SpLr9YtEu7A": "bob"}}"#);
        let config = Config {
            keys: ConfiguredKey::parse_all(&keys).unwrap(),
            admin_key: Some(Secret::new("Xa9sD4fG7hJ2kL5zQ8wE3rT6yU1iO0pM")),
            ..Config::default()
        };
        let router = mnemon_server::service(engine, store, config).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        World { router, runtime, _folder: folder }
    })
}

/// Returns the server's answer; panics if it contains bob's memory or is a server error.
pub fn answer(request: Request<Body>) -> (StatusCode, String) {
    let world = world();
    world.runtime.block_on(async {
        let response = world.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(!body.contains(MARK), "{body}");
        assert!(!status.is_server_error(), "{status} {body}");
        (status, body)
    })
}
