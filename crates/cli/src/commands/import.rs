//! `mnemon import`: imports memories from a file.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use mnemon_engine::{ImportOptions, ImportReport, Rejection, TransferCounts};
use serde_json::{Value, json};

use super::progress;
use super::store_files::check_input;
use crate::args::ScopeArgs;
use crate::error::Exit;
use crate::error::hint::GIVE_OWNER;
use crate::output::{Output, pluralize, truncate};
use crate::settings::Settings;
use crate::wiring;

/// Refused lines in the text output. JSON has all.
const SHOWN: usize = 20;

/// What to import.
#[derive(Debug, clap::Args)]
#[command(after_help = "The format is detected from the content: an export of mnemon, points of a mem0 collection \
(one {\"id\", \"payload\", \"vector\"?} per line), mem0's history.db, chat messages as JSON, or plain text, one memory per line.

Importing a file again creates no duplicates, except for chat messages, which are stored again.
Exit code 1 if any line was refused; all other lines are stored.")]
pub(crate) struct ImportArgs {
    /// Input file, - for stdin
    file: PathBuf,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Session of chat messages
    #[arg(long)]
    session: Option<String>,
    /// Recompute the vectors of an export that was made with another embedder
    #[arg(long)]
    reembed: bool,
}

pub(crate) fn run(args: &ImportArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let options =
        ImportOptions { scope: settings.scope(&args.scope)?, session: args.session.clone(), reembed: args.reembed };
    let at = || args.file.display().to_string();
    let stdin = args.file == Path::new("-");
    check_input(&args.file, settings.file_of_store())?;
    let report = if stdin || !std::fs::metadata(&args.file).with_context(at)?.is_file() {
        // The engine reads a file more than once, which a pipe does not allow.
        let mut copy = tempfile::NamedTempFile::new().context("a temporary file")?;
        if stdin {
            io::copy(&mut io::stdin().lock(), &mut copy).context("reading stdin")?;
        } else {
            let mut pipe = std::fs::File::open(&args.file).with_context(at)?;
            io::copy(&mut pipe, &mut copy).with_context(at)?;
        }
        import(copy.path(), &options, settings, out)?
    } else {
        import(&args.file, &options, settings, out)?
    };
    out.value(&to_json(&report), |_| to_text(&report, out.width()))?;
    Ok(if report.refused.is_empty() { Exit::Ok } else { Exit::Failed })
}

fn import(file: &Path, options: &ImportOptions, settings: &Settings, out: &Output) -> anyhow::Result<ImportReport> {
    let engine = wiring::open_or_create_engine(settings)?;
    let bar = progress::counter("records", out.is_json());
    let mut read = 0;
    let report = engine.import(file, options, &mut |done| {
        read = done;
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    report.map_err(|error| match read {
        0 => error.into(),
        _ => anyhow::Error::from(error).context(format!("stopped after about {read} records, which are stored")),
    })
}

fn to_json(report: &ImportReport) -> Value {
    let refused: Vec<Value> =
        report.refused.iter().map(|refused| json!({"line": refused.line, "reason": reason(&refused.reason)})).collect();
    json!({
        "format": report.format.as_str(),
        "stored": counts_to_json(&report.stored),
        "unchanged": report.unchanged,
        "skipped": report.skipped,
        "refused": refused,
    })
}

/// Why a record was rejected, and which flags help.
fn reason(rejection: &Rejection) -> String {
    match rejection {
        Rejection::NoOwner => format!("{rejection}: {GIVE_OWNER}"),
        Rejection::Invalid(text) => text.clone(),
    }
}

/// Numbers of records by kind.
pub(super) fn counts_to_json(counts: &TransferCounts) -> Value {
    json!({
        "memories": counts.memories,
        "entities": counts.entities,
        "links": counts.links,
        "history": counts.history,
        "messages": counts.messages,
    })
}

/// `2 memories, 1 link`, without the kinds that have no records.
pub(super) fn counts_to_text(counts: &TransferCounts) -> String {
    let kinds = [
        pluralize(counts.memories, "memory", "memories"),
        pluralize(counts.entities, "entity", "entities"),
        pluralize(counts.links, "link", "links"),
        pluralize(counts.history, "history row", "history rows"),
        pluralize(counts.messages, "message", "messages"),
    ];
    let present: Vec<String> = kinds.into_iter().filter(|kind| !kind.starts_with("0 ")).collect();
    if present.is_empty() { "nothing".to_owned() } else { present.join(", ") }
}

fn to_text(report: &ImportReport, width: usize) -> String {
    let mut text = format!("format     {}\nstored     {}\n", report.format.as_str(), counts_to_text(&report.stored));
    if report.unchanged > 0 {
        text.push_str(&format!("unchanged  {}\n", report.unchanged));
    }
    if report.skipped > 0 {
        text.push_str(&format!(
            "skipped    {} without text or with instructions\n",
            pluralize(report.skipped, "message", "messages")
        ));
    }
    if !report.refused.is_empty() {
        text.push_str(&format!("refused    {}\n", pluralize(report.refused.len(), "line", "lines")));
    }
    for refused in report.refused.iter().take(SHOWN) {
        let reason = truncate(&reason(&refused.reason), width.saturating_sub(16));
        text.push_str(&format!("  line {:<6} {reason}\n", refused.line));
    }
    if report.refused.len() > SHOWN {
        text.push_str(&format!("  and {} more; --json shows all\n", report.refused.len() - SHOWN));
    }
    text
}
