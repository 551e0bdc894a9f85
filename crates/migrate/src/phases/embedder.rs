//! The embedder of the entities of a migration: it must be the model that made the vectors of the source.

use std::ops::ControlFlow;

use mnemon_engine::{EngineError, ForeignPoint};
use mnemon_models::Embedder;

use crate::endpoints::MigrationContext;
use crate::error::{Refusal, Result};
use crate::source::Source;
use crate::state::{Migration, Part};

/// The number of texts whose vectors are compared with those of the source.
const SAMPLE_TEXTS: usize = 16;
/// The longest text that is compared, in bytes: an embedder may cut longer ones.
const MAX_TEXT_BYTES: usize = 500;
/// The cosine from which two vectors of a text are taken to be of the same model. Rounding and another normalisation
/// change it little.
const SAME_MODEL: f64 = 0.9;

/// Some texts of a source with their vectors.
#[derive(Default)]
pub(super) struct TextSample(Vec<(String, Vec<f32>)>);

impl TextSample {
    /// Adds suitable points until the sample is full.
    pub(super) fn add(&mut self, points: &[ForeignPoint]) {
        let is_suitable = |point: &&ForeignPoint| {
            let text = point.payload.text();
            text.len() <= MAX_TEXT_BYTES && !text.trim().is_empty() && point.vector.iter().any(|value| *value != 0.0)
        };
        let suitable = points.iter().filter(is_suitable).take(SAMPLE_TEXTS - self.0.len());
        self.0.extend(suitable.map(|point| (point.payload.text().to_owned(), point.vector.clone())));
    }

    fn is_full(&self) -> bool {
        self.0.len() >= SAMPLE_TEXTS
    }

    /// The cosine of the embedder's vector and the source's for the same text, the best of the sample; `None` if it is empty.
    /// Asks the embedder in any case.
    pub(super) fn best_cosine(&self, embedder: &dyn Embedder) -> Result<Option<f64>, EngineError> {
        let texts: Vec<&str> = self.0.iter().map(|(text, _)| text.as_str()).collect();
        let own = embedder.embed(if texts.is_empty() { &["preflight"] } else { &texts })?;
        Ok(own.iter().zip(&self.0).map(|(own, (_, stored))| cosine(own, stored)).reduce(f64::max))
    }
}

/// The cosine in percent, if it is too small for vectors of the same model.
pub(super) fn other_model(cosine: Option<f64>) -> Option<u8> {
    cosine.filter(|cosine| *cosine < SAME_MODEL).map(|cosine| (cosine * 100.0).clamp(0.0, 99.0) as u8)
}

impl<'e> MigrationContext<'e> {
    /// The embedder, if it is the model that made the vectors of a source.
    ///
    /// # Errors
    /// [`crate::MigrateError::Refused`] if none with these dims is set, or if it makes other vectors of the same texts; that of the
    /// embedder if it does not answer; that of the source.
    pub fn fitting_embedder(&self, source: &dyn Source) -> Result<&'e dyn Embedder> {
        let embedder = self.embedder_for(source.info().dims)?;
        let mut sample = TextSample::default();
        source.scan(&mut |page| {
            sample.add(&page);
            if sample.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        match other_model(sample.best_cosine(embedder)?) {
            Some(percent) => Err(Refusal::OtherModel { percent }.into()),
            None => Ok(embedder),
        }
    }

    /// The embedder, if its vectors have these dims.
    pub(super) fn embedder_for(&self, dims: usize) -> Result<&'e dyn Embedder> {
        let given = || self.embedder.map(|embedder| embedder.dims());
        Ok(self.embedder_with_dims(dims).ok_or_else(|| Refusal::NoEmbedder { dims, given: given() })?)
    }
}

/// The embedder of the entities; `None` if the migration is to have none. One that fails is found before anything is written.
///
/// # Errors
/// Those of [`MigrationContext::fitting_embedder`].
pub(super) fn entity_embedder<'e>(
    migration: &Migration,
    context: &MigrationContext<'e>,
    source: &dyn Source,
) -> Result<Option<&'e dyn Embedder>> {
    migration.state.asks_for(Part::Entities).then(|| context.fitting_embedder(source)).transpose()
}

fn cosine(left: &[f32], right: &[f32]) -> f64 {
    let dot = |left: &[f32], right: &[f32]| -> f64 {
        left.iter().zip(right).map(|(left, right)| f64::from(*left) * f64::from(*right)).sum()
    };
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt().max(f64::MIN_POSITIVE)
}
