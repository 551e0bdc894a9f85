//! Scope indexes in memory: exact search over all memories with one scope id, for every store.

mod cache;
mod encode;
mod index;
mod search;

pub(crate) use cache::{Cache, IndexRead, IndexWrite};
pub(crate) use encode::{
    day_number, sparse_from_blob, sparse_to_blob, terms_from_blob, terms_to_blob, vector_from_blob, vector_to_blob,
};
pub(crate) use index::{Bm25Lists, Entry, Row, ScopeIndex, inverse_norm};
pub(crate) use search::{Decide, Rows, candidates, dot, nearest, sparse, stats};
