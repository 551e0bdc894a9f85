//! A stdout whose reader closes the pipe (`mnemon … | head -1`): what writes goes on to its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mnemon_testbed::EmbeddingsEndpoint;
use rusqlite::Connection;
use serde_json::json;

use crate::embedder::hashed;
use crate::place::Place;
use crate::serve::{Connection as Http, Served};

/// How a run ended.
#[derive(Debug, PartialEq)]
struct Ended {
    code: i32,
    stderr: String,
}

/// Runs with a stdout that is closed once this many lines were read, after the first line of stdin was given.
fn run_cut(command: &mut Command, stdin: &str, lines: usize) -> Ended {
    let (reader, writer) = std::io::pipe().unwrap();
    // For none it is closed before anything can be written.
    let reader = (lines > 0).then_some(reader);
    let mut child = command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut give = |text: &str| {
        if !text.is_empty() {
            input.write_all(text.as_bytes()).unwrap()
        }
    };
    let (first, rest) = stdin.split_at(stdin.find('\n').map_or(0, |end| end + 1));
    give(first);
    if let Some(reader) = reader {
        let mut reader = BufReader::with_capacity(1, reader);
        (0..lines).for_each(|_| assert_ne!(reader.read_line(&mut String::new()).unwrap(), 0));
    }
    give(rest);
    drop(input);
    let output = child.wait_with_output().unwrap();
    Ended { code: output.status.code().unwrap(), stderr: String::from_utf8(output.stderr).unwrap() }
}

fn snapshot() -> String {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrate/tests/fixtures");
    fixtures.join("legacy_v1.snapshot").display().to_string()
}

/// Whether a phase of the migration in this place is done.
fn phase_is_done(place: &Place, phase: &str) -> bool {
    place.json(&["migrate", "status"])["phases"][phase]["ok"] == json!(true)
}

/// A call that writes.
struct Case {
    args: &'static [&'static str],
    stdin: &'static str,
    code: i32,
    done: fn(&Place) -> bool,
}

const ID: &str = "7";

/// A place where something can be changed: a memory with a known id, and files that are read.
fn prepared() -> Place {
    let place = Place::new();
    place.file("points.jsonl", &format!("{}\n", json!({"id": 7, "payload": {"data": "likes tea", "user_id": "ana"}})));
    place.file("facts.txt", "likes rye bread\nlikes plums\n");
    place
        .file("bad.jsonl", "{\"id\": 8, \"payload\": {\"data\": \"likes figs\", \"user_id\": \"ana\"}}\n{\"id\": 9}\n");
    place.file(
        "chat.json",
        r#"[{"role": "user", "content": "I live in Porto."}, {"role": "user", "content": "I bake."}]"#,
    );
    place.json(&["import", "points.jsonl"]);
    place
}

fn remembers(place: &Place, text: &str) -> bool {
    place.texts(&["list", "--user", "ana", "--all"]).iter().any(|found| found == text)
}

const CASES: &[Case] = &[
    Case {
        args: &["add", "likes rye", "--user", "ana"],
        stdin: "",
        code: 0,
        done: |place| remembers(place, "likes rye"),
    },
    Case {
        args: &["add", "--messages", "chat.json", "--user", "ana"],
        stdin: "",
        code: 0,
        done: |place| remembers(place, "I live in Porto.") && remembers(place, "I bake."),
    },
    Case {
        args: &["add", "I live in Porto.", "--user", "ana", "--infer"],
        stdin: "",
        code: 0,
        done: |place| remembers(place, "I live in Porto."),
    },
    Case {
        args: &["add", "--stdin", "--user", "ana"],
        stdin: "one\ntwo\nthree\n",
        code: 0,
        done: |place| ["one", "two", "three"].iter().all(|text| remembers(place, text)),
    },
    Case {
        args: &["add", "--stdin", "--user", "ana"],
        stdin: "one\n{\n\nthree\n",
        code: 1,
        done: |place| remembers(place, "one") && remembers(place, "three"),
    },
    Case { args: &["update", ID, "likes coffee"], stdin: "", code: 0, done: |place| remembers(place, "likes coffee") },
    Case { args: &["delete", ID], stdin: "", code: 0, done: |place| !remembers(place, "likes tea") },
    Case {
        args: &["delete", "--all", "--user", "ana", "--yes"],
        stdin: "",
        code: 0,
        done: |place| !remembers(place, "likes tea"),
    },
    Case {
        args: &["import", "facts.txt", "--user", "ana"],
        stdin: "",
        code: 0,
        done: |place| remembers(place, "likes rye bread") && remembers(place, "likes plums"),
    },
    Case { args: &["import", "bad.jsonl"], stdin: "", code: 1, done: |place| remembers(place, "likes figs") },
    // The key is there, and nobody has read its secret.
    Case {
        args: &["keys", "create", "--user", "ana"],
        stdin: "",
        code: 1,
        done: |place| place.json(&["keys", "list"])["keys"].as_array().unwrap().len() == 1,
    },
    Case { args: &["export", "all.jsonl"], stdin: "", code: 0, done: |place| place.path("all.jsonl").exists() },
    Case {
        args: &["bench", "speed", "--memories", "20", "--queries", "2", "--keep", "kept.db"],
        stdin: "",
        code: 0,
        done: |place| place.path("kept.db").exists(),
    },
];

