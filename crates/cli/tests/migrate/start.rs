//! Faults that can be known at the start are reported at the start: nothing is written, here or on the server.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;

use mnemon_testbed::{EmbeddingsEndpoint, rest};
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::stack::{DIMS, SOURCE, Stack, memory, run};

const RUN: &[&str] = &["run", "--yes"];
const REBUILD: &[&str] = &["rebuild"];
const BACKUP: &[&str] = &["backup"];
const PREFLIGHT: &[&str] = &["preflight"];
const TARGET: &[&str] = &["--target", "mem0_v3"];
const NO_TARGET: &[&str] = &[];

/// Commands, their common flags, flags or variables with a fault, and words of the message.
struct Case<'c> {
    commands: &'c [&'c [&'c str]],
    flags: &'c [&'c str],
    fault: &'c [&'c str],
    variables: &'c [(&'c str, &'c str)],
    words: &'c [&'c str],
}

fn files_of(folder: &std::path::Path) -> BTreeSet<std::path::PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(files_of(&entry.path()));
        }
        found.insert(entry.path());
    }
    found
}

fn server_state(stack: &Stack) -> Value {
    let url = stack.server.http_url();
    let collections = rest::get(&format!("{url}/collections")).unwrap()["result"].clone();
    let mut names: Vec<String> = collections["collections"].as_array().unwrap().iter().map(Value::to_string).collect();
    names.sort();
    json!([names, rest::get(&stack.url(&format!("{SOURCE}/snapshots"))).unwrap()["result"]])
}

fn check(stack: &Stack, case: &Case<'_>) {
    let (files, server) = (files_of(stack.folder.path()), server_state(stack));
    for command in case.commands {
        let mut process = stack.migrate(&[command, case.flags, case.fault].concat());
        process.envs(case.variables.iter().copied());
        let result = run(process);
        let what = format!("{command:?} {:?} {:?}", case.fault, case.variables);
        assert!(matches!(result.code, 1 | 4), "{what}: {result:?}");
        // The report of a preflight has its obstacles; other commands end with an error.
        let message = if result.stdout.is_empty() { result.error().1 } else { result.stdout };
        for word in case.words {
            assert!(message.contains(word), "{what} does not mention {word}: {message}");
        }
        if !command.contains(&"preflight") || !message.contains("obstacles") {
            assert_eq!(files_of(stack.folder.path()), files, "{what}: {message}");
        }
        assert_eq!(server_state(stack), server, "{what}");
        let _ = std::fs::remove_dir_all(stack.path("mnemon-migration"));
    }
}

pub(crate) fn a_history_that_can_not_be_read_is_refused_at_the_start(random: &mut StdRng) {
    let stack = Stack::of(50, random);
    std::fs::create_dir(stack.path("folder")).unwrap();
    std::fs::write(stack.path("empty.db"), "").unwrap();
    std::fs::write(stack.path("text.db"), "no database, but long enough to have the header of one ".repeat(20))
        .unwrap();
    rusqlite::Connection::open(stack.path("other.db")).unwrap().execute_batch("CREATE TABLE memories(id)").unwrap();
    let locked = rusqlite::Connection::open(stack.path("locked.db")).unwrap();
    locked.execute_batch("CREATE TABLE history(id); BEGIN EXCLUSIVE; INSERT INTO history VALUES(1)").unwrap();
    for (file, words) in [
        ("missing.db", &["missing.db", "No such file"][..]),
        ("folder", &["folder", "give the file in it"]),
        ("empty.db", &["empty.db", "is empty"]),
        ("text.db", &["text.db", "not a SQLite database"]),
        ("other.db", &["other.db", "no table `history`"]),
        ("locked.db", &["locked.db", "another process keeps it locked"]),
        ("history.db/deeper.db", &["history.db/deeper.db"]),
    ] {
        let fault = &["--history", file];
        check(&stack, &Case { commands: &[RUN, REBUILD], flags: TARGET, fault, variables: &[], words });
        check(&stack, &Case { commands: &[BACKUP], flags: NO_TARGET, fault, variables: &[], words });
    }
}

