//! Moving a store to another embedder: new vectors are gathered beside the old ones, which serve until all are there.

mod rows;
mod switch;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::{SqliteOptions, SqliteStore, open};
use crate::scope_index::vector_to_blob;
use crate::{Payload, Result, StoreError};
pub use rows::TextToEmbed;
use rows::{Kind, Rows};
pub use switch::Switched;

/// Keys of the embedder that a store is being moved to.
const TARGET: [&str; 2] = ["reembed_embedder", "reembed_dims"];

/// A move of a store to another embedder. What was gathered stays in the file: another process may go on with it.
///
/// Others may read and write all the while, with the embedder the store has.
#[derive(Debug)]
pub struct Reembedding<'s> {
    store: &'s SqliteStore,
    embedder: String,
    dims: usize,
    embedding_text: fn(&Payload) -> String,
}

/// How much there is to embed, and how much of it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReembedCounts {
    /// Memories that have a vector.
    pub memories: usize,
    /// Entities.
    pub entities: usize,
    /// Memories and entities that have been embedded anew; a text that changed since counts too.
    pub embedded: usize,
}

impl SqliteStore {
    /// A move to the embedder of this fingerprint and dims, of which nothing is written yet. `embedding_text` tells what is
    /// embedded for a memory; of an entity it is the name.
    pub fn reembedding(&self, embedder: &str, dims: usize, embedding_text: fn(&Payload) -> String) -> Reembedding<'_> {
        Reembedding { store: self, embedder: embedder.to_owned(), dims, embedding_text }
    }
}

impl Reembedding<'_> {
    /// Notes in the store where it is being moved to, or goes on where an earlier call stopped. `restart` drops what was
    /// gathered.
    ///
    /// # Errors
    /// [`StoreError::Reembedding`] if it is on its way to another embedder and is not to `restart`;
    /// [`StoreError::EmbedderMismatch`] if it has been moved since it was opened.
    pub fn begin(&self, restart: bool) -> Result<()> {
        self.store.write(|connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            open::check_still(&tx, &self.store.options)?;
            match open::noted_embedder(&tx, TARGET)? {
                Some(_) if restart => clear(&tx)?,
                Some(under_way) => return self.check_target(under_way),
                None => {}
            }
            let mut statement = tx.prepare("INSERT OR REPLACE INTO meta VALUES(?, ?)")?;
            statement.execute(params![TARGET[0], self.embedder])?;
            statement.execute(params![TARGET[1], self.dims.to_string()])?;
            drop(statement);
            Ok(tx.commit()?)
        })
    }

    /// How much there is to do, without changing anything.
    ///
    /// # Errors
    /// [`StoreError::Reembedding`] if the store is on its way to another embedder.
    pub fn counts(&self) -> Result<ReembedCounts> {
        self.store.read(|connection| {
            open::noted_embedder(connection, TARGET)?.map_or(Ok(()), |under_way| self.check_target(under_way))?;
            let [memories, entities] = Kind::ALL.map(|kind| kind.count(connection));
            let [memories_done, entities_done] = Kind::ALL.map(|kind| kind.count_embedded(connection));
            Ok(ReembedCounts { memories: memories?, entities: entities?, embedded: memories_done? + entities_done? })
        })
    }

    /// The next texts whose vectors are missing, after the last one of a call before: memories, then entities, each as they
    /// were stored. Empty at the end of the store.
    pub fn missing(&self, after: Option<&TextToEmbed>, limit: usize) -> Result<Vec<TextToEmbed>> {
        self.store.read(|connection| self.rows(connection).missing(after, limit))
    }

    /// Keeps the vectors of texts, safe from a power cut.
    ///
    /// # Errors
    /// [`StoreError::Stalled`] without a vector for each text; [`StoreError::Dims`] for a vector that the embedder can't have made; [`StoreError::Reembedding`] or
    /// [`StoreError::EmbedderMismatch`] if another process has begun another move or has ended this one.
    pub fn keep(&self, texts: &[TextToEmbed], vectors: &[Vec<f32>]) -> Result<()> {
        self.store.write(|connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            self.check_under_way(&tx)?;
            self.put(&tx, texts, vectors)?;
            Ok(tx.commit()?)
        })
    }

    /// Some of the texts whose vectors were kept, spread over all of them, with these vectors.
    pub fn sample(&self, count: usize) -> Result<Vec<(TextToEmbed, Vec<f32>)>> {
        self.store.read(|connection| self.rows(connection).sample(count))
    }

    fn rows<'c>(&self, connection: &'c Connection) -> Rows<'c> {
        Rows { connection, dims: self.dims, embedding_text: self.embedding_text }
    }

    fn put(&self, tx: &Transaction<'_>, texts: &[TextToEmbed], vectors: &[Vec<f32>]) -> Result<()> {
        if texts.len() != vectors.len() {
            let message = format!("{} vectors for {} texts", vectors.len(), texts.len());
            return Err(StoreError::Stalled(message));
        }
        for (text, vector) in texts.iter().zip(vectors) {
            let finite = vector.iter().filter(|value| value.is_finite()).count();
            if vector.len() != self.dims || finite != self.dims {
                return Err(StoreError::Dims { expected: self.dims, found: finite });
            }
            tx.prepare_cached(text.kind.insert())?.execute(params![text.slot, text.digest, vector_to_blob(vector)])?;
        }
        Ok(())
    }

    /// Whether this very move is what goes on.
    fn check_under_way(&self, tx: &Transaction<'_>) -> Result<()> {
        open::check_still(tx, &self.store.options)?;
        match open::noted_embedder(tx, TARGET)? {
            Some(under_way) => self.check_target(under_way),
            None => Err(StoreError::Stalled("the move to another embedder was not begun".into())),
        }
    }

    fn check_target(&self, (under_way, under_way_dims): (String, usize)) -> Result<()> {
        if under_way == self.embedder && under_way_dims == self.dims {
            return Ok(());
        }
        let (asked, asked_dims) = (self.embedder.clone(), self.dims);
        Err(StoreError::Reembedding { under_way, under_way_dims, asked, asked_dims })
    }
}

/// What is to be known of a store that is on its way, or that has left who opened it behind.
pub(super) fn warnings(connection: &Connection, options: &SqliteOptions) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    if let Err(error @ StoreError::EmbedderMismatch { .. }) = open::check_still(connection, options) {
        warnings.push(error.to_string());
    }
    if let Some((embedder, dims)) = open::noted_embedder(connection, TARGET)? {
        warnings.push(format!(
            "a move to embedder `{embedder}` ({dims} dims) was begun: `mnemon reembed` goes on with it, if nobody does already"
        ));
    }
    Ok(warnings)
}

/// Drops what was gathered, and the note of where to.
fn clear(tx: &Transaction<'_>) -> Result<()> {
    for kind in Kind::ALL {
        tx.execute(&format!("DELETE FROM {}", kind.gathered()), [])?;
    }
    for key in TARGET {
        tx.execute("DELETE FROM meta WHERE key = ?", [key])?;
    }
    Ok(())
}
