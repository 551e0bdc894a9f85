//! Moves a store to another embedder: all texts are embedded again while the store is in use, and the new vectors are
//! switched on in one step.

use std::time::Duration;

use mnemon_models::{Embedder, Embedding};
use mnemon_store::sqlite::{NewVector, ReembedCounts, Reembedding, TextToEmbed};
use mnemon_store::{SqliteStore, StoreError};

use crate::embedding_text::embedding_text;
use crate::error::{EngineError, Result};

/// Texts that are embedded and saved together; an interrupted run loses at most these. They fill four requests to a
/// service.
const BATCH: usize = 512;
/// Maximum number of texts that are embedded while other writers wait for the switch.
const MAX_LATE: usize = 64;
/// Maximum number of passes through the store; each pass embeds what other writers have changed since the last one.
const MAX_PASSES: usize = 20;
/// Texts that are embedded once more before the switch, to compare.
const SAMPLE: usize = 32;
/// Minimum cosine of two vectors of the same text: services do not return exactly the same vector twice.
const MIN_COSINE: f32 = 0.999;

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReembedReport {
    /// Memories that have a new vector.
    pub memories: usize,
    /// Entities that have a new vector.
    pub entities: usize,
    /// Texts that this run embedded; a text that was changed during the run counts each time.
    pub embedded: usize,
    /// Memories and entities that an earlier run had embedded.
    pub resumed: usize,
    /// Texts that were embedded once more, to compare.
    pub compared: usize,
    /// The smallest cosine of these comparisons.
    pub least_cosine: f32,
    /// How long the store was locked for the switch.
    pub locked: Duration,
}

/// Moves a store to another embedder.
pub struct Reembed<'a> {
    reembedding: Reembedding<'a>,
    embedder: &'a dyn Embedder,
}

impl<'a> Reembed<'a> {
    /// Prepares a run; reads and changes nothing yet.
    pub fn new(store: &'a SqliteStore, embedder: &'a dyn Embedder) -> Self {
        Self { reembedding: store.reembedding(embedder.fingerprint(), embedder.dims(), embedding_text), embedder }
    }

    /// Counts the texts to embed and those that have been embedded.
    ///
    /// # Errors
    /// If a run with another embedder was begun and not finished.
    pub fn counts(&self) -> Result<ReembedCounts> {
        Ok(self.reembedding.counts()?)
    }

    /// Embeds the remaining texts, compares a sample, and switches. It may be interrupted at any time and run again;
    /// the store does not change before the switch. `restart` discards the vectors of earlier runs. `progress` receives
    /// the number of embedded texts and the number of all texts.
    ///
    /// # Errors
    /// [`EngineError::Model`] or [`EngineError::Store`] if the embedder or the store fails; [`EngineError::EmbedderChanged`] if
    /// the comparison fails.
    pub fn run(&self, restart: bool, progress: &mut dyn FnMut(usize, usize)) -> Result<ReembedReport> {
        self.reembedding.begin(restart)?;
        let resumed = self.reembedding.counts()?.embedded;
        let mut embedded = 0;
        for _ in 0..MAX_PASSES {
            let count = self.embed_missing(progress)?;
            embedded += count;
            if count > MAX_LATE {
                continue;
            }
            let (compared, least_cosine) = self.compare()?;
            if let Some(switched) = self.reembedding.switch(MAX_LATE, |texts| self.embed(texts))? {
                return Ok(ReembedReport {
                    memories: switched.memories,
                    entities: switched.entities,
                    embedded: embedded + switched.embedded_late,
                    resumed,
                    compared,
                    least_cosine,
                    locked: switched.locked,
                });
            }
        }
        let message = "other writers change the store faster than the embedder works: run it again to resume";
        Err(StoreError::ReembedRefused(message.into()).into())
    }

    /// Embeds the texts of the store that have no new vector. Returns their number.
    fn embed_missing(&self, progress: &mut dyn FnMut(usize, usize)) -> Result<usize> {
        let mut embedded = 0;
        let mut last: Option<TextToEmbed> = None;
        let counts = self.reembedding.counts()?;
        let total = counts.memories + counts.entities;
        loop {
            progress((counts.embedded + embedded).min(total), total);
            let missing = self.reembedding.missing(last.as_ref(), BATCH)?;
            if missing.is_empty() {
                return Ok(embedded);
            }
            let texts: Vec<&str> = missing.iter().map(TextToEmbed::text).collect();
            self.reembedding.store_vectors(&missing, &self.embed(&texts)?)?;
            embedded += missing.len();
            last = missing.into_iter().next_back();
        }
    }

    /// Embeds a sample once more: an earlier run may have used another model under the same name. Returns the number of
    /// compared texts and the smallest cosine.
    fn compare(&self) -> Result<(usize, f32)> {
        let sample = self.reembedding.sample(SAMPLE)?;
        let texts: Vec<&str> = sample.iter().map(|(text, _)| text.text()).collect();
        let again = self.embed(&texts)?;
        let mut least = 1.0_f32;
        for ((text, kept), again) in sample.iter().zip(&again) {
            let cosine = cosine(kept, &again.vector);
            if cosine < MIN_COSINE {
                return Err(EngineError::EmbedderChanged { text: text.text().chars().take(80).collect(), cosine });
            }
            least = least.min(cosine);
        }
        Ok((sample.len(), least))
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<NewVector>> {
        let new = |Embedding { vector, pieces, left_out }: Embedding| NewVector { vector, pieces, left_out };
        let embeddings = if texts.is_empty() { Vec::new() } else { self.embedder.embed_texts(texts)? };
        Ok(embeddings.into_iter().map(new).collect())
    }
}

/// The cosine of two vectors; 1 if both are zero, 0 if one of them is zero or not finite.
fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let (ones, others) = (dot(one, one), dot(other, other));
    match (ones > 0.0, others > 0.0) {
        (true, true) => (dot(one, other) / (ones * others).sqrt()).min(1.0) as f32,
        (false, false) => 1.0,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_vectors_are_equal_to_each_other_only() {
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 0.0]), 1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 1.0]), 0.0);
        assert_eq!(cosine(&[2.0, 0.0], &[1.0, 0.0]), 1.0);
        assert_eq!(cosine(&[1.0, f32::NAN], &[1.0, 0.0]), 0.0);
        assert!(cosine(&[1.0, 0.0], &[1.0, 0.1]) < MIN_COSINE);
    }
}
