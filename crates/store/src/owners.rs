//! Counts the memories of owners, row by row.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::payload::parse_time;
use crate::{Owner, OwnerKind, Payload, Result, keys};

/// The values of a payload that owners are counted by. Values that are not text and times that are not valid are absent.
pub(crate) struct OwnerFields<'p> {
    pub(crate) app: Option<&'p str>,
    pub(crate) created_at: Option<&'p str>,
    pub(crate) updated_at: Option<&'p str>,
}

impl<'p> OwnerFields<'p> {
    /// The values of this payload.
    pub(crate) fn of(payload: &'p Payload) -> Self {
        let time = |key| payload.str(key).filter(|text| parse_time(text).is_some());
        Self {
            app: payload.str(OwnerKind::App.key()),
            created_at: time(keys::CREATED_AT),
            updated_at: time(keys::UPDATED_AT),
        }
    }
}

/// A time, and the text that it was read from.
type ReadTime = Option<(Timestamp, String)>;

#[derive(Default)]
struct Count {
    memories: usize,
    first: ReadTime,
    last: ReadTime,
}

impl Count {
    fn add(&mut self, created: &ReadTime, changed: &ReadTime) {
        self.memories += 1;
        if let Some((time, _)) = created
            && self.first.as_ref().is_none_or(|(first, _)| time < first)
        {
            self.first.clone_from(created);
        }
        if let Some((time, _)) = changed
            && self.last.as_ref().is_none_or(|(last, _)| time > last)
        {
            self.last.clone_from(changed);
        }
    }

    fn owner(self, kind: OwnerKind, id: String) -> Owner {
        let text = |time: ReadTime| time.map(|(_, text)| text);
        Owner { kind, id, memories: self.memories, first: text(self.first), last: text(self.last) }
    }
}

/// Counts the memories of owners.
#[derive(Default)]
pub(crate) struct OwnerCounts {
    scopes: HashMap<i64, Count>,
    apps: HashMap<String, Count>,
    /// The parsed times of the previous row. Adjacent rows often have equal times, which are not parsed again.
    created: ReadTime,
    updated: ReadTime,
}

impl OwnerCounts {
    /// Counts a memory with these scope ids; 0 means no id.
    pub(crate) fn add(&mut self, scopes: [i64; 3], fields: &OwnerFields<'_>) {
        read_time(&mut self.created, fields.created_at);
        read_time(&mut self.updated, fields.updated_at);
        let changed = if self.updated.is_some() { &self.updated } else { &self.created };
        for scope in scopes {
            if scope != 0 {
                self.scopes.entry(scope).or_default().add(&self.created, changed);
            }
        }
        if let Some(app) = fields.app {
            if let Some(count) = self.apps.get_mut(app) {
                count.add(&self.created, changed);
            } else {
                self.apps.entry(app.to_owned()).or_default().add(&self.created, changed);
            }
        }
    }

    /// All owners in the order of [`crate::Store::owners`]. `name` returns the kind (0 user, 1 agent, 2 run) and the value
    /// of a scope id; an owner whose scope id has none is left out.
    pub(crate) fn finish(self, mut name: impl FnMut(i64) -> Result<Option<(usize, String)>>) -> Result<Vec<Owner>> {
        let mut owners: Vec<Owner> = self.apps.into_iter().map(|(id, count)| count.owner(OwnerKind::App, id)).collect();
        for (scope, count) in self.scopes {
            let Some((kind, id)) = name(scope)? else { continue };
            let kinds = [OwnerKind::User, OwnerKind::Agent, OwnerKind::Run];
            owners.extend(kinds.get(kind).map(|&kind| count.owner(kind, id)));
        }
        owners.sort_unstable_by(|a, b| (a.kind.as_str(), &a.id).cmp(&(b.kind.as_str(), &b.id)));
        Ok(owners)
    }
}

/// Parses a time unless it equals the previous one.
fn read_time(previous: &mut ReadTime, text: Option<&str>) {
    match (&*previous, text) {
        (Some((_, known)), Some(text)) if known == text => {}
        (_, text) => *previous = text.and_then(|text| Some((parse_time(text)?, text.to_owned()))),
    }
}
