//! Opens SQLite files. A file that is foreign or damaged is refused before anything is written.
//!
//! Only SQLite opens a database, its log and its shared memory, because a process that closes any descriptor of a file loses
//! its locks on that file (POSIX). SQLite keeps its own descriptors open until the locks are released. Without the locks,
//! another program that opens and closes the database takes itself for the last one and deletes the log.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{Result, StoreError};

/// Longest wait for another process.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a file of Mnemon holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A store: memories with everything that belongs to them.
    Store,
    /// The ledger of a store whose memories are on a server.
    Ledger,
}

impl FileKind {
    /// The number in the header that marks a file of Mnemon: "MNEM", "MNEL".
    pub(crate) const fn application_id(self) -> i32 {
        match self {
            Self::Store => 0x4D4E_454D,
            Self::Ledger => 0x4D4E_454C,
        }
    }

    fn refuse(self, path: &Path, reason: &str) -> StoreError {
        let (path, reason) = (path.to_owned(), reason.to_owned());
        match self {
            Self::Store => StoreError::NotAStore { path, reason },
            Self::Ledger => StoreError::NotALedger { path, reason },
        }
    }
}

/// Opens a file of Mnemon, or creates it with its folder, and returns a connection that can write.
pub(crate) fn open_file(path: &Path, kind: FileKind) -> Result<Connection> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| StoreError::Io { path: folder.to_owned(), source })?;
    }
    check_file(path, kind)?;
    let creating = CREATING.lock();
    create_private(path)?;
    // Without the flag for URIs, so that any path is the name of a file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| open_error(path, error))?;
    drop(creating);
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Sets up the connection of a writer after the tables have been created.
pub(crate) fn make_durable(connection: &Connection) -> Result<()> {
    switch_to_wal(connection)?;
    // FULL: an acknowledged write survives a power failure, not only the end of the process.
    connection.pragma_update(None, "synchronous", "FULL")?;
    set_limits(connection, 16_000)
}

/// Switches the file to a write-ahead log. SQLite does not wait for other processes here, although it does so elsewhere:
/// another process that opens the same new file may switch at the same time.
fn switch_to_wal(connection: &Connection) -> Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        let switched = connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()));
        match switched.map_err(StoreError::from) {
            Err(StoreError::Busy) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            result => return result,
        }
    }
}

/// Held while a file is created and while a connection is opened: no connection has a lock on a new file before the
/// descriptor that created it is closed.
static CREATING: Mutex<()> = Mutex::new(());

/// Creates a missing file that only its owner can read. SQLite gives its logs the same mode.
fn create_private(path: &Path) -> Result<()> {
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

/// A connection that only reads.
pub(crate) struct Reader {
    pub(crate) connection: Connection,
    /// Whether it takes no locks and does not see what others write, because nothing can be written.
    pub(crate) is_immutable: bool,
}

/// Opens a connection that only reads.
pub(crate) fn open_reader(path: &Path) -> Result<Reader> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let creating = CREATING.lock();
    let opened = Connection::open_with_flags(path, flags);
    drop(creating);
    match set_up_reader(opened) {
        // On a full or read-only disk SQLite can't even create its shared memory. If there is no log to read, the file
        // alone is complete, and no process can change it.
        Err(StoreError::Full | StoreError::ReadOnly { .. } | StoreError::Database(_)) if !has_log(path) => {
            Ok(Reader { connection: set_up_reader(open_immutable(path))?, is_immutable: true })
        }
        // SQLite does not say that it could not create the shared memory.
        Err(StoreError::Database(error)) => Err(match write_error(&parent(&real_path(path))) {
            Some(source) => {
                let reason = format!("it can't be created, and the log can't be read without it: {source}");
                StoreError::Io {
                    path: with_suffix(&real_path(path), "-shm"),
                    source: std::io::Error::new(source.kind(), reason),
                }
            }
            None => StoreError::Database(error),
        }),
        result => Ok(Reader { connection: result?, is_immutable: false }),
    }
}

/// Opens a connection that reads the database as it is, without its log and without locks. It creates no file.
fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut uri = "file:".to_owned();
    for &byte in absolute.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    Connection::open_with_flags(uri, flags)
}

/// The error of a file that SQLite can't open, with the reason of the operating system, which SQLite does not give.
fn open_error(path: &Path, error: rusqlite::Error) -> StoreError {
    #[cfg(unix)]
    let reason = {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS).err().map(std::io::Error::from)
    };
    #[cfg(not(unix))]
    let reason = None;
    StoreError::Io { path: path.to_owned(), source: reason.unwrap_or_else(|| std::io::Error::other(error)) }
}

fn set_up_reader(opened: rusqlite::Result<Connection>) -> Result<Connection> {
    let connection = opened?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Opens the log too, so that errors appear now.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "query_only", true)?;
    // A small cache: there may be many readers, and the operating system caches the file too.
    set_limits(&connection, 4_000)?;
    Ok(connection)
}

