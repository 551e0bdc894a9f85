//! The parts of a migration (points, sparse vectors, entities, history) fail one by one, and the same command continues.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use mnemon_testbed::{EmbeddingsEndpoint, rest};
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::stack::{CommandResult, DIMS, Points, SOURCE, Stack, letter_counts, run};

pub(crate) const POINTS: usize = 120;
/// Rows in the history of each memory.
pub(crate) const ROWS: usize = 2;
/// The targets, with the name of the collection or file.
pub(crate) const TARGETS: [(&[&str], &str); 3] =
    [(&["--target", "mem0_v3"], "mem0_v3"), (&["--in-place"], SOURCE), (&["--to", "sqlite:new.db"], "new.db")];

/// A stack with mem0's history database of all memories.
pub(crate) fn stack_with_history(random: &mut StdRng) -> (Stack, PathBuf) {
    let stack = Stack::of(POINTS, random);
    let file = stack.path("history.db");
    write_history(&file, stack.points(SOURCE).keys().map(String::as_str));
    (stack, file)
}

fn write_history<'i>(file: &std::path::Path, ids: impl Iterator<Item = &'i str>) {
    let history = rusqlite::Connection::open(file).unwrap();
    history
        .execute_batch(
            "CREATE TABLE history(id TEXT PRIMARY KEY, memory_id TEXT, old_memory TEXT, new_memory TEXT, event TEXT,
             created_at DATETIME, updated_at DATETIME, is_deleted INTEGER, actor_id TEXT, role TEXT)",
        )
        .unwrap();
    for id in ids {
        for row in 0..ROWS {
            let event = if row == 0 { "ADD" } else { "UPDATE" };
            history
                .execute(
                    "INSERT INTO history VALUES(?1, ?2, 'before', 'after', ?3, '2025-03-04T05:06:07', NULL, 0, NULL, 'user')",
                    [&format!("{id}-{row}"), id, event],
                )
                .unwrap();
        }
    }
}

/// The command with an embedder whose vectors have other dims than those of the collection.
fn unfitting(mut command: Command) -> Command {
    command.env_remove("MNEMON_EMBEDDER_URL").env_remove("MNEMON_EMBEDDER_DIMS").env("MNEMON_EMBEDDER", "builtin");
    command
}

fn refused(result: &CommandResult, code: i32, parts: &[&str]) {
    let (_, message) = result.error();
    assert_eq!(result.code, code, "{message}");
    for part in parts {
        assert!(message.contains(part), "{part}: {message}");
    }
}

pub(crate) fn part(stack: &Stack, phase: &str, part: &str) -> Value {
    stack.run(&["status"]).ok()["phases"][phase]["parts"][part]["state"].clone()
}

/// Checks points, entities and history of the target, without the code of the migration where it is in Qdrant.
pub(crate) fn assert_complete(stack: &Stack, source: &Points, target: &str) {
    if !target.ends_with(".db") {
        stack.assert_whole(source, target);
    }
    let verified = stack.run(&["verify"]).ok();
    assert!(verified["entities"]["expected"].as_u64().unwrap() > 20, "{verified}");
    assert_eq!(verified["history"]["rows"], POINTS * ROWS, "{verified}");
    for name in ["points", "sparse_vectors", "entities", "history"] {
        for phase in ["rebuild", "verify"] {
            assert_eq!(part(stack, phase, name), "done", "{phase} {name}");
        }
    }
    let id = source.keys().next().unwrap();
    let store = if target.ends_with(".db") {
        format!("sqlite:{target}")
    } else {
        format!("qdrant:{}/{target}", stack.server.grpc_url())
    };
    let mut history = stack.command(&["history", id]);
    history.env("MNEMON_STORE", store);
    assert_eq!(run(history).ok().as_array().unwrap().len(), ROWS);
}

