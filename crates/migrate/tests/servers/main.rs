//! Backups and migrations with a real Qdrant. If the variable with its address is not set, the tests are reported as
//! ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backups;
mod collections;
mod proxy;

use mnemon_testbed::QDRANT;
use mnemon_testbed::trials::{Trials, unset};

fn main() {
    let missing = unset(&[QDRANT]);
    let mut trials = Trials::new();
    for &(name, test) in backups::ALL.iter().chain(collections::ALL) {
        trials.add(name, missing.as_deref(), test);
    }
    trials.run();
}