fn set_limits(connection: &Connection, cache_kb: i32) -> Result<()> {
    connection.pragma_update(None, "cache_size", -cache_kb)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// Checks by its header that a file is of this kind and complete. Returns its schema version; `None` if the file does not
/// exist or is empty.
pub(crate) fn check_file(path: &Path, kind: FileKind) -> Result<Option<u32>> {
    if path.as_os_str() == ":memory:" {
        return Err(kind.refuse(path, "several connections share it, which takes a file"));
    }
    // Checked by path: opening a pipe would wait for its writer.
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::Io { path: path.to_owned(), source }),
    };
    match found.len() {
        _ if found.is_dir() => return Err(kind.refuse(path, "it is a folder")),
        _ if !found.is_file() => return Err(kind.refuse(path, "it is not a regular file")),
        0 => return Ok(None),
        1..100 => return Err(kind.refuse(path, "it is too short for a database")),
        _ => {}
    }
    let header = Header::read(path, kind)?;
    let is = |kind: FileKind| header.application_id == kind.application_id();
    if !is(kind) {
        let reason = match kind {
            FileKind::Ledger if is(FileKind::Store) => "it is a Mnemon store, which holds memories itself",
            FileKind::Store if is(FileKind::Ledger) => "it is the ledger of a Mnemon that keeps its memories in Qdrant",
            _ => "it is the SQLite database of another program, such as mem0's history.db",
        };
        return Err(kind.refuse(path, reason));
    }
    // If there is a log beside the file, SQLite itself completes or rolls back an interrupted write. The header is read
    // again, because the file may have grown since.
    if header.is_cut && !has_log(path) && Header::read(path, kind)?.is_cut {
        let size = std::fs::metadata(path).map_or(0, |found| found.len());
        let reason = format!("it has {size} bytes, fewer than its header says");
        return Err(StoreError::Damaged { path: path.to_owned(), reason });
    }
    Ok(Some(header.schema))
}

/// What the first page of a database says, without the log.
struct Header {
    application_id: i32,
    schema: u32,
    /// Whether the file is shorter than the header says.
    is_cut: bool,
}

impl Header {
    /// Reads the header of a file that exists.
    fn read(path: &Path, kind: FileKind) -> Result<Self> {
        let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => kind.refuse(path, "it is not an SQLite database"),
            _ => open_error(path, error),
        };
        let connection = open_immutable(path).map_err(failed)?;
        let number = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        let (application_id, lacks_pages) = match number("application_id") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                // With this setting SQLite reads databases that lack pages.
                connection.pragma_update(None, "writable_schema", true).map_err(failed)?;
                (number("application_id").map_err(failed)?, true)
            }
            result => (result.map_err(failed)?, false),
        };
        let page_size = number("page_size").map_err(failed)?.unsigned_abs().max(1);
        let size = std::fs::metadata(path).map_or(0, |found| found.len());
        Ok(Self {
            application_id: application_id as i32,
            schema: number("user_version").map_err(failed)? as u32,
            is_cut: lacks_pages || !size.is_multiple_of(page_size),
        })
    }
}

/// Why a database can only be read, according to its permissions and its disk; `None` if it can be written, as far as they
/// show.
pub(crate) fn read_only_reason(path: &Path) -> Option<String> {
    let path = real_path(path);
    let folder = parent(&path);
    let refused = |part: &str, path: &Path| Some(format!("{part}: {}", write_error(path)?));
    // SQLite creates its log and its shared memory if they are missing.
    let of_log = |suffix: &str| match with_suffix(&path, suffix) {
        log if log.exists() => refused("its log", &log),
        _ => refused("its folder", &folder),
    };
    refused("its file", &path).or_else(|| of_log("-wal")).or_else(|| of_log("-shm"))
}

/// Whether the shared memory can be written, as far as its permissions show. The system ends a process that writes to mapped
/// memory of a file that can't be.
pub(super) fn can_share_memory(path: &Path) -> bool {
    write_error(&with_suffix(&real_path(path), "-shm")).is_none()
}

/// Gives log and shared memory the permissions of their database, if that can be written and they can't. A reader creates
/// them with its permissions, and they stay when it becomes writable again. Returns whether anything was changed.
pub(super) fn make_logs_writable(path: &Path) -> bool {
    let path = real_path(path);
    let logs = ["-wal", "-shm"].map(|suffix| with_suffix(&path, suffix));
    let broken: Vec<&PathBuf> = logs.iter().filter(|log| write_error(log).is_some()).collect();
    let (None, Ok(found)) = (write_error(&path), std::fs::metadata(&path)) else { return false };
    // Only their owner may do this. For others the write names the fault.
    broken.into_iter().filter(|log| std::fs::set_permissions(log, found.permissions()).is_ok()).count() > 0
}

/// The error of the operating system for writing to a file or folder that exists. Nothing is opened.
fn write_error(path: &Path) -> Option<std::io::Error> {
    #[cfg(unix)]
    {
        use rustix::fs::{Access, AtFlags, CWD, accessat};
        let error = std::io::Error::from(accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).err()?);
        Some(error).filter(|error| error.kind() != ErrorKind::NotFound)
    }
    #[cfg(not(unix))]
    {
        let is_read_only = std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().readonly());
        is_read_only.then(|| ErrorKind::PermissionDenied.into())
    }
}

/// The folder of a file.
fn parent(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn has_log(path: &Path) -> bool {
    let path = real_path(path);
    ["-wal", "-journal"].iter().any(|suffix| file_size(&with_suffix(&path, suffix)) > 0)
}

/// The size of a database with its log in bytes.
pub(crate) fn size_with_log(path: &Path) -> u64 {
    let path = real_path(path);
    file_size(&path) + file_size(&with_suffix(&path, "-wal"))
}

fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

/// The file that a symbolic link names. SQLite creates the log beside it.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The path with text appended to its file name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