/// Without a fitting embedder nothing is written. A state file of an older version says that all is done.
pub(crate) fn a_migration_without_a_fitting_embedder_is_not_done(random: &mut StdRng) {
    for (target, name) in TARGETS {
        let (stack, _) = stack_with_history(random);
        let source = stack.points(SOURCE);
        let all = |command: &'static str| [&[command, "--history", "history.db"], target].concat();
        let run_all = [&all("run")[..], &["--yes"]].concat();
        for args in [&all("rebuild")[..], &run_all] {
            let result = run(unfitting(stack.migrate(args)));
            refused(&result, 4, &["32 dims", "256", "MNEMON_EMBEDDER", "--without-entities"]);
            assert_eq!(source, stack.points(SOURCE));
            let exists = rest::get(&stack.url("mem0_v3")).is_ok() || stack.path("new.db").exists();
            assert!(!exists, "{args:?}");
        }
        // As an older version left it: no entities, no history, and nothing about parts.
        let left = [&["rebuild", "--without-entities"], target].concat();
        run(unfitting(stack.migrate(&left))).ok();
        run(unfitting(stack.migrate(&["verify"]))).ok();
        let state = stack.path("mnemon-migration/state.json");
        let mut old: Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
        for phase in ["rebuild", "verify"] {
            old["ended"][phase].as_object_mut().unwrap().remove("parts").unwrap();
        }
        old.as_object_mut().unwrap().remove("without_entities").unwrap();
        std::fs::write(&state, old.to_string()).unwrap();
        assert_eq!(stack.run(&["status"]).ok()["next"], "mnemon migrate preflight");
        std::fs::write(stack.path(".env"), "QDRANT_COLLECTION_NAME=mem0\n").unwrap();
        let cutover = ["cutover", "--env-file", ".env", "--no-smoke"];
        if name != "new.db" {
            refused(&stack.run(&cutover), 4, &["no verification", "verify"]);
            refused(&run(unfitting(stack.migrate(&cutover))), 4, &["32 dims", "--without-entities"]);
        }
        // Red before it is repaired.
        let verified = stack.run(&["verify"]);
        assert_eq!(verified.code, 3, "{verified:?}");
        let result = stack.run(&run_all);
        assert_eq!(result.code, 0, "{result:?}");
        assert_complete(&stack, &source, name);
    }
}

/// The embedder answers in the wrong way after some calls, and the history can't be read. Each part is recorded.
pub(crate) fn each_part_fails_and_is_resumed_by_the_same_command(random: &mut StdRng) {
    for (target, name) in TARGETS {
        let (mut stack, history) = stack_with_history(random);
        let source = stack.points(SOURCE);
        let calls = Arc::new(AtomicUsize::new(0));
        // One call at the start of the command, one at that of the phase.
        let (counted, allowed) = (calls.clone(), 2);
        let endpoint = EmbeddingsEndpoint::start(move |texts| {
            let mut vectors = letter_counts(texts);
            if counted.fetch_add(1, Ordering::Relaxed) >= allowed {
                vectors.iter_mut().for_each(|vector| vector.truncate(DIMS / 2));
            }
            vectors
        });
        stack.variables.push(("MNEMON_EMBEDDER_URL", endpoint.url().to_owned()));
        let command = [&["rebuild", "--history", "history.db"], target].concat();
        let failed = stack.run(&command);
        assert_eq!(failed.code, 1, "{failed:?}");
        assert_eq!(part(&stack, "rebuild", "entities"), "failed");
        if name != "new.db" {
            assert_eq!(part(&stack, "rebuild", "points"), "done");
            assert_eq!(part(&stack, "rebuild", "history"), "done");
        }
        let verified = stack.run(&["verify"]);
        assert_ne!(verified.code, 0, "{verified:?}");
        stack.variables.pop();
        // The embedder answers again, and the history is damaged.
        let good = std::fs::read(&history).unwrap();
        let mut damaged = good.clone();
        damaged.truncate(good.len() / 2);
        damaged[200..2000].fill(0xff);
        std::fs::write(&history, &damaged).unwrap();
        let failed = stack.run(&command);
        assert_ne!(failed.code, 0, "{failed:?}");
        assert_ne!(stack.run(&["verify"]).code, 0);
        std::fs::write(&history, &good).unwrap();
        stack.run(&command).ok();
        assert_complete(&stack, &source, name);
    }
}

