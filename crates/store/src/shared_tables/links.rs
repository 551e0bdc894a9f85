//! The table of links between memories.

use std::collections::BTreeMap;

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

/// The links of kind [`Link::SUPERSEDES`] through which these memories are linked with others, directly or over others.
pub(crate) fn versions(tables: &(impl Tables + ?Sized), ids: &[MemoryId]) -> Result<Vec<Link>> {
    let mut links: BTreeMap<(MemoryId, MemoryId), Link> = BTreeMap::new();
    for batch in ids.chunks(BATCH) {
        let parameters: Vec<String> = (1..=batch.len()).map(|number| format!("${number}")).collect();
        let values: Vec<Value> = batch.iter().map(|id| id.to_bytes().into()).collect();
        let (kind, ids) = (Link::SUPERSEDES, parameters.join(", "));
        let query = format!(
            "WITH RECURSIVE linked(id) AS (
               SELECT source FROM links WHERE kind = '{kind}' AND (source IN ({ids}) OR target IN ({ids}))
               UNION
               SELECT CASE WHEN links.source = linked.id THEN links.target ELSE links.source END
               FROM linked JOIN links ON links.source = linked.id OR links.target = linked.id
               WHERE links.kind = '{kind}')
             {SELECT} WHERE kind = '{kind}' AND source IN (SELECT id FROM linked)"
        );
        let rows = snapshot(tables, |sql| sql.query(&query, &values))?;
        for row in &rows {
            let link = link_at(row)?;
            links.insert((link.source, link.target), link);
        }
    }
    Ok(links.into_values().collect())
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

/// Deletes all links of a memory. A memory that superseded it supersedes its older facts.
pub(crate) fn delete_all_of(sql: &mut dyn Sql, id: MemoryId) -> Result<()> {
    let kind = Link::SUPERSEDES;
    let bridge = format!(
        "INSERT INTO links(source, target, kind, created_at)
         SELECT newer.source, older.target, newer.kind, newer.created_at
         FROM links newer JOIN links older ON older.source = newer.target
         WHERE newer.target = $1 AND newer.kind = '{kind}' AND older.kind = '{kind}' AND newer.source <> older.target
         ON CONFLICT DO NOTHING"
    );
    sql.execute(&bridge, &[id.to_bytes().into()])?;
    sql.execute("DELETE FROM links WHERE source = $1 OR target = $1", &[id.to_bytes().into()]).map(drop)
}

/// The link in a row of [`SELECT`].
fn link_at(row: &Row) -> Result<Link> {
    let id = |column: usize| {
        MemoryId::from_bytes(row.bytes(column)?).ok_or_else(|| StoreError::Corrupt("a link has an invalid id".into()))
    };
    Ok(Link { source: id(0)?, target: id(1)?, kind: row.text(2)?.to_owned(), created_at: row.text(3)?.to_owned() })
}
