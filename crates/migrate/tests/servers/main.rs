//! Backups and migrations with a real Qdrant. If the variable with its address is not set, the tests are reported as
//! ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backups;
mod collections;
mod proxy;

use libtest_mimic::{Arguments, Trial};
use mnemon_testbed::QDRANT;

fn main() {
    let arguments = Arguments::from_args();
    let missing = std::env::var_os(QDRANT).is_none_or(|value| value.is_empty());
    if missing {
        eprintln!("skipped: backups and migrations: {QDRANT} not set");
    }
    let trial = |&(name, test): &(&'static str, fn())| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing)
    };
    libtest_mimic::run(&arguments, backups::ALL.iter().chain(collections::ALL).map(trial).collect()).exit();
}
