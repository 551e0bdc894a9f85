//! Source and target of a migration, opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mnemon_models::Embedder;
use mnemon_store::qdrant::{Indexing, NewCollection, Server, entities_of};
use mnemon_store::sqlite::{SqliteOptions, SqliteStore, UNKNOWN_EMBEDDER};
use mnemon_store::{Entity, MemoryId, Store};

use crate::read::{Collection, Source, StoreSource};
use crate::rebuild::Progress;
use crate::rest::Rest;
use crate::state::{Route, SourceSpec, TargetSpec};
use crate::target::{CollectionTarget, PointFormat, StoreTarget, Target};
use crate::{MigrateError, Result};

/// The pause between two looks at how far an index is.
const LOOK: Duration = Duration::from_millis(250);
/// The pause before a request of REST is sent again.
const PAUSE: Duration = Duration::from_millis(500);

/// What phases work with.
#[derive(Clone)]
pub struct MigrationContext<'e> {
    /// Sent to Qdrant.
    pub api_key: Option<String>,
    /// How long a request to Qdrant may take, and how often one that met no answer is sent again.
    pub timeout: Duration,
    /// See `timeout`.
    pub retries: u32,
    /// Embeds entities, if its dims are the collection's.
    pub embedder: Option<&'e dyn Embedder>,
    /// Points a second at most.
    pub rate: Option<u32>,
    /// Whether most of a target may be removed since it is gone from the source.
    pub removals: bool,
    /// Where snapshots are unpacked.
    pub scratch: PathBuf,
    /// How a new collection is made.
    pub new: NewCollection,
}

impl std::fmt::Debug for MigrationContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MigrationContext").field("scratch", &self.scratch).finish_non_exhaustive()
    }
}

impl<'e> MigrationContext<'e> {
    /// The embedder, where it makes vectors of so many dims.
    pub fn embedder_of(&self, dims: usize) -> Option<&'e dyn Embedder> {
        self.embedder.filter(|embedder| embedder.dims() == dims)
    }

    /// Connects to a Qdrant.
    ///
    /// # Errors
    /// [`MigrateError::Store`] for an address that is none.
    pub fn connect(&self, grpc: &[String]) -> Result<Arc<Server>> {
        Ok(Arc::new(Server::connect(grpc, self.api_key.as_deref(), self.timeout, self.retries)?))
    }
}

/// A target that is open.
pub enum OpenTarget {
    /// A SQLite store.
    Store(Box<SqliteStore>),
    /// A collection of Qdrant, and how it is written to.
    Collection {
        /// The server.
        server: Arc<Server>,
        /// The collection.
        name: String,
        /// How.
        shape: PointFormat,
        /// From how many kB on Qdrant indexes the vectors of a segment: as in the source.
        indexing_from: u64,
    },
}

impl std::fmt::Debug for OpenTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(_) => f.write_str("Store"),
            Self::Collection { name, shape, .. } => write!(f, "Collection({name}, {shape:?})"),
        }
    }
}

impl Route {
    /// The server, where the source is on one.
    ///
    /// # Errors
    /// [`MigrateError::Store`] of the connection.
    pub fn server(&self, tools: &MigrationContext<'_>) -> Result<Option<Arc<Server>>> {
        match &self.from {
            SourceSpec::Collection { grpc, .. } => tools.connect(grpc).map(Some),
            SourceSpec::Snapshot { .. } => Ok(None),
        }
    }

    /// The server's REST port, where the source is on one.
    pub(crate) fn rest(&self, tools: &MigrationContext<'_>) -> Result<Option<Rest>> {
        match &self.from {
            SourceSpec::Collection { rest, .. } => {
                Rest::new(rest, tools.api_key.as_deref(), tools.retries, PAUSE).map(Some)
            }
            SourceSpec::Snapshot { .. } => Ok(None),
        }
    }

