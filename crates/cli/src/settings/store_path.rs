//! `--store` and `ledger`: what names a store, and where that is.

use std::path::PathBuf;

use super::paths::expanded;
use crate::error::CliError;

/// Where memories are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StorePlace {
    /// One file.
    Sqlite(PathBuf),
    /// A collection.
    Qdrant {
        /// gRPC addresses of the nodes.
        urls: Vec<String>,
        /// Its name, or an alias.
        collection: String,
    },
}

impl std::fmt::Display for StorePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Qdrant { urls, collection } => write!(f, "qdrant:{}/{collection}", urls.join(",")),
        }
    }
}

/// Where the ledger of a Qdrant store is kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum LedgerPlace {
    /// One file.
    Sqlite(PathBuf),
    /// A database: a URL, with its password.
    Postgres(String),
}

impl std::fmt::Debug for LedgerPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres:[redacted]"),
        }
    }
}

const WHAT_TO_GIVE: &str = "give sqlite:PATH, such as sqlite:memories.db, or qdrant:http://HOST:6334/COLLECTION";

/// `sqlite:PATH` or `qdrant:URL/COLLECTION`.
pub(super) fn parse(store: &str) -> Result<StorePlace, CliError> {
    let store = store.trim();
    if let Some(rest) = store.strip_prefix("qdrant:") {
        return qdrant(store, rest);
    }
    if !store.starts_with("sqlite:") {
        return Err(CliError::usage(format!("`{store}` is no store: {WHAT_TO_GIVE}")));
    }
    Ok(StorePlace::Sqlite(file(store)?))
}

/// `sqlite:PATH` or `postgres://…`.
pub(super) fn parse_ledger(ledger: &str) -> Result<LedgerPlace, CliError> {
    let ledger = ledger.trim();
    if ledger.starts_with("postgres://") || ledger.starts_with("postgresql://") {
        return Ok(LedgerPlace::Postgres(ledger.to_owned()));
    }
    if !ledger.starts_with("sqlite:") {
        // Not repeated: it may hold a password.
        return Err(CliError::usage(
            "the ledger is neither: give sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE",
        ));
    }
    file(ledger).map(LedgerPlace::Sqlite)
}

/// `http://HOST:PORT[,HOST:PORT…]/COLLECTION`, `https://` for TLS; the port is that of gRPC.
fn qdrant(store: &str, rest: &str) -> Result<StorePlace, CliError> {
    let wrong = |what: &str| CliError::usage(format!("`{store}` {what}: {WHAT_TO_GIVE}"));
    let (scheme, rest) = rest.split_once("://").ok_or_else(|| wrong("has no http:// or https://"))?;
    if !["http", "https"].contains(&scheme) {
        return Err(wrong("is neither http:// nor https://"));
    }
    let (hosts, collection) = rest.split_once('/').unwrap_or((rest, ""));
    let collection = collection.trim_matches('/');
    if collection.is_empty() || collection.contains(['/', '?', '#', ' ']) {
        return Err(wrong("names no collection"));
    }
    if hosts.contains('@') {
        return Err(wrong("holds a user or a password: put the API key into QDRANT_API_KEY"));
    }
    let url = |host: &str| {
        let host = host.trim();
        let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            _ if host.is_empty() || host.starts_with(':') => Err(wrong("names no host")),
            Some(Err(_)) if !host.ends_with(']') => Err(wrong("has a port that is no number")),
            Some(Ok(6333)) => Err(CliError::usage(format!(
                "`{store}` names the REST port: give the gRPC port of the server, mostly 6334"
            ))),
            Some(Ok(_)) => Ok(format!("{scheme}://{host}")),
            _ => Ok(format!("{scheme}://{host}:6334")),
        }
    };
    let urls = hosts.split(',').map(url).collect::<Result<Vec<_>, _>>()?;
    Ok(StorePlace::Qdrant { urls, collection: collection.to_owned() })
}

/// The file of `sqlite:PATH`; an absolute path, so that nothing in it can be taken for a URI.
fn file(store: &str) -> Result<PathBuf, CliError> {
    let path = store.strip_prefix("sqlite:").unwrap_or(store);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(CliError::usage("the store has no path: give sqlite:PATH, such as sqlite:memories.db"));
    }
    if path == ":memory:" {
        return Err(CliError::usage("a store in memory would be gone when the command ends: give sqlite:PATH"));
    }
    expanded(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_absolute() {
        for (store, ending) in [
            ("sqlite:a.db", "/a.db"),
            ("sqlite:///x/a.db", "/x/a.db"),
            ("sqlite:file:a?mode=memory", "file:a?mode=memory"),
        ] {
            let StorePlace::Sqlite(path) = parse(store).unwrap() else { panic!("{store}") };
            assert!(path.is_absolute() && path.to_string_lossy().ends_with(ending), "{}", path.display());
        }
        assert_eq!(parse("sqlite:/x/a.db").unwrap(), StorePlace::Sqlite("/x/a.db".into()));
        assert!(!parse("sqlite:~/a.db").unwrap().to_string().contains('~'));
    }

    #[test]
    fn a_collection_lies_on_one_server_or_several() {
        for (store, expected) in [
            ("qdrant:http://h:6334/c", "qdrant:http://h:6334/c"),
            ("qdrant:http://h/c", "qdrant:http://h:6334/c"),
            ("qdrant:https://a:1,b:2/mem0/", "qdrant:https://a:1,https://b:2/mem0"),
            ("qdrant:http://[::1]:6334/c", "qdrant:http://[::1]:6334/c"),
            ("qdrant:http://[::1]/c", "qdrant:http://[::1]:6334/c"),
        ] {
            assert_eq!(parse(store).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_store_is_told_what_to_write() {
        let no_stores = ["", "a.db", "postgres://x", "qdrant:h:6334/c", "qdrant:ftp://h/c", "qdrant:http://h:6334"];
        for store in no_stores.into_iter().chain(["sqlite:", "sqlite://", "sqlite::memory:", "qdrant:http:///c"]) {
            let fault = parse(store).unwrap_err().to_string();
            assert!(fault.contains("sqlite:PATH"), "{store}: {fault}");
        }
        assert!(parse("qdrant:http://h:6333/c").unwrap_err().to_string().contains("6334"));
        assert!(parse("qdrant:http://key@h/c").unwrap_err().to_string().contains("QDRANT_API_KEY"));
    }

    #[test]
    fn a_ledger_is_a_file_or_a_database_whose_password_stays_unsaid() {
        let secret = parse_ledger("postgres://me:secret@h/db").unwrap();
        assert!(!format!("{secret:?}").contains("secret"));
        assert!(matches!(parse_ledger("sqlite:/x/l.db").unwrap(), LedgerPlace::Sqlite(_)));
        assert!(!parse_ledger("mysql://me:secret@h/db").unwrap_err().to_string().contains("secret"));
    }
}
