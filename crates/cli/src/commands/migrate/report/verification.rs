//! The report of a comparison of source and target.

use std::fmt::Write;
use std::time::Duration;

use mnemon_migrate::{MigrationState, Part, PartState, Phase, TargetSpec, VerificationReport, WordSearch};
use serde_json::{Value, json};

use super::texts::{MAX_USERS, WITHOUT_ENTITIES};
use crate::output::truncate;

pub(crate) fn verification_to_json(verified: &VerificationReport, took: Duration) -> Value {
    let word = |word: &WordSearch| json!({"user": word.user, "word": word.word, "memory": word.memory.to_string(), "found": word.found});
    let differences: Vec<Value> = verified
        .differences
        .iter()
        .map(|difference| json!({"id": difference.id.to_string(), "what": difference.what}))
        .collect();
    let entities = verified.entities.as_ref().map(|found| {
        json!({
            "expected": found.expected,
            "missing": found.missing,
            "links_differ": found.links,
            "vectors_differ": found.vectors,
            "differences": found.differences,
        })
    });
    let history = verified.history.as_ref().map(|found| {
        json!({
            "rows": found.rows,
            "memories": found.memories,
            "missing": found.missing,
            "differ": found.differ,
            "messages_missing": found.messages,
            "lost": found.lost,
            "unreadable": found.unreadable,
            "differences": found.differences,
        })
    });
    json!({
        "ok": verified.is_green(),
        "points": verified.points,
        "missing": verified.missing,
        "vectors_differ": verified.vectors,
        "payloads_differ": verified.payloads,
        "sparse_differ": verified.sparse,
        "more": verified.extra,
        "users_differ": verified.users,
        "indexes_missing": verified.indexes,
        "entities": entities,
        "history": history,
        "words": verified.words.iter().map(word).collect::<Vec<_>>(),
        "differences": differences,
        "seconds": took.as_secs_f64(),
    })
}

pub(crate) fn verification_to_text(verified: &VerificationReport, state: &MigrationState) -> String {
    let verdict = if verified.is_green() { "GREEN: nothing is lost" } else { "RED: see the differences below" };
    let mut text = format!("# {verdict}\n\n{} points compared\n\n", verified.points);
    write_comparison(verified, &mut text);
    if state.without_entities {
        let _ = writeln!(text, "\n{WITHOUT_ENTITIES}");
    }
    let _ = writeln!(text, "\nnext: {}", next_command(verified, state));
    text
}

/// The command that removes the differences, or the one that follows if there are none.
fn next_command(verified: &VerificationReport, state: &MigrationState) -> &'static str {
    let rebuilt = |part: Part| {
        let parts = state.ended.get(&Phase::Rebuild).map(|rebuilt| &rebuilt.parts);
        parts.and_then(|parts| parts.get(&part)).is_some_and(|part| part.state == PartState::Done)
    };
    let entities = verified.entities.as_ref().is_some_and(|entities| !entities.is_green());
    let rewrite = verified.changed_in_target > 0 || verified.words.iter().any(|word| !word.found);
    let history = verified.history.as_ref().filter(|history| !history.is_green());
    if verified.is_green() {
        "mnemon migrate cutover"
    } else if history.is_some_and(|history| history.unreadable.is_some() || history.lost > 0) {
        "put mem0's history.db back, or give its place (mnemon migrate rebuild --history FILE, or --without-history to leave it \
         out); then verify again"
    } else if verified.extra > 0
        && !matches!(state.route.as_ref().map(|route| &route.target), Some(TargetSpec::InPlace))
    {
        "remove those memories from the target, or start over with another --target and --dir"
    } else if history.is_some_and(|history| history.differ > 0) {
        "check the rows of the history in both: the target keeps a row that it has; start over with another --target and --dir \
         to take those of the file"
    } else if rewrite || entities && rebuilt(Part::Entities) && verified.missing + verified.payloads == 0 {
        "mnemon migrate rebuild --again, then verify again"
    } else if entities && !rebuilt(Part::Entities) {
        "mnemon migrate rebuild with the embedding model that mem0 used (MNEMON_EMBEDDER), or with --without-entities; then \
         verify again"
    } else {
        "mnemon migrate rebuild, then verify again"
    }
}

pub(super) fn write_comparison(verified: &VerificationReport, text: &mut String) {
    let _ = writeln!(text, "## Point by point\n\n| compared | differences |\n|---|---|");
    for (what, count) in [
        ("missing ids", verified.missing),
        ("vectors, bit by bit", verified.vectors),
        ("payloads, every key", verified.payloads),
        ("sparse vectors, recomputed", verified.sparse),
        ("counts per user", verified.users.len()),
        ("memories that the source lacks", verified.extra),
        ("missing indexes", verified.indexes.len()),
    ] {
        let _ = writeln!(text, "| {what} | {count} |");
    }
    if let Some(entities) = &verified.entities {
        for (what, count) in [
            ("missing entities", entities.missing),
            ("links of entities", entities.links),
            ("vectors of entities", entities.vectors),
        ] {
            let _ = writeln!(text, "| {what} | {count} |");
        }
    }
    if let Some(error) = verified.history.as_ref().and_then(|history| history.unreadable.as_ref()) {
        let _ = writeln!(text, "| history | NOT COMPARED |\n- {error}");
    } else if let Some(history) = &verified.history {
        for (what, count) in [
            ("missing rows of the history", history.missing),
            ("rows of the history", history.differ),
            ("missing messages of the history", history.messages),
            ("imported rows that the file no longer has", history.lost),
        ] {
            let _ = writeln!(text, "| {what} | {count} |");
        }
    }
    if verified.extra > 0 {
        let _ = writeln!(
            text,
            "- memories that the source lacks were written by other programs, or left by `rollback --drop-writes`: to exclude \
             them, start a new migration with another --target and another --dir"
        );
    }
    for difference in &verified.differences {
        let _ = writeln!(text, "- {}: {}", difference.id, difference.what);
    }
    let entities = verified.entities.iter().flat_map(|entities| &entities.differences);
    let history = verified.history.iter().flat_map(|history| &history.differences);
    for difference in entities.chain(history) {
        let _ = writeln!(text, "- {difference}");
    }
    for (user, [expected, found]) in verified.users.iter().take(MAX_USERS) {
        let _ = writeln!(text, "- {}: {expected} expected, {found} found", truncate(user, 60));
    }
    for key in &verified.indexes {
        let _ = writeln!(text, "- no index of `{key}`");
    }
    if verified.words.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## Search for a rare word, with the sparse vector only\n");
    for word in &verified.words {
        let mark = if word.found { "found first" } else { "NOT FOUND" };
        let user = truncate(&word.user, 30);
        let _ = writeln!(text, "- `{}` of {user}: {mark}: {}", word.word, truncate(&word.text, 60));
    }
}
