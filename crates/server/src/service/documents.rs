//! Documents of a list that one unreadable document must not stop.

use mnemon_store::{Document, StoreError};

/// The documents that can be read; the others are logged and left out.
pub(crate) fn readable<T>(found: Vec<Result<Document<T>, StoreError>>) -> impl DoubleEndedIterator<Item = Document<T>> {
    found.into_iter().filter_map(|document| {
        document.inspect_err(|error| tracing::error!(%error, "a document is left out of a list")).ok()
    })
}
