//! Integration tests of the engine, one file for each subject. Each test runs on every kind of store. If the server of a kind
//! is missing, its tests are reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[macro_use]
mod stores;

mod add;
mod any_text;
mod chat;
mod concurrency;
mod crash;
mod delete;
mod endpoints;
mod events;
mod expiry;
mod fixture;
mod forms;
mod import_chat;
mod languages;
mod learn;
mod mem0_golden;
mod mem0_import;
mod parked;
mod search;
mod session;
mod superseded;
mod transfer;
mod update;

use mnemon_testbed::trials::{Trials, unset};
use stores::{KINDS, SQLITE, Tests};

const ON_ALL: [(&str, Tests); 19] = [
    ("add", add::TESTS),
    ("any_text", any_text::TESTS),
    ("chat", chat::TESTS),
    ("concurrency", concurrency::TESTS),
    ("delete", delete::TESTS),
    ("events", events::TESTS),
    ("expiry", expiry::TESTS),
    ("forms", forms::TESTS),
    ("languages", languages::TESTS),
    ("learn", learn::TESTS),
    ("mem0_import", mem0_import::TESTS),
    ("mem0_golden", mem0_golden::TESTS),
    ("parked", parked::TESTS),
    ("search", search::TESTS),
    ("session", session::TESTS),
    ("superseded", superseded::TESTS),
    ("import_chat", import_chat::TESTS),
    ("transfer", transfer::TESTS),
    ("update", update::TESTS),
];

/// Tests of store files. They run first, because the kills take longest.
const ON_SQLITE: [(&str, Tests); 3] =
    [("import_chat", import_chat::FILE_TESTS), ("crash", crash::TESTS), ("endpoints", endpoints::FILE_TESTS)];

/// Tests of Qdrant's snapshots.
const ON_QDRANT: [(&str, Tests); 1] = [("mem0_golden", mem0_golden::SNAPSHOT_TESTS)];

fn main() {
    crash::run_writer_if_requested();
    let mut trials = Trials::new();
    for kind in KINDS {
        let missing = unset(kind.needs);
        let own: &[(&str, Tests)] = if kind.name == SQLITE.name { &ON_SQLITE } else { &ON_QDRANT };
        for (file, tests) in own.iter().chain(&ON_ALL) {
            for &(name, test) in *tests {
                trials
                    .add(format!("{}::{file}::{name}", kind.name), missing.as_deref(), move || stores::on(kind, test));
            }
        }
    }
    trials.run();
}
