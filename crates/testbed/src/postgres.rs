//! Databases in Postgres, one for each test.

use postgres::{Client, NoTls};

use crate::unique;

/// The variable with the URL of a server on which tests may create databases: `postgres://user@host:port/database`.
pub const POSTGRES: &str = "MNEMON_TEST_POSTGRES";

/// The URL of the server, if the environment names one.
pub fn postgres_url() -> Option<String> {
    std::env::var(POSTGRES).ok().filter(|url| !url.is_empty())
}

/// A database with a unique name. It is deleted when this is dropped.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
    url: String,
}

/// Creates an empty database; `None` if the environment names no server.
pub fn fresh_database() -> Option<Database> {
    let server = postgres_url()?;
    let name = unique("mnemon_test");
    // From template0, because connections of others to the default template would block this.
    let create = format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0");
    connect(&server).batch_execute(&create).expect("a database");
    let url = with_database(&server, &name);
    Some(Database { server, name, url })
}

impl Database {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Executes a statement on the server, in another database; returns the number of rows.
    pub fn on_server(&self, sql: &str) -> u64 {
        connect(&self.server).execute(sql, &[]).expect("a statement that succeeds")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let mut client = connect(&self.server);
        let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).expect("the Postgres of the environment")
}

/// The URL of another database on the same server.
fn with_database(url: &str, name: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL of Postgres");
    let (rest, parameters) = rest.split_once('?').map_or((rest, ""), |(rest, parameters)| (rest, parameters));
    let server = rest.split_once('/').map_or(rest, |(server, _)| server);
    let mark = if parameters.is_empty() { "" } else { "?" };
    format!("{scheme}://{server}/{name}{mark}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn only_the_database_is_replaced() {
        for (given, expected) in [
            ("postgres://u:p@h:5432/postgres", "postgres://u:p@h:5432/n"),
            ("postgres://h", "postgres://h/n"),
            ("postgresql://h/x?sslmode=disable", "postgresql://h/n?sslmode=disable"),
            ("postgres:///x?host=/run/postgresql", "postgres:///n?host=/run/postgresql"),
        ] {
            assert_eq!(with_database(given, "n"), expected);
        }
    }
}
