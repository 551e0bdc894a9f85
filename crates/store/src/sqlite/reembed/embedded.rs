//! How the new vectors were made: noted in the table `meta` until the switch, which moves the notes into the payloads.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::sqlite::row::{payload_at, payload_text};
use crate::{Result, keys};

/// Keys in `meta` of the notes; the slot of the memory follows.
const NOTE: &str = "reembed_pieces:";
/// All these keys are before this one: `;` follows `:`.
const NOTES_END: &str = "reembed_pieces;";

/// A new vector of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct NewVector {
    /// The vector, of the new embedder.
    pub vector: Vec<f32>,
    /// The number of pieces whose mean it is, see [`Payload::set_embedded`](crate::Payload::set_embedded).
    pub pieces: usize,
    /// The number of pieces that were left out.
    pub left_out: usize,
}

impl From<Vec<f32>> for NewVector {
    /// The vector of a text that was embedded as a whole.
    fn from(vector: Vec<f32>) -> Self {
        Self { vector, pieces: 1, left_out: 0 }
    }
}

/// Notes how a new vector was made, unless it is that of the whole text.
pub(super) fn note(tx: &Transaction<'_>, slot: i64, new: &NewVector) -> Result<()> {
    let key = format!("{NOTE}{slot}");
    if (new.pieces, new.left_out) == (1, 0) {
        tx.prepare_cached("DELETE FROM meta WHERE key = ?")?.execute([key])?;
    } else {
        let note = format!("{} {}", new.pieces, new.left_out);
        tx.prepare_cached("INSERT OR REPLACE INTO meta VALUES(?, ?)")?.execute(params![key, note])?;
    }
    Ok(())
}

/// Records in the payloads how the new vectors were made, in place of the records of the old ones.
pub(super) fn record(tx: &Transaction<'_>) -> Result<()> {
    let recorded = format!("%\"{}\"%", keys::VECTOR_PIECES);
    let mut slots: Vec<i64> = Vec::new();
    let mut statement = tx.prepare("SELECT slot FROM memories WHERE payload LIKE ?")?;
    let mut rows = statement.query([recorded])?;
    while let Some(row) = rows.next()? {
        slots.push(row.get(0)?);
    }
    let noted = "SELECT CAST(substr(key, ?) AS INTEGER) FROM meta WHERE key >= ? AND key < ?";
    let mut statement = tx.prepare(noted)?;
    let mut rows = statement.query(params![NOTE.len() as i64 + 1, NOTE, NOTES_END])?;
    while let Some(row) = rows.next()? {
        slots.push(row.get(0)?);
    }
    slots.sort_unstable();
    slots.dedup();
    for slot in slots {
        let key = format!("{NOTE}{slot}");
        let note: Option<String> =
            tx.query_row("SELECT value FROM meta WHERE key = ?", [key], |row| row.get(0)).optional()?;
        let numbers = note.as_deref().and_then(|note| note.split_once(' '));
        let numbers = numbers.and_then(|(pieces, left_out)| Some((pieces.parse().ok()?, left_out.parse().ok()?)));
        let (pieces, left_out) = numbers.unwrap_or((1, 0));
        let payload = tx
            .query_row("SELECT payload FROM memories WHERE slot = ?", [slot], |row| Ok(payload_at(row, 0)))
            .optional()?
            .transpose()?;
        if let Some(mut payload) = payload {
            payload.set_embedded(pieces, left_out);
            let payload = payload_text(&payload)?;
            tx.execute("UPDATE memories SET payload = ? WHERE slot = ?", params![payload, slot])?;
        }
    }
    Ok(())
}

/// Deletes the notes.
pub(super) fn forget(tx: &Transaction<'_>) -> Result<()> {
    tx.execute("DELETE FROM meta WHERE key >= ? AND key < ?", params![NOTE, NOTES_END])?;
    Ok(())
}
