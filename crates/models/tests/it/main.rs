//! Integration tests of the models, one file for each subject.

mod llm;
mod openai;
mod refusals;
mod rerank;
mod static_embedder;
mod wordpiece;
