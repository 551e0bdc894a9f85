//! Files that are written atomically, and their hashes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{MigrateError, Result};

/// The size of a read buffer in bytes.
pub(crate) const CHUNK: usize = 256 * 1024;

/// Makes an error of a file; a full disk has its own variant.
pub(crate) fn io_error(path: &Path) -> impl Fn(io::Error) -> MigrateError {
    move |source| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => MigrateError::NoSpace {
            path: path.to_owned(),
            needs: None,
            free: free_bytes(path.parent().unwrap_or(path)),
        },
        _ => MigrateError::Io { path: path.to_owned(), source },
    }
}

/// The path where a file is written until it is complete.
pub(crate) fn partial_path(path: &Path) -> PathBuf {
    with_suffix(path, ".part")
}

/// The path with text appended to its file name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens a file for reading and writing that only its owner can access, and creates it if it is missing. Its content
/// stays.
pub(crate) fn open_private(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(io_error(path))
}

/// Creates a folder that only its owner can access, and its missing parents.
pub(crate) fn create_private_folder(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(io_error(path))
}

/// Moves a complete file to its final path, durably.
pub(crate) fn move_into_place(part: &Path, path: &Path) -> Result<()> {
    open_private(part)?.sync_all().map_err(io_error(part))?;
    std::fs::rename(part, path).map_err(io_error(path))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Writes a file atomically that only its owner can access. After a crash it has either the old or the new content.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = partial_path(path);
    let mut file = open_private(&part)?;
    file.set_len(0).and_then(|()| file.write_all(bytes)).map_err(io_error(&part))?;
    move_into_place(&part, path)
}

/// Replaces a file atomically and keeps its permissions. After a crash it has either the old or the new content.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |source| MigrateError::Io { path: path.to_owned(), source };
    // A symbolic link is followed, not replaced.
    let real_path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = real_path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let new_path = with_suffix(&real_path, ".new");
    let mut file = File::create(&new_path).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    if let Ok(existing) = fs::metadata(&real_path) {
        file.set_permissions(existing.permissions()).map_err(io)?;
    }
    file.sync_all().map_err(io)?;
    fs::rename(&new_path, &real_path).map_err(io)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

/// Removes a file that may be missing.
pub(crate) fn remove_if_exists(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}

/// Makes the names of the files in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io_error(path))?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// The number of free bytes on the disk of a folder.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    // The folder itself may not exist yet.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.ancestors().find_map(|folder| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs4::available_space(folder).ok()
    })
}

/// The length and SHA-256 of some bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContentHash {
    pub(crate) bytes: u64,
    hasher: Sha256,
}

impl ContentHash {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hasher.update(bytes);
    }

    pub(crate) fn sha256_of(bytes: &[u8]) -> String {
        let mut hashed = Self::default();
        hashed.update(bytes);
        hashed.sha256()
    }

    /// Hashes everything that a reader returns.
    pub(crate) fn of_reader(reader: &mut impl Read) -> io::Result<Self> {
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

    pub(crate) fn of_file(path: &Path) -> Result<Self> {
        File::open(path).and_then(|mut file| Self::of_reader(&mut file)).map_err(io_error(path))
    }

    /// The SHA-256 in lower-case hexadecimal digits.
    pub(crate) fn sha256(self) -> String {
        hex::encode(self.hasher.finalize())
    }
}

/// A writer that hashes the bytes it writes.
pub(crate) struct HashingWriter<W> {
    inner: W,
    pub(crate) hash: ContentHash,
}

impl<W: Write> HashingWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hash: ContentHash::default() }
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
