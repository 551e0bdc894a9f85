//! Opens embedders, ledgers, stores and engines from the settings.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use mnemon_engine::{Engine, EngineConfig, ErrorCode};
use mnemon_models::Embedder;
use mnemon_store::database::{Database, Lock, LockGuard, PostgresDatabase, SqliteDatabase};
use mnemon_store::qdrant::{LEDGER_SCHEMA, QdrantOptions};
use mnemon_store::sqlite::{SqliteOptions, UNKNOWN_EMBEDDER};
use mnemon_store::{DocumentStore, QdrantStore, SqliteStore, Store};

use crate::error::CliError;
use crate::settings::{LedgerLocation, QdrantSettings, Settings, StoreLocation};

/// The configured embedder.
///
/// # Errors
/// Those of its settings. No request is sent yet.
pub fn embedder(settings: &Settings) -> anyhow::Result<Arc<dyn Embedder>> {
    Ok(settings.embedder.build()?)
}

/// Loads a local embedder now instead of with the first text.
pub(crate) fn load_embedder(settings: &Settings) -> anyhow::Result<()> {
    Ok(settings.embedder.load()?)
}

/// Another embedder, given like the setting `embedder`. The name is enough for the configured one.
pub(crate) fn other_embedder(
    settings: &Settings,
    name: &str,
    url: Option<&str>,
    dims: Option<u32>,
) -> anyhow::Result<Arc<dyn Embedder>> {
    if name.trim() == settings.embedder_name.trim() && url.is_none() && dims.is_none() {
        return embedder(settings);
    }
    let other = settings
        .other_embedder(name, url, dims)
        .context("--to, --to-url and --to-dims correspond to embedder, embedder_url and embedder_dims")?;
    Ok(other.build()?)
}

/// Opens the store, which must exist.
pub(crate) fn open_engine(settings: &Settings) -> anyhow::Result<Engine> {
    check_store_exists(settings)?;
    Ok(open_store(settings, OpenMode { create: false, any_embedder: false, dims: None })?.engine)
}

/// Opens the store, or creates it.
pub(crate) fn open_or_create_engine(settings: &Settings) -> anyhow::Result<Engine> {
    Ok(open_store(settings, OpenMode { create: true, any_embedder: false, dims: None })?.engine)
}

/// Opens the store, which must exist, whatever embedder it uses: for commands that do not search.
pub(crate) fn open_engine_any_embedder(settings: &Settings) -> anyhow::Result<Engine> {
    Ok(open_any_embedder(settings)?.0)
}

/// Opens the store of a migration, which must exist, with any embedder. A new ledger of a collection with other dims than
/// those of the configured embedder is for an unknown embedder, until a server with a fitting one opens it.
pub(crate) fn open_engine_with_dims(settings: &Settings, dims: usize) -> anyhow::Result<Engine> {
    check_store_exists(settings)?;
    Ok(open_store(settings, OpenMode { create: false, any_embedder: true, dims: Some(dims) })?.engine)
}

/// The same, with the documents of the server.
pub(crate) fn open_any_embedder(settings: &Settings) -> anyhow::Result<(Engine, Arc<dyn DocumentStore>)> {
    check_store_exists(settings)?;
    let store = open_store(settings, OpenMode { create: false, any_embedder: true, dims: None })?;
    Ok((store.engine, store.documents))
}

/// Opens the store, or creates it, and the documents of the server.
pub(crate) fn open_for_server(settings: &Settings) -> anyhow::Result<(Engine, Arc<dyn DocumentStore>)> {
    let store = open_store(settings, OpenMode { create: true, any_embedder: false, dims: None })?;
    Ok((store.engine, store.documents))
}

/// Opens the documents of the server, or creates their database.
pub(crate) fn open_documents(settings: &Settings) -> anyhow::Result<Arc<dyn DocumentStore>> {
    match &settings.store {
        StoreLocation::Sqlite(_) => Ok(open_for_server(settings)?.1),
        StoreLocation::Qdrant { .. } => Ok(open_ledger(&settings.qdrant)?.1),
    }
}

