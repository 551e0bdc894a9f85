//! The files of the store, which only SQLite may open: closing one of them would drop the locks of this process.

use std::path::Path;

use crate::error::CliError;

/// Whether a file is the database of the store, or its log, by any name.
pub(super) fn is_part_of_store(file: &Path, store: Option<&Path>) -> bool {
    let absolute = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or(path.to_owned());
    let Some(store) = store.map(absolute) else { return false };
    ["", "-wal", "-shm", "-journal"].iter().any(|suffix| {
        let mut name = store.clone().into_os_string();
        name.push(suffix);
        absolute(file).as_os_str() == name || is_same_file(file, Path::new(&name))
    })
}

/// Whether two names are links to the same file.
#[cfg(unix)]
fn is_same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| std::fs::metadata(path).map(|found| (found.dev(), found.ino()));
    matches!((id(a), id(b)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(not(unix))]
fn is_same_file(_: &Path, _: &Path) -> bool {
    false
}

/// Refuses a part of the store as input.
pub(super) fn check_input(file: &Path, store: Option<&Path>) -> Result<(), CliError> {
    if is_part_of_store(file, store) {
        let message = format!(
            "{} is the store of Mnemon that this command uses, or a part of it: export it, and import the export",
            file.display()
        );
        return Err(CliError::usage(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_store_is_known_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let store = path("store.db");
        for name in ["store.db", "store.db-wal", "other.db"] {
            std::fs::write(path(name), "").unwrap();
        }
        let is_part = |name: &str| is_part_of_store(&path(name), Some(&store));
        assert!(is_part("store.db") && is_part("store.db-wal") && is_part("store.db-shm") && !is_part("other.db"));
        assert!(!is_part_of_store(&store, None));
        #[cfg(unix)]
        {
            std::fs::hard_link(&store, path("hard")).unwrap();
            std::fs::hard_link(path("store.db-wal"), path("hard-wal")).unwrap();
            std::os::unix::fs::symlink(&store, path("symbolic")).unwrap();
            assert!(is_part("hard") && is_part("hard-wal") && is_part("symbolic"));
        }
        assert!(check_input(&store, Some(&store)).is_err() && check_input(&path("other.db"), Some(&store)).is_ok());
    }
}
