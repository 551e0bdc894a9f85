//! The local MiniLM, compared with vectors that `compat/minilm/golden.py` computed in float64 without code of this crate.
//!
//! The weights are in the folder that MNEMON_TEST_MINILM names (`compat/minilm/setup.sh` creates one). Without it, or
//! without the feature `minilm`, these tests are reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[cfg(feature = "minilm")]
mod embedder;

use libtest_mimic::{Arguments, Trial};

const VARIABLE: &str = "MNEMON_TEST_MINILM";

#[cfg(feature = "minilm")]
fn trials(folder: Option<std::path::PathBuf>) -> Vec<Trial> {
    let missing = folder.is_none();
    if missing {
        eprintln!("skipped: minilm: {VARIABLE} is not set");
    }
    let trial = |(name, test): (&str, embedder::Test)| {
        let folder = folder.clone();
        let run = move || {
            test(&folder.unwrap());
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(missing)
    };
    embedder::TESTS.into_iter().map(trial).collect()
}

#[cfg(not(feature = "minilm"))]
fn trials(_: Option<std::path::PathBuf>) -> Vec<Trial> {
    eprintln!("skipped: minilm: the feature `minilm` is off");
    vec![Trial::test("minilm", || Ok(())).with_ignored_flag(true)]
}

fn main() {
    let arguments = Arguments::from_args();
    libtest_mimic::run(&arguments, trials(std::env::var_os(VARIABLE).map(Into::into))).exit();
}
