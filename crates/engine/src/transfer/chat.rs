//! Imports chat messages as JSON or JSON lines, and plain text, one memory on each line.

use std::path::Path;

use mnemon_store::Scope;
use serde_json::{Map, Value};

use super::format::{ImportFormat, ImportOptions};
use super::reader::{for_each_line, io_error};
use super::report::{ImportReport, RejectedRecord, Rejection};
use crate::add::AddRequest;
use crate::engine::Engine;
use crate::error::{EngineError, Result};
use crate::json::{is_json, read_json};
use crate::message::{Message, after_bom, optional_text, optional_time};

/// Requests in one commit, and messages in one request.
const BATCH: usize = 512;

/// Imports messages as [`Message::list_from_json`] reads them, or such messages on each line. An object may have `user_id`,
/// `agent_id`, `run_id`, `session`, `timestamp` and `metadata` for its messages.
pub(super) fn import_chat(
    engine: &Engine,
    path: &Path,
    options: &ImportOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<ImportReport> {
    let mut import = ChatImport::new(engine, options);
    let bytes = std::fs::read(path).map_err(io_error(path))?;
    let whole = std::str::from_utf8(&bytes).ok().filter(|text| is_json(after_bom(text))).map(read_json).transpose();
    let whole = whole.map_err(|fault| EngineError::invalid(format!("{}: {fault}", path.display())))?;
    drop(bytes);
    match whole {
        Some(Value::Array(items)) => {
            for (line, item) in (1..).zip(&items) {
                import.push(line, item);
            }
        }
        Some(item) => import.push(1, &item),
        None => for_each_line(path, |line, text| {
            let item = text
                .map_err(str::to_owned)
                .and_then(|text| read_json(text).map_err(|error| format!("invalid JSON: {error}")));
            match item {
                Ok(item) => import.push(line, &item),
                Err(reason) => import.imported.refused.push(RejectedRecord { line, reason: reason.into() }),
            }
            Ok(())
        })?,
    }
    let ChatImport { requests, mut imported, .. } = import;
    if requests.is_empty() && imported.refused.is_empty() && imported.skipped == 0 {
        return Err(EngineError::invalid(format!("{} has no messages", path.display())));
    }
    add_all(engine, requests, &mut imported, progress)?;
    Ok(imported)
}

/// Imports a text file: each line becomes a memory without session.
pub(super) fn import_text(
    engine: &Engine,
    path: &Path,
    options: &ImportOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<ImportReport> {
    let mut imported = ImportReport::new(ImportFormat::Text);
    let scope = options.scope.clone().ok_or(EngineError::NoOwner)?;
    let mut requests = Vec::with_capacity(BATCH);
    let mut read = 0;
    for_each_line(path, |line, text| {
        match text {
            Ok(text) => {
                let message = Message { content: text.trim().into(), ..Message::default() };
                let request = AddRequest {
                    scope: scope.clone(),
                    messages: vec![message],
                    unordered: true,
                    skip_duplicates: true,
                    ..AddRequest::default()
                };
                requests.push((line, request));
            }
            Err(reason) => imported.refused.push(RejectedRecord { line, reason: reason.to_owned().into() }),
        }
        if requests.len() == BATCH {
            add_all(engine, std::mem::take(&mut requests), &mut imported, &mut |done| progress(read + done))?;
            read += BATCH;
        }
        Ok(())
    })?;
    add_all(engine, requests, &mut imported, &mut |done| progress(read + done))?;
    Ok(imported)
}

/// Collects the requests of a chat file.
struct ChatImport<'e> {
    engine: &'e Engine,
    options: &'e ImportOptions,
    /// Each request with the line of its first message.
    requests: Vec<(usize, AddRequest)>,
    imported: ImportReport,
}

impl<'e> ChatImport<'e> {
    fn new(engine: &'e Engine, options: &'e ImportOptions) -> Self {
        Self { engine, options, requests: Vec::new(), imported: ImportReport::new(ImportFormat::Chat) }
    }

    /// Adds a message, or several messages.
    fn push(&mut self, line: usize, item: &Value) {
        // Checked before it is merged with its neighbours, so that an invalid item does not affect them.
        let request = parse_request(item, self.options).and_then(|request| {
            request.check(self.engine.store()).map_err(|error| error.to_string())?;
            Ok(request)
        });
        match (request, self.requests.last_mut()) {
            (Ok(request), _) if !request.messages.iter().any(Message::is_stored) => {
                self.imported.skipped += request.messages.len();
            }
            (Ok(request), Some((_, last))) if last.messages.len() < BATCH && is_same_conversation(last, &request) => {
                last.messages.extend(request.messages);
            }
            (Ok(request), _) => self.requests.push((line, request)),
            (Err(reason), _) => self.imported.refused.push(RejectedRecord { line, reason }),
        }
    }
}

/// Adds the valid requests in batches, and reports the invalid ones.
fn add_all(
    engine: &Engine,
    requests: Vec<(usize, AddRequest)>,
    imported: &mut ImportReport,
    progress: &mut dyn FnMut(usize),
) -> Result<()> {
    let mut valid = Vec::with_capacity(requests.len());
    for (line, request) in requests {
        match request.check(engine.store()) {
            Ok(()) => valid.push(request),
            Err(error) if error.is_callers_error() => {
                imported.refused.push(RejectedRecord { line, reason: error.to_string().into() });
            }
            Err(error) => return Err(error),
        }
    }
    let mut done = 0;
    for batch in valid.chunks(BATCH) {
        let skipped = |request: &AddRequest| request.messages.iter().filter(|message| !message.is_stored()).count();
        imported.skipped += batch.iter().map(skipped).sum::<usize>();
        let answers = engine.add_batch(batch)?;
        let added: usize = answers.iter().map(Vec::len).sum();
        imported.unchanged +=
            batch.iter().zip(&answers).filter(|(request, added)| request.skip_duplicates && added.is_empty()).count();
        imported.stored.memories += added;
        imported.stored.history += added;
        done += batch.len();
        progress(done);
    }
    Ok(())
}

/// Whether two requests differ in their messages alone. Such neighbours are one conversation.
fn is_same_conversation(one: &AddRequest, other: &AddRequest) -> bool {
    one.scope == other.scope
        && one.session == other.session
        && one.timestamp == other.timestamp
        && one.metadata == other.metadata
}

fn parse_request(item: &Value, options: &ImportOptions) -> Result<AddRequest, Rejection> {
    let messages = Message::list_from_json(item, &Message::default())?;
    let no_fields = Map::new();
    let map = item.as_object().unwrap_or(&no_fields);
    let is_list = map.contains_key("messages");
    Ok(AddRequest {
        scope: scope(map, options)?,
        messages,
        metadata: match map.get("metadata") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(metadata)) => metadata.clone(),
            Some(_) => return Err("metadata: must be an object".to_owned().into()),
        },
        // The timestamp of a single message is in the message.
        timestamp: if is_list { optional_time(map)? } else { None },
        session: optional_text(map, "session")?.map(str::to_owned).or_else(|| options.session.clone()),
        ..AddRequest::default()
    })
}

/// The owner of an item: its own ids if it has any, else the owner that the import is for.
fn scope(map: &Map<String, Value>, options: &ImportOptions) -> Result<Scope, Rejection> {
    let ids = [optional_text(map, "user_id")?, optional_text(map, "agent_id")?, optional_text(map, "run_id")?];
    if ids.iter().all(Option::is_none) {
        return options.scope.clone().ok_or(Rejection::NoOwner);
    }
    let scope = Scope::new(ids[0], ids[1], ids[2]).map_err(|error| error.to_string())?;
    // A file can't choose another owner than the caller.
    if options.scope.as_ref().is_some_and(|requested| *requested != scope) {
        return Err(format!("its owner is {}, and the import is for another owner", scope.session_scope()).into());
    }
    Ok(scope)
}
