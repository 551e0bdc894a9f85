//! Files that are there whole or not at all, and their hashes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{MigrateError, Result};

/// Bytes read at once.
pub(crate) const CHUNK: usize = 256 * 1024;

/// An error at a file in our words; a full disk is one of its own.
pub(crate) fn failed(path: &Path) -> impl Fn(io::Error) -> MigrateError {
    move |source| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            MigrateError::NoSpace { path: path.to_owned(), needs: None, free: free(path.parent().unwrap_or(path)) }
        }
        _ => MigrateError::Io { path: path.to_owned(), source },
    }
}

/// Where a file grows until it is whole.
pub(crate) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// A file to write and read that only its owner may look into; what it holds stays.
pub(crate) fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(failed(path))
}

/// Makes a folder that only its owner may look into, and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed(path))
}

/// Puts a file that is whole in its place, for good.
pub(crate) fn finish(part: &Path, path: &Path) -> Result<()> {
    open(part)?.sync_all().map_err(failed(part))?;
    std::fs::rename(part, path).map_err(failed(path))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Writes a file in one go: after a crash there is the old one or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = part_of(path);
    let mut file = open(&part)?;
    file.set_len(0).and_then(|()| file.write_all(bytes)).map_err(failed(&part))?;
    finish(&part, path)
}

/// Writes a file so that it is there whole or as it was, whatever happens; keeps its permissions.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |source| MigrateError::Io { path: path.to_owned(), source };
    // A link is followed: what it leads to is changed, not the link.
    let path_there = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path_there.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path_there.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = folder.join(name);
    let mut file = File::create(&fresh).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    if let Ok(there) = fs::metadata(&path_there) {
        file.set_permissions(there.permissions()).map_err(io)?;
    }
    file.sync_all().map_err(io)?;
    fs::rename(&fresh, &path_there).map_err(io)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

/// Removes a file that may be missing.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Names of files are on disk only when their folder is.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed(path))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Bytes that are free where a file would be.
pub(crate) fn free(folder: &Path) -> Option<u64> {
    // The folder itself may not be there yet.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.ancestors().find_map(|folder| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs4::available_space(folder).ok()
    })
}

/// Length and SHA-256 of what passes through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hashed {
    pub(crate) bytes: u64,
    hasher: Sha256,
}

impl Hashed {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    pub(crate) fn of(bytes: &[u8]) -> String {
        let mut hashed = Self::default();
        hashed.update(bytes);
        hashed.sha256()
    }

    /// Reads to the end.
    pub(crate) fn read(reader: &mut impl Read) -> io::Result<Self> {
        let mut hashed = Self::default();
        let mut chunk = vec![0; CHUNK];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(hashed),
                Ok(read) => hashed.update(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn file(path: &Path) -> Result<Self> {
        File::open(path).and_then(|mut file| Self::read(&mut file)).map_err(failed(path))
    }

    /// In lower-case hexadecimal digits.
    pub(crate) fn sha256(self) -> String {
        self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A writer that knows the hash of what it wrote.
pub(crate) struct Hashing<W> {
    inner: W,
    pub(crate) hashed: Hashed,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hashed: Hashed::default() }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hashed.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
