//! The first line of `mnemon serve --json`.

use std::io::{BufRead, BufReader};
use std::process::ChildStdout;

use serde_json::Value;

/// Waits until a server listens and returns its URL.
pub(crate) fn url(stdout: ChildStdout) -> String {
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let first: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("mnemon does not start: {line}"));
    first["listening"].as_str().unwrap().to_owned()
}
