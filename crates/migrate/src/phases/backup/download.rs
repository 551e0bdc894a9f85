//! A snapshot's file brought here, however often the connection is lost.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::events::BackupEvent;
use super::unfinished::ServerSnapshot;
use crate::error::{MigrateError, Result};
use crate::files::{self, CHUNK, ContentHash};
use crate::qdrant_rest::{FileResponse, QdrantRest};

/// What must be free beside the file itself.
const RESERVED_BYTES: u64 = 1 << 20;

/// Bytes after which a lost connection is a new one.
const RETRY_RESET_BYTES: u64 = 1 << 20;

/// How a download ended.
pub(super) enum Downloaded {
    /// The file is there, whole; its length and SHA-256.
    Complete(u64, String),
    /// The server has it no more.
    NotFound,
}

/// A file that grows.
struct PartialFile<'p> {
    path: &'p Path,
    file: File,
    hashed: ContentHash,
    /// Whether all of it came in this run, in one piece.
    in_one_piece: bool,
}

impl<'p> PartialFile<'p> {
    /// What is there already is hashed again: only that counts.
    fn open(path: &'p Path) -> Result<Self> {
        let mut file = files::open_private(path)?;
        let hashed = ContentHash::read(&mut file).map_err(files::io_error(path))?;
        let in_one_piece = hashed.bytes == 0;
        Ok(Self { path, file, hashed, in_one_piece })
    }

    fn restart(&mut self) -> Result<()> {
        self.hashed = ContentHash::default();
        self.in_one_piece = true;
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(files::io_error(self.path))?;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hashed.update(bytes);
        Ok(())
    }
}

/// Brings a snapshot here as `target`, going on from what an earlier run left.
pub(super) fn download(
    server: &QdrantRest,
    collection: &str,
    taken: &ServerSnapshot,
    target: &Path,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<Downloaded> {
    let part = files::partial_path(target);
    let mut partial = PartialFile::open(&part)?;
    let mut tries = 0;
    let mut restarted = false;
    loop {
        if taken.bytes.is_some_and(|bytes| partial.hashed.bytes > bytes) {
            partial.restart()?;
        }
        if taken.bytes != Some(partial.hashed.bytes) {
            check_free_space(&part, taken.bytes, partial.hashed.bytes)?;
            let began = partial.hashed.bytes;
            match fetch(server, collection, taken, &mut partial, progress)? {
                Fetched::Complete => {}
                Fetched::NotFound => {
                    files::remove_if_exists(&part)?;
                    return Ok(Downloaded::NotFound);
                }
                Fetched::Interrupted(reason) => {
                    if partial.hashed.bytes >= began + RETRY_RESET_BYTES {
                        tries = 0;
                    }
                    if !server.wait_before_retry(tries) {
                        let done = partial.hashed.bytes;
                        let told = format!(
                            "the download of {} stopped after {done} bytes ({reason}): run it again, it goes on from there",
                            taken.name
                        );
                        return Err(server.error(told));
                    }
                    tries += 1;
                    continue;
                }
            }
        }
        let (bytes, sha256) = (partial.hashed.bytes, partial.hashed.clone().sha256());
        let wrong = taken.sha256.as_ref().filter(|expected| **expected != sha256);
        match wrong {
            None if taken.bytes.is_none_or(|expected| expected == bytes) => {
                drop(partial);
                files::move_into_place(&part, target)?;
                return Ok(Downloaded::Complete(bytes, sha256));
            }
            // What was there before may be what is damaged: pages that a crash lost are zeros.
            _ if !partial.in_one_piece && !restarted => {
                restarted = true;
                progress(BackupEvent::Note("what an earlier run left of the download is damaged: it begins anew"));
                partial.restart()?;
            }
            Some(expected) => {
                files::remove_if_exists(&part)?;
                return Err(MigrateError::Checksum {
                    path: target.to_owned(),
                    expected: expected.clone(),
                    found: sha256,
                });
            }
            None => {
                files::remove_if_exists(&part)?;
                let expected = taken.bytes.unwrap_or_default();
                return Err(server.error(format!("{} should have {expected} bytes, {bytes} came", taken.name)));
            }
        }
    }
}

enum Fetched {
    Complete,
    Interrupted(String),
    NotFound,
}

/// Fetches what is missing, as far as it comes.
fn fetch(
    server: &QdrantRest,
    collection: &str,
    taken: &ServerSnapshot,
    partial: &mut PartialFile<'_>,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<Fetched> {
    let asked = partial.hashed.bytes;
    let mut response = match server.open_snapshot(collection, &taken.name, asked)? {
        FileResponse::Content(from, response) if from == asked => response,
        FileResponse::Content(0, response) => {
            partial.restart()?;
            response
        }
        FileResponse::Content(..) | FileResponse::RangeNotSatisfiable => {
            partial.restart()?;
            return Ok(Fetched::Interrupted("it sent another part than it was asked for".into()));
        }
        FileResponse::NotFound => return Ok(Fetched::NotFound),
        FileResponse::Unavailable(reason) => return Ok(Fetched::Interrupted(reason)),
    };
    partial.in_one_piece &= asked == 0;
    let total = taken.bytes.or_else(|| response.content_length().map(|rest| partial.hashed.bytes + rest));
    let mut chunk = vec![0; CHUNK];
    loop {
        match response.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                if let Err(error) = partial.write(&chunk[..read]) {
                    return Err(write_error(partial, total, error));
                }
                progress(BackupEvent::Download { collection, done: partial.hashed.bytes, total });
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Ok(Fetched::Interrupted(root_cause(&error))),
        }
    }
    let done = partial.hashed.bytes;
    Ok(match total {
        Some(total) if done < total => {
            Fetched::Interrupted(format!("the connection ended {} bytes early", total - done))
        }
        _ => Fetched::Complete,
    })
}

/// The last of an error's causes.
fn root_cause(error: &io::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Keeps what came, and says what is missing if the disk is full.
fn write_error(partial: &PartialFile<'_>, total: Option<u64>, error: io::Error) -> MigrateError {
    let _ = partial.file.sync_all();
    match files::io_error(partial.path)(error) {
        MigrateError::NoSpace { path, free, .. } => {
            let needs = total.map(|total| total.saturating_sub(partial.hashed.bytes));
            MigrateError::NoSpace { path, needs, free }
        }
        other => other,
    }
}

fn check_free_space(part: &Path, bytes: Option<u64>, there: u64) -> Result<()> {
    let Some(bytes) = bytes else { return Ok(()) };
    let needs = bytes - there + RESERVED_BYTES;
    match files::free_bytes(part.parent().unwrap_or(part)) {
        Some(free) if free < needs => {
            Err(MigrateError::NoSpace { path: part.to_owned(), needs: Some(needs), free: Some(free) })
        }
        _ => Ok(()),
    }
}
