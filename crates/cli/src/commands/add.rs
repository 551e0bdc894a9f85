//! `mnemon add`: remembers a text, a conversation, or what comes line by line.

mod lines;

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::Timestamp;
use jiff::civil::Date;
use mnemon_engine::{AddRequest, AddedMemory, LearnRequest, Message, Outcome};
use mnemon_store::MemoryId;
use serde_json::{Value, json};

use super::input::{self, MetadataArgs};
use crate::cli::ScopeArgs;
use crate::exit::{Exit, Fault};
use crate::output::{Output, counted};
use crate::settings::Settings;

/// What to remember.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mnemon add 'I am allergic to peanuts' --user ana
  mnemon add --user ana --messages chat.json --session monday
  tail -f chat.log | mnemon add --user ana --stdin --json")]
pub(crate) struct AddArgs {
    /// What was said
    #[arg(conflicts_with_all = ["stdin", "messages"])]
    text: Option<String>,
    /// Read a message a line from stdin, plain or as {"role", "content", "name", "timestamp"}; each is stored, then told
    #[arg(long, conflicts_with = "messages")]
    stdin: bool,
    /// Remember the messages of a file (- for stdin), all or none: a JSON list, {"messages": […]}, or one a line
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Who wrote it: user or assistant; where messages do not say
    #[arg(long, default_value = "user")]
    role: String,
    /// The speaker's name; where messages do not say
    #[arg(long)]
    name: Option<String>,
    /// Remember the facts in it instead of the words: by the language model of the settings, else the sentences that state
    /// something
    #[arg(long, conflicts_with_all = ["stdin", "skip_duplicates"])]
    infer: bool,
    /// What the language model is told beside its task
    #[arg(long, value_name = "TEXT", requires = "infer")]
    instructions: Option<String>,
    /// The conversation it belongs to [default: the one before, unless that is long past]
    #[arg(long, conflicts_with = "unordered")]
    session: Option<String>,
    /// A fact by itself, of no conversation
    #[arg(long)]
    unordered: bool,
    /// When it was said: RFC 3339, a date, or seconds since 1970 [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::time)]
    timestamp: Option<Timestamp>,
    #[command(flatten)]
    metadata: MetadataArgs,
    /// The last day it is shown
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = input::date)]
    expires: Option<Date>,
    /// Leave out what this very user, agent and run already remember word for word
    #[arg(long)]
    skip_duplicates: bool,
    /// Link it to a memory there is; KIND is `related` if absent. Repeatable
    #[arg(long, value_name = "ID[:KIND]")]
    link: Vec<String>,
}

pub(crate) fn run(args: &AddArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    if args.text.is_none() && !args.stdin && args.messages.is_none() {
        let hint = "nothing to remember: give the text, --messages FILE, or --stdin to read a message a line";
        return Err(Fault::usage(hint).into());
    }
    let request = request(args, settings)?;
    if args.stdin {
        return lines::run(request, &args.defaults(), settings, out);
    }
    let messages = match (&args.text, &args.messages) {
        (Some(text), _) => vec![Message { content: text.clone(), ..args.defaults() }],
        (None, Some(file)) => read_messages(file, &args.defaults())?,
        (None, None) => Vec::new(),
    };
    if args.infer {
        return learn(args, AddRequest { messages, ..request }, settings, out);
    }
    let added = settings.open_or_create_engine()?.add(AddRequest { messages, ..request })?;
    if added.is_empty() {
        out.note("nothing was stored: system messages and duplicates that are to be skipped are left out");
    }
    let results: Vec<Value> = added.iter().map(result).collect();
    out.value(&json!({"results": results}), |_| added.iter().map(|one| format!("{}\n", one.id)).collect())?;
    Ok(Exit::Ok)
}

