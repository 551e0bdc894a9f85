//! Reports of the phases, as JSON and as text.

mod texts;
mod verification;

use std::fmt::Write;
use std::time::Duration;

use mnemon_migrate::source::SourceInfo;
use mnemon_migrate::{
    Anomaly, CutoverReport, Migration, PreflightReport, RebuildReport, RehearsalReport, RollbackReport, Route, Survey,
    SyncReport,
};
use serde_json::{Value, json};

pub(super) use texts::WITHOUT_ENTITIES;
pub(super) use verification::{verification_to_json, verification_to_text};

use texts::MAX_USERS;
use verification::write_comparison;

use crate::error::migrate_hint::{note, obstacle};
use crate::output::truncate;

pub(super) fn rehearsal_to_json(rehearsal: &RehearsalReport) -> Value {
    let RehearsalReport { info, survey, copied, entities, verified, verify_took } = rehearsal;
    let mut copied = sync_to_json(copied);
    copied["entities"] = json!(entities.unwrap_or(0));
    copied["entities_rehearsed"] = json!(entities.is_some());
    json!({
        "ok": rehearsal.is_green(),
        "source": source_to_json(info),
        "by_user": survey.by_user,
        "anomalies": anomalies_to_json(survey),
        "copied": copied,
        "verified": verification_to_json(verified, *verify_took),
    })
}

fn source_to_json(info: &SourceInfo) -> Value {
    json!({
        "place": info.location,
        "points": info.points,
        "dims": info.dims,
        "shards": info.shards,
        "bm25": info.has_bm25,
        "indexed": info.indexed,
    })
}

fn anomalies_to_json(survey: &Survey) -> Vec<Value> {
    let anomaly = |anomaly: &Anomaly| {
        let examples: Vec<String> = anomaly.examples.iter().map(ToString::to_string).collect();
        json!({"kind": anomaly.kind, "count": anomaly.count, "detail": anomaly.detail, "examples": examples})
    };
    survey.anomalies.iter().map(anomaly).collect()
}

fn sync_to_json(sync: &SyncReport) -> Value {
    let busy: serde_json::Map<String, Value> =
        sync.busy.iter().map(|(step, took)| ((*step).to_owned(), json!(took.as_secs_f64()))).collect();
    json!({
        "seen": sync.seen,
        "added": sync.added,
        "changed": sync.changed,
        "entities_added": sync.analysed,
        "removed": sync.removed,
        "seconds": sync.took.as_secs_f64(),
        "points_per_second": rate(sync.seen, sync.took),
        "busy_seconds": busy,
    })
}

pub(super) fn preflight_to_json(found: &PreflightReport) -> Value {
    json!({
        "ok": found.is_clear(),
        "source": source_to_json(&found.info),
        "qdrant_version": found.version,
        "points": found.survey.points,
        "by_user": found.survey.by_user,
        "anomalies": anomalies_to_json(&found.survey),
        "entities": found.names.entities,
        "names": found.names.names,
        "names_seconds": found.names.takes.map(|takes| takes.as_secs_f64()),
        "obstacles": found.obstacles.iter().map(obstacle).collect::<Vec<_>>(),
        "notes": found.notes.iter().map(note).collect::<Vec<_>>(),
        "counts_differ": found.counts_differ,
    })
}

pub(super) fn preflight_to_text(found: &PreflightReport, migration: &Migration) -> String {
    let mut text = String::new();
    if let Ok(route) = migration.route() {
        let _ = writeln!(text, "{route}\n");
    }
    write_findings(found, &mut text);
    for (user, [expected, actual]) in &found.counts_differ {
        let _ = writeln!(text, "DIFFERS: {}: {expected} expected, {actual} found", truncate(user, 60));
    }
    let file = migration.folder().join(mnemon_migrate::COUNTS_FILE);
    let _ = writeln!(text, "\ncounts per user: {}", file.display());
    let next =
        if found.is_clear() { "mnemon migrate backup" } else { "remove the obstacles, then run preflight again" };
    let _ = writeln!(text, "next: {next}");
    text
}

pub(super) fn dry_run_to_text(found: &PreflightReport, route: &Route) -> String {
    let mut text = format!("{route}\ndry run: nothing is changed\n\n");
    write_findings(found, &mut text);
    text
}

fn write_findings(found: &PreflightReport, text: &mut String) {
    let PreflightReport { info, version, survey, names, obstacles, notes, .. } = found;
    let version = version.as_ref().map_or(String::new(), |version| format!(" on Qdrant {version}"));
    let bm25 = if info.has_bm25 { "with" } else { "without" };
    let _ = writeln!(text, "{} points, {} dims{version}, {bm25} bm25 vectors\n", survey.points, info.dims);
    write_users(survey, text);
    let takes = match names.takes {
        Some(takes) => format!("about {takes:.1?}, measured with a few of them"),
        None => "unknown, no embedder with these dims answers".to_owned(),
    };
    let _ = writeln!(text, "\nnames to embed: {} for {} entities; time: {takes}", names.names, names.entities);
    write_anomalies(survey, text);
    for found in notes {
        let _ = writeln!(text, "\nnote: {}", note(found));
    }
    for found in obstacles {
        let _ = writeln!(text, "\nOBSTACLE: {}", obstacle(found));
    }
}

pub(super) fn rebuild_to_json(rebuilt: &RebuildReport) -> Value {
    json!({
        "passes": rebuilt.passes.iter().map(sync_to_json).collect::<Vec<_>>(),
        "entities": rebuilt.entities,
        "with_entities": rebuilt.with_entities,
        "history_rows": rebuilt.history,
    })
}

