//! Integration tests of text analysis, one file for each subject.

mod bm25;
mod dates;
mod entity;
mod lemma;
