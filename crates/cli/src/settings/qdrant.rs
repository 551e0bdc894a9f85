//! Settings of a store in Qdrant and of its ledger.

use std::path::Path;
use std::sync::Arc;

use mnemon_store::DocumentStore;
use mnemon_store::database::{Database, PostgresDatabase, SqliteDatabase};
use mnemon_store::qdrant::{LEDGER, NewCollection, QdrantOptions, Quantization};

use super::store_path::{LedgerPlace, StorePlace, parse_ledger};
use super::{Values, data_file};
use crate::exit::Fault;

/// How to reach Qdrant, how to make a collection, and where the ledger is.
#[derive(Clone)]
pub(super) struct QdrantSettings {
    ledger: LedgerPlace,
    /// Whether the caller named it.
    ledger_named: bool,
    api_key: Option<String>,
    timeout: std::time::Duration,
    retries: u32,
    new: NewCollection,
}

impl std::fmt::Debug for QdrantSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QdrantSettings")
            .field("ledger", &self.ledger)
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .field("new", &self.new)
            .finish()
    }
}

fn given(environment: impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    environment(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The store that the variables of mem0's server name: `QDRANT_HOST`, `QDRANT_PORT`, `QDRANT_COLLECTION_NAME`.
///
/// mem0 speaks REST, Mnemon gRPC, which Qdrant serves on the port after that of REST; `QDRANT_GRPC_PORT` where it does not.
pub(super) fn of_the_runbook(environment: impl Fn(&str) -> Option<String>) -> Result<Option<StorePlace>, Fault> {
    let given = |name: &str| given(&environment, name);
    let Some(host) = given("QDRANT_HOST") else { return Ok(None) };
    let port = |name: &str| -> Result<Option<u16>, Fault> {
        let parse = |text: String| {
            text.parse().map_err(|_| Fault::usage(format!("{name} is `{text}`; give the number of a port")))
        };
        given(name).map(parse).transpose()
    };
    let port = match (port("QDRANT_GRPC_PORT")?, port("QDRANT_PORT")?) {
        (Some(grpc), _) => grpc,
        (None, Some(6334) | None) => 6334,
        (None, Some(rest)) => rest.saturating_add(1),
    };
    let host = if host.contains("://") { host } else { format!("http://{host}") };
    let collection = given("QDRANT_COLLECTION_NAME").unwrap_or_else(|| "mem0".into());
    super::store_path::parse(&format!("qdrant:{host}:{port}/{collection}")).map(Some)
}

/// Where the ledger of a store is, unless one is named.
fn default_ledger(store: &StorePlace) -> anyhow::Result<LedgerPlace> {
    let (urls, collection) = match store {
        StorePlace::Sqlite(path) => return Ok(LedgerPlace::Sqlite(path.clone())),
        StorePlace::Qdrant { urls, collection } => (urls, collection),
    };
    let server = urls.first().map_or("", |url| url.split_once("://").map_or(url.as_str(), |(_, host)| host));
    // Other spellings of this machine are the same server.
    let server = ["127.0.0.1:", "[::1]:"].iter().fold(server.to_owned(), |server, own| {
        server.strip_prefix(own).map_or(server.clone(), |port| format!("localhost:{port}"))
    });
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' };
    let name: String = format!("ledger-{server}-{collection}.db").chars().map(plain).collect();
    Ok(LedgerPlace::Sqlite(data_file(&name)?))
}

pub(super) fn resolve(
    values: &Values,
    store: &StorePlace,
    environment: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<QdrantSettings> {
    let ledger = match (&values.ledger, store) {
        (Some(_), StorePlace::Sqlite(_)) => {
            let message = "a ledger goes with a store in Qdrant only: a store in SQLite keeps everything in its file";
            return Err(Fault::usage(message).into());
        }
        (Some(ledger), _) => parse_ledger(ledger)?,
        (None, store) => default_ledger(store)?,
    };
    let some = |number: u32| (number > 0).then_some(number);
    let new = NewCollection {
        shards: some(values.qdrant_shards),
        replication_factor: some(values.qdrant_replication_factor),
        write_consistency_factor: some(values.qdrant_write_consistency_factor),
        on_disk: values.qdrant_on_disk,
        quantization: match values.qdrant_quantization.as_str() {
            "none" => None,
            "scalar" => Some(Quantization::Scalar),
            "binary" => Some(Quantization::Binary),
            other => {
                let message = format!("qdrant_quantization is `{other}`; give `none`, `scalar` or `binary`");
                return Err(Fault::usage(message).into());
            }
        },
    };
    let timeout = super::server::duration("qdrant_timeout", &values.qdrant_timeout)?;
    let api_key = given(environment, "QDRANT_API_KEY");
    let ledger_named = values.ledger.is_some();
    Ok(QdrantSettings { ledger, ledger_named, api_key, timeout, retries: values.qdrant_retries, new })
}

/// A collection as a client of its own reaches it.
pub(crate) struct CollectionPlace<'s> {
    /// gRPC address of the first node.
    pub(crate) url: &'s str,
    pub(crate) api_key: Option<&'s str>,
    pub(crate) timeout: std::time::Duration,
    /// The collection's name.
    pub(crate) name: &'s str,
}

/// How clients reach Qdrant, and how collections are made.
pub(crate) struct ClientSettings {
    pub(crate) api_key: Option<String>,
    pub(crate) timeout: std::time::Duration,
    pub(crate) retries: u32,
    pub(crate) new: NewCollection,
}

impl QdrantSettings {
    pub(super) fn client(&self) -> ClientSettings {
        ClientSettings {
            api_key: self.api_key.clone(),
            timeout: self.timeout,
            retries: self.retries,
            new: self.new.clone(),
        }
    }

    /// The same for another store; a ledger that was not named is the one that goes with it.
    pub(super) fn for_store(&self, store: &StorePlace) -> anyhow::Result<Self> {
        let ledger = if self.ledger_named { self.ledger.clone() } else { default_ledger(store)? };
        Ok(Self { ledger, ..self.clone() })
    }

    /// The ledger, if it is there already.
    pub(super) fn ledger_there(&self) -> anyhow::Result<Option<Arc<dyn Database>>> {
        match &self.ledger {
            LedgerPlace::Sqlite(path) if !path.exists() => Ok(None),
            _ => Ok(Some(self.open()?.0)),
        }
    }

    /// The same, for a collection whose ledger is this file.
    pub(super) fn with_ledger(&self, file: &Path) -> Self {
        Self { ledger: LedgerPlace::Sqlite(file.to_owned()), ..self.clone() }
    }

    /// Whether the caller named the ledger.
    pub(super) fn names_ledger(&self) -> bool {
        self.ledger_named
    }

    /// Where a collection is.
    pub(super) fn place<'s>(&'s self, urls: &'s [String], name: &'s str) -> CollectionPlace<'s> {
        let url = urls.first().map_or("", String::as_str);
        CollectionPlace { url, api_key: self.api_key.as_deref(), timeout: self.timeout, name }
    }

    /// Opens the ledger, as the store and as the server want it.
    pub(super) fn open(&self) -> anyhow::Result<(Arc<dyn Database>, Arc<dyn DocumentStore>)> {
        Ok(match &self.ledger {
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

    /// The file of the ledger.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.ledger {
            LedgerPlace::Sqlite(path) => Some(path),
            LedgerPlace::Postgres(_) => None,
        }
    }

    /// The documents of the ledger alone.
    pub(super) fn documents(&self) -> anyhow::Result<Arc<dyn DocumentStore>> {
        Ok(self.open()?.1)
    }

    /// How to open the store.
    pub(super) fn options(
        &self,
        urls: &[String],
        collection: &str,
        embedder: String,
        dims: usize,
        ledger: Arc<dyn Database>,
    ) -> QdrantOptions {
        let describe = Arc::new(mnemon_engine::describe);
        let mut options = QdrantOptions::new("", collection, embedder, dims, ledger, describe);
        options.urls = urls.to_vec();
        options.api_key.clone_from(&self.api_key);
        options.timeout = self.timeout;
        options.retries = self.retries;
        options.new = self.new.clone();
        // The default ledger is named after what was asked for.
        options.takes_alias = self.ledger_named;
        options
    }
}
