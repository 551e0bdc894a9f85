//! Integration tests of the models, one file a subject.

mod static_embedder;
mod wordpiece;
