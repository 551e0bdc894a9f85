//! Checks files that will be written, without writing them.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use crate::error::{MigrateError, Result};
use crate::files::{io_error, with_suffix};

/// Checks that each of the files can be written, and is neither one of the files that are read nor another one of those
/// that are written. Creates and changes none of them.
///
/// # Errors
/// [`MigrateError::Io`] if a file can't be written; [`MigrateError::Invalid`] if it is a folder, or is used twice.
pub fn check_outputs(outputs: &[PathBuf], inputs: &[PathBuf]) -> Result<()> {
    let mut used: Vec<PathBuf> = inputs.iter().map(|file| real_path(file)).collect();
    for output in outputs {
        let real = real_path(output);
        if used.contains(&real) {
            let message = format!("{} can't be written: it is another file of this command", output.display());
            return Err(MigrateError::Invalid(message));
        }
        check_output(output)?;
        used.push(real);
    }
    Ok(())
}

fn check_output(file: &Path) -> Result<()> {
    if file.is_dir() {
        return Err(MigrateError::Invalid(format!("{} is a folder: give a file in it", file.display())));
    }
    if file.exists() {
        return OpenOptions::new().append(true).open(file).map(drop).map_err(io_error(file));
    }
    let folder = parent(file);
    if !folder.exists() {
        return Err(io_error(folder)(std::io::ErrorKind::NotFound.into()));
    }
    check_folder(folder)
}

/// Checks that files can be written to a folder, or to the folder in which it will be created.
pub(crate) fn check_folder(folder: &Path) -> Result<()> {
    let folder = std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .map_err(io_error(folder))?;
    let Some(existing) = folder.ancestors().find(|folder| folder.exists()) else { return Ok(()) };
    if !existing.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::NotADirectory);
        return Err(MigrateError::Io { path: existing.to_owned(), source });
    }
    let probe = with_suffix(&existing.join(".mnemon-write-test"), &std::process::id().to_string());
    std::fs::File::create_new(&probe).and_then(|_| std::fs::remove_file(&probe)).map_err(io_error(existing))
}

/// The folder of a file.
pub(crate) fn parent(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path of a file without symbolic links, also if the file itself is missing.
fn real_path(file: &Path) -> PathBuf {
    let missing = || Some(parent(file).canonicalize().ok()?.join(file.file_name()?));
    file.canonicalize().ok().or_else(missing).unwrap_or_else(|| file.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_can_not_be_written_or_are_used_twice_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("input"), "x").unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        for (outputs, expected) in [
            (&["new", "folder/new"][..], None),
            (&["folder"], Some("is a folder")),
            (&["input/new"], Some("input")),
            (&["missing/new"], Some("missing")),
            (&["input"], Some("another file")),
            (&["folder/../input"], Some("another file")),
            (&["new", "folder/../new"], Some("another file")),
        ] {
            let outputs: Vec<PathBuf> = outputs.iter().map(|name| path(name)).collect();
            let found = check_outputs(&outputs, &[path("input")]).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(found, Ok(())),
                Some(expected) => assert!(found.as_ref().is_err_and(|found| found.contains(expected)), "{found:?}"),
            }
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        }
        assert_eq!(std::fs::read(path("input")).unwrap(), b"x");
    }
}
