//! Chat as JSON or JSON lines, and plain text, a memory a line.

use std::path::Path;

use mnemon_store::Scope;
use serde_json::{Map, Value};

use super::import::{BOM, for_each_line};
use super::{BATCH, ImportFormat, ImportOptions, ImportReport, RejectedRecord, io};
use crate::message::{text_of, time_of};
use crate::{AddRequest, Engine, EngineError, Message, Result};

impl Engine {
    /// A JSON array of messages, an object with `messages`, or either a line. An object may name `user_id`, `agent_id`,
    /// `run_id`, `session`, `timestamp` and `metadata` for its messages.
    pub(super) fn import_chat(
        &self,
        path: &Path,
        options: &ImportOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<ImportReport> {
        let mut imported = ImportReport::new(ImportFormat::Chat);
        let mut requests: Vec<(usize, AddRequest)> = Vec::new();
        let bytes = std::fs::read(path).map_err(io(path))?;
        let whole: Option<Value> = serde_json::from_slice(bytes.strip_prefix(BOM).unwrap_or(&bytes)).ok();
        drop(bytes);
        match whole {
            Some(Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.take(index + 1, item, options, &mut requests, &mut imported);
                }
            }
            Some(item) => self.take(1, &item, options, &mut requests, &mut imported),
            None => for_each_line(path, |line, text| {
                match text
                    .map_err(str::to_owned)
                    .and_then(|text| serde_json::from_str::<Value>(text).map_err(|error| format!("no JSON: {error}")))
                {
                    Ok(item) => self.take(line, &item, options, &mut requests, &mut imported),
                    Err(reason) => imported.refused.push(RejectedRecord { line, reason }),
                }
                Ok(())
            })?,
        }
        if requests.is_empty() && imported.refused.is_empty() {
            return Err(EngineError::invalid(format!("{} holds no messages", path.display())));
        }
        self.add_all(requests, &mut imported, progress)?;
        Ok(imported)
    }

    pub(super) fn import_text(
        &self,
        path: &Path,
        options: &ImportOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<ImportReport> {
        let mut imported = ImportReport::new(ImportFormat::Text);
        let scope = options.scope.clone().ok_or_else(no_scope)?;
        let mut requests = Vec::with_capacity(BATCH);
        let mut read = 0;
        for_each_line(path, |line, text| {
            match text {
                Ok(text) => {
                    let message = Message { role: "user".into(), content: text.trim().into(), ..Message::default() };
                    let request = AddRequest {
                        scope: scope.clone(),
                        messages: vec![message],
                        unordered: true,
                        skip_duplicates: true,
                        ..AddRequest::default()
                    };
                    requests.push((line, request));
                }
                Err(reason) => imported.refused.push(RejectedRecord { line, reason: reason.into() }),
            }
            if requests.len() == BATCH {
                self.add_all(std::mem::take(&mut requests), &mut imported, &mut |done| progress(read + done))?;
                read += BATCH;
            }
            Ok(())
        })?;
        self.add_all(requests, &mut imported, &mut |done| progress(read + done))?;
        Ok(imported)
    }

    /// Takes a message, or an object that holds several.
    fn take(
        &self,
        line: usize,
        item: &Value,
        options: &ImportOptions,
        requests: &mut Vec<(usize, AddRequest)>,
        imported: &mut ImportReport,
    ) {
        // Checked by itself: one that is refused must not take its neighbours with it.
        let checked = request(item, options)
            .and_then(|request| self.check_request(&request).map(|()| request).map_err(|error| error.to_string()));
        match checked {
            // Messages side by side are one conversation.
            Ok(request) => match requests.last_mut() {
                Some((_, last)) if last.messages.len() < BATCH && together(last, &request) => {
                    last.messages.extend(request.messages);
                }
                _ => requests.push((line, request)),
            },
            Err(reason) => imported.refused.push(RejectedRecord { line, reason }),
        }
    }

    /// Adds what can be added, batch by batch; what is refused is told by line.
    fn add_all(
        &self,
        requests: Vec<(usize, AddRequest)>,
        imported: &mut ImportReport,
        progress: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let mut good = Vec::with_capacity(requests.len());
        for (line, request) in requests {
            match self.check_request(&request) {
                Ok(()) => good.push(request),
                Err(error) if error.is_callers_error() => {
                    imported.refused.push(RejectedRecord { line, reason: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        let mut done = 0;
        for batch in good.chunks(BATCH) {
            let answers = self.add_batch(batch)?;
            let added: usize = answers.iter().map(Vec::len).sum();
            imported.unchanged +=
                batch.iter().zip(&answers).filter(|(asked, got)| asked.skip_duplicates && got.is_empty()).count();
            imported.stored.memories += added;
            imported.stored.history += added;
            done += batch.len();
            progress(done);
        }
        Ok(())
    }
}

fn no_scope() -> EngineError {
    EngineError::invalid("the file does not say whose memories these are: give --user, --agent or --run")
}

fn together(one: &AddRequest, other: &AddRequest) -> bool {
    one.scope == other.scope
        && one.session == other.session
        && one.timestamp == other.timestamp
        && one.metadata == other.metadata
}

fn request(item: &Value, options: &ImportOptions) -> Result<AddRequest, String> {
    let Value::Object(map) = item else { return Err("neither a message nor an object with `messages`".into()) };
    let speaker = Message { role: "user".into(), ..Message::default() };
    let message = |item: &Value| Message::from_json(item, &speaker);
    let (messages, own) = match map.get("messages") {
        Some(Value::Array(messages)) => (messages.iter().map(message).collect::<Result<Vec<_>, _>>()?, true),
        Some(_) => return Err("`messages` is no list".into()),
        None => (vec![message(item)?], false),
    };
    let text = |key: &str| text_of(map, key);
    let ids = [text("user_id")?, text("agent_id")?, text("run_id")?];
    let scope = match &options.scope {
        _ if ids.iter().any(Option::is_some) => {
            let named = Scope::new(ids[0], ids[1], ids[2]).map_err(|error| error.to_string())?;
            // Whoever imports decides whose memories these become.
            if options.scope.as_ref().is_some_and(|asked| *asked != named) {
                return Err(format!("it is of {}, not of whom the import is for", named.session_scope()));
            }
            named
        }
        Some(scope) => scope.clone(),
        None => return Err(no_scope().to_string()),
    };
    Ok(AddRequest {
        scope,
        messages,
        metadata: match map.get("metadata") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(metadata)) => metadata.clone(),
            Some(_) => return Err("`metadata` is no object".into()),
        },
        timestamp: if own { time_of(map)? } else { None },
        session: text("session")?.map(str::to_owned).or_else(|| options.session.clone()),
        ..AddRequest::default()
    })
}
