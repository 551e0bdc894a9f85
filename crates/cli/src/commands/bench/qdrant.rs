//! Searches in Qdrant beside plain queries of the same collection, and the rates of adding.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mnemon_engine::{AddRequest, Engine, Message, Profile, SearchRequest};
use mnemon_models::Embedder;
use mnemon_store::{Filter, Scope};
use qdrant_client::qdrant::{CollectionStatus, Condition, Filter as Remote, QueryPointsBuilder};
use serde_json::{Value, json};

use super::figures::{percentile, rounded};
use super::hashed_words::HashedWords;
use super::speech::Speech;
use super::temporary_collection::TemporaryCollection;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// Users if none are asked for: one who has everything, and several who share it.
const USERS: [u16; 2] = [1, 20];
/// Messages of one session, and of one request where many are added at once.
const SESSION: usize = 100;
/// Sessions of one request while the collection is filled.
const FILL: usize = 5;
const TOP_K: usize = 20;
/// Questions of each kind that don't count: the first reads the scope.
const WARM_UP: usize = 20;
/// Messages that are added one by one, by one thread and by each of several.
const ADDS: usize = 500;
const ADDS_A_THREAD: usize = 250;
const BATCHES: usize = 20;
/// How long Qdrant may take to index what it was given.
const INDEXING: Duration = Duration::from_secs(300);

#[derive(Debug, clap::Args)]
pub(super) struct QdrantArgs {
    /// Memories of all users together.
    #[arg(long, default_value_t = 20_000)]
    points: usize,
    /// Numbers in a vector.
    #[arg(long, default_value_t = 384, value_parser = clap::value_parser!(u16).range(1..))]
    dims: u16,
    /// Users that share the memories; 1, then 20 if absent.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    users: Option<u16>,
    /// Questions asked.
    #[arg(long, default_value_t = 300)]
    queries: usize,
    /// Threads that add at once, each for a user of its own.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Leave the collections where they are.
    #[arg(long, requires = "users")]
    keep: bool,
}

pub(super) fn run(args: &QdrantArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let users = args.users.map_or_else(|| USERS.to_vec(), |users| vec![users]);
    let runs = users.into_iter().map(|users| measure(args, users, settings)).collect::<anyhow::Result<Vec<_>>>()?;
    let answer = json!({
        "points": args.points,
        "dims": args.dims,
        "queries": args.queries,
        "threads": args.threads,
        "runs": runs,
    });
    out.value(&answer, human)?;
    Ok(Exit::Ok)
}

fn measure(args: &QdrantArgs, users: u16, settings: &Settings) -> anyhow::Result<Value> {
    let name = settings.collection().map_or(String::new(), |place| place.name.to_owned());
    let mut collection = TemporaryCollection::claim(settings, &name)?;
    if args.keep {
        collection.keep();
    }
    let folder = tempfile::tempdir()?;
    let ledger = (!settings.names_ledger()).then(|| folder.path().join("ledger.db"));
    let embedder = Arc::new(HashedWords::new(args.dims.into()));
    let engine = wiring::open_engine_in(settings, &name, ledger.as_deref(), embedder.clone())?;
    let bench = Bench { engine, embedder, collection };

    let each = args.points / usize::from(users);
    let begun = Instant::now();
    for user in 0..users {
        bench.fill(&of(users, user), each)?;
    }
    let filled = (each * usize::from(users)) as f64 / begun.elapsed().as_secs_f64();
    bench.await_indexes()?;
    Ok(json!({
        "users": users,
        "points_per_user": each,
        "fill_per_second": filled.round(),
        "search": bench.search(users, args.queries)?,
        "add": bench.add(args.threads.into())?,
    }))
}

/// A user's name.
fn of(users: u16, number: u16) -> String {
    format!("user-{number}-of-{users}")
}

struct Bench {
    engine: Engine,
    embedder: Arc<HashedWords>,
    collection: TemporaryCollection,
}