    /// Opens the source.
    ///
    /// # Errors
    /// [`MigrateError`] where it can't be read, or is not mem0's.
    pub fn source(&self, tools: &MigrationContext<'_>) -> Result<Box<dyn Source>> {
        match &self.from {
            SourceSpec::Collection { grpc, name, .. } => {
                let source = Collection::open(tools.connect(grpc)?, name)?;
                // Switched, an alias would lead to the target, and the way back from there to itself.
                if source.name() != name {
                    let message = format!(
                        "`{name}` is an alias of `{0}`: give --source {0}; `mnemon migrate cutover --alias {name}` switches \
                         the alias",
                        source.name()
                    );
                    return Err(MigrateError::Refused(message));
                }
                Ok(Box::new(source))
            }
            #[cfg(feature = "snapshot")]
            SourceSpec::Snapshot { file } => Ok(Box::new(crate::read::Snapshot::open(file, &tools.scratch)?)),
            #[cfg(not(feature = "snapshot"))]
            SourceSpec::Snapshot { .. } => {
                Err(MigrateError::Unfit("this program was built without reading snapshots".into()))
            }
        }
    }

    /// Opens the target; a SQLite file is made if it is not there, a collection is not.
    ///
    /// # Errors
    /// [`MigrateError::Refused`] where a server is too old, or is needed and not known; [`MigrateError::Store`].
    pub fn target(&self, tools: &MigrationContext<'_>, dims: usize) -> Result<OpenTarget> {
        match (&self.to, self.server(tools)?, &self.from) {
            (TargetSpec::Sqlite { file }, ..) => {
                let known = match tools.embedder_of(dims) {
                    Some(embedder) => Some(embedder.fingerprint().to_owned()),
                    None => SqliteStore::embedder_of(file)?.map(|(fingerprint, _)| fingerprint),
                };
                let fingerprint = known.unwrap_or_else(|| UNKNOWN_EMBEDDER.to_owned());
                Ok(OpenTarget::Store(Box::new(SqliteStore::open(SqliteOptions::new(file, fingerprint, dims))?)))
            }
            (TargetSpec::Collection { name }, Some(server), SourceSpec::Collection { name: source, .. }) => {
                let indexing_from = server.describe(source)?.map_or(0, |described| described.indexing_from);
                Ok(OpenTarget::Collection { server, name: name.clone(), shape: PointFormat::Whole, indexing_from })
            }
            (TargetSpec::InPlace, Some(server), SourceSpec::Collection { name, .. }) => {
                if !server.adds_slots()? {
                    let message = format!(
                        "Qdrant at {} is version {}: a filled collection can be given the bm25 slot since 1.18 only; upgrade \
                         it, or name a new collection with --target",
                        server.location(),
                        server.version()?
                    );
                    return Err(MigrateError::Refused(message));
                }
                let indexing_from = server.describe(name)?.map_or(0, |described| described.indexing_from);
                Ok(OpenTarget::Collection { server, name: name.clone(), shape: PointFormat::Added, indexing_from })
            }
            (TargetSpec::Collection { .. } | TargetSpec::InPlace, ..) => Err(MigrateError::Refused(
                "a snapshot file can be carried into a SQLite store only (--to sqlite:FILE): to fill a collection, restore \
                 the snapshot in Qdrant and give that as --source"
                    .into(),
            )),
        }
    }
}