pub(super) fn rebuild_to_text(rebuilt: &RebuildReport) -> String {
    let mut text = String::new();
    for (at, sync) in rebuilt.passes.iter().enumerate() {
        let _ = writeln!(
            text,
            "pass {}: {} points read, {} added, {} changed, {} removed in {:.1?} ({:.0} per second)",
            at + 1,
            sync.seen,
            sync.added,
            sync.changed,
            sync.removed,
            sync.took,
            rate(sync.seen, sync.took)
        );
    }
    if rebuilt.passes.last().is_some_and(|last| !last.is_idle()) {
        let _ = writeln!(text, "the source is still being written to: cutover copies the last writes");
    }
    let analysed: usize = rebuilt.passes.iter().map(|pass| pass.analysed).sum();
    if analysed > 0 {
        let _ = writeln!(text, "entities added for {analysed} points that had been copied without them");
    }
    if rebuilt.with_entities {
        let _ = writeln!(text, "{} entities", rebuilt.entities);
    }
    if let Some(rows) = rebuilt.history {
        let _ = writeln!(text, "{rows} history rows imported");
    }
    if !rebuilt.with_entities {
        let _ = writeln!(text, "{WITHOUT_ENTITIES}");
    }
    let _ = writeln!(text, "next: mnemon migrate verify");
    text
}

pub(super) fn cutover_to_json(done: &CutoverReport) -> Value {
    json!({
        "ok": true,
        "switch": done.switch,
        "already": done.already,
        "last_pass": sync_to_json(&done.last),
        "late_pass": sync_to_json(&done.late),
        "late_history_rows": done.late_history,
        "without_entities": done.without_entities,
    })
}

pub(super) fn cutover_to_text(done: &CutoverReport) -> String {
    let writes = |sync: &SyncReport| sync.added + sync.changed + sync.removed;
    if done.already {
        return format!("already switched, nothing was done: {}\n", done.switch);
    }
    let without = if done.without_entities { format!("{WITHOUT_ENTITIES}\n") } else { String::new() };
    format!(
        "switched: {}\n{without}writes copied before the switch: {}; during the switch: {}\nnext: mnemon migrate retire, after the retention \
         date; or mnemon migrate rollback, which keeps the writes made since\n",
        done.switch,
        writes(&done.last),
        writes(&done.late)
    )
}

pub(super) fn rollback_to_json(done: &RollbackReport) -> Value {
    json!({
        "ok": true,
        "switch": done.switch,
        "dropped": done.dropped,
        "carried": sync_to_json(&done.carried),
        "replaced": done.replaced,
    })
}

pub(super) fn rollback_to_text(done: &RollbackReport) -> String {
    let RollbackReport { carried, dropped, switch, replaced } = done;
    let mut text = format!("switched back: {switch}\n");
    let _ = if *dropped {
        writeln!(text, "the writes since the cutover stay in the new store only")
    } else {
        writeln!(
            text,
            "copied to the old store: {} added, {} changed, {} removed",
            carried.added, carried.changed, carried.removed
        )
    };
    if let Some(file) = replaced {
        let _ = writeln!(text, "points that they replaced are saved in {}", file.display());
    }
    text
}

pub(super) fn rehearsal_to_markdown(rehearsal: &RehearsalReport) -> String {
    let RehearsalReport { info, survey, copied, entities, verified, verify_took } = rehearsal;
    let mut text = String::new();
    let verdict = if rehearsal.is_green() { "GREEN: nothing is lost" } else { "RED: see the differences below" };
    let _ = writeln!(text, "# Rehearsal of the migration\n\n**{verdict}**\n");
    let bm25 = if info.has_bm25 { "with bm25 vectors" } else { "no bm25 vectors: search by embedding only" };
    let _ = writeln!(
        text,
        "- source: {} ({} points, {} dims, {} shards; {bm25})",
        info.location, info.points, info.dims, info.shards
    );
    let _ = writeln!(
        text,
        "- copied: {} points in {:.1?} ({:.0} per second), lemmas and sparse vectors added, {} entities",
        copied.seen,
        copied.took,
        rate(copied.seen, copied.took),
        entities.unwrap_or(0)
    );
    let _ = writeln!(text, "- compared: {} points in {:.1?}\n", verified.points, verify_took);
    write_comparison(verified, &mut text);
    let _ = writeln!(text, "\n## Users ({})\n", survey.by_user.len());
    write_users(survey, &mut text);
    write_anomalies(survey, &mut text);
    if entities.is_none() {
        let _ = writeln!(
            text,
            "\n**entities not rehearsed**: they need the embedding model that made the collection's vectors of {} dims \
             (MNEMON_EMBEDDER, MNEMON_EMBEDDER_DIMS); `mnemon migrate rebuild` needs it too, or --without-entities",
            info.dims
        );
    }
    text
}

fn write_users(survey: &Survey, text: &mut String) {
    let mut users: Vec<(&String, &usize)> = survey.by_user.iter().collect();
    users.sort_by_key(|(user, count)| (std::cmp::Reverse(**count), *user));
    for (user, count) in users.iter().take(MAX_USERS) {
        let _ = writeln!(text, "    {}: {count}", truncate(user, 60));
    }
    if users.len() > MAX_USERS {
        let _ = writeln!(text, "    and {} more", users.len() - MAX_USERS);
    }
}

fn write_anomalies(survey: &Survey, text: &mut String) {
    if survey.anomalies.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## Anomalies\n\n| count | anomaly |\n|---|---|");
    for anomaly in &survey.anomalies {
        let _ = writeln!(text, "| {} | {} |", anomaly.count, anomaly.detail);
    }
}

fn rate(points: usize, took: Duration) -> f64 {
    points as f64 / took.as_secs_f64().max(1e-6)
}
