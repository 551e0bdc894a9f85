//! Moves a store to another embedder. New vectors are stored beside the old ones, which are used until all are present.

mod embedded;
mod rows;
mod switch;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::connections::Connections;
use super::open::{SqliteOptions, check_embedder, read_embedder};
use crate::scope_index::{Cache, vector_to_blob};
use crate::{Payload, Result, StoreError, StoreWarning};
pub use embedded::NewVector;
pub use rows::TextToEmbed;
use rows::{EmbeddedRows, RowKind};
pub use switch::SwitchReport;

/// Keys in the `meta` table that hold the name and the dims of the new embedder during re-embedding.
const TARGET: [&str; 2] = ["reembed_embedder", "reembed_dims"];

/// A move of a store to another embedder. The new vectors are kept in the file, so that another process can continue it.
///
/// Other threads and processes may read and write during the move, with the old embedder.
pub struct Reembedding<'s> {
    connections: &'s Connections,
    cache: &'s Cache,
    embedder: String,
    dims: usize,
    embedding_text: fn(&Payload) -> String,
}

impl std::fmt::Debug for Reembedding<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reembedding")
            .field("embedder", &self.embedder)
            .field("dims", &self.dims)
            .finish_non_exhaustive()
    }
}

/// The size of a move, and its progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReembedCounts {
    /// Memories that have a vector.
    pub memories: usize,
    /// Entities.
    pub entities: usize,
    /// Memories and entities that have a new vector, including those whose text has changed since.
    pub embedded: usize,
}

impl<'s> Reembedding<'s> {
    pub(super) fn new(
        connections: &'s Connections,
        cache: &'s Cache,
        embedder: &str,
        dims: usize,
        embedding_text: fn(&Payload) -> String,
    ) -> Self {
        Self { connections, cache, embedder: embedder.to_owned(), dims, embedding_text }
    }

    /// Records the target of the move in the store, or continues an earlier move to the same target. `restart` discards
    /// existing new vectors.
    ///
    /// # Errors
    /// [`StoreError::Reembedding`] if the store is being moved to another embedder and `restart` is false;
    /// [`StoreError::EmbedderMismatch`] if it has been moved since it was opened.
    pub fn begin(&self, restart: bool) -> Result<()> {
        self.connections.write(|connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            check_embedder(&tx, self.connections.options())?;
            match read_embedder(&tx, TARGET)? {
                Some(_) if restart => clear(&tx)?,
                Some(current) => return self.check_target(current),
                None => {}
            }
            let mut statement = tx.prepare("INSERT OR REPLACE INTO meta VALUES(?, ?)")?;
            statement.execute(params![TARGET[0], self.embedder])?;
            statement.execute(params![TARGET[1], self.dims.to_string()])?;
            drop(statement);
            Ok(tx.commit()?)
        })
    }

    /// The size of the move and its progress. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Reembedding`] if the store is being moved to another embedder.
    pub fn counts(&self) -> Result<ReembedCounts> {
        self.connections.read(|connection| {
            read_embedder(connection, TARGET)?.map_or(Ok(()), |current| self.check_target(current))?;
            let [memories, entities] = RowKind::ALL.map(|kind| kind.count(connection));
            let [memories_done, entities_done] = RowKind::ALL.map(|kind| kind.count_embedded(connection));
            Ok(ReembedCounts { memories: memories?, entities: entities?, embedded: memories_done? + entities_done? })
        })
    }

    /// The next texts without a new vector, after the last text of a previous call: memories, then entities, each in the
    /// order they were stored. Empty at the end of the store.
    pub fn missing(&self, after: Option<&TextToEmbed>, limit: usize) -> Result<Vec<TextToEmbed>> {
        self.connections.read(|connection| self.rows(connection).missing(after, limit))
    }

    /// Stores the new vectors of texts durably.
    ///
    /// # Errors
    /// [`StoreError::ReembedRefused`] if there is not one vector for each text; [`StoreError::Dims`] for a vector that is not of
    /// the new embedder; [`StoreError::Reembedding`] or [`StoreError::EmbedderMismatch`] if another process has started
    /// another move or has finished this one.
    pub fn store_vectors(&self, texts: &[TextToEmbed], vectors: &[NewVector]) -> Result<()> {
        self.connections.write(|connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            self.check_begun(&tx)?;
            self.write_vectors(&tx, texts, vectors)?;
            Ok(tx.commit()?)
        })
    }

    /// A sample of the texts that have a new vector, evenly distributed, with these vectors.
    pub fn sample(&self, count: usize) -> Result<Vec<(TextToEmbed, Vec<f32>)>> {
        self.connections.read(|connection| self.rows(connection).sample(count))
    }

    fn rows<'c>(&self, connection: &'c Connection) -> EmbeddedRows<'c> {
        EmbeddedRows { connection, dims: self.dims, embedding_text: self.embedding_text }
    }

    fn write_vectors(&self, tx: &Transaction<'_>, texts: &[TextToEmbed], vectors: &[NewVector]) -> Result<()> {
        if texts.len() != vectors.len() {
            let message = format!("{} vectors for {} texts", vectors.len(), texts.len());
            return Err(StoreError::ReembedRefused(message));
        }
        for (text, new) in texts.iter().zip(vectors) {
            let vector = &new.vector;
            let finite = vector.iter().filter(|value| value.is_finite()).count();
            if vector.len() != self.dims || finite != self.dims {
                return Err(StoreError::Dims { expected: self.dims, found: finite });
            }
            tx.prepare_cached(text.kind.insert())?.execute(params![text.slot, text.digest, vector_to_blob(vector)])?;
            if text.kind == RowKind::Memory {
                embedded::note(tx, text.slot, new)?;
            }
        }
        Ok(())
    }

    /// Checks that this move has begun and is still the current one.
    fn check_begun(&self, tx: &Transaction<'_>) -> Result<()> {
        check_embedder(tx, self.connections.options())?;
        match read_embedder(tx, TARGET)? {
            Some(current) => self.check_target(current),
            None => Err(StoreError::ReembedRefused("the move to another embedder has not begun".into())),
        }
    }

    fn check_target(&self, (current, current_dims): (String, usize)) -> Result<()> {
        if current == self.embedder && current_dims == self.dims {
            return Ok(());
        }
        let (requested, requested_dims) = (self.embedder.clone(), self.dims);
        Err(StoreError::Reembedding { current, current_dims, requested, requested_dims })
    }
}

/// Warnings for a store that is being moved, or that was moved after it was opened.
pub(super) fn warnings(connection: &Connection, options: &SqliteOptions) -> Result<Vec<StoreWarning>> {
    let mut warnings = Vec::new();
    if let Err(StoreError::EmbedderMismatch { stored, stored_dims, given, given_dims }) =
        check_embedder(connection, options)
    {
        warnings.push(StoreWarning::OtherEmbedder { stored, stored_dims, given, given_dims });
    }
    if let Some((embedder, dims)) = read_embedder(connection, TARGET)? {
        warnings.push(StoreWarning::ReembedBegun { embedder, dims });
    }
    Ok(warnings)
}

/// Deletes the new vectors and the target of the move.
fn clear(tx: &Transaction<'_>) -> Result<()> {
    for kind in RowKind::ALL {
        tx.execute(&format!("DELETE FROM {}", kind.new_vectors()), [])?;
    }
    for key in TARGET {
        tx.execute("DELETE FROM meta WHERE key = ?", [key])?;
    }
    embedded::forget(tx)
}
