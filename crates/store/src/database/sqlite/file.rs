//! Opens SQLite files. A file that is foreign or damaged is refused before anything is written.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::{Result, StoreError};

/// Longest wait for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

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
    create_private(path)?;
    // Without the flag for URIs, so that any path is the name of a file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| StoreError::Io { path: path.to_owned(), source: std::io::Error::other(error) })?;
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

/// Opens a connection that only reads.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    match set_up_reader(Connection::open_with_flags(path, flags)) {
        // On a full or read-only disk SQLite can't even create its shared memory. If there is no log to read, the file
        // alone is complete, and no process can change it.
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
            set_up_reader(Connection::open_with_flags(uri, flags))
        }
        result => result,
    }
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
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    if path.as_os_str() == ":memory:" {
        return Err(kind.refuse(path, "several connections share it, which takes a file"));
    }
    // Checked by path: opening a pipe would wait for its writer.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        return Err(kind.refuse(path, "it is not a regular file"));
    }
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_dir() {
        return Err(kind.refuse(path, "it is a folder"));
    }
    let size = metadata.len();
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
        return Err(kind.refuse(path, "it is not an SQLite database"));
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let is = |kind: FileKind| word(68) == kind.application_id() as u32;
    if !is(kind) {
        let reason = match kind {
            FileKind::Ledger if is(FileKind::Store) => "it is a Mnemon store, which holds memories itself",
            FileKind::Store if is(FileKind::Ledger) => "it is the ledger of a Mnemon that keeps its memories in Qdrant",
            _ => "it is the SQLite database of another program, such as mem0's history.db",
        };
        return Err(kind.refuse(path, reason));
    }
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let expected = u64::from(word(28)) * page_size;
    // If there is a log beside the file, SQLite itself completes or rolls back an interrupted write. The size is read
    // again, because the file may have grown since.
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
