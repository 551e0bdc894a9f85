//! What phases found and did, as JSON and as text that is read in two minutes.

use std::fmt::Write;
use std::time::Duration;

use mnemon_migrate::source::SourceInfo;
use mnemon_migrate::{
    Anomaly, CutoverReport, Migration, Preflight, RebuildReport, Rehearsal, RollbackReport, Route, Survey, SyncReport,
    Verification, WordFound,
};
use serde_json::{Value, json};

use crate::output::shortened;

/// Users listed for people; programs get all.
const USERS: usize = 12;

pub(super) fn to_json(rehearsal: &Rehearsal) -> Value {
    let Rehearsal { about, survey, copied, entities, verified, verify_took } = rehearsal;
    let mut copied = of_pass(copied);
    copied["entities"] = json!(entities);
    json!({
        "ok": rehearsal.is_green(),
        "source": of_source(about),
        "by_user": survey.by_user,
        "anomalies": of_anomalies(survey),
        "copied": copied,
        "verified": of_verification(verified, *verify_took),
    })
}

fn of_source(about: &SourceInfo) -> Value {
    json!({
        "place": about.place,
        "points": about.points,
        "dims": about.dims,
        "shards": about.shards,
        "bm25": about.has_bm25,
        "indexed": about.indexed,
    })
}

fn of_anomalies(survey: &Survey) -> Vec<Value> {
    let anomaly = |anomaly: &Anomaly| {
        let examples: Vec<String> = anomaly.examples.iter().map(ToString::to_string).collect();
        json!({"kind": anomaly.kind, "count": anomaly.count, "detail": anomaly.detail, "examples": examples})
    };
    survey.anomalies.iter().map(anomaly).collect()
}

fn of_pass(passed: &SyncReport) -> Value {
    let busy: serde_json::Map<String, Value> =
        passed.busy.iter().map(|(step, took)| ((*step).to_owned(), json!(took.as_secs_f64()))).collect();
    json!({
        "seen": passed.seen,
        "added": passed.added,
        "changed": passed.changed,
        "removed": passed.removed,
        "seconds": passed.took.as_secs_f64(),
        "points_per_second": rate(passed.seen, passed.took),
        "busy_seconds": busy,
    })
}

pub(super) fn of_preflight(found: &Preflight) -> Value {
    json!({
        "ok": found.is_clear(),
        "source": of_source(&found.about),
        "qdrant_version": found.version,
        "points": found.survey.points,
        "by_user": found.survey.by_user,
        "anomalies": of_anomalies(&found.survey),
        "obstacles": found.obstacles,
        "notes": found.notes,
        "counts_differ": found.counts_differ,
    })
}

pub(super) fn preflight(found: &Preflight, migration: &Migration) -> String {
    let mut text = String::new();
    if let Ok(route) = migration.route() {
        let _ = writeln!(text, "{route}\n");
    }
    looked(found, &mut text);
    for (user, [told, there]) in &found.counts_differ {
        let _ = writeln!(text, "DIFFERS: {}: {told} were told, {there} are there", shortened(user, 60));
    }
    let file = migration.folder().join(mnemon_migrate::COUNTS);
    let _ = writeln!(text, "\ncounts by user: {}", file.display());
    let next =
        if found.is_clear() { "mnemon migrate backup" } else { "mend what stands in the way, then preflight again" };
    let _ = writeln!(text, "next: {next}");
    text
}

pub(super) fn dry_run(found: &Preflight, route: &Route) -> String {
    let mut text = format!("{route}: nothing is changed by --dry-run\n\n");
    looked(found, &mut text);
    text
}

fn looked(found: &Preflight, text: &mut String) {
    let Preflight { about, version, survey, obstacles, notes, .. } = found;
    let version = version.as_ref().map_or(String::new(), |version| format!(" on Qdrant {version}"));
    let slot = if about.has_bm25 { "with" } else { "without" };
    let _ = writeln!(text, "{} points of {} dims{version}, {slot} the bm25 slot\n", survey.points, about.dims);
    users(survey, text);
    anomalies(survey, text);
    for note in notes {
        let _ = writeln!(text, "\nnote: {note}");
    }
    for obstacle in obstacles {
        let _ = writeln!(text, "\nIN THE WAY: {obstacle}");
    }
}

