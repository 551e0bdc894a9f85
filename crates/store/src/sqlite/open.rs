//! Opens a store's file and checks its embedder.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::schema;
use crate::database::file::{FileKind, Reader, check_file, make_durable, open_file, open_reader};
use crate::{Result, StoreError, TermsState};

/// The fingerprint for a store that was filled with vectors of an unknown embedder. The first embedder with the same dims
/// that opens the store is assumed to have made them.
pub const UNKNOWN_EMBEDDER: &str = "unknown";

/// How to open an embedded store.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The file. It is created with its folder if it does not exist.
    pub path: PathBuf,
    /// Fingerprint of the embedder whose vectors are stored; [`UNKNOWN_EMBEDDER`] if it is not known.
    pub embedder: String,
    /// Dims of its vectors.
    pub dims: usize,
    /// Maximum size of all scope indexes in memory, in bytes. One index is always kept, even if it is larger.
    pub cache_bytes: usize,
    /// Maximum size of the file, in pages of 4096 bytes.
    pub max_pages: Option<u32>,
}

impl SqliteOptions {
    /// The defaults: 512 MiB for indexes, no limit of pages.
    pub fn new(path: impl Into<PathBuf>, embedder: impl Into<String>, dims: usize) -> Self {
        Self { path: path.into(), embedder: embedder.into(), dims, cache_bytes: 512 << 20, max_pages: None }
    }
}

/// Checks the file before anything is written. Returns a connection for reading if the store exists and is up to date;
/// `None` if it must be created or updated first.
pub(super) fn open_current(options: &SqliteOptions) -> Result<Option<Reader>> {
    let path = &options.path;
    match check_file(path, FileKind::Store)? {
        Some(found) if found > schema::NEWEST => {
            Err(StoreError::NewerSchema { path: path.clone(), found, known: schema::NEWEST })
        }
        Some(schema::NEWEST) => {
            let reader = open_reader(path)?;
            match stored_embedder(&reader.connection)? {
                Some(stored) if !is_adopted(&stored, options) => {
                    compare_embedder(stored, options).map(|()| Some(reader))
                }
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// Fingerprint and dims of the embedder that filled a store; `None` if the file does not exist or is empty.
pub(super) fn embedder_of(path: &Path) -> Result<Option<(String, usize)>> {
    match check_file(path, FileKind::Store)? {
        Some(_) => stored_embedder(&open_reader(path)?.connection),
        None => Ok(None),
    }
}

/// Opens or creates the file, updates its schema, and returns the connection that writes.
pub(super) fn open_writer(options: &SqliteOptions) -> Result<Connection> {
    let path = &options.path;
    let mut connection = open_file(path, FileKind::Store)?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    schema::migrate(&mut connection, path)?;
    record_embedder(&mut connection, options)?;
    make_durable(&connection)?;
    Ok(connection)
}

/// Records the embedder of a new store. For an existing store, checks that the embedder is the same.
fn record_embedder(connection: &mut Connection, options: &SqliteOptions) -> Result<()> {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if let Some(stored) = stored_embedder(&tx)?.filter(|stored| !is_adopted(stored, options)) {
        return compare_embedder(stored, options);
    }
    let is_new = stored_embedder(&tx)?.is_none();
    let mut statement = tx.prepare("INSERT OR REPLACE INTO meta VALUES(?, ?)")?;
    if is_new {
        statement.execute(TermsState::current().to_row()?)?;
    }
    statement.execute(params!["embedder", options.embedder])?;
    statement.execute(params!["dims", options.dims.to_string()])?;
    drop(statement);
    tx.commit()?;
    Ok(())
}

/// Fingerprint and dims of the embedder that filled the store.
fn stored_embedder(connection: &Connection) -> Result<Option<(String, usize)>> {
    read_embedder(connection, ["embedder", "dims"])
}

/// Fingerprint and dims of an embedder that are stored under these keys.
pub(super) fn read_embedder(connection: &Connection, keys: [&str; 2]) -> Result<Option<(String, usize)>> {
    let read = |key: &str| -> Result<Option<String>> {
        let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    };
    match (read(keys[0])?, read(keys[1])?) {
        (Some(embedder), Some(dims)) => {
            let dims = dims.parse().map_err(|_| StoreError::Corrupt(format!("dims `{dims}`")))?;
            Ok(Some((embedder, dims)))
        }
        _ => Ok(None),
    }
}

/// Checks that the stored vectors still belong to the embedder that the store was opened with: another process may have
/// moved the store to another embedder.
pub(super) fn check_embedder(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    let Some(stored) = stored_embedder(connection)? else { return Ok(()) };
    // A process that fills a store without knowing the embedder continues after another process has recorded it.
    if options.embedder == UNKNOWN_EMBEDDER && options.dims == stored.1 {
        let mut moved = connection.prepare_cached("SELECT 1 FROM meta WHERE key = ?")?;
        if !moved.exists([MOVED_FROM])? {
            return Ok(());
        }
    }
    compare_embedder(stored, options)
}

/// The key of the fact that a migration filled the store without entities.
const WITHOUT_ENTITIES: &str = "without_entities";

/// Records that migrated memories have no entities, or that they have them.
pub(super) fn record_without_entities(connection: &Connection, without: bool) -> Result<()> {
    if without {
        connection.execute("INSERT OR REPLACE INTO meta VALUES(?, '1')", [WITHOUT_ENTITIES])?;
    } else {
        connection.execute("DELETE FROM meta WHERE key = ?", [WITHOUT_ENTITIES])?;
    }
    Ok(())
}

/// Whether a migration filled the store without entities.
pub(super) fn is_without_entities(connection: &Connection) -> Result<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM meta WHERE key = ?")?.exists([WITHOUT_ENTITIES])?)
}

/// The key of the previous embedder of a store that was moved to another one.
pub(super) const MOVED_FROM: &str = "moved_from";

/// Whether the vectors of an unknown embedder are assumed to be those of this one.
fn is_adopted((stored, dims): &(String, usize), options: &SqliteOptions) -> bool {
    stored == UNKNOWN_EMBEDDER && *dims == options.dims && options.embedder != *stored
}

fn compare_embedder((stored, stored_dims): (String, usize), options: &SqliteOptions) -> Result<()> {
    if stored == options.embedder && stored_dims == options.dims {
        return Ok(());
    }
    let (given, given_dims) = (options.embedder.clone(), options.dims);
    Err(StoreError::EmbedderMismatch { stored, stored_dims, given, given_dims })
}
