//! Opens the source and the target of a migration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mnemon_engine::Engine;
use mnemon_models::Embedder;
use mnemon_store::qdrant::{NewCollection, QdrantServer};
use mnemon_store::sqlite::{SqliteOptions, SqliteStore, UNKNOWN_EMBEDDER};

use crate::error::{MigrateError, Refusal, Result};
use crate::qdrant_rest::QdrantRest;
use crate::source::{Collection, Source};
use crate::state::{Route, SourceSpec, TargetSpec};
use crate::target::{CollectionTarget, PointFormat, StoreTarget, Target};

/// The pause before a REST request is retried.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// What the phases need besides the migration's state: connection settings, the embedder, limits.
#[derive(Clone)]
pub struct MigrationContext<'e> {
    /// The API key of Qdrant.
    pub api_key: Option<String>,
    /// The timeout of a request to Qdrant.
    pub timeout: Duration,
    /// How often a request to Qdrant is retried.
    pub retries: u32,
    /// Embeds entities, if its dims are those of the collection.
    pub embedder: Option<&'e dyn Embedder>,
    /// The highest number of points per second.
    pub rate: Option<u32>,
    /// Whether the caller accepts a target without entities.
    pub without_entities: bool,
    /// Whether more than half of a target may be removed because the source no longer has these points.
    pub allow_removals: bool,
    /// The folder where snapshots are unpacked.
    pub scratch: PathBuf,
    /// How a new collection is created.
    pub new_collection: NewCollection,
    /// Opens the target as a store with its history, whose vectors have this number of dims.
    pub store: Option<&'e OpenStore<'e>>,
}

/// Opens the target of a route, whose vectors have this number of dims.
pub type OpenStore<'s> = dyn Fn(&Route, usize) -> Result<Engine> + Sync + 's;

impl std::fmt::Debug for MigrationContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MigrationContext").field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

impl<'e> MigrationContext<'e> {
    /// The embedder, if its vectors have this number of dims.
    pub fn embedder_with_dims(&self, dims: usize) -> Option<&'e dyn Embedder> {
        self.embedder.filter(|embedder| embedder.dims() == dims)
    }

    /// Opens the target as a store, with its history.
    ///
    /// # Errors
    /// Those of the store; [`MigrateError::Invalid`] if the context can't open one.
    pub(crate) fn open_target(&self, route: &Route, dims: usize) -> Result<Engine> {
        let unavailable = || MigrateError::Invalid("the history needs the store of the target".into());
        self.store.ok_or_else(unavailable)?(route, dims)
    }

    /// Connects to a Qdrant.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`] if an address is not valid.
    pub fn connect(&self, grpc: &[String]) -> Result<Arc<QdrantServer>> {
        Ok(Arc::new(QdrantServer::connect(grpc, self.api_key.as_deref(), self.timeout, self.retries)?))
    }
}

impl Route {
    /// The Qdrant server of the source; `None` if the source is a snapshot file.
    ///
    /// # Errors
    /// [`crate::MigrateError::Store`] if the server does not answer.
    pub fn server(&self, context: &MigrationContext<'_>) -> Result<Option<Arc<QdrantServer>>> {
        match &self.source {
            SourceSpec::Collection { grpc, .. } => context.connect(grpc).map(Some),
            SourceSpec::Snapshot { .. } => Ok(None),
        }
    }

    /// A client of the REST port of the source's Qdrant; `None` if the source is a snapshot file.
    pub(crate) fn rest(&self, context: &MigrationContext<'_>) -> Result<Option<QdrantRest>> {
        match &self.source {
            SourceSpec::Collection { rest, .. } => {
                QdrantRest::new(rest, context.api_key.as_deref(), context.retries, RETRY_PAUSE).map(Some)
            }
            SourceSpec::Snapshot { .. } => Ok(None),
        }
    }

    /// Opens the source.
    ///
    /// # Errors
    /// [`crate::MigrateError`] if the source can't be read or was not written by mem0.
    pub fn source(&self, context: &MigrationContext<'_>) -> Result<Box<dyn Source>> {
        match &self.source {
            SourceSpec::Collection { grpc, name, .. } => {
                let source = Collection::open(context.connect(grpc)?, name)?;
                // After the switch the alias would name the target, and a rollback would copy the target to itself.
                if source.name() != name {
                    let collection = source.name().to_owned();
                    return Err(Refusal::SourceIsAlias { alias: name.clone(), collection }.into());
                }
                Ok(Box::new(source))
            }
            #[cfg(feature = "snapshot")]
            SourceSpec::Snapshot { file } => Ok(Box::new(crate::source::Snapshot::open(file, &context.scratch)?)),
            #[cfg(not(feature = "snapshot"))]
            SourceSpec::Snapshot { .. } => {
                Err(MigrateError::Invalid("this program was built without the snapshot reader".into()))
            }
        }
    }

    /// The length of the source's vectors.
    ///
    /// # Errors
    /// Those of [`Route::source`].
    pub fn dims(&self, context: &MigrationContext<'_>) -> Result<usize> {
        Ok(self.source(context)?.info().dims)
    }

    /// Opens the target. Creates a SQLite file if it is missing, but not a collection.
    ///
    /// # Errors
    /// [`crate::MigrateError::Refused`] if the server is too old, or if a server is needed and the source has none;
    /// [`crate::MigrateError::Store`].
    pub fn target(&self, context: &MigrationContext<'_>, dims: usize) -> Result<Box<dyn Target>> {
        match (&self.target, self.server(context)?, &self.source) {
            (TargetSpec::Sqlite { file }, ..) => {
                let fingerprint = match context.embedder_with_dims(dims) {
                    Some(embedder) => Some(embedder.fingerprint().to_owned()),
                    None => SqliteStore::embedder_of(file)?.map(|(fingerprint, _)| fingerprint),
                };
                let fingerprint = fingerprint.unwrap_or_else(|| UNKNOWN_EMBEDDER.to_owned());
                let store = SqliteStore::open(SqliteOptions::new(file, fingerprint, dims))?;
                Ok(Box::new(StoreTarget::owned(Box::new(store))))
            }
            (TargetSpec::Collection { name }, Some(server), SourceSpec::Collection { name: source, .. }) => {
                collection_target(server, name, source, PointFormat::Full)
            }
            (TargetSpec::InPlace, Some(server), SourceSpec::Collection { name, .. }) => {
                if !server.can_add_bm25()? {
                    let (server, version) = (server.location(), server.version()?);
                    return Err(Refusal::CantAddBm25 { server, version }.into());
                }
                collection_target(server, name, name, PointFormat::Additions)
            }
            (TargetSpec::Collection { .. } | TargetSpec::InPlace, ..) => Err(Refusal::SnapshotToCollection.into()),
        }
    }
}

/// A collection whose vectors are indexed from the same segment size on as those of the source.
fn collection_target(
    server: Arc<QdrantServer>,
    name: &str,
    source: &str,
    format: PointFormat,
) -> Result<Box<dyn Target>> {
    let indexing_threshold = server.describe(source)?.map_or(0, |collection| collection.indexing_threshold);
    Ok(Box::new(CollectionTarget::new(server, name, format).with_indexing_threshold(indexing_threshold)))
}
