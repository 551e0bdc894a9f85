//! Stories of reads: by id, list and session, and of the whole store.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::fixture::{
    DIMS, Open, Random, TODAY, apply, assert_consistent, contents, event, id, insert, mention, one, plain, scope, user,
};
use crate::{
    Change, EventKind, Filter, Link, MemoryId, MessageSelector, Owner, PageRequest, Payload, Record, SessionMessage,
    SessionWindow, Store, StoreError,
};

pub(super) fn memories_round_trip_bit_by_bit(open: Open<'_>) {
    let store = open();
    let mut record = Random(1).record(id(1), 1);
    let Value::Object(map) = json!({
        "data": "a \"text\" with \u{0} control, Zoë, 乌龙茶, 👩‍👩‍👧 and \u{202e}rtl",
        "user_id": "u1", "zulu": 1, "alpha": {"b": [1, null, true, {}], "a": -0.0},
        "big": 9_007_199_254_740_993_u64, "tiny": 5e-324, "third": 0.1, "max": i64::MAX, "min": i64::MIN,
        "": "an empty key", "a.b": "a dotted key", "hash": 7, "created_at": 1_700_000_000, "role": null,
    }) else {
        unreachable!()
    };
    record.memory.payload = Payload::new(map);
    // Of length 1, because a store may normalise vectors.
    record.vector = vec![0.1, -0.0, f32::MIN_POSITIVE, 0.0, 1e-45, -0.937_490_76, 0.333_333_34, -f32::MIN_POSITIVE];
    record.bm25 = vec![(0, 1.0), (7, 0.1), (u32::MAX, 1e-45)];
    insert(&*store, record.clone());
    for store in [store, open()] {
        let stored = store.get_stored(&[id(1)]).unwrap().remove(0).unwrap();
        assert_same(&stored.memory.payload, &record.memory.payload);
        assert_eq!(stored.memory.provenance, record.memory.provenance);
        assert_eq!(bits(&stored.vector), bits(&record.vector));
        assert_eq!(stored.bm25, record.bm25);
        assert_eq!(one(&*store, id(1)), Some(record.memory.clone()));
    }
    let store = open();
    let mut replaced = Random(2).record(id(1), 1);
    replaced.memory.provenance.session = None;
    replaced.memory.provenance.position = None;
    apply(&*store, vec![Change::Replace(Box::new(replaced.clone()))]).unwrap();
    let stored = store.get_stored(&[id(1)]).unwrap().remove(0).unwrap();
    assert_eq!(stored.memory, replaced.memory);
    assert_eq!(bits(&stored.vector), bits(&replaced.vector));
    apply(&*store, vec![Change::Remove(id(1))]).unwrap();
    assert!(store.get_stored(&[id(1)]).unwrap().remove(0).is_none());
    assert_eq!(one(&*store, id(1)), None);
    for change in [Change::Remove(id(1)), Change::Replace(Box::new(replaced))] {
        let error = apply(&*store, vec![change]).unwrap_err();
        assert!(matches!(error, StoreError::NotFound(missing) if missing == id(1)), "{error}");
    }
    assert_consistent(&*store);
}

pub(super) fn ids_of_all_kinds(open: Open<'_>) {
    let store = open();
    let ids = [
        MemoryId::Number(0),
        MemoryId::Number(1),
        MemoryId::Number(u64::MAX),
        MemoryId::Uuid(uuid::Uuid::nil()),
        MemoryId::Uuid(uuid::Uuid::max()),
        "6a55d8a7-2c4a-4a16-98ad-906dfb325910".parse().unwrap(),
    ];
    for (number, &id) in (0..).zip(&ids) {
        let mut record = plain(number, &user("u1"), &format!("text {number}"));
        record.memory.id = id;
        insert(&*store, record.clone());
        let error = apply(&*store, vec![Change::Insert(Box::new(record))]).unwrap_err();
        assert!(matches!(error, StoreError::Exists(taken) if taken == id), "{error}");
    }
    let mut requested = vec![MemoryId::Number(2)];
    requested.extend(ids.iter().rev());
    requested.push(ids[0]);
    let found = store.get(&requested).unwrap();
    assert_eq!(found[0], None);
    let found: Vec<MemoryId> = found.into_iter().flatten().map(|memory| memory.id).collect();
    assert_eq!(found, requested[1..], "in the requested order");
}

