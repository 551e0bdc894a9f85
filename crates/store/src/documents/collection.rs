//! The documents of one kind as values of a type.

use std::marker::PhantomData;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::merge::merge;
use super::{Document, DocumentStore};
use crate::{Durability, Page, PageRequest, Result, StoreError};

/// Documents read together.
const BATCH: usize = 256;

/// The documents of one kind, as values of a type.
///
/// A document that can't be read as this type is an error, [`StoreError::UnreadableDocument`], never absent. Fields
/// that the type does not know, such as those of a newer version, are ignored when a document is read and kept when it
/// is changed.
pub struct Collection<T> {
    documents: Arc<dyn DocumentStore>,
    kind: &'static str,
    body: PhantomData<fn() -> T>,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self { documents: self.documents.clone(), kind: self.kind, body: PhantomData }
    }
}

impl<T: Serialize + DeserializeOwned> Collection<T> {
    /// The documents of this kind in a document store.
    pub fn new(documents: Arc<dyn DocumentStore>, kind: &'static str) -> Self {
        Self { documents, kind, body: PhantomData }
    }

    /// The kind of the documents.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// A document to write; it belongs to the server.
    pub fn document(&self, id: impl Into<String>, body: T) -> Document<T> {
        Document::new(self.kind, id, body)
    }

    /// A document by its id.
    ///
    /// # Errors
    /// [`StoreError::UnreadableDocument`]; others if the document store fails.
    pub fn get(&self, id: &str) -> Result<Option<Document<T>>> {
        self.documents.document(self.kind, id)?.map(decode).transpose()
    }

    /// A document by its id, if its owner passes. Others count as absent, even if they can't be read.
    ///
    /// # Errors
    /// As [`Collection::get`].
    pub fn get_visible(&self, id: &str, is_visible: impl FnOnce(Option<&str>) -> bool) -> Result<Option<Document<T>>> {
        let found = self.documents.document(self.kind, id)?;
        found.filter(|document| is_visible(document.owner.as_deref())).map(decode).transpose()
    }

    /// Writes documents in one commit. A document with the same id is replaced, even one that can't be read, and keeps
    /// its position in lists.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn put(&self, documents: &[Document<T>], durability: Durability) -> Result<()> {
        let documents = documents.iter().map(encode).collect::<Result<Vec<_>>>()?;
        self.documents.put(&documents, durability)
    }

    /// Writes a document if none has its id; returns whether it was written. Synced.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn put_new(&self, document: &Document<T>) -> Result<bool> {
        self.documents.put_new(&encode(document)?)
    }

    /// Writes a document if there is none of its kind; returns whether it was written: of several callers at the same time
    /// only one succeeds. Synced.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn put_first(&self, document: &Document<T>) -> Result<bool> {
        self.documents.put_first(&encode(document)?)
    }

    /// A page of documents, newest first; of these owners, or of all.
    ///
    /// # Errors
    /// [`StoreError::UnreadableDocument`] if one of them can't be read; others if the document store fails.
    pub fn list(&self, owners: Option<&[String]>, page: &PageRequest) -> Result<Page<Document<T>>> {
        let Page { items, total, next } = self.scan(owners, page)?;
        Ok(Page { items: items.into_iter().collect::<Result<_>>()?, total, next })
    }

    /// The same, for lists that one unreadable document must not stop: it is logged and left out.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn readable(&self, owners: Option<&[String]>, page: &PageRequest) -> Result<Page<Document<T>>> {
        let Page { items, total, next } = self.scan(owners, page)?;
        Ok(Page { items: items.into_iter().filter_map(read_or_log).collect(), total, next })
    }

    /// All documents that can be read, newest first; the others are logged.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn all_readable(&self) -> Result<Vec<Document<T>>> {
        let mut all = Vec::new();
        self.scan_all(&mut |document| {
            all.extend(read_or_log(document));
            Ok(())
        })?;
        Ok(all)
    }

    /// A page of documents. A document that can't be read is an error in its place.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn scan(&self, owners: Option<&[String]>, page: &PageRequest) -> Result<Page<Result<Document<T>>>> {
        let Page { items, total, next } = self.documents.scan(self.kind, owners, page)?;
        Ok(Page { items: items.into_iter().map(|document| decode(document?)).collect(), total, next })
    }

    /// Hands over all documents, newest first, as [`Collection::scan`] does.
    ///
    /// # Errors
    /// The first error of `visit`; others if the document store fails.
    pub fn scan_all(&self, visit: &mut dyn FnMut(Result<Document<T>>) -> Result<()>) -> Result<()> {
        let mut page = PageRequest { limit: BATCH, ..PageRequest::default() };
        loop {
            let found = self.scan(None, &page)?;
            found.items.into_iter().try_for_each(&mut *visit)?;
            page.cursor = found.next;
            if page.cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// Ids of the documents that can't be read.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn unreadable(&self) -> Result<Vec<String>> {
        let mut ids = Vec::new();
        self.scan_all(&mut |document| match document {
            Ok(_) => Ok(()),
            Err(StoreError::UnreadableDocument { id, .. }) => {
                ids.push(id);
                Ok(())
            }
            Err(error) => Err(error),
        })?;
        Ok(ids)
    }

    /// Documents that are due at `now`, the longest due first. A document that can't be read is an error in its place.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Result<Document<T>>>> {
        let due = self.documents.due(self.kind, now, limit)?;
        Ok(due.into_iter().map(|document| decode(document?)).collect())
    }

    /// The number of documents, including those that can't be read.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn count(&self) -> Result<usize> {
        Ok(self.documents.scan(self.kind, None, &PageRequest { limit: 1, ..PageRequest::default() })?.total)
    }

    /// Changes a document in one transaction and returns the changed document. If it does not exist or `change` returns
    /// false, nothing is written and the result is `None`. Id and kind can't be changed. Synced.
    ///
    /// # Errors
    /// [`StoreError::UnreadableDocument`], and nothing is written; others if the document store fails.
    pub fn change(&self, id: &str, change: &mut dyn FnMut(&mut Document<T>) -> bool) -> Result<Option<Document<T>>> {
        let mut error = None;
        let changed = self.documents.change(self.kind, id, &mut |stored| {
            let applied = apply(stored, change);
            applied.unwrap_or_else(|fault| {
                error = Some(fault);
                false
            })
        })?;
        match error {
            Some(error) => Err(error),
            None => changed.map(decode).transpose(),
        }
    }

    /// Removes a document, even one that can't be read; returns whether it existed. If several callers remove it at the
    /// same time, only one succeeds. Synced.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn remove(&self, id: &str) -> Result<bool> {
        self.documents.remove(self.kind, id)
    }

    /// Removes all documents except the newest `keep` and those with a due time; returns the number of removed
    /// documents.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn trim(&self, keep: usize) -> Result<usize> {
        self.documents.trim(self.kind, keep)
    }
}

