//! Types and data of the stories. The data are the same in every run.

use std::ops::ControlFlow;

use jiff::civil::{Date, date};
use serde_json::json;

use crate::database::Database;
use crate::{
    Change, ChangeSet, DocumentStore, Entity, EventKind, ExportRecord, HistoryEvent, Link, Memory, MemoryId, Mention,
    Payload, Provenance, Record, Result, Scope, SessionMessage, Store, StoredMemory, TermCount, Terms, keys,
};

/// Dims of the vectors in all stories.
pub const DIMS: usize = 8;

/// Opens the store of a story: the first time an empty one, then the same store again.
pub type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

/// Opens the document store of a story: the first time an empty one, then the same again.
pub type OpenDocumentStore<'a> = &'a dyn Fn() -> Box<dyn DocumentStore>;

/// Opens the database of a story with steps of a schema: the first time an empty one, then the same again, as another
/// process would.
pub type OpenDatabase<'a> = &'a (dyn Fn(&[&str]) -> Result<Box<dyn Database>> + Sync);

/// The current day in all stories.
pub(super) const TODAY: Date = date(2025, 6, 1);

/// A pseudo-random generator: SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    pub(super) fn vector(&mut self) -> Vec<f32> {
        unit((0..DIMS).map(|_| self.below(2001) as f32 / 1000.0 - 1.0).collect())
    }

    /// Distinct numbers below `limit`, sorted.
    fn numbers(&mut self, limit: u32) -> Vec<u32> {
        (0..limit).filter(|_| self.below(5) == 0).collect()
    }

    pub(super) fn terms(&mut self) -> Terms {
        let mut terms = Terms::default();
        for term in self.numbers(30) {
            let in_text = self.below(3) as u16;
            let in_context = in_text + self.below(3) as u16;
            terms.counts.push(TermCount { term, in_text, in_context });
            terms.text_len += u32::from(in_text);
            terms.context_len += u32::from(in_context);
        }
        terms
    }

    /// A record that uses all fields.
    pub(super) fn record(&mut self, id: MemoryId, number: u32) -> Record {
        let mut payload = Payload::default();
        payload.set(keys::DATA, format!("memory {number}"));
        payload.set(keys::HASH, format!("{:032x}", number % 7));
        payload.set(keys::CREATED_AT, format!("2024-01-01T00:{:02}:{:02}Z", number / 60 % 60, number % 60));
        for (key, ids) in [("user_id", ["u1", "u2"]), ("agent_id", ["a1", "a2"]), ("run_id", ["r1", "r2"])] {
            if self.below(3) > 0 {
                payload.set(key, *self.pick(&ids));
            }
        }
        match self.below(4) {
            0 => payload.set(keys::ACTOR_ID, "Ana"),
            1 => payload.set(keys::ACTOR_ID, "Ben"),
            2 => payload.set(keys::ACTOR_ID, json!({"name": "no text"})),
            _ => {}
        }
        payload.set(keys::ROLE, *self.pick(&["user", "assistant", "tool"]));
        payload.set("colour", *self.pick(&["red", "blue"]));
        match self.below(5) {
            0 => payload.set(keys::EXPIRATION_DATE, "2024-12-31"),
            1 => payload.set(keys::EXPIRATION_DATE, "2025-06-01"),
            _ => {}
        }
        let mut provenance = Provenance::default();
        if self.below(3) > 0 {
            provenance.session = Some((*self.pick(&["s1", "s2"])).to_owned());
            provenance.position = Some(number);
        }
        if self.below(2) == 0 {
            provenance.event_time = Some(format!("2024-03-{:02}T10:00:00Z", 1 + self.below(28)).parse().unwrap());
        }
        let bm25 = self.numbers(30).into_iter().map(|term| (term, 0.1 + self.below(1000) as f32 / 500.0)).collect();
        let vector = if self.below(10) == 0 { vec![0.0; DIMS] } else { self.vector() };
        Record {
            memory: Memory { id, payload, provenance },
            vector,
            bm25,
            terms: self.terms(),
            holds_time_word: self.below(2) == 0,
            mentions: Vec::new(),
        }
    }
}

