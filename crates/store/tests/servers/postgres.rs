//! The database of a ledger in Postgres. `.ci/postgres start` starts a server.

use mnemon_store::conformance::{DATABASE_STORIES, DOCUMENT_STORIES, DOCUMENTS_SCHEMA};
use mnemon_store::database::{Database, Lock, PostgresDatabase, snapshot, transact};
use mnemon_store::{Document, DocumentStore, Durability, PageRequest, StoreError};
use mnemon_testbed::trials::{Trials, unset};
use mnemon_testbed::{Database as TestDatabase, POSTGRES, fresh_database};
use serde_json::json;

/// A test with an empty database.
type Test = fn(&TestDatabase);

/// Tests that need a server.
const SERVER_TESTS: &[(&str, Test)] = &[
    ("lost_connections_are_replaced", lost_connections_are_replaced),
    ("locks_of_a_lost_connection_are_released", locks_of_a_lost_connection_are_released),
    ("a_missing_server_is_reported_without_secrets", a_missing_server_is_reported_without_secrets),
    ("unusable_databases_and_texts_are_reported", unusable_databases_and_texts_are_reported),
    ("more_threads_than_connections", more_threads_than_connections),
    ("concurrently_replaced_documents_keep_their_position", concurrently_replaced_documents_keep_their_position),
];

pub(super) fn add_tests(trials: &mut Trials) {
    let missing = unset(&[POSTGRES]).map(|reason| format!("{reason}; see .ci/postgres"));
    let mut add = |name: &str, test: Box<dyn Fn(&TestDatabase) + Send>| {
        let run = move || test(&fresh_database().unwrap());
        trials.add(format!("postgres::{name}"), missing.as_deref(), run);
    };
    for &(name, story) in DATABASE_STORIES {
        let run_story = move |test_database: &TestDatabase| {
            story(&|steps| Ok(Box::new(open(test_database, steps)?) as Box<dyn Database>))
        };
        add(&format!("databases::{name}"), Box::new(run_story));
    }
    for &(name, story) in DOCUMENT_STORIES {
        let run_story = move |test_database: &TestDatabase| {
            story(&|| Box::new(open(test_database, &[DOCUMENTS_SCHEMA]).unwrap()) as Box<dyn DocumentStore>)
        };
        add(&format!("documents::{name}"), Box::new(run_story));
    }
    for &(name, test) in SERVER_TESTS {
        add(name, Box::new(test));
    }
}

fn open(database: &TestDatabase, steps: &[&str]) -> Result<PostgresDatabase, StoreError> {
    PostgresDatabase::open(database.url(), steps)
}

/// Ends all sessions, as a restart of the server does.
fn end_sessions(database: &TestDatabase) -> u64 {
    let sessions = format!("FROM pg_stat_activity WHERE datname = '{}'", database.name());
    database.on_server(&format!("SELECT pg_terminate_backend(pid, 5000) {sessions}"))
}

fn note(id: &str) -> Document {
    Document::new("note", id, json!({}))
}

fn lost_connections_are_replaced(test_database: &TestDatabase) {
    let database = open(test_database, &[DOCUMENTS_SCHEMA]).unwrap();
    let keys = Lock::Keys(vec![1]);
    for round in 0..3 {
        database.put(&[note(&round.to_string())], Durability::Synced).unwrap();
        drop(database.lock(&keys).unwrap());
        assert!(end_sessions(test_database) >= 2);
        assert!(database.document("note", &round.to_string()).unwrap().is_some());
        drop(database.lock(&keys).unwrap());
    }
    // A connection lost during a transaction: an error, and nothing is written.
    let lost = transact(&database, Durability::Synced, |sql| {
        sql.execute("DELETE FROM documents", &[])?;
        end_sessions(test_database);
        sql.execute("DELETE FROM documents", &[])
    });
    assert!(matches!(lost, Err(StoreError::Unavailable { .. })), "{lost:?}");
    // A connection lost during the commit: the outcome is unknown.
    let lost = transact(&database, Durability::Synced, |sql| {
        let deleted = sql.execute("DELETE FROM documents", &[]);
        end_sessions(test_database);
        deleted
    });
    assert!(matches!(lost, Err(StoreError::OutcomeUnknown { .. })), "{lost:?}");
    assert_eq!(database.scan("note", None, &PageRequest { limit: 9, ..PageRequest::default() }).unwrap().total, 3);
}

