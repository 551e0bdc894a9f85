//! Opens what the settings name: embedders, ledgers, stores and engines.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use mnemon_engine::{Engine, EngineConfig};
use mnemon_models::Embedder;
use mnemon_store::database::{Database, Lock, LockGuard, PostgresDatabase, SqliteDatabase};
use mnemon_store::qdrant::{LEDGER, QdrantOptions};
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{DocumentStore, QdrantStore, SqliteStore, Store};

use crate::error::CliError;
use crate::settings::{LedgerPlace, QdrantSettings, Settings, StorePlace};

/// What makes vectors of texts.
pub fn embedder(settings: &Settings) -> anyhow::Result<Arc<dyn Embedder>> {
    Ok(settings.embedder.make()?)
}

/// Loads an embedder that lies on this machine now rather than with the first text.
pub(crate) fn load_embedder(settings: &Settings) -> anyhow::Result<()> {
    Ok(settings.embedder.load()?)
}

/// Another embedder than the one that is set, named as the setting does; one that is set already needs no more than its
/// name.
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
        .context("--to, --to-url and --to-dims stand for embedder, embedder_url and embedder_dims")?;
    Ok(other.make()?)
}

/// The engine over the store, which must be there.
pub(crate) fn open_engine(settings: &Settings) -> anyhow::Result<Engine> {
    check_store_exists(settings)?;
    Ok(open_store(settings, Mode { create: false, any_embedder: false })?.engine)
}

/// The engine over the store, which is created if it is not there: for what remembers.
pub(crate) fn open_or_create_engine(settings: &Settings) -> anyhow::Result<Engine> {
    Ok(open_store(settings, Mode { create: true, any_embedder: false })?.engine)
}

/// The engine over the store, whichever embedder filled it: for what asks no questions.
pub(crate) fn open_engine_any_embedder(settings: &Settings) -> anyhow::Result<Engine> {
    check_store_exists(settings)?;
    Ok(open_store(settings, Mode { create: false, any_embedder: true })?.engine)
}

/// The engine over the store, which is created if it is not there, and the server's ledger.
pub(crate) fn open_for_server(settings: &Settings) -> anyhow::Result<(Engine, Arc<dyn DocumentStore>)> {
    let opened = open_store(settings, Mode { create: true, any_embedder: false })?;
    Ok((opened.engine, opened.documents))
}

/// The documents that a server keeps, whose place is created if it is not there.
pub(crate) fn open_documents(settings: &Settings) -> anyhow::Result<Arc<dyn DocumentStore>> {
    match &settings.store {
        StorePlace::Sqlite(_) => Ok(open_for_server(settings)?.1),
        StorePlace::Qdrant { .. } => Ok(open_ledger(&settings.qdrant)?.1),
    }
}

/// An engine over another file, which is created if it is not there.
pub fn open_engine_at(settings: &Settings, path: &Path) -> anyhow::Result<Engine> {
    Ok(open_sqlite(settings, path, None)?.engine)
}

/// The engine over another collection of the store's server, which is created if it is not there, with an embedder
/// of the caller's; its ledger is the store's own, or this file.
pub fn open_engine_in(
    settings: &Settings,
    collection: &str,
    ledger: Option<&Path>,
    embedder: Arc<dyn Embedder>,
) -> anyhow::Result<Engine> {
    let StorePlace::Qdrant { urls, .. } = &settings.store else {
        return Err(CliError::usage("there are collections in Qdrant only: give --store qdrant:URL/COLLECTION").into());
    };
    let qdrant = ledger.map_or_else(|| settings.qdrant.clone(), |file| settings.qdrant.with_ledger(file));
    let fingerprint = embedder.fingerprint().to_owned();
    let (database, documents) = open_ledger(&qdrant)?;
    let mut options = qdrant_options(&qdrant, urls, collection, fingerprint, embedder.dims(), database);
    options.cache_bytes = settings.cache_bytes;
    engine(settings, Arc::new(QdrantStore::open(options)?), embedder, documents)
}

/// The store, which must be there and in SQLite, whichever embedder filled it.
pub(crate) fn open_sqlite_any_embedder(settings: &Settings) -> anyhow::Result<SqliteStore> {
    check_store_exists(settings)?;
    let StorePlace::Sqlite(path) = &settings.store else {
        let message = "a store in Qdrant can't be moved in its place: `mnemon export FILE` from it, then, with the \
                       other embedder set, `mnemon import --reembed FILE` into a new one, such as --store \
                       qdrant:URL/ANOTHER_COLLECTION";
        return Err(CliError::usage(message).into());
    };
    let (fingerprint, dims) = SqliteStore::embedder_of(path)?
        .ok_or_else(|| CliError::failed("no_store", format!("{} is empty: there is nothing to do", path.display())))?;
    let mut options = SqliteOptions::new(path, fingerprint, dims);
    options.cache_bytes = settings.cache_bytes;
    Ok(SqliteStore::open(options)?)
}

/// Whether there is a store. Qdrant is asked when it is opened.
pub(crate) fn check_store_exists(settings: &Settings) -> Result<(), CliError> {
    match &settings.store {
        StorePlace::Sqlite(path) if !path.exists() => {
            let store = path.display();
            let message = format!(
                "there is no store at {store}: `mnemon add` or `mnemon serve` makes one, --store names another"
            );
            Err(CliError::failed("no_store", message))
        }
        _ => Ok(()),
    }
}

