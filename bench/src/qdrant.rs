//! Search in Qdrant against plain Qdrant queries of the same collection, and the rate of adds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use mnemon_cli::figures::{percentile, rounded};
use mnemon_cli::{CollectionAddress, Output, Settings, TemporaryCollection, wiring};
use mnemon_engine::{AddRequest, Engine, Message, Profile, SearchRequest};
use mnemon_models::Embedder;
use mnemon_store::{Filter, Role, Scope};
use qdrant_client::Qdrant;
use qdrant_client::config::QdrantConfig;
use qdrant_client::qdrant::{CollectionStatus, Condition, Filter as QdrantFilter, QueryPointsBuilder};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::hashed_words::HashedWords;
use crate::sentences::Sentences;

/// Numbers of users without --users: one with all memories, and several that share them.
const USERS: [u16; 2] = [1, 20];
/// Messages in one session, and in one request of a batch of adds.
const SESSION: usize = 100;
/// Sessions in one request while the collection is filled.
const SESSIONS_PER_REQUEST: usize = 5;
const TOP_K: usize = 20;
/// Searches of each kind before the measurement: the first one loads the scope.
const WARM_UP: usize = 20;
/// Messages added one by one, by one thread and by each of several.
const ADDS: usize = 500;
const ADDS_PER_THREAD: usize = 250;
const BATCHES: usize = 20;
/// Longest wait for Qdrant to build its indexes.
const INDEXING_TIMEOUT: Duration = Duration::from_secs(300);

/// How much to measure.
#[derive(Debug, clap::Args)]
pub struct QdrantArgs {
    /// Memories of all users together
    #[arg(long, default_value_t = 20_000)]
    points: usize,
    /// Vector length
    #[arg(long, default_value_t = 384, value_parser = clap::value_parser!(u16).range(1..))]
    dims: u16,
    /// Number of users that share the memories [default: one run with 1, one with 20]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    users: Option<u16>,
    /// Number of searches for each figure
    #[arg(long, default_value_t = 300)]
    queries: usize,
    /// Threads that add concurrently, each for its own user
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Keep the collections
    #[arg(long, requires = "users")]
    keep: bool,
}

/// Measures and prints the result.
///
/// # Errors
/// A store that is not in Qdrant, a collection that exists, and those of the engine.
pub fn run(args: &QdrantArgs, settings: &Settings, out: &Output) -> anyhow::Result<()> {
    let users = args.users.map_or_else(|| USERS.to_vec(), |users| vec![users]);
    let runs = users.into_iter().map(|users| measure(args, users, settings)).collect::<anyhow::Result<Vec<_>>>()?;
    let answer = json!({
        "points": args.points,
        "dims": args.dims,
        "queries": args.queries,
        "threads": args.threads,
        "runs": runs,
    });
    out.value(&answer, human)
}

fn measure(args: &QdrantArgs, users: u16, settings: &Settings) -> anyhow::Result<Value> {
    let place = settings.collection().context("give --store qdrant:URL/COLLECTION")?;
    let mut collection = TemporaryCollection::claim(settings, place.name)?;
    if args.keep {
        collection.keep();
    }
    let folder = tempfile::tempdir()?;
    let ledger = (!settings.has_ledger()).then(|| folder.path().join("ledger.db"));
    let embedder = Arc::new(HashedWords::new(args.dims.into()));
    let engine = wiring::open_engine_in(settings, place.name, ledger.as_deref(), embedder.clone())?;
    let bench = Bench { engine, embedder, client: PlainClient::new(&place)?, collection };

    let each = args.points / usize::from(users);
    let start = Instant::now();
    for number in 0..users {
        bench.fill(&user_name(users, number), each)?;
    }
    let filled = (each * usize::from(users)) as f64 / start.elapsed().as_secs_f64();
    bench.wait_for_indexes()?;
    Ok(json!({
        "users": users,
        "points_per_user": each,
        "fill_per_second": filled.round(),
        "search": bench.search_latencies(users, args.queries)?,
        "add": bench.add_rates(args.threads.into())?,
    }))
}

fn user_name(users: u16, number: u16) -> String {
    format!("user-{number}-of-{users}")
}

struct Bench {
    engine: Engine,
    embedder: Arc<HashedWords>,
    client: PlainClient,
    collection: TemporaryCollection,
}

/// Qdrant's own client, and the runtime that it needs.
struct PlainClient {
    runtime: Runtime,
    qdrant: Qdrant,
}

impl PlainClient {
    fn new(place: &CollectionAddress<'_>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut config = QdrantConfig::from_url(place.url);
        config.timeout = place.timeout;
        config.api_key = place.api_key.map(str::to_owned);
        config.check_compatibility = false;
        let qdrant = {
            let _guard = runtime.enter();
            Qdrant::new(config)?
        };
        Ok(Self { runtime, qdrant })
    }
}

impl Bench {
    fn fill(&self, user: &str, count: usize) -> anyhow::Result<()> {
        let mut sentences = Sentences::new(user.bytes().map(u64::from).sum());
        for first in (0..count).step_by(SESSION * SESSIONS_PER_REQUEST) {
            let sessions = (first..count.min(first + SESSION * SESSIONS_PER_REQUEST)).step_by(SESSION);
            let requests =
                sessions.map(|from| request(user, Some(from / SESSION), &mut sentences, SESSION.min(count - from)));
            self.engine.add_batch(&requests.collect::<anyhow::Result<Vec<_>>>()?)?;
        }
        Ok(())
    }