/// Whatever the target lacks is found, and the named command repairs it.
pub(crate) fn what_the_target_lacks_is_found_and_repaired(random: &mut StdRng) {
    let (stack, _) = stack_with_history(random);
    let source = stack.points(SOURCE);
    stack.run(&["rebuild", "--history", "history.db", "--target", "mem0_v3"]).ok();
    assert_complete(&stack, &source, "mem0_v3");
    let entities = "mem0_v3_entities";
    let first = || stack.points(entities).into_iter().next().unwrap();
    let faults: [(&str, &str, &dyn Fn()); 5] = [
        ("missing entities", "rebuild --again", &|| stack.delete(entities, &[&first().0])),
        ("links of entities", "rebuild --again", &|| {
            let (id, _) = first();
            let body = json!({"points": [id], "payload": {"linked_memory_ids": []}});
            rest::post(&stack.url(&format!("{entities}/points/payload?wait=true")), &body).unwrap();
        }),
        ("missing ids", "rebuild --again", &|| stack.delete("mem0_v3", &[source.keys().next().unwrap()])),
        ("sparse vectors, recomputed", "rebuild --again", &|| {
            let body = json!({"points": [source.keys().next().unwrap()], "vector": ["bm25"]});
            rest::post(&stack.url("mem0_v3/points/vectors/delete?wait=true"), &body).unwrap();
        }),
        ("missing rows of the history", "rebuild, then", &|| {
            let ledger = ledger(&stack);
            assert_eq!(
                ledger.execute("DELETE FROM history WHERE seq = (SELECT min(seq) FROM history)", []).unwrap(),
                1
            );
        }),
    ];
    for (what, cure, break_it) in faults {
        break_it();
        let red = stack.run(&["verify", "--report", "verify.md"]);
        assert_eq!(red.code, 3, "{what}: {red:?}");
        let report = std::fs::read_to_string(stack.path("verify.md")).unwrap();
        let next = report.lines().rfind(|line| line.starts_with("next: ")).unwrap();
        assert!(report.contains("RED") && !report.contains(&format!("| {what} | 0 |")), "{what}: {report}");
        assert!(next.contains(cure), "{what}: {next}");
        let again = if cure.contains("--again") { &["rebuild", "--again"][..] } else { &["rebuild"] };
        stack.run(again).ok();
        assert_complete(&stack, &source, "mem0_v3");
    }
}

