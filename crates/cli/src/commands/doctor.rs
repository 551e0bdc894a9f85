//! `mnemon doctor`: checks the store and repairs it.

use mnemon_engine::Engine;
use mnemon_store::{Finding, Owner};
use serde_json::{Value, json};

use super::stats::{lines, store_to_json};
use crate::error::{Exit, hint};
use crate::output::{OnClosed, Output, pluralize};
use crate::settings::Settings;
use crate::wiring;

/// Whether to repair.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 0: no problems, or all were repaired; 3: problems remain; 1: the store can't be opened."
)]
pub(crate) struct DoctorArgs {
    /// Repair what can be repaired without losing a memory, then check again
    #[arg(long)]
    fix: bool,
    /// Join owners whose ids differ only in their Unicode form: `é` may be one character or two
    #[arg(long)]
    join_owners: bool,
}

impl DoctorArgs {
    /// What a closed stdout does to it: the report is the product, repairs are work.
    pub(super) fn on_closed_stdout(&self) -> OnClosed {
        if self.fix || self.join_owners { OnClosed::GoOn } else { OnClosed::Stop(Exit::Failed) }
    }
}

pub(crate) fn run(args: &DoctorArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let (engine, documents) = wiring::open_any_embedder(settings)?;
    let store = engine.store();
    let repaired = if args.fix { store.repair()? } else { Vec::new() };
    if args.fix {
        while engine.reindex_batch()? {}
    }
    let joined = if args.join_owners { engine.join_owners()? } else { 0 };
    let info = store.info()?;
    let mut findings = store.check()?;
    findings.extend(mnemon_server::check_documents(&documents)?);
    let pending = engine.pending_jobs()?;
    let embedded = engine.embedding_counts()?;
    let answer = json!({
        "ok": findings.is_empty(),
        "version": env!("CARGO_PKG_VERSION"),
        "settings": settings.file.as_ref().map(|file| file.display().to_string()),
        "store": store_to_json(&info),
        "mended": findings_to_json(&repaired),
        "findings": findings_to_json(&findings),
        "embedded": {
            "in_pieces": embedded.in_pieces,
            "incomplete": embedded.incomplete,
            "without_vector": embedded.without_vector,
        },
        "warnings": store.warnings().iter().map(hint::warning).collect::<Vec<_>>(),
        "waiting": pending.requests,
        "waiting_reason": pending.detail.or(pending.reason),
        "parked": pending.parked,
        "reindexed": engine.reindex_progress()?.map(|progress| json!({"done": progress.done, "total": progress.total})),
        "joined": joined,
        "owner_forms": owner_forms(&engine)?,
    });
    out.value(&answer, |answer| to_text(answer, args.fix, &out.bold("WARNING")))?;
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Differences })
}

/// The owners whose ids differ only in their Unicode form, each group as a sentence.
fn owner_forms(engine: &Engine) -> anyhow::Result<Vec<String>> {
    let sentence = |owners: Vec<Owner>| {
        let kind = owners[0].kind.as_str();
        // Debug writes combining marks as escapes, so that the forms look different.
        let ids: Vec<String> = owners
            .iter()
            .map(|owner| format!("{:?} ({})", owner.id, pluralize(owner.memories, "memory", "memories")))
            .collect();
        format!("{kind} {} differ only in the Unicode form of their id", ids.join(" and "))
    };
    Ok(engine.owners_in_several_forms()?.into_iter().map(sentence).collect())
}

fn findings_to_json(findings: &[Finding]) -> Value {
    findings
        .iter()
        .map(|finding| json!({"check": finding.check, "count": finding.count, "detail": finding.detail}))
        .collect()
}

fn to_text(answer: &Value, fixed: bool, warning: &str) -> String {
    let settings = answer["settings"].as_str().unwrap_or("defaults");
    let mut text = format!("mnemon        {}\nsettings      {settings}\n", env!("CARGO_PKG_VERSION"));
    text.push_str(&lines(&answer["store"]));
    text.push('\n');
    let items = |key: &str| answer[key].as_array().map_or(&[][..], Vec::as_slice);
    for (key, mark) in [("mended", "repaired"), ("findings", if fixed { "remaining" } else { "found" })] {
        for finding in items(key) {
            let word = |key: &str| finding[key].as_str().unwrap_or_default();
            text.push_str(&format!("{mark:<9} {}: {} {}\n", word("check"), finding["count"], word("detail")));
        }
    }
    for (key, what) in [
        ("in_pieces", "long: its vector is the mean of its pieces' vectors"),
        ("incomplete", "with a part that the embedder refuses or does not read: `mnemon get` shows how many"),
        ("without_vector", "that the embedder refuses: only its words are searched"),
    ] {
        if let Some(count) = answer["embedded"][key].as_u64().filter(|count| *count > 0) {
            text.push_str(&format!("embedded  {} {what}\n", pluralize(count as usize, "memory", "memories")));
        }
    }
    if let Some(pending) = answer["waiting"].as_u64().filter(|pending| *pending > 0) {
        text.push_str(&format!(
            "pending   {} for a model{}: a running server processes them\n",
            pluralize(pending as usize, "request", "requests"),
            answer["waiting_reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default(),
        ));
    }
    if let Some(parked) = answer["parked"].as_u64().filter(|parked| *parked > 0) {
        let requests = pluralize(parked as usize, "request", "requests");
        text.push_str(&format!("parked    {requests}, from which nothing could be learnt: see `mnemon parked list`\n"));
    }
    if let Some(done) = answer["reindexed"]["done"].as_u64() {
        text.push_str(&format!(
            "terms     {done} of {} memories of an older version are indexed again: a running server or --fix does the others\n",
            answer["reindexed"]["total"]
        ));
    }
    for sentence in items("owner_forms") {
        let sentence = sentence.as_str().unwrap_or_default();
        text.push_str(&format!("owners    {sentence}: `mnemon doctor --join-owners` joins them\n"));
    }
    if let Some(joined) = answer["joined"].as_u64().filter(|joined| *joined > 0) {
        text.push_str(&format!("joined    {}\n", pluralize(joined as usize, "memory", "memories")));
    }
    for sentence in items("warnings") {
        text.push_str(&format!("{warning} {}\n", sentence.as_str().unwrap_or_default()));
    }
    text.push_str(match (items("findings").is_empty(), items("warnings").is_empty()) {
        (true, true) => "no problems found\n",
        (true, false) => "no problems in the stored data; see the warnings\n",
        (false, _) if fixed => "",
        (false, _) => "`mnemon doctor --fix` repairs what can be repaired\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_last_and_are_not_findings() {
        let answer = json!({
            "store": {"memories": 1}, "mended": [], "findings": [], "warnings": ["no slot for words: recreate it"],
        });
        let text = to_text(&answer, false, "WARNING");
        let end = "WARNING no slot for words: recreate it\nno problems in the stored data; see the warnings\n";
        assert!(text.ends_with(end), "{text}");
    }
}
