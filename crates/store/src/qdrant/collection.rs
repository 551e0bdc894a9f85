//! The two collections as mem0 v2 makes them: what is there is looked at, what is missing is made, the rest is refused.

use std::collections::HashMap;

use qdrant_client::qdrant::{
    BinaryQuantizationBuilder, CollectionInfo, CreateCollectionBuilder, CreateFieldIndexCollectionBuilder,
    DatetimeIndexParamsBuilder, Distance, FieldType, KeywordIndexParamsBuilder, Modifier, OptimizersConfigDiff,
    PayloadSchemaInfo, QuantizationType, ScalarQuantizationBuilder, SparseVectorConfig, SparseVectorParams,
    UpdateCollection, VectorParamsBuilder, quantization_config, vectors_config,
};

use super::client::Client;
use super::codec::BM25;
use super::{NewCollection, QdrantOptions, Quantization};
use crate::{Result, StoreError, keys};

/// The oldest server whose requests are all known here: it has tenants, IDF and one interface for every query.
const OLDEST: [u64; 2] = [1, 11];

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

/// The key of an entity that holds the ids of its memories, sorted.
pub(super) const LINKED: &str = "linked_memory_ids";

/// Where a collection's own metadata names its ledger. Servers before 1.16 have no such metadata.
const OWN_LEDGER: &str = "mnemon_ledger";

pub(super) const ENTITY_INDEXES: [(&str, Index); 4] =
    [("user_id", Index::Tenant), ("agent_id", Index::Keyword), ("run_id", Index::Keyword), (LINKED, Index::Keyword)];

/// What was found and made.
#[derive(Clone, Debug)]
pub(super) struct Collections {
    /// The collection itself: where an alias leads to may change.
    pub(super) memories: String,
    pub(super) entities: String,
    /// The alias that was asked for, if it was one.
    pub(super) alias: Option<String>,
    pub(super) has_bm25: bool,
}

impl Collections {
    /// Looks at both and makes what is missing.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] for a server that is too old or a collection of another kind.
    pub(super) fn settle(client: &Client, options: &QdrantOptions) -> Result<Self> {
        let version =
            client.call("version", |node| node.health_check()).map_err(|error| no_grpc(client, error))?.version;
        check_version(client, &version)?;
        let name = &options.collection;
        let target = target(client, name)?;
        if let Some(target) = target.as_ref().filter(|_| !options.takes_alias) {
            let message = format!(
                "`{name}` is an alias of `{target}`, whose ledger has another name: give --store qdrant:URL/{target}, or name \
                 the ledger (MNEMON_LEDGER), the same for each name of the collection"
            );
            return Err(StoreError::Unfit(message));
        }
        let Some(info) = found(client, name)? else {
            if !options.create {
                let message = format!(
                    "there is no collection `{name}` at {}: `mnemon add` or `mnemon serve` makes one",
                    client.location()
                );
                return Err(StoreError::Unfit(message));
            }
            make(client, &options.new, options.dims, name, true)?;
            let entities = entities_of(client, options, name, None)?;
            ensure_indexes(client, name, &HashMap::new(), &MEMORY_INDEXES)?;
            return Ok(Self { memories: name.clone(), entities, alias: None, has_bm25: true });
        };
        check_vectors(&info, options, name)?;
        let has_bm25 = has_bm25(&info);
        ensure_indexes(client, name, &info.payload_schema, &MEMORY_INDEXES)?;
        let entities = entities_of(client, options, name, target.as_deref())?;
        let alias = target.is_some().then(|| name.clone());
        Ok(Self { memories: target.unwrap_or_else(|| name.clone()), entities, alias, has_bm25 })
    }

    /// Whether the alias leads to another collection by now.
    pub(super) fn moved(&self, client: &Client) -> Result<bool> {
        match &self.alias {
            Some(alias) => Ok(target(client, alias)?.as_ref() != Some(&self.memories)),
            None => Ok(false),
        }
    }

