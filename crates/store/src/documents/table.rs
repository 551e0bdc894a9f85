//! The document store as a table in any database.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::cursor;
use crate::database::{Row, Sql, Tables, Value, snapshot, transact};
use crate::stable_hash::document_lock;
use crate::{Document, DocumentStore, Durability, Page, PageRequest, Result, StoreError};

/// The schema of the documents' table. `due` is in microseconds. Each index ends with `seq`, so that lists are read
/// newest first without sorting.
#[cfg(any(feature = "qdrant", feature = "conformance"))]
pub(crate) const DOCUMENTS_SCHEMA: &str = "
CREATE TABLE documents(
  seq {serial}, kind {text} NOT NULL, id {text} NOT NULL, owner {text}, due BIGINT, body {text} NOT NULL,
  UNIQUE(kind, id));
CREATE INDEX documents_kind ON documents(kind, seq);
CREATE INDEX documents_owner ON documents(owner, kind, seq) WHERE owner IS NOT NULL;
CREATE INDEX documents_due ON documents(kind, due, seq) WHERE due IS NOT NULL;
";

/// The largest depth of lists and objects in a body. A written body must be readable, and our JSON parser accepts fewer
/// than 128 levels.
const MAX_DEPTH: usize = 127;

/// Columns that [`document_at`] reads.
const COLUMNS: &str = "seq, id, owner, due, body";

impl<T: Tables + ?Sized> DocumentStore for T {
    fn put(&self, documents: &[Document], durability: Durability) -> Result<()> {
        if documents.is_empty() {
            return Ok(());
        }
        let numbers: Vec<u32> = documents.iter().map(|document| document_lock(document.kind, &document.id)).collect();
        transact(self, durability, |sql| {
            // Another transaction may write several of the same documents in another order.
            if numbers.len() > 1 {
                sql.lock(&numbers)?;
            }
            for document in documents {
                let replace = "DO UPDATE SET owner = excluded.owner, due = excluded.due, body = excluded.body";
                insert(sql, document, replace)?;
            }
            Ok(())
        })
    }

    fn put_new(&self, document: &Document) -> Result<bool> {
        transact(self, Durability::Synced, |sql| Ok(insert(sql, document, "DO NOTHING")? == 1))
    }

    fn put_first(&self, document: &Document) -> Result<bool> {
        let any = "SELECT count(*) FROM documents WHERE kind = $1";
        transact(self, Durability::Synced, |sql| {
            sql.lock(&[document_lock(document.kind, "")])?;
            let is_first = first_int(&sql.query(any, &[document.kind.into()])?)? == 0;
            Ok(is_first && insert(sql, document, "DO NOTHING")? == 1)
        })
    }

    fn document(&self, kind: &'static str, id: &str) -> Result<Option<Document>> {
        let query = format!("SELECT {COLUMNS} FROM documents WHERE kind = $1 AND id = $2");
        snapshot(self, |sql| query_one(sql, &query, kind, id))
    }

    fn scan(
        &self,
        kind: &'static str,
        owners: Option<&[String]>,
        page: &PageRequest,
    ) -> Result<Page<Result<Document>>> {
        let before = match &page.cursor {
            Some(cursor) => cursor::decode(cursor)?,
            None => i64::MAX,
        };
        let mut condition = "kind = $1".to_owned();
        let mut count_values: Vec<Value> = vec![kind.into()];
        if let Some(owners) = owners {
            let numbers: Vec<String> = (2..owners.len() + 2).map(|number| format!("${number}")).collect();
            let _ = write!(condition, " AND owner IN ({})", numbers.join(", "));
            count_values.extend(owners.iter().map(|owner| owner.as_str().into()));
        }
        let next = count_values.len() + 1;
        let (limit, offset) = (next + 1, next + 2);
        let count = format!("SELECT count(*) FROM documents WHERE {condition}");
        let list = format!(
            "SELECT {COLUMNS} FROM documents WHERE {condition} AND seq < ${next} ORDER BY seq DESC
             LIMIT ${limit} OFFSET ${offset}"
        );
        let mut list_values = count_values.clone();
        list_values.extend([before, to_i64(page.limit.saturating_add(1)), to_i64(page.offset)].map(Value::Int));
        let (total, mut rows) = snapshot(self, |sql| {
            Ok((first_int(&sql.query(&count, &count_values)?)?, sql.query(&list, &list_values)?))
        })?;
        let has_more = rows.len() > page.limit;
        rows.truncate(page.limit);
        let last = rows.last().filter(|_| has_more).map(|row| row.int(0)).transpose()?;
        let items = rows.iter().map(|row| document_at(row, kind)).collect();
        Ok(Page { items, total: usize::try_from(total).unwrap_or(0), next: last.map(cursor::encode) })
    }

    fn due(&self, kind: &'static str, now: Timestamp, limit: usize) -> Result<Vec<Result<Document>>> {
        let query = format!("SELECT {COLUMNS} FROM documents WHERE kind = $1 AND due <= $2 ORDER BY due, seq LIMIT $3");
        let values = [kind.into(), now.as_microsecond().into(), to_i64(limit).into()];
        let rows = snapshot(self, |sql| sql.query(&query, &values))?;
        Ok(rows.iter().map(|row| document_at(row, kind)).collect())
    }

