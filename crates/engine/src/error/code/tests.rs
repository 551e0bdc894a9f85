use std::collections::BTreeSet;
use std::fmt::Write;

use super::*;

const ERRORS_MD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
const SERVER_MD: &str = include_str!("../../../../../docs/server.md");

const INTRODUCTION: &str = "# Error codes

Every error has a stable code. The command line prints it with `--json` as `error.code`; the HTTP API sends it as `code`. The
same error has the same code in both. An exit code of 1 means a failure, 2 wrong arguments or settings, 3 differences that a
check found, 4 a refusal to prevent the loss of data.

The hint is the one that the HTTP API sends if it has no better one for the request. Settings are named by their key; see
[settings.md](settings.md).

This file is generated from the table in `crates/engine/src/error/code.rs` by
`UPDATE_DOCS=1 cargo test -p mnemon-engine --lib errors_md`.
";

/// The text of docs/errors.md.
fn errors_md() -> String {
    let mut text = INTRODUCTION.to_owned();
    let (sent, local): (Vec<ErrorCode>, Vec<ErrorCode>) =
        ErrorCode::ALL.iter().partition(|code| code.status().is_some());
    text.push_str(
        "\n## Over HTTP and on the command line\n\n| code | status | exit | meaning | hint |\n|---|---|---|---|---|\n",
    );
    for code in sent {
        let (status, hint) = (code.status().unwrap_or_default(), code.hint().unwrap_or_default());
        let _ =
            writeln!(text, "| `{}` | {status} | {} | {} | {hint} |", code.as_str(), code.exit() as u8, code.meaning());
    }
    text.push_str("\n## On the command line only\n\n");
    text.push_str("Over HTTP such an error is a fault of the server: it answers 500 with `internal`, or with\n");
    text.push_str("`datastore_unavailable` if the store failed, and its log has the reason.\n\n");
    text.push_str("| code | exit | meaning |\n|---|---|---|\n");
    for code in local {
        let _ = writeln!(text, "| `{}` | {} | {} |", code.as_str(), code.exit() as u8, code.meaning());
    }
    text
}

#[test]
fn names_are_unique_and_in_snake_case() {
    let names: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), ErrorCode::ALL.len());
    for name in names {
        let is_snake_case =
            name.split('_').all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase()));
        assert!(is_snake_case, "{name}");
    }
}

#[test]
fn every_row_is_that_of_its_variant() {
    for code in ErrorCode::ALL {
        let variant: String = code
            .as_str()
            .split('_')
            .flat_map(|word| [&word[..1].to_uppercase(), &word[1..]].concat().chars().collect::<Vec<_>>())
            .collect();
        assert_eq!(format!("{code:?}"), variant);
    }
}

#[test]
fn statuses_exit_codes_and_sentences_fit_together() {
    for code in ErrorCode::ALL {
        let name = code.as_str();
        assert!(code.status().is_none_or(|status| (400..600).contains(&status)), "{name}");
        assert!(!matches!(code.exit(), Exit::Ok | Exit::Differences), "{name}");
        assert!(code.meaning().ends_with('.'), "{name}");
        let hint = code.hint().unwrap_or("none.");
        assert!(hint.ends_with('.') && !hint.contains("--") && !hint.contains("MNEMON_"), "{name}: {hint}");
        assert!(code.status().is_some() || code.hint().is_none(), "{name} has a hint that nobody reads");
    }
}

#[test]
fn the_table_of_docs_server_md_lists_every_code_with_its_status() {
    for code in ErrorCode::ALL {
        let Some(status) = code.status() else { continue };
        let row = SERVER_MD.lines().find(|line| line.starts_with(&format!("| {status} |"))).unwrap_or_default();
        assert!(
            row.contains(&format!("`{}`", code.as_str())),
            "docs/server.md: {status} `{}` is missing",
            code.as_str()
        );
    }
}

#[test]
fn errors_md_is_up_to_date() {
    let expected = errors_md();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(ERRORS_MD, &expected).unwrap();
    }
    let found = std::fs::read_to_string(ERRORS_MD).unwrap_or_default();
    assert!(
        found == expected,
        "docs/errors.md is out of date; update it with `UPDATE_DOCS=1 cargo test -p mnemon-engine --lib errors_md`"
    );
}
