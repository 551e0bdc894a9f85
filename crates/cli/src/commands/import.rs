//! `mnemon import`: takes in what was remembered elsewhere.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use mnemon_engine::{ImportOptions, ImportReport, TransferCounts};
use serde_json::{Value, json};

use super::progress;
use crate::cli::ScopeArgs;
use crate::exit::Exit;
use crate::output::{Output, counted, shortened};
use crate::settings::Settings;

/// Refused lines shown to people; programs get all.
const SHOWN: usize = 20;

/// What to take in.
#[derive(Debug, clap::Args)]
#[command(after_help = "The file's content tells what it is: an export of mnemon, points of a mem0 collection \
({\"id\", \"payload\", \"vector\"?} a line), mem0's history.db, chat messages as JSON, or plain text, a memory a line.

Importing a file again stores nothing twice, except chat, where the same words may be said again.
Exit code 1 if any line was refused; what could be taken is stored all the same.")]
pub(crate) struct ImportArgs {
    /// The file, - for stdin
    file: PathBuf,
    #[command(flatten)]
    scope: ScopeArgs,
    /// The conversation that chat messages belong to
    #[arg(long)]
    session: Option<String>,
    /// Compute vectors anew, for an export that was made with another embedder
    #[arg(long)]
    reembed: bool,
}

pub(crate) fn run(args: &ImportArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let options =
        ImportOptions { scope: settings.scope(&args.scope)?, session: args.session.clone(), reembed: args.reembed };
    let at = || args.file.display().to_string();
    let stdin = args.file == Path::new("-");
    let imported = if stdin || !std::fs::metadata(&args.file).with_context(at)?.is_file() {
        // The engine reads a file more than once; a pipe can be read once only.
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
    out.value(&to_json(&imported), |_| for_people(&imported, out.width()))?;
    Ok(if imported.refused.is_empty() { Exit::Ok } else { Exit::Failed })
}

fn import(file: &Path, options: &ImportOptions, settings: &Settings, out: &Output) -> anyhow::Result<ImportReport> {
    let engine = settings.open_or_create_engine()?;
    let bar = progress::counting("records", out.is_json());
    let mut read = 0;
    let imported = engine.import(file, options, &mut |done| {
        read = done;
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    imported.map_err(|error| match read {
        0 => error.into(),
        _ => anyhow::Error::from(error).context(format!("stopped after about {read} records; those are stored")),
    })
}

fn to_json(imported: &ImportReport) -> Value {
    let refused: Vec<Value> =
        imported.refused.iter().map(|refused| json!({"line": refused.line, "reason": refused.reason})).collect();
    json!({
        "format": imported.format.as_str(),
        "stored": of_counts(&imported.stored),
        "unchanged": imported.unchanged,
        "refused": refused,
    })
}

/// Numbers of records by kind.
pub(super) fn of_counts(counts: &TransferCounts) -> Value {
    json!({
        "memories": counts.memories,
        "entities": counts.entities,
        "links": counts.links,
        "history": counts.history,
        "messages": counts.messages,
    })
}

/// `2 memories, 1 link`: the kinds there are.
pub(super) fn told_counts(counts: &TransferCounts) -> String {
    let kinds = [
        counted(counts.memories, "memory", "memories"),
        counted(counts.entities, "entity", "entities"),
        counted(counts.links, "link", "links"),
        counted(counts.history, "row of history", "rows of history"),
        counted(counts.messages, "message", "messages"),
    ];
    let there: Vec<String> = kinds.into_iter().filter(|kind| !kind.starts_with("0 ")).collect();
    if there.is_empty() { "nothing".to_owned() } else { there.join(", ") }
}

fn for_people(imported: &ImportReport, width: usize) -> String {
    let mut text = format!("taken for  {}\nstored     {}\n", imported.format.as_str(), told_counts(&imported.stored));
    if imported.unchanged > 0 {
        text.push_str(&format!("unchanged  {}\n", imported.unchanged));
    }
    if !imported.refused.is_empty() {
        text.push_str(&format!("refused    {}\n", counted(imported.refused.len(), "line", "lines")));
    }
    for refused in imported.refused.iter().take(SHOWN) {
        let reason = shortened(&refused.reason, width.saturating_sub(16));
        text.push_str(&format!("  line {:<6} {reason}\n", refused.line));
    }
    if imported.refused.len() > SHOWN {
        text.push_str(&format!("  and {} more: --json tells all\n", imported.refused.len() - SHOWN));
    }
    text
}
