//! Reads and updates of points.

use std::collections::{BTreeSet, HashMap, HashSet};

use qdrant_client::qdrant::points_update_operation::Operation;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions;
use qdrant_client::qdrant::{
    CountPointsBuilder, Filter as RemoteFilter, GetPointsBuilder, PointId, PointsUpdateOperation, RetrievedPoint,
    ScrollPointsBuilder, UpdateBatchPointsBuilder,
};

use super::codec::{memory_id, payload, point_id};
use super::inner::Inner;
use super::provenances::provenances;
use super::pushdown::remote_filter;
use crate::{Filter, MemoryId, Payload, Provenance, Result};

/// Points in one response.
const BATCH: u32 = 1000;

/// The exact number of points of a collection that a filter matches.
pub(super) fn count_points(inner: &Inner, collection: &str, filter: RemoteFilter) -> Result<usize> {
    let request = CountPointsBuilder::new(collection).filter(filter).exact(true).build();
    let response = inner.client.call("count", |node| node.count(request.clone()))?;
    Ok(response.result.map_or(0, |count| count.count as usize))
}

/// All memories that a filter matches, with their payloads.
pub(super) fn scroll_payloads(inner: &Inner, filter: RemoteFilter) -> Result<Vec<(MemoryId, Payload)>> {
    let points = scroll_memories(inner, filter, true)?;
    points.into_iter().map(|point| Ok((memory_id(point.id)?, payload(point.payload)))).collect()
}

/// The points of all memories that a filter matches, without vectors.
pub(super) fn scroll_memories(inner: &Inner, filter: RemoteFilter, with_payload: bool) -> Result<Vec<RetrievedPoint>> {
    inner.client.wait(scroll_all(inner, &inner.collections.memories, filter, with_payload, false))
}

/// All points of a collection that a filter matches.
pub(super) async fn scroll_all(
    inner: &Inner,
    collection: &str,
    filter: RemoteFilter,
    with_payload: bool,
    with_vectors: bool,
) -> Result<Vec<RetrievedPoint>> {
    let mut found = Vec::new();
    let keep = |point| {
        found.push(point);
        Ok(())
    };
    scroll_each(inner, collection, filter, with_payload, with_vectors, keep).await?;
    Ok(found)
}

/// Visits all points of a collection that a filter matches.
pub(super) async fn scroll_each(
    inner: &Inner,
    collection: &str,
    filter: RemoteFilter,
    with_payload: impl Into<SelectorOptions>,
    with_vectors: bool,
    mut visit: impl FnMut(RetrievedPoint) -> Result<()>,
) -> Result<()> {
    let mut request = ScrollPointsBuilder::new(collection)
        .filter(filter)
        .limit(BATCH)
        .with_payload(with_payload)
        .with_vectors(with_vectors)
        .build();
    loop {
        let response = inner.client.send("scroll", |node| node.scroll(request.clone())).await?;
        response.result.into_iter().try_for_each(&mut visit)?;
        request.offset = response.next_page_offset;
        if request.offset.is_none() {
            return Ok(());
        }
    }
}

/// The points of memories by id, and waits for them.
pub(super) fn fetch(
    inner: &Inner,
    ids: &[MemoryId],
    with_payload: bool,
    with_vectors: bool,
) -> Result<HashMap<MemoryId, RetrievedPoint>> {
    let ids: BTreeSet<MemoryId> = ids.iter().copied().collect();
    inner.client.wait(fetch_points(inner, ids, with_payload, with_vectors))
}

/// The points of memories by id. Points that do not exist are missing in the result.
pub(super) async fn fetch_points(
    inner: &Inner,
    ids: BTreeSet<MemoryId>,
    with_payload: bool,
    with_vectors: bool,
) -> Result<HashMap<MemoryId, RetrievedPoint>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<PointId> = ids.into_iter().map(point_id).collect();
    let request = GetPointsBuilder::new(&inner.collections.memories, ids)
        .with_payload(with_payload)
        .with_vectors(with_vectors)
        .build();
    let response = inner.client.send("get", |node| node.get_points(request.clone())).await?;
    response.result.into_iter().map(|point| Ok((memory_id(point.id.clone())?, point))).collect()
}

/// The ids of all memories that a filter matches, according to Qdrant.
pub(super) fn matching_ids(inner: &Inner, filter: &Filter) -> Result<HashSet<MemoryId>> {
    let (candidates, exact) = remote_filter(filter);
    let points = scroll_memories(inner, candidates, !exact)?;
    if exact {
        return points.into_iter().map(|point| memory_id(point.id)).collect();
    }
    Ok(matching(inner, filter, points)?.into_iter().map(|(id, _)| id).collect())
}

/// Those of the points that a filter matches, with their payloads.
pub(super) fn matching(
    inner: &Inner,
    filter: &Filter,
    points: Vec<RetrievedPoint>,
) -> Result<Vec<(MemoryId, Payload)>> {
    let read = |point: RetrievedPoint| Ok((memory_id(point.id)?, payload(point.payload)));
    let mut found = points.into_iter().map(read).collect::<Result<Vec<_>>>()?;
    let ids: Vec<MemoryId> = found.iter().map(|(id, _)| *id).filter(|_| filter.reads_origin()).collect();
    let known = provenances(inner, &ids)?;
    found.retain(|(id, payload)| {
        let origin = known.get(id).map(Provenance::origin).unwrap_or_default();
        filter.matches_with(payload.as_map(), origin)
    });
    Ok(found)
}

/// Sends updates of a collection and waits until reads include them.
pub(super) async fn update(inner: &Inner, collection: &str, operations: Vec<Operation>) -> Result<()> {
    let operations: Vec<PointsUpdateOperation> =
        operations.into_iter().map(|operation| PointsUpdateOperation { operation: Some(operation) }).collect();
    let request = UpdateBatchPointsBuilder::new(collection, operations).wait(true).build();
    inner.client.send("update", |node| node.update_points_batch(request.clone())).await.map(drop)
}
