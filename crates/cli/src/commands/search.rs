//! `mnemon search`: finds the memories that answer a question, and says why.

pub(in crate::commands) mod explain;

use mnemon_engine::{Explanation, Profile, SearchAnswer, SearchHit, SearchRequest};
use serde_json::{Value, json};

use super::input;
use crate::args::ScopeArgs;
use crate::error::Exit;
use crate::output::{Output, counted, item, number, one_line, shortened, when, who};
use crate::settings::Settings;
use crate::wiring;

/// What to find.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mnemon search 'what must Ana not eat?' --user ana --top-k 3
  mnemon search 'trip to the coast' --user ana --explain
  mnemon search 'open tasks' --user ana --filter '{\"priority\": {\"gte\": 3}, \"done\": {\"ne\": true}}'

Filters know eq ne in nin gt gte lt lte contains icontains, \"*\" for any value, and AND OR NOT with lists of filters.")]
pub(crate) struct SearchArgs {
    /// What is asked
    query: String,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Only memories that this filter of mem0 matches, within the scope
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Most hits, 1 to 1000
    #[arg(short = 'k', long, value_name = "N", default_value_t = 20)]
    top_k: usize,
    /// Leave out hits that score below (under mem0: whose cosine is below), 0 to 1 [default: 0.1, but a memory that holds
    /// a word of the question stays]
    #[arg(long, value_name = "SCORE")]
    threshold: Option<f32>,
    /// The ranking: all signals, or the formula of mem0 2.0.2
    #[arg(long, value_enum, default_value = "fusion")]
    profile: ProfileArg,
    /// Tell what made each hit rank where it does
    #[arg(long)]
    explain: bool,
    /// Show expired memories too
    #[arg(long)]
    show_expired: bool,
    /// Have the best of them judged by the reranker of the settings
    #[arg(long)]
    rerank: bool,
    /// Leave out facts that a newer one stands in for
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
    let filter = input::filter(scope.as_ref(), args.filter.as_deref())?.ok_or_else(input::no_scope)?;
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
        out.note("not reranked: set reranker (MNEMON_RERANKER), or look why it failed with --verbose");
    }
    out.value(&to_json(&answer), |_| answer.hits.iter().map(|hit| for_people(hit, out)).collect())?;
    if args.explain && !answer.hits.is_empty() {
        out.note(&format!("{}, ranking `{}`", counted(answer.hits.len(), "hit", "hits"), answer.ranking.as_str()));
    }
    Ok(Exit::Ok)
}

/// The answer with all hits, for programs.
pub(super) fn to_json(answer: &SearchAnswer) -> Value {
    let results: Vec<Value> = answer.hits.iter().map(hit).collect();
    json!({"results": results, "ranking": answer.ranking.as_str()})
}

fn hit(hit: &SearchHit) -> Value {
    let mut shown = item(&hit.memory, Some(hit.score));
    if let Some(by) = hit.superseded_by {
        shown["superseded_by"] = by.to_string().into();
    }
    if let Some(explanation) = &hit.explanation {
        shown["explanation"] = of_explanation(explanation);
    }
    shown
}

fn of_explanation(explanation: &Explanation) -> Value {
    let signals: Vec<Value> = explanation
        .signals
        .iter()
        .map(|signal| json!({"name": signal.name, "value": number(signal.value), "weight": number(signal.weight)}))
        .collect();
    json!({"raw_score": number(explanation.raw_score), "signals": signals})
}

fn for_people(hit: &SearchHit, out: &Output) -> String {
    let text = shortened(hit.memory.payload.text(), out.width() - 6);
    let mut lines = format!("{}  {text}\n", out.bold(&format!("{:.2}", hit.score)));
    let outdated = hit.superseded_by.map(|by| format!("superseded by {by}"));
    let about = [who(&hit.memory).map(one_line), when(&hit.memory), Some(hit.memory.id.to_string()), outdated];
    let about = about.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    lines += &format!("      {}\n", out.dim(&about));
    if let Some(explanation) = &hit.explanation {
        lines += &explain::table(explanation);
    }
    lines
}