/// Keeps all writers out of a collection that Mnemon itself serves, while it is locked; `None` for one that has no
/// ledger here, so is served by somebody else.
pub(crate) fn ledger_lock(settings: &Settings) -> anyhow::Result<Option<LedgerLock>> {
    match &settings.qdrant.ledger {
        LedgerPlace::Sqlite(path) if !path.exists() => Ok(None),
        _ => Ok(Some(LedgerLock(open_ledger(&settings.qdrant)?.0))),
    }
}

/// A ledger whose scopes are to be locked.
pub(crate) struct LedgerLock(Arc<dyn Database>);

impl LedgerLock {
    /// Waits for the writers that are at work, and keeps further ones waiting.
    pub(crate) fn acquire(&self) -> anyhow::Result<Box<dyn LockGuard + '_>> {
        Ok(self.0.lock(&Lock::Everything)?)
    }
}

/// How a store is to be opened.
#[derive(Clone, Copy)]
struct Mode {
    /// Makes it where it is not there.
    create: bool,
    /// Takes whichever embedder filled it.
    any_embedder: bool,
}

/// A store that was opened.
struct Opened {
    engine: Engine,
    documents: Arc<dyn DocumentStore>,
}

fn open_store(settings: &Settings, mode: Mode) -> anyhow::Result<Opened> {
    match &settings.store {
        StorePlace::Sqlite(path) => {
            let stored = if mode.any_embedder { SqliteStore::embedder_of(path)? } else { None };
            open_sqlite(settings, path, stored)
        }
        StorePlace::Qdrant { urls, collection } => open_qdrant(settings, urls, collection, mode),
    }
}

fn open_sqlite(settings: &Settings, path: &Path, embedder_of_store: Option<(String, usize)>) -> anyhow::Result<Opened> {
    let embedder = embedder(settings)?;
    if !path.exists() {
        settings.embedder.prove(&*embedder)?;
        tracing::info!(path = %path.display(), "creating the store");
    }
    let (fingerprint, dims) = embedder_of_store.unwrap_or_else(|| (embedder.fingerprint().to_owned(), embedder.dims()));
    let mut options = SqliteOptions::new(path, fingerprint, dims);
    options.cache_bytes = settings.cache_bytes;
    let store = Arc::new(SqliteStore::open(options)?);
    Ok(Opened { engine: engine(settings, store.clone(), embedder, store.clone())?, documents: store })
}

/// The engine over a collection. Whether it is made is `mode`'s to say.
fn open_qdrant(settings: &Settings, urls: &[String], collection: &str, mode: Mode) -> anyhow::Result<Opened> {
    let embedder = embedder(settings)?;
    let (database, documents) = open_ledger(&settings.qdrant)?;
    let mut stored = QdrantStore::embedder_of(&*database)?;
    if stored.is_none() && mode.create {
        settings.embedder.prove(&*embedder)?;
    }
    stored = stored.filter(|_| mode.any_embedder);
    let (fingerprint, dims) = stored.unwrap_or_else(|| (embedder.fingerprint().to_owned(), embedder.dims()));
    let mut options = qdrant_options(&settings.qdrant, urls, collection, fingerprint, dims, database);
    options.cache_bytes = settings.cache_bytes;
    options.create = mode.create;
    let store = Arc::new(QdrantStore::open(options)?);
    Ok(Opened { engine: engine(settings, store, embedder, documents.clone())?, documents })
}

/// Opens the ledger, as the store and as the server want it.
fn open_ledger(qdrant: &QdrantSettings) -> anyhow::Result<(Arc<dyn Database>, Arc<dyn DocumentStore>)> {
    Ok(match &qdrant.ledger {
        LedgerPlace::Sqlite(path) => {
            let database = Arc::new(SqliteDatabase::open(path, LEDGER)?);
            (database.clone(), database)
        }
        LedgerPlace::Postgres(url) => {
            let database = Arc::new(PostgresDatabase::open(url, LEDGER)?);
            (database.clone(), database)
        }
    })
}

/// How to open a store in Qdrant.
fn qdrant_options(
    qdrant: &QdrantSettings,
    urls: &[String],
    collection: &str,
    embedder: String,
    dims: usize,
    ledger: Arc<dyn Database>,
) -> QdrantOptions {
    let describe = Arc::new(mnemon_engine::describe);
    let mut options = QdrantOptions::new("", collection, embedder, dims, ledger, describe);
    options.urls = urls.to_vec();
    options.api_key.clone_from(&qdrant.api_key);
    options.timeout = qdrant.timeout;
    options.retries = qdrant.retries;
    options.new = qdrant.new.clone();
    // The default ledger is named after what was asked for.
    options.takes_alias = qdrant.ledger_named;
    options
}

fn engine(
    settings: &Settings,
    store: Arc<dyn Store>,
    embedder: Arc<dyn Embedder>,
    documents: Arc<dyn DocumentStore>,
) -> anyhow::Result<Engine> {
    let config = EngineConfig { session_gap: settings.session_gap, ..EngineConfig::default() };
    Ok(Engine::new(store, embedder, config).with_model_services(settings.llm.make(documents)?))
}
