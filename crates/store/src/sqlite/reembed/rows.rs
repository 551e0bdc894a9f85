//! What is to be embedded, and what of it lies there already, as of a connection's snapshot.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};

use crate::scope_index::vector_from_blob;
use crate::{Payload, Result};

/// What a vector is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Memory,
    Entity,
}

impl Kind {
    /// In the order in which they are embedded.
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Entity];

    /// The table of new vectors.
    pub(super) fn gathered(self) -> &'static str {
        match self {
            Self::Memory => "reembedded_memories",
            Self::Entity => "reembedded_entities",
        }
    }

    /// The table of the vectors that serve.
    pub(super) fn serving(self) -> &'static str {
        match self {
            Self::Memory => "signals",
            Self::Entity => "entities",
        }
    }

    /// What is embedded: slot and payload. A memory without signals is `doctor`'s: a vector would not mend it.
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
        let (texts, gathered) = (self.texts(), self.gathered());
        count(connection, &format!("SELECT count(*) FROM {gathered} r JOIN {texts} t ON t.slot = r.slot"))
    }
}

fn count(connection: &Connection, sql: &str) -> Result<usize> {
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// A text of the store that needs a vector of the new embedder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextToEmbed {
    pub(super) kind: Kind,
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
pub(super) struct Rows<'c> {
    pub(super) connection: &'c Connection,
    pub(super) dims: usize,
    pub(super) embedding_text: fn(&Payload) -> String,
}

impl Rows<'_> {
    /// As [`super::Reembedding::missing`].
    pub(super) fn missing(&self, after: Option<&TextToEmbed>, limit: usize) -> Result<Vec<TextToEmbed>> {
        let mut missing = Vec::new();
        for kind in Kind::ALL {
            let after = match after {
                Some(after) if after.kind == Kind::Entity && kind == Kind::Memory => continue,
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

    /// As [`super::Reembedding::sample`].
    pub(super) fn sample(&self, count: usize) -> Result<Vec<(TextToEmbed, Vec<f32>)>> {
        let mut places = Vec::new();
        for kind in Kind::ALL {
            let mut statement =
                self.connection.prepare(&format!("SELECT slot FROM {} ORDER BY slot", kind.gathered()))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                places.push((kind, row.get::<_, i64>(0)?));
            }
        }
        let taken = count.min(places.len());
        let mut sample = Vec::with_capacity(taken);
        for number in 0..taken {
            let (kind, slot) = places[number * places.len() / taken];
            let mut statement = self.statement(kind, "t.slot = ?")?;
            let found = statement.query_row([slot], |row| Ok(self.read(kind, row))).optional()?.transpose()?;
            if let Some((text, Some(vector))) = found {
                sample.push((text, vector));
            }
        }
        Ok(sample)
    }

    fn statement(&self, kind: Kind, condition: &str) -> Result<CachedStatement<'_>> {
        let (texts, gathered) = (kind.texts(), kind.gathered());
        Ok(self.connection.prepare_cached(&format!(
            "SELECT t.slot, t.payload, r.digest, r.vector FROM {texts} t LEFT JOIN {gathered} r ON r.slot = t.slot
             WHERE {condition}"
        ))?)
    }

    /// A text, and the vector that was gathered of it: of this very text, of the right length, and all of it numbers.
    fn read(&self, kind: Kind, row: &Row<'_>) -> Result<(TextToEmbed, Option<Vec<f32>>)> {
        let payload = super::super::read::payload(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
        let text = match kind {
            Kind::Memory => (self.embedding_text)(&payload),
            Kind::Entity => payload.text().to_owned(),
        };
        let digest: [u8; 32] = Sha256::digest(&text).into();
        let mut vector = None;
        if row.get_ref(2)?.as_blob_or_null().map_err(rusqlite::Error::from)? == Some(&digest[..]) {
            let mut found = Vec::with_capacity(self.dims);
            vector_from_blob(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?, &mut found);
            let whole = found.len() == self.dims && found.iter().all(|value| value.is_finite());
            vector = whole.then_some(found);
        }
        Ok((TextToEmbed { kind, slot: row.get(0)?, digest, text }, vector))
    }
}
