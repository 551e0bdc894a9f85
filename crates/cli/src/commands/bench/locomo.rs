//! Recall: adds conversations, searches for the answers to questions, and checks whether the turns with the evidence are hits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use mnemon_engine::{AddOutcome, AddRequest, Engine, LearnRequest, Message, Profile, SearchRequest};
use mnemon_store::{Filter, MemoryId, Role, Scope, parse_time};
use serde_json::{Value, json};

use super::figures::{percentile, rounded};
use super::temporary_collection::TemporaryCollection;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// Hits per search. Evidence at lower ranks counts as not found.
const DEPTH: usize = 50;

struct Conversation {
    user: String,
    /// By session, in chronological order.
    sessions: Vec<(String, Vec<Turn>)>,
    questions: Vec<Question>,
}

struct Turn {
    id: String,
    message: Message,
}

struct Question {
    text: String,
    category: String,
    evidence: HashSet<String>,
}

/// Sums over questions.
#[derive(Clone, Default)]
struct Tally {
    questions: usize,
    recall: [f64; 3],
    hit: f64,
    reciprocal_rank: f64,
}

/// Ranks for recall@k.
const CUTS: [usize; 3] = [5, 10, 20];

#[derive(Debug, clap::Args)]
pub(super) struct LocomoArgs {
    /// Folder that contains one folder per conversation
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Measure only this ranking profile [default: both]
    #[arg(long, value_enum)]
    profile: Option<ProfileArg>,
    /// Leave out messages of the assistant
    #[arg(long)]
    user_only: bool,
    /// Ignore order and sessions: add every turn as a single fact
    #[arg(long)]
    unordered: bool,
    /// Add extracted facts instead of turns: extracted by the built-in rules or by the configured language model
    #[arg(long, value_enum)]
    infer: Option<InferArg>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum InferArg {
    Extractive,
    Llm,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ProfileArg {
    Fusion,
    Mem0,
}

impl From<ProfileArg> for Profile {
    fn from(profile: ProfileArg) -> Self {
        match profile {
            ProfileArg::Fusion => Self::Fusion,
            ProfileArg::Mem0 => Self::Mem0,
        }
    }
}

pub(super) fn run(args: &LocomoArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let conversations = folders(&args.data)?.iter().map(|folder| read(folder, args)).collect::<Result<Vec<_>, _>>()?;
    anyhow::ensure!(!conversations.is_empty(), "{} contains no folder with turns.jsonl", args.data.display());
    let folder = tempfile::tempdir()?;
    let collection = match settings.collection() {
        Some(address) => {
            Some(TemporaryCollection::claim(settings, &format!("{}_bench_{}", address.name, std::process::id()))?)
        }
        None => None,
    };
    let file = folder.path().join("bench.db");
    let engine = match &collection {
        Some(collection) => {
            wiring::open_engine_in(settings, collection.name(), Some(&file), wiring::embedder(settings)?)?
        }
        None => wiring::open_engine_at(settings, &file)?,
    };

    let start = Instant::now();
    let mut turns = HashMap::new();
    anyhow::ensure!(
        (args.infer == Some(InferArg::Llm)) == (args.infer.is_some() && engine.language_model().is_some()),
        "--infer llm requires a language model (MNEMON_LLM), --infer extractive requires that none is configured"
    );
    for conversation in &conversations {
        add_conversation(&engine, conversation, args, &mut turns)?;
    }
    let seconds = start.elapsed().as_secs_f64();

    let profiles = match args.profile {
        Some(profile) => vec![profile.into()],
        None => vec![Profile::Fusion, Profile::Mem0],
    };
    let mut answer = json!({
        "data": args.data.display().to_string(),
        "user_only": args.user_only,
        "infer": args.infer.map(|infer| if infer == InferArg::Llm { "llm" } else { "extractive" }),
        "conversations": conversations.len(),
        "memories": turns.len(),
        "ingest_seconds": rounded(seconds, 3),
        "ingest_per_second": (turns.len() as f64 / seconds).round(),
        "profiles": {},
    });
    for profile in profiles {
        let name = if profile == Profile::Fusion { "fusion" } else { "mem0" };
        answer["profiles"][name] = measure(&engine, &conversations, &turns, profile)?;
    }
    out.value(&answer, to_text)?;
    Ok(Exit::Ok)
}

fn folders(data: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(data).with_context(|| format!("--data {}", data.display()))?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("turns.jsonl").is_file())
        .collect();
    folders.sort();
    Ok(folders)
}

fn lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let line = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{} line {}", path.display(), number + 1))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(line).collect()
}

