//! The local MiniLM, loaded when the first text is embedded.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use mnemon_models::{Embedder, Embedding, MiniLmEmbedder, ModelError};

use crate::error::CliError;

/// Default folder, below mnemon's data folder.
const FOLDER: &str = "models/all-MiniLM-L6-v2";

/// Loads its weights on first use: `list` and `stats` do not need them.
#[derive(Debug)]
pub(crate) struct LocalMiniLm {
    folder: PathBuf,
    model: OnceLock<MiniLmEmbedder>,
    /// Locked while the weights are read, so that they are read once.
    loading: Mutex<()>,
}

impl LocalMiniLm {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, model: OnceLock::new(), loading: Mutex::new(()) }
    }

    /// Folder of the model files, whether they exist or not.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Loads the weights if they are not loaded yet.
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
        let model = MiniLmEmbedder::open(&self.folder)?;
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

    fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Embedding>, ModelError> {
        self.model()?.embed_texts(texts)
    }

    fn known_share(&self, text: &str) -> f32 {
        self.model().map_or(1.0, |model| model.known_share(text))
    }

    fn is_english_only(&self) -> bool {
        true
    }
}

/// The folder of the setting, otherwise the default folder.
pub(super) fn folder(configured: Option<&str>) -> anyhow::Result<PathBuf> {
    match configured {
        Some("") => Err(CliError::usage("embedder is `minilm:` without a folder: give one, or `minilm` alone").into()),
        Some(configured) => Ok(super::paths::absolute(configured)?),
        None => super::paths::data_file(FOLDER).map_err(|_| {
            CliError::usage("the data directory is unknown: set embedder to minilm:FOLDER (MNEMON_EMBEDDER)").into()
        }),
    }
}
