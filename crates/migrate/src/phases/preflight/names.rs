//! Forecasts the work of the embedder, and checks whether it is the one that made the vectors of the source.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::time::{Duration, Instant};

use mnemon_engine::{EngineError, ForeignPoint, mentions_in};
use mnemon_models::Embedder;

use super::super::embedder::TextSample;

/// The number of names that are embedded to measure the embedder.
const PROBE_NAMES: usize = 32;

/// What there is to embed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NameForecast {
    /// The number of entities: names, counted in each scope.
    pub entities: usize,
    /// The number of different names, which are embedded.
    pub names: usize,
    /// About how long the embedder needs for them; `None` if no embedder fits.
    pub takes: Option<Duration>,
    /// The cosine of the embedder's vector and the source's for the same text, the best of some texts; `None` if no
    /// embedder fits, or no text is suitable.
    pub cosine: Option<f64>,
}

/// Collects names and texts of the source.
#[derive(Default)]
pub(super) struct NameSurvey {
    entities: HashSet<u64>,
    names: HashSet<u64>,
    probe: Vec<String>,
    texts: TextSample,
}

impl NameSurvey {
    pub(super) fn add(&mut self, points: &[ForeignPoint]) {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        for (point, mentions) in points.iter().zip(mentions_in(points)) {
            for mention in mentions {
                self.entities.insert(hasher.hash_one((point.payload.scope(), mention.text.to_lowercase())));
                if self.names.insert(hasher.hash_one(&mention.text)) && self.probe.len() < PROBE_NAMES {
                    self.probe.push(mention.text);
                }
            }
        }
        self.texts.add(points);
    }

    /// The forecast without an embedder.
    pub(super) fn counted(&self) -> NameForecast {
        NameForecast { entities: self.entities.len(), names: self.names.len(), ..NameForecast::default() }
    }

    /// Measures the embedder with a few of the names.
    pub(super) fn finish(self, embedder: Option<&dyn Embedder>) -> Result<NameForecast, EngineError> {
        let mut forecast = self.counted();
        let Some(embedder) = embedder else { return Ok(forecast) };
        // The first call may load a model, or open a connection.
        embedder.embed(&["preflight"])?;
        forecast.takes = Some(Duration::ZERO);
        if !self.probe.is_empty() {
            let started = Instant::now();
            embedder.embed(&self.probe.iter().map(String::as_str).collect::<Vec<_>>())?;
            forecast.takes = Some(started.elapsed().mul_f64(forecast.names as f64 / self.probe.len() as f64));
        }
        forecast.cosine = self.texts.best_cosine(embedder)?;
        Ok(forecast)
    }
}
