//! The table of what endpoints do and what becomes of each call: behaviour × (embedder, language model) × (start, add, infer,
//! search, chat, import). If the variable `MNEMON_TEST_TABLE` names a file, the table is written there.

use std::fmt::Write as _;
use std::sync::LazyLock;

use mnemon_engine::ImportOptions;
use mnemon_models::Embedder;
use mnemon_testbed::endpoint::{self, Case};
use mnemon_testbed::{Behaviour, FakeEndpoint, Reply};
use serde_json::{Value, json};

use super::world::{LIMIT, REFUSED, World, failure};
use crate::fixture::{check_store, note, search, user};
use crate::learn::learn_from;

/// Which model is at the endpoint; the other one is at an endpoint without peculiarities.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Model {
    Embedder,
    LanguageModel,
}

/// Whom the behaviour concerns.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Concerns {
    /// Nobody: everything is stored, learnt, found and answered.
    Nobody,
    /// The caller whose text has the refused word.
    Content,
    /// Requests for facts, whose answers can't be used.
    Facts,
    /// Everybody: the endpoint answers nothing until it is mended.
    Everybody,
}

struct Row {
    case: Case,
    model: Model,
    concerns: Concerns,
    cells: [String; 6],
    others: &'static str,
}

/// Characters of a prompt for facts, beside the messages.
static PROMPT: LazyLock<usize> = LazyLock::new(|| {
    let llm = FakeEndpoint::start(Vec::new());
    let world = World::new(&FakeEndpoint::start(Vec::new()), &llm);
    world.learn(learn_from(user("ana"), &[("user", "Hi there.")])).unwrap();
    llm.requests()[0].all_texts().iter().map(|text| text.chars().count()).sum()
});

fn cases() -> Vec<(Model, Concerns, Case)> {
    let plain = |name: &str, behaviour| Case { name: name.to_owned(), behaviour };
    let refusal = |text| Reply::refusal("400 Bad Request", text);
    let embedders = [
        endpoint::text_limits(LIMIT),
        endpoint::vague(LIMIT),
        endpoint::gibberish(LIMIT),
        endpoint::silent(LIMIT),
        endpoint::batch_limits(1),
        endpoint::refused_keys("encoding_format"),
        endpoint::refused_keys("dimensions"),
        vec![
            plain("base64", Behaviour::Base64),
            plain("lists refused", Behaviour::ListRefused(refusal("must be a string"))),
            plain("first text only", Behaviour::FirstTextOnly),
            plain("total limit", Behaviour::TotalLimit(LIMIT, refusal("max 700 tokens per request"))),
        ],
    ]
    .concat();
    let (odd, forms): (Vec<Case>, Vec<Case>) =
        endpoint::forms_of_vectors().into_iter().partition(|case| case.name.contains("odd"));
    let room = *PROMPT + 3000;
    let models = [
        endpoint::text_limits(room),
        endpoint::vague(room),
        endpoint::gibberish(room),
        endpoint::silent(room),
        endpoint::refused_keys("response_format"),
        endpoint::refused_roles(),
        endpoint::forms_of_facts(),
    ]
    .concat();
    let (without_facts, without_answers): (Vec<Case>, Vec<Case>) =
        endpoint::unusable_facts().into_iter().partition(|case| matches!(case.behaviour, Behaviour::Facts(_)));
    let sick = |status| plain(status, Behaviour::Always(Reply::refusal(status, "not now")));
    let closed = plain("closed", Behaviour::Always(Reply { status: "", headers: "", body: String::new() }));
    let sick: Vec<Case> = [
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "307 Temporary Redirect",
        "400 Bad Request",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ]
    .map(sick)
    .into_iter()
    .chain([closed])
    .map(|case| Case { name: format!("always: {}", case.name), ..case })
    .collect();
    let filters = [endpoint::content_refusals(REFUSED), endpoint::filters(REFUSED)].concat();
    let embedder_filters = [endpoint::content_refusals(REFUSED), odd].concat();
    let all = |model, concerns, cases: Vec<Case>| cases.into_iter().map(move |case| (model, concerns, case));
    all(Model::Embedder, Concerns::Nobody, [embedders, forms].concat())
        .chain(all(Model::Embedder, Concerns::Content, embedder_filters))
        .chain(all(Model::Embedder, Concerns::Everybody, sick.clone()))
        .chain(all(Model::LanguageModel, Concerns::Nobody, models))
        .chain(all(Model::LanguageModel, Concerns::Content, filters))
        .chain(all(Model::LanguageModel, Concerns::Facts, without_facts))
        .chain(all(Model::LanguageModel, Concerns::Everybody, [sick, without_answers].concat()))
        .collect()
}

