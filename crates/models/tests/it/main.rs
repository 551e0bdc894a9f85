//! Integration tests of the models, one file for each subject.

mod llm;
mod llm_refusals;
mod openai;
mod refusals;
mod rerank;
mod static_embedder;
mod wordpiece;
