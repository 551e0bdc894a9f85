//! A server's documents, in a table of their own beside the memories.

use jiff::Timestamp;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params, params_from_iter};
use serde_json::Value;

use super::SqliteStore;
use crate::{Document, Durability, Ledger, Page, PageRequest, Result, StoreError};

/// Levels that lists and objects of a body may nest: what is written must be readable, and our JSON parser stops at 128.
const MAX_DEPTH: usize = 127;

/// Columns [`document_at`] reads.
const COLUMNS: &str = "seq, id, owner, due, body";

impl Ledger for SqliteStore {
    fn put(&self, documents: &[Document], durability: Durability) -> Result<()> {
        if documents.is_empty() {
            return Ok(());
        }
        let put = |connection: &mut Connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for document in documents {
                insert(
                    &tx,
                    document,
                    "DO UPDATE SET owner = excluded.owner, due = excluded.due, body = excluded.body",
                )?;
            }
            Ok(tx.commit()?)
        };
        self.write(|connection| match durability {
            Durability::Synced => put(connection),
            Durability::Written => {
                connection.pragma_update(None, "synchronous", "NORMAL")?;
                let done = put(connection);
                connection.pragma_update(None, "synchronous", "FULL")?;
                done
            }
        })
    }

    fn put_new(&self, document: &Document) -> Result<bool> {
        self.write(|connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let written = insert(&tx, document, "DO NOTHING")? == 1;
            tx.commit()?;
            Ok(written)
        })
    }

    fn document(&self, kind: &'static str, id: &str) -> Result<Option<Document>> {
        self.read(|connection| find(connection, kind, id))
    }

    fn documents(&self, kind: &'static str, owner: Option<&str>, page: &PageRequest) -> Result<Page<Document>> {
        let before = match &page.cursor {
            Some(cursor) => crate::cursor::decode(cursor)?,
            None => i64::MAX,
        };
        let mut condition = "kind = ?".to_owned();
        let mut values = vec![Sql::Text(kind.to_owned())];
        if let Some(owner) = owner {
            condition.push_str(" AND owner = ?");
            values.push(Sql::Text(owner.to_owned()));
        }
        self.read(|connection| {
            let total: i64 = connection
                .prepare_cached(&format!("SELECT count(*) FROM documents WHERE {condition}"))?
                .query_row(params_from_iter(&values), |row| row.get(0))?;
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM documents WHERE {condition} AND seq < ? ORDER BY seq DESC LIMIT ? OFFSET ?"
            ))?;
            values.extend([before, whole(page.limit.saturating_add(1)), whole(page.offset)].map(Sql::Integer));
            let mut rows = statement.query(params_from_iter(&values))?;
            let mut items: Vec<(i64, Document)> = Vec::new();
            let mut more = false;
            while let Some(row) = rows.next()? {
                if items.len() == page.limit {
                    more = true;
                    break;
                }
                items.push((row.get(0)?, document_at(row, kind)?));
            }
            let next = items.last().filter(|_| more).map(|(seq, _)| crate::cursor::encode(*seq));
            let items = items.into_iter().map(|(_, document)| document).collect();
            Ok(Page { items, total: usize::try_from(total).unwrap_or(0), next })
        })
    }

    fn due(&self, kind: &'static str, now: Timestamp, limit: usize) -> Result<Vec<Document>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM documents WHERE kind = ? AND due <= ? ORDER BY due, seq LIMIT ?"
            ))?;
            let mut rows = statement.query(params![kind, now.as_microsecond(), whole(limit)])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                due.push(document_at(row, kind)?);
            }
            Ok(due)
        })
    }

    fn change(
        &self,
        kind: &'static str,
        id: &str,
        change: &mut dyn FnMut(&mut Document) -> bool,
    ) -> Result<Option<Document>> {
        self.write(|connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(mut document) = find(&tx, kind, id)? else { return Ok(None) };
            if !change(&mut document) {
                return Ok(None);
            }
            document.kind = kind;
            id.clone_into(&mut document.id);
            document.due = document.due.and_then(|due| Timestamp::from_microsecond(due.as_microsecond()).ok());
            tx.prepare_cached("UPDATE documents SET owner = ?, due = ?, body = ? WHERE kind = ? AND id = ?")?
                .execute(params![document.owner, micros(document.due), body_text(&document.body)?, kind, id])?;
            tx.commit()?;
            Ok(Some(document))
        })
    }

    fn take(&self, kind: &'static str, id: &str) -> Result<Option<Document>> {
        self.write(|connection| {
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let document = find(&tx, kind, id)?;
            if document.is_some() {
                tx.prepare_cached("DELETE FROM documents WHERE kind = ? AND id = ?")?.execute([kind, id])?;
                tx.commit()?;
            }
            Ok(document)
        })
    }

    fn forget(&self, owner: &str) -> Result<usize> {
        self.write(|connection| delete(connection, "DELETE FROM documents WHERE owner = ?", &[&owner]))
    }

    fn trim(&self, kind: &'static str, keep: usize) -> Result<usize> {
        let sql = "DELETE FROM documents WHERE kind = ?1
                   AND seq <= (SELECT seq FROM documents WHERE kind = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
        self.write(|connection| delete(connection, sql, &[&kind, &whole(keep)]))
    }
}

fn insert(tx: &Transaction<'_>, document: &Document, if_taken: &str) -> Result<usize> {
    let mut statement = tx.prepare_cached(&format!(
        "INSERT INTO documents(kind, id, owner, due, body) VALUES(?, ?, ?, ?, ?) ON CONFLICT(kind, id) {if_taken}"
    ))?;
    let due = micros(document.due);
    Ok(statement.execute(params![document.kind, document.id, document.owner, due, body_text(&document.body)?])?)
}

fn delete(connection: &mut Connection, sql: &str, values: &[&dyn rusqlite::ToSql]) -> Result<usize> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let gone = tx.prepare_cached(sql)?.execute(values)?;
    tx.commit()?;
    Ok(gone)
}

fn find(connection: &Connection, kind: &'static str, id: &str) -> Result<Option<Document>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM documents WHERE kind = ? AND id = ?"))?;
    let found = statement.query_row([kind, id], |row| Ok(document_at(row, kind))).optional()?;
    found.transpose()
}

fn document_at(row: &Row<'_>, kind: &'static str) -> Result<Document> {
    let due: Option<i64> = row.get(3)?;
    let body = row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(Document {
        kind,
        id: row.get(1)?,
        owner: row.get(2)?,
        due: due.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
        body: serde_json::from_str(body).map_err(|error| StoreError::Corrupt(format!("a document: {error}")))?,
    })
}

fn micros(due: Option<Timestamp>) -> Option<i64> {
    due.map(Timestamp::as_microsecond)
}

fn body_text(body: &Value) -> Result<String> {
    let mut level = vec![body];
    for _ in 0..MAX_DEPTH {
        let inside = level.into_iter().flat_map(|value| match value {
            Value::Array(items) => items.iter().collect::<Vec<_>>(),
            Value::Object(fields) => fields.values().collect(),
            _ => Vec::new(),
        });
        level = inside.filter(|value| value.is_array() || value.is_object()).collect();
        if level.is_empty() {
            return Ok(body.to_string());
        }
    }
    Err(StoreError::TooDeep { limit: MAX_DEPTH })
}

/// A count as SQLite has it.
fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