impl Bench {
    fn fill(&self, user: &str, count: usize) -> anyhow::Result<()> {
        let mut speech = Speech::new(user.bytes().map(u64::from).sum());
        for first in (0..count).step_by(SESSION * FILL) {
            let sessions = (first..count.min(first + SESSION * FILL)).step_by(SESSION);
            let requests =
                sessions.map(|from| talk(user, Some(from / SESSION), &mut speech, SESSION.min(count - from)));
            self.engine.add_batch(&requests.collect::<anyhow::Result<Vec<_>>>()?)?;
        }
        Ok(())
    }

    /// Waits until Qdrant has built its indexes.
    fn await_indexes(&self) -> anyhow::Result<()> {
        let (runtime, client) = self.collection.client();
        let begun = Instant::now();
        loop {
            let info = runtime.block_on(client.collection_info(self.collection.name()))?.result;
            if info.is_some_and(|info| info.status() == CollectionStatus::Green) {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < INDEXING, "Qdrant is still building its indexes");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Latencies, one question of each kind after the other, so that what else the machine does strikes all alike.
    fn search(&self, users: u16, queries: usize) -> anyhow::Result<Value> {
        let mut speech = Speech::new(99);
        let mut times: [Vec<f64>; 3] = Default::default();
        for number in 0..WARM_UP + queries {
            let user = of(users, (number % usize::from(users)) as u16);
            let question = speech.question();
            let took = [
                self.plain(&user, &question)?,
                self.ask(&user, &question, Profile::Fusion)?,
                self.ask(&user, &question, Profile::Mem0)?,
            ];
            if number >= WARM_UP {
                times.iter_mut().zip(took).for_each(|(times, took)| times.push(took.as_secs_f64() * 1e3));
            }
        }
        let [plain, fusion, mem0] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            times
        });
        let ratio = |times: &[f64]| rounded(percentile(times, 0.5) / percentile(&plain, 0.5), 2);
        Ok(json!({
            "top_k": TOP_K,
            "plain_ms": latencies(&plain),
            "fusion_ms": latencies(&fusion),
            "mem0_ms": latencies(&mem0),
            "fusion_ratio": ratio(&fusion),
            "mem0_ratio": ratio(&mem0),
        }))
    }

    /// One dense query with the user's filter and payloads, as any client of Qdrant would send it.
    fn plain(&self, user: &str, question: &str) -> anyhow::Result<Duration> {
        let vector = self.embedder.embed(&[question])?.pop().unwrap_or_default();
        let (runtime, client) = self.collection.client();
        let begun = Instant::now();
        let query = QueryPointsBuilder::new(self.collection.name())
            .query(vector)
            .filter(Remote::must([Condition::matches("user_id", user.to_owned())]))
            .limit(TOP_K as u64)
            .with_payload(true);
        let answer = runtime.block_on(client.query(query))?;
        let took = begun.elapsed();
        anyhow::ensure!(!answer.result.is_empty(), "a plain query found nothing");
        Ok(took)
    }

    /// A search without what the embedder takes.
    fn ask(&self, user: &str, question: &str, profile: Profile) -> anyhow::Result<Duration> {
        let mut request = SearchRequest::new(question, Filter::eq("user_id", user)?);
        request.top_k = TOP_K;
        request.profile = profile;
        let (begun, embedding) = (Instant::now(), self.embedder.spent());
        let answer = self.engine.search(&request)?;
        let took = begun.elapsed().saturating_sub(self.embedder.spent() - embedding);
        anyhow::ensure!(!answer.hits.is_empty(), "a search found nothing");
        Ok(took)
    }

