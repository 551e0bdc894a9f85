//! Checks the consistency of the store, and repairs it on request.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::row::blob_at;
use crate::database::sqlite_statements;
use crate::scope_index::sparse_from_blob;
use crate::shared_tables::messages;
use crate::{EventKind, Finding, MemoryId, MessageSelector, Result};

/// A check for rows that should not exist.
struct RowCheck {
    check: &'static str,
    table: &'static str,
    condition: &'static str,
    detail: &'static str,
    /// The message after the rows are removed; `None` if they may contain text of a memory and are kept.
    removed: Option<&'static str>,
}

/// In the order of removal: links before the entities that have no link left.
const ROW_CHECKS: [RowCheck; 7] = [
    RowCheck {
        check: "memory_without_signals",
        table: "memories",
        condition: "NOT EXISTS(SELECT 1 FROM signals s WHERE s.slot = memories.slot)",
        detail: "memories have no vector and can't be found: export the remaining data and import it into a new store",
        removed: None,
    },
    RowCheck {
        check: "signals_without_memory",
        table: "signals",
        condition: "NOT EXISTS(SELECT 1 FROM memories m WHERE m.slot = signals.slot)",
        detail: "vectors belong to no memory: harmless",
        removed: Some("vectors that belonged to no memory were removed"),
    },
    RowCheck {
        check: "entity_link_to_nothing",
        table: "entity_links",
        condition: "NOT EXISTS(SELECT 1 FROM memories m WHERE m.id = entity_links.memory)
                    OR NOT EXISTS(SELECT 1 FROM entities e WHERE e.slot = entity_links.entity)",
        detail: "entities link to memories that do not exist: the links came with an import and are ignored",
        removed: Some("links from entities to memories that do not exist were removed"),
    },
    RowCheck {
        check: "entity_without_link",
        table: "entities",
        condition: "NOT EXISTS(SELECT 1 FROM entity_links l WHERE l.entity = entities.slot)",
        detail: "entities are mentioned by no memory: harmless",
        removed: Some("entities that no memory mentioned were removed"),
    },
    RowCheck {
        check: "link_to_nothing",
        table: "links",
        condition: "NOT EXISTS(SELECT 1 FROM memories m WHERE m.id = links.source)
                    OR NOT EXISTS(SELECT 1 FROM memories m WHERE m.id = links.target)",
        detail: "links between memories lead to memories that do not exist: they came with an import and are ignored",
        removed: Some("links to memories that do not exist were removed"),
    },
    RowCheck {
        check: "session_without_position",
        table: "memories",
        condition: "session <> 0 AND position IS NULL",
        detail: "memories belong to a session but have no position in it: their context is only their own text",
        removed: None,
    },
    RowCheck {
        check: "scope_of_nothing",
        table: "memories",
        condition: "(user_scope <> 0 AND NOT EXISTS(SELECT 1 FROM scopes s WHERE s.id = user_scope AND s.kind = 0))
                    OR (agent_scope <> 0
                        AND NOT EXISTS(SELECT 1 FROM scopes s WHERE s.id = agent_scope AND s.kind = 1))
                    OR (run_scope <> 0 AND NOT EXISTS(SELECT 1 FROM scopes s WHERE s.id = run_scope AND s.kind = 2))",
        detail: "memories belong to a scope that does not exist and can't be found by it: export everything and import it \
                 into a new store",
        removed: None,
    },
];

/// All findings in the snapshot of the connection.
pub(super) fn check(connection: &Connection) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if let Some(message) = corruption(connection)? {
        let detail = format!("SQLite reports that the file is corrupt ({message}): restore a backup");
        findings.push(Finding { check: "quick_check", count: 1, detail });
    }
    for RowCheck { check, table, condition, detail, .. } in ROW_CHECKS {
        let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
        let count: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        add_finding(&mut findings, check, count as usize, detail);
    }
    let difference = Bm25Counts::of_signals(connection)?.difference(&Bm25Counts::stored(connection)?);
    let detail = "the number of documents is wrong: rare words get a wrong weight in profile mem0";
    add_finding(&mut findings, "bm25_documents", difference.documents, detail);
    let detail = "the numbers of documents with a word are wrong: these words get a wrong weight in profile mem0";
    add_finding(&mut findings, "bm25_terms", difference.terms, detail);
    let detail = "memories of the history neither exist nor were deleted: `history` shows their last text";
    add_finding(&mut findings, "history_without_memory", vanished_memories(connection)?, detail);
    let leftovers = messages::leftovers(&mut sqlite_statements(connection), "1 = 1")?;
    let detail = "a deletion was interrupted: the memories of an owner are deleted, but not their messages";
    add_finding(&mut findings, "message_of_deleted_owner", leftovers.len(), detail);
    Ok(findings)
}