fn read_or_log<T>(document: Result<Document<T>>) -> Option<Document<T>> {
    document.inspect_err(|error| tracing::error!(%error, "a document is left out of a list")).ok()
}

/// A kind of documents, which a check can read without knowing their type.
pub struct DocumentKind {
    /// The kind.
    pub name: &'static str,
    unreadable: fn(Arc<dyn DocumentStore>, &'static str) -> Result<Vec<String>>,
}

impl DocumentKind {
    /// The kind whose documents are of type `T`.
    pub const fn of<T: Serialize + DeserializeOwned>(name: &'static str) -> Self {
        Self { name, unreadable: |documents, kind| Collection::<T>::new(documents, kind).unreadable() }
    }

    /// Ids of the documents of this kind that can't be read.
    ///
    /// # Errors
    /// If the document store fails.
    pub fn unreadable(&self, documents: &Arc<dyn DocumentStore>) -> Result<Vec<String>> {
        (self.unreadable)(documents.clone(), self.name)
    }
}

/// Changes a stored document. Returns whether to write it.
fn apply<T: Serialize + DeserializeOwned>(
    stored: &mut Document,
    change: &mut dyn FnMut(&mut Document<T>) -> bool,
) -> Result<bool> {
    let mut document = decode::<T>(stored.clone())?;
    let before = to_json(&document)?;
    if !change(&mut document) {
        return Ok(false);
    }
    merge(&mut stored.body, &before, to_json(&document)?);
    stored.owner = document.owner;
    stored.due = document.due;
    Ok(true)
}

fn decode<T: DeserializeOwned>(document: Document) -> Result<Document<T>> {
    let body = T::deserialize(&document.body);
    let body = body.map_err(|error| StoreError::unreadable(document.kind, &document.id, &error))?;
    Ok(document.with_body(body))
}

fn encode<T: Serialize>(document: &Document<T>) -> Result<Document> {
    let Document { kind, id, owner, due, .. } = document;
    Ok(Document { kind, id: id.clone(), owner: owner.clone(), due: *due, body: to_json(document)? })
}

fn to_json<T: Serialize>(document: &Document<T>) -> Result<Value> {
    serde_json::to_value(&document.body)
        .map_err(|error| StoreError::Unsupported(format!("a document of kind {} is no JSON: {error}", document.kind)))
}