pub(super) fn lists_are_paged_newest_first(open: Open<'_>) {
    let store = open();
    let mut random = Random(3);
    let records: Vec<Record> = (0..60).map(|number| random.record(id(number), number)).collect();
    for record in &records {
        insert(&*store, record.clone());
    }
    // A changed memory keeps its position.
    apply(&*store, vec![Change::Replace(Box::new(records[10].clone()))]).unwrap();
    let filters = [
        None,
        Some(Filter::eq("user_id", "u1").unwrap()),
        Some(Filter::eq("colour", "red").unwrap()),
        Some(Filter::eq("agent_id", "a1").unwrap().and(Filter::eq("colour", "red").unwrap())),
        Some(Filter::eq("user_id", "nobody").unwrap()),
        Some(Filter::eq("user_id", "u1").unwrap().and(Filter::eq("user_id", "u2").unwrap())),
    ];
    for filter in &filters {
        for today in [None, Some(TODAY)] {
            let shown = |record: &&Record| {
                let payload = &record.memory.payload;
                filter.as_ref().is_none_or(|filter| filter.matches(payload.as_map()))
                    && today.is_none_or(|today| !payload.is_expired(today))
            };
            let expected: Vec<MemoryId> = records.iter().rev().filter(shown).map(|record| record.memory.id).collect();
            for limit in [1, 7, 100] {
                let mut listed = Vec::new();
                let mut page = PageRequest { limit, ..PageRequest::default() };
                loop {
                    let found = store.list(filter.as_ref(), today, &page).unwrap();
                    assert_eq!(found.total, expected.len());
                    assert!(found.items.len() <= limit);
                    listed.extend(found.items.into_iter().map(|memory| memory.id));
                    page.cursor = found.next;
                    if page.cursor.is_none() {
                        break;
                    }
                }
                assert_eq!(listed, expected, "{filter:?}, {today:?}, {limit} a page");
            }
            let cursor = store.list(filter.as_ref(), today, &PageRequest { limit: 3, ..PageRequest::default() });
            for (cursor, first) in [(None, 0), (cursor.unwrap().next, 3)] {
                if first > 0 && cursor.is_none() {
                    continue;
                }
                for offset in [0, 1, 5, 1000] {
                    let page = PageRequest { cursor: cursor.clone(), offset, limit: 4 };
                    let found = store.list(filter.as_ref(), today, &page).unwrap();
                    let start = (first + offset).min(expected.len());
                    let end = (start + 4).min(expected.len());
                    let ids: Vec<MemoryId> = found.items.iter().map(|memory| memory.id).collect();
                    assert_eq!(ids, expected[start..end], "{filter:?}, {today:?}, {offset} after {first}");
                    assert_eq!((found.total, found.next.is_some()), (expected.len(), end < expected.len()));
                }
            }
        }
    }
    let page = PageRequest { cursor: Some("no cursor".into()), limit: 1, ..PageRequest::default() };
    assert!(matches!(store.list(None, None, &page), Err(StoreError::InvalidCursor)));
}

