//! `mnemon parked`: requests from which nothing could be learnt, and which are kept.

use std::path::PathBuf;

use mnemon_engine::{ErrorCode, Message, ParkedRequest};
use serde_json::{Value, json};

use super::add::read_messages;
use crate::error::{CliError, Exit};
use crate::output::{OnClosed, Output, one_line, pluralize, truncate};
use crate::settings::Settings;
use crate::wiring;

/// What to do with parked requests.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A request is parked if the language model answers, but refuses it or answers unusably, several times. \
                  An outage parks nothing.\n\nA running server processes requests that are tried again."
)]
pub(crate) struct ParkedArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List parked requests with their messages
    List,
    /// Try a parked request again
    Retry(RetryArgs),
    /// Replace the messages of a parked request and try it again
    Edit(EditArgs),
    /// Delete a parked request with its messages
    Drop(OneArgs),
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(false)))]
struct RetryArgs {
    /// The id of the request's event
    #[arg(group = "which")]
    id: Option<String>,
    /// Try all parked requests again
    #[arg(long, group = "which")]
    all: bool,
}

#[derive(Debug, clap::Args)]
struct EditArgs {
    /// The id of the request's event
    id: String,
    /// File with the new messages (- for stdin): a JSON list, {"messages": […]}, or one per line
    #[arg(long, value_name = "FILE")]
    messages: PathBuf,
}

#[derive(Debug, clap::Args)]
struct OneArgs {
    /// The id of the request's event
    id: String,
}

impl ParkedArgs {
    /// What a closed stdout does to it.
    pub(super) fn on_closed_stdout(&self) -> OnClosed {
        match self.action {
            Action::List => OnClosed::Stop(Exit::Ok),
            Action::Retry(_) | Action::Edit(_) | Action::Drop(_) => OnClosed::GoOn,
        }
    }
}

pub(crate) fn run(args: &ParkedArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let engine = wiring::open_engine_any_embedder(settings)?;
    match &args.action {
        Action::List => {
            let parked = engine.parked_requests(None, usize::MAX)?;
            let answer = json!({"parked": parked.iter().map(to_json).collect::<Vec<_>>()});
            out.value(&answer, |_| to_text(&parked, out.width()))?;
        }
        Action::Retry(RetryArgs { id: Some(id), .. }) => {
            check(engine.resume_parked(id.trim(), None)?, id)?;
            out.value(&json!({"retried": 1}), |_| "queued again\n".to_owned())?;
        }
        Action::Retry(RetryArgs { id: None, .. }) => {
            let mut retried = 0;
            for request in engine.parked_requests(None, usize::MAX)? {
                retried += usize::from(engine.resume_parked(&request.event_id, None)?);
            }
            let requests = pluralize(retried, "request", "requests");
            out.value(&json!({"retried": retried}), |_| format!("{requests} queued again\n"))?;
        }
        Action::Edit(args) => {
            let messages = read_messages(&args.messages, &Message::default())?;
            check(engine.resume_parked(args.id.trim(), Some(&messages))?, &args.id)?;
            out.value(&json!({"retried": 1}), |_| "queued again\n".to_owned())?;
        }
        Action::Drop(OneArgs { id }) => {
            check(engine.drop_parked(id.trim())?, id)?;
            out.value(&json!({"dropped": 1}), |_| "dropped\n".to_owned())?;
        }
    }
    Ok(Exit::Ok)
}

fn check(was_parked: bool, id: &str) -> anyhow::Result<()> {
    if was_parked {
        return Ok(());
    }
    let message = format!("no parked request has the id {id}; `mnemon parked list` shows all");
    Err(CliError::failed(ErrorCode::NotFound, message).into())
}

fn to_json(request: &ParkedRequest) -> Value {
    let message = |message: &Message| json!({"role": message.role, "content": message.content, "name": message.name});
    json!({
        "event_id": request.event_id,
        "user_id": request.scope.user_id,
        "agent_id": request.scope.agent_id,
        "run_id": request.scope.run_id,
        "attempts": request.attempts,
        "reason": request.detail.as_ref().unwrap_or(&request.reason),
        "code": request.code,
        "created_at": request.received,
        "parked_at": request.parked,
        "messages": request.messages.iter().map(message).collect::<Vec<_>>(),
    })
}

fn to_text(parked: &[ParkedRequest], width: usize) -> String {
    if parked.is_empty() {
        return "no parked requests\n".to_owned();
    }
    let mut text = String::new();
    for request in parked {
        let owner: Vec<String> = request.scope.ids().into_iter().flatten().map(one_line).collect();
        let attempts = pluralize(request.attempts, "attempt", "attempts");
        let reason = one_line(request.detail.as_ref().unwrap_or(&request.reason));
        text.push_str(&format!("{}  {}  {attempts}\n  {reason}\n", request.event_id, owner.join(" ")));
        for message in &request.messages {
            let line = format!("{}: {}", message.role, message.content);
            text.push_str(&format!("  {}\n", truncate(&line, width.saturating_sub(2))));
        }
    }
    text
}
