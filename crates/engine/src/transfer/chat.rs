//! Chat as JSON or JSON lines, and plain text, a memory a line.

use std::path::Path;

use jiff::Timestamp;
use mnemon_store::{Scope, parse_time};
use serde_json::{Map, Value};

use super::import::{BOM, for_each_line};
use super::{BATCH, ImportFormat, ImportOptions, Imported, Refused, io};
use crate::{AddRequest, Engine, EngineError, Message, Result};

impl Engine {
    /// A JSON array of messages, an object with `messages`, or either a line. An object may name `user_id`, `agent_id`,
    /// `run_id`, `session`, `timestamp` and `metadata` for its messages.
    pub(super) fn import_chat(
        &self,
        path: &Path,
        options: &ImportOptions,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Imported> {
        let mut imported = Imported::new(ImportFormat::Chat);
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
                    Err(reason) => imported.refused.push(Refused { line, reason }),
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
    ) -> Result<Imported> {
        let mut imported = Imported::new(ImportFormat::Text);
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
                        ..AddRequest::default()
                    };
                    requests.push((line, request));
                }
                Err(reason) => imported.refused.push(Refused { line, reason: reason.into() }),
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
        imported: &mut Imported,
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
            Err(reason) => imported.refused.push(Refused { line, reason }),
        }
    }

    /// Adds what can be added, batch by batch; what is refused is told by line.
    fn add_all(
        &self,
        requests: Vec<(usize, AddRequest)>,
        imported: &mut Imported,
        progress: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let mut good = Vec::with_capacity(requests.len());
        for (line, request) in requests {
            match self.check_request(&request) {
                Ok(()) => good.push(request),
                Err(error) if error.is_callers_fault() => {
                    imported.refused.push(Refused { line, reason: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        let mut done = 0;
        for batch in good.chunks(BATCH) {
            let added: usize = self.add_batch(batch)?.iter().map(Vec::len).sum();
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
    let (messages, own) = match map.get("messages") {
        Some(Value::Array(messages)) => (messages.iter().map(message).collect::<Result<Vec<_>, _>>()?, true),
        Some(_) => return Err("`messages` is no list".into()),
        None => (vec![message(item)?], false),
    };
    let text = |key: &str| match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(format!("`{key}` is {other}, not text")),
    };
    let ids = [text("user_id")?, text("agent_id")?, text("run_id")?];
    let scope = match &options.scope {
        _ if ids.iter().any(Option::is_some) => {
            Scope::new(ids[0], ids[1], ids[2]).map_err(|error| error.to_string())?
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
        timestamp: if own { time(map)? } else { None },
        session: text("session")?.map(str::to_owned).or_else(|| options.session.clone()),
        ..AddRequest::default()
    })
}

fn message(item: &Value) -> Result<Message, String> {
    let Value::Object(map) = item else { return Err("a message is no object".into()) };
    let content = match map.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => return Err("a message has no `content`".into()),
    };
    let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(Message {
        role: text("role").unwrap_or_else(|| "user".into()),
        content,
        name: text("name"),
        timestamp: time(map)?,
    })
}

/// `timestamp`: RFC 3339, or seconds since 1970.
fn time(map: &Map<String, Value>) -> Result<Option<Timestamp>, String> {
    let wrong = |value: &Value| format!("`timestamp` is {value}; give RFC 3339 or seconds since 1970");
    match map.get("timestamp") {
        None | Some(Value::Null) => Ok(None),
        Some(value @ Value::String(text)) => parse_time(text).map(Some).ok_or_else(|| wrong(value)),
        Some(value @ Value::Number(number)) => {
            let seconds = number.as_f64().unwrap_or(f64::NAN);
            Timestamp::from_microsecond((seconds * 1e6) as i64)
                .ok()
                .filter(|_| seconds.is_finite())
                .map(Some)
                .ok_or_else(|| wrong(value))
        }
        Some(value) => Err(wrong(value)),
    }
}
