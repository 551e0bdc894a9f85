//! A stdout whose reader closes the pipe (`mnemon … | head -1`): what writes goes on to its end.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mnemon_testbed::EmbeddingsEndpoint;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::embedder::hashed;
use crate::sandbox::Sandbox;
use crate::serve::{Connection as Http, ServerProcess};

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

/// Whether a phase of the migration in this sandbox is done.
fn phase_is_done(sandbox: &Sandbox, phase: &str) -> bool {
    sandbox.json(&["migrate", "status"])["phases"][phase]["ok"] == json!(true)
}

/// A call that writes.
struct Case {
    args: &'static [&'static str],
    stdin: &'static str,
    code: i32,
    done: fn(&Sandbox) -> bool,
}

const ID: &str = "7";

/// A place where something can be changed: a memory with a known id, and files that are read.
fn prepared() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .file("points.jsonl", &format!("{}\n", json!({"id": 7, "payload": {"data": "likes tea", "user_id": "ana"}})));
    sandbox.file("facts.txt", "likes rye bread\nlikes plums\n");
    sandbox
        .file("bad.jsonl", "{\"id\": 8, \"payload\": {\"data\": \"likes figs\", \"user_id\": \"ana\"}}\n{\"id\": 9}\n");
    sandbox.file(
        "chat.json",
        r#"[{"role": "user", "content": "I live in Porto."}, {"role": "user", "content": "I bake."}]"#,
    );
    sandbox.json(&["import", "points.jsonl"]);
    sandbox
}

fn remembers(sandbox: &Sandbox, text: &str) -> bool {
    sandbox.texts(&["list", "--user", "ana", "--all"]).iter().any(|found| found == text)
}

const CASES: &[Case] = &[
    Case {
        args: &["add", "likes rye", "--user", "ana"],
        stdin: "",
        code: 0,
        done: |sandbox| remembers(sandbox, "likes rye"),
    },
    Case {
        args: &["add", "--messages", "chat.json", "--user", "ana"],
        stdin: "",
        code: 0,
        done: |sandbox| remembers(sandbox, "I live in Porto.") && remembers(sandbox, "I bake."),
    },
    Case {
        args: &["add", "I live in Porto.", "--user", "ana", "--infer"],
        stdin: "",
        code: 0,
        done: |sandbox| remembers(sandbox, "I live in Porto."),
    },
    Case {
        args: &["add", "--stdin", "--user", "ana"],
        stdin: "one\ntwo\nthree\n",
        code: 0,
        done: |sandbox| ["one", "two", "three"].iter().all(|text| remembers(sandbox, text)),
    },
    Case {
        args: &["add", "--stdin", "--user", "ana"],
        stdin: "one\n{\n\nthree\n",
        code: 1,
        done: |sandbox| remembers(sandbox, "one") && remembers(sandbox, "three"),
    },
    Case {
        args: &["update", ID, "likes coffee"],
        stdin: "",
        code: 0,
        done: |sandbox| remembers(sandbox, "likes coffee"),
    },
    Case { args: &["delete", ID], stdin: "", code: 0, done: |sandbox| !remembers(sandbox, "likes tea") },
    Case {
        args: &["delete", "--all", "--user", "ana", "--yes"],
        stdin: "",
        code: 0,
        done: |sandbox| !remembers(sandbox, "likes tea"),
    },
    Case {
        args: &["import", "facts.txt", "--user", "ana"],
        stdin: "",
        code: 0,
        done: |sandbox| remembers(sandbox, "likes rye bread") && remembers(sandbox, "likes plums"),
    },
    Case { args: &["import", "bad.jsonl"], stdin: "", code: 1, done: |sandbox| remembers(sandbox, "likes figs") },
    // The key is there, and nobody has read its secret.
    Case {
        args: &["keys", "create", "--user", "ana"],
        stdin: "",
        code: 1,
        done: |sandbox| sandbox.json(&["keys", "list"])["keys"].as_array().unwrap().len() == 1,
    },
    Case { args: &["export", "all.jsonl"], stdin: "", code: 0, done: |sandbox| sandbox.path("all.jsonl").exists() },
];

#[test]
fn what_writes_goes_on_to_its_end() {
    for Case { args, stdin, code, done } in CASES {
        for json in [&[][..], &["--json"]] {
            let sandbox = prepared();
            let ended = run_cut(sandbox.std_command().args(*args).args(json), stdin, 0);
            assert_eq!(ended.code, *code, "{args:?} {json:?}: {}", ended.stderr);
            assert!(!ended.stderr.contains("pipe"), "{args:?} {json:?}: {}", ended.stderr);
            assert!(done(&sandbox), "{args:?} {json:?}: not done");
        }
    }
}

/// A disk that is full: the work is done as well, and the exit code and the message say that its result is lost.
#[test]
fn a_full_stdout_is_reported_after_the_work() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let run = |sandbox: &Sandbox, args: &[&str], json: &[&str], stdin: &str| {
        let mut command = sandbox.std_command();
        command.args(args).args(json).stdin(Stdio::piped()).stdout(full.try_clone().unwrap()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?} {json:?}: {stderr}");
        assert!(stderr.contains("stdout") && stderr.contains("No space left"), "{args:?} {json:?}: {stderr}");
        assert!(json.is_empty() || stderr.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{stderr}");
    };
    for json in [&[][..], &["--json"]] {
        for Case { args, stdin, done, .. } in CASES {
            let sandbox = prepared();
            run(&sandbox, args, json, stdin);
            assert!(done(&sandbox), "{args:?} {json:?}: not done");
        }
        let sandbox = prepared();
        for args in
            [&["list", "--all"][..], &["search", "tea", "--user", "ana"], &["get", ID], &["export"], &["doctor"]]
        {
            run(&sandbox, args, json, "");
        }
    }
}

