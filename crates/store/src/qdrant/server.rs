//! A Qdrant server and the points of its collections, without a ledger: what a migration reads and writes.

use std::collections::HashMap;
use std::time::Duration;

use qdrant_client::qdrant::points_update_operation::{Operation, SetPayload, UpdateVectors};
use qdrant_client::qdrant::{
    CollectionStatus, Condition, CountPointsBuilder, CreateVectorNameRequestBuilder, DeletePayloadPointsBuilder,
    DeleteVectorNameRequestBuilder, Distance, Filter as Remote, GetPointsBuilder, Modifier, NamedVectors, PointVectors,
    PointsUpdateOperation, QueryPointsBuilder, RetrievedPoint, ScrollPointsBuilder, SparseVectorCreationConfigBuilder,
    UpdateBatchPointsBuilder, UpdateCollection, Vector, VectorInput, Vectors, vector, vectors, vectors_config,
};

use super::NewCollection;
use super::client::Client;
use super::codec::{BM25, DENSE, memory_id, payload, payload_map, point, point_id, sparse, vectors as vectors_of};
use super::collection::{self, ENTITY_INDEXES, LINKED, MEMORY_INDEXES};
use super::entities::{entity, linking};
use super::outbox::{deletion, selector, upsertion};
use crate::{Entity, Memory, MemoryId, Provenance, Result, Sparse, StoreError, StoredMemory, keys};

/// Qdrant's own default, for servers that do not tell it.
const INDEXING_FROM: u64 = 10_000;

/// A connection to a server.
pub struct Server {
    client: Client,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.location()).finish()
    }
}

/// A collection as it is described by the server.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionInfo {
    /// Its name; not the alias it was asked by.
    pub name: String,
    /// Length of the unnamed dense vector; `None` where there is none.
    pub dims: Option<usize>,
    /// How vectors are compared, in Qdrant's word.
    pub distance: String,
    /// Whether it has the `bm25` slot.
    pub has_bm25: bool,
    /// Points, counted.
    pub points: u64,
    /// Shards.
    pub shards: u32,
    /// From how many kB on Qdrant indexes the vectors of a segment; 0: never.
    pub indexing_from: u64,
    /// Whether that is done.
    pub indexing: Indexing,
    /// Payload keys that are indexed.
    pub indexed: Vec<String>,
}

/// How far Qdrant is with the index of vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indexing {
    /// There is nothing to do.
    Done,
    /// At work; until then searches compare all vectors.
    Working {
        /// Vectors in the index, about.
        indexed: u64,
    },
    /// It gave up, for this reason.
    Failed(String),
}

impl Server {
    /// Connects to the nodes of one server or cluster, at the addresses of gRPC.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] for an address that is none. Nothing is sent yet.
    pub fn connect(urls: &[String], api_key: Option<&str>, timeout: Duration, retries: u32) -> Result<Self> {
        Ok(Self { client: Client::new(urls, api_key, timeout, retries)? })
    }

    /// Its addresses.
    pub fn location(&self) -> String {
        self.client.location()
    }

    /// Its version, as `1.18.3`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where nobody answers; [`StoreError::Unfit`] for what is no gRPC or too old.
    pub fn version(&self) -> Result<String> {
        let version = self.client.call("version", |node| node.health_check());
        let version = version.map_err(|error| collection::no_grpc(&self.client, error))?.version;
        collection::check_version(&self.client, &version)?;
        Ok(version)
    }

    /// Whether collections that are filled can be given a further vector: since 1.18.
    ///
    /// # Errors
    /// Those of [`Server::version`].
    pub fn adds_slots(&self) -> Result<bool> {
        let version = self.version()?;
        let mut parts = version.split(['.', '-']).map(|part| part.parse::<u64>().unwrap_or(0));
        let found = [parts.next().unwrap_or(0), parts.next().unwrap_or(0)];
        Ok(found >= [1, 18] || found == [0, 0])
    }

    /// Describes a collection, asked by its name or an alias; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn describe(&self, name: &str) -> Result<Option<CollectionInfo>> {
        let Some(info) = collection::found(&self.client, name)? else { return Ok(None) };
        let target = collection::target(&self.client, name)?.unwrap_or_else(|| name.to_owned());
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
            indexing_from: optimizers.and_then(|config| config.indexing_threshold).unwrap_or(INDEXING_FROM),
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

