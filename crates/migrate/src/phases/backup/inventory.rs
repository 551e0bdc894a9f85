//! What is on the server.

use serde_json::Value;

use super::options::BackupOptions;
use crate::error::{MigrateError, Result};
use crate::files;
use crate::qdrant_rest::QdrantRest;

/// What is on the server.
pub(super) struct Inventory {
    pub(super) version: String,
    pub(super) collection: String,
    pub(super) collections: Vec<CollectionState>,
    pub(super) aliases: Value,
}

pub(super) struct CollectionState {
    pub(super) name: String,
    pub(super) points: u64,
    pub(super) info: Value,
}

/// Before anything is begun: what is to be copied must be there.
pub(super) fn check_input_files(options: &BackupOptions) -> Result<()> {
    for path in [&options.history, &options.neo4j_dump].into_iter().flatten() {
        let about = std::fs::metadata(path).map_err(files::io_error(path))?;
        if about.is_dir() {
            return Err(MigrateError::Unfit(format!("{} is a folder: give the file in it", path.display())));
        }
        if about.len() == 0 {
            return Err(MigrateError::Unfit(format!("{} is empty", path.display())));
        }
    }
    Ok(())
}

pub(super) fn take_inventory(server: &QdrantRest, options: &BackupOptions) -> Result<Inventory> {
    let version = server.version()?;
    let aliases = server.aliases()?;
    let source = &options.source;
    // By its own name: an alias may be switched while this runs.
    let behind = |name: &str| {
        let mut pairs = aliases["aliases"].as_array().into_iter().flatten();
        let pair = pairs.find(|pair| pair["alias_name"] == name);
        pair.and_then(|pair| pair["collection_name"].as_str()).unwrap_or(name).to_owned()
    };
    let collection = behind(source);
    if collection.is_empty() || collection.starts_with('.') || collection.contains(['/', '\\']) {
        return Err(MigrateError::Unfit(format!("`{collection}` is no name of a collection")));
    }
    let Some(info) = server.collection(&collection)? else {
        let mut names = server.collections()?;
        names.sort();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let told = format!("Qdrant at {} has no collection `{collection}`; it has: {there}", server.url());
        return Err(MigrateError::Unfit(told));
    };
    let mut collections = vec![(collection.clone(), info)];
    // mem0 names that of the entities after what it was told, be it an alias.
    for name in [&collection, source] {
        let entities = behind(&format!("{name}_entities"));
        if collections.iter().all(|(there, _)| *there != entities)
            && let Some(info) = server.collection(&entities)?
        {
            collections.push((entities, info));
        }
    }
    let seen = |(name, info): (String, Value)| {
        let elsewhere = server.shards_elsewhere(&name)?;
        if elsewhere > 0 {
            return Err(MigrateError::Unfit(format!(
                "{elsewhere} shards of {name} are not active on the node at {}, and a snapshot holds those of one node \
                 only: move all shards to one node, or back up each node's storage by other means",
                server.url()
            )));
        }
        Ok(CollectionState { points: server.count(&name)?, name, info })
    };
    let collections = collections.into_iter().map(seen).collect::<Result<Vec<_>>>()?;
    Ok(Inventory { version, collection, collections, aliases })
}
