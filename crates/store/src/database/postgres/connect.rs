//! Connections to a server, and the meaning of its errors.

use std::collections::HashMap;
use std::error::Error as _;
use std::time::Duration;

use postgres::config::{Host, SslMode, TargetSessionAttrs};
use postgres::error::SqlState;
use postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls;
use crate::{Result, StoreError};

/// The first statements of every session. The keepalives let the server notice that a client's machine has failed;
/// otherwise its locks would stay for hours.
const SESSION: &str = "SET statement_timeout = '30s'; SET client_min_messages = warning; SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SHOW server_encoding";

/// The address of a server and the settings of its connections.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    /// The name for messages, without secrets.
    pub(super) name: String,
    /// The location as a URL, without secrets.
    pub(super) location: String,
}

/// A session and its prepared statements.
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) prepared: HashMap<String, Statement>,
    /// Whether it was used before. Such a connection may have broken while it was idle.
    pub(super) used: bool,
}

impl Server {
    /// Reads a URL.
    pub(super) fn parse(url: &str) -> Result<Self> {
        // The error of the parser may contain a part of the password.
        let invalid = || {
            StoreError::Misconfigured(
                "the URL of the Postgres database is not valid: give postgres://USER:PASSWORD@HOST:PORT/DATABASE, with \
                 ?sslmode=disable, prefer or require; write special characters in names and passwords as %XX"
                    .into(),
            )
        };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(invalid());
        }
        // `require` verifies as much as `verify-full` here.
        let url = url.replace("sslmode=verify-full", "sslmode=require");
        let mut config: Config = url.parse().map_err(|_| invalid())?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) if host.contains(':') => format!("[{host}]"),
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => match config.get_hostaddrs().first() {
                Some(address) => address.to_string(),
                None => return Err(invalid()),
            },
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or_default();
        let address = format!("{host}:{port}/{database}");
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
            // Of several hosts, the one that is not a standby.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        config
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
        let tls = tls::connector(config.get_ssl_mode() == SslMode::Require)?;
        Ok(Self { config, tls, name: format!("Postgres at {address}"), location: format!("postgres://{address}") })
    }

    /// Opens a session.
    pub(super) fn connect(&self) -> Result<Connection> {
        let mut client = self.config.connect(self.tls.clone()).map_err(|error| self.connect_error(&error))?;
        let messages = client.simple_query(SESSION).map_err(|error| self.store_error(&error))?;
        let encoding = messages.iter().find_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        if encoding != Some("UTF8") {
            return Err(StoreError::Misconfigured(format!(
                "{} stores text as {}: create the database with ENCODING 'UTF8'",
                self.name,
                encoding.unwrap_or_default()
            )));
        }
        Ok(Connection { client, prepared: HashMap::new(), used: false })
    }

    /// Converts a `postgres::Error` to a [`StoreError`].
    pub(super) fn store_error(&self, error: &postgres::Error) -> StoreError {
        let Some(code) = error.code() else {
            // There is no response of the server: either the connection failed, or a value could not be converted.
            let is_conversion = error.source().is_some_and(|source| !source.is::<std::io::Error>());
            return if is_conversion && !error.is_closed() {
                StoreError::Database(describe(error).into())
            } else {
                self.unavailable(error)
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
        // The server shuts down, starts, has no free connections, or has become a standby.
        let unavailable = [
            &SqlState::ADMIN_SHUTDOWN,
            &SqlState::CRASH_SHUTDOWN,
            &SqlState::CANNOT_CONNECT_NOW,
            &SqlState::TOO_MANY_CONNECTIONS,
        ];
        let standby = *code == SqlState::READ_ONLY_SQL_TRANSACTION && is_standby(error);
        if code.code().starts_with("08") || unavailable.contains(&code) || standby {
            return self.unavailable(error);
        }
        if *code == SqlState::PROGRAM_LIMIT_EXCEEDED {
            return StoreError::Unsupported(format!("{} can't store this: {}", self.name, describe(error)));
        }
        StoreError::Database(describe(error).into())
    }

    /// Converts an error of a commit.
    pub(super) fn commit_error(&self, error: &postgres::Error) -> StoreError {
        match self.store_error(error) {
            StoreError::Unavailable { server, reason } => StoreError::OutcomeUnknown { server, reason },
            error => error,
        }
    }

    fn connect_error(&self, error: &postgres::Error) -> StoreError {
        // Class 28: authorization. 3D: no such database.
        let refused = error.code().is_some_and(|code| code.code().starts_with("28") || code.code().starts_with("3D"));
        if refused {
            StoreError::Misconfigured(format!("{} refuses the connection: {}", self.name, describe(error)))
        } else {
            self.unavailable(error)
        }
    }

    fn unavailable(&self, error: &postgres::Error) -> StoreError {
        StoreError::Unavailable { server: self.name.clone(), reason: describe(error) }
    }
}

/// Whether a write was refused because the server is a standby. Writes in a snapshot are refused with another message.
fn is_standby(error: &postgres::Error) -> bool {
    error.as_db_error().is_some_and(|error| error.message().contains("recovery"))
}

/// An error with its causes.
fn describe(error: &postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let detail = error.to_string();
        if !text.contains(&detail) {
            text.push_str(": ");
            text.push_str(&detail);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed_and_secrets_are_hidden() {
        let location = |url: &str| Server::parse(url).map(|server| server.location);
        assert_eq!(location("postgres://u:secret@host:6543/db").unwrap(), "postgres://host:6543/db");
        assert_eq!(location("postgresql://u:secret@host?sslmode=disable").unwrap(), "postgres://host:5432/u");
        assert_eq!(location("postgres://u@[::1]/db?sslmode=verify-full").unwrap(), "postgres://[::1]:5432/db");
        for url in ["", "host=localhost password=secret", "postgres://u:x@host/db?secret=1", "postgres://u:secret@/db"]
        {
            let error = location(url).unwrap_err();
            assert!(matches!(error, StoreError::Misconfigured(_)) && !error.to_string().contains("secret"), "{error}");
        }
    }
}