/// Opens a SQLite store at this path, or creates it.
///
/// # Errors
/// Those of the store and the embedder.
pub fn open_engine_at(settings: &Settings, path: &Path) -> anyhow::Result<Engine> {
    Ok(open_sqlite(settings, path, None)?.engine)
}

/// Opens another collection on the configured Qdrant server, or creates it, with this embedder. The ledger is this file, or the
/// configured one.
///
/// # Errors
/// A usage error if the configured store is not in Qdrant, and those of the store.
pub fn open_engine_in(
    settings: &Settings,
    collection: &str,
    ledger: Option<&Path>,
    embedder: Arc<dyn Embedder>,
) -> anyhow::Result<Engine> {
    let StoreLocation::Qdrant { urls, .. } = &settings.store else {
        return Err(CliError::usage("collections exist in Qdrant only: give --store qdrant:URL/COLLECTION").into());
    };
    let qdrant = ledger.map_or_else(|| settings.qdrant.clone(), |file| settings.qdrant.with_ledger(file));
    let fingerprint = embedder.fingerprint().to_owned();
    let (database, documents) = open_ledger(&qdrant)?;
    let mut options = qdrant_options(&qdrant, urls, collection, fingerprint, embedder.dims(), database);
    options.cache_bytes = settings.cache_bytes;
    engine(settings, Arc::new(QdrantStore::open(options)?), embedder, documents)
}

/// Opens the store, which must exist and be in SQLite, whatever embedder it uses.
pub(crate) fn open_sqlite_any_embedder(settings: &Settings) -> anyhow::Result<SqliteStore> {
    check_store_exists(settings)?;
    let StoreLocation::Sqlite(path) = &settings.store else {
        let message = "a store in Qdrant can't be re-embedded in place: run `mnemon export FILE`, then, with the new \
                       embedder configured, `mnemon import --reembed FILE` into a new store, such as --store \
                       qdrant:URL/ANOTHER_COLLECTION";
        return Err(CliError::usage(message).into());
    };
    let (fingerprint, dims) = SqliteStore::embedder_of(path)?.ok_or_else(|| {
        CliError::failed(ErrorCode::NoStore, format!("{} is empty: there is nothing to re-embed", path.display()))
    })?;
    let mut options = SqliteOptions::new(path, fingerprint, dims);
    options.cache_bytes = settings.cache_bytes;
    Ok(SqliteStore::open(options)?)
}

/// Fails if a SQLite store does not exist. A collection is checked when it is opened.
pub(crate) fn check_store_exists(settings: &Settings) -> Result<(), CliError> {
    match &settings.store {
        StoreLocation::Sqlite(path) if !path.exists() => {
            let store = path.display();
            let message = format!(
                "no store at {store}: create one with `mnemon add` or `mnemon serve`, or give another with --store"
            );
            Err(CliError::failed(ErrorCode::NoStore, message))
        }
        _ => Ok(()),
    }
}

/// The lock on all writes of a collection that mnemon serves; `None` if the collection has no ledger here, so that mnemon does
/// not serve it.
pub(crate) fn ledger_lock(settings: &Settings) -> anyhow::Result<Option<LedgerLock>> {
    match &settings.qdrant.ledger {
        LedgerLocation::Sqlite(path) if !path.exists() => Ok(None),
        _ => Ok(Some(LedgerLock(open_ledger(&settings.qdrant)?.0))),
    }
}

/// A ledger to lock.
pub(crate) struct LedgerLock(Arc<dyn Database>);

impl LedgerLock {
    /// Waits for running writes and blocks further ones until the guard is dropped.
    pub(crate) fn acquire(&self) -> anyhow::Result<Box<dyn LockGuard + '_>> {
        Ok(self.0.lock(&Lock::Everything)?)
    }
}

/// How to open a store.
#[derive(Clone, Copy)]
struct OpenMode {
    /// Whether to create the store if it does not exist.
    create: bool,
    /// Whether to use the embedder that the store has, instead of requiring the configured one.
    any_embedder: bool,
    /// The dims of the vectors in the store, if they are known.
    dims: Option<usize>,
}

/// An open store.
struct OpenStore {
    engine: Engine,
    documents: Arc<dyn DocumentStore>,
}

