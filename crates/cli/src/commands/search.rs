//! `mnemon search`: the memories that are relevant to a query, and why.

pub(in crate::commands) mod explain;

use mnemon_engine::{Explanation, Profile, SearchAnswer, SearchHit, SearchRequest};
use serde_json::{Value, json};

use super::input;
use crate::args::ScopeArgs;
use crate::error::Exit;
use crate::output::{Output, day, f32_to_json, memory_to_json, one_line, pluralize, truncate};
use crate::settings::Settings;
use crate::wiring;

/// What to search for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mnemon search 'what must Ana not eat?' --user ana --top-k 3
  mnemon search 'trip to the coast' --user ana --explain
  mnemon search 'open tasks' --user ana --filter '{\"priority\": {\"gte\": 3}, \"done\": {\"ne\": true}}'

Filter operators: eq ne in nin gt gte lt lte contains icontains; \"*\" matches any value; AND OR NOT take lists of filters.")]
pub(crate) struct SearchArgs {
    /// Question or search words
    query: String,
    #[command(flatten)]
    scope: ScopeArgs,
    /// mem0 filter within the scope
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Maximum number of hits, 1 to 1000
    #[arg(short = 'k', long, value_name = "N", default_value_t = 20)]
    top_k: usize,
    /// Minimum score of a hit, 0 to 1; with --profile mem0, minimum cosine [default: 0.1; memories that contain a word of the
    /// query are kept regardless]
    #[arg(long, value_name = "SCORE")]
    threshold: Option<f32>,
    /// Ranking profile: all signals, or the formula of mem0 2.0.2
    #[arg(long, value_enum, default_value = "fusion")]
    profile: ProfileArg,
    /// Show the signals that contribute to each score
    #[arg(long)]
    explain: bool,
    /// Include expired memories
    #[arg(long)]
    show_expired: bool,
    /// Rerank the top hits with the configured reranker
    #[arg(long)]
    rerank: bool,
    /// Hide superseded facts
    #[arg(long)]
    latest_only: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ProfileArg {
    Fusion,
    Mem0,
}

pub(crate) fn run(args: &SearchArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let scope = settings.scope(&args.scope)?;
    let filter = input::filter(scope.as_ref(), args.filter.as_deref())?.ok_or_else(input::missing_scope)?;
    let request = SearchRequest {
        top_k: args.top_k,
        threshold: args.threshold,
        profile: match args.profile {
            ProfileArg::Fusion => Profile::Fusion,
            ProfileArg::Mem0 => Profile::Mem0,
        },
        explain: args.explain,
        show_expired: args.show_expired,
        rerank: args.rerank,
        latest_only: args.latest_only,
        ..SearchRequest::new(args.query.as_str(), filter)
    };
    let answer = wiring::open_engine(settings)?.search(&request)?;
    if answer.hits.is_empty() {
        out.note("nothing found");
    }
    if args.rerank && !answer.reranked && answer.hits.len() > 1 {
        out.note("not reranked: set reranker (MNEMON_RERANKER), or see the cause of the failure with --verbose");
    }
    out.value(&to_json(&answer), |_| answer.hits.iter().map(|hit| to_text(hit, out)).collect())?;
    if args.explain && !answer.hits.is_empty() {
        out.note(&format!("{}, ranking `{}`", pluralize(answer.hits.len(), "hit", "hits"), answer.ranking.as_str()));
    }
    Ok(Exit::Ok)
}

/// The whole answer as JSON.
pub(super) fn to_json(answer: &SearchAnswer) -> Value {
    let results: Vec<Value> = answer.hits.iter().map(hit_to_json).collect();
    json!({"results": results, "ranking": answer.ranking.as_str()})
}

fn hit_to_json(hit: &SearchHit) -> Value {
    let mut json = memory_to_json(&hit.memory, Some(hit.score));
    if let Some(by) = hit.superseded_by {
        json["superseded_by"] = by.to_string().into();
    }
    if !hit.supersedes.is_empty() {
        json["supersedes"] = hit.supersedes.iter().map(ToString::to_string).collect();
    }
    if let Some(explanation) = &hit.explanation {
        json["explanation"] = explanation_to_json(explanation);
    }
    json
}

fn explanation_to_json(explanation: &Explanation) -> Value {
    let signals: Vec<Value> = explanation
        .signals
        .iter()
        .map(|signal| json!({"name": signal.kind.as_str(), "value": f32_to_json(signal.value), "weight": f32_to_json(signal.weight)}))
        .collect();
    json!({"raw_score": f32_to_json(explanation.raw_score), "signals": signals})
}

fn to_text(hit: &SearchHit, out: &Output) -> String {
    let text = truncate(hit.memory.payload.text(), out.width() - 6);
    let mut lines = format!("{}  {text}\n", out.bold(&format!("{:.2}", hit.score)));
    let superseded = hit.superseded_by.map(|by| format!("superseded by {by}"));
    let supersedes = hit.supersedes.first().map(|last| match hit.supersedes.len() {
        1 => format!("supersedes {last}"),
        count => format!("supersedes {last} and {} before it", count - 1),
    });
    let details = [
        hit.memory.payload.speaker().map(one_line),
        day(&hit.memory),
        Some(hit.memory.id.to_string()),
        superseded,
        supersedes,
    ];
    let details = details.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    lines += &format!("      {}\n", out.dim(&details));
    if let Some(explanation) = &hit.explanation {
        lines += &explain::table(explanation);
        lines += &explain::embedded(&hit.memory.payload);
    }
    lines
}
