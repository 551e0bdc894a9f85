//! Integration tests of the engine, one file a subject, each test on every kind of store. A kind whose server is not
//! there is reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[macro_use]
mod stores;

mod add;
mod arbitrary;
mod chat;
mod concurrency;
mod crash;
mod delete;
mod expiry;
mod fixture;
mod languages;
mod learn;
mod legacy;
mod mem0_golden;
mod search;
mod session;
mod talk;
mod transfer;
mod update;

use libtest_mimic::{Arguments, Trial};
use stores::{KINDS, SQLITE, Tests};

const ON_ALL: [(&str, Tests); 15] = [
    ("add", add::TESTS),
    ("arbitrary", arbitrary::TESTS),
    ("chat", chat::TESTS),
    ("concurrency", concurrency::TESTS),
    ("delete", delete::TESTS),
    ("expiry", expiry::TESTS),
    ("languages", languages::TESTS),
    ("learn", learn::TESTS),
    ("legacy", legacy::TESTS),
    ("mem0_golden", mem0_golden::TESTS),
    ("search", search::TESTS),
    ("session", session::TESTS),
    ("talk", talk::TESTS),
    ("transfer", transfer::TESTS),
    ("update", update::TESTS),
];

/// What is about the file; goes first, as the kills take longest.
const ON_SQLITE: [(&str, Tests); 2] = [("chat", chat::FILE_TESTS), ("crash", crash::TESTS)];

/// What is about Qdrant's snapshots.
const ON_QDRANT: [(&str, Tests); 1] = [("mem0_golden", mem0_golden::SNAPSHOT_TESTS)];

fn main() {
    crash::write_if_asked();
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for kind in KINDS {
        let missing = kind.missing();
        for variable in &missing {
            eprintln!("skipped: {}: {variable} is not set", kind.name);
        }
        let own: &[(&str, Tests)] = if kind.name == SQLITE.name { &ON_SQLITE } else { &ON_QDRANT };
        for (file, tests) in own.iter().chain(&ON_ALL) {
            for (name, test) in *tests {
                let run = move || {
                    stores::on(kind, *test);
                    Ok(())
                };
                let trial = Trial::test(format!("{}::{file}::{name}", kind.name), run);
                trials.push(trial.with_ignored_flag(!missing.is_empty()));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
