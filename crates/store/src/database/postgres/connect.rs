//! Connecting to a server, and what its errors mean.

use std::collections::HashMap;
use std::error::Error as _;
use std::time::Duration;

use postgres::config::{Host, SslMode, TargetSessionAttrs};
use postgres::error::SqlState;
use postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls;
use crate::{Result, StoreError};

/// What every session begins with. The server's own probes let it see that a client's machine is gone: what that held
/// would stay held for hours.
const SESSION: &str = "SET statement_timeout = '30s'; SET client_min_messages = warning; SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SHOW server_encoding";

/// Where to connect, and how.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    /// For messages: without secrets.
    pub(super) name: String,
    /// The same as a URL.
    pub(super) location: String,
}

/// A session, and the statements it has prepared.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) prepared: HashMap<String, Statement>,
    /// It was, and may have broken since.
    pub(super) used: bool,
}

impl Server {
    /// Reads a URL.
    pub(super) fn parse(url: &str) -> Result<Self> {
        // The reason why it can't be read may show a part of the password.
        let unfit = || {
            StoreError::Unfit(
                "the URL of the Postgres database can't be read: give postgres://USER:PASSWORD@HOST:PORT/DATABASE, with \
                 ?sslmode=disable, prefer or require; in names and passwords write special characters as %XX"
                    .into(),
            )
        };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(unfit());
        }
        // We check no less where encryption is required.
        let url = url.replace("sslmode=verify-full", "sslmode=require");
        let mut config: Config = url.parse().map_err(|_| unfit())?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) if host.contains(':') => format!("[{host}]"),
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => match config.get_hostaddrs().first() {
                Some(address) => address.to_string(),
                None => return Err(unfit()),
            },
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or_default();
        let place = format!("{host}:{port}/{database}");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(Duration::from_secs(30));
        }
        if config.get_application_name().is_none() {
            config.application_name("mnemon");
        }
        if config.get_target_session_attrs() == TargetSessionAttrs::Any {
            // Of several hosts, the one that is no standby.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
        let tls = tls::connector(config.get_ssl_mode() == SslMode::Require)?;
        Ok(Self { config, tls, name: format!("Postgres at {place}"), location: format!("postgres://{place}") })
    }

    /// Opens a session.
    pub(super) fn connect(&self) -> Result<Connection> {
        let mut client = self.config.connect(self.tls.clone()).map_err(|error| self.refused(&error))?;
        let said = client.simple_query(SESSION).map_err(|error| self.explain(&error))?;
        let encoding = said.iter().find_map(|said| match said {
            postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        if encoding != Some("UTF8") {
            return Err(StoreError::Unfit(format!(
                "{} keeps text as {}: create the database with ENCODING 'UTF8'",
                self.name,
                encoding.unwrap_or_default()
            )));
        }
        Ok(Connection { client, prepared: HashMap::new(), used: false })
    }

    /// What an error means.
    pub(super) fn explain(&self, error: &postgres::Error) -> StoreError {
        let Some(code) = error.code() else {
            // Without an answer of the server: it is about the connection, or about values given or got.
            let about_values = error.source().is_some_and(|source| !source.is::<std::io::Error>());
            return match about_values && !error.is_closed() {
                true => StoreError::Database(told(error).into()),
                false => self.unavailable(error),
            };
        };
        if *code == SqlState::DISK_FULL {
            return StoreError::Full;
        }
        let busy = [
            &SqlState::LOCK_NOT_AVAILABLE,
            &SqlState::QUERY_CANCELED,
            &SqlState::T_R_DEADLOCK_DETECTED,
            &SqlState::T_R_SERIALIZATION_FAILURE,
        ];
        if busy.contains(&code) {
            return StoreError::Busy;
        }
        // Connections; a server that is going, coming, full of clients, or no longer the one that writes.
        let gone = [
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::TOO_MANY_CONNECTIONS,
        ];
        let standby = *code == SqlState::READ_ONLY_SQL_TRANSACTION && self.turned_into_standby(error);
        if code.code().starts_with("08") || gone.contains(&code) || standby {
            return self.unavailable(error);
        }
        if *code == SqlState::PROGRAM_LIMIT_EXCEEDED {
            return StoreError::Unsupported(format!("{} can't keep this: {}", self.name, told(error)));
        }
        StoreError::Database(told(error).into())
    }

    /// What an error means that came instead of the commit's success.
    pub(super) fn in_commit(&self, error: &postgres::Error) -> StoreError {
        match self.explain(error) {
            StoreError::Unavailable { server, reason } => StoreError::OutcomeUnknown { server, reason },
            error => error,
        }
    }

    fn turned_into_standby(&self, error: &postgres::Error) -> bool {
        // Not what a snapshot refuses.
        error.as_db_error().is_some_and(|error| error.message().contains("recovery"))
    }

    fn refused(&self, error: &postgres::Error) -> StoreError {
        // Class 28: authorization. 3D: no such database.
        let refused = error.code().is_some_and(|code| code.code().starts_with("28") || code.code().starts_with("3D"));
        match refused {
            true => StoreError::Unfit(format!("{} refuses: {}", self.name, told(error))),
            false => self.unavailable(error),
        }
    }

    fn unavailable(&self, error: &postgres::Error) -> StoreError {
        StoreError::Unavailable { server: self.name.clone(), reason: told(error) }
    }
}

/// An error with its causes.
fn told(error: &postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !told.contains(&more) {
            told.push_str(": ");
            told.push_str(&more);
        }
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_without_telling_secrets() {
        let place = |url: &str| Server::parse(url).map(|server| server.location);
        assert_eq!(place("postgres://u:secret@host:6543/db").unwrap(), "postgres://host:6543/db");
        assert_eq!(place("postgresql://u:secret@host?sslmode=disable").unwrap(), "postgres://host:5432/u");
        assert_eq!(place("postgres://u@[::1]/db?sslmode=verify-full").unwrap(), "postgres://[::1]:5432/db");
        for url in ["", "host=localhost password=secret", "postgres://u:x@host/db?secret=1", "postgres://u:secret@/db"]
        {
            let error = place(url).unwrap_err();
            assert!(matches!(error, StoreError::Unfit(_)) && !error.to_string().contains("secret"), "{error}");
        }
    }
}
