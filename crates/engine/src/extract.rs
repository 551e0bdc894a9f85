//! Extraction: turns messages into facts that can be understood without the conversation.

mod ask;
mod fact;
mod parse;
mod prompt;
mod question;
mod rules;
mod window;
mod words;

pub(crate) use ask::{Extraction, extract_facts, record_procedure};
pub use fact::Extractor;
pub(crate) use fact::Fact;
pub(crate) use prompt::ExtractionInput;
pub(crate) use rules::extract_by_rules;
pub(crate) use window::first_chars;