fn text(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn read(folder: &Path, args: &LocomoArgs) -> anyhow::Result<Conversation> {
    let mut sessions: Vec<(String, Vec<Turn>)> = Vec::new();
    let mut kept = HashSet::new();
    for turn in lines(&folder.join("turns.jsonl"))? {
        let speaker = text(&turn, "speaker");
        let (text_of_turn, caption) = (text(&turn, "text"), text(&turn, "caption"));
        if (args.user_only && speaker != "user") || (text_of_turn.trim().is_empty() && caption.is_empty()) {
            continue;
        }
        let (role, name) = match speaker.as_str() {
            "user" | "assistant" => (Role::from(speaker), None),
            "" => (Role::User, None),
            _ => (Role::User, Some(speaker)),
        };
        let content = if caption.is_empty() { text_of_turn } else { format!("{text_of_turn} [shares {caption}]") };
        let message =
            Message { role, content, name, timestamp: parse_time(&text(&turn, "time")), ..Message::default() };
        let (session, id) = (text(&turn, "session"), text(&turn, "id"));
        kept.insert(id.clone());
        match sessions.last_mut() {
            Some((last, turns)) if *last == session => turns.push(Turn { id, message }),
            _ => sessions.push((session, vec![Turn { id, message }])),
        }
    }
    let mut questions = Vec::new();
    for question in lines(&folder.join("questions.jsonl"))? {
        let evidence = question["evidence"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let evidence: HashSet<String> = evidence.filter(|id| kept.contains(*id)).map(str::to_owned).collect();
        if !evidence.is_empty() {
            questions.push(Question {
                text: text(&question, "question"),
                category: text(&question, "category"),
                evidence,
            });
        }
    }
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Conversation { user: name, sessions, questions })
}

fn add_conversation(
    engine: &Engine,
    conversation: &Conversation,
    args: &LocomoArgs,
    turns: &mut HashMap<MemoryId, Vec<String>>,
) -> anyhow::Result<()> {
    for (session, messages) in &conversation.sessions {
        let add = AddRequest {
            scope: Scope::user(&conversation.user)?,
            messages: messages.iter().map(|turn| turn.message.clone()).collect(),
            session: (!args.unordered).then(|| session.clone()),
            unordered: args.unordered,
            ..AddRequest::default()
        };
        let added = match args.infer {
            None => engine.add(add)?,
            Some(_) => match engine.learn(LearnRequest { add, ..LearnRequest::default() })?.outcome {
                AddOutcome::Stored(added) => added,
                AddOutcome::Pending { error: Some(error), .. } | AddOutcome::Parked { error: Some(error), .. } => {
                    return Err((*error).into());
                }
                AddOutcome::Pending { public_reason, .. } | AddOutcome::Parked { public_reason, .. } => {
                    anyhow::bail!("{public_reason}")
                }
                AddOutcome::Cancelled => anyhow::bail!("the request was cancelled"),
            },
        };
        for added in added {
            turns.insert(added.id, added.sources.iter().map(|index| messages[*index].id.clone()).collect());
        }
    }
    Ok(())
}

fn measure(
    engine: &Engine,
    conversations: &[Conversation],
    turns: &HashMap<MemoryId, Vec<String>>,
    profile: Profile,
) -> anyhow::Result<Value> {
    let mut all = Tally::default();
    let mut categories: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut latencies = Vec::new();
    for conversation in conversations {
        for question in &conversation.questions {
            let mut request = SearchRequest::new(&question.text, Filter::eq("user_id", conversation.user.as_str())?);
            request.top_k = DEPTH;
            request.profile = profile;
            let start = Instant::now();
            let answer = engine.search(&request)?;
            latencies.push(start.elapsed().as_secs_f64() * 1e3);
            // The rank of a turn is that of the first memory made from it.
            let mut seen = HashSet::new();
            let mut found = Vec::new();
            for (rank, hit) in answer.hits.iter().enumerate() {
                let made_of = turns.get(&hit.memory.id).into_iter().flatten();
                found.extend(
                    made_of.filter(|turn| question.evidence.contains(*turn) && seen.insert(*turn)).map(|_| rank),
                );
            }
            all.count(question, &found);
            categories.entry(&question.category).or_default().count(question, &found);
        }
    }
    latencies.sort_by(f64::total_cmp);
    let mut answer = all.report();
    answer["latency_ms"] =
        json!({"p50": rounded(percentile(&latencies, 0.5), 3), "p95": rounded(percentile(&latencies, 0.95), 3)});
    answer["by_category"] = categories
        .iter()
        .map(|(name, tally)| ((*name).to_owned(), tally.report()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    Ok(answer)
}

impl Tally {
    fn count(&mut self, question: &Question, found: &[usize]) {
        self.questions += 1;
        for (sum, cut) in self.recall.iter_mut().zip(CUTS) {
            *sum += found.iter().filter(|&&rank| rank < cut).count() as f64 / question.evidence.len() as f64;
        }
        self.hit += f64::from(u8::from(found.iter().any(|&rank| rank < 10)));
        self.reciprocal_rank += found.first().map_or(0.0, |&rank| 1.0 / (1.0 + rank as f64));
    }

    fn report(&self) -> Value {
        let mean = |sum: f64| rounded(sum / self.questions.max(1) as f64, 4);
        json!({
            "questions": self.questions,
            "recall@5": mean(self.recall[0]),
            "recall@10": mean(self.recall[1]),
            "recall@20": mean(self.recall[2]),
            "hit@10": mean(self.hit),
            "mrr": mean(self.reciprocal_rank),
        })
    }
}

fn to_text(answer: &Value) -> String {
    let mut text = format!(
        "{}: {} memories of {} conversations, added at {}/s\n",
        answer["data"].as_str().unwrap_or_default(),
        answer["memories"],
        answer["conversations"],
        answer["ingest_per_second"]
    );
    text.push_str(&format!(
        "\n{:<34}{:>10}{:>10}{:>10}{:>10}{:>8}{:>8}\n",
        "", "recall@5", "recall@10", "recall@20", "hit@10", "mrr", "n"
    ));
    let row = |name: &str, report: &Value| {
        let figure = |key: &str| report[key].as_f64().unwrap_or_default();
        format!(
            "{name:<34}{:>10.4}{:>10.4}{:>10.4}{:>10.4}{:>8.4}{:>8}\n",
            figure("recall@5"),
            figure("recall@10"),
            figure("recall@20"),
            figure("hit@10"),
            figure("mrr"),
            report["questions"]
        )
    };
    for (profile, report) in answer["profiles"].as_object().into_iter().flatten() {
        let latency = &report["latency_ms"];
        text.push_str(&row(&format!("{profile} (p50 {} ms, p95 {} ms)", latency["p50"], latency["p95"]), report));
        for (category, report) in report["by_category"].as_object().into_iter().flatten() {
            text.push_str(&row(&format!("  {category}"), report));
        }
    }
    text
}
