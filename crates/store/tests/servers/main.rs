//! Stores on real servers. Where a server is not named by its variable, its trials are reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod postgres;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = [postgres::trials()].into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit();
}
