//! Loads the index of a scope from the file.

use rusqlite::Connection;

use super::row::{blob_at, id_at};
use super::scopes::HAS_SCOPE_ID;
use crate::scope_index::{Bm25Lists, Entry, ScopeIndex, sparse_from_blob, terms_from_blob, vector_from_blob};
use crate::{Payload, Result, StoreError, keys};

/// Loads a scope in the snapshot of the connection.
pub(super) fn scope(connection: &Connection, dims: usize, kind: usize, scope: i64, version: i64) -> Result<ScopeIndex> {
    let mut index = ScopeIndex::empty(dims, version);
    let condition = HAS_SCOPE_ID[kind];
    let count: i64 = connection
        .prepare_cached(&format!("SELECT count(*) FROM memories WHERE {condition}"))?
        .query_row([scope], |row| row.get(0))?;
    index.reserve(usize::try_from(count).unwrap_or(0));
    let mut statement = connection.prepare_cached(&format!(
        "SELECT m.slot, m.id, m.user_scope, m.agent_scope, m.run_scope, m.session, m.day, m.expires,
                m.holds_time_word, s.vector, s.terms,
                CASE json_type(m.payload, '$.actor_id') WHEN 'text' THEN m.payload ->> '$.actor_id' END,
                CASE json_type(m.payload, '$.role') WHEN 'text' THEN m.payload ->> '$.role' END,
                m.position
         FROM memories m JOIN signals s ON s.slot = m.slot WHERE {condition} ORDER BY m.slot"
    ))?;
    let mut rows = statement.query([scope])?;
    let mut vector = Vec::with_capacity(dims);
    while let Some(row) = rows.next()? {
        let id = id_at(row, 1)?;
        let mut speaker = Payload::default();
        for (column, key) in [(11, keys::ACTOR_ID), (12, keys::ROLE)] {
            if let Some(name) = row.get::<_, Option<String>>(column)? {
                speaker.set(key, name);
            }
        }
        let (actor, by_user) = Entry::speaker(&speaker);
        let entry = Entry {
            slot: row.get(0)?,
            rev: 0,
            id,
            scopes: [row.get(2)?, row.get(3)?, row.get(4)?],
            session: row.get(5)?,
            position: row.get(13)?,
            day: row.get(6)?,
            expires: row.get(7)?,
            holds_time_word: row.get(8)?,
            actor,
            by_user,
            terms: terms_from_blob(blob_at(row, 10)?)?,
        };
        vector.clear();
        vector_from_blob(blob_at(row, 9)?, &mut vector);
        if vector.len() != dims {
            return Err(StoreError::Corrupt(format!("the vector of memory {id}")));
        }
        index.push(entry, &vector);
    }
    Ok(index)
}

/// Loads the stored `bm25` vectors of the rows of an index, in the snapshot of the connection.
pub(super) fn bm25(connection: &Connection, index: &mut ScopeIndex) -> Result<()> {
    let mut lists = Bm25Lists::default();
    let mut statement = connection.prepare_cached("SELECT bm25 FROM signals WHERE slot = ?")?;
    for (number, row) in index.living() {
        let sparse = statement.query_row([row.slot], |found| {
            Ok(sparse_from_blob(found.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?))
        })?;
        for (term, value) in sparse {
            lists.entry(term).or_default().push((number, value));
        }
    }
    index.set_bm25(lists);
    Ok(())
}