/// Normalises a vector. Normalising it again does not change it, so that a store that normalises vectors returns the same.
pub(super) fn unit(vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let vector: Vec<f32> = vector.into_iter().map(|value| (f64::from(value) / norm) as f32).collect();
    let square: f32 = vector.iter().map(|value| value * value).sum();
    assert!((square - 1.0).abs() < 1e-6, "{square}");
    vector
}

/// The n-th id: a number or a UUID.
pub(super) fn id(number: u32) -> MemoryId {
    match number % 2 {
        0 => MemoryId::Number(u64::from(number)),
        _ => MemoryId::Uuid(uuid::Uuid::from_u128(u128::from(number) << 64 | 0x4000_8000)),
    }
}

/// A simple record of a scope.
pub(super) fn plain(number: u32, scope: &Scope, text: &str) -> Record {
    let mut payload = Payload::default();
    payload.set(keys::DATA, text);
    payload.set(keys::HASH, format!("hash of {text}"));
    payload.set(keys::CREATED_AT, format!("2024-01-01T00:00:{:02}Z", number % 60));
    for (key, id) in crate::SCOPE_KEYS.iter().zip(scope.ids()) {
        if let Some(id) = id {
            payload.set(key, id);
        }
    }
    let mut vector = vec![0.0; DIMS];
    vector[number as usize % DIMS] = 1.0;
    let counts = vec![TermCount { term: number, in_text: 1, in_context: 1 }];
    Record {
        memory: Memory { id: id(number), payload, provenance: Provenance::default() },
        vector,
        bm25: vec![(number, 1.5)],
        terms: Terms { counts, text_len: 1, context_len: 1 },
        holds_time_word: false,
        mentions: Vec::new(),
    }
}

pub(super) fn mention(text: &str, axis: usize) -> Mention {
    let mut vector = vec![0.0; DIMS];
    vector[axis] = 1.0;
    Mention { kind: "PROPER".into(), text: text.into(), vector }
}

pub(super) fn user(id: &str) -> Scope {
    Scope::user(id).unwrap()
}

pub(super) fn scope(user: Option<&str>, agent: Option<&str>, run: Option<&str>) -> Scope {
    Scope::new(user, agent, run).unwrap()
}

pub(super) fn event(id: &str, memory: MemoryId, kind: EventKind) -> HistoryEvent {
    HistoryEvent {
        id: id.into(),
        memory_id: memory.to_string(),
        old_memory: None,
        new_memory: Some(format!("text of {id}")),
        event: kind.into(),
        created_at: Some("2024-01-01T00:00:00Z".into()),
        updated_at: None,
        is_deleted: kind == EventKind::Delete,
        actor_id: Some("Ana".into()),
        role: None,
        scope: Scope { user_id: Some("u 1".into()), agent_id: None, run_id: Some("Zoë".into()) },
    }
}

pub(super) fn apply(store: &dyn Store, changes: Vec<Change>) -> Result<()> {
    store.apply(&ChangeSet { expected: Vec::new(), changes })
}

pub(super) fn insert(store: &dyn Store, record: Record) {
    apply(store, vec![Change::Insert(Box::new(record))]).unwrap();
}

pub(super) fn one(store: &dyn Store, id: MemoryId) -> Option<Memory> {
    store.get(&[id]).unwrap().pop().flatten()
}

/// Checks that the store has no findings.
pub(super) fn assert_consistent(store: &dyn Store) {
    assert_eq!(store.check().unwrap(), [], "the check of the store");
}

/// The contents of a store.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) memories: Vec<StoredMemory>,
    pub(super) entities: Vec<Entity>,
    pub(super) links: Vec<Link>,
    pub(super) history: Vec<HistoryEvent>,
    pub(super) messages: Vec<SessionMessage>,
}

pub(super) fn contents(store: &dyn Store) -> Contents {
    let mut all = Contents::default();
    store
        .visit(&mut |record| {
            match record {
                ExportRecord::Memory(memory) => all.memories.push(*memory),
                ExportRecord::Entity(entity) => all.entities.push(*entity),
                ExportRecord::Link(link) => all.links.push(link),
                ExportRecord::History(event) => all.history.push(*event),
                ExportRecord::Message(message) => all.messages.push(*message),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    all
}
