//! The switch: one transaction after which the store is the other embedder's.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::rows::Kind;
use super::{Reembedding, TextToEmbed, clear};
use crate::sqlite::open::MOVED_FROM;
use crate::sqlite::write;
use crate::{Result, StoreError};

/// What a switch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switched {
    /// Memories that have their new vector.
    pub memories: usize,
    /// Entities that have.
    pub entities: usize,
    /// Of all of them, those that were embedded while other writers waited.
    pub embedded_late: usize,
    /// How long other writers waited.
    pub locked: Duration,
}

impl Reembedding<'_> {
    /// Puts the new vectors in the place of the old ones, all or none, and makes the store the new embedder's. Texts that
    /// have no vector yet are embedded first, while other writers wait; `None` if there are more of them than `at_most`,
    /// and nothing was changed.
    ///
    /// From then on [`SqliteStore`](crate::SqliteStore)s that were opened for the old embedder, this one too, refuse to
    /// write and to search: [`StoreError::EmbedderMismatch`].
    ///
    /// # Errors
    /// Those of `embed`; [`StoreError::Corrupt`] if not every memory and every entity got its vector. The store is then as
    /// it was.
    pub fn switch<E: From<StoreError>>(
        &self,
        at_most: usize,
        embed: impl FnOnce(&[&str]) -> Result<Vec<Vec<f32>>, E>,
    ) -> Result<Option<Switched>, E> {
        self.store.write(|connection| Ok(self.switch_on(connection, at_most, embed)))?
    }

    fn switch_on<E: From<StoreError>>(
        &self,
        connection: &mut Connection,
        at_most: usize,
        embed: impl FnOnce(&[&str]) -> Result<Vec<Vec<f32>>, E>,
    ) -> Result<Option<Switched>, E> {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
        let begun = Instant::now();
        self.check_under_way(&tx)?;
        let missing = self.rows(&tx).missing(None, at_most.saturating_add(1))?;
        if missing.len() > at_most {
            return Ok(None);
        }
        if !missing.is_empty() {
            let texts: Vec<&str> = missing.iter().map(TextToEmbed::text).collect();
            self.put(&tx, &missing, &embed(&texts)?)?;
        }
        let [memories, entities] = Kind::ALL.map(|kind| self.swap(&tx, kind));
        let (memories, entities) = (memories?, entities?);
        self.note(&tx)?;
        clear(&tx)?;
        write::commit_to_all_scopes(self.store, tx)?;
        Ok(Some(Switched { memories, entities, embedded_late: missing.len(), locked: begun.elapsed() }))
    }

    /// Takes over the vectors of a kind; all must be there.
    fn swap(&self, tx: &Transaction<'_>, kind: Kind) -> Result<usize> {
        let (serving, gathered) = (kind.serving(), kind.gathered());
        let swapped = tx.execute(
            &format!(
                "UPDATE {serving} SET vector = r.vector FROM {gathered} r
                 WHERE r.slot = {serving}.slot AND length(r.vector) = ?"
            ),
            [(self.dims * size_of::<f32>()) as i64],
        )?;
        let expected = kind.count(tx)?;
        if swapped != expected {
            return Err(StoreError::Corrupt(format!("{swapped} new vectors in `{serving}` instead of {expected}")));
        }
        Ok(swapped)
    }

    /// The new embedder becomes the store's, the old one is remembered.
    fn note(&self, tx: &Transaction<'_>) -> Result<()> {
        let mut statement = tx.prepare("INSERT OR REPLACE INTO meta VALUES(?, ?)")?;
        statement.execute(params![MOVED_FROM, self.store.options.embedder])?;
        statement.execute(params!["embedder", self.embedder])?;
        statement.execute(params!["dims", self.dims.to_string()])?;
        Ok(())
    }
}
