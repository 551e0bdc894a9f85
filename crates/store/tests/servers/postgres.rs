//! The database of a ledger in Postgres. `.ci/postgres start` starts a server.

use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use libtest_mimic::Trial;
use mnemon_store::conformance::{DATABASE_STORIES, DOCUMENT_STORIES, DOCUMENTS};
use mnemon_store::database::{Database, Lock, PostgresDatabase, snapshot, transact};
use mnemon_store::{Document, DocumentStore, Durability, PageRequest, StoreError};
use postgres::{Client, NoTls};
use serde_json::json;

const SERVER: &str = "MNEMON_TEST_POSTGRES";

/// A test with a database of its own.
type Test = fn(&Fresh);

/// What only a server can do.
const OWN: &[(&str, Test)] = &[
    ("lost_connections_are_replaced", lost_connections_are_replaced),
    ("what_a_lost_connection_held_is_free", what_a_lost_connection_held_is_free),
    ("a_missing_server_is_told_without_secrets", a_missing_server_is_told_without_secrets),
    ("what_cannot_be_used_is_told", what_cannot_be_used_is_told),
    ("more_threads_than_connections", more_threads_than_connections),
    ("replaced_at_once_documents_keep_their_place", replaced_at_once_documents_keep_their_place),
];

pub(super) fn trials() -> Vec<Trial> {
    let server = std::env::var(SERVER).ok().filter(|url| !url.is_empty());
    if server.is_none() {
        eprintln!("skipped: postgres: {SERVER} names no server; see .ci/postgres");
    }
    let trial = |name: String, story: Box<dyn Fn(&Fresh) + Send>| {
        let server = server.clone();
        let ignored = server.is_none();
        let run = move || {
            story(&Fresh::on(&server.unwrap_or_default()));
            Ok(())
        };
        Trial::test(format!("postgres::{name}"), run).with_ignored_flag(ignored)
    };
    let databases = DATABASE_STORIES.iter().map(|&(name, story)| {
        let tell = move |fresh: &Fresh| story(&|steps| Ok(Box::new(fresh.open(steps)?) as Box<dyn Database>));
        trial(format!("databases::{name}"), Box::new(tell))
    });
    let ledgers = DOCUMENT_STORIES.iter().map(|&(name, story)| {
        let tell =
            move |fresh: &Fresh| story(&|| Box::new(fresh.open(&[DOCUMENTS]).unwrap()) as Box<dyn DocumentStore>);
        trial(format!("documents::{name}"), Box::new(tell))
    });
    let own = OWN.iter().map(|&(name, test)| trial(name.to_owned(), Box::new(test)));
    databases.chain(ledgers).chain(own).collect()
}

/// An empty database of its own on the server; gone when dropped.
struct Fresh {
    server: String,
    name: String,
}

