//! A migration that was killed between its parts, or whose own files were damaged, is continued by the same command.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use mnemon_testbed::EmbeddingsEndpoint;
use rand::rngs::StdRng;

use crate::parts::{TARGETS, assert_complete, part, stack_with_history};
use crate::stack::{SOURCE, Stack, letter_counts};

/// The longest pause between two calls of the embedder.
const QUIET: Duration = Duration::from_millis(700);

fn start(stack: &Stack, args: &[&str]) -> Child {
    stack.migrate(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut process: Child, moment: &str) {
    assert_eq!(process.try_wait().unwrap(), None, "ended before {moment}");
    process.kill().unwrap();
    process.wait().unwrap();
}

/// Killed before the first entities (the points are copied, unless the target builds its entities from them), in the middle
/// of the entities, and before the history.
pub(crate) fn a_kill_in_each_part_is_resumed(random: &mut StdRng) {
    for (target, name) in TARGETS {
        for moment in ["the entities", "more entities", "the history"] {
            let (mut stack, history) = stack_with_history(random);
            let source = stack.points(SOURCE);
            let (calls, (called, on_call)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel());
            let is_blocked =
                move |call: usize| matches!((moment, call), ("the entities", 1..) | ("more entities", 2..));
            let (counted, blocked) = (calls.clone(), is_blocked);
            // The calls with texts of memories are tests of the embedder, and count as 0. Names are sent in several calls.
            let endpoint = EmbeddingsEndpoint::start(move |texts| {
                let is_test = texts.iter().any(|text| text.contains(" moved to "));
                let call = if is_test { 0 } else { counted.fetch_add(1, Ordering::Relaxed) + 1 };
                let _ = called.send(call);
                if blocked(call) {
                    std::thread::sleep(Duration::from_secs(20));
                }
                letter_counts(texts)
            });
            stack.variables.push(("MNEMON_EMBEDDER_URL", endpoint.url().to_owned()));
            stack.variables.push(("MNEMON_EMBEDDER_BATCH_TEXTS", "4".to_owned()));
            let command = [&["rebuild", "--history", "history.db"], target].concat();
            let process = start(&stack, &command);
            let locked = rusqlite::Connection::open(&history).unwrap();
            while let Ok(call) = on_call.recv_timeout(Duration::from_secs(20)) {
                if call == 0 && moment == "the history" && locked.is_autocommit() {
                    // SQLite waits some seconds for the lock, in which no more calls come.
                    locked.execute_batch("BEGIN EXCLUSIVE").unwrap();
                }
                if is_blocked(call) {
                    break;
                }
                if moment == "the history" && call > 0 {
                    while on_call.recv_timeout(QUIET).is_ok() {}
                    break;
                }
            }
            kill(process, moment);
            drop(locked);
            assert_eq!(part(&stack, "rebuild", "entities"), "pending", "{name}, {moment}");
            assert_ne!(stack.run(&["verify"]).code, 0, "{name}, {moment}");
            stack.variables.truncate(stack.variables.len() - 2);
            stack.run(&command).ok();
            assert_complete(&stack, &source, name);
        }
    }
}

/// The state file and the database of copied points: cut, damaged, missing, of another source.
pub(crate) fn damaged_and_foreign_files_of_a_migration_are_refused_and_repaired(random: &mut StdRng) {
    let (stack, _) = stack_with_history(random);
    let source = stack.points(SOURCE);
    let command = ["rebuild", "--history", "history.db", "--target", "mem0_v3"];
    stack.run(&command).ok();
    let state = stack.path("mnemon-migration/state.json");
    let good = std::fs::read(&state).unwrap();
    let newer = String::from_utf8(good.clone()).unwrap().replace("\"version\": 1", "\"version\": 99");
    for (damaged, words) in [
        (&good[..0], &["state.json", "--dir"][..]),
        (&good[..1], &["state.json", "--dir"]),
        (&good[..good.len() / 2], &["state.json", "--dir"]),
        (&good[..good.len() - 3], &["state.json", "--dir"]),
        (b"[]", &["state.json", "--dir"]),
        (b"{}", &["state.json", "--dir"]),
        (newer.as_bytes(), &["version 99", "newer"]),
    ] {
        std::fs::write(&state, damaged).unwrap();
        for command in [&command[..], &["verify"], &["status"], &["cutover", "--env-file", ".env", "--no-smoke"]] {
            let result = stack.run(command);
            let (_, message) = result.error();
            assert!(result.code != 0 && words.iter().all(|word| message.contains(word)), "{command:?}: {message}");
        }
        assert_eq!(std::fs::read(&state).unwrap(), damaged);
    }
    std::fs::write(&state, &good).unwrap();
    // Without its record, the target's memories are compared and recorded again.
    let carried = stack.path("mnemon-migration/carried.db");
    let record = std::fs::read(&carried).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(stack.path(&format!("mnemon-migration/carried.db{suffix}")));
    }
    stack.run(&command).ok();
    assert_complete(&stack, &source, "mem0_v3");
    // A cut record is reported, and not taken for an empty one.
    let record = if record.len() > 8192 { record } else { std::fs::read(&carried).unwrap() };
    std::fs::write(&carried, &record[..record.len() / 2]).unwrap();
    let result = stack.run(&command);
    assert!(result.code == 1 && result.error().1.contains("carried.db"), "{result:?}");
    std::fs::remove_file(&carried).unwrap();
    stack.run(&command).ok();
    assert_complete(&stack, &source, "mem0_v3");
    // The folder of another migration.
    let other = stack.run(&["rebuild", "--source", "other", "--target", "mem0_v3"]);
    assert_ne!(other.code, 0, "{other:?}");
    assert_eq!(stack.run(&["rebuild", "--to", "sqlite:new.db"]).code, 4);
}