/// Remembers facts. If a model is away the messages wait in the store's ledger.
fn learn(args: &AddArgs, add: AddRequest, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let engine = settings.open_or_create_engine()?;
    let request = LearnRequest { add, instructions: args.instructions.clone(), procedure: false };
    let learned = engine.learn(request)?;
    let extractor = learned.extractor.as_str();
    match learned.outcome {
        Outcome::Stored(added) => {
            if added.is_empty() {
                out.note("nothing was stored: nothing in it is worth knowing, or all of it is known");
            }
            let results: Vec<Value> = added.iter().map(result).collect();
            let answer = json!({"results": results, "extractor": extractor, "event_id": learned.event_id});
            out.value(&answer, |_| added.iter().map(|one| format!("{}  {}\n", one.id, one.memory)).collect())?;
        }
        Outcome::Dropped => return Err(Fault::failed("deleted", "the owner's memories were deleted meanwhile").into()),
        Outcome::Waiting { reason, .. } => {
            let id = learned.event_id;
            out.note(&format!("kept, and learnt from by the next `mnemon serve` or `mnemon add --infer`: {reason}"));
            let answer =
                json!({"results": [], "extractor": extractor, "event_id": id, "status": "PENDING", "reason": reason});
            out.value(&answer, |_| format!("waits as {id}\n"))?;
        }
    }
    // What waited from before may have its turn now.
    while let Some(worked) = engine.run_due_job()? {
        match worked.outcome {
            Outcome::Stored(added) => {
                out.note(&format!(
                    "learnt from what had waited as {}: {}",
                    worked.event_id,
                    counted(added.len(), "fact", "facts")
                ));
            }
            Outcome::Dropped => {}
            Outcome::Waiting { .. } => break,
        }
    }
    Ok(Exit::Ok)
}

impl AddArgs {
    /// A message with what the call says of all of them.
    fn defaults(&self) -> Message {
        Message { role: self.role.clone(), name: self.name.clone(), ..Message::default() }
    }
}

/// The request without its messages.
fn request(args: &AddArgs, settings: &Settings) -> anyhow::Result<AddRequest> {
    let links = args.link.iter().map(|link| self::link(link)).collect::<anyhow::Result<_>>()?;
    Ok(AddRequest {
        scope: settings.scope(&args.scope)?.ok_or_else(input::no_scope)?,
        messages: Vec::new(),
        metadata: args.metadata.read()?.unwrap_or_default(),
        timestamp: args.timestamp,
        session: args.session.clone(),
        unordered: args.unordered,
        expiration_date: args.expires,
        skip_duplicates: args.skip_duplicates,
        links,
    })
}

fn link(text: &str) -> anyhow::Result<(MemoryId, String)> {
    let (id, kind) = text.split_once(':').unwrap_or((text, "related"));
    if kind.trim().is_empty() {
        return Err(Fault::usage(format!("--link {text}: give ID or ID:KIND")).into());
    }
    Ok((input::memory_id(id)?, kind.trim().to_owned()))
}

/// A stored memory as mem0's `add` answers.
fn result(added: &AddedMemory) -> Value {
    json!({
        "id": added.id.to_string(),
        "memory": added.memory,
        "event": "ADD",
        "actor_id": added.actor_id,
        "role": added.role,
    })
}

fn read_messages(file: &Path, defaults: &Message) -> anyhow::Result<Vec<Message>> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("reading messages from stdin")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    }
    parse_messages(&text, defaults).map_err(|fault| Fault::usage(format!("{}: {fault}", file.display())).into())
}

fn parse_messages(text: &str, defaults: &Message) -> Result<Vec<Message>, String> {
    let items = match serde_json::from_str(text) {
        Ok(Value::Array(items)) => items,
        Ok(Value::Object(mut map)) if map.contains_key("messages") => match map.remove("messages") {
            Some(Value::Array(items)) => items,
            _ => return Err("`messages` is no list".into()),
        },
        Ok(item) => vec![item],
        Err(_) => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let parse = |(at, line): (usize, &str)| {
                serde_json::from_str(line).map_err(|error| format!("line {} is no JSON: {error}", at + 1))
            };
            lines.map(parse).collect::<Result<_, _>>()?
        }
    };
    let numbered = items.iter().enumerate();
    numbered
        .map(|(at, item)| Message::from_json(item, defaults).map_err(|e| format!("message {}: {e}", at + 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_as_list_object_or_lines() {
        for text in [
            r#"[{"content": "a"}, {"content": "b"}]"#,
            r#"{"messages": [{"content": "a"}, {"content": "b"}]}"#,
            "{\"content\": \"a\"}\n\n{\"content\": \"b\"}\n",
        ] {
            let messages = parse_messages(text, &Message::default()).unwrap();
            assert_eq!(
                messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>(),
                ["a", "b"],
                "{text}"
            );
        }
        for (text, fault) in [("plain", "line 1 is no JSON"), ("[1]", "message 1"), (r#"{"messages": 1}"#, "no list")] {
            let told = parse_messages(text, &Message::default()).unwrap_err();
            assert!(told.contains(fault), "{told}");
        }
    }

    #[test]
    fn a_link_is_related_unless_it_says_more() {
        assert_eq!(link("7").unwrap(), (MemoryId::Number(7), "related".to_owned()));
        assert_eq!(link("7:supersedes").unwrap().1, "supersedes");
        assert!(link("7:").is_err() && link("x:y").is_err());
    }
}
