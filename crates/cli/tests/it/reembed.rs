//! `mnemon reembed`, also interrupted and with a running server.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use mnemon_testbed::{Behaviour, EmbeddingsEndpoint, FakeEndpoint, Reply};
use serde_json::{Value, json};

use crate::embedder::hashed;
use crate::sandbox::{CommandResult, Sandbox, check_refused};
use crate::serve::{Connection, ServerProcess};

/// Texts staged in one transaction.
const BATCH: usize = 512;

/// A sandbox with this many numbered memories of user ana.
fn filled(memories: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    let lines: String = (0..memories).map(|number| format!("the shelf {number} holds jars\n")).collect();
    let file = sandbox.file("facts.txt", &lines);
    assert_eq!(sandbox.json(&["import", &file, "--user", "ana"])["stored"]["memories"], json!(memories));
    sandbox
}

fn reembed_to<'a>(endpoint: &'a EmbeddingsEndpoint, more: &[&'a str]) -> Vec<&'a str> {
    [&["reembed", "--to", "openai:hashed", "--to-url", endpoint.url(), "--to-dims", "8"][..], more].concat()
}

/// Runs with the settings of the new embedder.
fn run_with_new_embedder(sandbox: &Sandbox, endpoint: &EmbeddingsEndpoint, args: &[&str]) -> CommandResult {
    let mut command = sandbox.command(args);
    command.env("MNEMON_EMBEDDER", "openai:hashed").env("MNEMON_EMBEDDER_DIMS", "8");
    CommandResult::of(command.env("MNEMON_EMBEDDER_URL", endpoint.url()))
}

const SEARCH: [&str; 7] = ["search", "shelf 77", "--user", "ana", "--top-k", "1", "--json"];

#[track_caller]
fn check_found(result: &CommandResult) {
    assert_eq!(result.code, 0, "{}", result.stderr);
    let found: Value = serde_json::from_str(&result.stdout).unwrap();
    assert_eq!(found["results"][0]["memory"], "the shelf 77 holds jars");
}

fn embedder_with_dims(sandbox: &Sandbox) -> Value {
    sandbox.json(&["stats"])["store"]["embedder"].clone()
}

#[test]
fn a_killed_run_resumes() {
    const MEMORIES: usize = 2 * BATCH + 100;
    let sandbox = filled(MEMORIES);
    let (reached, was_reached) = mpsc::channel();
    let (stuck, seen) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let endpoint = {
        let (stuck, seen) = (Arc::clone(&stuck), Arc::clone(&seen));
        EmbeddingsEndpoint::start(move |texts| {
            let before = seen.fetch_add(texts.len(), Ordering::SeqCst);
            // The first batch is staged before the second is requested. The test text `hello` comes before both.
            while stuck.load(Ordering::SeqCst) && before > BATCH {
                reached.send(()).unwrap();
                std::thread::park();
            }
            hashed(texts)
        })
    };
    let built_in = embedder_with_dims(&sandbox);
    let mut child = sandbox
        .std_command()
        .args(reembed_to(&endpoint, &[]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    was_reached.recv().unwrap();
    // The store can still be read and written.
    check_found(&sandbox.run(&SEARCH));
    sandbox.add("ana", "the cellar has a new door");
    child.kill().unwrap();
    child.wait().unwrap();
    check_found(&sandbox.run(&SEARCH));
    assert_eq!(embedder_with_dims(&sandbox), built_in);

    stuck.store(false, Ordering::SeqCst);
    let plan = sandbox.json(&reembed_to(&endpoint, &["--dry-run"]));
    assert_eq!((&plan["dry_run"], &plan["moved"], &plan["resumed"]), (&json!(true), &json!(false), &json!(BATCH)));
    let texts = MEMORIES + 1 + plan["entities"].as_u64().unwrap() as usize;
    assert_eq!((&plan["memories"], &plan["to_embed"]), (&json!(MEMORIES + 1), &json!(texts - BATCH)));
    assert_eq!(embedder_with_dims(&sandbox), built_in);
    let before = seen.load(Ordering::SeqCst);
    let done = sandbox.json(&reembed_to(&endpoint, &[]));
    assert_eq!((&done["moved"], &done["from"]["embedder"]), (&json!(true), &built_in));
    assert_eq!(done["to"], json!({"embedder": "openai:hashed:8", "dims": 8}));
    assert_eq!((&done["resumed"], &done["embedded"]), (&json!(BATCH), &json!(texts - BATCH)));
    assert_eq!((&done["memories"], &done["compared"]), (&json!(MEMORIES + 1), &json!(32)));
    assert!(done["locked_seconds"].as_f64().unwrap() > 0.0 && done["texts_per_second"].as_f64().unwrap() > 0.0);
    assert!(done["next"].as_str().unwrap().contains("MNEMON_EMBEDDER=openai:hashed MNEMON_EMBEDDER_DIMS=8"), "{done}");
    // Only `hello`, the rest and the sample were embedded again.
    assert_eq!(seen.load(Ordering::SeqCst) - before, 1 + texts - BATCH + 32);

    check_found(&run_with_new_embedder(&sandbox, &endpoint, &SEARCH));
    let refused = sandbox.run(&SEARCH);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("embedder_mismatch"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("set MNEMON_EMBEDDER=openai:hashed and MNEMON_EMBEDDER_DIMS=8"),
        "{}",
        refused.stderr
    );
    assert_eq!(sandbox.json(&reembed_to(&endpoint, &[]))["moved"], json!(false), "it is there already");
    assert_eq!(sandbox.json(&["doctor"])["ok"], json!(true));

    // Back to the built-in embedder.
    let result = sandbox.run(&["reembed", "--to", "builtin"]);
    assert_eq!((result.code, result.stderr.as_str()), (0, ""));
    assert!(result.stdout.contains(" from openai:hashed:8 (8 dims) to static-"), "{}", result.stdout);
    assert!(
        result
            .stdout
            .ends_with("next      set MNEMON_EMBEDDER=builtin wherever this store is used, and restart its servers\n")
    );
    check_found(&sandbox.run(&SEARCH));
}

#[test]
fn a_server_with_the_old_embedder_cannot_write() {
    let sandbox = filled(100);
    let endpoint = EmbeddingsEndpoint::start(hashed);
    let server = ServerProcess::start(&sandbox.path("store.db"));
    let mut connection = Connection::open(&server.address).unwrap();
    let mut call = |path: &str, body: Value| connection.call("POST", path, "ka", &body).unwrap();
    let message = |text: &str| json!({"messages": [{"role": "user", "content": text}], "infer": false});
    let query = json!({"query": "shelf 77"});
    assert_eq!(call("/memories", message("The cat is grey")).0, 200);
    assert_eq!(call("/search", query.clone()).0, 200);
    assert_eq!(sandbox.json(&reembed_to(&endpoint, &[]))["memories"], json!(101));
    assert_eq!(call("/memories", message("The dog is brown")).0, 503);
    assert_eq!(call("/search", query).0, 503);
    assert_eq!(sandbox.json(&["stats"])["store"]["memories"], json!(101));
    check_found(&run_with_new_embedder(&sandbox, &endpoint, &SEARCH));
}

#[test]
fn failed_runs_leave_the_store_unchanged() {
    let sandbox = Sandbox::new();
    let endpoint = EmbeddingsEndpoint::start(hashed);
    check_refused(&sandbox, &reembed_to(&endpoint, &[]), 1, "no store at");
    sandbox.add("ana", "Zoë lives in Porto.");
    let built_in = embedder_with_dims(&sandbox);
    check_refused(&sandbox, &["reembed"], 2, "--to");
    check_refused(&sandbox, &["reembed", "--to", "openai:unheard-of"], 2, "--to-dims");
    check_refused(&sandbox, &["reembed", "--to", "minilml6"], 2, "embedder is `minilml6`");
    check_refused(
        &sandbox,
        &["reembed", "--to", "builtin", "--to-dims", "8"],
        2,
        "applies to a model behind an endpoint",
    );
    check_refused(&sandbox, &reembed_to(&endpoint, &["--dry-run", "--restart"]), 2, "--restart");
    let no_server = ["reembed", "--to", "openai:hashed", "--to-url", "http://127.0.0.1:1/v1", "--to-dims", "8"];
    check_refused(&sandbox, &no_server, 1, "127.0.0.1:1");
    check_refused(&sandbox, &[&no_server[..], &["--dry-run"]].concat(), 1, "127.0.0.1:1");
    let nine = ["reembed", "--to", "openai:hashed", "--to-url", endpoint.url(), "--to-dims", "9"];
    check_refused(&sandbox, &nine, 1, "dims");
    let qdrant = ["reembed", "--to", "builtin", "--store", "qdrant:http://127.0.0.1:1/memories"];
    check_refused(&sandbox, &qdrant, 2, "mnemon import --reembed");
    assert_eq!(sandbox.json(&["doctor"])["warnings"], json!([]));
    // None of them started a run: another embedder may be chosen.
    assert_eq!(sandbox.json(&reembed_to(&endpoint, &["--dry-run"]))["resumed"], json!(0));

    // The vectors differ with each request: the staged ones are useless.
    let calls = AtomicUsize::new(0);
    let unsteady = EmbeddingsEndpoint::start(move |texts| {
        let at = calls.fetch_add(1, Ordering::SeqCst) % 8;
        texts.iter().map(|_| (0..8).map(|dim| if dim == at { 1.0 } else { 0.0 }).collect()).collect()
    });
    check_refused(&sandbox, &reembed_to(&unsteady, &[]), 1, "the store was not switched");
    // A run is now in progress.
    let warned = sandbox.json(&["doctor"])["warnings"].to_string();
    assert!(warned.contains("continue it with `mnemon reembed`"), "{warned}");
    let other = ["reembed", "--to", "openai:other", "--to-url", endpoint.url(), "--to-dims", "8"];
    check_refused(&sandbox, &other, 4, "--restart");
    check_refused(&sandbox, &[&other[..], &["--dry-run"]].concat(), 4, "openai:hashed:8");
    assert_eq!(embedder_with_dims(&sandbox), built_in);
    assert_eq!(sandbox.texts(&["search", "Porto", "--user", "ana"]), ["Zoë lives in Porto."]);
    check_refused(&sandbox, &reembed_to(&endpoint, &[]), 1, "--restart");
    assert_eq!(sandbox.json(&[&other[..], &["--restart"]].concat())["resumed"], json!(0));
    assert_eq!(embedder_with_dims(&sandbox), json!("openai:other:8"));
}

/// The record of a text's pieces is that of the new embedder, whose limits are others.
#[test]
fn the_record_of_the_pieces_is_that_of_the_new_embedder() {
    let refusal = Reply::refusal("400 Bad Request", "the input length exceeds the context length");
    let limit = |chars| FakeEndpoint::start(vec![Behaviour::TextLimit(chars, refusal.clone())]);
    let refusing = FakeEndpoint::start(vec![Behaviour::RefusedWord("amaryllis", refusal.clone())]);
    let sandbox = Sandbox::new();
    let long = "We walked along the river in the evening. ".repeat(60);
    for text in [long.as_str(), "an amaryllis in a pot"] {
        sandbox.json(&["add", text, "--user", "ana"]);
    }
    // The built-in embedder reads the beginning of the long text.
    let mut records = vec![embedded(&sandbox)];
    for (number, endpoint) in [limit(1300), limit(400), refusing, limit(100_000)].iter().enumerate() {
        let to = format!("openai:model-{number}");
        let target = ["reembed", "--to", &to, "--to-url", endpoint.url(), "--to-dims", "16"];
        assert_eq!(sandbox.run(&target).code, 0);
        records.push(embedded(&sandbox));
    }
    // Each of the long and of the short text: pieces, and parts that were left out.
    let whole = (None, None);
    assert_eq!(records[0], [(Some(1), Some(1)), whole]);
    let [fewer, more] = [&records[1], &records[2]].map(|record| record[0].0.unwrap());
    assert!(1 < fewer && fewer < more, "{records:?}");
    assert_eq!((records[1][1], records[2][1]), (whole, whole));
    assert_eq!(records[3], [whole, (Some(0), Some(1))]);
    assert_eq!(records[4], [whole, whole]);
}

/// The record of the pieces of each text, the longest text first.
fn embedded(sandbox: &Sandbox) -> Vec<(Option<u64>, Option<u64>)> {
    let list = sandbox.json(&["list", "--user", "ana"]);
    let mut memories = list["results"].as_array().unwrap().clone();
    memories.sort_by_key(|memory| std::cmp::Reverse(memory["memory"].as_str().unwrap().len()));
    let number = |memory: &Value, key: &str| memory[key].as_u64();
    memories.iter().map(|memory| (number(memory, "vector_pieces"), number(memory, "vector_left_out"))).collect()
}
