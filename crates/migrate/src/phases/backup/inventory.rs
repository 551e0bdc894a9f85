//! The collections and aliases on the server.

use serde_json::Value;

use super::history::check_history_source;
use super::options::BackupOptions;
use crate::error::{MigrateError, Result};
use crate::files;
use crate::qdrant_rest::QdrantRest;

/// What there is to back up.
pub(super) struct Inventory {
    /// The version of Qdrant.
    pub(super) version: String,
    /// The name of the source collection, not of an alias.
    pub(super) collection: String,
    /// The source collection and the collections of its entities.
    pub(super) collections: Vec<CollectionState>,
    /// All aliases, as the server returns them.
    pub(super) aliases: Value,
}

impl Inventory {
    pub(super) fn alias_count(&self) -> usize {
        self.aliases["aliases"].as_array().map_or(0, Vec::len)
    }
}

/// A collection on the server.
pub(super) struct CollectionState {
    pub(super) name: String,
    /// The number of points.
    pub(super) points: u64,
    /// The settings, as the server returns them.
    pub(super) info: Value,
}

impl CollectionState {
    /// The number of bytes of its dense vectors.
    pub(super) fn vector_bytes(&self) -> u64 {
        let vectors = &self.info["config"]["params"]["vectors"];
        let size = vectors["size"].as_u64().or_else(|| vectors[""]["size"].as_u64()).unwrap_or(0);
        self.points.saturating_mul(size).saturating_mul(4)
    }
}

/// Checks that the files to copy can be read, before anything is done.
pub(super) fn check_input_files(options: &BackupOptions) -> Result<()> {
    if let Some(history) = &options.history {
        check_history_source(history)?;
    }
    let Some(dump) = &options.neo4j_dump else { return Ok(()) };
    let metadata = std::fs::metadata(dump).map_err(files::io_error(dump))?;
    if metadata.is_dir() {
        return Err(MigrateError::Invalid(format!("{} is a folder: give the file in it", dump.display())));
    }
    if metadata.len() == 0 {
        return Err(MigrateError::Invalid(format!("{} is empty", dump.display())));
    }
    Ok(())
}

/// Reads what there is to back up. Refuses a collection with shards on other nodes.
pub(super) fn take_inventory(server: &QdrantRest, options: &BackupOptions) -> Result<Inventory> {
    let version = server.version()?;
    let aliases = server.aliases()?;
    let source = &options.source;
    // Aliases are resolved here because they may be switched during the backup.
    let resolve_alias = |name: &str| {
        let mut pairs = aliases["aliases"].as_array().into_iter().flatten();
        let pair = pairs.find(|pair| pair["alias_name"] == name);
        pair.and_then(|pair| pair["collection_name"].as_str()).unwrap_or(name).to_owned()
    };
    let collection = resolve_alias(source);
    if collection.is_empty() || collection.starts_with('.') || collection.contains(['/', '\\']) {
        return Err(MigrateError::Invalid(format!("`{collection}` is not a valid name of a collection")));
    }
    let Some(info) = server.collection(&collection)? else {
        let mut names = server.collections()?;
        names.sort();
        let existing = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let message =
            format!("Qdrant at {} has no collection `{collection}`; its collections: {existing}", server.url());
        return Err(MigrateError::Invalid(message));
    };
    let mut collections = vec![(collection.clone(), info)];
    // mem0 names the collection of entities after the configured name, which may be an alias.
    for name in [&collection, source] {
        let entities = resolve_alias(&format!("{name}_entities"));
        if collections.iter().all(|(known, _)| *known != entities)
            && let Some(info) = server.collection(&entities)?
        {
            collections.push((entities, info));
        }
    }
    let state = |(name, info): (String, Value)| {
        let elsewhere = server.shards_elsewhere(&name)?;
        if elsewhere > 0 {
            return Err(MigrateError::Invalid(format!(
                "{elsewhere} shards of {name} are not active on the node at {}, and a snapshot has only the shards of one \
                 node: move all shards to one node, or back up the storage of each node by other means",
                server.url()
            )));
        }
        Ok(CollectionState { points: server.count(&name)?, name, info })
    };
    let collections = collections.into_iter().map(state).collect::<Result<Vec<_>>>()?;
    Ok(Inventory { version, collection, collections, aliases })
}
