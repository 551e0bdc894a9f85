//! Adds, searches and imports with an embedder behind each kind of endpoint: behaviour × call, with the outcome of each cell.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use mnemon_engine::{AddOutcome, Engine, EngineConfig, ImportOptions, ModelServices, UpdateRequest};
use mnemon_models::{Embedder, LlmClient, LlmConfig, LlmProvider, OpenAiConfig, OpenAiEmbedder};
use mnemon_store::SqliteStore;
use mnemon_store::sqlite::SqliteOptions;
use mnemon_testbed::endpoint::{self, Case, DIMS};
use mnemon_testbed::{Behaviour, FakeEndpoint, Reply};
use serde_json::{Value, json};

use crate::fixture::{check_store, note, search, user};
use crate::learn::learn_from;

tests!(
    FILE_TESTS = [
        no_endpoint_takes_the_memory_from_anybody,
        a_long_text_is_found_by_its_words_and_its_meaning,
        the_record_of_the_pieces_follows_the_text
    ]
);

const LIMIT: usize = 700;
const REFUSED: &str = "forbidden";

/// An engine whose embedder is at an endpoint, and whose language model is at one without peculiarities.
struct World {
    engine: Engine,
    embedder: Arc<OpenAiEmbedder>,
    folder: tempfile::TempDir,
}

impl std::ops::Deref for World {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

fn world(endpoint: &FakeEndpoint) -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut config = OpenAiConfig::new("some-model", DIMS);
    config.base_url = endpoint.url().to_owned();
    config.timeout = Duration::from_secs(5);
    config.send_dims = true;
    let embedder = Arc::new(OpenAiEmbedder::new(config).unwrap());
    let open = |name: &str| {
        SqliteStore::open(SqliteOptions::new(folder.path().join(name), embedder.fingerprint(), DIMS)).unwrap()
    };
    let mut llm = LlmConfig::new(LlmProvider::OpenAi, "some-model");
    llm.base_url = FakeEndpoint::start(Vec::new()).url().to_owned();
    let engine = Engine::new(Arc::new(open("store")), embedder.clone(), EngineConfig::default()).with_model_services(
        ModelServices {
            llm: Some(Arc::new(LlmClient::new(llm).unwrap())),
            documents: Some(Arc::new(open("documents"))),
            ..ModelServices::default()
        },
    );
    World { engine, embedder, folder }
}

fn cases() -> Vec<Case> {
    let plain = |name: &str, behaviour| Case { name: name.to_owned(), behaviour };
    let refusal = |text| Reply::refusal("400 Bad Request", text);
    [
        endpoint::text_limits(LIMIT),
        endpoint::vague(LIMIT),
        endpoint::batch_limits(1),
        endpoint::refused_keys("encoding_format"),
        endpoint::refused_keys("dimensions"),
        endpoint::content_refusals(REFUSED),
        vec![
            plain("base64", Behaviour::Base64),
            plain("lists refused", Behaviour::ListRefused(refusal("must be a string"))),
            plain("first text only", Behaviour::FirstTextOnly),
            plain("nulls", Behaviour::NullVectors(REFUSED)),
            plain("total limit", Behaviour::TotalLimit(LIMIT, refusal("max 700 tokens per request"))),
        ],
    ]
    .concat()
}

/// About five thousand characters with names, and a word that filters refuse.
fn long_text() -> String {
    let sentence = |number: usize| format!("In chapter {number} Maria of Porto visits river city {}. ", number * 7);
    let half = |from: usize| (from..from + 45).map(sentence).collect::<String>();
    format!("{}The word {REFUSED} is written on the gate. {}The end is zanzibar.", half(0), half(45))
}

/// The outcome of a call, for the table.
fn outcome<T, E: std::fmt::Display>(result: Result<T, E>, describe: impl FnOnce(T) -> String) -> String {
    result.map_or_else(|error| format!("ERROR {error}"), describe)
}

fn row(case: &Case) -> [String; 5] {
    let endpoint = FakeEndpoint::start(vec![case.behaviour.clone()]);
    let world = world(&endpoint);
    let start = outcome(world.embedder.embed(&["hello"]), |_| "starts".to_owned());
    let others = || {
        for number in 0..3 {
            world.add(note("ben", &format!("Ben's note {number} about gardens"))).expect("another user's add");
            assert!(!search(&world, "ben", "gardens").is_empty(), "another user's search");
        }
    };
    let long = long_text();
    let calls = || {
        let added = outcome(world.add(note("ana", &long)), |added| {
            let payload = world.get(added[0].id).unwrap().payload;
            assert_eq!(payload.text(), long, "the text is stored whole");
            let value = |key: &str| payload.as_map().get(key).map_or("-".to_owned(), Value::to_string);
            format!("{} pieces, {} left out", value("vector_pieces"), value("vector_left_out"))
        });
        let messages = [("user", "I moved to Rome."), ("user", long.as_str()), ("user", "I like tea.")];
        let request = learn_from(user("eva"), &messages);
        let learned = outcome(world.learn(request), |learned| match learned.outcome {
            AddOutcome::Stored(facts) => format!("{} facts", facts.len()),
            outcome => format!("{outcome:?}"),
        });
        let found = search(&world, "ana", "zanzibar").len();
        let asked = search(&world, "ana", &long).len();
        let lines: Vec<String> = ["a", "b", "c"]
            .iter()
            .map(|id| json!({"id": format!("00000000-0000-4000-8000-00000000000{id}"), "payload": {"data": format!("{id} {long}"), "user_id": "kim"}}).to_string())
            .collect();
        let file = world.folder.path().join("points.jsonl");
        std::fs::write(&file, lines.join("\n")).unwrap();
        let imported = world.import(&file, &ImportOptions::default(), &mut |_| {});
        let imported = outcome(imported, |report| format!("{} memories", report.stored.memories));
        [added, learned, format!("{found} by a word, {asked} by a long question"), imported]
    };
    let [added, learned, searched, imported] = std::thread::scope(|scope| {
        let calls = scope.spawn(calls);
        others();
        calls.join().unwrap()
    });
    others();
    assert_eq!(texts_of(&world, "eva"), 3, "{}: every fact is stored", case.name);
    check_store(&world);
    [start, added, learned, searched, imported]
}

