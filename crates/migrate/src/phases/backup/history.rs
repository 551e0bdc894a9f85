//! Copies mem0's `history.db`, also while mem0 is writing to it.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{MigrateError, Result};
use crate::files;

/// How often a locked database is tried.
const MAX_TRIES: u32 = 50;
/// The pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// The longest wait for a locked database that is only checked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const LOCKED: &str = "another process keeps it locked: stop mem0 for a moment and run it again";
const NO_HISTORY: &str = "it has no table `history`: give the file that mem0's history_db_path names";

/// Checks that a file is mem0's history database and can be read. Changes nothing.
pub(in crate::phases) fn check_history_source(file: &Path) -> Result<()> {
    let metadata = std::fs::metadata(file).map_err(|error| invalid(file, &error.to_string()))?;
    if metadata.is_dir() {
        return Err(invalid(file, "it is a folder: give the file in it"));
    }
    if metadata.len() == 0 {
        return Err(invalid(file, "it is empty"));
    }
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => invalid(file, "it is not a SQLite database"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => invalid(file, LOCKED),
        _ => invalid(file, &error.to_string()),
    };
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    database.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    if !has_history(&database).map_err(failed)? {
        return Err(invalid(file, NO_HISTORY));
    }
    database.query_row("SELECT count(*) FROM history", [], |row| row.get::<_, i64>(0)).map_err(failed).map(drop)
}

/// Copies a consistent state of the database, and returns the number of rows of its table `history`.
pub(super) fn copy_history(from: &Path, to: &Path) -> Result<u64> {
    std::fs::metadata(from).map_err(files::io_error(from))?;
    let part = files::partial_path(to);
    files::remove_if_exists(&part)?;
    files::remove_if_exists(&files::with_suffix(&part, "-journal"))?;
    // Created here, not by SQLite, so that only its owner can access it.
    drop(files::open_private(&part)?);
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => MigrateError::NoSpace {
            path: part.clone(),
            needs: None,
            free: files::free_bytes(part.parent().unwrap_or(&part)),
        },
        Some(ErrorCode::NotADatabase) => invalid(from, "it is not a SQLite database"),
        _ => invalid(from, &error.to_string()),
    };
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let mut target = Connection::open(&part).map_err(failed)?;
    transfer(&source, &mut target, from).map_err(|error| match error {
        Failure::Sqlite(error) => failed(error),
        Failure::Migrate(error) => error,
    })?;
    // The copy is a single file, even if the source has a write-ahead log.
    target.pragma_update(None, "journal_mode", "DELETE").map_err(failed)?;
    target.close().map_err(|(_, error)| failed(error))?;
    let rows = check_history(&part).map_err(|reason| invalid(from, &reason))?;
    files::move_into_place(&part, to)?;
    Ok(rows)
}

/// An error of a copy: of SQLite, or already converted.
enum Failure {
    Sqlite(rusqlite::Error),
    Migrate(MigrateError),
}

/// Copies all pages.
fn transfer(source: &Connection, target: &mut Connection, from: &Path) -> Result<(), Failure> {
    let backup = Backup::new(source, target).map_err(Failure::Sqlite)?;
    for _ in 0..MAX_TRIES {
        // One step for all pages: the copy is consistent, and writers are locked out as briefly as possible.
        if backup.step(-1).map_err(Failure::Sqlite)? == StepResult::Done {
            return Ok(());
        }
        std::thread::sleep(RETRY_PAUSE);
    }
    Err(Failure::Migrate(invalid(from, LOCKED)))
}

/// Checks every page of a copy without changing anything, and returns the number of rows of its table `history`.
pub(super) fn check_history(file: &Path) -> Result<u64, String> {
    let plain: String = file.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let describe = |error: rusqlite::Error| error.to_string();
    let database = Connection::open_with_flags(format!("file:{plain}?immutable=1"), flags).map_err(describe)?;
    let verdict: String = database.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(describe)?;
    if verdict != "ok" {
        return Err(format!("it is damaged, according to SQLite ({verdict})"));
    }
    if !has_history(&database).map_err(describe)? {
        return Err(NO_HISTORY.into());
    }
    let rows: i64 = database.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).map_err(describe)?;
    Ok(rows.unsigned_abs())
}

fn has_history(database: &Connection) -> rusqlite::Result<bool> {
    let query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'history'";
    database.query_row(query, [], |row| row.get(0))
}

fn invalid(path: &Path, reason: &str) -> MigrateError {
    MigrateError::History { path: path.to_owned(), reason: reason.to_owned() }
}
