//! Tests of stores on real servers. If the variable of a server is not set, its tests are reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a test that can't continue has failed")]

mod postgres;
mod qdrant;

use mnemon_testbed::trials::Trials;

fn main() {
    let mut trials = Trials::new();
    postgres::add_tests(&mut trials);
    qdrant::add_tests(&mut trials);
    trials.run();
}