pub(super) fn of_rebuilt(rebuilt: &RebuildReport) -> Value {
    json!({
        "passes": rebuilt.passes.iter().map(of_pass).collect::<Vec<_>>(),
        "entities": rebuilt.entities,
        "with_entities": rebuilt.with_entities,
    })
}

pub(super) fn rebuilt(rebuilt: &RebuildReport, history: &Value) -> String {
    let mut text = String::new();
    for (at, passed) in rebuilt.passes.iter().enumerate() {
        let _ = writeln!(
            text,
            "pass {}: {} points seen, {} added, {} changed, {} removed in {:.1?} ({:.0} a second)",
            at + 1,
            passed.seen,
            passed.added,
            passed.changed,
            passed.removed,
            passed.took,
            rate(passed.seen, passed.took)
        );
    }
    if rebuilt.passes.last().is_some_and(|last| !last.is_idle()) {
        let _ = writeln!(text, "writes go on in the source: cutover carries over the last ones");
    }
    let _ = match rebuilt.with_entities {
        true => writeln!(text, "{} entities", rebuilt.entities),
        false => writeln!(text, "no entities: no embedder makes vectors of the collection's dims (MNEMON_EMBEDDER)"),
    };
    if let Some(rows) = history.as_u64() {
        let _ = writeln!(text, "{rows} rows of mem0's history");
    }
    let _ = writeln!(text, "next: mnemon migrate verify");
    text
}

pub(super) fn of_cutover(done: &CutoverReport) -> Value {
    json!({"ok": true, "switch": done.switch, "already": done.already, "last_pass": of_pass(&done.last), "late_pass": of_pass(&done.late)})
}

pub(super) fn cutover(done: &CutoverReport) -> String {
    let carried = |passed: &SyncReport| passed.added + passed.changed + passed.removed;
    if done.already {
        return format!("switched before, and nothing was done now: {}\n", done.switch);
    }
    format!(
        "switched: {}\ncarried over before the switch: {} writes; while it was switched: {}\nnext: mnemon migrate retire, after \
         the retention date; mnemon migrate rollback goes back with the writes made since\n",
        done.switch,
        carried(&done.last),
        carried(&done.late)
    )
}

pub(super) fn of_rollback(done: &RollbackReport) -> Value {
    json!({
        "ok": true,
        "switch": done.switch,
        "dropped": done.dropped,
        "carried": of_pass(&done.carried),
        "replaced": done.replaced,
    })
}

pub(super) fn rollback(done: &RollbackReport) -> String {
    let RollbackReport { carried, dropped, switch, replaced } = done;
    let mut text = format!("switched back: {switch}\n");
    let _ = match dropped {
        true => writeln!(text, "the writes made since the cutover were left in the new store"),
        false => writeln!(
            text,
            "carried back: {} added, {} changed, {} removed",
            carried.added, carried.changed, carried.removed
        ),
    };
    if let Some(file) = replaced {
        let _ = writeln!(text, "what they replaced is kept in {}", file.display());
    }
    text
}

pub(super) fn of_verification(verified: &Verification, took: Duration) -> Value {
    let word = |word: &WordFound| json!({"user": word.user, "word": word.word, "memory": word.memory.to_string(), "found": word.found});
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
        "indexes_missing": verified.indexes,
        "words": verified.words.iter().map(word).collect::<Vec<_>>(),
        "differences": differences,
        "seconds": took.as_secs_f64(),
    })
}