fn texts_of(world: &World, id: &str) -> usize {
    let request = mnemon_engine::ListRequest {
        filter: Some(crate::fixture::by_user(id)),
        limit: 1000,
        ..mnemon_engine::ListRequest::default()
    };
    world.list(&request).unwrap().items.len()
}

fn no_endpoint_takes_the_memory_from_anybody() {
    let cases = cases();
    let rows: Vec<[String; 5]> = std::thread::scope(|scope| {
        // A few at a time: each has its own server and store.
        let mut rows = Vec::new();
        for cases in cases.chunks(8) {
            let threads: Vec<_> = cases.iter().map(|case| scope.spawn(|| row(case))).collect();
            rows.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
        }
        rows
    });
    let mut table = String::from("behaviour | serve's start | add | infer | search | import\n");
    for (case, row) in cases.iter().zip(&rows) {
        writeln!(table, "{} | {}", case.name, row.join(" | ")).unwrap();
    }
    println!("{table}");
    for (case, [start, added, learned, searched, imported]) in cases.iter().zip(&rows) {
        let name = &case.name;
        assert_eq!(start, "starts", "{name}");
        assert!(added.contains("pieces"), "{name}: {added}");
        assert_eq!(learned, "3 facts", "{name}");
        assert_eq!(searched, "1 by a word, 1 by a long question", "{name}");
        assert_eq!(imported, "3 memories", "{name}");
        let is_left_out = !added.ends_with("- left out");
        let is_content = name.starts_with("content_refusals") || name == "nulls";
        assert_eq!(is_left_out, is_content, "{name}: {added}");
    }
}

fn a_long_text_is_found_by_its_words_and_its_meaning() {
    let reply = Reply::refusal("500 Internal Server Error", "input is too large to process");
    let endpoint = FakeEndpoint::start(vec![Behaviour::TextLimit(LIMIT, reply)]);
    let world = world(&endpoint);
    let long = format!("{}Our boat is called Amaryllis and lies in Setubal.", "We walked along the river. ".repeat(60));
    world.add(note("ana", &long)).unwrap();
    for question in ["where is the boat Amaryllis", "walks by the river", &long] {
        assert_eq!(search(&world, "ana", question)[0].memory.payload.text(), long, "{question}");
    }
}

fn the_record_of_the_pieces_follows_the_text() {
    let reply = Reply::refusal("400 Bad Request", "the input length exceeds the context length");
    let endpoint =
        FakeEndpoint::start(vec![Behaviour::TextLimit(LIMIT, reply.clone()), Behaviour::RefusedWord(REFUSED, reply)]);
    let world = world(&endpoint);
    let pieces = |id| {
        let payload = world.get(id).unwrap().payload;
        let number = |key: &str| payload.as_map().get(key).and_then(Value::as_u64);
        (number("vector_pieces"), number("vector_left_out"))
    };
    let change = |id, text: &str| {
        world.update(id, &UpdateRequest { text: Some(text.to_owned()), ..UpdateRequest::default() }).unwrap();
    };
    let id = world.add(note("ana", &"We walked along the river. ".repeat(60))).unwrap()[0].id;
    assert!(pieces(id).0 > Some(1) && pieces(id).1.is_none());
    let counts = || {
        let counts = world.embedding_counts().unwrap();
        (counts.in_pieces, counts.incomplete, counts.without_vector)
    };
    assert_eq!(counts(), (1, 0, 0));
    change(id, "We walked.");
    assert_eq!((pieces(id), counts()), ((None, None), (0, 0, 0)));
    change(id, &format!("a {REFUSED} word"));
    assert_eq!((pieces(id), counts()), ((Some(0), Some(1)), (0, 1, 1)));
    let metadata = json!({"colour": "red"}).as_object().cloned();
    world.update(id, &UpdateRequest { metadata, ..UpdateRequest::default() }).unwrap();
    assert_eq!(pieces(id), (Some(0), Some(1)), "a change of the metadata keeps the record");
    assert_eq!(search(&world, "ana", "word").len(), 1);
}
