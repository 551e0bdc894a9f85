//! Settings of a store in Qdrant and of its ledger.

use std::path::Path;

use anyhow::Context;
use mnemon_store::qdrant::{NewCollection, Quantization};

use super::declared::Values;
use super::environment::Environment;
use super::location::{LedgerLocation, StoreLocation, parse_ledger};
use super::mem0_qdrant::Mem0Qdrant;
use super::paths::data_file;
use crate::error::CliError;

/// Connection, options for new collections, and location of the ledger.
#[derive(Clone)]
pub(crate) struct QdrantSettings {
    pub(crate) ledger: LedgerLocation,
    /// Whether the ledger was given, rather than being the default.
    pub(crate) is_ledger_configured: bool,
    pub(crate) api_key: Option<String>,
    pub(crate) timeout: std::time::Duration,
    pub(crate) retries: u32,
    /// Options for new collections.
    pub(crate) new: NewCollection,
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

/// The store in the variables of mem0's server; `None` without `QDRANT_HOST`.
pub(super) fn from_mem0_variables(environment: &Environment) -> Result<Option<StoreLocation>, CliError> {
    if environment.non_blank("QDRANT_HOST").is_none() {
        return Ok(None);
    }
    let mut given = Mem0Qdrant::read(environment)?;
    // Someone who gives only this one means the gRPC port.
    if given.rest_port == Some(6334) {
        given.grpc_port.get_or_insert(6334);
    }
    let collection = given.collection()?;
    super::location::parse(&format!("qdrant:{}/{}", collection.grpc, collection.name)).map(Some)
}

/// The ledger of a store for which none is configured.
fn default_ledger(store: &StoreLocation) -> anyhow::Result<LedgerLocation> {
    let (urls, collection) = match store {
        StoreLocation::Sqlite(path) => return Ok(LedgerLocation::Sqlite(path.clone())),
        StoreLocation::Qdrant { urls, collection } => (urls, collection),
    };
    let server = urls.first().map_or("", |url| url.split_once("://").map_or(url.as_str(), |(_, host)| host));
    // All spellings of localhost have the same ledger.
    let server = ["127.0.0.1:", "[::1]:"].iter().fold(server.to_owned(), |server, local| {
        server.strip_prefix(local).map_or(server.clone(), |port| format!("localhost:{port}"))
    });
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' };
    let name: String = format!("ledger-{server}-{collection}.db").chars().map(plain).collect();
    Ok(LedgerLocation::Sqlite(data_file(&name)?))
}

pub(super) fn resolve(
    values: &Values,
    store: &StoreLocation,
    environment: &Environment,
) -> anyhow::Result<QdrantSettings> {
    let ledger = match (&values.ledger, store) {
        (Some(_), StoreLocation::Sqlite(_)) => {
            let message = "a ledger applies to a store in Qdrant only: a SQLite store keeps everything in its file";
            return Err(CliError::usage(message).into());
        }
        (Some(ledger), _) => parse_ledger(ledger).with_context(|| values.origin("ledger"))?,
        (None, store) => default_ledger(store)?,
    };
    let non_zero = |number: u32| (number > 0).then_some(number);
    let new = NewCollection {
        shards: non_zero(values.qdrant_shards),
        replication_factor: non_zero(values.qdrant_replication_factor),
        write_consistency_factor: non_zero(values.qdrant_write_consistency_factor),
        on_disk: values.qdrant_on_disk,
        quantization: match values.qdrant_quantization.as_str() {
            "none" => None,
            "scalar" => Some(Quantization::Scalar),
            "binary" => Some(Quantization::Binary),
            _ => return Err(values.invalid("qdrant_quantization", "`none`, `scalar` or `binary`").into()),
        },
    };
    let timeout = values.qdrant_timeout;
    let api_key = environment.non_blank("QDRANT_API_KEY");
    let is_ledger_configured = values.ledger.is_some();
    Ok(QdrantSettings { ledger, is_ledger_configured, api_key, timeout, retries: values.qdrant_retries, new })
}

/// What a client needs to reach a collection.
pub struct CollectionAddress<'s> {
    /// gRPC address of the first node.
    pub url: &'s str,
    pub api_key: Option<&'s str>,
    pub timeout: std::time::Duration,
    /// The collection's name.
    pub name: &'s str,
}

/// Connection settings of a client, and options for new collections.
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

    /// These settings for another store. A ledger that is not configured is that store's default.
    pub(super) fn for_store(&self, store: &StoreLocation) -> anyhow::Result<Self> {
        let ledger = if self.is_ledger_configured { self.ledger.clone() } else { default_ledger(store)? };
        Ok(Self { ledger, ..self.clone() })
    }

    /// These settings with this file as ledger.
    pub(crate) fn with_ledger(&self, file: &Path) -> Self {
        Self { ledger: LedgerLocation::Sqlite(file.to_owned()), ..self.clone() }
    }

    /// The address of a collection.
    pub(super) fn address<'s>(&'s self, urls: &'s [String], name: &'s str) -> CollectionAddress<'s> {
        let url = urls.first().map_or("", String::as_str);
        CollectionAddress { url, api_key: self.api_key.as_deref(), timeout: self.timeout, name }
    }

    /// The file of a SQLite ledger.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.ledger {
            LedgerLocation::Sqlite(path) => Some(path),
            LedgerLocation::Postgres(_) => None,
        }
    }
}