pub(super) fn markdown(rehearsal: &Rehearsal) -> String {
    let Rehearsal { about, survey, copied, entities, verified, verify_took } = rehearsal;
    let mut text = String::new();
    let verdict = if rehearsal.is_green() { "GREEN: nothing is lost" } else { "RED: see the differences below" };
    let _ = writeln!(text, "# Rehearsal of the migration\n\n**{verdict}**\n");
    let slot = if about.has_bm25 { "has the bm25 slot" } else { "no bm25 slot: finds by meaning only" };
    let _ = writeln!(
        text,
        "- source: {} ({} points, {} dims, {} shards; {slot})",
        about.place, about.points, about.dims, about.shards
    );
    let _ = writeln!(
        text,
        "- carried over: {} points in {:.1?} ({:.0} a second), lemmas and sparse vectors added, {entities} entities",
        copied.seen,
        copied.took,
        rate(copied.seen, copied.took)
    );
    if *entities == 0 && survey.points > 0 {
        let _ = writeln!(
            text,
            "- no entities: they need the embedder that made the collection's {}-dim vectors (MNEMON_EMBEDDER)",
            about.dims
        );
    }
    let _ = writeln!(text, "- compared: {} points in {:.1?}\n", verified.points, verify_took);
    compared(verified, &mut text);
    let _ = writeln!(text, "\n## Users ({})\n", survey.by_user.len());
    users(survey, &mut text);
    anomalies(survey, &mut text);
    text
}

pub(super) fn verification(verified: &Verification) -> String {
    let verdict = if verified.is_green() { "GREEN: nothing is lost" } else { "RED: see the differences below" };
    let mut text = format!("# {verdict}\n\n{} points compared\n\n", verified.points);
    compared(verified, &mut text);
    let next = match verified.is_green() {
        true => "mnemon migrate cutover",
        false => "mnemon migrate rebuild, then verify again",
    };
    let _ = writeln!(text, "\nnext: {next}");
    text
}

fn compared(verified: &Verification, text: &mut String) {
    let _ = writeln!(text, "## Compared, point by point\n\n| what | differs |\n|---|---|");
    for (what, count) in [
        ("ids", verified.missing),
        ("vectors, bit by bit", verified.vectors),
        ("payloads, every key", verified.payloads),
        ("sparse vectors, computed anew", verified.sparse),
        ("counts of users", verified.users.len()),
        ("memories that the source does not have", verified.more),
        ("indexes that are missing", verified.indexes.len()),
    ] {
        let _ = writeln!(text, "| {what} | {count} |");
    }
    if verified.more > 0 {
        let _ = writeln!(
            text,
            "- memories that the source does not have were written by others, or left by `rollback --drop-writes`: to keep \
             them out, begin anew with another --target and another --dir"
        );
    }
    for difference in &verified.differences {
        let _ = writeln!(text, "- {}: {}", difference.id, difference.what);
    }
    for (user, [expected, found]) in verified.users.iter().take(USERS) {
        let _ = writeln!(text, "- {}: {expected} expected, {found} found", shortened(user, 60));
    }
    for key in &verified.indexes {
        let _ = writeln!(text, "- no index of `{key}`");
    }
    if verified.words.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## Searched by a rare word, by its sparse vector alone\n");
    for word in &verified.words {
        let mark = if word.found { "found first" } else { "NOT FOUND" };
        let user = shortened(&word.user, 30);
        let _ = writeln!(text, "- `{}` of {user}: {mark}: {}", word.word, shortened(&word.text, 60));
    }
}

fn users(survey: &Survey, text: &mut String) {
    let mut users: Vec<(&String, &usize)> = survey.by_user.iter().collect();
    users.sort_by_key(|(user, count)| (std::cmp::Reverse(**count), *user));
    for (user, count) in users.iter().take(USERS) {
        let _ = writeln!(text, "    {}: {count}", shortened(user, 60));
    }
    if users.len() > USERS {
        let _ = writeln!(text, "    and {} more", users.len() - USERS);
    }
}

fn anomalies(survey: &Survey, text: &mut String) {
    if survey.anomalies.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## Odd, and what happens to it\n\n| how many | what |\n|---|---|");
    for anomaly in &survey.anomalies {
        let _ = writeln!(text, "| {} | {} |", anomaly.count, anomaly.detail);
    }
}

fn rate(points: usize, took: Duration) -> f64 {
    points as f64 / took.as_secs_f64().max(1e-6)
}