/// About five thousand characters with names, and a word that filters refuse.
fn long_text() -> String {
    let sentence = |number: usize| format!("In chapter {number} Maria of Porto visits river city {}. ", number * 7);
    let half = |from: usize| (from..from + 45).map(sentence).collect::<String>();
    format!("{}The word {REFUSED} is written on the gate. {}The end is zanzibar.", half(0), half(45))
}

/// Calls of another user.
fn others(name: &str, world: &World, concerned: Option<Model>) {
    if concerned != Some(Model::Embedder) {
        for number in 0..3 {
            world
                .add(note("ben", &format!("Ben's note {number} about gardens")))
                .unwrap_or_else(|error| panic!("{name}: another user's add: {error}"));
            assert!(!search(world, "ben", "gardens").is_empty(), "{name}: another user's search");
        }
    }
    if concerned.is_none() {
        assert_eq!(world.chat("ben", "What about gardens?"), "answered", "{name}: another user's chat");
    }
}

fn row(case: &Case, model: Model, concerns: Concerns) -> Row {
    let sick = FakeEndpoint::start(vec![case.behaviour.clone()]);
    let sound = FakeEndpoint::start(Vec::new());
    let world = match model {
        Model::Embedder => World::new(&sick, &sound),
        Model::LanguageModel => World::new(&sound, &sick),
    };
    let concerned = Some(model).filter(|_| concerns == Concerns::Everybody);
    // A server checks its embedder before it creates a store, and sends nothing to the language model.
    let start = world.embedder.embed(&["hello"]);
    let start = start.map_or_else(|error| failure(&error.into()), |_| "starts".to_owned());
    let cells = std::thread::scope(|scope| {
        let calls = scope.spawn(|| calls(&world, &sick));
        others(&case.name, &world, concerned);
        calls.join().unwrap_or_else(|_| panic!("{}", case.name))
    });
    // After the calls the endpoint is mended, if it was sick.
    others(&case.name, &world, None);
    check_store(&world);
    let [add, infer, search, chat, import] = cells;
    let others = if concerned.is_none() { "served" } else { "served by the other model" };
    Row { case: case.clone(), model, concerns, cells: [start, add, infer, search, chat, import], others }
}

/// The calls of the user whose text is odd. The endpoint is mended when a request for facts is pending.
fn calls(world: &World, sick: &FakeEndpoint) -> [String; 5] {
    let long = long_text();
    let added = world.add(note("ana", &long)).map_or_else(
        |error| failure(&error),
        |added| {
            let payload = world.get(added[0].id).unwrap().payload;
            assert_eq!(payload.text(), long, "the text is stored whole");
            let left_out = payload.as_map().get("vector_left_out").and_then(Value::as_u64);
            left_out.map_or("stored".to_owned(), |left_out| format!("stored, {left_out} part left out"))
        },
    );
    let searched = |query: &str| {
        let request = mnemon_engine::SearchRequest::new(query, crate::fixture::by_user("ana"));
        world.search(&request).map_or_else(
            |error| failure(&error),
            |found| if found.hits.is_empty() { "nothing".to_owned() } else { "found".to_owned() },
        )
    };
    let found = searched("zanzibar");
    let by_long = searched(&long);
    let chat = world.chat("ana", &long);
    let line = |id: &str| {
        let id = format!("00000000-0000-4000-8000-00000000000{id}");
        json!({"id": id, "payload": {"data": format!("{id} {long}"), "user_id": "kim"}}).to_string()
    };
    let file = world.folder.path().join("points.jsonl");
    std::fs::write(&file, ["a", "b", "c"].map(line).join("\n")).unwrap();
    let imported = world.import(&file, &ImportOptions::default(), &mut |_| {});
    let imported =
        imported.map_or_else(|error| failure(&error), |report| format!("{} memories", report.stored.memories));
    let messages = [("user", "I moved to Rome."), ("user", long.as_str()), ("user", "I like tea.")];
    let inferred = world.infer(learn_from(user("eva"), &messages), || sick.switch(Vec::new()));
    let facts = crate::learn::texts_of(world, "eva").join("\n");
    let learnt = ["I moved to Rome.", "I like tea.", "zanzibar"].map(|part| facts.contains(part));
    let inferred = match learnt {
        [true, true, true] => inferred,
        [true, true, false] => format!("{inferred}, without the long one"),
        [false, false, false] => format!("{inferred}, no fact"),
        other => format!("{inferred}, {other:?}"),
    };
    let searched = if found == by_long { found } else { format!("{found} by a word, {by_long} by a long question") };
    [added, inferred, searched, chat, imported]
}

