//! Text analysis for memories and questions: words, terms, lemmas, entities and dates. No I/O.
#![warn(missing_docs)]

// Words and terms.
pub mod unicode;

pub mod stopwords;
pub mod tokenize;

// Analyses that are built on them.
pub mod analysis;
pub mod bm25;
pub mod dates;

mod tag;

pub mod lemma;

pub mod entity;

pub use analysis::{IndexTerms, index_terms};
pub use bm25::SparseVector;
pub use dates::DateParts;
pub use stopwords::is_stopword;
pub use tokenize::{stem, term_id, term_ids, terms, words};
