//! The local MiniLM: where its files lie, and the model itself once a text has come.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use mnemon_models::{Embedder, MiniLmEmbedder, ModelError};

use crate::error::CliError;

/// The folder, unless another is named.
const FOLDER: &str = "models/all-MiniLM-L6-v2";

/// Loads its weights when they are first needed: `list` and `stats` need none.
#[derive(Debug)]
pub(crate) struct LocalMiniLm {
    folder: PathBuf,
    model: OnceLock<MiniLmEmbedder>,
    /// Held while the weights are read, so that they are read once.
    loading: Mutex<()>,
}

impl LocalMiniLm {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, model: OnceLock::new(), loading: Mutex::new(()) }
    }

    /// Where its files lie, or should.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the weights, if that is not done yet.
    pub(crate) fn load(&self) -> Result<(), ModelError> {
        self.model().map(drop)
    }

    fn model(&self) -> Result<&MiniLmEmbedder, ModelError> {
        if let Some(model) = self.model.get() {
            return Ok(model);
        }
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = self.model.get() {
            return Ok(model);
        }
        let model = MiniLmEmbedder::open(&self.folder).map_err(|error| {
            ModelError::Settings(format!(
                "{error}. `mnemon models pull minilm` fetches it; embedder = \"minilm:FOLDER\" (MNEMON_EMBEDDER) names \
                 another folder"
            ))
        })?;
        Ok(self.model.get_or_init(|| model))
    }
}

impl Embedder for LocalMiniLm {
    fn dims(&self) -> usize {
        MiniLmEmbedder::DIMS
    }

    fn fingerprint(&self) -> &str {
        MiniLmEmbedder::FINGERPRINT
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ModelError> {
        self.model()?.embed(texts)
    }
}

/// The folder that a setting names; without one, ours.
pub(super) fn folder(named: Option<&str>) -> anyhow::Result<PathBuf> {
    match named {
        Some("") => Err(CliError::usage("embedder is `minilm:` without a folder: give one, or `minilm` alone").into()),
        Some(named) => Ok(super::paths::expanded(named)?),
        None => super::paths::data_file(FOLDER).map_err(|_| {
            CliError::usage("your data directory is not known: give embedder = \"minilm:FOLDER\" (MNEMON_EMBEDDER)")
                .into()
        }),
    }
}
