//! The switch to the new embedder, in one transaction.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::rows::RowKind;
use super::{NewVector, Reembedding, TextToEmbed, clear, embedded};
use crate::sqlite::open::MOVED_FROM;
use crate::sqlite::write;
use crate::{Result, StoreError};

/// The result of a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchReport {
    /// Memories that have a new vector.
    pub memories: usize,
    /// Entities that have a new vector.
    pub entities: usize,
    /// Memories and entities that were embedded while other writers waited.
    pub embedded_late: usize,
    /// How long other writers waited.
    pub locked: Duration,
}

impl Reembedding<'_> {
    /// Replaces all old vectors with the new ones, and makes the new embedder the embedder of the store. Texts without a
    /// new vector are embedded first, while other writers wait. If there are more than `at_most`, nothing is changed and
    /// the result is `None`.
    ///
    /// After the switch, [`SqliteStore`](crate::SqliteStore)s that were opened for the old embedder, including this one,
    /// refuse to write and to search: [`StoreError::EmbedderMismatch`].
    ///
    /// # Errors
    /// Errors of `embed`; [`StoreError::Corrupt`] if a memory or an entity has no new vector. The store is not changed
    /// then.
    pub fn switch<E: From<StoreError>, V: Into<NewVector>>(
        &self,
        at_most: usize,
        embed: impl FnOnce(&[&str]) -> Result<Vec<V>, E>,
    ) -> Result<Option<SwitchReport>, E> {
        self.connections.write(|connection| Ok(self.switch_on(connection, at_most, embed)))?
    }

    fn switch_on<E: From<StoreError>, V: Into<NewVector>>(
        &self,
        connection: &mut Connection,
        at_most: usize,
        embed: impl FnOnce(&[&str]) -> Result<Vec<V>, E>,
    ) -> Result<Option<SwitchReport>, E> {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
        let started = Instant::now();
        self.check_begun(&tx)?;
        let missing = self.rows(&tx).missing(None, at_most.saturating_add(1))?;
        if missing.len() > at_most {
            return Ok(None);
        }
        if !missing.is_empty() {
            let texts: Vec<&str> = missing.iter().map(TextToEmbed::text).collect();
            let vectors: Vec<NewVector> = embed(&texts)?.into_iter().map(Into::into).collect();
            self.write_vectors(&tx, &missing, &vectors)?;
        }
        let [memories, entities] = RowKind::ALL.map(|kind| self.replace_vectors(&tx, kind));
        let (memories, entities) = (memories?, entities?);
        embedded::record(&tx)?;
        self.record_embedder(&tx)?;
        clear(&tx)?;
        write::commit_to_all_scopes(self.cache, tx)?;
        Ok(Some(SwitchReport { memories, entities, embedded_late: missing.len(), locked: started.elapsed() }))
    }

    /// Replaces the vectors of a kind. Each row must have a new vector.
    fn replace_vectors(&self, tx: &Transaction<'_>, kind: RowKind) -> Result<usize> {
        let (current_vectors, new_vectors) = (kind.current_vectors(), kind.new_vectors());
        let replaced = tx.execute(
            &format!(
                "UPDATE {current_vectors} SET vector = r.vector FROM {new_vectors} r
                 WHERE r.slot = {current_vectors}.slot AND length(r.vector) = ?"
            ),
            [(self.dims * size_of::<f32>()) as i64],
        )?;
        let expected = kind.count(tx)?;
        if replaced != expected {
            let message = format!("{replaced} new vectors in `{current_vectors}` instead of {expected}");
            return Err(StoreError::Corrupt(message));
        }
        Ok(replaced)
    }

    /// Records the new embedder of the store, and the previous one.
    fn record_embedder(&self, tx: &Transaction<'_>) -> Result<()> {
        let mut statement = tx.prepare("INSERT OR REPLACE INTO meta VALUES(?, ?)")?;
        statement.execute(params![MOVED_FROM, self.connections.options().embedder])?;
        statement.execute(params!["embedder", self.embedder])?;
        statement.execute(params!["dims", self.dims.to_string()])?;
        Ok(())
    }
}