    /// All aliases and the collections they lead to.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn aliases(&self) -> Result<Vec<(String, String)>> {
        let aliases = self.client.call("aliases", |node| node.list_aliases())?.aliases;
        Ok(aliases.into_iter().map(|alias| (alias.alias_name, alias.collection_name)).collect())
    }

    /// Makes a collection as mem0 v2 makes it, and the one of its entities; those that are there only get the indexes they
    /// lack. What is made has no index of its vectors until [`Server::index`]: it would slow down a load.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn make(&self, name: &str, dims: usize, new: &NewCollection) -> Result<()> {
        for (name, indexes) in [(name, &MEMORY_INDEXES[..]), (&entities_of(name), &ENTITY_INDEXES[..])] {
            let there = match collection::found(&self.client, name)? {
                Some(info) => info.payload_schema,
                None => {
                    collection::make(&self.client, new, dims, name, false)?;
                    HashMap::new()
                }
            };
            collection::ensure_indexes(&self.client, name, &there, indexes)?;
        }
        Ok(())
    }

    /// Has Qdrant index the vectors of a collection made by [`Server::make`], and of its entities, in segments of this many
    /// kB or more. It does so in the background. Collections that are indexed already stay as they are.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn index(&self, name: &str, from: u64) -> Result<()> {
        for name in [name, &entities_of(name)] {
            if self.describe(name)?.is_some_and(|there| there.indexing_from == 0 && from > 0) {
                let asked = UpdateCollection {
                    collection_name: name.to_owned(),
                    optimizers_config: Some(collection::indexing_from(from)),
                    ..UpdateCollection::default()
                };
                self.client.call("index", |node| node.update_collection(asked.clone()))?;
            }
        }
        Ok(())
    }

    /// Gives a filled collection the `bm25` slot; see [`Server::adds_slots`].
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn add_slot(&self, name: &str) -> Result<()> {
        let slot = SparseVectorCreationConfigBuilder::default().modifier(Modifier::Idf);
        let asked = CreateVectorNameRequestBuilder::new(name, BM25, slot).wait(true).build();
        self.client.call("add slot", |node| node.create_vector_name(asked.clone())).map(drop)
    }

    /// Takes the `bm25` slot and the lemmas out of a collection again; what is not there is no error.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn remove_slot(&self, name: &str) -> Result<()> {
        let Some(there) = self.describe(name)? else { return Ok(()) };
        let lemmas = DeletePayloadPointsBuilder::new(name, [keys::TEXT_LEMMATIZED.to_owned()])
            .points_selector(Remote::default())
            .wait(true)
            .build();
        self.client.call("strip lemmas", |node| node.delete_payload(lemmas.clone()))?;
        if !there.has_bm25 {
            return Ok(());
        }
        let asked = DeleteVectorNameRequestBuilder::new(name, BM25).wait(true).build();
        self.client.call("remove slot", |node| node.delete_vector_name(asked.clone())).map(drop)
    }

    /// Deletes a collection with all its points, whatever they are.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn delete_collection(&self, name: &str) -> Result<()> {
        self.client.call("delete collection", |node| node.delete_collection(name)).map(drop)
    }

    /// How many points a collection has, counted.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn count(&self, name: &str) -> Result<u64> {
        let asked = CountPointsBuilder::new(name).exact(true).build();
        let counted = self.client.call("count", |node| node.count(asked.clone()))?;
        Ok(counted.result.map_or(0, |result| result.count))
    }

    /// A page of points in rising order of ids, from `from` on, and the id that the next one begins with.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn page(
        &self,
        name: &str,
        from: Option<MemoryId>,
        limit: usize,
    ) -> Result<(Vec<StoredMemory>, Option<MemoryId>)> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let mut asked = ScrollPointsBuilder::new(name).limit(limit).with_payload(true).with_vectors(true).build();
        asked.offset = from.map(point_id);
        let answer = self.client.call("scroll", |node| node.scroll(asked.clone()))?;
        let next = answer.next_page_offset.map(|next| memory_id(Some(next))).transpose()?;
        Ok((answer.result.into_iter().map(stored).collect::<Result<_>>()?, next))
    }

    /// The ids of a page, as [`Server::page`].
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn ids(&self, name: &str, from: Option<MemoryId>, limit: usize) -> Result<(Vec<MemoryId>, Option<MemoryId>)> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let mut asked = ScrollPointsBuilder::new(name).limit(limit).with_payload(false).with_vectors(false).build();
        asked.offset = from.map(point_id);
        let answer = self.client.call("scroll", |node| node.scroll(asked.clone()))?;
        let next = answer.next_page_offset.map(|next| memory_id(Some(next))).transpose()?;
        Ok((answer.result.into_iter().map(|point| memory_id(point.id)).collect::<Result<_>>()?, next))
    }

    /// Points by id; those that are not there are left out.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn get(&self, name: &str, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<_> = ids.iter().copied().map(point_id).collect();
        let asked = GetPointsBuilder::new(name, ids).with_payload(true).with_vectors(true).build();
        let answer = self.client.call("get", |node| node.get_points(asked.clone()))?;
        answer.result.into_iter().map(|point| stored(point).map(|stored| (stored.memory.id, stored))).collect()
    }

    /// Writes points as they are, in place of those of their ids; without the sparse vector where the collection has no
    /// slot. Returns when they are applied.
    ///
    /// # Errors
    /// [`StoreError`] of the connection, or for a payload that the wire can't hold.
    pub fn put(&self, name: &str, points: &[StoredMemory], has_bm25: bool) -> Result<()> {
        let points = points.iter().map(|stored| {
            let slot = Some(&stored.bm25).filter(|slot| has_bm25 && !slot.is_empty());
            point(stored.memory.id, &stored.memory.payload, &stored.vector, slot)
        });
        self.update(name, vec![upsertion(points.collect::<Result<_>>()?)])
    }

    /// Adds lemmas and sparse vectors to points that are there; vector and all other keys stay as they are.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn annotate(&self, name: &str, additions: &[(MemoryId, String, Sparse)]) -> Result<()> {
        let mut operations = Vec::with_capacity(additions.len() + 1);
        let mut points = Vec::with_capacity(additions.len());
        for (id, lemmas, bm25) in additions {
            let mut lemmatized = crate::Payload::default();
            lemmatized.set(keys::TEXT_LEMMATIZED, lemmas.as_str());
            operations.push(Operation::SetPayload(SetPayload {
                payload: payload_map(&lemmatized)?,
                points_selector: Some(selector(&[*id])),
                ..SetPayload::default()
            }));
            let slot = Vector { vector: Some(vector::Vector::Sparse(sparse(bm25))), ..Vector::default() };
            let named = NamedVectors { vectors: HashMap::from([(BM25.to_owned(), slot)]) };
            let vectors = Vectors { vectors_options: Some(vectors::VectorsOptions::Vectors(named)) };
            points.push(PointVectors { id: Some(point_id(*id)), vectors: Some(vectors) });
        }
        operations.push(Operation::UpdateVectors(UpdateVectors { points, ..UpdateVectors::default() }));
        self.update(name, operations)
    }

    /// Deletes points.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn remove(&self, name: &str, ids: &[MemoryId]) -> Result<()> {
        if ids.is_empty() { Ok(()) } else { self.update(name, vec![deletion(ids)]) }
    }

    /// Writes entities with the memories that name them, in place of those of their ids, beside a collection.
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn put_entities(&self, name: &str, entities: &[Entity]) -> Result<()> {
        let points = entities.iter().map(|entity| {
            let mut payload = entity.payload.clone();
            payload.set(LINKED, linking(&entity.memories.iter().copied().collect()));
            point(entity.id, &payload, &entity.vector, None)
        });
        self.update(&entities_of(name), vec![upsertion(points.collect::<Result<_>>()?)])
    }

    /// A page of the entities beside a collection, as [`Server::page`].
    ///
    /// # Errors
    /// [`StoreError`] of the connection.
    pub fn entities(
        &self,
        name: &str,
        from: Option<MemoryId>,
        limit: usize,
    ) -> Result<(Vec<Entity>, Option<MemoryId>)> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let name = entities_of(name);
        let mut asked = ScrollPointsBuilder::new(name).limit(limit).with_payload(true).with_vectors(true).build();
        asked.offset = from.map(point_id);
        let answer = self.client.call("scroll", |node| node.scroll(asked.clone()))?;
        let next = answer.next_page_offset.map(|next| memory_id(Some(next))).transpose()?;
        Ok((answer.result.into_iter().map(entity).collect::<Result<_>>()?, next))
    }

    /// The first point of a user's that a sparse vector alone finds.
    ///
    /// # Errors
    /// [`StoreError`] of the connection, or where the collection has no slot.
    pub fn first_by_words(&self, name: &str, user: &str, vector: &Sparse) -> Result<Option<MemoryId>> {
        let (indices, values): (Vec<u32>, Vec<f32>) = vector.iter().copied().unzip();
        let asked = QueryPointsBuilder::new(name)
            .query(VectorInput::new_sparse(indices, values))
            .using(BM25)
            .filter(Remote::must([Condition::matches("user_id", user.to_owned())]))
            .limit(1)
            .build();
        let found = self.client.call("query", |node| node.query(asked.clone()))?.result;
        found.into_iter().next().map(|point| memory_id(point.id)).transpose()
    }

    fn update(&self, name: &str, operations: Vec<Operation>) -> Result<()> {
        let operations = operations.into_iter().map(|operation| PointsUpdateOperation { operation: Some(operation) });
        let asked = UpdateBatchPointsBuilder::new(name, operations.collect::<Vec<_>>()).wait(true).build();
        self.client.call("update", |node| node.update_points_batch(asked.clone())).map(drop)
    }
}

/// The collection of entities beside a collection of memories.
pub fn entities_of(name: &str) -> String {
    format!("{name}_entities")
}

fn stored(found: RetrievedPoint) -> Result<StoredMemory> {
    let id = memory_id(found.id)?;
    let (vector, bm25) = vectors_of(found.vectors);
    let memory = Memory { id, payload: payload(found.payload), provenance: Provenance::default() };
    if vector.is_empty() {
        return Err(StoreError::Unfit(format!("point {id} has no dense vector: give it one, or delete it")));
    }
    Ok(StoredMemory { memory, vector, bm25 })
}
