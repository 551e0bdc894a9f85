//! `mnemon migrate backup`: what a rollback needs, fetched and sealed; and whether it is still sound.

use std::path::PathBuf;

use mnemon_migrate::{BackupEvent, BackupOptions, BackupPlan, BackupReport, Manifest, Migration, Phase};
use serde_json::{Value, json};

use super::route_args::RouteArgs;
use crate::commands::progress::Steps;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// Days for which the runbook has backups kept.
pub(super) const RETENTION_DAYS: u32 = 30;

/// What to back up, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Qdrant makes a snapshot on its own disk; it is fetched, compared with the server's SHA-256, and deleted \
there. A run that was stopped goes on when it is called again; one that is complete changes nothing: for a fresh backup \
name another folder. A key that Qdrant wants is taken from QDRANT_API_KEY. Exit code 3: --verify found a difference."
)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    pub(super) route: RouteArgs,
    /// The folder of the backup [default: `backup` in the migration's folder]
    #[arg(long, value_name = "DIR")]
    pub(super) into: Option<PathBuf>,
    /// mem0's history.db, copied though mem0 may be writing to it
    #[arg(long, value_name = "FILE")]
    pub(super) history: Option<PathBuf>,
    /// Write all points as JSON, too: readable without Qdrant
    #[arg(long)]
    pub(super) export: bool,
    /// A dump of Neo4j, made with `neo4j-admin database dump`
    #[arg(long, value_name = "FILE")]
    pub(super) neo4j_dump: Option<PathBuf>,
    /// Days for which the backup is kept
    #[arg(long, value_name = "N", default_value_t = RETENTION_DAYS)]
    pub(super) retention_days: u32,
    /// Leave the snapshots on the server, too
    #[arg(long)]
    pub(super) keep_on_server: bool,
    /// Say what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Hash and open every file of the backup in this folder instead
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["source", "qdrant_host", "qdrant_port", "into", "history", "export", "neo4j_dump", "retention_days", "keep_on_server", "dry_run"]
    )]
    pub(super) verify: Option<PathBuf>,
    /// Where to unpack snapshots for --verify [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR", requires = "verify")]
    pub(super) scratch: Option<PathBuf>,
}

pub(super) fn run(args: &BackupArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    if let Some(folder) = &args.verify {
        let scratch = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let report = mnemon_migrate::verify_backup_in(folder, &scratch)?;
        out.value(&report_to_json(&report), |_| report_for_people(&report))?;
        return Ok(if report.is_green() { Exit::Ok } else { Exit::Differences });
    }
    let options = options(args, settings)?;
    if args.dry_run {
        let plan = mnemon_migrate::plan_backup(&options)?;
        out.value(&plan_to_json(&plan, &options), |_| plan_for_people(&plan, &options))?;
        return Ok(Exit::Ok);
    }
    // Held, so that nothing else is done with the migration meanwhile.
    let mut migration = Migration::open(&args.route.dir)?;
    let line = Steps::new(out.is_json());
    let already = std::cell::Cell::new(false);
    let done = mnemon_migrate::backup(&options, &|event| match event {
        BackupEvent::Note(note) => line.suspend(|| out.note(note)),
        BackupEvent::AlreadyThere => already.set(true),
        event => show(&line, event),
    });
    drop(line);
    let manifest = done?;
    migration.state.backup = Some((std::path::absolute(&options.folder)?, manifest.retention_until));
    let told =
        format!("{} points in {}, kept until {}", manifest.points, options.folder.display(), manifest.retention_until);
    migration.end(Phase::Backup, true, told)?;
    out.value(&done_to_json(&manifest, &options, already.get())?, |_| {
        done_for_people(&manifest, &options, already.get())
    })?;
    Ok(Exit::Ok)
}

fn options(args: &BackupArgs, settings: &Settings) -> anyhow::Result<BackupOptions> {
    let known = Migration::read(&args.route.dir)?.and_then(|state| state.route);
    let (url, source) = args.route.rest(known.as_ref())?;
    let into = args.into.clone().unwrap_or_else(|| args.route.dir.join("backup"));
    let mut options = BackupOptions::new(url, source, into);
    options.api_key = settings.qdrant_client().api_key;
    options.history.clone_from(&args.history);
    options.neo4j_dump.clone_from(&args.neo4j_dump);
    options.export = args.export;
    options.retention_days = args.retention_days;
    options.keep_on_server = args.keep_on_server;
    Ok(options)
}