    fn due_ids(
        &self,
        kind: &'static str,
        after: Option<Timestamp>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<String>> {
        let query = "SELECT id FROM documents WHERE kind = $1 AND due > $2 AND due <= $3 ORDER BY due, seq LIMIT $4";
        let after = after.map_or(i64::MIN, Timestamp::as_microsecond);
        let values = [kind.into(), Value::Int(after), until.as_microsecond().into(), to_i64(limit).into()];
        let rows = snapshot(self, |sql| sql.query(query, &values))?;
        rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
    }

    fn count_due(&self, kind: &'static str, now: Timestamp) -> Result<usize> {
        let query = "SELECT count(*) FROM documents WHERE kind = $1 AND due <= $2";
        let rows = snapshot(self, |sql| sql.query(query, &[kind.into(), now.as_microsecond().into()]))?;
        Ok(usize::try_from(first_int(&rows)?).unwrap_or(0))
    }

    fn reschedule(&self, kind: &'static str, id: &str, now: Timestamp, due: Timestamp) -> Result<bool> {
        let update = "UPDATE documents SET due = $4 WHERE kind = $1 AND id = $2 AND due <= $3";
        let values = [kind.into(), id.into(), now.as_microsecond().into(), due.as_microsecond().into()];
        Ok(transact(self, Durability::Synced, |sql| sql.execute(update, &values))? > 0)
    }

    fn change(
        &self,
        kind: &'static str,
        id: &str,
        change: &mut dyn FnMut(&mut Document) -> bool,
    ) -> Result<Option<Document>> {
        let query = format!("SELECT {COLUMNS} FROM documents WHERE kind = $1 AND id = $2 {{for_update}}");
        transact(self, Durability::Synced, |sql| {
            let Some(mut document) = query_one(sql, &query, kind, id)? else { return Ok(None) };
            if !change(&mut document) {
                return Ok(None);
            }
            document.kind = kind;
            id.clone_into(&mut document.id);
            document.due = document.due.and_then(|due| Timestamp::from_microsecond(due.as_microsecond()).ok());
            let [_, _, owner, due, body] = values_of(&document)?;
            sql.execute(
                "UPDATE documents SET owner = $3, due = $4, body = $5 WHERE kind = $1 AND id = $2",
                &[kind.into(), id.into(), owner, due, body],
            )?;
            Ok(Some(document))
        })
    }

    fn remove(&self, kind: &'static str, id: &str) -> Result<bool> {
        let delete = "DELETE FROM documents WHERE kind = $1 AND id = $2";
        Ok(transact(self, Durability::Synced, |sql| sql.execute(delete, &[kind.into(), id.into()]))? > 0)
    }

    fn delete_owned_by(&self, owner: &str) -> Result<usize> {
        let delete = "DELETE FROM documents WHERE owner = $1";
        let deleted = transact(self, Durability::Synced, |sql| sql.execute(delete, &[owner.into()]))?;
        Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
    }

    fn trim(&self, kind: &'static str, keep: usize) -> Result<usize> {
        let delete = "DELETE FROM documents WHERE kind = $1 AND due IS NULL
                      AND seq <= (SELECT seq FROM documents WHERE kind = $1 AND due IS NULL
                                  ORDER BY seq DESC LIMIT 1 OFFSET $2)";
        let values = [kind.into(), to_i64(keep).into()];
        let deleted = transact(self, Durability::Synced, |sql| sql.execute(delete, &values))?;
        Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
    }
}

fn insert(sql: &mut dyn Sql, document: &Document, on_conflict: &str) -> Result<u64> {
    let insert = format!(
        "INSERT INTO documents(kind, id, owner, due, body) VALUES($1, $2, $3, $4, $5) ON CONFLICT(kind, id) {on_conflict}"
    );
    sql.execute(&insert, &values_of(document)?)
}

fn query_one(sql: &mut dyn Sql, query: &str, kind: &'static str, id: &str) -> Result<Option<Document>> {
    let rows = sql.query(query, &[kind.into(), id.into()])?;
    rows.first().map(|row| document_at(row, kind)).transpose()
}

fn first_int(rows: &[Row]) -> Result<i64> {
    rows.first().map_or_else(|| Err(StoreError::Corrupt("a query returned no row".into())), |row| row.int(0))
}

fn document_at(row: &Row, kind: &'static str) -> Result<Document> {
    let id = row.text(1)?;
    Ok(Document {
        kind,
        id: id.to_owned(),
        owner: row.opt_text(2)?.map(str::to_owned),
        due: row.opt_int(3)?.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
        body: serde_json::from_str(row.text(4)?).map_err(|error| StoreError::unreadable(kind, id, &error))?,
    })
}

/// Kind, id, owner, due and body.
fn values_of(document: &Document) -> Result<[Value; 5]> {
    Ok([
        document.kind.into(),
        document.id.as_str().into(),
        document.owner.as_deref().into(),
        document.due.map(Timestamp::as_microsecond).into(),
        body_text(&document.body)?.into(),
    ])
}

fn body_text(body: &Json) -> Result<String> {
    let mut level = vec![body];
    for _ in 0..MAX_DEPTH {
        let inner = level.into_iter().flat_map(|value| match value {
            Json::Array(items) => items.iter().collect::<Vec<_>>(),
            Json::Object(fields) => fields.values().collect(),
            _ => Vec::new(),
        });
        level = inner.filter(|value| value.is_array() || value.is_object()).collect();
        if level.is_empty() {
            return Ok(body.to_string());
        }
    }
    Err(StoreError::TooDeep { limit: MAX_DEPTH })
}

/// Converts a count to a number of the database.
fn to_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
