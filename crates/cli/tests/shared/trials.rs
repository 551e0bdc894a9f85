//! Tests that load the machine: they run one at a time, with a seed that a failed test prints.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use libtest_mimic::{Arguments, Trial};
use mnemon_testbed::{QDRANT, Qdrant, TestQdrant};

/// A test that gets its seed.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    /// Whether it cannot run here. It is then reported as ignored.
    pub(crate) ignored: bool,
    pub(crate) run: fn(u64),
}

/// Runs the tests and ends the process.
pub(crate) fn run(tests: impl IntoIterator<Item = Test>) -> ! {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials = tests.into_iter().map(|Test { name, ignored, run }| {
        let with_seed = move || {
            let seed = Seed(number("MNEMON_TEST_SEED").unwrap_or_else(|| RandomState::new().hash_one(name)));
            run(seed.0);
            Ok(())
        };
        Trial::test(name, with_seed).with_ignored_flag(ignored)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit()
}

/// Whether there is a Qdrant binary. If not, says on stderr that the tests are skipped.
pub(crate) fn has_qdrant_binary() -> bool {
    let found = qdrant_binary().is_some();
    if !found {
        eprintln!("skipped: {QDRANT} is not the path of a Qdrant binary, and these tests kill their server");
    }
    found
}

/// The Qdrant binary, of which tests start their own servers.
pub(crate) fn qdrant_binary() -> Option<PathBuf> {
    match Qdrant::from_env()? {
        TestQdrant::Binary(binary) => Some(binary),
        TestQdrant::Url(_) => None,
    }
}

/// The value of `MNEMON_TEST_KILLS`: how often to kill a process.
pub(crate) fn kills(default: u64) -> u64 {
    number("MNEMON_TEST_KILLS").unwrap_or(default)
}

/// A number from the environment.
pub(crate) fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {value}")))
}

/// Prints the seed if the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("MNEMON_TEST_SEED={}", self.0);
        }
    }
}
