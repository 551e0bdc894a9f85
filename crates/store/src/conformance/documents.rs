//! Stories of document stores: documents round trip, are taken once, and are changed atomically.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fixture::OpenDocumentStore;
use crate::{Document, DocumentStore, Durability, Page, PageRequest, Result, StoreError};

const THREADS: usize = 8;
const EACH: usize = 50;

fn note(id: impl Into<String>) -> Document {
    Document::new("note", id, json!({}))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn put(store: &dyn DocumentStore, documents: &[Document]) {
    store.put(documents, Durability::Written).unwrap();
}

/// A page of documents that can all be read.
fn page_of(
    store: &dyn DocumentStore,
    kind: &'static str,
    owners: Option<&[String]>,
    page: &PageRequest,
) -> Result<Page<Document>> {
    let Page { items, total, next } = store.scan(kind, owners, page)?;
    Ok(Page { items: items.into_iter().collect::<Result<_>>()?, total, next })
}

/// The ids of a kind, newest first.
fn list_ids(store: &dyn DocumentStore, kind: &'static str, owner: Option<&str>) -> Vec<String> {
    let owners = owner.map(|owner| [owner.to_owned()]);
    let owners = owners.as_ref().map(<[_; 1]>::as_slice);
    let page = page_of(store, kind, owners, &PageRequest { limit: 1000, ..PageRequest::default() }).unwrap();
    assert_eq!((page.total, page.next), (page.items.len(), None));
    page.items.into_iter().map(|document| document.id).collect()
}

/// The ids of the notes that are due, the longest due first.
fn due_ids(store: &dyn DocumentStore, now: Timestamp, limit: usize) -> Vec<String> {
    let ids: Vec<String> =
        store.due("note", now, limit).unwrap().into_iter().map(|document| document.unwrap().id).collect();
    assert_eq!(store.due_ids("note", None, now, limit).unwrap(), ids);
    ids
}

/// The number of threads for which `act` returns true. Some of the threads share a store.
fn count_threads(open: OpenDocumentStore<'_>, act: impl Fn(&dyn DocumentStore, usize) -> bool + Sync) -> usize {
    let stores = [open(), open()];
    std::thread::scope(|threads| {
        let (act, stores) = (&act, &stores);
        let threads: Vec<_> =
            (0..THREADS).map(|number| threads.spawn(move || act(&*stores[number % 2], number))).collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    })
}

pub(super) fn documents_round_trip(open: OpenDocumentStore<'_>) {
    let store = open();
    let large: Vec<Value> = (0..20_000).map(|number| json!({"number": number, "text": "x".repeat(20)})).collect();
    let deep = (0..126).fold(json!(1), |inner, _| json!([inner]));
    let bodies = [
        Value::Null,
        json!("a \"text\" with \u{0} control, Zoë, 乌龙茶, 👩‍👩‍👧 and \u{202e}rtl"),
        json!({"zulu": 1, "alpha": {"b": [1, null, true, {}], "a": -0.0}, "": 0, "乌\u{0}龙": "\n\r\t\u{1f}"}),
        json!({"big": 9_007_199_254_740_993_u64, "tiny": 5e-324, "third": 0.1, "max": u64::MAX, "min": i64::MIN}),
        json!(large),
        deep,
    ];
    let mut documents = Vec::new();
    for (number, body) in bodies.into_iter().enumerate() {
        for (owner, due) in [(None, None), (Some("Zoë\u{0} 乌"), Some("2025-06-01T12:00:00.123456Z"))] {
            let id = format!("{number} {} \u{0} 👩‍👩‍👧", due.is_some());
            let mut document = Document::new("note", id, body.clone()).owned_by(owner);
            document.due = due.map(|due: &str| due.parse().unwrap());
            documents.push(document);
        }
    }
    documents.push(Document::new("note", "", json!(1)).owned_by(Some("")).due_at(at(-1)));
    store.put(&documents[..3], Durability::Synced).unwrap();
    store.put(&documents[3..], Durability::Written).unwrap();
    store.put(&[], Durability::Synced).unwrap();
    let assert_same = |found: &Document, expected: &Document| {
        assert_eq!(found, expected);
        assert_eq!(found.body.to_string(), expected.body.to_string(), "including the order of keys");
    };
    for store in [store, open()] {
        for document in &documents {
            assert_same(&store.document("note", &document.id).unwrap().unwrap(), document);
            assert_eq!(store.document("other", &document.id).unwrap(), None);
        }
        let page = PageRequest { limit: 100, ..PageRequest::default() };
        let found = page_of(&*store, "note", None, &page).unwrap();
        assert_eq!(found.total, documents.len());
        found.items.iter().zip(documents.iter().rev()).for_each(|(found, expected)| assert_same(found, expected));
        assert_eq!(store.document("note", "unknown").unwrap(), None);
    }
    assert!(open().remove("note", &documents[1].id).unwrap());
}

pub(super) fn a_replaced_document_keeps_its_position(open: OpenDocumentStore<'_>) {
    let store = open();
    put(&*store, &[note("a"), note("b").owned_by(Some("ana")).due_at(at(5)), note("c")]);
    put(&*store, &[Document::new("other", "b", json!("another kind"))]);
    put(&*store, &[Document::new("note", "b", json!([2])).owned_by(Some("ben"))]);
    put(&*store, &[note("d"), note("a"), note("a").owned_by(Some("ana"))]);
    assert_eq!(list_ids(&*store, "note", None), ["d", "c", "b", "a"]);
    assert_eq!(list_ids(&*store, "note", Some("ana")), ["a"]);
    assert_eq!(list_ids(&*store, "note", Some("ben")), ["b"]);
    let replaced = store.document("note", "b").unwrap().unwrap();
    assert_eq!(replaced, Document::new("note", "b", json!([2])).owned_by(Some("ben")));
    assert_eq!(store.document("other", "b").unwrap().unwrap().body, json!("another kind"));
    assert_eq!(due_ids(&*store, at(9), 9), [""; 0]);
    // A document that was removed and written again is new.
    assert!(store.remove("note", "a").unwrap());
    put(&*store, &[note("a")]);
    assert_eq!(list_ids(&*store, "note", None), ["a", "d", "c", "b"]);
}

pub(super) fn put_new_succeeds_once(open: OpenDocumentStore<'_>) {
    let store = open();
    for round in 0..5 {
        let id = format!("round {round}");
        let won =
            count_threads(open, |store, number| store.put_new(&note(&id).owned_by(Some(&number.to_string()))).unwrap());
        assert_eq!(won, 1);
        let first = store.document("note", &id).unwrap().unwrap();
        assert!(!store.put_new(&Document::new("note", &id, json!("later"))).unwrap());
        assert_eq!(store.document("note", &id).unwrap().unwrap(), first);
        assert!(store.put_new(&Document::new("other", &id, json!(1))).unwrap(), "an id is unique within its kind");
    }
}

pub(super) fn the_first_of_a_kind_is_written_once(open: OpenDocumentStore<'_>) {
    let store = open();
    put(&*store, &[Document::new("other", "0", json!(1))]);
    for _ in 0..5 {
        assert_eq!(count_threads(open, |store, number| store.put_first(&note(number.to_string())).unwrap()), 1);
        assert_eq!(list_ids(&*store, "note", None).len(), 1);
        assert_eq!(store.trim("note", 0).unwrap(), 1);
    }
}

pub(super) fn remove_succeeds_once(open: OpenDocumentStore<'_>) {
    let store = open();
    for round in 0..5 {
        let document = Document::new("note", format!("round {round}"), json!({"n": round})).owned_by(Some("ana"));
        put(&*store, &[document.clone(), Document::new("other", document.id.as_str(), json!(1))]);
        assert_eq!(count_threads(open, |store, _| store.remove("note", &document.id).unwrap()), 1);
        assert_eq!(store.document("note", &document.id).unwrap(), None);
        assert!(store.document("other", &document.id).unwrap().is_some());
    }
    assert!(!store.remove("note", "never there").unwrap());
}

pub(super) fn no_change_is_lost(open: OpenDocumentStore<'_>) {
    let store = open();
    put(&*store, &[Document::new("count", "of all", json!({"n": 0}))]);
    let done = count_threads(open, |store, _| {
        (0..EACH).all(|_| {
            let mut seen = 0;
            let changed = store.change("count", "of all", &mut |document| {
                seen = document.body["n"].as_u64().unwrap() + 1;
                document.body["n"] = seen.into();
                true
            });
            changed.unwrap().unwrap().body["n"] == seen
        })
    });
    assert_eq!(done, THREADS);
    assert_eq!(open().document("count", "of all").unwrap().unwrap().body, json!({"n": THREADS * EACH}));
}

pub(super) fn a_refused_change_writes_nothing(open: OpenDocumentStore<'_>) {
    let store = open();
    let before = Document::new("note", "a", json!({"n": 1})).owned_by(Some("ana")).due_at(at(7));
    put(&*store, &[before.clone(), note("b")]);
    let replace = |document: &mut Document| {
        *document = Document::new("other", "replaced", json!(null));
    };
    let refused = store.change("note", "a", &mut |document| {
        replace(document);
        false
    });
    assert_eq!(refused.unwrap(), None);
    assert_eq!(store.document("note", "a").unwrap().unwrap(), before);
    let mut called = false;
    let missing = store.change("note", "missing", &mut |_| {
        called = true;
        true
    });
    assert_eq!((missing.unwrap(), called), (None, false));
    // Kind and id can't be changed, everything else can.
    let changed = store.change("note", "a", &mut |document| {
        replace(document);
        true
    });
    let after = Document::new("note", "a", json!(null));
    assert_eq!(changed.unwrap(), Some(after.clone()));
    for store in [store, open()] {
        assert_eq!(store.document("note", "a").unwrap().unwrap(), after);
        assert_eq!(store.document("other", "replaced").unwrap(), None);
        assert_eq!(list_ids(&*store, "note", None), ["b", "a"]);
    }
}

pub(super) fn the_longest_due_is_first(open: OpenDocumentStore<'_>) {
    let store = open();
    let seconds = [30, 10, 50, 20, 40];
    let documents: Vec<Document> = seconds.iter().map(|&second| note(second.to_string()).due_at(at(second))).collect();
    put(&*store, &documents);
    put(&*store, &[note("never"), Document::new("other", "1", json!(1)).due_at(at(1))]);
    let due = |second, limit| due_ids(&*store, at(second), limit);
    assert_eq!(
        (store.count_due("note", Timestamp::MAX).unwrap(), store.count_due("unused", Timestamp::MAX).unwrap()),
        (5, 0)
    );
    assert_eq!(due(9, 9), [""; 0]);
    assert_eq!(due(30, 9), ["10", "20", "30"]);
    assert_eq!(due(99, 2), ["10", "20"]);
    assert_eq!(due(99, 0), [""; 0]);
    let later = |document: &mut Document| {
        document.due = document.id.starts_with('1').then(|| at(60));
        true
    };
    store.change("note", "10", &mut { later }).unwrap().unwrap();
    store.change("note", "20", &mut { later }).unwrap().unwrap();
    assert_eq!(due(99, usize::MAX), ["30", "40", "50", "10"]);
    let between = |after, until| store.due_ids("note", Some(at(after)), at(until), 9).unwrap();
    assert_eq!((between(30, 50), between(60, 99)), (vec!["40".to_owned(), "50".to_owned()], Vec::new()));
}

pub(super) fn one_caller_reschedules_a_due_document(open: OpenDocumentStore<'_>) {
    let store = open();
    put(&*store, &[note("never"), Document::new("other", "0", json!(1)).due_at(at(1))]);
    for round in 0..5 {
        let document = Document::new("note", round.to_string(), json!({"n": round})).owned_by(Some("ana"));
        put(&*store, &[document.clone().due_at(at(7))]);
        let reschedule = |store: &dyn DocumentStore, now, due| store.reschedule("note", &document.id, at(now), at(due));
        assert!(!reschedule(&*store, 6, 20).unwrap(), "it is not due yet");
        assert_eq!(count_threads(open, |store, _| reschedule(store, 7, 20).unwrap()), 1);
        assert_eq!(store.document("note", &document.id).unwrap().unwrap(), document.due_at(at(20)));
    }
    for id in ["never", "missing"] {
        assert!(!store.reschedule("note", id, Timestamp::MAX, at(1)).unwrap(), "{id}");
    }
    assert_eq!((store.count_due("note", Timestamp::MAX).unwrap(), store.due("other", at(1), 9).unwrap().len()), (5, 1));
}

pub(super) fn documents_of_one_owner_are_deleted(open: OpenDocumentStore<'_>) {
    let store = open();
    let of = |owner: Option<&str>, id: &str| note(id).owned_by(owner);
    put(&*store, &[of(Some("ana"), "1"), of(None, "2"), of(Some("ben"), "3"), of(Some("Ana"), "4")]);
    put(&*store, &[Document::new("other", "5", json!(1)).owned_by(Some("ana")), of(Some("ana "), "6")]);
    assert_eq!(store.delete_owned_by("nobody").unwrap(), 0);
    assert_eq!(store.delete_owned_by("ana").unwrap(), 2);
    assert_eq!(list_ids(&*store, "note", None), ["6", "4", "3", "2"]);
    assert_eq!(list_ids(&*open(), "other", None), [""; 0]);
}

pub(super) fn trim_keeps_the_newest(open: OpenDocumentStore<'_>) {
    let store = open();
    let documents: Vec<Document> = (0..10).map(|number| note(number.to_string())).collect();
    put(&*store, &documents);
    put(&*store, &[Document::new("other", "0", json!(1)), note("0")]);
    assert_eq!(store.trim("note", 10).unwrap(), 0);
    assert_eq!(store.trim("note", usize::MAX).unwrap(), 0);
    assert_eq!(store.trim("note", 3).unwrap(), 7);
    assert_eq!(list_ids(&*store, "note", None), ["9", "8", "7"]);
    assert_eq!(store.trim("note", 0).unwrap(), 3);
    assert_eq!(list_ids(&*open(), "note", None), [""; 0]);
    assert_eq!(list_ids(&*store, "other", None), ["0"]);
}

pub(super) fn trim_keeps_documents_whose_work_is_not_done(open: OpenDocumentStore<'_>) {
    let store = open();
    let queued = |number: &i64| number % 3 == 0;
    let document = |number: i64| {
        let document = note(number.to_string()).owned_by(Some("ana"));
        // Long due, due in the far future: both are queued.
        if queued(&number) { document.due_at(if number % 2 == 0 { at(-9) } else { Timestamp::MAX }) } else { document }
    };
    put(&*store, &(0..12).map(document).collect::<Vec<_>>());
    for keep in [8, 5, 2, 0] {
        store.trim("note", keep).unwrap();
        let done: Vec<i64> = (0..12).rev().filter(|number| !queued(number)).take(keep).collect();
        let expected: Vec<String> = (0..12)
            .rev()
            .filter(|number| queued(number) || done.contains(number))
            .map(|number| number.to_string())
            .collect();
        assert_eq!(list_ids(&*store, "note", None), expected, "keep {keep}");
    }
    store.change("note", "6", &mut |document| document.due.take().is_some()).unwrap().unwrap();
    assert_eq!(store.trim("note", 0).unwrap(), 1, "its work is done");
    assert_eq!(list_ids(&*store, "note", None), ["9", "3", "0"]);
}

pub(super) fn paged_newest_first(open: OpenDocumentStore<'_>) {
    let store = open();
    let documents: Vec<Document> =
        (0..25).map(|number| note(number.to_string()).owned_by(["ana", "ben"].get(number % 3).copied())).collect();
    put(&*store, &documents);
    put(&*store, &[Document::new("other", "1", json!(1)).owned_by(Some("ana"))]);
    let owners = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect::<Vec<_>>());
    for owners in [None, owners(&["ana"]), owners(&["ben"]), owners(&["nobody"]), owners(&["ben", "nobody", "ana"])] {
        let owners = owners.as_deref();
        let of =
            |document: &&Document| owners.is_none_or(|owners| document.owner.iter().any(|own| owners.contains(own)));
        let expected: Vec<&Document> = documents.iter().rev().filter(of).collect();
        for limit in [1, 4, 9, 100] {
            let mut found = Vec::new();
            let mut page = PageRequest { limit, ..PageRequest::default() };
            loop {
                let answer = page_of(&*store, "note", owners, &page).unwrap();
                assert_eq!(answer.total, expected.len());
                assert!(answer.items.len() <= limit);
                found.extend(answer.items);
                page.cursor = answer.next;
                if page.cursor.is_none() {
                    break;
                }
            }
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{owners:?}, {limit} a page");
        }
        let first = page_of(&*store, "note", owners, &PageRequest { limit: 2, ..PageRequest::default() }).unwrap();
        for (cursor, start) in [(None, 0), (first.next, 2)] {
            for offset in [0, 1, 3, 100] {
                let page = PageRequest { cursor: cursor.clone(), offset, limit: 3 };
                let answer = page_of(&*store, "note", owners, &page).unwrap();
                let start = (if cursor.is_some() { start } else { 0 } + offset).min(expected.len());
                let end = (start + 3).min(expected.len());
                assert_eq!(answer.items.iter().collect::<Vec<_>>(), expected[start..end]);
                assert_eq!((answer.total, answer.next.is_some()), (expected.len(), end < expected.len()));
            }
        }
    }
    let page = PageRequest { cursor: Some("no cursor".into()), limit: 1, ..PageRequest::default() };
    assert!(matches!(page_of(&*store, "note", None, &page), Err(StoreError::InvalidCursor)));
}

pub(super) fn unreadable_documents_are_not_written(open: OpenDocumentStore<'_>) {
    let store = open();
    let deep = (0..128).fold(json!(1), |inner, _| json!([inner]));
    let bad = Document::new("note", "b", deep.clone());
    let refused = |result: Result<(), StoreError>| assert!(matches!(result, Err(StoreError::TooDeep { .. })));
    for durability in [Durability::Synced, Durability::Written] {
        refused(store.put(&[note("a"), bad.clone()], durability));
    }
    refused(store.put_new(&bad).map(|_| ()));
    assert_eq!(list_ids(&*store, "note", None), [""; 0], "all or nothing");
    put(&*store, &[note("a")]);
    let changed = store.change("note", "a", &mut |document| {
        document.body = deep.clone();
        true
    });
    refused(changed.map(|_| ()));
    assert_eq!(open().document("note", "a").unwrap().unwrap(), note("a"));
}
