//! The model in its folder, and whether it works.

use std::path::Path;

use mnemon_models::{Embedder, MiniLmEmbedder, ModelError};
use serde_json::{Value, json};

/// What the folder of the local MiniLM holds.
pub(super) fn minilm(folder: &Path) -> Value {
    let mut found = json!({
        "name": "minilm",
        "ready": true,
        "dims": MiniLmEmbedder::DIMS,
        "fingerprint": MiniLmEmbedder::FINGERPRINT,
        "folder": folder.display().to_string(),
        "bytes": bytes(folder),
    });
    if let Err(problem) = try_out(folder) {
        found["ready"] = false.into();
        found["problem"] = problem.to_string().into();
    }
    found
}

/// Loads the model and embeds a word.
pub(super) fn try_out(folder: &Path) -> Result<(), ModelError> {
    let vectors = MiniLmEmbedder::open(folder)?.embed(&["hello"])?;
    debug_assert_eq!(vectors[0].len(), MiniLmEmbedder::DIMS);
    Ok(())
}

/// What its files take on disk.
fn bytes(folder: &Path) -> u64 {
    let size = |name: &&str| std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
    MiniLmEmbedder::FILES.iter().map(size).sum()
}