#[test]
fn what_writes_goes_on_to_its_end() {
    for Case { args, stdin, code, done } in CASES {
        for json in [&[][..], &["--json"]] {
            let place = prepared();
            let ended = run_cut(place.bare().args(*args).args(json), stdin, 0);
            assert_eq!(ended.code, *code, "{args:?} {json:?}: {}", ended.stderr);
            assert!(!ended.stderr.contains("pipe"), "{args:?} {json:?}: {}", ended.stderr);
            assert!(done(&place), "{args:?} {json:?}: not done");
        }
    }
}

#[test]
fn lines_are_stored_after_the_reader_of_the_first_left() {
    let place = Place::new();
    let ended = run_cut(place.bare().args(["add", "--stdin", "--user", "ana"]), "one\ntwo\nthree\n", 1);
    assert_eq!(ended, Ended { code: 0, stderr: String::new() });
    assert_eq!(place.texts(&["list", "--user", "ana"]), ["three", "two", "one"]);
}

#[test]
fn a_key_is_revoked() {
    let place = Place::new();
    let id = place.json(&["keys", "create", "--user", "ana"])["id"].as_str().unwrap().to_owned();
    assert_eq!(run_cut(place.bare().args(["keys", "revoke", &id]), "", 0).code, 0);
    assert!(!place.json(&["keys", "list"])["keys"][0]["revoked_at"].is_null());
}

#[test]
fn a_report_that_was_cut_is_a_failure_and_a_repair_is_work() {
    let damaged = || {
        let place = prepared();
        let count = "UPDATE counters SET value = 99";
        Connection::open(place.path("store.db")).unwrap().execute_batch(count).unwrap();
        place
    };
    let silent = |code| Ended { code, stderr: String::new() };
    assert_eq!(run_cut(prepared().bare().arg("doctor"), "", 0), silent(1));
    assert_eq!(run_cut(damaged().bare().arg("doctor"), "", 0), silent(1));
    assert_eq!(run_cut(prepared().bare().arg("export"), "", 0), silent(1));
    let place = damaged();
    assert_eq!(run_cut(place.bare().args(["doctor", "--fix"]), "", 0), silent(0));
    assert_eq!(place.json(&["doctor"])["ok"], json!(true));
}

#[test]
fn a_store_is_moved_to_another_embedder() {
    let endpoint = EmbeddingsEndpoint::start(hashed);
    let place = prepared();
    let to = ["reembed", "--to", "openai:hashed", "--to-url", endpoint.url(), "--to-dims", "8"];
    let ended = run_cut(place.bare().args(to), "", 0);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(place.json(&["stats"])["store"]["embedder"].as_str().unwrap().contains("hashed"));
}

