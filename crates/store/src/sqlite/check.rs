//! The store's own consistency, checked and mended on request.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use crate::scope_index::sparse_from_blob;
use crate::{Finding, MemoryId, Result};

/// Rows that should not be.
struct Stray {
    check: &'static str,
    table: &'static str,
    condition: &'static str,
    detail: &'static str,
    /// What is said once they are removed; `None` where they may hold what somebody said, and stay.
    removed: Option<&'static str>,
}

/// In the order in which they go: links before the entities that are left without.
const STRAYS: [Stray; 7] = [
    Stray {
        check: "memory_without_signals",
        table: "memories",
        condition: "NOT EXISTS(SELECT 1 FROM signals s WHERE s.slot = memories.slot)",
        detail: "memories have no vector: they can't be found; export what is left and import it into a new store",
        removed: None,
    },
    Stray {
        check: "signals_without_memory",
        table: "signals",
        condition: "NOT EXISTS(SELECT 1 FROM memories m WHERE m.slot = signals.slot)",
        detail: "vectors belong to no memory: harmless",
        removed: Some("vectors that belonged to no memory were removed"),
    },
    Stray {
        check: "entity_link_to_nothing",
        table: "entity_links",
        condition: "NOT EXISTS(SELECT 1 FROM memories m WHERE m.id = entity_links.memory)
                    OR NOT EXISTS(SELECT 1 FROM entities e WHERE e.slot = entity_links.entity)",
        detail: "links lead from an entity to a memory that is gone: they came with an import and are ignored",
        removed: Some("links from an entity to a memory that is gone were removed"),
    },
    Stray {
        check: "entity_without_link",
        table: "entities",
        condition: "NOT EXISTS(SELECT 1 FROM entity_links l WHERE l.entity = entities.slot)",
        detail: "entities are named by no memory: harmless",
        removed: Some("entities that no memory named were removed"),
    },
    Stray {
        check: "link_to_nothing",
        table: "links",
        condition: "NOT EXISTS(SELECT 1 FROM memories m WHERE m.id = links.source)
                    OR NOT EXISTS(SELECT 1 FROM memories m WHERE m.id = links.target)",
        detail: "links between memories lead to one that is gone: they came with an import and are ignored",
        removed: Some("links that led to a memory that is gone were removed"),
    },
    Stray {
        check: "session_without_position",
        table: "memories",
        condition: "session <> 0 AND position IS NULL",
        detail: "memories belong to a session but have no place in it: their context is their own text",
        removed: None,
    },
    Stray {
        check: "scope_of_nothing",
        table: "memories",
        condition: "(user_scope <> 0 AND NOT EXISTS(SELECT 1 FROM scopes s WHERE s.id = user_scope AND s.kind = 0))
                    OR (agent_scope <> 0
                        AND NOT EXISTS(SELECT 1 FROM scopes s WHERE s.id = agent_scope AND s.kind = 1))
                    OR (run_scope <> 0 AND NOT EXISTS(SELECT 1 FROM scopes s WHERE s.id = run_scope AND s.kind = 2))",
        detail: "memories belong to a scope that is not there: they can't be found by it; export everything and import \
                 it into a new store",
        removed: None,
    },
];

/// What is wrong, as of the connection's snapshot.
pub(super) fn check(connection: &Connection) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if let Some(verdict) = damage(connection)? {
        let detail = format!("SQLite finds the file corrupt ({verdict}): restore a backup");
        findings.push(Finding { check: "quick_check", count: 1, detail });
    }
    for Stray { check, table, condition, detail, .. } in STRAYS {
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let count: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        found(&mut findings, check, count as usize, detail);
    }
    let counted = Bm25Counts::of_signals(connection)?.against(&Bm25Counts::kept(connection)?);
    let detail = "the count of documents is off: rare words weigh wrongly under profile mem0";
    found(&mut findings, "bm25_documents", counted.documents, detail);
    let detail = "counts of documents that hold a word are off: it weighs wrongly under profile mem0";
    found(&mut findings, "bm25_terms", counted.terms, detail);
    let detail = "the history holds memories that are neither here nor deleted: `history` shows their last text";
    found(&mut findings, "history_without_memory", vanished(connection)?, detail);
    Ok(findings)
}

