//! Filters by the session and the event time of memories.

use std::collections::BTreeSet;

use serde_json::json;

use super::fixture::{Open, Random, assert_consistent, id, insert};
use crate::{Filter, MemoryId, PageRequest, Record, View, run_search};

/// Lists, searches and removals read the session and the event time of memories as [`crate::Memory::matches`] does.
pub(super) fn filters_read_session_and_event_time(open: Open<'_>) {
    let store = open();
    let mut random = Random(23);
    let mut records: Vec<Record> = Vec::new();
    for number in 0..60 {
        let mut record = random.record(id(number), number);
        record.memory.payload.set("user_id", "u1");
        if number % 7 == 0 {
            record.memory.payload.set("session", "mine");
            record.memory.payload.set("event_time", 7);
        }
        insert(&*store, record.clone());
        records.push(record);
    }
    let matching = |records: &[Record], filter: &Filter| -> BTreeSet<MemoryId> {
        records.iter().filter(|record| record.memory.matches(filter)).map(|record| record.memory.id).collect()
    };
    for condition in [
        json!({"session": "s1"}),
        json!({"session": "mine"}),
        json!({"session": {"ne": "s1"}}),
        json!({"$session": "s1", "colour": "red"}),
        json!({"OR": [{"$session": "s2"}, {"colour": "blue"}]}),
        json!({"event_time": {"gte": "2024-03-10", "lt": "2024-03-20"}}),
        json!({"$event_time": "*"}),
        json!({"NOT": [{"$event_time": {"gte": "2024-03-10"}}]}),
        json!({"event_time": 7}),
    ] {
        let filter = Filter::parse(&json!({"AND": [{"user_id": "u1"}, condition]})).unwrap();
        let expected = matching(&records, &filter);
        assert!(!expected.is_empty() && expected.len() < records.len(), "{filter}");
        let page = PageRequest { limit: 100, ..PageRequest::default() };
        let listed = store.list(Some(&filter), None, &page).unwrap();
        assert_eq!(listed.items.iter().map(|memory| memory.id).collect::<BTreeSet<_>>(), expected, "{filter}");
        assert_eq!(listed.total, expected.len(), "{filter}");
        let found = run_search(&*store, View::new(&filter, None), |reads| reads.nearest(&[1.0; super::DIMS], 99));
        assert_eq!(found.unwrap().iter().map(|(id, _)| *id).collect::<BTreeSet<_>>(), expected, "{filter}");
    }
    let session = Filter::parse(&json!({"user_id": "u1", "$session": "s1"})).unwrap();
    let removed = matching(&records, &session);
    assert_eq!(store.remove_matching(Some(&session), "2025-06-01T00:00:00Z").unwrap(), removed.len());
    records.retain(|record| !removed.contains(&record.memory.id));
    assert_eq!(store.info().unwrap().memories, records.len());
    assert_consistent(&*store);
}
