//! mem0's `history.db`, copied while mem0 may be writing to it.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{MigrateError, Result};
use crate::files;

/// How often a database that somebody writes to is tried, and how long between.
const MAX_TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(200);

/// Copies a database as it is at one moment; returns its rows of `history`.
pub(super) fn copy(from: &Path, to: &Path) -> Result<u64> {
    std::fs::metadata(from).map_err(files::io_error(from))?;
    let part = files::partial_path(to);
    files::remove_if_exists(&part)?;
    files::remove_if_exists(&suffixed(&part, "-journal"))?;
    // Ours before SQLite makes it, so that only its owner may look into it.
    drop(files::open_private(&part)?);
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => MigrateError::NoSpace {
            path: part.clone(),
            needs: None,
            free: files::free_bytes(part.parent().unwrap_or(&part)),
        },
        Some(ErrorCode::NotADatabase) => unfit(from, "it is no SQLite database"),
        _ => unfit(from, &error.to_string()),
    };
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let mut target = Connection::open(&part).map_err(failed)?;
    transfer(&source, &mut target, from).map_err(|error| match error {
        Failure::Sqlite(error) => failed(error),
        Failure::Migrate(error) => error,
    })?;
    // One file, whatever the source keeps beside it.
    target.pragma_update(None, "journal_mode", "DELETE").map_err(failed)?;
    target.close().map_err(|(_, error)| failed(error))?;
    let rows = check_history(&part).map_err(|reason| unfit(from, &reason))?;
    files::move_into_place(&part, to)?;
    Ok(rows)
}

enum Failure {
    Sqlite(rusqlite::Error),
    Migrate(MigrateError),
}

fn transfer(source: &Connection, target: &mut Connection, from: &Path) -> Result<(), Failure> {
    let backup = Backup::new(source, target).map_err(Failure::Sqlite)?;
    for _ in 0..MAX_TRIES {
        // All at once: the source is locked for writers as briefly as can be, and is never copied in two states.
        if backup.step(-1).map_err(Failure::Sqlite)? == StepResult::Done {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    let reason = "somebody has it locked all the time: stop mem0 for a moment and run it again";
    Err(Failure::Migrate(unfit(from, reason)))
}

/// Opens a copy without changing a byte beside it and looks into every page; returns its rows of `history`.
pub(super) fn check_history(file: &Path) -> Result<u64, String> {
    let plain: String = file.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let told = |error: rusqlite::Error| error.to_string();
    let database = Connection::open_with_flags(format!("file:{plain}?immutable=1"), flags).map_err(told)?;
    let verdict: String = database.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(told)?;
    if verdict != "ok" {
        return Err(format!("SQLite finds it corrupt ({verdict})"));
    }
    let there: bool = database
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'history'", [], |row| row.get(0))
        .map_err(told)?;
    if !there {
        return Err("it has no table `history`: give the file that mem0's history_db_path names".into());
    }
    let rows: i64 = database.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).map_err(told)?;
    Ok(rows.unsigned_abs())
}

fn unfit(path: &Path, reason: &str) -> MigrateError {
    MigrateError::History { path: path.to_owned(), reason: reason.to_owned() }
}

fn suffixed(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
