//! Conversion between memories, entities and points of Qdrant.

use std::collections::{BTreeSet, HashMap};

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::points_update_operation::{DeletePoints, Operation, PointStructList};
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{
    DenseVector, ListValue, NamedVectors, PointId, PointStruct, PointsIdsList, PointsSelector, RetrievedPoint,
    SparseVector, Struct, Value, Vector, Vectors, VectorsOutput, points_selector, vector, vector_output, vectors,
    vectors_output,
};
use serde_json::Value as Json;

use crate::{Entity, MemoryId, Payload, Result, Sparse, StoreError};

/// The name of the sparse vector, as in mem0 v2.
pub(super) const BM25: &str = "bm25";
/// The name of the dense vector: it has none.
pub(super) const DENSE: &str = "";

/// The payload key of an entity with the ids of its memories, sorted.
pub(super) const LINKED_MEMORIES: &str = "linked_memory_ids";

/// The largest depth of a payload. Protobuf parsers accept 100 nested messages, and each level of JSON needs three.
const MAX_DEPTH: usize = 28;

pub(super) fn point_id(id: MemoryId) -> PointId {
    let options = match id {
        MemoryId::Number(number) => PointIdOptions::Num(number),
        MemoryId::Uuid(uuid) => PointIdOptions::Uuid(uuid.to_string()),
    };
    PointId { point_id_options: Some(options) }
}

pub(super) fn memory_id(id: Option<PointId>) -> Result<MemoryId> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Num(number)) => Ok(MemoryId::Number(number)),
        Some(PointIdOptions::Uuid(uuid)) => Ok(uuid.parse()?),
        None => Err(StoreError::Corrupt("a point has no id".into())),
    }
}

/// A point with its vectors. `bm25` is `None` if the collection has no sparse vector.
pub(super) fn point(id: MemoryId, payload: &Payload, dense: &[f32], bm25: Option<&Sparse>) -> Result<PointStruct> {
    let mut named = HashMap::with_capacity(2);
    let dense = vector::Vector::Dense(DenseVector { data: dense.to_vec() });
    named.insert(DENSE.to_owned(), Vector { vector: Some(dense), ..Vector::default() });
    if let Some(bm25) = bm25 {
        named.insert(
            BM25.to_owned(),
            Vector { vector: Some(vector::Vector::Sparse(sparse(bm25))), ..Vector::default() },
        );
    }
    let vectors = vectors::VectorsOptions::Vectors(NamedVectors { vectors: named });
    Ok(PointStruct {
        id: Some(point_id(id)),
        payload: payload_map(payload)?,
        vectors: Some(Vectors { vectors_options: Some(vectors) }),
    })
}

pub(super) fn sparse(sparse: &Sparse) -> SparseVector {
    let (indices, values) = sparse.iter().copied().unzip();
    SparseVector { values, indices }
}

/// The dense and the sparse vector of a point; empty if it has none.
pub(super) fn vectors(output: Option<VectorsOutput>) -> (Vec<f32>, Sparse) {
    let (mut dense, mut sparse) = (Vec::new(), Sparse::new());
    let mut take = |name: &str, output: Option<vector_output::Vector>| match output {
        Some(vector_output::Vector::Dense(found)) if name == DENSE => dense = found.data,
        Some(vector_output::Vector::Sparse(found)) if name == BM25 => {
            sparse = found.indices.into_iter().zip(found.values).collect();
            sparse.sort_unstable_by_key(|(index, _)| *index);
        }
        _ => {}
    };
    match output.and_then(|output| output.vectors_options) {
        Some(vectors_output::VectorsOptions::Vector(only)) => take(DENSE, Some(only.into_vector())),
        Some(vectors_output::VectorsOptions::Vectors(named)) => {
            for (name, vector) in named.vectors {
                take(&name, Some(vector.into_vector()));
            }
        }
        None => {}
    }
    (dense, sparse)
}

