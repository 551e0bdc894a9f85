//! Locations of stores and ledgers, as given with `--store` and `ledger`.

use std::path::PathBuf;

use super::paths::absolute;
use crate::error::CliError;

/// Location of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreLocation {
    /// A file.
    Sqlite(PathBuf),
    /// A collection of Qdrant.
    Qdrant {
        /// gRPC addresses of the nodes.
        urls: Vec<String>,
        /// Name of the collection, or an alias.
        collection: String,
    },
}

impl std::fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Qdrant { urls, collection } => write!(f, "qdrant:{}/{collection}", urls.join(",")),
        }
    }
}

/// Location of the ledger of a Qdrant store.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum LedgerLocation {
    /// A file.
    Sqlite(PathBuf),
    /// The URL of a database, with its password.
    Postgres(String),
}

impl std::fmt::Debug for LedgerLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres:[redacted]"),
        }
    }
}

const EXPECTED: &str = "give sqlite:PATH, such as sqlite:memories.db, or qdrant:http://HOST:6334/COLLECTION";

/// Parses `sqlite:PATH` or `qdrant:URL/COLLECTION`.
pub(super) fn parse(store: &str) -> Result<StoreLocation, CliError> {
    let store = store.trim();
    if let Some(rest) = store.strip_prefix("qdrant:") {
        return qdrant(store, rest);
    }
    if !store.starts_with("sqlite:") {
        return Err(CliError::usage(format!("`{store}` is not a store: {EXPECTED}")));
    }
    Ok(StoreLocation::Sqlite(file(store)?))
}

/// Parses `sqlite:PATH` or `postgres://…`.
pub(super) fn parse_ledger(ledger: &str) -> Result<LedgerLocation, CliError> {
    let ledger = ledger.trim();
    if ledger.starts_with("postgres://") || ledger.starts_with("postgresql://") {
        return Ok(LedgerLocation::Postgres(ledger.to_owned()));
    }
    if !ledger.starts_with("sqlite:") {
        // The value is not shown because it may contain a password.
        return Err(CliError::usage(
            "the ledger is not valid: give sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE",
        ));
    }
    file(ledger).map(LedgerLocation::Sqlite)
}

/// Parses `http://HOST:PORT[,HOST:PORT…]/COLLECTION`, with `https://` for TLS and the gRPC port.
fn qdrant(store: &str, rest: &str) -> Result<StoreLocation, CliError> {
    let shown = without_secrets(store);
    let invalid = |reason: &str| CliError::usage(format!("`{shown}` {reason}: {EXPECTED}"));
    let (scheme, rest) = rest.split_once("://").ok_or_else(|| invalid("has no http:// or https://"))?;
    if !["http", "https"].contains(&scheme) {
        return Err(invalid("is neither http:// nor https://"));
    }
    let (hosts, collection) = rest.split_once('/').unwrap_or((rest, ""));
    let collection = collection.trim_matches('/');
    if collection.is_empty() || collection.contains(['/', '?', '#', ' ']) {
        return Err(invalid("names no collection"));
    }
    if hosts.contains('@') {
        return Err(invalid("contains a user or password: set the API key as QDRANT_API_KEY"));
    }
    let url = |host: &str| {
        let host = host.trim();
        let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            _ if host.is_empty() || host.starts_with(':') => Err(invalid("names no host")),
            Some(Err(_)) if !host.ends_with(']') => Err(invalid("has an invalid port")),
            Some(Ok(6333)) => Err(CliError::usage(format!(
                "`{shown}` has the REST port: give the gRPC port of the server, usually 6334"
            ))),
            Some(Ok(_)) => Ok(format!("{scheme}://{host}")),
            _ => Ok(format!("{scheme}://{host}:6334")),
        }
    };
    let urls = hosts.split(',').map(url).collect::<Result<Vec<_>, _>>()?;
    Ok(StoreLocation::Qdrant { urls, collection: collection.to_owned() })
}

/// A location for messages, without a user, a password and a query.
pub(crate) fn without_secrets(location: &str) -> String {
    let (location, rest) = location.split_at(location.find(['?', '#']).unwrap_or(location.len()));
    let rest = if rest.is_empty() { "" } else { "?…" };
    match location.split_once("://").and_then(|(scheme, address)| Some((scheme, address.rsplit_once('@')?.1))) {
        Some((scheme, address)) => format!("{scheme}://…@{address}{rest}"),
        None => format!("{location}{rest}"),
    }
}

/// The path of `sqlite:PATH`. It is absolute, so that SQLite cannot take it for a URI.
fn file(store: &str) -> Result<PathBuf, CliError> {
    let path = store.strip_prefix("sqlite:").unwrap_or(store);
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err(CliError::usage("the store has no path: give sqlite:PATH, such as sqlite:memories.db"));
    }
    if path == ":memory:" {
        return Err(CliError::usage("a store in memory would not outlive the command: give sqlite:PATH"));
    }
    absolute(path)
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
            let StoreLocation::Sqlite(path) = parse(store).unwrap() else { panic!("{store}") };
            assert!(path.is_absolute() && path.to_string_lossy().ends_with(ending), "{}", path.display());
        }
        assert_eq!(parse("sqlite:/x/a.db").unwrap(), StoreLocation::Sqlite("/x/a.db".into()));
        assert!(!parse("sqlite:~/a.db").unwrap().to_string().contains('~'));
    }

    #[test]
    fn a_password_is_not_shown() {
        for store in [
            "qdrant:http://u:hunter2@h:6334/c",
            "qdrant:http://u:hunter2@h:6333/c",
            "qdrant:http://a:1,u:hunter2@h:6334/c",
            "qdrant:http://hunter2@h",
            "qdrant:http://h/c?api_key=hunter2",
            "qdrant:http://h/c#hunter2",
            "qdrant:ftp://u:p@hunter2@h/c",
        ] {
            let message = parse(store).unwrap_err().to_string();
            assert!(!message.contains("hunter2") && message.contains('h'), "{message}");
        }
    }

    #[test]
    fn a_collection_has_one_or_more_hosts() {
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
    fn invalid_locations_are_explained() {
        let invalid = ["", "a.db", "postgres://x", "qdrant:h:6334/c", "qdrant:ftp://h/c", "qdrant:http://h:6334"];
        for store in invalid.into_iter().chain(["sqlite:", "sqlite://", "sqlite::memory:", "qdrant:http:///c"]) {
            let error = parse(store).unwrap_err().to_string();
            assert!(error.contains("sqlite:PATH"), "{store}: {error}");
        }
        assert!(parse("qdrant:http://h:6333/c").unwrap_err().to_string().contains("6334"));
        assert!(parse("qdrant:http://key@h/c").unwrap_err().to_string().contains("QDRANT_API_KEY"));
    }

    #[test]
    fn passwords_of_ledgers_are_redacted() {
        let secret = parse_ledger("postgres://me:secret@h/db").unwrap();
        assert!(!format!("{secret:?}").contains("secret"));
        assert!(matches!(parse_ledger("sqlite:/x/l.db").unwrap(), LedgerLocation::Sqlite(_)));
        assert!(!parse_ledger("mysql://me:secret@h/db").unwrap_err().to_string().contains("secret"));
    }
}