#[test]
fn a_smoke_test_leaves_nothing_behind() {
    let place = Place::new();
    place.json(&["add", "likes tea", "--user", "ana", "--store", "sqlite:served.db"]);
    let served = Served::start(&place.path("served.db"));
    let url = format!("http://{}", served.address);
    for lines in [0, 1] {
        let ended = run_cut(place.bare().args(["smoke", "--url", &url, "--api-key", "ka"]), "", lines);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    assert_eq!(place.texts(&["list", "--user", "ana", "--store", "sqlite:served.db"]), ["likes tea"]);
}

#[test]
fn every_phase_of_a_migration_is_done() {
    for lines in [0, 1] {
        let place = Place::new();
        place.file("mnemon.toml", "bind = \"127.0.0.1:0\"\n");
        let legacy = snapshot();
        let run = ["migrate", "run", "--yes", "--snapshot", &legacy, "--to", "sqlite:new.db"];
        let ended = run_cut(place.bare().args(run), "", lines);
        assert_eq!(ended.code, 0, "{lines}: {}", ended.stderr);
        assert!(phase_is_done(&place, "rebuild") && phase_is_done(&place, "verify"), "{lines}: {}", ended.stderr);
    }
}

#[test]
fn each_phase_of_a_migration_is_done_and_says_how_it_went() {
    let place = Place::new();
    place.file("mnemon.toml", "bind = \"127.0.0.1:0\"\n");
    place.file("counts.txt", "nobody: 3\n");
    let legacy = snapshot();
    // What is restarted writes to stdout, too.
    let then = ["--then", "echo stopped && echo started && touch restarted"];
    for (args, code) in [
        (&["rehearse", "--snapshot", &legacy, "--keep", "kept.db"][..], 0),
        (&["preflight", "--snapshot", &legacy, "--to", "sqlite:new.db", "--counts", "counts.txt"], 3),
        (&["preflight"], 0),
        (&["rebuild"], 0),
        (&["verify"], 0),
        (&[&["cutover", "--settings", "mnemon.toml", "--no-smoke"][..], &then].concat(), 0),
    ] {
        let ended = run_cut(place.bare().arg("migrate").args(args), "", 0);
        assert_eq!(ended.code, code, "{args:?}: {}", ended.stderr);
        if let phase @ ("rebuild" | "verify" | "cutover") = args[0] {
            assert!(phase_is_done(&place, phase), "{phase}");
        }
    }
    assert!(place.path("kept.db").exists() && place.path("restarted").exists());
    assert!(std::fs::read_to_string(place.path("mnemon.toml")).unwrap().contains("new.db"));
    std::fs::remove_file(place.path("restarted")).unwrap();
    let ended = run_cut(place.bare().args(["migrate", "rollback", "--drop-writes"]).args(then), "", 0);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(place.path("restarted").exists());
}

#[test]
fn what_only_reads_ends_at_once() {
    let place = prepared();
    for args in [&["list", "--all"][..], &["search", "tea", "--user", "ana"], &["get", ID], &["history", ID], &["tour"]]
    {
        assert_eq!(run_cut(place.bare().args(args), "", 0).code, 0, "{args:?}");
    }
}

/// The address that a server logs.
fn logged_address(stderr: impl Read) -> String {
    for line in BufReader::new(stderr).lines() {
        let line = line.unwrap();
        if let Some((_, rest)) = line.split_once("http://") {
            return rest.trim_end_matches('"').to_owned();
        }
    }
    panic!("no address was logged");
}

#[test]
fn a_server_whose_first_line_cant_be_written_serves() {
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let mut outs = vec![Stdio::from(closed)];
    if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
        outs.push(full.into());
    }
    for out in outs {
        let place = Place::new();
        let mut command = place.bare();
        command.args(["serve", "--bind", "127.0.0.1:0", "--auth", "off"]).env("NO_COLOR", "1");
        let mut child = command.stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        let address = logged_address(child.stderr.take().unwrap());
        // From here on stderr is closed, too: what is logged is lost.
        let mut answered = None;
        let begun = Instant::now();
        while answered.is_none() && begun.elapsed() < Duration::from_secs(30) {
            answered = Http::open(&address).and_then(|mut http| http.call("GET", "/health", "", &json!(null)));
        }
        let added = Http::open(&address).and_then(|mut http| {
            http.call("POST", "/memories", "", &json!({"messages": "likes tea", "user_id": "ana", "infer": false}))
        });
        let running = child.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(answered.map(|(status, _)| status), Some(200));
        assert_eq!(added.map(|(status, _)| status), Some(200));
        assert!(running);
    }
}
