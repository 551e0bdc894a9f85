//! `mnemon list`: memories, one page or all pages.

use mnemon_engine::{Engine, ListRequest};
use mnemon_store::Memory;
use serde_json::{Value, json};

use super::input;
use crate::args::ScopeArgs;
use crate::error::Exit;
use crate::output::{Output, day, memory_to_json, one_line, pluralize, truncate};
use crate::settings::Settings;
use crate::wiring;

/// Memories per page with `--all`.
const PAGE_SIZE: usize = 500;

/// What to list.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --user, --agent or --run (and without defaults for them), memories of all owners are listed."
)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    scope: ScopeArgs,
    /// mem0 filter within the scope
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Memories per page, 1 to 1000
    #[arg(short, long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Cursor of the page: `next` of the previous page
    #[arg(long)]
    cursor: Option<String>,
    /// List all pages
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    all: bool,
    /// Include expired memories
    #[arg(long)]
    show_expired: bool,
    /// Leave out facts that newer ones replace
    #[arg(long)]
    latest_only: bool,
}

pub(crate) fn run(args: &ListArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let scope = settings.scope(&args.scope)?;
    let request = ListRequest {
        filter: input::filter(scope.as_ref(), args.filter.as_deref())?,
        cursor: args.cursor.clone(),
        limit: if args.all { PAGE_SIZE } else { args.limit },
        show_expired: args.show_expired,
        latest_only: args.latest_only,
        ..ListRequest::default()
    };
    let engine = wiring::open_engine_any_embedder(settings)?;
    if args.all { list_all(request, &engine, out) } else { list_page(&request, &engine, out) }
}

fn list_page(request: &ListRequest, engine: &Engine, out: &Output) -> anyhow::Result<Exit> {
    let page = engine.list(request)?;
    let results: Vec<Value> = page.items.iter().map(|memory| memory_to_json(memory, None)).collect();
    let answer = json!({"results": results, "total": page.total, "next": page.next});
    out.value(&answer, |_| page.items.iter().map(|memory| to_text(memory, out)).collect())?;
    match &page.next {
        Some(next) => {
            let total = pluralize(page.total, "memory", "memories");
            out.note(&format!("{} of {total}; more with --cursor {next}, all with --all", page.items.len()));
        }
        None if page.total == 0 => out.note("no memories"),
        None => {}
    }
    Ok(Exit::Ok)
}

/// Lists page by page, so that a large store need not fit into memory. The JSON output is still one document.
fn list_all(mut request: ListRequest, engine: &Engine, out: &Output) -> anyhow::Result<Exit> {
    let mut count = 0usize;
    loop {
        let page = engine.list(&request)?;
        let mut text = String::new();
        if out.is_json() && count == 0 {
            text.push_str("{\"results\":[");
        }
        for memory in &page.items {
            if out.is_json() {
                text.push_str(if count > 0 { "," } else { "" });
                text.push_str(&memory_to_json(memory, None).to_string());
            } else {
                text.push_str(&to_text(memory, out));
            }
            count += 1;
        }
        if out.is_json() && page.next.is_none() {
            text.push_str(&format!("],\"total\":{count},\"next\":null}}\n"));
        }
        out.write(&text)?;
        request.cursor = page.next;
        if request.cursor.is_none() {
            break;
        }
    }
    if count == 0 {
        out.note("no memories");
    }
    Ok(Exit::Ok)
}

/// A memory in two lines: the text; then day and id.
pub(super) fn to_text(memory: &Memory, out: &Output) -> String {
    let details = [memory.payload.speaker().map(one_line), day(memory), Some(memory.id.to_string())];
    let details = details.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    format!("{}\n  {}\n", truncate(memory.payload.text(), out.width()), out.dim(&details))
}
