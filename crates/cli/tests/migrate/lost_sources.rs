//! The source of a rebuild is moved, replaced or emptied afterwards: `verify` and `cutover` say so, and switch nothing.

use std::path::Path;

use mnemon_testbed::rest;
use rand::rngs::StdRng;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::parts::{POINTS, ROWS, TARGETS, assert_complete, part, stack_with_history};
use crate::stack::{DIMS, SOURCE, Stack, memory};

const SETTING: &str = "QDRANT_COLLECTION_NAME=mem0\n";
const CUTOVER: [&str; 4] = ["cutover", "--env-file", ".env", "--no-smoke"];

/// Checks that nothing was switched.
fn assert_not_switched(stack: &Stack, what: &str) {
    assert_eq!(std::fs::read_to_string(stack.path(".env")).unwrap(), SETTING, "{what}");
    assert_eq!(stack.run(&["status"]).ok()["switched"], false, "{what}");
}

fn replace(file: &Path, contents: &[u8]) {
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, contents).unwrap();
}

fn execute(file: &Path, sql: &str) {
    Connection::open(file).unwrap().execute_batch(sql).unwrap();
}

/// A way in which the history is lost, words of the report, and what loses it.
type Loss = (&'static str, &'static [&'static str], fn(&Path));

const LOSSES: [Loss; 9] = [
    ("moved", &["No such file"], |file| std::fs::remove_file(file).unwrap()),
    ("a folder", &["give the file in it"], |file| {
        std::fs::remove_file(file).unwrap();
        std::fs::create_dir(file).unwrap();
    }),
    ("a link to nothing", &["No such file"], |file| {
        std::fs::remove_file(file).unwrap();
        std::os::unix::fs::symlink("nowhere.db", file).unwrap();
    }),
    ("no bytes", &["empty"], |file| replace(file, b"")),
    ("a text", &["not a SQLite database"], |file| replace(file, &b"not a database ".repeat(200))),
    ("another database", &["no table `history`"], |file| {
        replace(file, b"");
        execute(file, "CREATE TABLE memories(id)");
    }),
    ("no rows", &["imported"], |file| execute(file, "DELETE FROM history")),
    ("fewer rows", &["imported"], |file| {
        execute(file, "DELETE FROM history WHERE rowid IN (SELECT rowid FROM history LIMIT 3)");
    }),
    ("other rows", &["imported"], |file| execute(file, "UPDATE history SET id = id || '-other'")),
];

/// The backup has a copy of the history, but not the row that mem0 has written since.
pub(crate) fn a_history_that_is_lost_is_never_green(random: &mut StdRng) {
    let (stack, file) = stack_with_history(random);
    let source = stack.points(SOURCE);
    std::fs::write(stack.path(".env"), SETTING).unwrap();
    stack.run(&["backup", "--history", "history.db"]).ok();
    stack.run(&["rebuild", "--history", "history.db", "--target", "mem0_v3"]).ok();
    assert_complete(&stack, &source, "mem0_v3");
    let id = source.keys().next().unwrap();
    let whole = std::fs::read(&file).unwrap();
    for (what, words, lose) in LOSSES {
        execute(&file, &format!("INSERT INTO history(id, memory_id, event) VALUES('late', '{id}', 'UPDATE')"));
        lose(&file);
        let refused = stack.run(&CUTOVER);
        let (_, message) = refused.error();
        assert!(matches!(refused.code, 1 | 4), "{what}: {refused:?}");
        assert!(message.contains("history.db") && message.contains("--history FILE"), "{what}: {message}");
        assert_not_switched(&stack, what);
        let red = stack.run(&["verify", "--report", "verify.md"]);
        assert_eq!(red.code, 3, "{what}: {red:?}");
        let report = std::fs::read_to_string(stack.path("verify.md")).unwrap();
        for word in [words, &["RED", "history.db", "--without-history"]].concat() {
            assert!(report.contains(word), "{what} does not mention {word}: {report}");
        }
        assert_eq!(part(&stack, "verify", "history"), "failed", "{what}");
        let refused = stack.run(&["rebuild"]);
        assert_ne!(refused.code, 0, "{what}: {refused:?}");
        assert_ne!(stack.run(&CUTOVER).code, 0, "{what}");
        assert_not_switched(&stack, what);
        if file.is_dir() {
            std::fs::remove_dir(&file).unwrap();
        }
        let _ = std::fs::remove_file(&file);
        std::fs::write(&file, &whole).unwrap();
        stack.run(&["rebuild"]).ok();
        assert_complete(&stack, &source, "mem0_v3");
    }
    // It is locked for a moment: not compared, not lost.
    let writer = Connection::open(&file).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(stack.run(&["verify"]).code, 3);
    drop(writer);
    stack.run(&["verify"]).ok();
    // Rows that were deleted on purpose, and a file in another place.
    execute(&file, "DELETE FROM history WHERE rowid = 1");
    stack.run(&["rebuild", "--allow-removals"]).ok();
    assert_eq!(stack.run(&["verify"]).ok()["history"]["rows"], POINTS * ROWS - 1);
    std::fs::rename(&file, stack.path("moved.db")).unwrap();
    stack.run(&["rebuild", "--history", "moved.db"]).ok();
    stack.run(&["verify"]).ok();
    std::fs::remove_file(stack.path("moved.db")).unwrap();
    stack.run(&["rebuild", "--without-history"]).ok();
    assert_eq!(stack.run(&["verify"]).ok()["history"], Value::Null);
    stack.run(&CUTOVER).ok();
}

/// The collection that was copied is emptied, deleted, or has other points.
pub(crate) fn a_collection_that_is_lost_is_never_green(random: &mut StdRng) {
    for (target, name) in TARGETS.into_iter().filter(|(_, name)| *name != "new.db") {
        for what in ["emptied", "deleted", "made again", "other points"] {
            let (stack, _) = stack_with_history(random);
            std::fs::write(stack.path(".env"), SETTING).unwrap();
            stack.run(&[&["rebuild", "--history", "history.db"], target].concat()).ok();
            stack.run(&["verify"]).ok();
            if what == "emptied" {
                let all = json!({"filter": {}});
                rest::post(&stack.url(&format!("{SOURCE}/points/delete?wait=true")), &all).unwrap();
            } else {
                rest::delete(&stack.url(SOURCE)).unwrap();
            }
            if matches!(what, "made again" | "other points") {
                stack.make(SOURCE, DIMS, "Cosine");
            }
            if what == "other points" {
                stack.upsert(SOURCE, &(0..POINTS).map(|number| memory(number, random)).collect::<Vec<_>>());
            }
            let refused = stack.run(&CUTOVER);
            assert_ne!(refused.code, 0, "{what} {name}: {refused:?}");
            assert_not_switched(&stack, what);
            let red = stack.run(&["verify"]);
            assert_ne!(red.code, 0, "{what} {name}: {red:?}");
            assert_ne!(stack.run(&CUTOVER).code, 0, "{what} {name}");
            assert_not_switched(&stack, what);
        }
    }
}
