//! The table of links between memories.

use crate::database::{Row, Sql, Tables, Value, snapshot};
use crate::{Link, MemoryId, Result, StoreError};

/// Ids in one statement.
const BATCH: usize = 500;

/// A query for the columns that [`link_at`] reads.
const SELECT: &str = "SELECT source, target, kind, created_at FROM links";

/// The links that start or end at a memory.
pub(crate) fn links_of(tables: &(impl Tables + ?Sized), id: MemoryId) -> Result<Vec<Link>> {
    let query = format!("{SELECT} WHERE source = $1 OR target = $1 ORDER BY source, target, kind");
    let rows = snapshot(tables, |sql| sql.query(&query, &[id.to_bytes().into()]))?;
    rows.iter().map(link_at).collect()
}

/// The links of kind [`Link::SUPERSEDES`] that end at one of these memories.
pub(crate) fn successors(tables: &(impl Tables + ?Sized), ids: &[MemoryId]) -> Result<Vec<Link>> {
    let mut links = Vec::new();
    for batch in ids.chunks(BATCH) {
        let parameters: Vec<String> = (1..=batch.len()).map(|number| format!("${number}")).collect();
        let values: Vec<Value> = batch.iter().map(|id| id.to_bytes().into()).collect();
        let query = format!(
            "{SELECT} WHERE kind = '{}' AND target IN ({}) ORDER BY created_at, source",
            Link::SUPERSEDES,
            parameters.join(", ")
        );
        let rows = snapshot(tables, |sql| sql.query(&query, &values))?;
        links.extend(rows.iter().map(link_at).collect::<Result<Vec<_>>>()?);
    }
    Ok(links)
}

/// All links.
#[cfg(feature = "qdrant")]
pub(crate) fn all_links(sql: &mut dyn Sql) -> Result<Vec<Link>> {
    sql.query(SELECT, &[])?.iter().map(link_at).collect()
}

/// The next links after this one, sorted by source, target and kind; the first links if it is `None`.
pub(super) fn links_after(sql: &mut dyn Sql, last: Option<&Link>, limit: usize) -> Result<Vec<Link>> {
    let query = format!("{SELECT} WHERE (source, target, kind) > ($1, $2, $3) ORDER BY source, target, kind LIMIT $4");
    let id = |id: Option<MemoryId>| Value::from(id.map_or_else(Vec::new, MemoryId::to_bytes));
    let values = [
        id(last.map(|link| link.source)),
        id(last.map(|link| link.target)),
        last.map_or("", |link| &link.kind).into(),
        (limit as i64).into(),
    ];
    sql.query(&query, &values)?.iter().map(link_at).collect()
}

/// Adds a link, unless the table has it.
pub(crate) fn insert(sql: &mut dyn Sql, link: &Link) -> Result<()> {
    sql.execute(
        "INSERT INTO links(source, target, kind, created_at) VALUES($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        &[
            link.source.to_bytes().into(),
            link.target.to_bytes().into(),
            link.kind.as_str().into(),
            link.created_at.as_str().into(),
        ],
    )
    .map(drop)
}

/// Deletes a link.
#[cfg(feature = "qdrant")]
pub(crate) fn delete(sql: &mut dyn Sql, link: &Link) -> Result<()> {
    sql.execute(
        "DELETE FROM links WHERE source = $1 AND target = $2 AND kind = $3",
        &[link.source.to_bytes().into(), link.target.to_bytes().into(), link.kind.as_str().into()],
    )
    .map(drop)
}

/// Deletes all links of a memory.
pub(crate) fn delete_all_of(sql: &mut dyn Sql, id: MemoryId) -> Result<()> {
    sql.execute("DELETE FROM links WHERE source = $1 OR target = $1", &[id.to_bytes().into()]).map(drop)
}

/// The link in a row of [`SELECT`].
fn link_at(row: &Row) -> Result<Link> {
    let id = |column: usize| {
        MemoryId::from_bytes(row.bytes(column)?).ok_or_else(|| StoreError::Corrupt("a link has an invalid id".into()))
    };
    Ok(Link { source: id(0)?, target: id(1)?, kind: row.text(2)?.to_owned(), created_at: row.text(3)?.to_owned() })
}