pub(super) fn sessions_and_windows(open: Open<'_>) {
    let store = open();
    let (alone, with_agent) = (user("u1"), scope(Some("u1"), Some("a1"), None));
    assert_eq!(store.last_in_scope(&alone).unwrap(), None);
    // Positions 0, 2, 4, …, stored in another order; another scope has a session of the same name.
    let order = [4u32, 6, 8, 0, 2];
    for (number, &position) in (0..).zip(&order) {
        for (offset, scope) in [(0, &alone), (100, &with_agent)] {
            let mut record = plain(number + offset, scope, &format!("at {position} of {offset}"));
            record.memory.provenance.session = Some("s".into());
            record.memory.provenance.position = Some(position);
            insert(&*store, record);
        }
    }
    insert(&*store, plain(50, &alone, "outside of any session"));
    let positions = |scope, window| -> Vec<u32> {
        let found = store.session(scope, "s", window).unwrap();
        assert!(found.iter().all(|memory| memory.payload.scope() == *scope));
        found.iter().filter_map(|memory| memory.provenance.position).collect()
    };
    let around = |position, before, after| SessionWindow::Around { position, before, after };
    for scope in [&alone, &with_agent] {
        assert_eq!(positions(scope, SessionWindow::Last(2)), [6, 8]);
        assert_eq!(positions(scope, SessionWindow::Last(99)), [0, 2, 4, 6, 8]);
        assert_eq!(positions(scope, SessionWindow::Last(0)), [0u32; 0]);
        assert_eq!(positions(scope, around(4, 1, 1)), [2, 6]);
        assert_eq!(positions(scope, around(4, 9, 0)), [0, 2]);
        assert_eq!(positions(scope, around(5, 1, 1)), [4, 6]);
        assert_eq!(positions(scope, around(0, 2, 3)), [2, 4, 6]);
        assert_eq!(positions(scope, around(u32::MAX, 1, 1)), [8]);
        let last = store.last_in_scope(scope).unwrap().unwrap();
        assert_eq!(last.provenance.position, Some(2), "the one stored last");
        assert_eq!(last.payload.scope(), *scope);
    }
    assert_eq!(store.session(&alone, "other", SessionWindow::Last(9)).unwrap(), []);
    assert_eq!(store.session(&user("u2"), "s", SessionWindow::Last(9)).unwrap(), []);
    assert_eq!(store.last_in_scope(&scope(None, Some("a1"), None)).unwrap(), None);
}

pub(super) fn hashes_are_found_in_the_exact_scope(open: Open<'_>) {
    let store = open();
    let (alone, with_agent) = (user("u1"), scope(Some("u1"), Some("a1"), None));
    insert(&*store, plain(1, &with_agent, "the same"));
    assert_eq!(store.find_by_hash(&alone, "hash of the same", None).unwrap(), None);
    insert(&*store, plain(2, &alone, "the same"));
    insert(&*store, plain(3, &alone, "the same"));
    assert_eq!(store.find_by_hash(&alone, "hash of the same", None).unwrap(), Some(id(2)), "the first");
    assert_eq!(store.find_by_hash(&with_agent, "hash of the same", None).unwrap(), Some(id(1)));
    assert_eq!(store.find_by_hash(&scope(None, Some("a1"), None), "hash of the same", None).unwrap(), None);
    assert_eq!(store.find_by_hash(&user("u2"), "hash of the same", None).unwrap(), None);
    apply(&*store, vec![Change::Replace(Box::new(plain(2, &alone, "another")))]).unwrap();
    assert_eq!(store.find_by_hash(&alone, "hash of the same", None).unwrap(), Some(id(3)));
    assert_eq!(store.find_by_hash(&alone, "hash of another", None).unwrap(), Some(id(2)));
}

pub(super) fn history_is_in_order(open: Open<'_>) {
    let store = open();
    let kinds = [EventKind::Add, EventKind::Update, EventKind::Update, EventKind::Delete];
    for (at, kind) in kinds.into_iter().enumerate() {
        for memory in [id(1), id(2)] {
            // The ids are in the reverse order of the times.
            let event = event(&format!("{}-{memory}", 9 - at), memory, kind);
            apply(&*store, vec![Change::History(Box::new(event))]).unwrap();
        }
    }
    let history = store.history(&id(1).to_string()).unwrap();
    assert_eq!(
        history.iter().map(|event| event.event.as_str()).collect::<Vec<_>>(),
        ["ADD", "UPDATE", "UPDATE", "DELETE"]
    );
    assert_eq!(history[0], event(&format!("9-{}", id(1)), id(1), EventKind::Add));
    // Adding a row again has no effect.
    apply(&*store, vec![Change::History(Box::new(history[0].clone()))]).unwrap();
    assert_eq!(store.history(&id(1).to_string()).unwrap(), history);
    assert_eq!(store.history("unknown").unwrap(), []);
}