#[test]
fn lines_are_stored_after_the_reader_of_the_first_left() {
    let sandbox = Sandbox::new();
    let ended = run_cut(sandbox.std_command().args(["add", "--stdin", "--user", "ana"]), "one\ntwo\nthree\n", 1);
    assert_eq!(ended, Ended { code: 0, stderr: String::new() });
    assert_eq!(sandbox.texts(&["list", "--user", "ana"]), ["three", "two", "one"]);
}

#[test]
fn a_key_is_revoked() {
    let sandbox = Sandbox::new();
    let id = sandbox.json(&["keys", "create", "--user", "ana"])["id"].as_str().unwrap().to_owned();
    assert_eq!(run_cut(sandbox.std_command().args(["keys", "revoke", &id]), "", 0).code, 0);
    assert!(!sandbox.json(&["keys", "list"])["keys"][0]["revoked_at"].is_null());
}

#[test]
fn a_report_that_was_cut_is_a_failure_and_a_repair_is_work() {
    let damaged = || {
        let sandbox = prepared();
        let count = "UPDATE counters SET value = 99";
        Connection::open(sandbox.path("store.db")).unwrap().execute_batch(count).unwrap();
        sandbox
    };
    let silent = |code| Ended { code, stderr: String::new() };
    assert_eq!(run_cut(prepared().std_command().arg("doctor"), "", 0), silent(1));
    assert_eq!(run_cut(damaged().std_command().arg("doctor"), "", 0), silent(1));
    assert_eq!(run_cut(prepared().std_command().arg("export"), "", 0), silent(1));
    let sandbox = damaged();
    assert_eq!(run_cut(sandbox.std_command().args(["doctor", "--fix"]), "", 0), silent(0));
    assert_eq!(sandbox.json(&["doctor"])["ok"], json!(true));
}

#[test]
fn a_store_is_moved_to_another_embedder() {
    let endpoint = EmbeddingsEndpoint::start(hashed);
    let sandbox = prepared();
    let to = ["reembed", "--to", "openai:hashed", "--to-url", endpoint.url(), "--to-dims", "8"];
    let ended = run_cut(sandbox.std_command().args(to), "", 0);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(sandbox.json(&["stats"])["store"]["embedder"].as_str().unwrap().contains("hashed"));
}

#[test]
fn a_smoke_test_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    sandbox.json(&["add", "likes tea", "--user", "ana", "--store", "sqlite:served.db"]);
    let served = ServerProcess::start(&sandbox.path("served.db"));
    let url = format!("http://{}", served.address);
    for lines in [0, 1] {
        let ended = run_cut(sandbox.std_command().args(["smoke", "--url", &url, "--api-key", "ka"]), "", lines);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    assert_eq!(sandbox.texts(&["list", "--user", "ana", "--store", "sqlite:served.db"]), ["likes tea"]);
}

#[test]
fn every_phase_of_a_migration_is_done() {
    for lines in [0, 1] {
        let sandbox = Sandbox::new();
        sandbox.file("mnemon.toml", "bind = \"127.0.0.1:0\"\n");
        let legacy = snapshot();
        let run = ["migrate", "run", "--yes", "--without-entities", "--snapshot", &legacy, "--to", "sqlite:new.db"];
        let ended = run_cut(sandbox.std_command().args(run), "", lines);
        assert_eq!(ended.code, 0, "{lines}: {}", ended.stderr);
        assert!(phase_is_done(&sandbox, "rebuild") && phase_is_done(&sandbox, "verify"), "{lines}: {}", ended.stderr);
    }
}

#[test]
fn each_phase_of_a_migration_is_done_and_says_how_it_went() {
    let sandbox = Sandbox::new();
    sandbox.file("mnemon.toml", "bind = \"127.0.0.1:0\"\n");
    sandbox.file("counts.txt", "nobody: 3\n");
    let legacy = snapshot();
    // What is restarted writes to stdout, too.
    let then = ["--then", "echo stopped && echo started && touch restarted"];
    for (args, code) in [
        (&["rehearse", "--snapshot", &legacy, "--keep", "kept.db"][..], 0),
        (&["preflight", "--snapshot", &legacy, "--to", "sqlite:new.db", "--counts", "counts.txt"], 3),
        (&["preflight"], 0),
        (&["rebuild", "--without-entities"], 0),
        (&["verify"], 0),
        (&[&["cutover", "--without-entities", "--settings", "mnemon.toml", "--no-smoke"][..], &then].concat(), 0),
    ] {
        let ended = run_cut(sandbox.std_command().arg("migrate").args(args), "", 0);
        assert_eq!(ended.code, code, "{args:?}: {}", ended.stderr);
        if let phase @ ("rebuild" | "verify" | "cutover") = args[0] {
            assert!(phase_is_done(&sandbox, phase), "{phase}");
        }
    }
    assert!(sandbox.path("kept.db").exists() && sandbox.path("restarted").exists());
    assert!(std::fs::read_to_string(sandbox.path("mnemon.toml")).unwrap().contains("new.db"));
    std::fs::remove_file(sandbox.path("restarted")).unwrap();
    let ended = run_cut(sandbox.std_command().args(["migrate", "rollback", "--drop-writes"]).args(then), "", 0);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(sandbox.path("restarted").exists());
}

#[test]
fn what_only_reads_ends_at_once() {
    let sandbox = prepared();
    for args in [&["list", "--all"][..], &["search", "tea", "--user", "ana"], &["get", ID], &["history", ID], &["tour"]]
    {
        assert_eq!(run_cut(sandbox.std_command().args(args), "", 0).code, 0, "{args:?}");
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
        let sandbox = Sandbox::new();
        let mut command = sandbox.std_command();
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
