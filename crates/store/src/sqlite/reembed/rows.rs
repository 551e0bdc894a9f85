//! The texts to embed and their new vectors, in the snapshot of a connection.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};

use crate::scope_index::vector_from_blob;
use crate::sqlite::row::{blob_at, payload_at};
use crate::{Payload, Result};

/// The kind of row that a vector belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowKind {
    Memory,
    Entity,
}

impl RowKind {
    /// In the order in which they are embedded.
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Entity];

    /// The table of new vectors.
    pub(super) fn new_vectors(self) -> &'static str {
        match self {
            Self::Memory => "reembedded_memories",
            Self::Entity => "reembedded_entities",
        }
    }

    /// The table of the vectors in use.
    pub(super) fn current_vectors(self) -> &'static str {
        match self {
            Self::Memory => "signals",
            Self::Entity => "entities",
        }
    }

    /// A table or query with the slots and payloads to embed. A memory without signals is excluded: a new vector would
    /// not repair it.
    fn texts(self) -> &'static str {
        match self {
            Self::Memory => {
                "(SELECT slot, payload FROM memories m WHERE EXISTS(SELECT 1 FROM signals s WHERE s.slot = m.slot))"
            }
            Self::Entity => "entities",
        }
    }

    pub(super) fn insert(self) -> &'static str {
        match self {
            Self::Memory => "INSERT OR REPLACE INTO reembedded_memories VALUES(?, ?, ?)",
            Self::Entity => "INSERT OR REPLACE INTO reembedded_entities VALUES(?, ?, ?)",
        }
    }

    pub(super) fn count(self, connection: &Connection) -> Result<usize> {
        count(connection, &format!("SELECT count(*) FROM {}", self.texts()))
    }

    pub(super) fn count_embedded(self, connection: &Connection) -> Result<usize> {
        let (texts, new_vectors) = (self.texts(), self.new_vectors());
        count(connection, &format!("SELECT count(*) FROM {new_vectors} r JOIN {texts} t ON t.slot = r.slot"))
    }
}

fn count(connection: &Connection, sql: &str) -> Result<usize> {
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// A text of the store that needs a vector of the new embedder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextToEmbed {
    pub(super) kind: RowKind,
    pub(super) slot: i64,
    pub(super) digest: [u8; 32],
    text: String,
}

impl TextToEmbed {
    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The rows of a snapshot.
pub(super) struct EmbeddedRows<'c> {
    pub(super) connection: &'c Connection,
    pub(super) dims: usize,
    pub(super) embedding_text: fn(&Payload) -> String,
}

impl EmbeddedRows<'_> {
    /// See [`super::Reembedding::missing`].
    pub(super) fn missing(&self, after: Option<&TextToEmbed>, limit: usize) -> Result<Vec<TextToEmbed>> {
        let mut missing = Vec::new();
        for kind in RowKind::ALL {
            let after = match after {
                Some(after) if after.kind == RowKind::Entity && kind == RowKind::Memory => continue,
                Some(after) if after.kind == kind => after.slot,
                _ => i64::MIN,
            };
            let mut statement = self.statement(kind, "t.slot > ? ORDER BY t.slot")?;
            let mut rows = statement.query([after])?;
            while missing.len() < limit
                && let Some(row) = rows.next()?
            {
                let (text, vector) = self.read(kind, row)?;
                if vector.is_none() {
                    missing.push(text);
                }
            }
        }
        Ok(missing)
    }

    /// See [`super::Reembedding::sample`].
    pub(super) fn sample(&self, count: usize) -> Result<Vec<(TextToEmbed, Vec<f32>)>> {
        let mut slots = Vec::new();
        for kind in RowKind::ALL {
            let mut statement =
                self.connection.prepare(&format!("SELECT slot FROM {} ORDER BY slot", kind.new_vectors()))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                slots.push((kind, row.get::<_, i64>(0)?));
            }
        }
        let count = count.min(slots.len());
        let mut sample = Vec::with_capacity(count);
        for number in 0..count {
            let (kind, slot) = slots[number * slots.len() / count];
            let mut statement = self.statement(kind, "t.slot = ?")?;
            let found = statement.query_row([slot], |row| Ok(self.read(kind, row))).optional()?.transpose()?;
            if let Some((text, Some(vector))) = found {
                sample.push((text, vector));
            }
        }
        Ok(sample)
    }

    fn statement(&self, kind: RowKind, condition: &str) -> Result<CachedStatement<'_>> {
        let (texts, new_vectors) = (kind.texts(), kind.new_vectors());
        Ok(self.connection.prepare_cached(&format!(
            "SELECT t.slot, t.payload, r.digest, r.vector FROM {texts} t LEFT JOIN {new_vectors} r ON r.slot = t.slot
             WHERE {condition}"
        ))?)
    }

    /// A text, and its new vector if that was made from the same text, has the right length and is finite.
    fn read(&self, kind: RowKind, row: &Row<'_>) -> Result<(TextToEmbed, Option<Vec<f32>>)> {
        let payload = payload_at(row, 1)?;
        let text = match kind {
            RowKind::Memory => (self.embedding_text)(&payload),
            RowKind::Entity => payload.text().to_owned(),
        };
        let digest: [u8; 32] = Sha256::digest(&text).into();
        let mut vector = None;
        if row.get_ref(2)?.as_blob_or_null().map_err(rusqlite::Error::from)? == Some(&digest[..]) {
            let mut found = Vec::with_capacity(self.dims);
            vector_from_blob(blob_at(row, 3)?, &mut found);
            if found.len() == self.dims && found.iter().all(|value| value.is_finite()) {
                vector = Some(found);
            }
        }
        Ok((TextToEmbed { kind, slot: row.get(0)?, digest, text }, vector))
    }
}