pub(super) fn messages_are_stored_and_deleted(open: Open<'_>) {
    let store = open();
    let ana = user("ana");
    let both = scope(Some("ana"), Some("bot"), None);
    let message = |at: usize, of: &crate::Scope| SessionMessage {
        id: format!("m{at}"),
        session_scope: of.session_scope(),
        role: Some("user".into()),
        content: Some(format!("text {at}")),
        name: None,
        created_at: None,
    };
    for (at, of) in [&ana, &both, &ana, &user("bob"), &ana].into_iter().enumerate() {
        apply(&*store, vec![Change::Message(Box::new(message(at, of)))]).unwrap();
    }
    apply(&*store, vec![Change::Message(Box::new(message(4, &ana)))]).unwrap();
    let ids = |found: Vec<SessionMessage>| found.into_iter().map(|message| message.id).collect::<Vec<_>>();
    assert_eq!(ids(store.last_messages(&ana, 2).unwrap()), ["m2", "m4"], "oldest first, and each once");
    assert_eq!(ids(store.last_messages(&both, 9).unwrap()), ["m1"]);
    assert_eq!(store.last_messages(&user("nobody"), 9).unwrap(), []);
    let requested = ["m3", "no", "m0"].map(str::to_owned);
    assert_eq!(store.messages(&requested).unwrap(), [Some(message(3, &user("bob"))), None, Some(message(0, &ana))]);

    assert_eq!(store.delete_messages(&MessageSelector::Ids(vec!["m0".into(), "no".into()])).unwrap(), 1);
    let mut owners = store.message_owners().unwrap();
    owners.sort_unstable();
    assert_eq!(owners, ["agent_id=bot&user_id=ana", "user_id=ana", "user_id=bob"]);
    let of = |owner: &crate::Scope| MessageSelector::OfOwners(vec![owner.session_scope(), "user_id=no".into()]);
    assert_eq!(store.delete_messages(&of(&both)).unwrap(), 1);
    assert_eq!(ids(store.last_messages(&ana, 9).unwrap()), ["m2", "m4"]);
    assert_eq!(store.delete_messages(&of(&ana)).unwrap(), 2);
    assert_eq!(ids(store.last_messages(&user("bob"), 9).unwrap()), ["m3"]);
    assert_eq!(store.delete_messages(&MessageSelector::All).unwrap(), 1);
    assert_eq!(contents(&*open()).messages, []);
}

pub(super) fn versions_are_found(open: Open<'_>) {
    let store = open();
    let mut random = Random(5);
    for number in 0..9 {
        insert(&*store, random.record(id(number), number));
    }
    let link = |source, target, kind: &str| Link {
        source: id(source),
        target: id(target),
        kind: kind.into(),
        created_at: "2024-01-01T00:00:00Z".into(),
    };
    let supersedes = |source, target| link(source, target, Link::SUPERSEDES);
    // A chain 0 ← 1 ← 3 that forks at 1, a circle of 5 and 6, and another kind of link.
    let mut links = vec![
        supersedes(1, 0),
        supersedes(3, 1),
        supersedes(4, 1),
        supersedes(5, 6),
        supersedes(6, 5),
        link(2, 0, Link::RELATED),
    ];
    apply(&*store, links.iter().cloned().map(Change::Link).collect()).unwrap();
    let sorted = |mut links: Vec<Link>| {
        links.sort_by_key(|link| (link.source, link.target));
        links
    };
    let versions = |ids: &[MemoryId]| sorted(store.versions(ids).unwrap());
    for member in [0, 1, 3, 4] {
        assert_eq!(versions(&[id(member), id(2)]), sorted(links[..3].to_vec()), "of {member}");
    }
    assert_eq!(versions(&[id(6)]), sorted(links[3..5].to_vec()));
    let many: Vec<MemoryId> = (0..1200).map(id).collect();
    assert_eq!(versions(&many), sorted(links[..5].to_vec()));
    assert_eq!(versions(&[]), []);
    assert_eq!(versions(&[id(2)]), []);
    // Where a fact is deleted, those that superseded it supersede its older facts.
    apply(&*store, vec![Change::Remove(id(1)), Change::Remove(id(5))]).unwrap();
    links = vec![supersedes(3, 0), supersedes(4, 0)];
    assert_eq!(versions(&[id(0), id(6)]), sorted(links.clone()));
    apply(&*store, vec![Change::Remove(id(3))]).unwrap();
    assert_eq!(versions(&[id(0)]), links[1..]);
}

