//! `mnemon reembed`: a store moves to another embedder, is killed on its way, and is searched before and after.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use mnemon_testbed::EmbeddingsEndpoint;
use serde_json::{Value, json};

use crate::embedder::hashed;
use crate::place::{Place, Ran, check_refused};
use crate::serve::{Connection, Served};

/// Texts that are kept together.
const BATCH: usize = 512;

/// A place whose store has so many memories of ana's, each of another number.
fn filled(memories: usize) -> Place {
    let place = Place::new();
    let lines: String = (0..memories).map(|number| format!("the shelf {number} holds jars\n")).collect();
    let file = place.file("facts.txt", &lines);
    assert_eq!(place.json(&["import", &file, "--user", "ana"])["stored"]["memories"], json!(memories));
    place
}

fn to<'a>(endpoint: &'a EmbeddingsEndpoint, more: &[&'a str]) -> Vec<&'a str> {
    [&["reembed", "--to", "openai:hashed", "--to-url", endpoint.url(), "--to-dims", "8"][..], more].concat()
}

/// Runs with the settings that go with the store once it has moved.
fn moved(place: &Place, endpoint: &EmbeddingsEndpoint, args: &[&str]) -> Ran {
    let mut command = place.command(args);
    command.env("MNEMON_EMBEDDER", "openai:hashed").env("MNEMON_EMBEDDER_DIMS", "8");
    Ran::of(command.env("MNEMON_EMBEDDER_URL", endpoint.url()))
}

const SEARCH: [&str; 7] = ["search", "shelf 77", "--user", "ana", "--top-k", "1", "--json"];

#[track_caller]
fn check_found(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["results"][0]["memory"], "the shelf 77 holds jars");
}

fn embedder_of(place: &Place) -> Value {
    place.json(&["stats"])["store"]["embedder"].clone()
}

