//! Reads by id, list and session, and everything at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use jiff::civil::Date;
use qdrant_client::qdrant::{CountPointsBuilder, Filter as Remote, RetrievedPoint};

use super::QdrantStore;
use super::codec::{payload, vectors};
use super::entities::entity;
use super::pushdown;
use super::sync::Reach;
use super::tables::{self, HISTORY, event_at, id_at, id_value, link_at, scope_ids, scope_is};
use crate::cursor;
use crate::database::{Sql, Value, snapshot};
use crate::messages::{COLUMNS as MESSAGES, message_at};
use crate::owners::{About, OwnerCounts};
use crate::scope_index::day_number;
use crate::{
    ExportRecord, Filter, HistoryEvent, Link, Memory, MemoryId, Owner, Page, PageRequest, Provenance, Result, Scope,
    ScopeSummary, SessionWindow, StoreError, StoredMemory,
};

/// Rows and points read at a time.
const AT_ONCE: usize = 500;
/// Ids of one statement; shorter lists are filled up, so that there are few statements.
const IDS: [usize; 3] = [4, 24, 128];

const PROVENANCE: &str = "(SELECT name FROM sessions WHERE sessions.id = memories.session), position, event_time";

impl QdrantStore {
    pub(super) fn memories(&self, ids: &[MemoryId]) -> Result<Vec<Option<Memory>>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.unstick()?;
        let distinct: BTreeSet<MemoryId> = ids.iter().copied().collect();
        let fetching = self.start(|store| async move { store.fetching(distinct, true, false).await });
        let provenance = self.provenance(ids)?;
        let points = self.inner.client.finish(fetching)?;
        let memory = |id: &MemoryId| {
            let point = points.get(id)?;
            Some(memory(*id, point, provenance.get(id)))
        };
        Ok(ids.iter().map(memory).collect())
    }

    /// Where memories were said, for those that were met.
    fn provenance(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, Provenance>> {
        let mut found = HashMap::with_capacity(ids.len());
        if ids.is_empty() {
            return Ok(found);
        }
        snapshot(self.ledger(), |sql| {
            for part in ids.chunks(IDS[IDS.len() - 1]) {
                let room = IDS.into_iter().find(|room| *room >= part.len()).unwrap_or(part.len());
                let places: Vec<String> = (1..=room).map(|at| format!("${at}")).collect();
                let last = part.last().copied();
                let filled = part.iter().copied().chain(std::iter::repeat_n(last, room - part.len()).flatten());
                let rows = sql.query(
                    &format!("SELECT id, {PROVENANCE} FROM memories WHERE id IN ({})", places.join(", ")),
                    &filled.map(id_value).collect::<Vec<_>>(),
                )?;
                for row in rows {
                    found.insert(id_at(&row, 0)?, tables::provenance_at(&row, 1)?);
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    pub(super) fn stored(&self, ids: &[MemoryId]) -> Result<Vec<Option<StoredMemory>>> {
        self.unstick()?;
        let mut points = self.fetch(ids, true, true)?;
        let provenance = self.provenance(ids)?;
        let stored = |id: &MemoryId| {
            let point = points.remove(id)?;
            let memory = memory(*id, &point, provenance.get(id));
            let (vector, bm25) = vectors(point.vectors);
            Some(StoredMemory { memory, vector, bm25 })
        };
        Ok(ids.iter().map(stored).collect())
    }

    /// Memories that are there, in this order.
    fn there(&self, ids: &[MemoryId]) -> Result<Vec<Memory>> {
        Ok(self.memories(ids)?.into_iter().flatten().collect())
    }

    /// What a filter may concern.
    pub(super) fn reach<'s>(scope: &'s Scope) -> Reach<'s> {
        let first = scope.ids().into_iter().enumerate().find_map(|(kind, id)| Some((kind, id?)));
        first.map_or(Reach::Everything, |(kind, id)| Reach::Carrying(kind, id))
    }

    /// The ids a filter matches, by what Qdrant says.
    pub(super) fn matching(&self, filter: &Filter) -> Result<HashSet<MemoryId>> {
        let (remote, exact) = pushdown::remote(filter);
        let points = self.scroll_points(remote, !exact)?;
        let mut ids = HashSet::with_capacity(points.len());
        for point in points {
            if exact || filter.matches(payload(point.payload).as_map()) {
                ids.insert(super::codec::memory_id(point.id)?);
            }
        }
        Ok(ids)
    }

    pub(super) fn list_page(
        &self,
        filter: Option<&Filter>,
        today: Option<Date>,
        page: &PageRequest,
    ) -> Result<Page<Memory>> {
        let nothing = Page { items: Vec::new(), total: 0, next: None };
        let before = match &page.cursor {
            Some(cursor) => cursor::decode(cursor)?,
            None => i64::MAX,
        };
        if filter.is_some_and(|filter| filter.scope().is_contradiction()) {
            return Ok(nothing);
        }
        let scope = filter.map(Scope::pinned_by).unwrap_or_default();
        self.notice(Self::reach(&scope))?;
        let further = filter.filter(|filter| !filter.is_scope_only());
        let matching = further.map(|filter| self.matching(filter)).transpose()?;
        let found = snapshot(self.ledger(), |sql| {
            let Some((mut condition, mut values)) = carrying(sql, &scope)? else { return Ok(None) };
            if let Some(today) = today {
                values.push(Value::Int(i64::from(day_number(today))));
                condition.push_str(&format!(" AND (expires IS NULL OR expires >= ${})", values.len()));
            }
            let mut rows: Vec<(i64, MemoryId)> = Vec::new();
            let total = match &matching {
                None => {
                    let count = sql.query(&format!("SELECT count(*) FROM memories WHERE {condition}"), &values)?;
                    values.extend([before, whole(page.limit.saturating_add(1)), whole(page.offset)].map(Value::Int));
                    let at = values.len();
                    let sql_text = format!(
                        "SELECT seq, id FROM memories WHERE {condition} AND seq < ${} ORDER BY seq DESC LIMIT ${} OFFSET ${at}",
                        at - 2,
                        at - 1
                    );
                    for row in sql.query(&sql_text, &values)? {
                        rows.push((row.int(0)?, id_at(&row, 1)?));
                    }
                    tables::first_int(&count)?
                }
                Some(matching) => {
                    let mut total = 0;
                    let mut skip = page.offset;
                    for row in sql
                        .query(&format!("SELECT seq, id FROM memories WHERE {condition} ORDER BY seq DESC"), &values)?
                    {
                        let (seq, id) = (row.int(0)?, id_at(&row, 1)?);
                        if !matching.contains(&id) {
                            continue;
                        }
                        total += 1;
                        if seq < before && skip > 0 {
                            skip -= 1;
                        } else if seq < before && rows.len() <= page.limit {
                            rows.push((seq, id));
                        }
                    }
                    total
                }
            };
            Ok(Some((total, rows)))
        })?;
        let Some((total, mut rows)) = found else { return Ok(nothing) };
        let more = rows.len() > page.limit;
        rows.truncate(page.limit);
        let next = rows.last().filter(|_| more).map(|(seq, _)| cursor::encode(*seq));
        let ids: Vec<MemoryId> = rows.into_iter().map(|(_, id)| id).collect();
        let mut items = self.there(&ids)?;
        // What was moved to another owner this very moment is no longer of this list.
        items.retain(|memory| filter.is_none_or(|filter| filter.matches(memory.payload.as_map())));
        Ok(Page { items, total: usize::try_from(total).unwrap_or(0), next })
    }

    pub(super) fn of_hash(&self, scope: &Scope, hash: &str, today: Option<Date>) -> Result<Option<MemoryId>> {
        snapshot(self.ledger(), |sql| {
            let Some(ids) = scope_ids(sql, scope)? else { return Ok(None) };
            let rows = sql.query(
                "SELECT id FROM memories WHERE hash = $1 AND gone = 0 AND user_scope = $2 AND agent_scope = $3
                 AND run_scope = $4 AND (expires IS NULL OR expires >= $5) ORDER BY seq LIMIT 1",
                &[
                    tables::short(Some(hash)),
                    Value::Int(ids[0]),
                    Value::Int(ids[1]),
                    Value::Int(ids[2]),
                    Value::Int(today.map_or(i64::MIN, |day| i64::from(day_number(day)))),
                ],
            )?;
            rows.first().map(|row| id_at(row, 0)).transpose()
        })
    }

    pub(super) fn of_session(&self, scope: &Scope, session: &str, window: SessionWindow) -> Result<Vec<Memory>> {
        let ids = snapshot(self.ledger(), |sql| {
            let Some(scopes) = scope_ids(sql, scope)? else { return Ok(Vec::new()) };
            let Some(session) = tables::session_id(sql, &scopes, session)? else { return Ok(Vec::new()) };
            in_session(sql, session, window)
        })?;
        let mut memories = self.there(&ids)?;
        memories.retain(|memory| memory.payload.scope() == *scope);
        Ok(memories)
    }

    pub(super) fn last_of(&self, scope: &Scope) -> Result<Option<Memory>> {
        Ok(self.end_of_session(scope, 0)?.map(|(last, _)| last))
    }

    pub(super) fn end_of_session(&self, scope: &Scope, count: usize) -> Result<Option<(Memory, Vec<Memory>)>> {
        let ids = snapshot(self.ledger(), |sql| {
            let Some(ids) = scope_ids(sql, scope)? else { return Ok(Vec::new()) };
            let rows = sql.query(
                "SELECT id, session FROM memories WHERE user_scope = $1 AND agent_scope = $2 AND run_scope = $3
                 AND session <> 0 AND gone = 0 ORDER BY seq DESC LIMIT 1",
                &[Value::Int(ids[0]), Value::Int(ids[1]), Value::Int(ids[2])],
            )?;
            let Some(row) = rows.first() else { return Ok(Vec::new()) };
            let mut ids = vec![id_at(row, 0)?];
            ids.extend(in_session(sql, row.int(1)?, SessionWindow::Last(count))?);
            Ok(ids)
        })?;
        let mut found =
            self.memories(&ids)?.into_iter().map(|memory| memory.filter(|own| own.payload.scope() == *scope));
        let last = found.next().flatten();
        Ok(last.map(|last| (last, found.flatten().collect())))
    }

    pub(super) fn links(&self, id: MemoryId) -> Result<Vec<Link>> {
        self.unstick()?;
        snapshot(self.ledger(), |sql| {
            let rows = sql.query(
                "SELECT source, target, kind, created_at FROM links WHERE source = $1 OR target = $1
                 ORDER BY source, target, kind",
                &[id_value(id)],
            )?;
            rows.iter().map(link_at).collect()
        })
    }

    pub(super) fn events(&self, memory_id: &str) -> Result<Vec<HistoryEvent>> {
        self.unstick()?;
        snapshot(self.ledger(), |sql| {
            let rows = sql
                .query(&format!("{HISTORY} WHERE memory_id = $1 ORDER BY seq"), &[Value::Text(memory_id.to_owned())])?;
            rows.iter().map(event_at).collect()
        })
    }

    pub(super) fn summed(&self, scope: &Scope) -> Result<ScopeSummary> {
        if scope.is_empty() {
            return Err(StoreError::InvalidScope("at least one of user_id, agent_id, run_id is required".into()));
        }
        self.notice(Self::reach(scope))?;
        let summary = snapshot(self.ledger(), |sql| {
            let Some((condition, values)) = carrying(sql, scope)? else { return Ok(ScopeSummary::default()) };
            let count = |rows: &[crate::database::Row]| -> Result<usize> {
                Ok(usize::try_from(tables::first_int(rows)?).unwrap_or(0))
            };
            let memories = count(&sql.query(&format!("SELECT count(*) FROM memories WHERE {condition}"), &values)?)?;
            let links = count(&sql.query(
                &format!("SELECT count(*) FROM links JOIN memories ON memories.id = links.source WHERE {condition}"),
                &values,
            )?)?;
            let mut edge = |order: &str| -> Result<Option<String>> {
                let rows = sql.query(
                    &format!(
                        "SELECT created_at FROM memories WHERE {condition} AND created IS NOT NULL
                         ORDER BY created {order} LIMIT 1"
                    ),
                    &values,
                )?;
                rows.first().map(|row| Ok(row.opt_text(0)?.map(str::to_owned))).transpose().map(Option::flatten)
            };
            Ok(ScopeSummary { memories, links, entities: 0, first: edge("ASC")?, last: edge("DESC")? })
        })?;
        let entities = self.count_points(&self.inner.collections.entities, pushdown::carrying(scope))?;
        Ok(ScopeSummary { entities, ..summary })
    }

    pub(super) fn count_points(&self, collection: &str, filter: Remote) -> Result<usize> {
        let asked = CountPointsBuilder::new(collection).filter(filter).exact(true).build();
        let answer = self.inner.client.call("count", |node| node.count(asked.clone()))?;
        Ok(answer.result.map_or(0, |count| count.count as usize))
    }

    pub(super) fn owners_of(&self, within: Option<&str>) -> Result<Vec<Owner>> {
        self.notice(within.map_or(Reach::Everything, |user| Reach::Carrying(0, user)))?;
        snapshot(self.ledger(), |sql| {
            let scope = Scope { user_id: within.map(str::to_owned), ..Scope::default() };
            let Some((condition, values)) = carrying(sql, &scope)? else { return Ok(Vec::new()) };
            let rows = sql.query(
                &format!(
                    "SELECT user_scope, agent_scope, run_scope, app, created_at, updated_at FROM memories WHERE {condition}"
                ),
                &values,
            )?;
            let mut counts = OwnerCounts::default();
            for row in &rows {
                let about = About { app: row.opt_text(3)?, created_at: row.opt_text(4)?, updated_at: row.opt_text(5)? };
                counts.add([row.int(0)?, row.int(1)?, row.int(2)?], &about);
            }
            counts.finish(|id| {
                let rows = sql.query("SELECT kind, value FROM scopes WHERE id = $1", &[Value::Int(id)])?;
                let row = rows.first().ok_or_else(|| StoreError::Corrupt("a scope of no name".into()))?;
                Ok((usize::try_from(row.int(0)?).unwrap_or(usize::MAX), row.text(1)?.to_owned()))
            })
        })
    }

    /// Everything, stretch by stretch: what changes meanwhile may be seen before or after.
    pub(super) fn visit_all(&self, visitor: &mut dyn FnMut(ExportRecord) -> ControlFlow<()>) -> Result<()> {
        self.notice(Reach::Everything)?;
        let mut last = i64::MIN;
        loop {
            let rows =
                self.stretch("SELECT seq, id FROM memories WHERE gone = 0 AND seq > $1 ORDER BY seq LIMIT $2", last)?;
            let Some(end) = rows.last() else { break };
            last = end.int(0)?;
            let ids = rows.iter().map(|row| id_at(row, 1)).collect::<Result<Vec<_>>>()?;
            for stored in self.stored(&ids)?.into_iter().flatten() {
                if visitor(ExportRecord::Memory(Box::new(stored))).is_break() {
                    return Ok(());
                }
            }
        }
        let found = self.inner.client.wait(self.scroll_entities(Remote::default(), true))?;
        let mut entities = found.into_iter().map(entity).collect::<Result<Vec<_>>>()?;
        self.in_order(&mut entities)?;
        for entity in entities {
            if visitor(ExportRecord::Entity(Box::new(entity))).is_break() {
                return Ok(());
            }
        }
        let links = snapshot(self.ledger(), |sql| {
            let rows =
                sql.query("SELECT source, target, kind, created_at FROM links ORDER BY source, target, kind", &[])?;
            rows.iter().map(link_at).collect::<Result<Vec<_>>>()
        })?;
        for link in links {
            if visitor(ExportRecord::Link(link)).is_break() {
                return Ok(());
            }
        }
        for (columns, table, is_history) in [(HISTORY, "history", true), (MESSAGES, "messages", false)] {
            let mut last = i64::MIN;
            loop {
                let seqs =
                    self.stretch(&format!("SELECT seq FROM {table} WHERE seq > $1 ORDER BY seq LIMIT $2"), last)?;
                let Some(end) = seqs.last() else { break };
                let end = end.int(0)?;
                let rows = snapshot(self.ledger(), |sql| {
                    sql.query(
                        &format!("{columns} WHERE seq > $1 AND seq <= $2 ORDER BY seq"),
                        &[Value::Int(last), Value::Int(end)],
                    )
                })?;
                last = end;
                for row in &rows {
                    let piece = match is_history {
                        true => ExportRecord::History(Box::new(event_at(row)?)),
                        false => ExportRecord::Message(Box::new(message_at(row)?)),
                    };
                    if visitor(piece).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn stretch(&self, sql_text: &str, after: i64) -> Result<Vec<crate::database::Row>> {
        snapshot(self.ledger(), |sql| sql.query(sql_text, &[Value::Int(after), Value::Int(AT_ONCE as i64)]))
    }
}

/// Memories of a session, in order.
fn in_session(sql: &mut dyn Sql, session: i64, window: SessionWindow) -> Result<Vec<MemoryId>> {
    let mut some = |condition: &str, position: i64, count: usize| -> Result<Vec<MemoryId>> {
        let rows = sql.query(
            &format!(
                "SELECT id FROM memories WHERE session = $1 AND session <> 0 AND gone = 0 AND position {condition} LIMIT $3"
            ),
            &[Value::Int(session), Value::Int(position), Value::Int(whole(count))],
        )?;
        rows.iter().map(|row| id_at(row, 0)).collect()
    };
    let before = "< $2 ORDER BY position DESC, seq DESC";
    let (position, lower) = match window {
        SessionWindow::Last(count) => (i64::MAX, count),
        SessionWindow::Around { position, before, .. } => (i64::from(position), before),
    };
    let mut ids = some(before, position, lower)?;
    ids.reverse();
    if let SessionWindow::Around { position, after, .. } = window {
        ids.extend(some("> $2 ORDER BY position, seq", i64::from(position), after)?);
    }
    Ok(ids)
}

fn memory(id: MemoryId, point: &RetrievedPoint, provenance: Option<&Provenance>) -> Memory {
    Memory { id, payload: payload(point.payload.clone()), provenance: provenance.cloned().unwrap_or_default() }
}

/// SQL for "is there and carries all ids of this scope"; `None` where no memory can.
fn carrying(sql: &mut dyn Sql, scope: &Scope) -> Result<Option<(String, Vec<Value>)>> {
    let Some(ids) = scope_ids(sql, scope)? else { return Ok(None) };
    let mut condition = "gone = 0".to_owned();
    let mut values = Vec::new();
    for (kind, id) in ids.into_iter().enumerate().filter(|(_, id)| *id != 0) {
        values.push(Value::Int(id));
        condition.push_str(&format!(" AND {}", scope_is(kind, values.len())));
    }
    Ok(Some((condition, values)))
}

/// A count as SQL has it.
fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