/// Removes rows that should not exist and corrects the statistics, in one transaction; returns what was repaired. A file
/// that SQLite reports as corrupt is not changed.
pub(super) fn repair(connection: &mut Connection) -> Result<Vec<Finding>> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut repaired = Vec::new();
    if corruption(&tx)?.is_some() {
        return Ok(repaired);
    }
    for RowCheck { check, table, condition, removed, .. } in ROW_CHECKS {
        if let Some(removed) = removed {
            let count = tx.execute(&format!("DELETE FROM {table} WHERE {condition}"), [])?;
            add_finding(&mut repaired, check, count, removed);
        }
    }
    let leftovers = messages::leftovers(&mut sqlite_statements(&tx), "1 = 1")?;
    let deleted = messages::delete(&mut sqlite_statements(&tx), &MessageSelector::Ids(leftovers))?;
    let detail = "messages of owners whose memories were deleted before were deleted";
    add_finding(&mut repaired, "message_of_deleted_owner", deleted as usize, detail);
    let counts = Bm25Counts::of_signals(&tx)?;
    let difference = counts.difference(&Bm25Counts::stored(&tx)?);
    if difference.documents + difference.terms > 0 {
        counts.store(&tx)?;
    }
    let detail = "the number of documents was corrected by this difference";
    add_finding(&mut repaired, "bm25_documents", difference.documents, detail);
    let detail = "the numbers of documents with a word were corrected for this many words";
    add_finding(&mut repaired, "bm25_terms", difference.terms, detail);
    tx.commit()?;
    Ok(repaired)
}

fn add_finding(findings: &mut Vec<Finding>, check: &'static str, count: usize, detail: &str) {
    if count > 0 {
        findings.push(Finding { check, count, detail: detail.to_owned() });
    }
}

/// The corruption that SQLite finds in the file.
fn corruption(connection: &Connection) -> Result<Option<String>> {
    let message: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(if message == "ok" { None } else { Some(message) })
}

/// The statistics for the idf of profile mem0.
struct Bm25Counts {
    documents: i64,
    /// Number of documents with a term; never 0.
    terms: HashMap<u32, i64>,
}

/// The difference between two statistics: of the number of documents, and the number of terms that differ.
struct Difference {
    documents: usize,
    terms: usize,
}

impl Bm25Counts {
    fn stored(connection: &Connection) -> Result<Self> {
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
            for (term, _) in sparse_from_blob(blob_at(row, 0)?) {
                *counts.terms.entry(term).or_default() += 1;
            }
        }
        Ok(counts)
    }

    fn difference(&self, other: &Self) -> Difference {
        let differs = |(term, count): &(&u32, &i64)| other.terms.get(term) != Some(count);
        let only_in_other = other.terms.keys().filter(|term| !self.terms.contains_key(term)).count();
        Difference {
            documents: self.documents.abs_diff(other.documents) as usize,
            terms: self.terms.iter().filter(differs).count() + only_in_other,
        }
    }

    fn store(&self, connection: &Connection) -> Result<()> {
        connection.execute("INSERT OR REPLACE INTO counters VALUES('bm25_documents', ?)", [self.documents])?;
        connection.execute("DELETE FROM bm25_terms", [])?;
        let mut statement = connection.prepare("INSERT INTO bm25_terms VALUES(?, ?)")?;
        for (term, documents) in &self.terms {
            statement.execute(params![term, documents])?;
        }
        Ok(())
    }
}

/// The number of memories that do not exist although their last history event is not a deletion. Only events with an owner
/// count: Mnemon records the owner of every event, while mem0's histories have no owners and are often imported without
/// their memories.
fn vanished_memories(connection: &Connection) -> Result<usize> {
    let mut last = connection.prepare(
        "SELECT memory_id, event, coalesce(user_id, agent_id, run_id), max(seq) FROM history GROUP BY memory_id",
    )?;
    let mut exists = connection.prepare("SELECT 1 FROM memories WHERE id = ?")?;
    let mut rows = last.query([])?;
    let mut vanished = 0;
    while let Some(row) = rows.next()? {
        let (id, event): (String, String) = (row.get(0)?, row.get(1)?);
        let (Some(_), Ok(id)) = (row.get::<_, Option<String>>(2)?, id.parse::<MemoryId>()) else { continue };
        if event != EventKind::Delete.as_str() && !exists.exists([id.to_bytes()])? {
            vanished += 1;
        }
    }
    Ok(vanished)
}