#[test]
fn a_move_that_was_killed_is_gone_on_with() {
    const MEMORIES: usize = 2 * BATCH + 100;
    let place = filled(MEMORIES);
    let (reached, was_reached) = mpsc::channel();
    let (stuck, seen) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let endpoint = {
        let (stuck, seen) = (Arc::clone(&stuck), Arc::clone(&seen));
        EmbeddingsEndpoint::start(move |texts| {
            let before = seen.fetch_add(texts.len(), Ordering::SeqCst);
            // The first batch is kept before the second is asked for; `hello` comes before both.
            while stuck.load(Ordering::SeqCst) && before > BATCH {
                reached.send(()).unwrap();
                std::thread::park();
            }
            hashed(texts)
        })
    };
    let built_in = embedder_of(&place);
    let mut child = place.bare().args(to(&endpoint, &[])).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    was_reached.recv().unwrap();
    // Meanwhile the store is served and written as ever.
    check_found(&place.run(&SEARCH));
    place.add("ana", "the cellar has a new door");
    child.kill().unwrap();
    child.wait().unwrap();
    check_found(&place.run(&SEARCH));
    assert_eq!(embedder_of(&place), built_in);

    stuck.store(false, Ordering::SeqCst);
    let plan = place.json(&to(&endpoint, &["--dry-run"]));
    assert_eq!((&plan["dry_run"], &plan["moved"], &plan["resumed"]), (&json!(true), &json!(false), &json!(BATCH)));
    let texts = MEMORIES + 1 + plan["entities"].as_u64().unwrap() as usize;
    assert_eq!((&plan["memories"], &plan["to_embed"]), (&json!(MEMORIES + 1), &json!(texts - BATCH)));
    assert_eq!(embedder_of(&place), built_in);
    let before = seen.load(Ordering::SeqCst);
    let done = place.json(&to(&endpoint, &[]));
    assert_eq!((&done["moved"], &done["from"]["embedder"]), (&json!(true), &built_in));
    assert_eq!(done["to"], json!({"embedder": "openai:hashed:8", "dims": 8}));
    assert_eq!((&done["resumed"], &done["embedded"]), (&json!(BATCH), &json!(texts - BATCH)));
    assert_eq!((&done["memories"], &done["compared"]), (&json!(MEMORIES + 1), &json!(32)));
    assert!(done["locked_seconds"].as_f64().unwrap() > 0.0 && done["texts_per_second"].as_f64().unwrap() > 0.0);
    assert!(done["next"].as_str().unwrap().contains("MNEMON_EMBEDDER=openai:hashed MNEMON_EMBEDDER_DIMS=8"), "{done}");
    // What was done before the kill was not asked for again: `hello`, the rest, and the sample.
    assert_eq!(seen.load(Ordering::SeqCst) - before, 1 + texts - BATCH + 32);

    check_found(&moved(&place, &endpoint, &SEARCH));
    let refused = place.run(&SEARCH);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("embedder_mismatch"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("set MNEMON_EMBEDDER=openai:hashed and MNEMON_EMBEDDER_DIMS=8"),
        "{}",
        refused.stderr
    );
    assert_eq!(place.json(&to(&endpoint, &[]))["moved"], json!(false), "it is there already");
    assert_eq!(place.json(&["doctor"])["ok"], json!(true));

    // And back.
    let ran = place.run(&["reembed", "--to", "builtin"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains(" from openai:hashed:8 (8 dims) to static-"), "{}", ran.stdout);
    assert!(
        ran.stdout
            .ends_with("next      set MNEMON_EMBEDDER=builtin for all that use this store, and restart its servers\n")
    );
    check_found(&place.run(&SEARCH));
}

#[test]
fn a_server_that_was_not_restarted_writes_nothing_more() {
    let place = filled(100);
    let endpoint = EmbeddingsEndpoint::start(hashed);
    let served = Served::start(&place.path("store.db"));
    let mut connection = Connection::open(&served.address).unwrap();
    let mut call = |path: &str, body: Value| connection.call("POST", path, "ka", &body).unwrap();
    let message = |text: &str| json!({"messages": [{"role": "user", "content": text}], "infer": false});
    let query = json!({"query": "shelf 77"});
    assert_eq!(call("/memories", message("The cat is grey")).0, 200);
    assert_eq!(call("/search", query.clone()).0, 200);
    assert_eq!(place.json(&to(&endpoint, &[]))["memories"], json!(101));
    assert_eq!(call("/memories", message("The dog is brown")).0, 503);
    assert_eq!(call("/search", query).0, 503);
    assert_eq!(place.json(&["stats"])["store"]["memories"], json!(101));
    check_found(&moved(&place, &endpoint, &SEARCH));
}

#[test]
fn what_can_not_be_moved_stays_as_it_is() {
    let place = Place::new();
    let endpoint = EmbeddingsEndpoint::start(hashed);
    check_refused(&place, &to(&endpoint, &[]), 1, "there is no store");
    place.add("ana", "Zoë lives in Porto.");
    let built_in = embedder_of(&place);
    check_refused(&place, &["reembed"], 2, "--to");
    check_refused(&place, &["reembed", "--to", "openai:unheard-of"], 2, "--to-dims");
    check_refused(&place, &["reembed", "--to", "minilml6"], 2, "embedder is `minilml6`");
    check_refused(&place, &["reembed", "--to", "builtin", "--to-dims", "8"], 2, "goes with a service's model");
    check_refused(&place, &to(&endpoint, &["--dry-run", "--restart"]), 2, "--restart");
    let nobody = ["reembed", "--to", "openai:hashed", "--to-url", "http://127.0.0.1:1/v1", "--to-dims", "8"];
    check_refused(&place, &nobody, 1, "127.0.0.1:1");
    check_refused(&place, &[&nobody[..], &["--dry-run"]].concat(), 1, "127.0.0.1:1");
    let nine = ["reembed", "--to", "openai:hashed", "--to-url", endpoint.url(), "--to-dims", "9"];
    check_refused(&place, &nine, 1, "dims");
    let qdrant = ["reembed", "--to", "builtin", "--store", "qdrant:http://127.0.0.1:1/memories"];
    check_refused(&place, &qdrant, 2, "mnemon import --reembed");
    assert_eq!(place.json(&["doctor"])["warnings"], json!([]));
    // None of them began: another embedder may be chosen.
    assert_eq!(place.json(&to(&endpoint, &["--dry-run"]))["resumed"], json!(0));

    // Each call is answered otherwise: what was kept is worth nothing.
    let calls = AtomicUsize::new(0);
    let unsteady = EmbeddingsEndpoint::start(move |texts| {
        let at = calls.fetch_add(1, Ordering::SeqCst) % 8;
        texts.iter().map(|_| (0..8).map(|place| if place == at { 1.0 } else { 0.0 }).collect()).collect()
    });
    check_refused(&place, &to(&unsteady, &[]), 1, "nothing was switched");
    // Now a move is under way.
    let warned = place.json(&["doctor"])["warnings"].to_string();
    assert!(warned.contains("`mnemon reembed` goes on with it"), "{warned}");
    let other = ["reembed", "--to", "openai:other", "--to-url", endpoint.url(), "--to-dims", "8"];
    check_refused(&place, &other, 4, "--restart");
    check_refused(&place, &[&other[..], &["--dry-run"]].concat(), 4, "openai:hashed:8");
    assert_eq!(embedder_of(&place), built_in);
    assert_eq!(place.texts(&["search", "Porto", "--user", "ana"]), ["Zoë lives in Porto."]);
    check_refused(&place, &to(&endpoint, &[]), 1, "--restart");
    assert_eq!(place.json(&[&other[..], &["--restart"]].concat())["resumed"], json!(0));
    assert_eq!(embedder_of(&place), json!("openai:other:8"));
}
