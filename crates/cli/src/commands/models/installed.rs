//! The model files on this machine, and whether they work.

use std::path::Path;

use mnemon_models::{Embedder, MiniLmEmbedder, ModelError};
use serde_json::{Value, json};

/// The status of the MiniLM in this folder.
pub(super) fn status(folder: &Path) -> Value {
    let mut status = json!({
        "name": "minilm",
        "ready": true,
        "dims": MiniLmEmbedder::DIMS,
        "fingerprint": MiniLmEmbedder::FINGERPRINT,
        "folder": folder.display().to_string(),
        "bytes": bytes(folder),
    });
    if let Err(problem) = check_model(folder) {
        status["ready"] = false.into();
        status["problem"] = problem.to_string().into();
    }
    status
}

/// Loads the model and embeds a word.
pub(super) fn check_model(folder: &Path) -> Result<(), ModelError> {
    let vectors = MiniLmEmbedder::open(folder)?.embed(&["hello"])?;
    debug_assert_eq!(vectors[0].len(), MiniLmEmbedder::DIMS);
    Ok(())
}

/// Size of the files on disk.
fn bytes(folder: &Path) -> u64 {
    let size = |name: &&str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    MiniLmEmbedder::FILES.iter().map(size).sum()
}