pub(crate) fn wrong_addresses_are_explained(random: &mut StdRng) {
    let stack = Stack::of(50, random);
    let port = |url: &str| url.rsplit(':').next().unwrap().to_owned();
    let (http, grpc) = (port(stack.server.http_url()), port(stack.server.grpc_url()));
    let tls = tls_server();
    let all: &[&[&str]] = &[RUN, REBUILD, PREFLIGHT];
    for (variables, words) in [
        (
            &[("QDRANT_PORT", &*grpc), ("QDRANT_GRPC_PORT", &*http)][..],
            &["answers REST, not gRPC", "answers gRPC, not REST"][..],
        ),
        (&[("QDRANT_GRPC_PORT", &*http)], &["answers REST, not gRPC", "--qdrant-grpc-port"]),
        (&[("QDRANT_PORT", &*grpc)], &["answers gRPC, not REST", "--qdrant-port"]),
        (&[("QDRANT_HOST", "https://127.0.0.1")], &["answers without TLS", "http://"]),
        (&[("QDRANT_PORT", &*tls), ("QDRANT_GRPC_PORT", &*tls)], &["answers with TLS", "https://"]),
    ] {
        check(&stack, &Case { commands: all, flags: TARGET, fault: &[], variables, words });
    }
    for (variables, words) in [
        (&[("QDRANT_PORT", &*grpc)][..], &["answers gRPC, not REST"][..]),
        (&[("QDRANT_PORT", &*tls)], &["answers with TLS"]),
    ] {
        check(&stack, &Case { commands: &[BACKUP], flags: NO_TARGET, fault: &[], variables, words });
    }
}

/// A port that answers everything as a TLS server answers what it does not understand.
fn tls_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(&[0x15, 3, 1, 0, 2, 2, 40]);
        }
    });
    port
}

pub(crate) fn unusable_targets_and_folders_are_refused_at_the_start(random: &mut StdRng) {
    let stack = Stack::of(50, random);
    stack.make("other_dims", DIMS + 1, "Cosine");
    stack.make("no_slot", DIMS, "Cosine");
    stack.make("left_entities", DIMS, "Cosine");
    let sparse = json!({
        "vectors": {"size": DIMS, "distance": "Cosine"},
        "sparse_vectors": {"bm25": {"modifier": "idf"}},
    });
    rest::put(&stack.url("full"), &sparse).unwrap();
    stack.upsert("full", &[memory(1, random)]);
    stack.make("again_entities", DIMS, "Cosine");
    stack.upsert("again_entities", &[memory(1, random)]);
    stack.make("short_entities", DIMS / 2, "Cosine");
    let alias = json!({"actions": [{"create_alias": {"collection_name": SOURCE, "alias_name": "memories"}}]});
    rest::post(&format!("{}/collections/aliases", stack.server.http_url()), &alias).unwrap();
    std::fs::write(stack.path("file"), "x").unwrap();
    std::fs::create_dir(stack.path("folder")).unwrap();
    let all: &[&[&str]] = &[RUN, REBUILD];
    for (fault, words) in [
        (&["--target", SOURCE][..], &["source and target are both"][..]),
        (&["--target", "memories"], &["alias of `mem0`"]),
        (&["--source", "memories", "--target", "new"], &["alias of `mem0`"]),
        (&["--target", "other_dims"], &["33 dims"]),
        (&["--target", "no_slot"], &["no bm25 slot"]),
        (&["--target", "full"], &["holds 1 memories"]),
        (&["--target", "again"], &["again_entities", "1 entities"]),
        (&["--target", "short"], &["short_entities", "16 dims"]),
        (&["--target", "a/b"], &["`a/b` is not a valid name"]),
        (&["--target", "new", "--source", "nowhere"], &["nowhere"]),
        (&["--to", "sqlite:file"], &["file exists"]),
        (&["--to", "sqlite:folder"], &["folder exists"]),
        (&["--to", "sqlite:file/new.db"], &["file"]),
        (&["--target", "new", "--dir", "file/dir"], &["file"]),
        (&["--target", "new", "--dir", "/proc/nowhere"], &["/proc"]),
    ] {
        check(&stack, &Case { commands: all, flags: NO_TARGET, fault, variables: &[], words });
    }
    for fault in [&["--into", "file"][..], &["--into", "file/backup"], &["--into", "/proc/nowhere"]] {
        check(&stack, &Case { commands: &[BACKUP], flags: NO_TARGET, fault, variables: &[], words: &["/"] });
    }
}

