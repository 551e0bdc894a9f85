//! `mnemon add`: adds a text, a conversation, or messages line by line.

mod lines;
mod messages;

pub(super) use messages::read as read_messages;

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use mnemon_engine::{AddOutcome, AddRequest, ErrorCode, LearnRequest, Message};
use mnemon_store::{MemoryId, Role};
use serde_json::{Value, json};

use super::input::{self, MetadataArgs};
use super::store_files::check_input;
use crate::args::ScopeArgs;
use crate::error::{CliError, ErrorReport, Exit};
use crate::output::{Output, added_to_json, pluralize};
use crate::settings::Settings;
use crate::wiring;

/// What to add.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mnemon add 'I am allergic to peanuts' --user ana
  mnemon add --user ana --messages chat.json --session monday
  tail -f chat.log | mnemon add --user ana --stdin --json")]
pub(crate) struct AddArgs {
    /// Text of the memory
    #[arg(conflicts_with_all = ["stdin", "messages"])]
    text: Option<String>,
    /// Read one message per line from stdin: plain text, or {"role", "content", "name", "timestamp"}; prints each memory's id as
    /// soon as it is stored
    #[arg(long, conflicts_with = "messages")]
    stdin: bool,
    /// Add all messages of a file (- for stdin) or none: a JSON list, {"messages": […]}, or one per line
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Role of messages without one: user or assistant
    #[arg(long, default_value = "user", value_parser = input::role)]
    role: Role,
    /// Speaker's name of messages without one
    #[arg(long)]
    name: Option<String>,
    /// Extract facts and store them instead of the messages: with the configured language model, otherwise with built-in rules
    #[arg(long, conflicts_with_all = ["stdin", "skip_duplicates"])]
    infer: bool,
    /// Further instructions for the language model
    #[arg(long, value_name = "TEXT", requires = "infer")]
    instructions: Option<String>,
    /// Session that the messages belong to [default: the last one, unless the session gap has passed]
    #[arg(long, conflicts_with = "unordered")]
    session: Option<String>,
    /// Add facts that belong to no session
    #[arg(long)]
    unordered: bool,
    /// Time of the message: RFC 3339, a date, or seconds since 1970 [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::time)]
    timestamp: Option<Timestamp>,
    #[command(flatten)]
    metadata: MetadataArgs,
    /// Expiration date: the last day on which the memory is shown, in UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = input::date)]
    expires: Option<Date>,
    /// Skip texts that the same user, agent and run already have, word for word
    #[arg(long)]
    skip_duplicates: bool,
    /// Link to an existing memory. KIND is `related` by default. Can be repeated
    #[arg(long, value_name = "ID[:KIND]")]
    link: Vec<String>,
}

pub(crate) fn run(args: &AddArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    if args.text.is_none() && !args.stdin && args.messages.is_none() {
        let message = "nothing to add: give the text, --messages FILE, or --stdin to read one message per line";
        return Err(CliError::usage(message).into());
    }
    let request = request(args, settings)?;
    if args.stdin {
        return lines::run(request, &args.defaults(), settings, out);
    }
    let messages = match (&args.text, &args.messages) {
        (Some(text), _) => vec![Message { content: text.clone(), ..args.defaults() }],
        (None, Some(file)) => {
            check_input(file, settings.file_of_store())?;
            messages::read(file, &args.defaults())?
        }
        (None, None) => Vec::new(),
    };
    if args.infer {
        return learn(args, AddRequest { messages, ..request }, settings, out);
    }
    let request = AddRequest { messages, ..request };
    let skipped = request.skipped();
    let added = wiring::open_or_create_engine(settings)?.add(request)?;
    match &skipped {
        Some(skipped) => out.note(skipped),
        None if added.is_empty() => out.note("nothing was stored: the texts are stored already"),
        None => {}
    }
    let results: Vec<Value> = added.iter().map(added_to_json).collect();
    let mut answer = json!({"results": results});
    if let Some(skipped) = skipped {
        answer["note"] = skipped.into();
    }
    out.value(&answer, |_| added.iter().map(|one| format!("{}\n", one.id)).collect())?;
    Ok(Exit::Ok)
}

