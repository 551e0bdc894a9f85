//! The two collections in the format of mem0 v2. Existing collections are checked, missing ones are created.

use std::collections::HashMap;

use qdrant_client::qdrant::{
    BinaryQuantizationBuilder, CollectionInfo, CreateCollectionBuilder, CreateFieldIndexCollectionBuilder,
    DatetimeIndexParamsBuilder, Distance, FieldType, KeywordIndexParamsBuilder, Modifier, OptimizersConfigDiff,
    PayloadSchemaInfo, QuantizationType, ScalarQuantizationBuilder, SparseVectorConfig, SparseVectorParams,
    UpdateCollection, VectorParamsBuilder, quantization_config, vectors_config,
};

use super::client::Client;
use super::codec::{BM25, DENSE, LINKED_MEMORIES};
use super::options::{NewCollection, QdrantOptions, Quantization};
use crate::{CollectionProblem, Result, StoreError, keys};

/// The oldest server version with all features that are used: tenants, IDF and the query interface.
const OLDEST_VERSION: [u64; 2] = [1, 11];
/// The version of Qdrant since which a collection has metadata.
pub(super) const METADATA_VERSION: [u64; 2] = [1, 16];
/// The version of Qdrant since which the `bm25` slot can be added to an existing collection.
pub(super) const ADD_SLOT_VERSION: [u64; 2] = [1, 18];

/// An index of a payload key.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Index {
    Tenant,
    Keyword,
    Datetime,
}

pub(super) const MEMORY_INDEXES: [(&str, Index); 6] = [
    ("user_id", Index::Tenant),
    ("agent_id", Index::Keyword),
    ("run_id", Index::Keyword),
    (keys::ACTOR_ID, Index::Keyword),
    (keys::CREATED_AT, Index::Datetime),
    (keys::UPDATED_AT, Index::Datetime),
];

/// The key of the ledger's id in the metadata of a collection. Servers before 1.16 have no such metadata.
const LEDGER_ID: &str = "mnemon_ledger";

/// The key of the fact that a collection was filled without entities, in the same metadata.
const WITHOUT_ENTITIES: &str = "mnemon_without_entities";

pub(super) const ENTITY_INDEXES: [(&str, Index); 4] = [
    ("user_id", Index::Tenant),
    ("agent_id", Index::Keyword),
    ("run_id", Index::Keyword),
    (LINKED_MEMORIES, Index::Keyword),
];

/// The collections of a store.
#[derive(Clone, Debug)]
pub(super) struct Collections {
    /// The name of the collection itself, because the target of an alias may change.
    pub(super) memories: String,
    pub(super) entities: String,
    /// The alias that the store was opened with, if it was one.
    pub(super) alias: Option<String>,
    pub(super) has_bm25: bool,
    /// Whether the server keeps metadata of a collection.
    has_metadata: bool,
}

impl Collections {
    /// Checks both collections and creates missing ones.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] for a server that is too old; [`StoreError::UnusableCollection`].
    pub(super) fn open(client: &Client, options: &QdrantOptions) -> Result<Self> {
        let version =
            client.call("version", |node| node.health_check()).map_err(|error| explain_no_grpc(client, error))?.version;
        check_version(client, &version)?;
        let has_metadata = is_at_least(&version, METADATA_VERSION);
        let name = &options.collection;
        let target = alias_target(client, name)?;
        if let Some(target) = target.as_ref().filter(|_| !options.takes_alias) {
            return Err(unusable(name, CollectionProblem::Alias { target: target.clone() }));
        }
        let Some(info) = collection_info(client, name)? else {
            if !options.create {
                return Err(unusable(name, CollectionProblem::Missing { server: client.location() }));
            }
            create(client, &options.new, options.dims, name, true)?;
            let entities = open_entities(client, options, name, None)?;
            ensure_indexes(client, name, &HashMap::new(), &MEMORY_INDEXES)?;
            return Ok(Self { memories: name.clone(), entities, alias: None, has_bm25: true, has_metadata });
        };
        check_vectors(&info, options, name)?;
        let has_bm25 = has_bm25(&info);
        ensure_indexes(client, name, &info.payload_schema, &MEMORY_INDEXES)?;
        let entities = open_entities(client, options, name, target.as_deref())?;
        let alias = target.is_some().then(|| name.clone());
        Ok(Self { memories: target.unwrap_or_else(|| name.clone()), entities, alias, has_bm25, has_metadata })
    }

    /// Whether the alias points to another collection now.
    pub(super) fn alias_moved(&self, client: &Client) -> Result<bool> {
        match &self.alias {
            Some(alias) => Ok(alias_target(client, alias)?.as_ref() != Some(&self.memories)),
            None => Ok(false),
        }
    }

