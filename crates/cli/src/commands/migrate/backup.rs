//! `mnemon migrate backup`: backs up what a rollback needs, and verifies backups.

use std::path::PathBuf;

use mnemon_migrate::{
    BackupEvent, BackupOptions, BackupPlan, BackupReport, MANIFEST_FILE, Manifest, Migration, Part, PartResult,
    PartState, Phase,
};
use serde_json::{Value, json};

use super::route_args::RouteArgs;
use super::start::check_backup_start;
use crate::commands::progress::ProgressLine;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;

/// Default retention of backups.
pub(super) const RETENTION_DAYS: u32 = 30;

/// What to back up, and where.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Qdrant creates a snapshot on its own disk; it is downloaded, compared with the server's SHA-256, and deleted \
there. An interrupted backup resumes when the command is repeated. A complete backup is not changed: give another folder for a \
new one. The Qdrant API key is read from QDRANT_API_KEY. Exit code 3: --verify found a difference."
)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    pub(super) route: RouteArgs,
    /// Folder for the backup [default: `backup` in the migration's folder]
    #[arg(long, value_name = "DIR")]
    pub(super) into: Option<PathBuf>,
    /// mem0's history.db to back up; mem0 may be writing to it
    #[arg(long, value_name = "FILE")]
    pub(super) history: Option<PathBuf>,
    /// Also export all points as JSON, which is readable without Qdrant
    #[arg(long)]
    pub(super) export: bool,
    /// Dump of Neo4j to include, made with `neo4j-admin database dump`
    #[arg(long, value_name = "FILE")]
    pub(super) neo4j_dump: Option<PathBuf>,
    /// Retention of the backup in days
    #[arg(long, value_name = "N", default_value_t = RETENTION_DAYS)]
    pub(super) retention_days: u32,
    /// Keep the snapshots on the server as well
    #[arg(long)]
    pub(super) keep_on_server: bool,
    /// Show what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Verify the backup in this folder instead: hash and open every file
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["source", "qdrant_host", "qdrant_port", "into", "history", "export", "neo4j_dump", "retention_days", "keep_on_server", "dry_run"]
    )]
    pub(super) verify: Option<PathBuf>,
    /// Folder to unpack snapshots for --verify [default: the system's temporary folder]
    #[arg(long, value_name = "DIR", requires = "verify")]
    pub(super) scratch: Option<PathBuf>,
}

pub(super) fn run(args: &BackupArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    if let Some(folder) = &args.verify {
        let scratch = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let report = mnemon_migrate::verify_backup_in(folder, &scratch)?;
        out.value(&report_to_json(&report), |_| report_to_text(&report))?;
        return Ok(if report.is_green() { Exit::Ok } else { Exit::Differences });
    }
    let options = options(args, settings)?;
    let plan = check_backup_start(&options, &args.route.dir, settings)?;
    if !options.folder.join(MANIFEST_FILE).exists() {
        plan.check_space(&options.folder)?;
    }
    if args.dry_run {
        out.value(&plan_to_json(&plan, &options), |_| plan_to_text(&plan, &options))?;
        return Ok(Exit::Ok);
    }
    // Holds the lock of the migration during the backup.
    let mut migration = Migration::open(&args.route.dir)?;
    let progress = ProgressLine::new(out.is_json());
    let already_complete = std::cell::Cell::new(false);
    let result = mnemon_migrate::backup(&options, &|event| match event {
        BackupEvent::Note(note) => progress.suspend(|| out.note(note)),
        BackupEvent::AlreadyComplete => already_complete.set(true),
        event => show_event(&progress, event),
    });
    drop(progress);
    let manifest = result?;
    migration.state.backup = Some((std::path::absolute(&options.folder)?, manifest.retention_until));
    let summary =
        format!("{} points in {}, kept until {}", manifest.points, options.folder.display(), manifest.retention_until);
    let done = PartResult::new(PartState::Done, "");
    let history = match &options.history {
        Some(file) => {
            // A history that is worth a backup is migrated, too.
            migration.ask_for(Some(Some(std::path::absolute(file)?)), None)?;
            done.clone()
        }
        None => PartResult::new(PartState::LeftOut, ""),
    };
    migration.record_parts(Phase::Backup, true, summary, [(Part::Points, done), (Part::History, history)].into())?;
    out.value(&manifest_to_json(&manifest, &options, already_complete.get())?, |_| {
        manifest_to_text(&manifest, &options, already_complete.get())
    })?;
    Ok(Exit::Ok)
}