/// Extracts and stores facts. If the model is unavailable, the job stays in the queue of the store.
fn learn(args: &AddArgs, add: AddRequest, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let engine = wiring::open_or_create_engine(settings)?;
    let skipped = add.skipped();
    let request = LearnRequest { add, instructions: args.instructions.clone(), procedure: false };
    let learned = engine.learn(request)?;
    let extractor = learned.extractor.as_str();
    match learned.outcome {
        AddOutcome::Stored(added) => {
            match &skipped {
                Some(skipped) => out.note(skipped),
                None if added.is_empty() => out.note("nothing was stored: no new facts were found"),
                None => {}
            }
            let results: Vec<Value> = added.iter().map(added_to_json).collect();
            let mut answer = json!({"results": results, "extractor": extractor, "event_id": learned.event_id});
            if let Some(skipped) = skipped {
                answer["note"] = skipped.into();
            }
            for one in &learned.not_learnt {
                out.note(&format!("nothing was learnt from message {}: {}", one.message + 1, one.reason));
            }
            if !learned.not_learnt.is_empty() {
                answer["not_learnt"] = json!(learned.not_learnt);
            }
            out.value(&answer, |_| added.iter().map(|one| format!("{}  {}\n", one.id, one.memory)).collect())?;
        }
        AddOutcome::Cancelled => {
            return Err(CliError::failed(
                ErrorCode::Conflict,
                "the owner's memories were deleted during the extraction",
            )
            .into());
        }
        AddOutcome::Pending { error, public_reason } => {
            let id = learned.event_id;
            let reason = error.map_or(public_reason.to_owned(), |error| ErrorReport::of(&(*error).into()).message);
            out.note(&format!("queued; the next `mnemon serve` or `mnemon add --infer` retries it: {reason}"));
            let answer =
                json!({"results": [], "extractor": extractor, "event_id": id, "status": "PENDING", "reason": reason});
            out.value(&answer, |_| format!("queued as {id}\n"))?;
        }
        AddOutcome::Parked { error, public_reason } => {
            let id = learned.event_id;
            let reason = error.map_or(public_reason.to_owned(), |error| ErrorReport::of(&(*error).into()).message);
            out.note(&format!("nothing was learnt, and the messages are kept; see `mnemon parked list`: {reason}"));
            let answer =
                json!({"results": [], "extractor": extractor, "event_id": id, "status": "FAILED", "reason": reason});
            out.value(&answer, |_| format!("parked as {id}\n"))?;
            return Ok(Exit::Failed);
        }
    }
    // Jobs that were queued earlier may be due.
    while let Some(finished) = engine.run_due_job()? {
        match finished.outcome {
            AddOutcome::Stored(added) => {
                out.note(&format!(
                    "queued job {} completed: {}",
                    finished.event_id,
                    pluralize(added.len(), "fact", "facts")
                ));
            }
            AddOutcome::Cancelled => {}
            AddOutcome::Parked { public_reason, .. } => {
                out.note(&format!("queued job {} is parked: {public_reason}", finished.event_id));
            }
            AddOutcome::Pending { .. } => break,
        }
    }
    Ok(Exit::Ok)
}

impl AddArgs {
    /// A message with the role and name of the arguments.
    fn defaults(&self) -> Message {
        Message { role: self.role.clone(), name: self.name.clone(), ..Message::default() }
    }
}

/// The request without its messages.
fn request(args: &AddArgs, settings: &Settings) -> anyhow::Result<AddRequest> {
    let links = args.link.iter().map(|link| self::link(link)).collect::<anyhow::Result<_>>()?;
    Ok(AddRequest {
        scope: settings.scope(&args.scope)?.ok_or_else(input::missing_scope)?,
        messages: Vec::new(),
        metadata: args.metadata.read()?.unwrap_or_default(),
        timestamp: args.timestamp,
        session: args.session.clone(),
        unordered: args.unordered,
        expiration_date: args.expires,
        skip_duplicates: args.skip_duplicates,
        links,
        ..AddRequest::default()
    })
}

fn link(text: &str) -> anyhow::Result<(MemoryId, String)> {
    let (id, kind) = text.split_once(':').unwrap_or((text, "related"));
    if kind.trim().is_empty() {
        return Err(CliError::usage(format!("--link {text}: give ID or ID:KIND")).into());
    }
    Ok((input::memory_id(id)?, kind.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_related_by_default() {
        assert_eq!(link("7").unwrap(), (MemoryId::Number(7), "related".to_owned()));
        assert_eq!(link("7:supersedes").unwrap().1, "supersedes");
        assert!(link("7:").is_err() && link("x:y").is_err());
    }
}
