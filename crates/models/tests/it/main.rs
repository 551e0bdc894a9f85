//! Integration tests of the models, one file a subject.

mod openai;
mod service;
mod static_embedder;
mod wordpiece;
