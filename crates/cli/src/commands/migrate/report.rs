//! What a rehearsal showed, as JSON and as Markdown that is read in two minutes.

use std::fmt::Write;
use std::time::Duration;

use mnemon_migrate::{Anomaly, Rehearsal, Verification, WordFound};
use serde_json::{Value, json};

use crate::output::shortened;

/// Users listed for people; programs get all.
const USERS: usize = 12;

pub(super) fn to_json(rehearsal: &Rehearsal) -> Value {
    let Rehearsal { about, survey, copied, entities, verified, verify_took, words } = rehearsal;
    let anomaly = |anomaly: &Anomaly| {
        let examples: Vec<String> = anomaly.examples.iter().map(ToString::to_string).collect();
        json!({"kind": anomaly.kind, "count": anomaly.count, "detail": anomaly.detail, "examples": examples})
    };
    let word = |word: &WordFound| json!({"user": word.user, "word": word.word, "memory": word.memory.to_string(), "found": word.found});
    json!({
        "ok": rehearsal.is_green(),
        "source": {
            "place": about.place,
            "points": about.points,
            "dims": about.dims,
            "shards": about.shards,
            "bm25": about.has_bm25,
            "indexed": about.indexed,
        },
        "by_user": survey.by_user,
        "anomalies": survey.anomalies.iter().map(anomaly).collect::<Vec<_>>(),
        "copied": {
            "written": copied.written,
            "unchanged": copied.unchanged,
            "entities": entities,
            "seconds": copied.took.as_secs_f64(),
            "points_per_second": rate(copied.written + copied.unchanged, copied.took),
        },
        "verified": of_verification(verified, *verify_took),
        "words": words.iter().map(word).collect::<Vec<_>>(),
    })
}

fn of_verification(verified: &Verification, took: Duration) -> Value {
    let differences: Vec<Value> = verified
        .differences
        .iter()
        .map(|difference| json!({"id": difference.id.to_string(), "what": difference.what}))
        .collect();
    json!({
        "ok": verified.is_green(),
        "points": verified.points,
        "missing": verified.missing,
        "vectors_differ": verified.vectors,
        "payloads_differ": verified.payloads,
        "sparse_differ": verified.sparse,
        "more": verified.more,
        "users_differ": verified.users,
        "differences": differences,
        "seconds": took.as_secs_f64(),
    })
}

pub(super) fn markdown(rehearsal: &Rehearsal) -> String {
    let Rehearsal { about, survey, copied, entities, verified, verify_took, words } = rehearsal;
    let mut text = String::new();
    let verdict = if rehearsal.is_green() { "GREEN: nothing is lost" } else { "RED: see the differences below" };
    let _ = writeln!(text, "# Rehearsal of the migration\n\n**{verdict}**\n");
    let slot = if about.has_bm25 { "has the bm25 slot" } else { "no bm25 slot: finds by meaning only" };
    let _ = writeln!(
        text,
        "- source: {} ({} points, {} dims, {} shards; {slot})",
        about.place, about.points, about.dims, about.shards
    );
    let took = copied.took;
    let _ = writeln!(
        text,
        "- carried over: {} points in {:.1?} ({:.0} a second), lemmas and sparse vectors added, {entities} entities",
        copied.written + copied.unchanged,
        took,
        rate(copied.written + copied.unchanged, took)
    );
    if *entities == 0 && survey.points > 0 {
        let _ = writeln!(
            text,
            "- no entities: they need the embedder that made the collection's {}-dim vectors",
            about.dims
        );
    }
    let _ = writeln!(text, "- compared: {} points in {:.1?}\n", verified.points, verify_took);
    let _ = writeln!(text, "## Compared, point by point\n\n| what | differs |\n|---|---|");
    for (what, count) in [
        ("ids", verified.missing),
        ("vectors, bit by bit", verified.vectors),
        ("payloads, every key", verified.payloads),
        ("sparse vectors, computed anew", verified.sparse),
        ("counts of users", verified.users.len()),
        ("memories that the source does not have", verified.more),
    ] {
        let _ = writeln!(text, "| {what} | {count} |");
    }
    for difference in &verified.differences {
        let _ = writeln!(text, "- {}: {}", difference.id, difference.what);
    }
    let _ = writeln!(text, "\n## Users ({})\n", survey.by_user.len());
    let mut users: Vec<(&String, &usize)> = survey.by_user.iter().collect();
    users.sort_by_key(|(user, count)| (std::cmp::Reverse(**count), *user));
    for (user, count) in users.iter().take(USERS) {
        let _ = writeln!(text, "    {}: {count}", shortened(user, 60));
    }
    if users.len() > USERS {
        let _ = writeln!(text, "    and {} more", users.len() - USERS);
    }
    if !survey.anomalies.is_empty() {
        let _ = writeln!(text, "\n## Odd, and what happens to it\n\n| how many | what |\n|---|---|");
        for anomaly in &survey.anomalies {
            let _ = writeln!(text, "| {} | {} |", anomaly.count, anomaly.detail);
        }
    }
    if !words.is_empty() {
        let _ = writeln!(text, "\n## Searched by a word that one memory holds\n");
        for word in words {
            let mark = if word.found { "found first" } else { "NOT FOUND" };
            let user = shortened(&word.user, 30);
            let _ = writeln!(text, "- `{}` of {user}: {mark}: {}", word.word, shortened(&word.text, 60));
        }
    }
    text
}

fn rate(points: usize, took: Duration) -> f64 {
    points as f64 / took.as_secs_f64().max(1e-6)
}