/// The only ledger below the stack's data folder.
fn ledger(stack: &Stack) -> rusqlite::Connection {
    fn find(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => find(&path, found),
                path if path.extension().is_some_and(|extension| extension == "db") => found.push(path),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    find(&stack.path("data"), &mut found);
    assert_eq!(found.len(), 1, "{found:?}");
    rusqlite::Connection::open(&found[0]).unwrap()
}

/// Status, doctor and `/health` say that a store has no entities, until they are added, also after a cutover.
pub(crate) fn a_store_without_entities_says_so_until_it_has_them(random: &mut StdRng) {
    for (target, name) in TARGETS {
        let (stack, _) = stack_with_history(random);
        std::fs::write(stack.path(".env"), "QDRANT_COLLECTION_NAME=mem0\n").unwrap();
        std::fs::write(stack.path("mnemon.toml"), "bind = \"127.0.0.1:0\"\n").unwrap();
        run(unfitting(
            stack.migrate(&[&["rebuild", "--without-entities", "--history", "history.db"], target].concat()),
        ))
        .ok();
        let verified = run(unfitting(stack.migrate(&["verify"]))).ok();
        assert_eq!(verified["entities"], Value::Null, "{verified}");
        assert_eq!(part(&stack, "verify", "entities"), "left_out");
        let switch: &[&str] = if name == "new.db" { &["--settings", "mnemon.toml"] } else { &["--env-file", ".env"] };
        let cutover = [&["cutover", "--no-smoke"], switch].concat();
        refused(&run(unfitting(stack.migrate(&cutover))), 4, &["--without-entities"]);
        refused(&stack.run(&cutover), 4, &["--without-entities"]);
        let switched = stack.run(&[&cutover[..], &["--without-entities"]].concat()).ok();
        assert_eq!(switched["without_entities"], true, "{switched}");
        let status = || stack.run(&["status"]).ok();
        assert_eq!(status()["without_entities"], true);
        let doctor = || {
            let store = match name {
                "new.db" => "sqlite:new.db".to_owned(),
                _ => format!("qdrant:{}/{name}", stack.server.grpc_url()),
            };
            let mut doctor = stack.command(&["doctor"]);
            doctor.env("MNEMON_STORE", store);
            run(doctor).ok()["warnings"].to_string()
        };
        assert!(doctor().contains("no entities") && doctor().contains("mnemon migrate rebuild"), "{}", doctor());
        let health = || {
            let served = if name == "new.db" { stack.serve_store("sqlite:new.db") } else { stack.serve(name) };
            rest::get(&format!("{}/health", served.1)).unwrap()["warnings"].to_string()
        };
        assert!(health().contains("mnemon migrate rebuild"), "{}", health());
        refused(&run(unfitting(stack.migrate(&["rebuild"]))), 4, &["--without-entities"]);
        let added = stack.run(&["rebuild"]).ok();
        assert!(added["entities"].as_u64().unwrap() > 20, "{added}");
        assert!(!doctor().contains("no entities") && !health().contains("no entities"), "{}", doctor());
        assert_eq!(status()["without_entities"], false);
        if name != "new.db" {
            stack.assert_whole(&without_additions(&stack, name), name);
        }
    }
}

/// Between reading a memory and writing its entities, another process changes it or deletes it.
pub(crate) fn writes_while_entities_are_added_are_kept(random: &mut StdRng) {
    let (mut stack, _) = stack_with_history(random);
    std::fs::write(stack.path("mnemon.toml"), "bind = \"127.0.0.1:0\"\n").unwrap();
    stack.run(&["rebuild", "--without-entities", "--to", "sqlite:new.db"]).ok();
    stack.run(&["verify"]).ok();
    stack.run(&["cutover", "--no-smoke", "--settings", "mnemon.toml", "--without-entities"]).ok();
    let source = stack.points(SOURCE);
    let ids: Vec<&String> = source.keys().take(3).collect();
    let of_store = |stack: &Stack, args: &[&str]| {
        let mut command = stack.command(args);
        command.env("MNEMON_STORE", "sqlite:new.db");
        command
    };
    let writes = [
        of_store(&stack, &["delete", ids[0]]),
        of_store(&stack, &["update", ids[1], "Boris sold the boxes"]),
        of_store(&stack, &["update", ids[2], "--metadata", "{\"seen\": true}"]),
    ];
    let writes = Mutex::new(Some(writes));
    let endpoint = EmbeddingsEndpoint::start(move |texts| {
        if let Some(writes) = texts.contains(&"Greta Holm").then(|| writes.lock().unwrap().take()).flatten() {
            writes.into_iter().for_each(|command| drop(run(command).ok()));
        }
        letter_counts(texts)
    });
    stack.variables.push(("MNEMON_EMBEDDER_URL", endpoint.url().to_owned()));
    let added = stack.run(&["rebuild"]).ok();
    stack.variables.pop();
    assert!(added["entities"].as_u64().unwrap() > 20, "{added}");
    assert_ne!(run(of_store(&stack, &["get", ids[0]])).code, 0, "a deleted memory is back");
    assert_eq!(run(of_store(&stack, &["get", ids[1]])).ok()["memory"], "Boris sold the boxes");
    assert_eq!(run(of_store(&stack, &["get", ids[2]])).ok()["metadata"]["seen"], true);
    let store = rusqlite::Connection::open(stack.path("new.db")).unwrap();
    let count: i64 = store.query_row("SELECT count(*) FROM memories", [], |row| row.get(0)).unwrap();
    assert_eq!(count, POINTS as i64 - 1);
    assert_eq!(run(of_store(&stack, &["doctor"])).code, 0);
}

/// The points of a migrated collection as they were before.
fn without_additions(stack: &Stack, name: &str) -> Points {
    let mut points = stack.points(name);
    for point in points.values_mut() {
        point["payload"].as_object_mut().unwrap().remove("text_lemmatized");
        point["bm25"] = json!(false);
    }
    points
}

/// Without a fitting embedder a rehearsal says what it lacks; if no entities are wanted, an embedder that does not answer
/// is not an obstacle.
pub(crate) fn entities_that_are_not_wanted_need_no_embedder(random: &mut StdRng) {
    let (stack, _) = stack_with_history(random);
    stack.run(&["backup"]).ok();
    let rehearsed = run(unfitting(stack.migrate(&["rehearse", "--report", "rehearsal.md"])));
    assert_eq!(rehearsed.ok()["copied"]["entities_rehearsed"], false);
    let report = std::fs::read_to_string(stack.path("rehearsal.md")).unwrap();
    let last = report.lines().last().unwrap();
    assert!(last.contains("entities not rehearsed") && last.contains("--without-entities"), "{report}");
    assert_eq!(part(&stack, "rehearse", "entities"), "left_out");
    stack.run(&["rehearse", "--report", "rehearsal.md"]).ok();
    assert!(!std::fs::read_to_string(stack.path("rehearsal.md")).unwrap().contains("not rehearsed"));
    assert_eq!(part(&stack, "rehearse", "entities"), "done");

    let silent = |args: &[&str]| {
        let mut command = stack.migrate(args);
        command.env("MNEMON_EMBEDDER_URL", "http://127.0.0.1:1");
        run(command)
    };
    let all = ["run", "--yes", "--target", "mem0_v3", "--history", "history.db", "--dir", "other"];
    let obstacle = silent(&all);
    assert_eq!(obstacle.code, 4, "{obstacle:?}");
    let done = silent(&[&all[..], &["--without-entities"]].concat());
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(stack.run(&["status", "--dir", "other"]).ok()["without_entities"], true);
}
