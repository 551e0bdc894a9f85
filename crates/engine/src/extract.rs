//! Extraction: turns messages into facts that can be understood without the conversation.

mod fact;
mod parse;
mod prompt;
mod rules;

pub use fact::Extractor;
pub(crate) use fact::Fact;
pub(crate) use prompt::{ExtractionInput, extract_facts, first_chars, record_procedure};
pub(crate) use rules::extract_by_rules;