    /// The id of the ledger that is recorded in the collection, and whether its memories have no entities.
    pub(super) fn recorded_facts(&self, client: &Client) -> Result<(Option<String>, bool)> {
        let Some(info) = collection_info(client, &self.memories)? else { return Ok((None, false)) };
        let without_entities = if self.has_metadata {
            is_without_entities(&info)
        } else {
            // Not recorded there, so it is concluded.
            let entities = collection_info(client, &self.entities)?.and_then(|info| info.points_count);
            info.points_count() > 0 && entities.unwrap_or(0) == 0
        };
        let ledger = info.config.and_then(|mut config| config.metadata.remove(LEDGER_ID));
        Ok((ledger.and_then(|ledger| ledger.as_str().cloned()), without_entities))
    }

    /// Records the id of the ledger in the collection.
    pub(super) fn record_ledger_id(&self, client: &Client, ledger: &str) -> Result<()> {
        let request = UpdateCollection {
            collection_name: self.memories.clone(),
            metadata: HashMap::from([(LEDGER_ID.to_owned(), ledger.into())]),
            ..UpdateCollection::default()
        };
        client.call("name the ledger", |node| node.update_collection(request.clone())).map(drop)
    }
}

/// The collection that an alias points to; `None` if the name is not an alias.
pub(super) fn alias_target(client: &Client, name: &str) -> Result<Option<String>> {
    let aliases = client.call("aliases", |node| node.list_aliases())?.aliases;
    Ok(aliases.into_iter().find(|alias| alias.alias_name == name).map(|alias| alias.collection_name))
}

/// The server's description of a collection; `None` if it does not exist.
pub(super) fn collection_info(client: &Client, name: &str) -> Result<Option<CollectionInfo>> {
    if !client.call("exists", |node| node.collection_exists(name))? {
        return Ok(None);
    }
    Ok(client.call("collection", |node| node.collection_info(name))?.result)
}

/// Explains the error of the first request if the server does not speak HTTP/2, and so not gRPC.
pub(super) fn explain_no_grpc(client: &Client, error: StoreError) -> StoreError {
    match error {
        StoreError::Database(source) if source.to_string().contains("http2 error") => {
            StoreError::Misconfigured(format!(
                "the server at {} does not speak gRPC; is this Qdrant's REST port? Use the gRPC port: 6334 instead of 6333",
                client.location()
            ))
        }
        other => other,
    }
}

pub(super) fn check_version(client: &Client, version: &str) -> Result<()> {
    if is_at_least(version, OLDEST_VERSION) {
        return Ok(());
    }
    let [major, minor] = OLDEST_VERSION;
    let message = format!(
        "Qdrant at {} is version {version}; Mnemon needs {major}.{minor} or newer: upgrade the server",
        client.location()
    );
    Err(StoreError::Misconfigured(message))
}

/// Whether a version such as `1.18.3` is this one or a newer one. A custom build may have no version, and counts as new.
pub(super) fn is_at_least(version: &str, oldest: [u64; 2]) -> bool {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u64>().unwrap_or(0));
    let found = [parts.next().unwrap_or(0), parts.next().unwrap_or(0)];
    found >= oldest || found == [0, 0]
}

fn check_vectors(info: &CollectionInfo, options: &QdrantOptions, name: &str) -> Result<()> {
    let params = info.config.as_ref().and_then(|config| config.params.as_ref());
    let config = params.and_then(|params| params.vectors_config.as_ref()).and_then(|config| config.config.as_ref());
    let dense = match config {
        Some(vectors_config::Config::Params(dense)) => Some(dense),
        Some(vectors_config::Config::ParamsMap(map)) => map.map.get(DENSE),
        None => None,
    };
    let problem = match dense {
        None => CollectionProblem::NoDenseVector,
        Some(dense) if dense.distance() != Distance::Cosine => {
            CollectionProblem::Distance { found: dense.distance().as_str_name().to_owned() }
        }
        Some(dense) if dense.size != options.dims as u64 => {
            CollectionProblem::Dims { found: dense.size, embedder: options.embedder.clone(), dims: options.dims }
        }
        Some(_) => return Ok(()),
    };
    Err(unusable(name, problem))
}

fn unusable(collection: &str, problem: CollectionProblem) -> StoreError {
    StoreError::UnusableCollection { collection: collection.to_owned(), problem }
}

pub(super) fn has_bm25(info: &CollectionInfo) -> bool {
    let params = info.config.as_ref().and_then(|config| config.params.as_ref());
    let sparse = params.and_then(|params| params.sparse_vectors_config.as_ref());
    sparse.is_some_and(|sparse| sparse.map.contains_key(BM25))
}

/// Whether the metadata of a collection says that its memories have no entities.
pub(super) fn is_without_entities(info: &CollectionInfo) -> bool {
    let metadata = info.config.as_ref().and_then(|config| config.metadata.get(WITHOUT_ENTITIES));
    metadata.and_then(|value| value.as_bool()).unwrap_or(false)
}

