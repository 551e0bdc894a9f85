//! Tests of stores on real servers. If the variable of a server is not set, its tests are reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a test that can't continue has failed")]

mod postgres;
mod qdrant;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let trials: Vec<Trial> = [postgres::trials(), qdrant::trials()].into_iter().flatten().collect();
    libtest_mimic::run(&arguments, trials).exit();
}
