//! The local MiniLM, compared with vectors that `compat/minilm/golden.py` computed in float64 without code of this crate.
//!
//! The weights are in the folder that MNEMON_TEST_MINILM names (`compat/minilm/setup.sh` creates one). Without it, or
//! without the feature `minilm`, these tests are reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[cfg(feature = "minilm")]
mod embedder;

use mnemon_testbed::trials::Trials;

fn main() {
    let mut trials = Trials::new();
    add_tests(&mut trials);
    trials.run();
}

#[cfg(feature = "minilm")]
fn add_tests(trials: &mut Trials) {
    const VARIABLE: &str = "MNEMON_TEST_MINILM";
    let missing = mnemon_testbed::trials::unset(&[VARIABLE]);
    for (name, test) in embedder::TESTS {
        trials.add(name, missing.as_deref(), move || test(std::env::var_os(VARIABLE).unwrap().as_ref()));
    }
}

#[cfg(not(feature = "minilm"))]
fn add_tests(trials: &mut Trials) {
    trials.add("minilm", Some("the feature `minilm` is off"), || {});
}
