//! Pure text analysis, without I/O: how Mnemon reads the words of memories and questions.
#![warn(missing_docs)]

// Words and terms.
pub mod unicode;

pub mod stopwords;
pub mod tokenize;

mod spaceless;

// What is made of them.
pub mod bm25;
pub mod dates;

mod tag;

pub mod lemma;

pub mod entity;

pub use bm25::SparseVector;
pub use dates::DateParts;
pub use stopwords::is_stopword;
pub use tokenize::{index_terms, stem, term_id, term_ids, terms, words};
