//! `mnemon serve` on real Qdrant servers, all of them killed under load: what was acknowledged is there, what was refused
//! is not. A test that needs a server which is not there is reported as ignored, not as passed.
//!
//! `MNEMON_TEST_KILLS` is the number of kills (10), `MNEMON_TEST_OUTAGE` the seconds without Qdrant (5), and
//! `MNEMON_TEST_SEED` the seed that a failed test names: it fixes the delays, not how threads take turns.
#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod check;
mod cluster;
mod kills;
mod load;
mod outage;
mod place;
mod replicas;

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use libtest_mimic::{Arguments, Trial};
use mnemon_testbed::{Given, POSTGRES, QDRANT, Qdrant, postgres_url};

use place::Ledger;

/// A test, given its seed.
type Test = fn(u64);

/// Tests, and whether they need Postgres.
const TESTS: [(&str, bool, Test); 6] = [
    ("kills::mnemon_is_killed_under_load", false, |seed| kills::mnemon_is_killed_under_load(seed, Ledger::Sqlite)),
    ("kills::mnemon_is_killed_under_load_postgres", true, |seed| {
        kills::mnemon_is_killed_under_load(seed, Ledger::Postgres);
    }),
    ("kills::qdrant_is_killed_under_load", false, kills::qdrant_is_killed_under_load),
    ("outage::searches_fail_fast_and_recover", false, outage::searches_fail_fast_and_recover),
    ("cluster::a_node_may_go", false, cluster::a_node_may_go),
    ("replicas::two_on_one_ledger", true, replicas::two_on_one_ledger),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // Each of them loads the machine.
    arguments.test_threads = Some(1);
    let qdrant = binary().is_some();
    if !qdrant {
        eprintln!("skipped: {QDRANT} names no binary of Qdrant, and a server that is not ours is not killed");
    }
    let postgres = postgres_url().is_some();
    if !postgres {
        eprintln!("skipped: those with a ledger in Postgres: {POSTGRES} names no server");
    }
    let trials = TESTS.map(|(name, needs_postgres, test)| {
        let run = move || {
            let seed = Seed(number("MNEMON_TEST_SEED").unwrap_or_else(|| RandomState::new().hash_one(name)));
            test(seed.0);
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!qdrant || needs_postgres && !postgres)
    });
    libtest_mimic::run(&arguments, trials.into()).exit();
}

/// Named where a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("MNEMON_TEST_SEED={}", self.0);
        }
    }
}

/// The binary of Qdrant.
fn binary() -> Option<PathBuf> {
    match Qdrant::from_env()? {
        Given::Binary(binary) => Some(binary),
        Given::Url(_) => None,
    }
}

/// A number of the environment.
fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is no number: {value}")))
}
