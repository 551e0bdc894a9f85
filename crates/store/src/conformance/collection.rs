//! Stories of collections: unreadable documents are errors, and fields of a newer version survive.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fixture::OpenDocumentStore;
use crate::{Collection, Document, DocumentStore, Durability, PageRequest, StoreError};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
    #[serde(default)]
    pages: Vec<u32>,
    place: Option<Place>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    town: String,
}

fn note(text: &str) -> Note {
    Note { text: text.into(), pages: vec![1], place: Some(Place { town: "Porto".into() }) }
}

fn notes(open: OpenDocumentStore<'_>) -> (Arc<dyn DocumentStore>, Collection<Note>) {
    let store: Arc<dyn DocumentStore> = Arc::from(open());
    (store.clone(), Collection::new(store, "note"))
}

fn page() -> PageRequest {
    PageRequest { limit: 9, ..PageRequest::default() }
}

#[track_caller]
fn assert_unreadable<T: std::fmt::Debug>(result: Result<T, StoreError>, expected: &str) {
    match result {
        Err(StoreError::UnreadableDocument { kind: "note", id, reason }) => {
            assert!(id == expected && !reason.is_empty() && !reason.contains("secret"), "{id}: {reason}");
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn values_of_a_collection_round_trip(open: OpenDocumentStore<'_>) {
    let (_, notes) = notes(open);
    let first = notes.document("1", note("first")).owned_by(Some("ana"));
    let second = notes.document("2", note("second"));
    assert!(notes.put_new(&first).unwrap() && !notes.put_new(&first).unwrap());
    notes.put(std::slice::from_ref(&second), Durability::Synced).unwrap();
    assert_eq!((notes.get("1").unwrap(), notes.get("3").unwrap()), (Some(first.clone()), None));
    assert_eq!(notes.list(None, &page()).unwrap().items, [second, first.clone()]);
    assert_eq!(notes.list(Some(&["ana".to_owned()]), &page()).unwrap().items, [first]);
    assert_eq!((notes.count().unwrap(), notes.unreadable().unwrap()), (2, vec![]));
    assert!(notes.remove("2").unwrap() && !notes.remove("2").unwrap());
    assert_eq!((notes.trim(0).unwrap(), notes.count().unwrap()), (1, 0));
}

pub(super) fn an_unreadable_document_is_an_error(open: OpenDocumentStore<'_>) {
    let bodies = [
        json!({"title": "secret"}),
        json!({"text": ["secret"]}),
        json!({"text": "x", "pages": ["secret"]}),
        json!({"text": "x", "place": {}}),
        json!("secret"),
        json!([1, "secret"]),
        json!(1),
        Value::Null,
    ];
    let (store, notes) = notes(open);
    for body in bodies {
        let bad = Document::new("note", "bad", body.clone()).owned_by(Some("ana"));
        notes.put_new(&notes.document("older", note("older"))).unwrap();
        store.put(std::slice::from_ref(&bad), Durability::Synced).unwrap();
        notes.put_new(&notes.document("newer", note("newer"))).unwrap();
        assert_unreadable(notes.get("bad"), "bad");
        assert_unreadable(notes.list(None, &page()), "bad");
        assert_unreadable(notes.list(Some(&["ana".to_owned()]), &page()), "bad");
        let mut called = false;
        let changed = notes.change("bad", &mut |_| {
            called = true;
            true
        });
        assert_unreadable(changed, "bad");
        assert!(!called && !notes.put_new(&notes.document("bad", note("x"))).unwrap(), "{body}");
        assert_eq!(store.document("note", "bad").unwrap(), Some(bad), "nothing was written");
        // The others are still found.
        let found = notes.scan(None, &page()).unwrap();
        let [newer, unreadable, older] = found.items.try_into().ok().unwrap();
        assert_eq!((newer.unwrap().id, older.unwrap().id, found.total), ("newer".into(), "older".into(), 3));
        assert_unreadable(unreadable, "bad");
        assert_eq!((notes.unreadable().unwrap(), notes.count().unwrap()), (vec!["bad".to_owned()], 3));
        assert!(notes.get("older").unwrap().is_some() && notes.remove("bad").unwrap());
        assert!(notes.remove("older").unwrap() && notes.remove("newer").unwrap());
    }
}

pub(super) fn fields_of_a_newer_version_are_kept(open: OpenDocumentStore<'_>) {
    let (store, notes) = notes(open);
    let body = json!({"colour": "red", "text": "old", "place": {"town": "Porto", "street": {"nr": 7}}, "pages": [1]});
    store.put(&[Document::new("note", "1", body).owned_by(Some("ana"))], Durability::Synced).unwrap();
    assert_eq!(notes.get("1").unwrap().unwrap().body, note("old"));
    let changed = notes.change("1", &mut |document| {
        document.body.text = "new".into();
        document.owner = None;
        true
    });
    assert_eq!(changed.unwrap().unwrap(), notes.document("1", note("new")));
    let stored = store.document("note", "1").unwrap().unwrap();
    let expected =
        json!({"colour": "red", "text": "new", "place": {"town": "Porto", "street": {"nr": 7}}, "pages": [1]});
    assert_eq!((stored.body.to_string(), stored.owner), (expected.to_string(), None));
    // What is removed takes its own unknown fields along.
    notes.change("1", &mut |document| document.body.place.take().is_some()).unwrap().unwrap();
    let expected = json!({"colour": "red", "text": "new", "place": null, "pages": [1]});
    assert_eq!(store.document("note", "1").unwrap().unwrap().body.to_string(), expected.to_string());
    assert_eq!(notes.change("1", &mut |document| document.body.place.is_some()).unwrap(), None);
}
