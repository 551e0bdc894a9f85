//! Integration tests of text analysis, one file a subject.

mod bm25;
mod dates;
mod entity;
mod lemma;
