//! The formats of files to import, and how they are detected.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use mnemon_store::Scope;
use serde_json::Value;

use super::reader::io_error;
use crate::error::{EngineError, Result};
use crate::message::after_bom;

/// Maximum length of the first line, in bytes: a file without line breaks is not read as a whole to detect its format.
const MAX_FIRST_LINE: u64 = 64 << 20;
/// Where SQLite stores the application id of a database.
const SQLITE_APPLICATION_ID: std::ops::Range<usize> = 68..72;

/// How to import a file.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The owner of the memories, for formats that do not contain it: text and chat.
    pub scope: Option<Scope>,
    /// The session of the memories, for chat.
    pub session: Option<String>,
    /// Computes all vectors again, for an export that was made with another embedder.
    pub reembed: bool,
}

/// The format of a file to import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportFormat {
    /// An export of Mnemon.
    Export,
    /// Points of a mem0 collection: `{"id", "payload", "vector"?}` on each line.
    Points,
    /// mem0's `history.db`.
    HistoryDb,
    /// Chat messages as JSON or JSON lines.
    Chat,
    /// Plain text, one memory on each line.
    Text,
}

impl ImportFormat {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Points => "points",
            Self::HistoryDb => "history_db",
            Self::Chat => "chat",
            Self::Text => "text",
        }
    }

    /// Detects the format of a file from its first bytes and its first line.
    pub(super) fn detect(path: &Path) -> Result<Self> {
        let mut file = BufReader::new(File::open(path).map_err(io_error(path))?);
        let start = file.fill_buf().map_err(io_error(path))?;
        if start.starts_with(b"SQLite format 3\0") {
            if start.get(SQLITE_APPLICATION_ID) == Some(b"MNEM") {
                return Err(EngineError::invalid(format!(
                    "{} is a store of Mnemon: export it, and import the export",
                    path.display()
                )));
            }
            return Ok(Self::HistoryDb);
        }
        let mut line = String::new();
        while after_bom(&line).trim().is_empty() {
            line.clear();
            let read = file.by_ref().take(MAX_FIRST_LINE).read_line(&mut line);
            let read = read.map_err(|error| match error.kind() {
                ErrorKind::InvalidData => EngineError::invalid(format!(
                    "{} is neither a text file in UTF-8 nor a mem0 history.db",
                    path.display()
                )),
                _ => io_error(path)(error),
            })?;
            if read == 0 {
                return Err(EngineError::invalid(format!("{} is empty", path.display())));
            }
        }
        Ok(Self::of_first_line(after_bom(&line).trim_start()))
    }

    fn of_first_line(line: &str) -> Self {
        // A list of messages, but not a line such as `[10:32] Hello`.
        if let Some(rest) = line.strip_prefix('[').map(str::trim_start)
            && (rest.is_empty() || rest.starts_with('{'))
        {
            return Self::Chat;
        }
        match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(map)) if map.contains_key("mnemon_export") => Self::Export,
            Ok(Value::Object(map)) if map.contains_key("payload") => Self::Points,
            Ok(Value::Object(_)) => Self::Chat,
            // A list of texts alone may be a line of text.
            Ok(Value::Array(items))
                if items.iter().any(Value::is_object)
                    && items.iter().all(|item| item.is_string() || item.is_object()) =>
            {
                Self::Chat
            }
            Err(_) if begins_object(line) => Self::Chat,
            _ => Self::Text,
        }
    }
}

/// Whether a line is the first one of a JSON object that spans several lines.
fn begins_object(line: &str) -> bool {
    line.strip_prefix('{').map(str::trim_start).is_some_and(|rest| rest.is_empty() || rest.starts_with('"'))
}
