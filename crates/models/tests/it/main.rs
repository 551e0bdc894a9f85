//! Integration tests of the models, one file a subject.

mod llm;
mod openai;
mod static_embedder;
mod wordpiece;