pub(super) fn visits_are_complete(open: Open<'_>) {
    let store = open();
    let mut random = Random(4);
    let mut records = Vec::new();
    for number in 0..29 {
        let mut record = random.record(id(number), number);
        record.mentions = vec![mention(&format!("Name {number}"), number as usize % DIMS)];
        let message = SessionMessage {
            id: format!("m{number}"),
            session_scope: "user_id=u1".into(),
            role: Some("user".into()),
            content: None,
            name: None,
            created_at: None,
        };
        apply(
            &*store,
            vec![
                Change::Insert(Box::new(record.clone())),
                Change::History(Box::new(event(&format!("h{number}"), id(number), EventKind::Add))),
                Change::Message(Box::new(message)),
            ],
        )
        .unwrap();
        records.push(record);
    }
    apply(&*store, vec![Change::Remove(id(5)), Change::Remove(id(28))]).unwrap();
    records.retain(|record| record.memory.id != id(5) && record.memory.id != id(28));
    let all = contents(&*store);
    assert_eq!(all.memories.len(), records.len());
    for (found, record) in all.memories.iter().zip(&records) {
        assert_eq!(found.memory, record.memory);
        assert_eq!(bits(&found.vector), bits(&record.vector));
        assert_eq!(found.bm25, record.bm25);
    }
    let named: Vec<String> = records.iter().map(|record| record.mentions[0].text.clone()).collect();
    assert_eq!(all.entities.iter().map(|entity| entity.text().to_owned()).collect::<Vec<_>>(), named);
    assert_eq!(all.history.iter().map(|event| event.id.clone()).collect::<Vec<_>>(), names("h", 29));
    assert_eq!(all.messages.iter().map(|message| message.id.clone()).collect::<Vec<_>>(), names("m", 29));
    let mut seen = 0;
    store
        .visit(&mut |_| {
            seen += 1;
            if seen == 30 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(seen, 30, "a visitor may stop the visit");
    let info = store.info().unwrap();
    assert_eq!((info.memories, info.entities, info.history, info.messages, info.links), (27, 27, 29, 29, 0));
    assert_eq!(info.dims, DIMS);
}

pub(super) fn summaries_of_scopes(open: Open<'_>) {
    let store = open();
    let (alone, with_agent) = (user("u1"), scope(Some("u1"), Some("a1"), None));
    // The second is the earliest instant.
    for (number, scope, created_at) in [
        (1, &alone, json!("2024-05-01T00:30:00+00:00")),
        (2, &with_agent, json!("2024-05-01T01:00:00+02:00")),
        (3, &alone, json!("yesterday")),
        (4, &alone, json!(1_700_000_000)),
        (5, &user("u0"), json!("1999-01-01T00:00:00Z")),
    ] {
        let mut record = plain(number, scope, "text");
        record.memory.payload.set("created_at", created_at);
        record.mentions = vec![mention("Nori", 0)];
        insert(&*store, record);
    }
    let link = Link { source: id(1), target: id(2), kind: "related".into(), created_at: "now".into() };
    apply(&*store, vec![Change::Link(link)]).unwrap();
    let summary = store.summary(&alone).unwrap();
    assert_eq!((summary.memories, summary.entities, summary.links), (4, 2, 1));
    assert_eq!(summary.first.as_deref(), Some("2024-05-01T01:00:00+02:00"));
    assert_eq!(summary.last.as_deref(), Some("2024-05-01T00:30:00+00:00"));
    assert_eq!(store.summary(&with_agent).unwrap().memories, 1);
    assert_eq!(store.summary(&user("nobody")).unwrap(), crate::ScopeSummary::default());
}

pub(super) fn owners_are_counted(open: Open<'_>) {
    let store = open();
    assert_eq!(store.owners(None).unwrap(), []);
    let (alone, with_agent) = (user("u1"), scope(Some("u1"), Some("a1"), None));
    let all = scope(Some("u2"), Some("a1"), Some("r1"));
    // The second is the earliest instant.
    for (number, scope, created_at, updated_at, app) in [
        (1, &alone, json!("2024-05-01T00:30:00+00:00"), Value::Null, json!("x")),
        (2, &with_agent, json!("2024-05-01T01:00:00+02:00"), json!("2024-05-01 00:10:00"), json!("X \u{0} 乌")),
        (3, &alone, json!("yesterday"), json!("now"), json!(7)),
        (4, &alone, json!(1_700_000_000), json!("2024-04-30T19:40:00-05:00"), json!("x")),
        (5, &all, json!("2020-01-01T00:00:00Z"), json!("soon"), json!("x")),
        (6, &scope(None, None, Some("r1")), json!("yesterday"), Value::Null, Value::Null),
    ] {
        let mut record = plain(number, scope, "text");
        record.memory.payload.set("created_at", created_at);
        record.memory.payload.set("updated_at", updated_at);
        record.memory.payload.set(crate::keys::APP_ID, app);
        record.memory.payload.set("expiration_date", "2001-01-01");
        insert(&*store, record);
    }
    let mut without_owner = plain(7, &alone, "without owner");
    without_owner.memory.payload.set("user_id", 42);
    insert(&*store, without_owner);
    let owners = |store: &dyn Store, within| -> Vec<String> {
        let text = |owner: Owner| {
            let (first, last) = (owner.first.unwrap_or_default(), owner.last.unwrap_or_default());
            format!("{} {}: {} [{first}] [{last}]", owner.kind.as_str(), owner.id, owner.memories)
        };
        store.owners(within).unwrap().into_iter().map(text).collect()
    };
    let of_u1 = [
        "agent a1: 1 [2024-05-01T01:00:00+02:00] [2024-05-01 00:10:00]",
        "app X \u{0} 乌: 1 [2024-05-01T01:00:00+02:00] [2024-05-01 00:10:00]",
        "app x: 2 [2024-05-01T00:30:00+00:00] [2024-04-30T19:40:00-05:00]",
        "user u1: 4 [2024-05-01T01:00:00+02:00] [2024-04-30T19:40:00-05:00]",
    ];
    for store in [store, open()] {
        assert_eq!(
            owners(&*store, None),
            [
                "agent a1: 2 [2020-01-01T00:00:00Z] [2024-05-01 00:10:00]",
                of_u1[1],
                "app x: 3 [2020-01-01T00:00:00Z] [2024-04-30T19:40:00-05:00]",
                "run r1: 2 [2020-01-01T00:00:00Z] [2020-01-01T00:00:00Z]",
                of_u1[3],
                "user u2: 1 [2020-01-01T00:00:00Z] [2020-01-01T00:00:00Z]",
            ]
        );
        assert_eq!(owners(&*store, Some("u1")), of_u1);
        assert_eq!(store.owners(Some("nobody")).unwrap(), []);
        assert_eq!(store.owners(Some("a1")).unwrap(), [], "an agent is not a user");
    }
    let store = open();
    apply(&*store, vec![Change::Replace(Box::new(plain(2, &user("u3"), "moved"))), Change::Remove(id(5))]).unwrap();
    assert_eq!(
        owners(&*store, None),
        [
            of_u1[2],
            "run r1: 1 [] []",
            "user u1: 3 [2024-05-01T00:30:00+00:00] [2024-04-30T19:40:00-05:00]",
            "user u3: 1 [2024-01-01T00:00:02Z] [2024-01-01T00:00:02Z]",
        ]
    );
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

fn bits(vector: &[f32]) -> Vec<u32> {
    vector.iter().map(|value| value.to_bits()).collect()
}

/// Checks that payloads are equal, including the bits of numbers. The order of keys may differ.
fn assert_same(found: &Payload, expected: &Payload) {
    assert_eq!(sorted(found.as_map().clone().into()).to_string(), sorted(expected.as_map().clone().into()).to_string());
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(String, Value)> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        other => other,
    }
}
