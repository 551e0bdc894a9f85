//! Moving a store to another embedder: everything is embedded anew while the store is in use, then switched at once.

use std::time::Duration;

use mnemon_models::Embedder;
use mnemon_store::sqlite::{ReembedCounts, Reembedding, TextToEmbed};
use mnemon_store::{SqliteStore, StoreError};

use crate::analyse::embedding_text;
use crate::{EngineError, Result};

/// Texts embedded and kept together: what a killed call loses at most. As many as four requests to a service take.
const BATCH: usize = 512;
/// Texts that may be embedded while other writers wait.
const LATE: usize = 64;
/// How often the store is gone through for what was written meanwhile.
const ROUNDS: usize = 20;
/// Texts embedded once more before the switch.
const SAMPLE: usize = 32;
/// The least cosine of a text's two vectors: services do not give the same bits twice.
const ALIKE: f32 = 0.999;

/// What a move did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReembedReport {
    /// Memories that have their new vector.
    pub memories: usize,
    /// Entities that have.
    pub entities: usize,
    /// Texts that this call embedded; one that was changed meanwhile counts each time.
    pub embedded: usize,
    /// Memories and entities that an earlier call had embedded.
    pub resumed: usize,
    /// Texts embedded once more, to compare.
    pub compared: usize,
    /// The least cosine that was found.
    pub least_cosine: f32,
    /// How long the store was locked for the switch.
    pub locked: Duration,
}

/// A move of a store to the embedder it is given.
pub struct Reembed<'a> {
    moving: Reembedding<'a>,
    embedder: &'a dyn Embedder,
}

impl<'a> Reembed<'a> {
    /// A move that has not begun, nor looked whether another call has.
    pub fn new(store: &'a SqliteStore, embedder: &'a dyn Embedder) -> Self {
        Self { moving: store.reembedding(embedder.fingerprint(), embedder.dims(), embedding_text), embedder }
    }

    /// How much there is to do.
    ///
    /// # Errors
    /// If the store is on its way to another embedder.
    pub fn counts(&self) -> Result<ReembedCounts> {
        Ok(self.moving.counts()?)
    }

    /// Embeds all that is not embedded yet, compares, and switches. May be stopped at any time and called again; the store
    /// is what it was until the switch. `restart` drops what earlier calls have done. `progress` is told how many of how
    /// many are embedded.
    ///
    /// # Errors
    /// Those of the embedder and the store; [`EngineError::Unsteady`] where the comparison fails.
    pub fn run(&self, restart: bool, progress: &mut dyn FnMut(usize, usize)) -> Result<ReembedReport> {
        self.moving.begin(restart)?;
        let resumed = self.moving.counts()?.embedded;
        let mut embedded = 0;
        for _ in 0..ROUNDS {
            let round = self.round(progress)?;
            embedded += round;
            if round > LATE {
                continue;
            }
            let (compared, least_cosine) = self.compare()?;
            if let Some(switched) = self.moving.switch(LATE, |texts| self.embed(texts))? {
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
        let message = "others write faster than the embedder embeds: what was embedded is kept, call again";
        Err(StoreError::Stalled(message.into()).into())
    }

    /// Goes once through the store; returns how many texts were embedded.
    fn round(&self, progress: &mut dyn FnMut(usize, usize)) -> Result<usize> {
        let mut embedded = 0;
        let mut last: Option<TextToEmbed> = None;
        let counts = self.moving.counts()?;
        let all = counts.memories + counts.entities;
        loop {
            progress((counts.embedded + embedded).min(all), all);
            let missing = self.moving.missing(last.as_ref(), BATCH)?;
            if missing.is_empty() {
                return Ok(embedded);
            }
            let texts: Vec<&str> = missing.iter().map(TextToEmbed::text).collect();
            self.moving.keep(&missing, &self.embed(&texts)?)?;
            embedded += missing.len();
            last = missing.into_iter().next_back();
        }
    }

    /// Embeds a sample once more: a resumed move may have been begun with another model behind the same name. Returns how
    /// many were compared, and the least cosine.
    fn compare(&self) -> Result<(usize, f32)> {
        let sample = self.moving.sample(SAMPLE)?;
        let texts: Vec<&str> = sample.iter().map(|(text, _)| text.text()).collect();
        let again = self.embed(&texts)?;
        let mut least = 1.0_f32;
        for ((text, kept), again) in sample.iter().zip(&again) {
            let cosine = cosine(kept, again);
            if cosine < ALIKE {
                return Err(EngineError::Unsteady { text: text.text().chars().take(80).collect(), cosine });
            }
            least = least.min(cosine);
        }
        Ok((sample.len(), least))
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        if texts.is_empty() { Ok(Vec::new()) } else { Ok(self.embedder.embed(texts)?) }
    }
}

/// 1 for two zero vectors: the text says nothing, both times.
fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let (ones, others) = (dot(one, one), dot(other, other));
    match (ones > 0.0, others > 0.0) {
        (true, true) => (dot(one, other) / (ones * others).sqrt()).min(1.0) as f32,
        (false, false) => 1.0,
        // One of them says nothing, or is no vector of numbers.
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_say_nothing_are_alike() {
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 0.0]), 1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 1.0]), 0.0);
        assert_eq!(cosine(&[2.0, 0.0], &[1.0, 0.0]), 1.0);
        assert_eq!(cosine(&[1.0, f32::NAN], &[1.0, 0.0]), 0.0);
        assert!(cosine(&[1.0, 0.0], &[1.0, 0.1]) < ALIKE);
    }
}
