//! `--store`: what names a store, and the file it means.

use std::path::PathBuf;

use crate::exit::Fault;

/// The file of `sqlite:PATH`; an absolute path, so that nothing in it can be taken for a URI.
pub(super) fn parse(store: &str) -> Result<PathBuf, Fault> {
    let store = store.trim();
    if store.starts_with("qdrant:") {
        return Err(Fault::usage("Qdrant stores are not in this version: use --store sqlite:PATH"));
    }
    let Some(path) = store.strip_prefix("sqlite:") else {
        return Err(Fault::usage(format!("`{store}` is no store: give sqlite:PATH, such as sqlite:memories.db")));
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(Fault::usage("the store has no path: give sqlite:PATH, such as sqlite:memories.db"));
    }
    if path == ":memory:" {
        return Err(Fault::usage("a store in memory would be gone when the command ends: give sqlite:PATH"));
    }
    let path = match path.strip_prefix("~/") {
        Some(rest) => dirs::home_dir()
            .ok_or_else(|| Fault::usage("your home directory is not known: give the path without ~"))?
            .join(rest),
        None => PathBuf::from(path),
    };
    std::path::absolute(&path).map_err(|error| Fault::failed("io", format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_an_absolute_file() {
        for (store, ending) in [
            ("sqlite:a.db", "/a.db"),
            ("sqlite:///x/a.db", "/x/a.db"),
            ("sqlite:file:a?mode=memory", "file:a?mode=memory"),
        ] {
            let path = parse(store).unwrap();
            assert!(path.is_absolute() && path.to_string_lossy().ends_with(ending), "{}", path.display());
        }
        assert_eq!(parse("sqlite:/x/a.db").unwrap(), PathBuf::from("/x/a.db"));
        assert!(!parse("sqlite:~/a.db").unwrap().to_string_lossy().contains('~'));
    }

    #[test]
    fn what_is_no_store_is_told_what_to_write() {
        for store in ["", "a.db", "sqlite:", "sqlite://", "sqlite::memory:", "postgres://x", "qdrant:http://h:6334/c"] {
            let fault = parse(store).unwrap_err().to_string();
            assert!(fault.contains("sqlite:PATH"), "{store}: {fault}");
        }
    }
}