/// The faults of a row.
fn faults(row: &Row) -> Vec<String> {
    let [start, add, infer, search, chat, import] = row.cells.each_ref().map(String::as_str);
    let is_llm = row.model == Model::LanguageModel;
    let mut faults = Vec::new();
    let mut expect = |is_right: bool, cell: &str, found: &str| {
        if !is_right {
            faults.push(format!("{cell}: {found}"));
        }
    };
    let is_down = row.concerns == Concerns::Everybody;
    let is_error = |cell: &str| cell.starts_with(['4', '5']);
    if is_down && !is_llm {
        for (name, cell) in [("start", start), ("add", add), ("search", search), ("chat", chat), ("import", import)] {
            expect(is_error(cell), name, cell);
        }
    } else {
        expect(start == "starts", "start", start);
        let is_content = row.concerns == Concerns::Content && !is_llm;
        expect(add == if is_content { "stored, 1 part left out" } else { "stored" }, "add", add);
        expect(search == "found", "search", search);
        expect(import == "3 memories", "import", import);
    }
    match row.concerns {
        Concerns::Nobody => {
            expect(infer == "learnt", "infer", infer);
            expect(chat == "answered", "chat", chat);
        }
        Concerns::Content if is_llm => {
            expect(infer.starts_with("learnt but 1 message"), "infer", infer);
            let refused = ["400 llm_content_refused", "502 llm_failed"];
            expect(refused.contains(&chat), "chat", chat);
        }
        Concerns::Content => {
            expect(infer == "learnt", "infer", infer);
            expect(chat == "answered", "chat", chat);
        }
        Concerns::Facts => {
            // The endpoint is mended after the first attempt.
            expect(infer == "pending, then learnt", "infer", infer);
            expect(chat == "answered", "chat", chat);
        }
        Concerns::Everybody => {
            expect(infer == "pending, then learnt", "infer", infer);
            expect(is_error(chat), "chat", chat);
        }
    }
    faults
}

pub(super) fn check() {
    let cases = cases();
    let mut rows = Vec::new();
    // A few at a time: each has its own server and store.
    for cases in cases.chunks(16) {
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                cases.iter().map(|(model, concerns, case)| scope.spawn(|| row(case, *model, *concerns))).collect();
            rows.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
        });
    }
    let mut table = String::from("model | behaviour | serve's start | add | infer | search | chat | import | others\n");
    let mut wrong = String::new();
    for row in &rows {
        let model = if row.model == Model::Embedder { "embedder" } else { "language model" };
        writeln!(table, "{model} | {} | {} | {}", row.case.name, row.cells.join(" | "), row.others).unwrap();
        for fault in faults(row) {
            writeln!(wrong, "{model}, {}: {fault}", row.case.name).unwrap();
        }
    }
    match std::env::var_os("MNEMON_TEST_TABLE") {
        Some(file) => std::fs::write(file, &table).unwrap(),
        None => println!("{table}"),
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
