//! Export and import: the whole store as lines of JSON, and files from elsewhere.

mod chat;
mod export;
mod format;
mod import;
mod insert;
mod line;
mod mem0_history;
mod points;
mod reader;
mod report;
mod restore;

pub use format::{ImportFormat, ImportOptions};
pub use report::{ImportReport, RejectedRecord, Rejection, TransferCounts};