    /// The id of the ledger that the collection was last served with, if it says so.
    pub(super) fn ledger(&self, client: &Client) -> Result<Option<String>> {
        let config = found(client, &self.memories)?.and_then(|info| info.config);
        let named = config.and_then(|mut config| config.metadata.remove(OWN_LEDGER));
        Ok(named.and_then(|named| named.as_str().cloned()))
    }

    /// Has the collection name its ledger.
    pub(super) fn name_ledger(&self, client: &Client, ledger: &str) -> Result<()> {
        let asked = UpdateCollection {
            collection_name: self.memories.clone(),
            metadata: HashMap::from([(OWN_LEDGER.to_owned(), ledger.into())]),
            ..UpdateCollection::default()
        };
        client.call("name the ledger", |node| node.update_collection(asked.clone())).map(drop)
    }
}

/// The collection that a name is an alias of.
pub(super) fn target(client: &Client, name: &str) -> Result<Option<String>> {
    let aliases = client.call("aliases", |node| node.list_aliases())?.aliases;
    Ok(aliases.into_iter().find(|alias| alias.alias_name == name).map(|alias| alias.collection_name))
}

pub(super) fn found(client: &Client, name: &str) -> Result<Option<CollectionInfo>> {
    if !client.call("exists", |node| node.collection_exists(name))? {
        return Ok(None);
    }
    Ok(client.call("collection", |node| node.collection_info(name))?.result)
}

/// Whoever answers the very first request with something that is no HTTP/2 does not speak gRPC.
pub(super) fn no_grpc(client: &Client, error: StoreError) -> StoreError {
    match error {
        StoreError::Database(source) if source.to_string().contains("http2 error") => StoreError::Unfit(format!(
            "what answers at {} does not speak gRPC; is it Qdrant's REST port? Give that of gRPC: 6334, where REST has 6333",
            client.location()
        )),
        other => other,
    }
}

pub(super) fn check_version(client: &Client, version: &str) -> Result<()> {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u64>().unwrap_or(0));
    let found = [parts.next().unwrap_or(0), parts.next().unwrap_or(0)];
    // A build without a version is somebody's own.
    if found >= OLDEST || found == [0, 0] {
        return Ok(());
    }
    let [major, minor] = OLDEST;
    let message = format!(
        "Qdrant at {} is version {version}; Mnemon needs {major}.{minor} or newer: upgrade the server",
        client.location()
    );
    Err(StoreError::Unfit(message))
}

fn check_vectors(info: &CollectionInfo, options: &QdrantOptions, name: &str) -> Result<()> {
    let params = info.config.as_ref().and_then(|config| config.params.as_ref());
    let config = params.and_then(|params| params.vectors_config.as_ref()).and_then(|config| config.config.as_ref());
    let dense = match config {
        Some(vectors_config::Config::Params(dense)) => Some(dense),
        Some(vectors_config::Config::ParamsMap(map)) => map.map.get(super::codec::DENSE),
        None => None,
    };
    let Some(dense) = dense else {
        let message = format!(
            "collection `{name}` has no unnamed dense vector: it was not made by mem0 or Mnemon; name another with \
             --store qdrant:URL/COLLECTION"
        );
        return Err(StoreError::Unfit(message));
    };
    if dense.distance() != Distance::Cosine {
        let message = format!(
            "collection `{name}` compares vectors by {}, not by Cosine as mem0 does: name another with \
             --store qdrant:URL/COLLECTION",
            dense.distance().as_str_name()
        );
        return Err(StoreError::Unfit(message));
    }
    if dense.size != options.dims as u64 {
        let message = format!(
            "collection `{name}` has vectors of {} dims, embedder `{}` makes {}: choose the embedder that filled it, or \
             name another collection with --store qdrant:URL/COLLECTION",
            dense.size, options.embedder, options.dims
        );
        return Err(StoreError::Unfit(message));
    }
    Ok(())
}

pub(super) fn has_bm25(info: &CollectionInfo) -> bool {
    let params = info.config.as_ref().and_then(|config| config.params.as_ref());
    let sparse = params.and_then(|params| params.sparse_vectors_config.as_ref());
    sparse.is_some_and(|sparse| sparse.map.contains_key(BM25))
}