    /// Rates of adding: one message a request, by one thread and by several; many messages a request.
    fn add(&self, threads: usize) -> anyhow::Result<Value> {
        let embedding = self.embedder.spent();
        let mut times = Vec::with_capacity(ADDS);
        let mut speech = Speech::new(7);
        for number in 0..ADDS {
            let request = talk(&format!("writer-{}", number % threads), None, &mut speech, 1)?;
            let begun = Instant::now();
            self.engine.add(request)?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let alone = ADDS as f64 * 1e3 / times.iter().sum::<f64>();
        times.sort_by(f64::total_cmp);

        let begun = Instant::now();
        std::thread::scope(|scope| {
            let work = |thread: usize| {
                let mut speech = Speech::new(100 + thread as u64);
                let user = format!("writer-{thread}");
                (0..ADDS_A_THREAD).try_for_each(|_| {
                    self.engine.add(talk(&user, None, &mut speech, 1)?)?;
                    anyhow::Ok(())
                })
            };
            let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
            running.into_iter().try_for_each(|thread| match thread.join() {
                Ok(done) => done,
                Err(_) => Err(anyhow::anyhow!("a thread that adds panicked")),
            })
        })?;
        let together = (threads * ADDS_A_THREAD) as f64 / begun.elapsed().as_secs_f64();

        let begun = Instant::now();
        for number in 0..BATCHES {
            self.engine.add_batch(&[talk("writer-0", Some(number), &mut speech, SESSION)?])?;
        }
        let batches = (BATCHES * SESSION) as f64 / begun.elapsed().as_secs_f64();
        Ok(json!({
            "one_by_one_per_second": alone.round(),
            "one_by_one_ms": latencies(&times),
            "threads_per_second": together.round(),
            "batch": SESSION,
            "batches_per_second": batches.round(),
            "embedder_seconds": rounded((self.embedder.spent() - embedding).as_secs_f64(), 3),
        }))
    }
}

/// A piece of a user's conversation: of a session, or of the one at hand.
fn talk(user: &str, session: Option<usize>, speech: &mut Speech, messages: usize) -> anyhow::Result<AddRequest> {
    let message = |number: usize| Message {
        role: if number.is_multiple_of(2) { "user" } else { "assistant" }.to_owned(),
        content: speech.sentence(),
        name: None,
        timestamp: None,
    };
    Ok(AddRequest {
        scope: Scope::user(user)?,
        messages: (0..messages).map(message).collect(),
        session: session.map(|number| format!("session {number}")),
        ..AddRequest::default()
    })
}

fn latencies(sorted: &[f64]) -> Value {
    let at = |share: f64| rounded(percentile(sorted, share), 3);
    json!({"p50": at(0.5), "p95": at(0.95), "p99": at(0.99)})
}

fn human(answer: &Value) -> String {
    let mut text = format!("{} memories of {} dims\n", answer["points"], answer["dims"]);
    for run in answer["runs"].as_array().into_iter().flatten() {
        let (search, add) = (&run["search"], &run["add"]);
        text.push_str(&format!(
            "\n{} users with {} memories each, remembered at {}/s\n{:<30}{:>9}{:>9}{:>9}{:>9}\n",
            run["users"], run["points_per_user"], run["fill_per_second"], "", "p50 ms", "p95 ms", "p99 ms", "ratio"
        ));
        for (what, times, ratio) in [
            ("plain dense query", "plain_ms", None),
            ("search, fusion", "fusion_ms", Some("fusion_ratio")),
            ("search, mem0", "mem0_ms", Some("mem0_ratio")),
        ] {
            text.push_str(&row(what, &search[times], ratio.and_then(|ratio| search[ratio].as_f64())));
        }
        text.push_str(&row("add of one message", &add["one_by_one_ms"], None));
        text.push_str(&format!(
            "added a second: {} one by one, {} by {} threads, {} in batches of {}\n",
            add["one_by_one_per_second"],
            add["threads_per_second"],
            answer["threads"],
            add["batches_per_second"],
            add["batch"]
        ));
    }
    text
}

fn row(what: &str, times: &Value, ratio: Option<f64>) -> String {
    let [p50, p95, p99] = ["p50", "p95", "p99"].map(|share| times[share].as_f64().unwrap_or_default());
    let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
    format!("{:<30}{p50:>9.3}{p95:>9.3}{p99:>9.3}{ratio:>9}", what).trim_end().to_owned() + "\n"
}