fn open_store(settings: &Settings, mode: OpenMode) -> anyhow::Result<OpenStore> {
    match &settings.store {
        StoreLocation::Sqlite(path) => {
            let stored = if mode.any_embedder { SqliteStore::embedder_of(path)? } else { None };
            open_sqlite(settings, path, stored)
        }
        StoreLocation::Qdrant { urls, collection } => open_qdrant(settings, urls, collection, mode),
    }
}

fn open_sqlite(
    settings: &Settings,
    path: &Path,
    embedder_of_store: Option<(String, usize)>,
) -> anyhow::Result<OpenStore> {
    let embedder = embedder(settings)?;
    if !path.exists() {
        settings.embedder.check(&*embedder)?;
        tracing::info!(path = %path.display(), "creating the store");
    }
    let (fingerprint, dims) = embedder_of_store.unwrap_or_else(|| (embedder.fingerprint().to_owned(), embedder.dims()));
    let mut options = SqliteOptions::new(path, fingerprint, dims);
    options.cache_bytes = settings.cache_bytes;
    let store = Arc::new(SqliteStore::open(options)?);
    Ok(OpenStore { engine: engine(settings, store.clone(), embedder, store.clone())?, documents: store })
}

/// Opens a collection and its ledger.
fn open_qdrant(settings: &Settings, urls: &[String], collection: &str, mode: OpenMode) -> anyhow::Result<OpenStore> {
    let embedder = embedder(settings)?;
    let (database, documents) = open_ledger(&settings.qdrant)?;
    let mut stored = QdrantStore::embedder_of(&*database)?;
    if stored.is_none() && mode.create {
        settings.embedder.check(&*embedder)?;
    }
    stored = stored.filter(|_| mode.any_embedder);
    let (fingerprint, dims) = stored.unwrap_or_else(|| match mode.dims {
        Some(dims) if dims != embedder.dims() => (UNKNOWN_EMBEDDER.to_owned(), dims),
        _ => (embedder.fingerprint().to_owned(), embedder.dims()),
    });
    let mut options = qdrant_options(&settings.qdrant, urls, collection, fingerprint, dims, database);
    options.cache_bytes = settings.cache_bytes;
    options.create = mode.create;
    let store = Arc::new(QdrantStore::open(options)?);
    Ok(OpenStore { engine: engine(settings, store, embedder, documents.clone())?, documents })
}

/// Opens the ledger: as a database for the store, and as documents for the server.
fn open_ledger(qdrant: &QdrantSettings) -> anyhow::Result<(Arc<dyn Database>, Arc<dyn DocumentStore>)> {
    Ok(match &qdrant.ledger {
        LedgerLocation::Sqlite(path) => {
            let database = Arc::new(SqliteDatabase::open(path, LEDGER_SCHEMA)?);
            (database.clone(), database)
        }
        LedgerLocation::Postgres(url) => {
            let database = Arc::new(PostgresDatabase::open(url, LEDGER_SCHEMA)?);
            (database.clone(), database)
        }
    })
}

/// Options for opening a Qdrant store.
fn qdrant_options(
    qdrant: &QdrantSettings,
    urls: &[String],
    collection: &str,
    embedder: String,
    dims: usize,
    ledger: Arc<dyn Database>,
) -> QdrantOptions {
    let describe = Arc::new(mnemon_engine::describe_terms);
    let mut options = QdrantOptions::new("", collection, embedder, dims, ledger, describe);
    options.urls = urls.to_vec();
    options.api_key.clone_from(&qdrant.api_key);
    options.timeout = qdrant.timeout;
    options.retries = qdrant.retries;
    options.new = qdrant.new.clone();
    // The default ledger has the name of the collection as given, so an alias would lead to another ledger.
    options.takes_alias = qdrant.is_ledger_configured;
    options
}

fn engine(
    settings: &Settings,
    store: Arc<dyn Store>,
    embedder: Arc<dyn Embedder>,
    documents: Arc<dyn DocumentStore>,
) -> anyhow::Result<Engine> {
    let config = EngineConfig { session_gap: settings.session_gap, ..EngineConfig::default() };
    Ok(Engine::new(store, embedder, config).with_model_services(settings.llm.build(documents)?))
}