/// Makes a collection; `indexed`: whether Qdrant indexes its vectors while they come in.
pub(super) fn make(client: &Client, new: &NewCollection, dims: usize, name: &str, indexed: bool) -> Result<()> {
    let dense = VectorParamsBuilder::new(dims as u64, Distance::Cosine).on_disk(new.on_disk);
    let slot = SparseVectorParams { modifier: Some(Modifier::Idf.into()), ..SparseVectorParams::default() };
    let slots = SparseVectorConfig { map: HashMap::from([(BM25.to_owned(), slot)]) };
    let mut asked = CreateCollectionBuilder::new(name).vectors_config(dense).sparse_vectors_config(slots);
    if let Some(shards) = new.shards {
        asked = asked.shard_number(shards);
    }
    if let Some(factor) = new.replication_factor {
        asked = asked.replication_factor(factor);
    }
    if let Some(factor) = new.write_consistency_factor {
        asked = asked.write_consistency_factor(factor);
    }
    match new.quantization {
        Some(Quantization::Scalar) => {
            let scalar = ScalarQuantizationBuilder::default().r#type(QuantizationType::Int8.into()).always_ram(true);
            asked = asked.quantization_config(quantization_config::Quantization::from(scalar.build()));
        }
        Some(Quantization::Binary) => {
            let binary = BinaryQuantizationBuilder::new(true);
            asked = asked.quantization_config(quantization_config::Quantization::from(binary.build()));
        }
        None => {}
    }
    if !indexed {
        asked = asked.optimizers_config(indexing_from(0));
    }
    let asked = asked.build();
    match client.call("create", |node| node.create_collection(asked.clone())) {
        // Another process may have been faster.
        Err(error) if !client.call("exists", |node| node.collection_exists(name))? => Err(error),
        _ => {
            tracing::info!(collection = name, "made the collection");
            Ok(())
        }
    }
}

/// Has vectors indexed in segments of this many kB or more; never for 0.
pub(super) fn indexing_from(kilobytes: u64) -> OptimizersConfigDiff {
    OptimizersConfigDiff { indexing_threshold: Some(kilobytes), ..OptimizersConfigDiff::default() }
}

/// The name of the collection of entities, which is made if it is not there.
fn entities_of(client: &Client, options: &QdrantOptions, name: &str, alias_of: Option<&str>) -> Result<String> {
    let candidates = [Some(name), alias_of].map(|name| name.map(|name| format!("{name}_entities")));
    for candidate in candidates.iter().flatten() {
        if let Some(info) = found(client, candidate)? {
            check_vectors(&info, options, candidate)?;
            ensure_indexes(client, candidate, &info.payload_schema, &ENTITY_INDEXES)?;
            return Ok(candidate.clone());
        }
    }
    let name = format!("{name}_entities");
    make(client, &options.new, options.dims, &name, true)?;
    ensure_indexes(client, &name, &HashMap::new(), &ENTITY_INDEXES)?;
    Ok(name)
}

pub(super) fn ensure_indexes(
    client: &Client,
    name: &str,
    there: &HashMap<String, PayloadSchemaInfo>,
    wanted: &[(&str, Index)],
) -> Result<()> {
    for &(key, index) in wanted.iter().filter(|(key, _)| !there.contains_key(*key)) {
        let asked = match index {
            Index::Tenant | Index::Keyword => {
                let params = KeywordIndexParamsBuilder::default().is_tenant(index == Index::Tenant);
                CreateFieldIndexCollectionBuilder::new(name, key, FieldType::Keyword).field_index_params(params)
            }
            Index::Datetime => {
                let params = DatetimeIndexParamsBuilder::default();
                CreateFieldIndexCollectionBuilder::new(name, key, FieldType::Datetime).field_index_params(params)
            }
        };
        let asked = asked.wait(true).build();
        client.call("index", |node| node.create_field_index(asked.clone()))?;
        tracing::info!(collection = name, key, "made a missing index");
    }
    Ok(())
}