pub(crate) fn files_that_are_no_snapshots_are_refused_at_the_start(random: &mut StdRng) {
    let mut stack = Stack::of(50, random);
    // An embedder that claims the dims of the snapshot and makes others would be an obstacle.
    let endpoint = EmbeddingsEndpoint::start(|texts| vec![vec![1.0; 384]; texts.len()]);
    stack.variables.push(("MNEMON_EMBEDDER_URL", endpoint.url().to_owned()));
    stack.variables.push(("MNEMON_EMBEDDER_DIMS", "384".to_owned()));
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrate/tests/fixtures");
    let whole = std::fs::read(fixtures.join("legacy_v1.snapshot")).unwrap();
    std::fs::write(stack.path("half.snapshot"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(stack.path("header.snapshot"), &whole[..700]).unwrap();
    std::fs::write(stack.path("text.snapshot"), "not a snapshot ".repeat(100)).unwrap();
    std::fs::write(stack.path("empty.snapshot"), "").unwrap();
    std::fs::create_dir(stack.path("folder.snapshot")).unwrap();
    std::fs::write(stack.path("whole.snapshot"), &whole).unwrap();
    let found =
        stack.run(&["preflight", "--dir", "whole", "--snapshot", "whole.snapshot", "--to", "sqlite:new.db"]).ok();
    assert_eq!(found["points"], 204, "{found}");
    for file in ["missing", "folder", "empty", "text", "header", "half"] {
        let file = format!("{file}.snapshot");
        let fault = ["--snapshot", &file, "--to", "sqlite:new.db"];
        let words = [&*file];
        check(
            &stack,
            &Case {
                commands: &[RUN, REBUILD, PREFLIGHT],
                flags: NO_TARGET,
                fault: &fault,
                variables: &[],
                words: &words,
            },
        );
    }
}

/// Files that are read or written, addresses and names: a fault of one is found before anything is written.
pub(crate) fn files_and_names_of_every_phase_are_checked_at_the_start(random: &mut StdRng) {
    let stack = Stack::of(50, random);
    for (file, text) in [(".env", "QDRANT_COLLECTION_NAME=mem0\n"), ("other.env", "A=1\n"), ("counts.txt", "ana\n")] {
        std::fs::write(stack.path(file), text).unwrap();
    }
    std::fs::create_dir(stack.path("folder")).unwrap();
    std::fs::write(stack.path("empty"), "").unwrap();
    let url = format!("{}/collections/aliases", stack.server.http_url());
    rest::post(&url, &json!({"actions": [{"create_alias": {"collection_name": SOURCE, "alias_name": "memories"}}]}))
        .unwrap();
    let refused = |args: &[&str], words: &[&str]| {
        let (files, server) = (files_of(stack.folder.path()), server_state(&stack));
        let result = stack.run(args);
        let (_, message) = result.error();
        assert!(matches!(result.code, 1 | 2 | 4), "{args:?}: {result:?}");
        for word in words {
            assert!(message.contains(word), "{args:?} does not mention {word}: {message}");
        }
        assert_eq!((files_of(stack.folder.path()), server_state(&stack)), (files, server), "{args:?}: {message}");
    };
    let target = ["--target", "mem0_v3"];
    for (fault, words) in [
        (&["--counts", "missing.txt"][..], &["missing.txt"][..]),
        (&["--counts", "folder"], &["folder"]),
        (&["--counts", "counts.txt"], &["counts.txt, line 1", "user: N"]),
        (&["--legacy-url", "http://127.0.0.1:1"], &["API_KEYS"]),
    ] {
        refused(&[&["preflight"], &target[..], fault].concat(), words);
    }
    for (fault, words) in [
        (&["--neo4j-dump", "missing.dump"][..], &["missing.dump"][..]),
        (&["--neo4j-dump", "folder"], &["folder"]),
        (&["--neo4j-dump", "empty"], &["empty"]),
        (&["--source", "nowhere"], &["nowhere", "mem0"]),
    ] {
        refused(&[&["backup"], fault].concat(), words);
    }
    stack.run(&["backup"]).ok();
    stack.run(&[&["rebuild"], &target[..]].concat()).ok();
    stack.run(&["verify"]).ok();
    let state = "mnemon-migration/state.json";
    for report in ["folder", "missing/report.md", ".env/report.md", state, "report.json", "/proc/nowhere/report.md"] {
        refused(&["verify", "--report", report], &[report.split('/').next().unwrap_or_default()]);
    }
    let snapshot = "mnemon-migration/backup/mem0.snapshot";
    for (fault, words) in [
        (&["--report", "folder"][..], &["folder"][..]),
        (&["--report", "missing/report.md"], &["missing"]),
        (&["--report", snapshot], &["mem0.snapshot", "another file"]),
        (&["--report", state], &["state.json", "another file"]),
        (&["--keep", "missing/kept.db"], &["missing"]),
        (&["--keep", ".env"], &[".env exists"]),
        (&["--keep", "kept.db", "--report", "folder/../kept.db"], &["kept.db", "another file"]),
        (&["--scratch", "missing"], &["missing"]),
        (&["--snapshot", "missing.snapshot"], &["missing.snapshot"]),
        (&["--snapshot", "folder"], &["folder"]),
    ] {
        refused(&[&["rehearse"], fault].concat(), words);
    }
    for (fault, words) in [
        (&["--settings", "missing.toml"][..], &["missing.toml"][..]),
        (&["--settings", "folder"], &["folder"]),
        (&["--env-file", "folder"], &["folder"]),
        (&["--env-file", "missing.env"], &["missing.env"]),
        (&["--env-file", "other.env"], &["other.env", "QDRANT_COLLECTION_NAME="]),
        (&["--alias", "mem0_v3"], &["`mem0_v3` is a collection"]),
        (&["--alias", SOURCE], &["`mem0` is a collection"]),
    ] {
        refused(&[&["cutover", "--no-smoke", "--then", "touch restarted"], fault].concat(), words);
    }
    for url in ["nonsense", "ftp://127.0.0.1", "http://"] {
        refused(&["cutover", "--env-file", ".env", "--smoke-url", url], &["URL"]);
    }
    assert_eq!(std::fs::read_to_string(stack.path(".env")).unwrap(), "QDRANT_COLLECTION_NAME=mem0\n");
    stack.run(&["verify", "--report", "report.md"]).ok();
    assert!(stack.path("report.md").exists() && stack.path("report.json").exists());
}

/// A backup that can't be deleted is found before the collection is; other files in its folder stay.
pub(crate) fn retire_deletes_the_backup_only(random: &mut StdRng) {
    let stack = Stack::of(50, random);
    std::fs::write(stack.path(".env"), "QDRANT_COLLECTION_NAME=mem0\n").unwrap();
    stack.run(&["rebuild", "--target", "mem0_v3"]).ok();
    stack.run(&["backup", "--into", "saved", "--retention-days", "0"]).ok();
    stack.run(&["verify"]).ok();
    stack.run(&["cutover", "--env-file", ".env", "--no-smoke"]).ok();
    let source = stack.points(SOURCE);
    let (saved, kept) = (stack.path("saved"), stack.path("kept"));
    let retire = || stack.run(&["retire", "--yes"]);
    std::fs::rename(&saved, &kept).unwrap();
    for fault in ["a file", "no manifest"] {
        if fault == "a file" {
            std::fs::write(&saved, "x").unwrap()
        } else {
            std::fs::create_dir(&saved).unwrap()
        }
        let result = retire();
        assert!(result.code != 0 && result.error().1.contains("saved"), "{fault}: {result:?}");
        assert_eq!(stack.points(SOURCE), source, "{fault}");
        if fault == "a file" { std::fs::remove_file(&saved).unwrap() } else { std::fs::remove_dir(&saved).unwrap() }
    }
    std::fs::rename(&kept, &saved).unwrap();
    std::fs::write(stack.path("saved/notes.txt"), "mine").unwrap();
    retire().ok();
    let left: Vec<_> = std::fs::read_dir(&saved).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
    assert!(stack.points(SOURCE).is_empty());
}
