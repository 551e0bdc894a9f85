//! `mnemon migrate` on a real Qdrant, killed, starved of disk, and raced by writers: what was there is there afterwards.
//! A test that needs what is not there is reported as ignored, not as passed.
//!
//! `MNEMON_TEST_KILLS` is the number of kills of each phase (3), `MNEMON_TEST_SEED` the seed that a failed test names: it
//! fixes the moments, not what the machine does by then.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod disk;
mod kills;
mod meanwhile;
mod refusals;
mod slow;
mod stack;
mod switch;

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use libtest_mimic::{Arguments, Trial};
use mnemon_testbed::{Given, QDRANT, Qdrant};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A test, given its random numbers.
type Test = fn(&mut StdRng);

/// Tests, and whether they need a small disk to fill.
const TESTS: [(&str, bool, Test); 12] = [
    ("kills::of_rebuild_to_a_new_collection", false, kills::of_rebuild_to_a_new_collection),
    ("kills::of_rebuild_in_place", false, kills::of_rebuild_in_place),
    ("kills::of_rebuild_to_a_file", false, kills::of_rebuild_to_a_file),
    ("kills::of_backup", false, kills::of_backup),
    ("kills::of_cutover", false, kills::of_cutover),
    ("kills::of_rollback", false, kills::of_rollback),
    ("kills::of_qdrant", false, kills::of_qdrant),
    ("disk::a_full_one_of_the_store_is_told_and_mended", true, disk::a_full_one_of_the_store_is_told_and_mended),
    ("disk::a_full_one_of_the_backup_is_told_and_mended", true, disk::a_full_one_of_the_backup_is_told_and_mended),
    (
        "meanwhile::what_is_written_during_the_copy_is_caught",
        false,
        meanwhile::what_is_written_during_the_copy_is_caught,
    ),
    (
        "switch::there_with_fifty_writes_back_and_there_again",
        false,
        switch::there_with_fifty_writes_back_and_there_again,
    ),
    ("refusals::what_could_lose_something_is_refused", false, refusals::what_could_lose_something_is_refused),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // Each of them loads the machine.
    arguments.test_threads = Some(1);
    let qdrant = binary().is_some();
    if !qdrant {
        eprintln!("skipped: {QDRANT} names no binary of Qdrant, and a server that is not ours is not killed");
    }
    let small = disk::can_be_made();
    if !small {
        eprintln!("skipped: those with a full disk: a small one (tmpfs) can't be mounted here");
    }
    let trials = TESTS.map(|(name, needs_disk, test)| {
        let run = move || {
            let seed = Seed(number("MNEMON_TEST_SEED").unwrap_or_else(|| RandomState::new().hash_one(name)));
            test(&mut StdRng::seed_from_u64(seed.0));
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!qdrant || needs_disk && !small)
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
