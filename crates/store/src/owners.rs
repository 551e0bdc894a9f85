//! Who owns memories, counted row by row.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::payload::parse_time;
use crate::{Owner, OwnerKind, Payload, Result, keys};

/// What a payload says that owners are counted by: text, and a time that is one.
pub(crate) struct About<'p> {
    pub(crate) app: Option<&'p str>,
    pub(crate) created_at: Option<&'p str>,
    pub(crate) updated_at: Option<&'p str>,
}

impl<'p> About<'p> {
    /// What this payload says.
    pub(crate) fn of(payload: &'p Payload) -> Self {
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

/// Owners counted so far.
#[derive(Default)]
pub(crate) struct OwnerCounts {
    scopes: HashMap<i64, Count>,
    apps: HashMap<String, Count>,
    /// The times of the row before: neighbours were often written in the same moment.
    created: Edge,
    updated: Edge,
}

impl OwnerCounts {
    /// Counts a memory of these scopes, 0 for none.
    pub(crate) fn add(&mut self, scopes: [i64; 3], about: &About<'_>) {
        read_again(&mut self.created, about.created_at);
        read_again(&mut self.updated, about.updated_at);
        let touched = if self.updated.is_some() { &self.updated } else { &self.created };
        for scope in scopes {
            if scope != 0 {
                self.scopes.entry(scope).or_default().add(&self.created, touched);
            }
        }
        if let Some(app) = about.app {
            if let Some(count) = self.apps.get_mut(app) {
                count.add(&self.created, touched);
            } else {
                self.apps.entry(app.to_owned()).or_default().add(&self.created, touched);
            }
        }
    }

    /// All owners, sorted as [`crate::Store::owners`] says. `name` gives a scope's kind (0 user, 1 agent, 2 run) and value.
    pub(crate) fn finish(self, mut name: impl FnMut(i64) -> Result<(usize, String)>) -> Result<Vec<Owner>> {
        let mut owners: Vec<Owner> = self.apps.into_iter().map(|(id, count)| count.owner(OwnerKind::App, id)).collect();
        for (scope, count) in self.scopes {
            let (kind, id) = name(scope)?;
            let kinds = [OwnerKind::User, OwnerKind::Agent, OwnerKind::Run];
            owners.extend(kinds.get(kind).map(|&kind| count.owner(kind, id)));
        }
        owners.sort_unstable_by(|a, b| (a.kind.as_str(), &a.id).cmp(&(b.kind.as_str(), &b.id)));
        Ok(owners)
    }
}

/// Reads a time unless it is the one just read.
fn read_again(edge: &mut Edge, text: Option<&str>) {
    match (&*edge, text) {
        (Some((_, known)), Some(text)) if known == text => {}
        (_, text) => *edge = text.and_then(|text| Some((parse_time(text)?, text.to_owned()))),
    }
}