/// Converts a payload to the values of Qdrant.
///
/// # Errors
/// [`StoreError::TooDeep`]; [`StoreError::Unsupported`] for integers above [`i64::MAX`].
pub(super) fn payload_map(payload: &Payload) -> Result<HashMap<String, Value>> {
    payload.as_map().iter().map(|(key, value)| Ok((key.clone(), to_qdrant(value, MAX_DEPTH)?))).collect()
}

fn to_qdrant(value: &Json, depth: usize) -> Result<Value> {
    let deeper = || depth.checked_sub(1).ok_or(StoreError::TooDeep { limit: MAX_DEPTH });
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Kind::IntegerValue(integer),
            (None, _) if number.is_u64() => {
                let message =
                    format!("{number} is too large: Qdrant stores integers up to {}; write it as text", i64::MAX);
                return Err(StoreError::Unsupported(message));
            }
            (None, real) => Kind::DoubleValue(real.unwrap_or_default()),
        },
        Json::Array(items) => {
            let depth = deeper()?;
            Kind::ListValue(ListValue {
                values: items.iter().map(|item| to_qdrant(item, depth)).collect::<Result<_>>()?,
            })
        }
        Json::Object(fields) => {
            let depth = deeper()?;
            let fields = fields.iter().map(|(key, value)| Ok((key.clone(), to_qdrant(value, depth)?)));
            Kind::StructValue(Struct { fields: fields.collect::<Result<_>>()? })
        }
    };
    Ok(Value { kind: Some(kind) })
}

/// Converts a payload from the values of Qdrant. Its keys have no order there, so that they are sorted.
pub(super) fn payload(map: HashMap<String, Value>) -> Payload {
    match object(map) {
        Json::Object(map) => Payload::new(map),
        _ => Payload::default(),
    }
}

fn object(map: HashMap<String, Value>) -> Json {
    let mut fields: Vec<(String, Value)> = map.into_iter().collect();
    fields.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Json::Object(fields.into_iter().map(|(key, value)| (key, json(value))).collect())
}

fn json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(value),
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::IntegerValue(integer)) => Json::from(integer),
        Some(Kind::DoubleValue(real)) => Json::from(real),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(json).collect()),
        Some(Kind::StructValue(fields)) => object(fields.fields),
    }
}

/// The entity of a point.
pub(super) fn entity(found: RetrievedPoint) -> Result<Entity> {
    let id = memory_id(found.id)?;
    let mut own = payload(found.payload);
    let memories = linked_memories(&own);
    own.remove(LINKED_MEMORIES);
    Ok(Entity { id, payload: own, vector: vectors(found.vectors).0, memories })
}

/// The memories in the payload of an entity, sorted. Other programs may write ids as numbers.
pub(super) fn linked_memories(payload: &Payload) -> Vec<MemoryId> {
    let list = payload.as_map().get(LINKED_MEMORIES).and_then(Json::as_array);
    let mut ids: Vec<MemoryId> = list.into_iter().flatten().filter_map(|id| MemoryId::from_value(id).ok()).collect();
    ids.sort_by_key(|id| id.to_bytes());
    ids.dedup();
    ids
}

/// The value of [`LINKED_MEMORIES`] in the format of mem0: texts, sorted.
pub(super) fn linked_memories_value(ids: &BTreeSet<MemoryId>) -> Json {
    let mut texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    Json::from(texts)
}

/// An operation that writes points.
pub(super) fn upsert_operation(points: Vec<PointStruct>) -> Operation {
    Operation::Upsert(PointStructList { points, ..PointStructList::default() })
}

/// An operation that deletes points.
pub(super) fn delete_operation(ids: &[MemoryId]) -> Operation {
    Operation::DeletePoints(DeletePoints { points: Some(id_selector(ids)), ..DeletePoints::default() })
}

/// Selects points by id.
pub(super) fn id_selector(ids: &[MemoryId]) -> PointsSelector {
    let ids = PointsIdsList { ids: ids.iter().copied().map(point_id).collect() };
    PointsSelector { points_selector_one_of: Some(points_selector::PointsSelectorOneOf::Points(ids)) }
}