fn show(line: &Steps, event: BackupEvent<'_>) {
    match event {
        BackupEvent::Step(what) => line.working(what.to_owned()),
        BackupEvent::Download { collection, done, total } => {
            line.bytes(format!("snapshot of {collection}"), done, total);
        }
        BackupEvent::Export { done, total } => line.things("points".to_owned(), done, total),
        _ => {}
    }
}

fn plan_to_json(plan: &BackupPlan, options: &BackupOptions) -> Value {
    let collection = |(name, points): &(String, u64)| json!({"name": name, "points": points});
    json!({
        "dry_run": true,
        "server": plan.server,
        "qdrant": plan.qdrant,
        "source": options.source,
        "collection": plan.collection,
        "collections": plan.collections.iter().map(collection).collect::<Vec<_>>(),
        "aliases": plan.aliases,
        "dir": options.folder,
        "files": plan.files,
        "free_bytes": plan.free,
    })
}

fn plan_for_people(plan: &BackupPlan, options: &BackupOptions) -> String {
    let mut text = format!("would back up  {} at {} (Qdrant {})\n", plan.collection, plan.server, plan.qdrant);
    for (name, points) in &plan.collections {
        text.push_str(&format!("  {name}: {points} points\n"));
    }
    let free = plan.free.map_or_else(String::new, |free| format!(" ({} are free)", indicatif::HumanBytes(free)));
    text.push_str(&format!("to             {}{free}\n", options.folder.display()));
    for file in &plan.files {
        text.push_str(&format!("  {file}\n"));
    }
    text.push_str("nothing was written, neither here nor on the server\n");
    text
}

fn done_to_json(manifest: &Manifest, options: &BackupOptions, already: bool) -> anyhow::Result<Value> {
    Ok(
        json!({"ok": true, "dir": options.folder, "already_there": already, "manifest": serde_json::to_value(manifest)?}),
    )
}

fn done_for_people(manifest: &Manifest, options: &BackupOptions, already: bool) -> String {
    let verb = if already { "was backed up already" } else { "backed up" };
    let mut text = format!("{verb}  {} at {} (Qdrant {})\n", manifest.collection, manifest.server, manifest.qdrant);
    for artifact in &manifest.artifacts {
        let count = artifact.count.map_or_else(String::new, |count| format!(", {count} in it"));
        let bytes = indicatif::HumanBytes(artifact.bytes);
        text.push_str(&format!("  {}  {bytes}{count}, SHA-256 {}…\n", artifact.file, &artifact.sha256[..12]));
    }
    let folder = options.folder.display();
    let made = manifest.created.strftime("%Y-%m-%d %H:%M UTC");
    text.push_str(&format!(
        "made {made}, kept until {}: {folder}/retention.ics is for your calendar\n",
        manifest.retention_until
    ));
    text.push_str(&format!("next: mnemon migrate backup --verify {folder}\n"));
    text
}

fn report_to_json(report: &BackupReport) -> Value {
    let sound = |(file, told): &(String, String)| json!({"file": file, "found": told});
    let difference =
        |difference: &mnemon_migrate::BackupDifference| json!({"file": difference.file, "what": difference.what});
    json!({
        "ok": report.is_green(),
        "collection": report.manifest.as_ref().map(|manifest| &manifest.collection),
        "created": report.manifest.as_ref().map(|manifest| manifest.created.to_string()),
        "retention_until": report.manifest.as_ref().map(|manifest| manifest.retention_until.to_string()),
        "sound": report.sound.iter().map(sound).collect::<Vec<_>>(),
        "differences": report.differences.iter().map(difference).collect::<Vec<_>>(),
        "unknown": report.unknown,
        "notes": report.notes,
    })
}

fn report_for_people(report: &BackupReport) -> String {
    let mut text = String::new();
    for (file, told) in &report.sound {
        text.push_str(&format!("  ok       {file}: {told}\n"));
    }
    for difference in &report.differences {
        text.push_str(&format!("  DIFFERS  {}: {}\n", difference.file, difference.what));
    }
    for file in &report.unknown {
        text.push_str(&format!("  unknown  {file}: no part of the backup\n"));
    }
    for note in &report.notes {
        text.push_str(&format!("  note     {note}\n"));
    }
    let verdict =
        if report.is_green() { "GREEN: every byte is as it was" } else { "RED: this backup can't be relied on" };
    format!("{verdict}\n{text}")
}
