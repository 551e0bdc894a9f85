//! Opening a store's file: what is not ours or is damaged is refused before anything is written.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::schema;
use crate::{Result, StoreError};

/// The fingerprint of a store that was filled with vectors from elsewhere: the first embedder of their dims that it is
/// opened with is taken to have made them.
pub const UNKNOWN_EMBEDDER: &str = "unknown";

/// How to open an embedded store.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    /// The file; created with its folder if it is not there.
    pub path: PathBuf,
    /// Fingerprint of the embedder whose vectors are stored; [`UNKNOWN_EMBEDDER`] where they came from elsewhere.
    pub embedder: String,
    /// Dims of its vectors.
    pub dims: usize,
    /// Bytes that in-memory indexes of scopes may take together; one scope is always kept, however large.
    pub cache_bytes: usize,
    /// Refuse to grow beyond this many pages of 4096 bytes.
    pub max_pages: Option<u32>,
}

impl SqliteOptions {
    /// The defaults: 512 MiB for indexes, no limit of pages.
    pub fn new(path: impl Into<PathBuf>, embedder: impl Into<String>, dims: usize) -> Self {
        Self { path: path.into(), embedder: embedder.into(), dims, cache_bytes: 512 << 20, max_pages: None }
    }
}

/// How long to wait for another process.
const BUSY: Duration = Duration::from_secs(30);

/// What a file of ours holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Memories and all that belongs to them.
    Store,
    /// What a store keeps beside a server for memories.
    DocumentStore,
}

impl FileKind {
    /// Marks an SQLite file as ours: "MNEM", "MNEL".
    pub(crate) const fn application_id(self) -> i32 {
        match self {
            Self::Store => schema::APPLICATION_ID,
            Self::DocumentStore => 0x4D4E_454C,
        }
    }

    fn refuse(self, path: &Path, reason: &str) -> StoreError {
        let (path, reason) = (path.to_owned(), reason.to_owned());
        match self {
            Self::Store => StoreError::NotAStore { path, reason },
            Self::DocumentStore => StoreError::NotALedger { path, reason },
        }
    }
}

/// Looks at a file before anything is written. Returns the connection to read with if the store is there and up to date;
/// `None` if it must be created or brought up to date first.
pub(super) fn check_freshness(options: &SqliteOptions) -> Result<Option<Connection>> {
    let path = &options.path;
    match refuse_foreign(path, FileKind::Store)? {
        Some(found) if found > schema::NEWEST => {
            Err(StoreError::NewerSchema { path: path.clone(), found, known: schema::NEWEST })
        }
        Some(schema::NEWEST) => {
            let connection = open_reader(path)?;
            match stored_embedder(&connection)? {
                Some(stored) if !is_adopted(&stored, options) => {
                    check_embedder(stored, options).map(|()| Some(connection))
                }
                _ => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// Which embedder filled a store; `None` if the file is not there or empty.
pub(super) fn embedder_of(path: &Path) -> Result<Option<(String, usize)>> {
    match refuse_foreign(path, FileKind::Store)? {
        Some(_) => stored_embedder(&open_reader(path)?),
        None => Ok(None),
    }
}

/// Opens or creates the file and returns the connection that writes.
pub(super) fn open_writer(options: &SqliteOptions) -> Result<Connection> {
    let path = &options.path;
    let mut connection = open_file(path, FileKind::Store)?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    schema::migrate(&mut connection, path)?;
    settle_embedder(&mut connection, options)?;
    make_durable(&connection)?;
    Ok(connection)
}

/// Opens a file of ours, or creates it with its folder, and returns a connection that may write.
pub(crate) fn open_file(path: &Path, kind: FileKind) -> Result<Connection> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| StoreError::Io { path: folder.to_owned(), source })?;
    }
    refuse_foreign(path, kind)?;
    create_private(path)?;
    // Without the flag for URIs, so that a path means a file whatever it looks like.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| StoreError::Io { path: path.to_owned(), source: std::io::Error::other(error) })?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// What holds for a file's writer once its tables are there.
pub(crate) fn make_durable(connection: &Connection) -> Result<()> {
    switch_to_wal(connection)?;
    // FULL: an acknowledged write survives a power cut, not only a kill.
    connection.pragma_update(None, "synchronous", "FULL")?;
    tune(connection, 16_000)
}

/// SQLite does not wait for others here, as it does elsewhere: whoever opens the same new file may be switching too.
fn switch_to_wal(connection: &Connection) -> Result<()> {
    let patience = Instant::now() + BUSY;
    loop {
        let switched = connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()));
        match switched.map_err(StoreError::from) {
            Err(StoreError::Busy) if Instant::now() < patience => std::thread::sleep(Duration::from_millis(5)),
            done => return done,
        }
    }
}

