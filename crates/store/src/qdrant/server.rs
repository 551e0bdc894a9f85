//! A Qdrant server and the points of its collections, without a ledger, for migrations.

use std::collections::HashMap;
use std::time::Duration;

use qdrant_client::qdrant::points_update_operation::{Operation, SetPayload, UpdateVectors};
use qdrant_client::qdrant::{
    CollectionStatus, Condition, CountPointsBuilder, CreateVectorNameRequestBuilder, DeletePayloadPointsBuilder,
    DeleteVectorNameRequestBuilder, Distance, Filter as RemoteFilter, GetPointsBuilder, Modifier, NamedVectors,
    PointVectors, PointsUpdateOperation, QueryPointsBuilder, RetrievedPoint, ScrollPointsBuilder,
    SparseVectorCreationConfigBuilder, UpdateBatchPointsBuilder, UpdateCollection, Vector, VectorInput, Vectors,
    vector, vectors, vectors_config,
};

use super::client::Client;
use super::codec::{
    BM25, DENSE, LINKED_MEMORIES, delete_operation, entity, id_selector, linked_memories_value, memory_id, payload,
    payload_map, point, point_id, sparse, upsert_operation, vectors as vectors_of,
};
use super::collection::{self, ENTITY_INDEXES, MEMORY_INDEXES};
use super::options::NewCollection;
use crate::{Entity, Memory, MemoryId, Provenance, Result, Sparse, StoreError, StoredMemory, keys};

/// Qdrant's default threshold in kB, for servers that do not report it.
const DEFAULT_INDEXING_THRESHOLD: u64 = 10_000;

/// A connection to a server.
pub struct QdrantServer {
    client: Client,
}

impl std::fmt::Debug for QdrantServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("QdrantServer").field(&self.location()).finish()
    }
}

/// A collection as the server describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionInfo {
    /// Its name; if it was requested by an alias, the name of the target.
    pub name: String,
    /// Length of the unnamed dense vector; `None` if there is none.
    pub dims: Option<usize>,
    /// The distance function, by its name in Qdrant.
    pub distance: String,
    /// Whether it has the sparse vector `bm25`.
    pub has_bm25: bool,
    /// Exact number of points.
    pub points: u64,
    /// Number of shards.
    pub shards: u32,
    /// The size in kB from which Qdrant indexes the vectors of a segment; 0: never.
    pub indexing_threshold: u64,
    /// The state of the vector index.
    pub indexing: Indexing,
    /// The payload keys that have an index.
    pub indexed: Vec<String>,
}

/// The state of the vector index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indexing {
    /// It is complete.
    Done,
    /// It is being built. Until it is complete, searches compare all vectors.
    Working {
        /// Approximate number of vectors in the index.
        indexed: u64,
    },
    /// It failed, for this reason.
    Failed(String),
}

impl QdrantServer {
    /// Creates a client for the nodes of one server or cluster, by their gRPC addresses. Nothing is sent yet.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] for an invalid address.
    pub fn connect(urls: &[String], api_key: Option<&str>, timeout: Duration, retries: u32) -> Result<Self> {
        Ok(Self { client: Client::new(urls, api_key, timeout, retries)? })
    }

    /// Its addresses.
    pub fn location(&self) -> String {
        self.client.location()
    }

    /// Its version, such as `1.18.3`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is no answer; [`StoreError::Misconfigured`] for a server that does not
    /// speak gRPC or is too old.
    pub fn version(&self) -> Result<String> {
        let version = self.client.call("version", |node| node.health_check());
        let version = version.map_err(|error| collection::explain_no_grpc(&self.client, error))?.version;
        collection::check_version(&self.client, &version)?;
        Ok(version)
    }

    /// Whether the server can add the `bm25` slot to an existing collection: since version 1.18.
    ///
    /// # Errors
    /// Same as [`QdrantServer::version`].
    pub fn can_add_bm25(&self) -> Result<bool> {
        Ok(collection::is_at_least(&self.version()?, collection::ADD_SLOT_VERSION))
    }

