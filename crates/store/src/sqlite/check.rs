//! The store's own consistency, checked on request.

use rusqlite::Connection;

use crate::{Finding, Result};

/// Each counts the rows that should not be.
const CHECKS: [(&str, &str, &str); 8] = [
    (
        "memory_without_signals",
        "SELECT count(*) FROM memories m WHERE NOT EXISTS(SELECT 1 FROM signals s WHERE s.slot = m.slot)",
        "memories have no vector: they can't be found; export what is left and import it into a new store",
    ),
    (
        "signals_without_memory",
        "SELECT count(*) FROM signals s WHERE NOT EXISTS(SELECT 1 FROM memories m WHERE m.slot = s.slot)",
        "vectors belong to no memory: harmless",
    ),
    (
        "entity_without_link",
        "SELECT count(*) FROM entities e WHERE NOT EXISTS(SELECT 1 FROM entity_links l WHERE l.entity = e.slot)",
        "entities are named by no memory: harmless",
    ),
    (
        "entity_link_to_nothing",
        "SELECT count(*) FROM entity_links l WHERE NOT EXISTS(SELECT 1 FROM memories m WHERE m.id = l.memory)
         OR NOT EXISTS(SELECT 1 FROM entities e WHERE e.slot = l.entity)",
        "links lead from an entity to a memory that is gone: they came with an import and are ignored",
    ),
    (
        "link_to_nothing",
        "SELECT count(*) FROM links l WHERE NOT EXISTS(SELECT 1 FROM memories m WHERE m.id = l.source)
         OR NOT EXISTS(SELECT 1 FROM memories m WHERE m.id = l.target)",
        "links between memories lead to one that is gone: they came with an import and are ignored",
    ),
    (
        "session_without_position",
        "SELECT count(*) FROM memories WHERE session <> 0 AND position IS NULL",
        "memories belong to a session but have no place in it: their context is their own text",
    ),
    (
        "bm25_documents",
        "SELECT abs((SELECT value FROM counters WHERE name = 'bm25_documents')
                    - (SELECT count(*) FROM signals))",
        "the count of documents is off: rare words weigh wrongly under profile mem0",
    ),
    (
        "scope_of_nothing",
        "SELECT count(*) FROM memories m WHERE
           (user_scope <> 0 AND NOT EXISTS(SELECT 1 FROM scopes s WHERE s.id = m.user_scope AND s.kind = 0))
           OR (agent_scope <> 0 AND NOT EXISTS(SELECT 1 FROM scopes s WHERE s.id = m.agent_scope AND s.kind = 1))
           OR (run_scope <> 0 AND NOT EXISTS(SELECT 1 FROM scopes s WHERE s.id = m.run_scope AND s.kind = 2))",
        "memories belong to a scope that is not there",
    ),
];

pub(super) fn check(connection: &Connection) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        let detail = format!("SQLite finds the file corrupt ({verdict}): restore a backup");
        findings.push(Finding { check: "quick_check", count: 1, detail });
    }
    for (check, sql, detail) in CHECKS {
        let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
        if count != 0 {
            findings.push(Finding { check, count: count as usize, detail: detail.to_owned() });
        }
    }
    Ok(findings)
}