/// Records whether the memories of a collection have no entities. Other metadata stays.
pub(super) fn record_without_entities(client: &Client, name: &str, without: bool) -> Result<()> {
    let request = UpdateCollection {
        collection_name: name.to_owned(),
        metadata: HashMap::from([(WITHOUT_ENTITIES.to_owned(), without.into())]),
        ..UpdateCollection::default()
    };
    client.call("record entities", |node| node.update_collection(request.clone())).map(drop)
}

/// Creates a collection. `indexed`: whether Qdrant indexes its vectors when they are written.
pub(super) fn create(client: &Client, new: &NewCollection, dims: usize, name: &str, indexed: bool) -> Result<()> {
    let dense = VectorParamsBuilder::new(dims as u64, Distance::Cosine).on_disk(new.on_disk);
    let bm25 = SparseVectorParams { modifier: Some(Modifier::Idf.into()), ..SparseVectorParams::default() };
    let sparse = SparseVectorConfig { map: HashMap::from([(BM25.to_owned(), bm25)]) };
    let mut request = CreateCollectionBuilder::new(name).vectors_config(dense).sparse_vectors_config(sparse);
    if let Some(shards) = new.shards {
        request = request.shard_number(shards);
    }
    if let Some(factor) = new.replication_factor {
        request = request.replication_factor(factor);
    }
    if let Some(factor) = new.write_consistency_factor {
        request = request.write_consistency_factor(factor);
    }
    match new.quantization {
        Some(Quantization::Scalar) => {
            let scalar = ScalarQuantizationBuilder::default().r#type(QuantizationType::Int8.into()).always_ram(true);
            request = request.quantization_config(quantization_config::Quantization::from(scalar.build()));
        }
        Some(Quantization::Binary) => {
            let binary = BinaryQuantizationBuilder::new(true);
            request = request.quantization_config(quantization_config::Quantization::from(binary.build()));
        }
        None => {}
    }
    if !indexed {
        request = request.optimizers_config(indexing_threshold(0));
    }
    let request = request.build();
    match client.call("create", |node| node.create_collection(request.clone())) {
        // Another process may have created it at the same time.
        Err(error) if !client.call("exists", |node| node.collection_exists(name))? => Err(error),
        _ => {
            tracing::info!(collection = name, "created the collection");
            Ok(())
        }
    }
}

/// Lets Qdrant index the vectors of segments with at least this size in kB; 0 turns the index off.
pub(super) fn indexing_threshold(kilobytes: u64) -> OptimizersConfigDiff {
    OptimizersConfigDiff { indexing_threshold: Some(kilobytes), ..OptimizersConfigDiff::default() }
}

/// The name of the collection of entities. It is created if it does not exist.
fn open_entities(client: &Client, options: &QdrantOptions, name: &str, alias_of: Option<&str>) -> Result<String> {
    let candidates = [Some(name), alias_of].map(|name| name.map(|name| format!("{name}_entities")));
    for candidate in candidates.iter().flatten() {
        if let Some(info) = collection_info(client, candidate)? {
            check_vectors(&info, options, candidate)?;
            ensure_indexes(client, candidate, &info.payload_schema, &ENTITY_INDEXES)?;
            return Ok(candidate.clone());
        }
    }
    let name = format!("{name}_entities");
    create(client, &options.new, options.dims, &name, true)?;
    ensure_indexes(client, &name, &HashMap::new(), &ENTITY_INDEXES)?;
    Ok(name)
}

/// Creates those of the wanted payload indexes that do not exist.
pub(super) fn ensure_indexes(
    client: &Client,
    name: &str,
    existing: &HashMap<String, PayloadSchemaInfo>,
    wanted: &[(&str, Index)],
) -> Result<()> {
    for &(key, index) in wanted.iter().filter(|(key, _)| !existing.contains_key(*key)) {
        let request = match index {
            Index::Tenant | Index::Keyword => {
                let params = KeywordIndexParamsBuilder::default().is_tenant(index == Index::Tenant);
                CreateFieldIndexCollectionBuilder::new(name, key, FieldType::Keyword).field_index_params(params)
            }
            Index::Datetime => {
                let params = DatetimeIndexParamsBuilder::default();
                CreateFieldIndexCollectionBuilder::new(name, key, FieldType::Datetime).field_index_params(params)
            }
        };
        let request = request.wait(true).build();
        client.call("index", |node| node.create_field_index(request.clone()))?;
        tracing::info!(collection = name, key, "created a missing payload index");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, expected) in [
            ("1.16.0", true),
            ("1.16.0-rc1", true),
            ("1.18.3", true),
            ("2.0.0", true),
            ("1.15.5", false),
            ("1.9.7", false),
            ("0.11.0", false),
            ("", true),
            ("dev", true),
        ] {
            assert_eq!(is_at_least(version, METADATA_VERSION), expected, "{version}");
        }
    }
}