/// Memories are nobody else's business: a new file is its owner's alone, and SQLite's logs take its mode.
pub(crate) fn create_private(path: &Path) -> Result<()> {
    let mut file = File::options();
    file.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    match file.open(path) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => {
            Err(StoreError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Opens a connection that only reads.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match reader(Connection::open_with_flags(path, flags)) {
        // Where nothing can be written, not even SQLite's shared memory (a full disk, a read-only one), and no log waits
        // to be taken over, the file is all there is, and nobody can change it.
        Err(StoreError::Full | StoreError::Database(_)) if !has_log(path) => {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let mut uri = "file:".to_owned();
            for byte in absolute.to_string_lossy().bytes() {
                match byte {
                    b'/' | b'.' | b'-' | b'_' => uri.push(char::from(byte)),
                    _ if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
                    _ => uri.push_str(&format!("%{byte:02X}")),
                }
            }
            uri.push_str("?immutable=1");
            reader(Connection::open_with_flags(uri, flags))
        }
        opened => opened,
    }
}

fn reader(opened: rusqlite::Result<Connection>) -> Result<Connection> {
    let connection = opened?;
    connection.busy_timeout(BUSY)?;
    // Opens the log too: whatever is wrong shows now.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "query_only", true)?;
    // A reader looks up what a search has found; there may be many of them, and the system caches the file as well.
    tune(&connection, 4_000)?;
    Ok(connection)
}

fn tune(connection: &Connection, cache_kb: i32) -> Result<()> {
    connection.pragma_update(None, "cache_size", -cache_kb)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// The header of an SQLite file tells whether it is ours and whole. Returns its schema version; `None` if there is no
/// file, or an empty one.
pub(crate) fn refuse_foreign(path: &Path, kind: FileKind) -> Result<Option<u32>> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    if path.as_os_str() == ":memory:" {
        return Err(kind.refuse(path, "several connections share it, which takes a file"));
    }
    // Asked by name: opening a pipe would wait for its writer.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return Err(kind.refuse(path, "it is no regular file"));
    }
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let size = file.metadata().map_err(io)?;
    if size.is_dir() {
        return Err(kind.refuse(path, "it is a folder"));
    }
    let size = size.len();
    if size == 0 {
        return Ok(None);
    }
    let mut header = [0u8; 100];
    if let Err(error) = file.read_exact(&mut header) {
        return match error.kind() {
            ErrorKind::UnexpectedEof => Err(kind.refuse(path, "it is too short for a database")),
            _ => Err(io(error)),
        };
    }
    if &header[..16] != b"SQLite format 3\0" {
        return Err(kind.refuse(path, "it is no SQLite database"));
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if word(68) != kind.application_id() as u32 {
        let is = |kind: FileKind| word(68) == kind.application_id() as u32;
        return Err(kind.refuse(
            path,
            match kind {
                FileKind::DocumentStore if is(FileKind::Store) => "it is a Mnemon store, which holds memories itself",
                FileKind::Store if is(FileKind::DocumentStore) => {
                    "it is the ledger of a Mnemon that keeps its memories in Qdrant"
                }
                _ => "it is the SQLite database of another program (mem0's history.db is read by `mnemon import`)",
            },
        ));
    }
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let expected = u64::from(word(28)) * page_size;
    // While a log lies beside the file, SQLite itself completes or undoes what was under way. Measured again: the file
    // may have been growing while it was read.
    if size < expected && !has_log(path) && file.metadata().map_err(io)?.len() < expected {
        let reason = format!("it should have {expected} bytes and has {size}");
        return Err(StoreError::Damaged { path: path.to_owned(), reason });
    }
    Ok(Some(word(60)))
}

fn has_log(path: &Path) -> bool {
    ["-wal", "-journal"].iter().any(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::fs::metadata(name).is_ok_and(|log| log.len() > 0)
    })
}

/// A new store takes the embedder it is opened with; an old one insists on its own, if that is known.
fn settle_embedder(connection: &mut Connection, options: &SqliteOptions) -> Result<()> {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if let Some(stored) = stored_embedder(&tx)?.filter(|stored| !is_adopted(stored, options)) {
        return check_embedder(stored, options);
    }
    let mut statement = tx.prepare("INSERT OR REPLACE INTO meta VALUES(?, ?)")?;
    statement.execute(params!["embedder", options.embedder])?;
    statement.execute(params!["dims", options.dims.to_string()])?;
    drop(statement);
    tx.commit()?;
    Ok(())
}

/// Fingerprint and dims of the embedder that filled the store.
pub(super) fn stored_embedder(connection: &Connection) -> Result<Option<(String, usize)>> {
    noted_embedder(connection, ["embedder", "dims"])
}

/// Fingerprint and dims that are noted under these keys.
pub(super) fn noted_embedder(connection: &Connection, keys: [&str; 2]) -> Result<Option<(String, usize)>> {
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

/// Whether the vectors are still those of the embedder that the store was opened with: another process may have moved it
/// to another one since.
pub(super) fn check_still(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    let Some(stored) = stored_embedder(connection)? else { return Ok(()) };
    // Whoever fills a store without knowing the embedder goes on once somebody else has named it.
    if options.embedder == UNKNOWN_EMBEDDER && options.dims == stored.1 {
        let mut moved = connection.prepare_cached("SELECT 1 FROM meta WHERE key = ?")?;
        if !moved.exists([MOVED_FROM])? {
            return Ok(());
        }
    }
    check_embedder(stored, options)
}

/// The key of the embedder that a store was last moved away from.
pub(super) const MOVED_FROM: &str = "moved_from";

/// Whether vectors of an unknown embedder are taken for those of the first one that fits.
fn is_adopted((stored, dims): &(String, usize), options: &SqliteOptions) -> bool {
    stored == UNKNOWN_EMBEDDER && *dims == options.dims && options.embedder != *stored
}

fn check_embedder((stored, stored_dims): (String, usize), options: &SqliteOptions) -> Result<()> {
    if stored == options.embedder && stored_dims == options.dims {
        return Ok(());
    }
    let (given, given_dims) = (options.embedder.clone(), options.dims);
    Err(StoreError::EmbedderMismatch { stored, stored_dims, given, given_dims })
}