/// Removes the strays that may go and counts anew what is counted, all of it or nothing; says what was done. A file that
/// SQLite finds corrupt is left as it is.
pub(super) fn repair(connection: &mut Connection) -> Result<Vec<Finding>> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut mended = Vec::new();
    if damage(&tx)?.is_some() {
        return Ok(mended);
    }
    for Stray { check, table, condition, removed, .. } in STRAYS {
        if let Some(removed) = removed {
            let gone = tx.execute(&format!("DELETE FROM {table} WHERE {condition}"), [])?;
            found(&mut mended, check, gone, removed);
        }
    }
    let counted = Bm25Counts::of_signals(&tx)?;
    let off = counted.against(&Bm25Counts::kept(&tx)?);
    if off.documents + off.terms > 0 {
        counted.keep(&tx)?;
    }
    found(&mut mended, "bm25_documents", off.documents, "the documents were counted anew; by so many they were off");
    found(&mut mended, "bm25_terms", off.terms, "the documents that hold a word were counted anew, for so many words");
    tx.commit()?;
    Ok(mended)
}

fn found(findings: &mut Vec<Finding>, check: &'static str, count: usize, detail: &str) {
    if count > 0 {
        findings.push(Finding { check, count, detail: detail.to_owned() });
    }
}

/// What SQLite finds wrong with the file.
fn damage(connection: &Connection) -> Result<Option<String>> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((verdict != "ok").then_some(verdict))
}

/// What idf under profile mem0 is made of.
struct Bm25Counts {
    documents: i64,
    /// Documents that hold a term; none of them 0.
    terms: HashMap<u32, i64>,
}

/// By how many documents, and for how many terms, two counts differ.
struct Difference {
    documents: usize,
    terms: usize,
}

impl Bm25Counts {
    fn kept(connection: &Connection) -> Result<Self> {
        let documents: Option<i64> = connection
            .query_row("SELECT value FROM counters WHERE name = 'bm25_documents'", [], |row| row.get(0))
            .optional()?;
        let mut statement = connection.prepare("SELECT term, documents FROM bm25_terms WHERE documents <> 0")?;
        let terms = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        Ok(Self { documents: documents.unwrap_or(0), terms })
    }

    fn of_signals(connection: &Connection) -> Result<Self> {
        let mut counts = Self { documents: 0, terms: HashMap::new() };
        let mut statement = connection.prepare("SELECT bm25 FROM signals")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            counts.documents += 1;
            for (term, _) in sparse_from_blob(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?) {
                *counts.terms.entry(term).or_default() += 1;
            }
        }
        Ok(counts)
    }

    fn against(&self, other: &Self) -> Difference {
        let differs = |(term, count): &(&u32, &i64)| other.terms.get(term) != Some(count);
        let only_there = other.terms.keys().filter(|term| !self.terms.contains_key(term)).count();
        Difference {
            documents: self.documents.abs_diff(other.documents) as usize,
            terms: self.terms.iter().filter(differs).count() + only_there,
        }
    }

    fn keep(&self, connection: &Connection) -> Result<()> {
        connection.execute("INSERT OR REPLACE INTO counters VALUES('bm25_documents', ?)", [self.documents])?;
        connection.execute("DELETE FROM bm25_terms", [])?;
        let mut statement = connection.prepare("INSERT INTO bm25_terms VALUES(?, ?)")?;
        for (term, documents) in &self.terms {
            statement.execute(params![term, documents])?;
        }
        Ok(())
    }
}

/// Memories that are not here though the last row of their history is no deletion. Only where the row says whose they were:
/// we write that of each, while mem0's histories say it of none and are often taken in without their memories.
fn vanished(connection: &Connection) -> Result<usize> {
    let mut last = connection.prepare(
        "SELECT memory_id, event, coalesce(user_id, agent_id, run_id), max(seq) FROM history GROUP BY memory_id",
    )?;
    let mut held = connection.prepare("SELECT 1 FROM memories WHERE id = ?")?;
    let mut rows = last.query([])?;
    let mut vanished = 0;
    while let Some(row) = rows.next()? {
        let (id, event): (String, String) = (row.get(0)?, row.get(1)?);
        let (Some(_), Ok(id)) = (row.get::<_, Option<String>>(2)?, id.parse::<MemoryId>()) else { continue };
        if event != "DELETE" && !held.exists([id.to_bytes()])? {
            vanished += 1;
        }
    }
    Ok(vanished)
}