fn options(args: &BackupArgs, settings: &Settings) -> anyhow::Result<BackupOptions> {
    let known = Migration::read(&args.route.dir)?;
    let (url, source) = args.route.rest(known.as_ref().and_then(|state| state.route.as_ref()))?;
    let into = args.into.clone().unwrap_or_else(|| args.route.dir.join("backup"));
    let mut options = BackupOptions::new(url, source, into);
    options.api_key = settings.qdrant_client().api_key;
    options.history = args.history.clone().or_else(|| known.and_then(|state| state.history));
    options.neo4j_dump.clone_from(&args.neo4j_dump);
    options.export = args.export;
    options.retention_days = args.retention_days;
    options.keep_on_server = args.keep_on_server;
    Ok(options)
}

fn show_event(progress: &ProgressLine, event: BackupEvent<'_>) {
    match event {
        BackupEvent::Step(step) => progress.running(step.to_owned()),
        BackupEvent::Download { collection, done, total } => {
            progress.bytes(format!("snapshot of {collection}"), done, total);
        }
        BackupEvent::Export { done, total } => progress.items("points".to_owned(), done, total),
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

fn plan_to_text(plan: &BackupPlan, options: &BackupOptions) -> String {
    let mut text = format!("would back up  {} at {} (Qdrant {})\n", plan.collection, plan.server, plan.qdrant);
    for (name, points) in &plan.collections {
        text.push_str(&format!("  {name}: {points} points\n"));
    }
    let free = plan.free.map_or_else(String::new, |free| format!(" ({} free)", indicatif::HumanBytes(free)));
    text.push_str(&format!("to             {}{free}\n", options.folder.display()));
    for file in &plan.files {
        text.push_str(&format!("  {file}\n"));
    }
    text.push_str("dry run: nothing was written, neither here nor on the server\n");
    text
}

fn manifest_to_json(manifest: &Manifest, options: &BackupOptions, already_complete: bool) -> anyhow::Result<Value> {
    let manifest = serde_json::to_value(manifest)?;
    Ok(json!({"ok": true, "dir": options.folder, "already_there": already_complete, "manifest": manifest}))
}

fn manifest_to_text(manifest: &Manifest, options: &BackupOptions, already_complete: bool) -> String {
    let verb = if already_complete { "already backed up" } else { "backed up" };
    let mut text = format!("{verb}  {} at {} (Qdrant {})\n", manifest.collection, manifest.server, manifest.qdrant);
    for artifact in &manifest.artifacts {
        let count = artifact.count.map_or_else(String::new, |count| format!(", {count} records"));
        let bytes = indicatif::HumanBytes(artifact.bytes);
        text.push_str(&format!("  {}  {bytes}{count}, SHA-256 {}…\n", artifact.file, &artifact.sha256[..12]));
    }
    let folder = options.folder.display();
    let created = manifest.created.strftime("%Y-%m-%d %H:%M UTC");
    text.push_str(&format!(
        "created {created}, kept until {}; calendar entry: {folder}/retention.ics\n",
        manifest.retention_until
    ));
    text.push_str(&format!("next: mnemon migrate backup --verify {folder}\n"));
    text
}

fn report_to_json(report: &BackupReport) -> Value {
    let sound = |(file, detail): &(String, String)| json!({"file": file, "found": detail});
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

fn report_to_text(report: &BackupReport) -> String {
    let mut text = String::new();
    for (file, detail) in &report.sound {
        text.push_str(&format!("  ok       {file}: {detail}\n"));
    }
    for difference in &report.differences {
        text.push_str(&format!("  DIFFERS  {}: {}\n", difference.file, difference.what));
    }
    for file in &report.unknown {
        text.push_str(&format!("  unknown  {file}: not in the manifest\n"));
    }
    for note in &report.notes {
        text.push_str(&format!("  note     {note}\n"));
    }
    let verdict =
        if report.is_green() { "GREEN: every file is intact" } else { "RED: this backup is damaged or incomplete" };
    format!("{verdict}\n{text}")
}
