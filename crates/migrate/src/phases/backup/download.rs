//! A snapshot's file brought here, however often the connection is lost.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::events::BackupEvent;
use super::unfinished::Taken;
use crate::error::{MigrateError, Result};
use crate::files::{self, CHUNK, Hashed};
use crate::qdrant_rest::{Asked, Rest};

/// What must be free beside the file itself.
const RESERVE: u64 = 1 << 20;

/// Bytes after which a lost connection is a new one.
const PROGRESS: u64 = 1 << 20;

/// How a download ended.
pub(super) enum Downloaded {
    /// The file is there, whole; its length and SHA-256.
    Whole(u64, String),
    /// The server has it no more.
    Gone,
}

/// A file that grows.
struct Growing<'p> {
    path: &'p Path,
    file: File,
    hashed: Hashed,
    /// Whether all of it came in this run, in one piece.
    in_one_piece: bool,
}

impl<'p> Growing<'p> {
    /// What is there already is hashed again: only that counts.
    fn open(path: &'p Path) -> Result<Self> {
        let mut file = files::open(path)?;
        let hashed = Hashed::read(&mut file).map_err(files::failed(path))?;
        let in_one_piece = hashed.bytes == 0;
        Ok(Self { path, file, hashed, in_one_piece })
    }

    fn restart(&mut self) -> Result<()> {
        self.hashed = Hashed::default();
        self.in_one_piece = true;
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(files::failed(self.path))?;
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
    server: &Rest,
    collection: &str,
    taken: &Taken,
    target: &Path,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<Downloaded> {
    let part = files::part_of(target);
    let mut growing = Growing::open(&part)?;
    let mut tries = 0;
    let mut anew = false;
    loop {
        if taken.bytes.is_some_and(|bytes| growing.hashed.bytes > bytes) {
            growing.restart()?;
        }
        if taken.bytes != Some(growing.hashed.bytes) {
            require_room(&part, taken.bytes, growing.hashed.bytes)?;
            let began = growing.hashed.bytes;
            match fetch(server, collection, taken, &mut growing, progress)? {
                Fetched::All => {}
                Fetched::Gone => {
                    files::remove(&part)?;
                    return Ok(Downloaded::Gone);
                }
                Fetched::Some(reason) => {
                    if growing.hashed.bytes >= began + PROGRESS {
                        tries = 0;
                    }
                    if !server.wait(tries) {
                        let done = growing.hashed.bytes;
                        let told = format!(
                            "the download of {} stopped after {done} bytes ({reason}): run it again, it goes on from there",
                            taken.name
                        );
                        return Err(server.fault(told));
                    }
                    tries += 1;
                    continue;
                }
            }
        }
        let (bytes, sha256) = (growing.hashed.bytes, growing.hashed.clone().sha256());
        let wrong = taken.sha256.as_ref().filter(|expected| **expected != sha256);
        match wrong {
            None if taken.bytes.is_none_or(|expected| expected == bytes) => {
                drop(growing);
                files::finish(&part, target)?;
                return Ok(Downloaded::Whole(bytes, sha256));
            }
            // What was there before may be what is damaged: pages that a crash lost are zeros.
            _ if !growing.in_one_piece && !anew => {
                anew = true;
                progress(BackupEvent::Note("what an earlier run left of the download is damaged: it begins anew"));
                growing.restart()?;
            }
            Some(expected) => {
                files::remove(&part)?;
                return Err(MigrateError::Checksum {
                    path: target.to_owned(),
                    expected: expected.clone(),
                    found: sha256,
                });
            }
            None => {
                files::remove(&part)?;
                let expected = taken.bytes.unwrap_or_default();
                return Err(server.fault(format!("{} should have {expected} bytes, {bytes} came", taken.name)));
            }
        }
    }
}

enum Fetched {
    All,
    Some(String),
    Gone,
}

/// Fetches what is missing, as far as it comes.
fn fetch(
    server: &Rest,
    collection: &str,
    taken: &Taken,
    growing: &mut Growing<'_>,
    progress: &dyn Fn(BackupEvent<'_>),
) -> Result<Fetched> {
    let asked = growing.hashed.bytes;
    let mut response = match server.open_snapshot(collection, &taken.name, asked)? {
        Asked::From(from, response) if from == asked => response,
        Asked::From(0, response) => {
            growing.restart()?;
            response
        }
        Asked::From(..) | Asked::Beyond => {
            growing.restart()?;
            return Ok(Fetched::Some("it sent another part than it was asked for".into()));
        }
        Asked::Gone => return Ok(Fetched::Gone),
        Asked::Later(reason) => return Ok(Fetched::Some(reason)),
    };
    growing.in_one_piece &= asked == 0;
    let total = taken.bytes.or_else(|| response.content_length().map(|rest| growing.hashed.bytes + rest));
    let mut chunk = vec![0; CHUNK];
    loop {
        match response.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                if let Err(error) = growing.write(&chunk[..read]) {
                    return Err(stopped(growing, total, error));
                }
                progress(BackupEvent::Download { collection, done: growing.hashed.bytes, total });
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Ok(Fetched::Some(told(&error))),
        }
    }
    let done = growing.hashed.bytes;
    Ok(match total {
        Some(total) if done < total => Fetched::Some(format!("the connection ended {} bytes early", total - done)),
        _ => Fetched::All,
    })
}

/// The last of an error's causes.
fn told(error: &io::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Keeps what came, and says what is missing if the disk is full.
fn stopped(growing: &Growing<'_>, total: Option<u64>, error: io::Error) -> MigrateError {
    let _ = growing.file.sync_all();
    match files::failed(growing.path)(error) {
        MigrateError::NoSpace { path, free, .. } => {
            let needs = total.map(|total| total.saturating_sub(growing.hashed.bytes));
            MigrateError::NoSpace { path, needs, free }
        }
        other => other,
    }
}

fn require_room(part: &Path, bytes: Option<u64>, there: u64) -> Result<()> {
    let Some(bytes) = bytes else { return Ok(()) };
    let needs = bytes - there + RESERVE;
    match files::free(part.parent().unwrap_or(part)) {
        Some(free) if free < needs => {
            Err(MigrateError::NoSpace { path: part.to_owned(), needs: Some(needs), free: Some(free) })
        }
        _ => Ok(()),
    }
}
