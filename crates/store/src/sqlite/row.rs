//! Reads values from the rows of a store's tables.

use jiff::Timestamp;
use rusqlite::Row;

use crate::scope_index::{sparse_from_blob, vector_from_blob};
use crate::{Memory, MemoryId, Payload, Provenance, Result, StoreError, StoredMemory};

/// Columns that [`memory_at`] reads, of the table `memories m`.
pub(super) const MEMORY_COLUMNS: &str =
    "m.slot, m.id, m.payload, m.position, m.event_time, (SELECT name FROM sessions WHERE sessions.id = m.session)";

/// Columns that [`stored_memory_at`] reads, of the tables `memories m` and `signals s`.
pub(super) const STORED_MEMORY_COLUMNS: &str = "m.slot, m.id, m.payload, m.position, m.event_time, \
                                                (SELECT name FROM sessions WHERE sessions.id = m.session), \
                                                s.vector, s.bm25";

/// Parses the text of a payload.
pub(super) fn parse_payload(text: &str) -> Result<Payload> {
    serde_json::from_str(text).map(Payload::new).map_err(|error| StoreError::Corrupt(format!("a payload: {error}")))
}

/// The text of a payload.
pub(super) fn payload_text(payload: &Payload) -> Result<String> {
    serde_json::to_string(payload.as_map()).map_err(|error| StoreError::Corrupt(format!("a payload: {error}")))
}

pub(super) fn payload_at(row: &Row<'_>, column: usize) -> Result<Payload> {
    parse_payload(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
}

pub(super) fn blob_at<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8]> {
    Ok(row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?)
}

pub(super) fn id_at(row: &Row<'_>, column: usize) -> Result<MemoryId> {
    let bytes = blob_at(row, column)?;
    MemoryId::from_bytes(bytes).ok_or_else(|| StoreError::Corrupt("the id of a memory".into()))
}

pub(super) fn vector_at(row: &Row<'_>, column: usize) -> Result<Vec<f32>> {
    let mut vector = Vec::new();
    vector_from_blob(blob_at(row, column)?, &mut vector);
    Ok(vector)
}

/// The memory in a row of [`MEMORY_COLUMNS`].
pub(super) fn memory_at(row: &Row<'_>) -> Result<Memory> {
    let event_time: Option<i64> = row.get(4)?;
    Ok(Memory {
        id: id_at(row, 1)?,
        payload: payload_at(row, 2)?,
        provenance: Provenance {
            session: row.get(5)?,
            position: row.get(3)?,
            event_time: event_time.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
        },
    })
}

/// The memory with its vectors in a row of [`STORED_MEMORY_COLUMNS`].
pub(super) fn stored_memory_at(row: &Row<'_>) -> Result<StoredMemory> {
    let (vector, bm25) = (vector_at(row, 6)?, sparse_from_blob(blob_at(row, 7)?));
    Ok(StoredMemory { memory: memory_at(row)?, vector, bm25 })
}

/// Converts a count of SQLite.
pub(super) fn to_usize(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}
