//! Memories as Qdrant has them, and back.

use std::collections::HashMap;

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{
    DenseVector, ListValue, NamedVectors, PointId, PointStruct, SparseVector, Struct, Value, Vector, Vectors,
    VectorsOutput, vector, vector_output, vectors, vectors_output,
};
use serde_json::Value as Json;

use crate::{MemoryId, Payload, Result, Sparse, StoreError};

/// The sparse slot, as mem0 v2 names it.
pub(super) const BM25: &str = "bm25";
/// The dense vector has no name.
pub(super) const DENSE: &str = "";

/// Levels a payload may nest: protobuf parsers stop at 100 messages, and each level of JSON is three.
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
        None => Err(StoreError::Corrupt("a point without an id".into())),
    }
}

/// A point with all its vectors; without the sparse slot where the collection has none.
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

/// Dense vector and sparse slot of a point; empty where it has none.
pub(super) fn vectors(output: Option<VectorsOutput>) -> (Vec<f32>, Sparse) {
    let (mut dense, mut slot) = (Vec::new(), Sparse::new());
    let mut take = |name: &str, output: Option<vector_output::Vector>| match output {
        Some(vector_output::Vector::Dense(found)) if name == DENSE => dense = found.data,
        Some(vector_output::Vector::Sparse(found)) if name == BM25 => {
            slot = found.indices.into_iter().zip(found.values).collect();
            slot.sort_unstable_by_key(|(index, _)| *index);
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
    (dense, slot)
}

/// A payload for the wire.
///
/// # Errors
/// [`StoreError::TooDeep`]; [`StoreError::Unsupported`] for integers beyond 64 bits with a sign.
pub(super) fn payload_map(payload: &Payload) -> Result<HashMap<String, Value>> {
    payload.as_map().iter().map(|(key, value)| Ok((key.clone(), wire(value, MAX_DEPTH)?))).collect()
}

fn wire(value: &Json, depth: usize) -> Result<Value> {
    let deeper = || depth.checked_sub(1).ok_or(StoreError::TooDeep { limit: MAX_DEPTH });
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Kind::IntegerValue(whole),
            (None, _) if number.is_u64() => {
                let message =
                    format!("{number} is too large: Qdrant keeps whole numbers up to {}; write it as text", i64::MAX);
                return Err(StoreError::Unsupported(message));
            }
            (None, real) => Kind::DoubleValue(real.unwrap_or_default()),
        },
        Json::Array(items) => {
            let depth = deeper()?;
            Kind::ListValue(ListValue { values: items.iter().map(|item| wire(item, depth)).collect::<Result<_>>()? })
        }
        Json::Object(fields) => {
            let depth = deeper()?;
            let fields = fields.iter().map(|(key, value)| Ok((key.clone(), wire(value, depth)?)));
            Kind::StructValue(Struct { fields: fields.collect::<Result<_>>()? })
        }
    };
    Ok(Value { kind: Some(kind) })
}

/// A payload from the wire; its keys come in no order, so they are sorted.
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
        Some(Kind::IntegerValue(whole)) => Json::from(whole),
        Some(Kind::DoubleValue(real)) => Json::from(real),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(json).collect()),
        Some(Kind::StructValue(fields)) => object(fields.fields),
    }
}
