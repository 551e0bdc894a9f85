//! Runs tests whose number, servers or seeds are known only at run time. A test that needs something the machine lacks
//! is reported as ignored, not as passed.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use libtest_mimic::{Arguments, Trial};

pub use libtest_mimic::Failed;

use crate::{QDRANT, Qdrant, TestQdrant};

/// The tests of a program. `cargo test NAME` and the other arguments of `cargo test` select among them.
#[derive(Default)]
pub struct Trials {
    trials: Vec<Trial>,
    /// Why tests are ignored.
    reasons: BTreeSet<String>,
    one_at_a_time: bool,
}

impl Trials {
    /// Tests that run at the same time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tests that load the machine and therefore run one at a time.
    pub fn one_at_a_time() -> Self {
        Self { one_at_a_time: true, ..Self::default() }
    }

    /// Adds a test, which fails by panicking. `missing` says what it needs and the machine lacks.
    pub fn add(&mut self, name: impl Into<String>, missing: Option<&str>, run: impl FnOnce() + Send + 'static) {
        self.add_fallible(name, missing, || {
            run();
            Ok(())
        });
    }

    /// Adds a test, which fails by panicking or with an error.
    pub fn add_fallible(
        &mut self,
        name: impl Into<String>,
        missing: Option<&str>,
        run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) {
        let trial = match missing {
            None => Trial::test(name, run),
            Some(reason) => {
                self.reasons.insert(reason.to_owned());
                // Only run if the arguments ask for ignored tests.
                let reason = reason.to_owned();
                Trial::test(name, || Err(reason.into())).with_ignored_flag(true)
            }
        };
        self.trials.push(trial);
    }

    /// Adds a test that gets a seed. If it fails, the seed is printed; `MNEMON_TEST_SEED` repeats it.
    pub fn add_seeded(&mut self, name: &'static str, missing: Option<&str>, run: impl FnOnce(u64) + Send + 'static) {
        self.add(name, missing, move || {
            let seed = Seed(number("MNEMON_TEST_SEED").unwrap_or_else(|| RandomState::new().hash_one(name)));
            run(seed.0);
        });
    }

    /// Says on stderr why tests are ignored, runs the others, and ends the process.
    pub fn run(self) -> ! {
        for reason in &self.reasons {
            eprintln!("skipped: {reason}");
        }
        let mut arguments = Arguments::from_args();
        if self.one_at_a_time {
            arguments.test_threads = Some(1);
        }
        libtest_mimic::run(&arguments, self.trials).exit()
    }
}

/// Which of these variables are not set, as the reason why a test is ignored.
pub fn unset(variables: &[&str]) -> Option<String> {
    let is_unset = |name: &&str| std::env::var_os(name).is_none_or(|value| value.is_empty());
    let unset: Vec<&str> = variables.iter().copied().filter(is_unset).collect();
    (!unset.is_empty()).then(|| format!("{} not set", unset.join(" and ")))
}

/// The Qdrant binary, of which tests start their own servers.
pub fn qdrant_binary() -> Option<PathBuf> {
    match Qdrant::from_env()? {
        TestQdrant::Binary(binary) => Some(binary),
        TestQdrant::Url(_) => None,
    }
}

/// The reason why tests that kill their Qdrant are ignored, if they are.
pub fn without_qdrant_binary() -> Option<String> {
    let reason = || format!("{QDRANT} is not the path of a Qdrant binary, and these tests kill their server");
    qdrant_binary().is_none().then(reason)
}

/// A number from the environment.
///
/// # Panics
/// If the variable has another value.
pub fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {value}")))
}

/// The value of `MNEMON_TEST_KILLS`: the number of times that a process is killed.
pub fn kills(default: u64) -> u64 {
    number("MNEMON_TEST_KILLS").unwrap_or(default)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_lacks_something_is_ignored() {
        let mut trials = Trials::new();
        trials.add("runs", None, || ());
        trials.add("lacks", Some("a server"), || ());
        trials.add_fallible("lacks too", Some("a server"), || Ok(()));
        trials.add_seeded("seeded", Some("a disk"), |_| ());
        let ignored: Vec<(&str, bool)> =
            trials.trials.iter().map(|trial| (trial.name(), trial.has_ignored_flag())).collect();
        assert_eq!(ignored, [("runs", false), ("lacks", true), ("lacks too", true), ("seeded", true)]);
        assert_eq!(trials.reasons.iter().collect::<Vec<_>>(), ["a disk", "a server"]);
    }

    #[test]
    fn unset_variables_are_named() {
        assert_eq!(unset(&["PATH"]), None);
        let reason = unset(&["MNEMON_TEST_NONE", "PATH", "MNEMON_TEST_NEITHER"]).unwrap();
        assert_eq!(reason, "MNEMON_TEST_NONE and MNEMON_TEST_NEITHER not set");
    }
}
