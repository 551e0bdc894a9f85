//! Findings in a damaged store, and their repair.

use std::path::Path;

use mnemon_store::{
    EventKind, Finding, HistoryEvent, MemoryId, Scope, SparseQuery, SqliteStore, Store, View, run_search,
};
use rusqlite::Connection;

use crate::fixture::{add, by_user, open, record};

const MEMORIES: u64 = 12;

fn filled(path: &Path) -> SqliteStore {
    let store = open(path);
    for number in 0..MEMORIES {
        add(&store, record(number, "u1")).unwrap();
    }
    assert_eq!(store.check().unwrap(), []);
    store
}

fn counts(findings: Vec<Finding>) -> Vec<(&'static str, usize)> {
    assert!(findings.iter().all(|finding| !finding.detail.is_empty()));
    findings.into_iter().map(|finding| (finding.check, finding.count)).collect()
}

/// Damages a store with SQL. Checks the findings, the repaired ones and the remaining ones, and that no memory is lost.
fn check(sql: &str, findings: &[(&str, usize)], repaired: &[(&str, usize)], remaining: &[(&str, usize)]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = filled(&path);
    let before = store.info().unwrap();
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    assert_eq!(counts(store.check().unwrap()), findings, "{sql}");
    assert_eq!(counts(store.repair().unwrap()), repaired, "{sql}");
    assert_eq!(counts(store.check().unwrap()), remaining, "{sql}");
    assert_eq!(store.repair().unwrap(), [], "nothing is left to repair");
    let after = store.info().unwrap();
    assert_eq!((after.memories, after.history), (before.memories, before.history), "{sql}");
    assert_eq!(counts(open(&path).check().unwrap()), remaining, "{sql}");
}

#[test]
fn rows_without_a_memory_are_removed() {
    let both = |found: &[(&'static str, usize)], sql: &str| check(sql, found, found, &[]);
    both(&[("link_to_nothing", 2)], "INSERT INTO links SELECT id, x'00', 'related', '' FROM memories LIMIT 2");
    both(
        &[("entity_link_to_nothing", 2)],
        "INSERT INTO entity_links SELECT slot, x'00' FROM entities; INSERT INTO entity_links VALUES(999, x'00')",
    );
    both(
        &[("entity_without_link", 1)],
        "INSERT INTO entities(id, user_scope, agent_scope, run_scope, name, payload, vector)
         VALUES(x'0000000000000099', 1, 0, 0, 'x', '{}', x'')",
    );
    let orphan = "INSERT INTO signals SELECT 999, vector, bm25, terms FROM signals WHERE slot = 1";
    check(
        orphan,
        &[("signals_without_memory", 1), ("bm25_documents", 1), ("bm25_terms", 1)],
        // The counts are correct again after the vector is removed.
        &[("signals_without_memory", 1)],
        &[],
    );
}

#[test]
fn an_entity_without_existing_memories_is_removed_with_its_links() {
    check(
        "INSERT INTO entities(slot, id, user_scope, agent_scope, run_scope, name, payload, vector)
         VALUES(77, x'0000000000000099', 1, 0, 0, 'x', '{}', x''); INSERT INTO entity_links VALUES(77, x'00')",
        &[("entity_link_to_nothing", 1)],
        &[("entity_link_to_nothing", 1), ("entity_without_link", 1)],
        &[],
    );
}

#[test]
fn wrong_statistics_are_corrected() {
    let both = |found: &[(&'static str, usize)], sql: &str| check(sql, found, found, &[]);
    both(&[("bm25_documents", 5)], "UPDATE counters SET value = value - 5");
    both(&[("bm25_documents", MEMORIES as usize)], "DELETE FROM counters");
    both(
        &[("bm25_terms", 3)],
        "UPDATE bm25_terms SET documents = 7 WHERE term = 1; DELETE FROM bm25_terms WHERE term = 2;
         INSERT INTO bm25_terms VALUES(999, 1)",
    );
    both(&[], "INSERT INTO bm25_terms VALUES(999, 0)");
}

#[test]
fn repaired_statistics_give_the_same_ranking() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = filled(&path);
    let filter = by_user("u1");
    let query = vec![(3, 1.0), (4, 2.0)];
    let ranked = |store: &SqliteStore| {
        run_search(store, View::new(&filter, None), |reads| reads.sparse(&SparseQuery { vector: &query, limit: 9 }))
            .unwrap()
    };
    let before = ranked(&store);
    let sql = "UPDATE counters SET value = 900; UPDATE bm25_terms SET documents = 9";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    assert_ne!(ranked(&store), before);
    store.repair().unwrap();
    assert_eq!(ranked(&store), before);
}

#[test]
fn rows_that_may_be_memories_are_kept() {
    let kept = |found: &[(&'static str, usize)], sql: &str| check(sql, found, &[], found);
    kept(&[("scope_of_nothing", 1)], "UPDATE memories SET agent_scope = 99 WHERE slot = 1");
    kept(&[("session_without_position", 2)], "UPDATE memories SET session = 1 WHERE slot < 3");
    check(
        "DELETE FROM signals WHERE slot = 1",
        &[("memory_without_signals", 1), ("bm25_documents", 1), ("bm25_terms", 1)],
        &[("bm25_documents", 1), ("bm25_terms", 1)],
        &[("memory_without_signals", 1)],
    );
}

#[test]
fn vanished_memories_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = filled(&path);
    let event = |memory: &str, kind: EventKind, scope: Scope| {
        let id = format!("{memory} {} {scope:?}", kind.as_str());
        let sql = "INSERT INTO history(id, memory_id, event, is_deleted, user_id) VALUES(?, ?, ?, 0, ?)";
        let values = (id, memory, kind.as_str(), scope.user_id);
        Connection::open(&path).unwrap().execute(sql, values).unwrap();
    };
    let owner = || Scope::user("u1").unwrap();
    let uuid = "6a55d8a7-2c4a-4a16-98ad-906dfb325910";
    // No owner, as in a mem0 history; a deleted memory; an existing memory; not a memory id.
    event("900", EventKind::Add, Scope::default());
    event("901", EventKind::Add, owner());
    event("901", EventKind::Delete, owner());
    event("1", EventKind::Update, owner());
    event("row-1", EventKind::Add, owner());
    assert_eq!(store.check().unwrap(), []);
    event("902", EventKind::Add, owner());
    event(uuid, EventKind::Update, owner());
    assert_eq!(counts(store.check().unwrap()), [("history_without_memory", 2)]);
    assert_eq!(store.repair().unwrap(), []);
    let history: Vec<HistoryEvent> = store.history(uuid).unwrap();
    assert_eq!(history.len(), 1);
    assert!(store.get(&[MemoryId::Number(1)]).unwrap()[0].is_some());
}
