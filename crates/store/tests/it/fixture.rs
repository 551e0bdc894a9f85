//! Stores and records for the tests.

use std::path::Path;

use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{
    Change, ChangeSet, EventKind, Filter, HistoryEvent, Memory, MemoryId, Mention, Payload, Provenance, Record, Result,
    Scope, SqliteStore, Store, TermCount, Terms,
};

pub(crate) const DIMS: usize = 8;

pub(crate) fn options(path: &Path) -> SqliteOptions {
    SqliteOptions::new(path, "test", DIMS)
}

pub(crate) fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(options(path)).expect("the store opens")
}

/// A memory of a user with text, vector, terms and a mention.
pub(crate) fn record(number: u64, user: &str) -> Record {
    let mut payload = Payload::default();
    payload.set("data", format!("memory {number}"));
    payload.set("hash", format!("{number:032x}"));
    payload.set("user_id", user);
    let mut vector = vec![0.25; DIMS];
    vector[number as usize % DIMS] = 1.0;
    let terms = Terms {
        counts: vec![TermCount { term: number as u32, in_text: 1, in_context: 1 }],
        text_len: 1,
        context_len: 1,
    };
    let mention = Mention { kind: "PROPER".into(), text: "Nori".into(), vector: vector.clone() };
    Record {
        memory: Memory { id: MemoryId::Number(number), payload, provenance: Provenance::default() },
        vector,
        bm25: vec![(number as u32, 1.0)],
        terms,
        holds_time_word: false,
        mentions: vec![mention],
    }
}

pub(crate) fn history(number: u64) -> HistoryEvent {
    HistoryEvent {
        id: format!("history of {number}"),
        memory_id: number.to_string(),
        old_memory: None,
        new_memory: Some(format!("memory {number}")),
        event: EventKind::Add.into(),
        created_at: None,
        updated_at: None,
        is_deleted: false,
        actor_id: None,
        role: None,
        scope: Scope::default(),
    }
}

/// Adds a memory and its history event in one change set.
pub(crate) fn add(store: &dyn Store, record: Record) -> Result<()> {
    let MemoryId::Number(number) = record.memory.id else { unreachable!("numbers only") };
    let changes = vec![Change::Insert(Box::new(record)), Change::History(Box::new(history(number)))];
    store.apply(&ChangeSet { expected: Vec::new(), changes })
}

pub(crate) fn by_user(user: &str) -> Filter {
    Filter::eq("user_id", user).expect("a filter")
}