    /// Waits until Qdrant has built its indexes.
    fn wait_for_indexes(&self) -> anyhow::Result<()> {
        let PlainClient { runtime, qdrant } = &self.client;
        let start = Instant::now();
        loop {
            let info = runtime.block_on(qdrant.collection_info(self.collection.name()))?.result;
            if info.is_some_and(|info| info.status() == CollectionStatus::Green) {
                return Ok(());
            }
            anyhow::ensure!(start.elapsed() < INDEXING_TIMEOUT, "Qdrant is still building its indexes");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Latencies of three kinds of search. The kinds take turns, so that other load on the machine affects all of them.
    fn search_latencies(&self, users: u16, queries: usize) -> anyhow::Result<Value> {
        let mut sentences = Sentences::new(99);
        let mut times: [Vec<f64>; 3] = Default::default();
        for number in 0..WARM_UP + queries {
            let user = user_name(users, (number % usize::from(users)) as u16);
            let question = sentences.question();
            let took = [
                self.plain_query(&user, &question)?,
                self.search_once(&user, &question, Profile::Fusion)?,
                self.search_once(&user, &question, Profile::Mem0)?,
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

    /// Latency of one dense query with a filter on the user and with payloads, as any Qdrant client sends it.
    fn plain_query(&self, user: &str, question: &str) -> anyhow::Result<Duration> {
        let vector = self.embedder.embed(&[question])?.pop().unwrap_or_default();
        let PlainClient { runtime, qdrant } = &self.client;
        let start = Instant::now();
        let query = QueryPointsBuilder::new(self.collection.name())
            .query(vector)
            .filter(QdrantFilter::must([Condition::matches("user_id", user.to_owned())]))
            .limit(TOP_K as u64)
            .with_payload(true);
        let answer = runtime.block_on(qdrant.query(query))?;
        let took = start.elapsed();
        anyhow::ensure!(!answer.result.is_empty(), "a plain query found nothing");
        Ok(took)
    }

    /// Latency of one search without the time spent embedding.
    fn search_once(&self, user: &str, question: &str, profile: Profile) -> anyhow::Result<Duration> {
        let mut request = SearchRequest::new(question, Filter::eq("user_id", user)?);
        request.top_k = TOP_K;
        request.profile = profile;
        let (start, embedding) = (Instant::now(), self.embedder.time_spent());
        let answer = self.engine.search(&request)?;
        let took = start.elapsed().saturating_sub(self.embedder.time_spent() - embedding);
        anyhow::ensure!(!answer.hits.is_empty(), "a search found nothing");
        Ok(took)
    }

    /// Rates of adds: one message per request, by one thread and by several; many messages per request.
    fn add_rates(&self, threads: usize) -> anyhow::Result<Value> {
        let embedding = self.embedder.time_spent();
        let mut times = Vec::with_capacity(ADDS);
        let mut sentences = Sentences::new(7);
        for number in 0..ADDS {
            let request = request(&format!("writer-{}", number % threads), None, &mut sentences, 1)?;
            let start = Instant::now();
            self.engine.add(request)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let by_one_thread = ADDS as f64 * 1e3 / times.iter().sum::<f64>();
        times.sort_by(f64::total_cmp);

        let start = Instant::now();
        std::thread::scope(|scope| {
            let work = |thread: usize| {
                let mut sentences = Sentences::new(100 + thread as u64);
                let user = format!("writer-{thread}");
                (0..ADDS_PER_THREAD).try_for_each(|_| {
                    self.engine.add(request(&user, None, &mut sentences, 1)?)?;
                    anyhow::Ok(())
                })
            };
            let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
            running.into_iter().try_for_each(|thread| match thread.join() {
                Ok(done) => done,
                Err(_) => Err(anyhow::anyhow!("a thread panicked while adding")),
            })
        })?;
        let by_threads = (threads * ADDS_PER_THREAD) as f64 / start.elapsed().as_secs_f64();

        let start = Instant::now();
        for number in 0..BATCHES {
            self.engine.add_batch(&[request("writer-0", Some(number), &mut sentences, SESSION)?])?;
        }
        let in_batches = (BATCHES * SESSION) as f64 / start.elapsed().as_secs_f64();
        Ok(json!({
            "one_by_one_per_second": by_one_thread.round(),
            "one_by_one_ms": latencies(&times),
            "threads_per_second": by_threads.round(),
            "batch": SESSION,
            "batches_per_second": in_batches.round(),
            "embedder_seconds": rounded((self.embedder.time_spent() - embedding).as_secs_f64(), 3),
        }))
    }
}

/// A request to add generated messages of a user: to the session with this number, or to the current one.
fn request(
    user: &str,
    session: Option<usize>,
    sentences: &mut Sentences,
    messages: usize,
) -> anyhow::Result<AddRequest> {
    let message = |number: usize| Message {
        role: if number.is_multiple_of(2) { Role::User } else { Role::Assistant },
        content: sentences.statement(),
        ..Message::default()
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
            "\n{} users with {} memories each, added at {}/s\n{:<30}{:>9}{:>9}{:>9}{:>9}\n",
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
            "adds per second: {} one by one, {} by {} threads, {} in batches of {}\n",
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
