//! Downloads the file of a snapshot, and continues after lost connections.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::events::BackupEvent;
use super::unfinished::ServerSnapshot;
use crate::error::{MigrateError, Result};
use crate::files::{self, CHUNK, ContentHash};
use crate::qdrant_rest::{FileResponse, QdrantRest, root_cause};

/// The number of bytes that must be free besides the size of the file.
const RESERVED_BYTES: u64 = 1 << 20;

/// After this number of bytes the tries are counted from zero again.
const RETRY_RESET_BYTES: u64 = 1 << 20;

/// The result of a download.
pub(super) enum Downloaded {
    /// The file is complete; its length and SHA-256.
    Complete(u64, String),
    /// The server no longer has the snapshot.
    NotFound,
}

/// An incomplete file.
struct PartialFile<'p> {
    path: &'p Path,
    file: File,
    hash: ContentHash,
    /// Whether the content was downloaded in this run with one request.
    in_one_piece: bool,
}

impl<'p> PartialFile<'p> {
    /// Opens the file and hashes what an earlier run has written.
    fn open(path: &'p Path) -> Result<Self> {
        let mut file = files::open_private(path)?;
        let hash = ContentHash::of_reader(&mut file).map_err(files::io_error(path))?;
        let in_one_piece = hash.bytes == 0;
        Ok(Self { path, file, hash, in_one_piece })
    }

    /// Removes the content.
    fn restart(&mut self) -> Result<()> {
        self.hash = ContentHash::default();
        self.in_one_piece = true;
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(files::io_error(self.path))?;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        Ok(())
    }
}

/// Downloads a snapshot to `target`, and continues what an earlier run has downloaded.
pub(super) fn download(
    server: &QdrantRest,
    collection: &str,
    snapshot: &ServerSnapshot,
    target: &Path,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<Downloaded> {
    let part = files::partial_path(target);
    let mut partial = PartialFile::open(&part)?;
    let mut tries = 0;
    let mut restarted = false;
    loop {
        if snapshot.bytes.is_some_and(|bytes| partial.hash.bytes > bytes) {
            partial.restart()?;
        }
        if snapshot.bytes != Some(partial.hash.bytes) {
            check_free_space(&part, snapshot.bytes, partial.hash.bytes)?;
            let before = partial.hash.bytes;
            match fetch(server, collection, snapshot, &mut partial, progress)? {
                Fetched::Complete => {}
                Fetched::NotFound => {
                    files::remove_if_exists(&part)?;
                    return Ok(Downloaded::NotFound);
                }
                Fetched::Interrupted(reason) => {
                    if partial.hash.bytes >= before + RETRY_RESET_BYTES {
                        tries = 0;
                    }
                    if !server.wait_before_retry(tries) {
                        let done = partial.hash.bytes;
                        let message = format!(
                            "the download of {} stopped after {done} bytes ({reason}): run it again, it continues from there",
                            snapshot.name
                        );
                        return Err(server.error(message));
                    }
                    tries += 1;
                    continue;
                }
            }
        }
        let (bytes, sha256) = (partial.hash.bytes, partial.hash.clone().sha256());
        let expected = snapshot.sha256.as_ref().filter(|expected| **expected != sha256);
        match expected {
            None if snapshot.bytes.is_none_or(|expected| expected == bytes) => {
                drop(partial);
                files::move_into_place(&part, target)?;
                return Ok(Downloaded::Complete(bytes, sha256));
            }
            // The content of an earlier run may be the damaged part: a crash can leave pages of zeros.
            _ if !partial.in_one_piece && !restarted => {
                restarted = true;
                progress(BackupEvent::Note(
                    "the incomplete download of an earlier run is damaged, so the download starts again",
                ));
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
                let expected = snapshot.bytes.unwrap_or_default();
                return Err(server
                    .error(format!("{} should have {expected} bytes, but {bytes} were downloaded", snapshot.name)));
            }
        }
    }
}

/// The result of one request.
enum Fetched {
    Complete,
    Interrupted(String),
    NotFound,
}

/// Requests the missing bytes once and writes what arrives.
fn fetch(
    server: &QdrantRest,
    collection: &str,
    snapshot: &ServerSnapshot,
    partial: &mut PartialFile<'_>,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<Fetched> {
    let offset = partial.hash.bytes;
    let mut response = match server.open_snapshot(collection, &snapshot.name, offset)? {
        FileResponse::Content(from, response) if from == offset => response,
        FileResponse::Content(0, response) => {
            partial.restart()?;
            response
        }
        FileResponse::Content(..) | FileResponse::RangeNotSatisfiable => {
            partial.restart()?;
            return Ok(Fetched::Interrupted("the server sent another part than the requested one".into()));
        }
        FileResponse::NotFound => return Ok(Fetched::NotFound),
        FileResponse::Unavailable(reason) => return Ok(Fetched::Interrupted(reason)),
    };
    partial.in_one_piece &= offset == 0;
    let total = snapshot.bytes.or_else(|| response.content_length().map(|rest| partial.hash.bytes + rest));
    let mut chunk = vec![0; CHUNK];
    loop {
        match response.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                if let Err(error) = partial.write(&chunk[..read]) {
                    return Err(write_error(partial, total, error));
                }
                progress(BackupEvent::Download { collection, done: partial.hash.bytes, total });
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Ok(Fetched::Interrupted(root_cause(&error))),
        }
    }
    let done = partial.hash.bytes;
    Ok(match total {
        Some(total) if done < total => {
            Fetched::Interrupted(format!("the connection ended {} bytes early", total - done))
        }
        _ => Fetched::Complete,
    })
}

/// Makes the error of a failed write. For a full disk it says how many bytes are missing. The written part is kept.
fn write_error(partial: &PartialFile<'_>, total: Option<u64>, error: io::Error) -> MigrateError {
    let _ = partial.file.sync_all();
    match files::io_error(partial.path)(error) {
        MigrateError::NoSpace { path, free, .. } => {
            let needs = total.map(|total| total.saturating_sub(partial.hash.bytes));
            MigrateError::NoSpace { path, needs, free }
        }
        other => other,
    }
}

/// Checks that the disk has room for the rest of the file.
fn check_free_space(part: &Path, bytes: Option<u64>, downloaded: u64) -> Result<()> {
    let Some(bytes) = bytes else { return Ok(()) };
    let needs = bytes - downloaded + RESERVED_BYTES;
    match files::free_bytes(part.parent().unwrap_or(part)) {
        Some(free) if free < needs => {
            Err(MigrateError::NoSpace { path: part.to_owned(), needs: Some(needs), free: Some(free) })
        }
        _ => Ok(()),
    }
}
