//! Who owns memories, counted from one index.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, params_from_iter};

use crate::payload::parse_time;
use crate::{Owner, OwnerKind, Payload, Result, keys};

/// What a payload says that owners are counted by; the columns of that name in `memories`.
pub(super) struct About<'p> {
    pub(super) app: Option<&'p str>,
    pub(super) created_at: Option<&'p str>,
    pub(super) updated_at: Option<&'p str>,
}

impl<'p> About<'p> {
    pub(super) fn of(payload: &'p Payload) -> Self {
        let time = |key| payload.str(key).filter(|text| parse_time(text).is_some());
        Self {
            app: payload.str(OwnerKind::App.key()),
            created_at: time(keys::CREATED_AT),
            updated_at: time(keys::UPDATED_AT),
        }
    }
}

/// A time, and as it was written.
type Edge = Option<(Timestamp, String)>;

#[derive(Default)]
struct Count {
    memories: usize,
    first: Edge,
    last: Edge,
}

impl Count {
    fn add(&mut self, created: &Edge, touched: &Edge) {
        self.memories += 1;
        if let Some((time, _)) = created
            && self.first.as_ref().is_none_or(|(first, _)| time < first)
        {
            self.first.clone_from(created);
        }
        if let Some((time, _)) = touched
            && self.last.as_ref().is_none_or(|(last, _)| time > last)
        {
            self.last.clone_from(touched);
        }
    }

    fn owner(self, kind: OwnerKind, id: String) -> Owner {
        let text = |edge: Edge| edge.map(|(_, text)| text);
        Owner { kind, id, memories: self.memories, first: text(self.first), last: text(self.last) }
    }
}

/// Owners of all memories, or of those of one user.
pub(super) fn owners(connection: &Connection, within: Option<&str>) -> Result<Vec<Owner>> {
    let user = match within {
        None => None,
        Some(user) => match super::read::scope_id(connection, 0, user)? {
            Some((id, _)) => Some(id),
            None => return Ok(Vec::new()),
        },
    };
    let condition = if user.is_some() { "WHERE user_scope = ?" } else { "" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT user_scope, agent_scope, run_scope, app, created_at, updated_at
         FROM memories INDEXED BY memories_owners {condition}"
    ))?;
    let mut rows = statement.query(params_from_iter(user))?;
    let mut scopes: HashMap<i64, Count> = HashMap::new();
    let mut apps: HashMap<String, Count> = HashMap::new();
    // Neighbours in the index were often written in the same moment.
    let (mut created, mut updated): (Edge, Edge) = (None, None);
    while let Some(row) = rows.next()? {
        read_again(&mut created, row.get_ref(4)?.as_str_or_null().map_err(rusqlite::Error::from)?);
        read_again(&mut updated, row.get_ref(5)?.as_str_or_null().map_err(rusqlite::Error::from)?);
        let touched = if updated.is_some() { &updated } else { &created };
        for column in 0..3 {
            let scope: i64 = row.get(column)?;
            if scope != 0 {
                scopes.entry(scope).or_default().add(&created, touched);
            }
        }
        if let Some(app) = row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)? {
            if let Some(count) = apps.get_mut(app) {
                count.add(&created, touched);
            } else {
                apps.entry(app.to_owned()).or_default().add(&created, touched);
            }
        }
    }
    let mut owners: Vec<Owner> = apps.into_iter().map(|(id, count)| count.owner(OwnerKind::App, id)).collect();
    let mut named = connection.prepare_cached("SELECT kind, value FROM scopes WHERE id = ?")?;
    for (scope, count) in scopes {
        let (kind, id): (u16, String) = named.query_row([scope], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let kinds = [OwnerKind::User, OwnerKind::Agent, OwnerKind::Run];
        owners.extend(kinds.get(usize::from(kind)).map(|&kind| count.owner(kind, id)));
    }
    owners.sort_unstable_by(|a, b| (a.kind.as_str(), &a.id).cmp(&(b.kind.as_str(), &b.id)));
    Ok(owners)
}

/// Reads a time unless it is the one just read.
fn read_again(edge: &mut Edge, text: Option<&str>) {
    match (&*edge, text) {
        (Some((_, known)), Some(text)) if known == text => {}
        (_, text) => *edge = text.and_then(|text| Some((parse_time(text)?, text.to_owned()))),
    }
}
