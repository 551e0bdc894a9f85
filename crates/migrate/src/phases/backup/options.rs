//! The options of a backup.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Result;
use crate::qdrant_rest::QdrantRest;

/// The options of a backup.
#[derive(Clone)]
#[non_exhaustive]
pub struct BackupOptions {
    /// The REST address of Qdrant: `http://host:6333`.
    pub url: String,
    /// The API key of Qdrant.
    pub api_key: Option<String>,
    /// The collection, or an alias of it.
    pub source: String,
    /// The folder of the backup; created if it is missing.
    pub folder: PathBuf,
    /// mem0's `history.db`.
    pub history: Option<PathBuf>,
    /// A dump made with `neo4j-admin database dump`.
    pub neo4j_dump: Option<PathBuf>,
    /// Whether all points are also written as JSON.
    pub export: bool,
    /// The number of days for which the backup is kept.
    pub retention_days: u32,
    /// Whether the snapshots are kept on the server after the download.
    pub keep_on_server: bool,
    /// How often a request is retried.
    pub retries: u32,
    /// The pause before the first retry. It doubles with each retry, up to 15 seconds.
    pub pause: Duration,
}

impl BackupOptions {
    /// A backup of a collection and the collection of its entities, kept for 30 days.
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

    /// A client of the REST API.
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
