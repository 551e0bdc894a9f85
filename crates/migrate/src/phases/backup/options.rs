//! What to back up, and where to.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Result;
use crate::qdrant_rest::QdrantRest;

/// What to back up, and where to.
#[derive(Clone)]
#[non_exhaustive]
pub struct BackupOptions {
    /// REST address of Qdrant: `http://host:6333`.
    pub url: String,
    /// Its key, where it wants one.
    pub api_key: Option<String>,
    /// The collection, or an alias of it.
    pub source: String,
    /// The folder of the backup; made if missing.
    pub folder: PathBuf,
    /// mem0's `history.db`.
    pub history: Option<PathBuf>,
    /// A dump that `neo4j-admin database dump` wrote.
    pub neo4j_dump: Option<PathBuf>,
    /// Whether all points are written as JSON, too.
    pub export: bool,
    /// Days for which the backup is kept.
    pub retention_days: u32,
    /// Whether the snapshots stay on the server, too.
    pub keep_on_server: bool,
    /// Tries after the first where nobody answers.
    pub retries: u32,
    /// The pause before the second try; doubled for each further one, up to 15 seconds.
    pub pause: Duration,
}

impl BackupOptions {
    /// A backup of one collection with that of its entities, kept for 30 days.
    pub fn new(url: impl Into<String>, source: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self {
            url: url.into(),
            api_key: None,
            source: source.into(),
            folder: folder.into(),
            history: None,
            neo4j_dump: None,
            export: false,
            retention_days: 30,
            keep_on_server: false,
            retries: 6,
            pause: Duration::from_millis(500),
        }
    }

    pub(super) fn rest(&self) -> Result<QdrantRest> {
        QdrantRest::new(&self.url, self.api_key.as_deref(), self.retries, self.pause)
    }
}

impl std::fmt::Debug for BackupOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupOptions")
            .field("url", &self.url)
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("source", &self.source)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