    /// Describes a collection by its name or alias; `None` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn describe(&self, name: &str) -> Result<Option<CollectionInfo>> {
        let Some(info) = collection::collection_info(&self.client, name)? else { return Ok(None) };
        let target = collection::alias_target(&self.client, name)?.unwrap_or_else(|| name.to_owned());
        let params = info.config.as_ref().and_then(|config| config.params.as_ref());
        let config = params.and_then(|params| params.vectors_config.as_ref()).and_then(|config| config.config.as_ref());
        let dense = match config {
            Some(vectors_config::Config::Params(dense)) => Some(dense),
            Some(vectors_config::Config::ParamsMap(map)) => map.map.get(DENSE),
            None => None,
        };
        let optimizers = info.config.as_ref().and_then(|config| config.optimizer_config.as_ref());
        let mut indexed: Vec<String> = info.payload_schema.keys().cloned().collect();
        indexed.sort_unstable();
        Ok(Some(CollectionInfo {
            points: self.count(&target)?,
            name: target,
            dims: dense.and_then(|dense| usize::try_from(dense.size).ok()),
            distance: dense.map_or(Distance::UnknownDistance, |dense| dense.distance()).as_str_name().to_owned(),
            has_bm25: collection::has_bm25(&info),
            shards: params.map_or(1, |params| params.shard_number),
            indexing_threshold: optimizers
                .and_then(|config| config.indexing_threshold)
                .unwrap_or(DEFAULT_INDEXING_THRESHOLD),
            indexing: match info.status() {
                CollectionStatus::Yellow => Indexing::Working { indexed: info.indexed_vectors_count.unwrap_or(0) },
                CollectionStatus::Red => {
                    Indexing::Failed(info.optimizer_status.map_or_else(String::new, |status| status.error))
                }
                _ => Indexing::Done,
            },
            indexed,
        }))
    }

    /// All aliases, with the collections that they point to.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn aliases(&self) -> Result<Vec<(String, String)>> {
        let aliases = self.client.call("aliases", |node| node.list_aliases())?.aliases;
        Ok(aliases.into_iter().map(|alias| (alias.alias_name, alias.collection_name)).collect())
    }

    /// Creates a collection in the format of mem0 v2, and the collection of its entities. Existing collections only get
    /// missing payload indexes. The vectors of a new collection are not indexed until [`QdrantServer::index_vectors`],
    /// because the index would slow down the import.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn create_collection(&self, name: &str, dims: usize, new: &NewCollection) -> Result<()> {
        for (name, indexes) in [(name, &MEMORY_INDEXES[..]), (&entity_collection(name), &ENTITY_INDEXES[..])] {
            let existing = match collection::collection_info(&self.client, name)? {
                Some(info) => info.payload_schema,
                None => {
                    collection::create(&self.client, new, dims, name, false)?;
                    HashMap::new()
                }
            };
            collection::ensure_indexes(&self.client, name, &existing, indexes)?;
        }
        Ok(())
    }

    /// Lets Qdrant index the vectors of a collection that [`QdrantServer::create_collection`] created, and of its
    /// entities, in segments of at least this size in kB. Qdrant does this in the background. Collections with an index
    /// are not changed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn index_vectors(&self, name: &str, from: u64) -> Result<()> {
        for name in [name, &entity_collection(name)] {
            if self.describe(name)?.is_some_and(|info| info.indexing_threshold == 0 && from > 0) {
                let request = UpdateCollection {
                    collection_name: name.to_owned(),
                    optimizers_config: Some(collection::indexing_threshold(from)),
                    ..UpdateCollection::default()
                };
                self.client.call("index", |node| node.update_collection(request.clone()))?;
            }
        }
        Ok(())
    }

    /// Adds the sparse vector `bm25` to an existing collection; see [`QdrantServer::can_add_bm25`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn add_bm25(&self, name: &str) -> Result<()> {
        let bm25 = SparseVectorCreationConfigBuilder::default().modifier(Modifier::Idf);
        let request = CreateVectorNameRequestBuilder::new(name, BM25, bm25).wait(true).build();
        self.client.call("add slot", |node| node.create_vector_name(request.clone())).map(drop)
    }

    /// Removes the sparse vector `bm25` and the lemmas from a collection. It is not an error if they do not exist.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn remove_bm25(&self, name: &str) -> Result<()> {
        let Some(info) = self.describe(name)? else { return Ok(()) };
        let lemmas = DeletePayloadPointsBuilder::new(name, [keys::TEXT_LEMMATIZED.to_owned()])
            .points_selector(RemoteFilter::default())
            .wait(true)
            .build();
        self.client.call("strip lemmas", |node| node.delete_payload(lemmas.clone()))?;
        if !info.has_bm25 {
            return Ok(());
        }
        let request = DeleteVectorNameRequestBuilder::new(name, BM25).wait(true).build();
        self.client.call("remove slot", |node| node.delete_vector_name(request.clone())).map(drop)
    }

    /// Deletes a collection with all its points.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn delete_collection(&self, name: &str) -> Result<()> {
        self.client.call("delete collection", |node| node.delete_collection(name)).map(drop)
    }

    /// The exact number of points in a collection.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn count(&self, name: &str) -> Result<u64> {
        let request = CountPointsBuilder::new(name).exact(true).build();
        let response = self.client.call("count", |node| node.count(request.clone()))?;
        Ok(response.result.map_or(0, |result| result.count))
    }

    /// A page of points, sorted by id and starting with `from`, and the first id of the next page.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn page(
        &self,
        name: &str,
        from: Option<MemoryId>,
        limit: usize,
    ) -> Result<(Vec<StoredMemory>, Option<MemoryId>)> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let mut request = ScrollPointsBuilder::new(name).limit(limit).with_payload(true).with_vectors(true).build();
        request.offset = from.map(point_id);
        let response = self.client.call("scroll", |node| node.scroll(request.clone()))?;
        let next = response.next_page_offset.map(|next| memory_id(Some(next))).transpose()?;
        Ok((response.result.into_iter().map(stored).collect::<Result<_>>()?, next))
    }

    /// The ids of a page; see [`QdrantServer::page`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn ids(&self, name: &str, from: Option<MemoryId>, limit: usize) -> Result<(Vec<MemoryId>, Option<MemoryId>)> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let mut request = ScrollPointsBuilder::new(name).limit(limit).with_payload(false).with_vectors(false).build();
        request.offset = from.map(point_id);
        let response = self.client.call("scroll", |node| node.scroll(request.clone()))?;
        let next = response.next_page_offset.map(|next| memory_id(Some(next))).transpose()?;
        Ok((response.result.into_iter().map(|point| memory_id(point.id)).collect::<Result<_>>()?, next))
    }

    /// Points by id. Points that do not exist are missing in the result.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn get(&self, name: &str, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<_> = ids.iter().copied().map(point_id).collect();
        let request = GetPointsBuilder::new(name, ids).with_payload(true).with_vectors(true).build();
        let response = self.client.call("get", |node| node.get_points(request.clone()))?;
        response.result.into_iter().map(|point| stored(point).map(|stored| (stored.memory.id, stored))).collect()
    }

    /// Writes points and replaces existing points with the same ids. The sparse vector is omitted if the collection has
    /// none. Returns after the points are applied.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer; [`StoreError::TooDeep`] or [`StoreError::Unsupported`]
    /// for a payload that it can't hold.
    pub fn write_points(&self, name: &str, points: &[StoredMemory], has_bm25: bool) -> Result<()> {
        let points = points.iter().map(|stored| {
            let bm25 = Some(&stored.bm25).filter(|bm25| has_bm25 && !bm25.is_empty());
            point(stored.memory.id, &stored.memory.payload, &stored.vector, bm25)
        });
        self.update(name, vec![upsert_operation(points.collect::<Result<_>>()?)])
    }

    /// Adds lemmas and sparse vectors to existing points. Their dense vectors and other keys do not change.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn write_bm25(&self, name: &str, additions: &[(MemoryId, String, Sparse)]) -> Result<()> {
        let mut operations = Vec::with_capacity(additions.len() + 1);
        let mut points = Vec::with_capacity(additions.len());
        for (id, lemmas, bm25) in additions {
            let mut lemmatized = crate::Payload::default();
            lemmatized.set(keys::TEXT_LEMMATIZED, lemmas.as_str());
            operations.push(Operation::SetPayload(SetPayload {
                payload: payload_map(&lemmatized)?,
                points_selector: Some(id_selector(&[*id])),
                ..SetPayload::default()
            }));
            let vector = Vector { vector: Some(vector::Vector::Sparse(sparse(bm25))), ..Vector::default() };
            let named = NamedVectors { vectors: HashMap::from([(BM25.to_owned(), vector)]) };
            let vectors = Vectors { vectors_options: Some(vectors::VectorsOptions::Vectors(named)) };
            points.push(PointVectors { id: Some(point_id(*id)), vectors: Some(vectors) });
        }
        operations.push(Operation::UpdateVectors(UpdateVectors { points, ..UpdateVectors::default() }));
        self.update(name, operations)
    }

    /// Deletes points.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn remove(&self, name: &str, ids: &[MemoryId]) -> Result<()> {
        if ids.is_empty() { Ok(()) } else { self.update(name, vec![delete_operation(ids)]) }
    }

    /// Writes entities with their memories to the collection of entities, and replaces existing ones with the same ids.
    /// `name` is the collection of memories.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn put_entities(&self, name: &str, entities: &[Entity]) -> Result<()> {
        let points = entities.iter().map(|entity| {
            let mut payload = entity.payload.clone();
            payload.set(LINKED_MEMORIES, linked_memories_value(&entity.memories.iter().copied().collect()));
            point(entity.id, &payload, &entity.vector, None)
        });
        self.update(&entity_collection(name), vec![upsert_operation(points.collect::<Result<_>>()?)])
    }

    /// A page of the entities of a collection of memories; see [`QdrantServer::page`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn entities(
        &self,
        name: &str,
        from: Option<MemoryId>,
        limit: usize,
    ) -> Result<(Vec<Entity>, Option<MemoryId>)> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let name = entity_collection(name);
        let mut request = ScrollPointsBuilder::new(name).limit(limit).with_payload(true).with_vectors(true).build();
        request.offset = from.map(point_id);
        let response = self.client.call("scroll", |node| node.scroll(request.clone()))?;
        let next = response.next_page_offset.map(|next| memory_id(Some(next))).transpose()?;
        Ok((response.result.into_iter().map(entity).collect::<Result<_>>()?, next))
    }

    /// Entities of a collection of memories, by id. Those that do not exist are missing in the result.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn entities_by_id(&self, name: &str, ids: &[MemoryId]) -> Result<Vec<Entity>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = ids.iter().copied().map(point_id).collect();
        let request = GetPointsBuilder::new(entity_collection(name), ids).with_payload(true).with_vectors(true).build();
        let response = self.client.call("get", |node| node.get_points(request.clone()))?;
        response.result.into_iter().map(entity).collect()
    }

    /// Records in a collection that its memories have no entities, or that they have them; see
    /// [`StoreWarning::NoEntities`](crate::StoreWarning::NoEntities). Servers before 1.16 have no place for it and ignore it;
    /// there a collection of memories without any entity counts as recorded.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer.
    pub fn record_without_entities(&self, name: &str, without: bool) -> Result<()> {
        if !collection::is_at_least(&self.version()?, collection::METADATA_VERSION) {
            return Ok(());
        }
        let recorded =
            collection::collection_info(&self.client, name)?.is_some_and(|info| collection::is_without_entities(&info));
        if recorded == without { Ok(()) } else { collection::record_without_entities(&self.client, name, without) }
    }

    /// The best point of a user for a sparse vector alone.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Qdrant does not answer; [`StoreError::Database`] if the collection has no sparse
    /// vector.
    pub fn first_by_bm25(&self, name: &str, user: &str, vector: &Sparse) -> Result<Option<MemoryId>> {
        let (indices, values): (Vec<u32>, Vec<f32>) = vector.iter().copied().unzip();
        let request = QueryPointsBuilder::new(name)
            .query(VectorInput::new_sparse(indices, values))
            .using(BM25)
            .filter(RemoteFilter::must([Condition::matches("user_id", user.to_owned())]))
            .limit(1)
            .build();
        let found = self.client.call("query", |node| node.query(request.clone()))?.result;
        found.into_iter().next().map(|point| memory_id(point.id)).transpose()
    }

    fn update(&self, name: &str, operations: Vec<Operation>) -> Result<()> {
        let operations = operations.into_iter().map(|operation| PointsUpdateOperation { operation: Some(operation) });
        let request = UpdateBatchPointsBuilder::new(name, operations.collect::<Vec<_>>()).wait(true).build();
        self.client.call("update", |node| node.update_points_batch(request.clone())).map(drop)
    }
}

/// The name of the collection of entities for a collection of memories.
pub fn entity_collection(name: &str) -> String {
    format!("{name}_entities")
}

fn stored(found: RetrievedPoint) -> Result<StoredMemory> {
    let id = memory_id(found.id)?;
    let (vector, bm25) = vectors_of(found.vectors);
    let memory = Memory { id, payload: payload(found.payload), provenance: Provenance::default() };
    if vector.is_empty() {
        return Err(StoreError::Misconfigured(format!("point {id} has no dense vector: add one, or delete the point")));
    }
    Ok(StoredMemory { memory, vector, bm25 })
}