impl OpenTarget {
    /// As where memories go to.
    pub fn target(&self) -> Box<dyn Target + '_> {
        match self {
            Self::Store(store) => Box::new(StoreTarget::new(&**store)),
            Self::Collection { server, name, shape, .. } => {
                Box::new(CollectionTarget::new(server.clone(), name, *shape))
            }
        }
    }

    /// As where memories come from, for the way back.
    ///
    /// # Errors
    /// [`MigrateError`] where it can't be read.
    pub fn source(&self) -> Result<Box<dyn Source + '_>> {
        match self {
            Self::Store(store) => Ok(Box::new(StoreSource::new(&**store)?)),
            Self::Collection { server, name, .. } => Ok(Box::new(Collection::open(server.clone(), name)?)),
        }
    }

    /// How many memories there are; `None` for a collection that is not there.
    ///
    /// # Errors
    /// [`MigrateError::Store`].
    pub fn held(&self) -> Result<Option<u64>> {
        match self {
            Self::Store(store) => Ok(Some(store.info()?.memories as u64)),
            Self::Collection { server, name, .. } => Ok(server.describe(name)?.map(|described| described.points)),
        }
    }

    /// How many entities there are.
    ///
    /// # Errors
    /// [`MigrateError::Store`].
    pub fn entities(&self) -> Result<u64> {
        match self {
            Self::Store(store) => Ok(store.info()?.entities as u64),
            Self::Collection { server, name, .. } => {
                let name = entities_of(name);
                Ok(server.describe(&name)?.map_or(0, |described| described.points))
            }
        }
    }

    /// Makes what the target lacks: the collection, its slot, indexes, the one of entities.
    ///
    /// # Errors
    /// [`MigrateError::Refused`] for a collection of another kind; [`MigrateError::Store`].
    pub fn prepare(&self, dims: usize, new: &NewCollection) -> Result<()> {
        let Self::Collection { server, name, shape, .. } = self else { return Ok(()) };
        if let Some(there) = server.describe(name)? {
            if there.name != *name {
                let message = format!("`{name}` is an alias of `{}`: name another --target", there.name);
                return Err(MigrateError::Refused(message));
            }
            if there.dims != Some(dims) || there.distance != "Cosine" {
                let message = format!(
                    "collection `{name}` has vectors of {} dims compared by {}, the source has {dims} compared by Cosine: \
                     name another --target",
                    there.dims.unwrap_or(0),
                    there.distance
                );
                return Err(MigrateError::Refused(message));
            }
            if !there.has_bm25 && *shape == PointFormat::Added {
                server.add_slot(name)?;
            } else if !there.has_bm25 {
                let message = format!("collection `{name}` is there, and has no bm25 slot: name another --target");
                return Err(MigrateError::Refused(message));
            }
        }
        Ok(server.make(name, dims, new)?)
    }

    /// Has the vectors indexed, in the background: after all that comes at once is there.
    pub(crate) fn index(&self) -> Result<()> {
        match self {
            Self::Store(_) => Ok(()),
            Self::Collection { server, name, indexing_from, .. } => Ok(server.index(name, *indexing_from)?),
        }
    }

    /// Waits for the index of vectors of a new collection, which nobody writes to yet; says what became of it if not all is
    /// well.
    pub(crate) fn indexed(&self, progress: &Progress<'_>) -> Result<Option<String>> {
        let Self::Collection { server, name, shape: PointFormat::Whole, .. } = self else { return Ok(None) };
        for name in [name, &entities_of(name)] {
            while let Some(there) = server.describe(name)? {
                match there.indexing {
                    Indexing::Working { indexed } => {
                        progress("indexed", usize::try_from(indexed.min(there.points)).unwrap_or(0), there.points);
                        std::thread::sleep(LOOK);
                    }
                    Indexing::Failed(reason) => return Ok(Some(format!("vectors of `{name}`: {reason}"))),
                    Indexing::Done => break,
                }
            }
        }
        Ok(None)
    }

    /// Writes entities beside the memories, in place of those of their ids.
    pub(crate) fn put_entities(&self, entities: &[Entity]) -> Result<()> {
        match self {
            Self::Store(_) => Ok(()),
            Self::Collection { server, name, .. } => Ok(server.put_entities(name, entities)?),
        }
    }

    /// Removes entities.
    pub(crate) fn remove_entities(&self, ids: &[MemoryId]) -> Result<()> {
        match self {
            Self::Store(_) => Ok(()),
            Self::Collection { server, name, .. } => Ok(server.remove(&entities_of(name), ids)?),
        }
    }
}