fn locks_of_a_lost_connection_are_released(test_database: &TestDatabase) {
    let [here, there] = [open(test_database, &[]).unwrap(), open(test_database, &[]).unwrap()];
    let guard = here.lock(&Lock::Everything).unwrap();
    end_sessions(test_database);
    drop(there.lock(&Lock::Keys(vec![1])).unwrap());
    drop(guard);
    drop(here.lock(&Lock::Everything).unwrap());
}

fn a_missing_server_is_reported_without_secrets(_: &TestDatabase) {
    let error = PostgresDatabase::open("postgres://ana:secret@127.0.0.1:1/ledger", &[]).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{message}");
    assert!(message.contains("Postgres at 127.0.0.1:1/ledger") && !message.contains("secret"), "{message}");
}

fn unusable_databases_and_texts_are_reported(test_database: &TestDatabase) {
    let database = open(test_database, &[DOCUMENTS_SCHEMA]).unwrap();
    assert!(database.location().ends_with(test_database.name()) && !format!("{database:?}").contains("secret"));
    let missing = PostgresDatabase::open(&format!("{}_missing", test_database.url()), &[]).unwrap_err();
    assert!(matches!(missing, StoreError::Misconfigured(_)), "{missing}");
    // An index can't hold a text this long, even compressed.
    let mut state = 1_u64;
    let id: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + (state >> 33) as u8 % 75)
    })
    .take(20_000)
    .collect();
    let error = database.put(&[note(&id)], Durability::Synced).unwrap_err();
    assert!(matches!(error, StoreError::Unsupported(_)), "{error}");
    let other = format!("{}_latin", test_database.name());
    test_database.on_server(&format!("CREATE DATABASE {other} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"));
    let error = PostgresDatabase::open(&format!("{}_latin", test_database.url()), &[]).map(|_| ()).unwrap_err();
    test_database.on_server(&format!("DROP DATABASE {other} WITH (FORCE)"));
    assert!(matches!(&error, StoreError::Misconfigured(message) if message.contains("UTF8")), "{error}");
}

fn more_threads_than_connections(test_database: &TestDatabase) {
    let database = open(test_database, &[DOCUMENTS_SCHEMA]).unwrap();
    std::thread::scope(|threads| {
        for number in 0..40_i64 {
            let database = &database;
            threads.spawn(move || {
                let guard = database.lock(&Lock::Keys(vec![number])).unwrap();
                database.put(&[note(&number.to_string())], Durability::Written).unwrap();
                drop(guard);
            });
        }
    });
    let sessions = snapshot(&database, |sql| {
        sql.query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()", &[])
    });
    assert!((1..=24).contains(&sessions.unwrap()[0].int(0).unwrap()));
    assert_eq!(database.trim("note", 0).unwrap(), 40);
}

fn concurrently_replaced_documents_keep_their_position(test_database: &TestDatabase) {
    let stores = [open(test_database, &[DOCUMENTS_SCHEMA]).unwrap(), open(test_database, &[DOCUMENTS_SCHEMA]).unwrap()];
    let ids: Vec<String> = (0..6).map(|number| number.to_string()).collect();
    let documents: Vec<Document> = ids.iter().map(|id| note(id)).collect();
    stores[0].put(&documents, Durability::Written).unwrap();
    std::thread::scope(|threads| {
        for number in 0..6 {
            let (store, mut documents) = (&stores[number % 2], documents.clone());
            threads.spawn(move || {
                for _ in 0..20 {
                    documents.rotate_left(number);
                    documents.swap(number, 5);
                    store.put(&documents, Durability::Written).unwrap();
                }
            });
        }
    });
    let page = stores[0].scan("note", None, &PageRequest { limit: 9, ..PageRequest::default() }).unwrap();
    let found: Vec<&str> = page.items.iter().rev().map(|document| document.as_ref().unwrap().id.as_str()).collect();
    assert_eq!(found, ids);
}
