//! Runs the commands of docs/cli.md and compares their output, except for ids, times and last digits.

use std::process::Command;
use std::sync::LazyLock;

static TOUR: LazyLock<String> =
    LazyLock::new(|| std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md")).unwrap());

/// The code blocks of one language.
fn blocks<'r>(text: &'r str, kind: &str) -> Vec<&'r str> {
    let open = format!("```{kind}\n");
    text.split(&open).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// The text without ids, times, and the last digits of scores, which depend on the processor.
fn redacted(text: &str) -> String {
    let mut line = String::new();
    let mut digits = String::new();
    // Sequences of 19 or more hexadecimal digits, dashes and colons are ids or times.
    for char in text.chars().chain(['\0']) {
        if char.is_ascii_hexdigit() || matches!(char, '-' | ':' | 'T' | '.') {
            digits.push(char);
            continue;
        }
        match digits.strip_prefix(":0.").map(str::len) {
            _ if digits.len() >= 19 => line.push('…'),
            Some(6..) => line.push_str(&digits[..":0.12345".len()]),
            _ => line.push_str(&digits),
        }
        digits.clear();
        line.push(char);
    }
    line.trim_end_matches('\0').trim_end().to_owned()
}

#[test]
fn the_tour_shows_the_real_output() {
    let commands = blocks(&TOUR, "sh");
    let outputs = blocks(&TOUR, "text");
    // The first block sets the environment and prints nothing.
    assert_eq!(commands.len(), outputs.len() + 1);
    let folder = tempfile::tempdir().unwrap();
    let binary = assert_cmd::cargo::cargo_bin!("mnemon");
    let mut script = "exec 2>&1\nexport MNEMON_STORE=sqlite:try.db\n".to_owned();
    for block in &commands[1..] {
        script.push_str(&format!("{block}\necho '@@'\n"));
    }
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    let run = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(run.stdout).unwrap();
    for ((block, expected), got) in commands[1..].iter().zip(&outputs).zip(printed.split("@@\n")) {
        assert_eq!(redacted(got), redacted(expected), "after:\n{block}");
    }
}