impl Fresh {
    fn on(server: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("mnemon_test_{}_{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let fresh = Self { server: server.to_owned(), name };
        fresh.admin(&format!("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0", fresh.name));
        fresh
    }

    fn admin(&self, sql: &str) -> u64 {
        Client::connect(&self.server, NoTls).unwrap().execute(sql, &[]).unwrap()
    }

    /// The server's URL with another database, and other parts if asked.
    fn url(&self) -> String {
        let (base, _) = self.server.rsplit_once('/').unwrap();
        format!("{base}/{}", self.name)
    }

    fn open(&self, steps: &[&str]) -> Result<PostgresDatabase, StoreError> {
        PostgresDatabase::open(&self.url(), steps)
    }

    /// Ends all sessions, as a server does that restarts.
    fn end_sessions(&self) -> u64 {
        self.admin(&format!(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        ))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.admin(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn note(id: &str) -> Document {
    Document::new("note", id, json!({}))
}

fn lost_connections_are_replaced(fresh: &Fresh) {
    let database = fresh.open(&[DOCUMENTS]).unwrap();
    let keys = Lock::Keys(vec![1]);
    for round in 0..3 {
        database.put(&[note(&round.to_string())], Durability::Synced).unwrap();
        drop(database.lock(&keys).unwrap());
        assert!(fresh.end_sessions() >= 2);
        assert!(database.document("note", &round.to_string()).unwrap().is_some());
        drop(database.lock(&keys).unwrap());
    }
    // In the middle: told, nothing written, and the next goes through.
    let lost = transact(&database, Durability::Synced, |sql| {
        sql.execute("DELETE FROM documents", &[])?;
        fresh.end_sessions();
        sql.execute("DELETE FROM documents", &[])
    });
    assert!(matches!(lost, Err(StoreError::Unavailable { .. })), "{lost:?}");
    // In the commit nobody knows.
    let lost = transact(&database, Durability::Synced, |sql| {
        let gone = sql.execute("DELETE FROM documents", &[]);
        fresh.end_sessions();
        gone
    });
    assert!(matches!(lost, Err(StoreError::OutcomeUnknown { .. })), "{lost:?}");
    assert_eq!(database.documents("note", None, &PageRequest { limit: 9, ..PageRequest::default() }).unwrap().total, 3);
}

fn what_a_lost_connection_held_is_free(fresh: &Fresh) {
    let [here, there] = [fresh.open(&[]).unwrap(), fresh.open(&[]).unwrap()];
    let held = here.lock(&Lock::Everything).unwrap();
    fresh.end_sessions();
    drop(there.lock(&Lock::Keys(vec![1])).unwrap());
    drop(held);
    drop(here.lock(&Lock::Everything).unwrap());
}

fn a_missing_server_is_told_without_secrets(_: &Fresh) {
    let error = PostgresDatabase::open("postgres://ana:secret@127.0.0.1:1/ledger", &[]).unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{told}");
    assert!(told.contains("Postgres at 127.0.0.1:1/ledger") && !told.contains("secret"), "{told}");
}

fn what_cannot_be_used_is_told(fresh: &Fresh) {
    let database = fresh.open(&[DOCUMENTS]).unwrap();
    assert!(database.location().ends_with(&fresh.name) && !format!("{database:?}").contains("secret"));
    let missing = PostgresDatabase::open(&format!("{}_missing", fresh.url()), &[]).unwrap_err();
    assert!(matches!(missing, StoreError::Unfit(_)), "{missing}");
    // An index holds no text this long, whatever is done to make it shorter.
    let mut state = 1_u64;
    let id: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + (state >> 33) as u8 % 75)
    })
    .take(20_000)
    .collect();
    let error = database.put(&[note(&id)], Durability::Synced).unwrap_err();
    assert!(matches!(error, StoreError::Unsupported(_)), "{error}");
    let other = format!("{}_latin", fresh.name);
    fresh.admin(&format!("CREATE DATABASE {other} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"));
    let error = PostgresDatabase::open(&format!("{}_latin", fresh.url()), &[]).map(|_| ()).unwrap_err();
    fresh.admin(&format!("DROP DATABASE {other} WITH (FORCE)"));
    assert!(matches!(&error, StoreError::Unfit(told) if told.contains("UTF8")), "{error}");
}

fn more_threads_than_connections(fresh: &Fresh) {
    let database = fresh.open(&[DOCUMENTS]).unwrap();
    std::thread::scope(|threads| {
        for number in 0..40_i64 {
            let database = &database;
            threads.spawn(move || {
                let held = database.lock(&Lock::Keys(vec![number])).unwrap();
                database.put(&[note(&number.to_string())], Durability::Written).unwrap();
                drop(held);
            });
        }
    });
    let sessions = snapshot(&database, |sql| {
        sql.query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()", &[])
    });
    assert!((1..=24).contains(&sessions.unwrap()[0].int(0).unwrap()));
    assert_eq!(database.trim("note", 0).unwrap(), 40);
}

fn replaced_at_once_documents_keep_their_place(fresh: &Fresh) {
    let ledgers = [fresh.open(&[DOCUMENTS]).unwrap(), fresh.open(&[DOCUMENTS]).unwrap()];
    let ids: Vec<String> = (0..6).map(|number| number.to_string()).collect();
    let documents: Vec<Document> = ids.iter().map(|id| note(id)).collect();
    ledgers[0].put(&documents, Durability::Written).unwrap();
    std::thread::scope(|threads| {
        for number in 0..6 {
            let (ledger, mut documents) = (&ledgers[number % 2], documents.clone());
            threads.spawn(move || {
                for _ in 0..20 {
                    documents.rotate_left(number);
                    documents.swap(number, 5);
                    ledger.put(&documents, Durability::Written).unwrap();
                }
            });
        }
    });
    let page = ledgers[0].documents("note", None, &PageRequest { limit: 9, ..PageRequest::default() }).unwrap();
    let found: Vec<&str> = page.items.iter().rev().map(|document| document.id.as_str()).collect();
    assert_eq!(found, ids);
}
