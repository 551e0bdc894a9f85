//! `mnemon migrate backup`: what a rollback needs, fetched and sealed; and whether it is still sound.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use mnemon_migrate::{BackupEvent, BackupOptions, BackupPlan, BackupReport, Manifest, MigrateError};
use serde_json::{Value, json};

use crate::exit::{Exit, Fault};
use crate::output::Output;

/// What to back up, and where to.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Qdrant makes a snapshot on its own disk; it is fetched, compared with the server's SHA-256, and deleted \
there. A run that was stopped goes on when it is called again; one that is complete changes nothing: for a fresh backup \
name another folder. A key that Qdrant wants is taken from QDRANT_API_KEY. Exit code 3: --verify found a difference."
)]
pub(crate) struct BackupArgs {
    /// The collection, or an alias of it [env: QDRANT_COLLECTION_NAME] [default: mem0]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Host of Qdrant, with https:// before it where it speaks TLS [env: QDRANT_HOST] [default: localhost]
    #[arg(long, value_name = "HOST")]
    qdrant_host: Option<String>,
    /// Its REST port [env: QDRANT_PORT] [default: 6333]
    #[arg(long, value_name = "PORT")]
    qdrant_port: Option<u16>,
    /// The folder of the backup
    #[arg(long, value_name = "DIR", default_value = "./mnemon-migration/backup")]
    dir: PathBuf,
    /// mem0's history.db, copied though mem0 may be writing to it
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Write all points as JSON, too: readable without Qdrant
    #[arg(long)]
    export: bool,
    /// A dump of Neo4j, made with `neo4j-admin database dump`
    #[arg(long, value_name = "FILE")]
    neo4j_dump: Option<PathBuf>,
    /// Days for which the backup is kept
    #[arg(long, value_name = "N", default_value_t = 30)]
    retention_days: u32,
    /// Leave the snapshots on the server, too
    #[arg(long)]
    keep_on_server: bool,
    /// Say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Hash and open every file of the backup in this folder instead
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["source", "qdrant_host", "qdrant_port", "dir", "history", "export", "neo4j_dump", "retention_days", "keep_on_server", "dry_run"]
    )]
    verify: Option<PathBuf>,
    /// Where to unpack snapshots for --verify [default: the system's folder for temporary files]
    #[arg(long, value_name = "DIR", requires = "verify")]
    scratch: Option<PathBuf>,
}

pub(crate) fn run(args: &BackupArgs, out: &Output) -> anyhow::Result<Exit> {
    if let Some(folder) = &args.verify {
        let scratch = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let report = mnemon_migrate::verify_backup_in(folder, &scratch)?;
        out.value(&report_to_json(&report), |_| report_for_people(&report))?;
        return Ok(if report.is_green() { Exit::Ok } else { Exit::Differences });
    }
    let options = options(args, |name| std::env::var(name).ok())?;
    if args.dry_run {
        let plan = mnemon_migrate::plan_backup(&options).map_err(fault)?;
        out.value(&plan_to_json(&plan, &options), |_| plan_for_people(&plan, &options))?;
        return Ok(Exit::Ok);
    }
    let bar = Bar::new(out.is_json());
    let already = std::cell::Cell::new(false);
    let done = mnemon_migrate::backup(&options, &|event| match event {
        BackupEvent::Note(note) => bar.suspend(|| out.note(note)),
        BackupEvent::AlreadyThere => already.set(true),
        event => bar.show(event),
    });
    bar.clear();
    let manifest = done.map_err(fault)?;
    out.value(&done_to_json(&manifest, &options, already.get())?, |_| {
        done_for_people(&manifest, &options, already.get())
    })?;
    Ok(Exit::Ok)
}

fn options(args: &BackupArgs, environment: impl Fn(&str) -> Option<String>) -> Result<BackupOptions, Fault> {
    let given = |name: &str| environment(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let source = args.source.clone().or_else(|| given("QDRANT_COLLECTION_NAME")).unwrap_or_else(|| "mem0".into());
    let host = args.qdrant_host.clone().or_else(|| given("QDRANT_HOST")).unwrap_or_else(|| "localhost".into());
    let port = match (args.qdrant_port, given("QDRANT_PORT")) {
        (Some(port), _) => port,
        (None, Some(text)) => {
            text.parse().map_err(|_| Fault::usage(format!("QDRANT_PORT is `{text}`; give the number of a port")))?
        }
        (None, None) => 6333,
    };
    let (scheme, name) = host.split_once("://").unwrap_or(("http", &host));
    let name = name.trim_end_matches('/');
    let name = match name.matches(':').count() {
        0 => name.to_owned(),
        _ if name.starts_with('[') && name.ends_with(']') => name.to_owned(),
        1 => return Err(Fault::usage(format!("`{host}` names a port: give it as --qdrant-port"))),
        _ => format!("[{name}]"),
    };
    let mut options = BackupOptions::new(format!("{scheme}://{name}:{port}"), source, &args.dir);
    options.api_key = given("QDRANT_API_KEY");
    options.history.clone_from(&args.history);
    options.neo4j_dump.clone_from(&args.neo4j_dump);
    options.export = args.export;
    options.retention_days = args.retention_days;
    options.keep_on_server = args.keep_on_server;
    Ok(options)
}

/// With a name that programs know.
fn fault(error: MigrateError) -> anyhow::Error {
    let code = match &error {
        MigrateError::Server { .. } => "unavailable",
        MigrateError::NoSpace { .. } => "no_space",
        MigrateError::Checksum { .. } => "checksum",
        MigrateError::History { .. } => "history",
        MigrateError::Unfit(_) => "unfit",
        _ => return error.into(),
    };
    Fault::failed(code, error.to_string()).into()
}

/// How far it is; hidden where stderr is no terminal.
struct Bar {
    bar: ProgressBar,
    bytes: ProgressStyle,
    points: ProgressStyle,
    step: ProgressStyle,
}

impl Bar {
    fn new(quiet: bool) -> Self {
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ")
        };
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if !quiet {
            bar.enable_steady_tick(std::time::Duration::from_millis(100));
        }
        Self {
            bar,
            bytes: style("{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left)"),
            points: style("{spinner} {msg} [{bar:30}] {human_pos}/{human_len} ({per_sec})"),
            step: style("{spinner} {msg} ({elapsed})"),
        }
    }

    fn show(&self, event: BackupEvent<'_>) {
        match event {
            BackupEvent::Step(what) => self.at(&self.step, what.to_owned(), 0, None),
            BackupEvent::Download { collection, done, total } => {
                self.at(&self.bytes, format!("snapshot of {collection}"), done, total);
            }
            BackupEvent::Export { done, total } => self.at(&self.points, "points".to_owned(), done, Some(total)),
            _ => {}
        }
    }

    fn at(&self, style: &ProgressStyle, message: String, done: u64, total: Option<u64>) {
        if self.bar.message() != message {
            self.bar.set_style(style.clone());
            self.bar.set_message(message);
            // What was there before says nothing of the rate.
            self.bar.set_position(done);
            self.bar.reset_eta();
            self.bar.reset_elapsed();
        }
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
    }

    fn suspend(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: BackupArgs,
    }

    fn options_of(words: &[&str], environment: &[(&str, &str)]) -> Result<BackupOptions, String> {
        let line = Line::try_parse_from([&["backup"], words].concat()).map_err(|error| error.to_string())?;
        let given = |name: &str| environment.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        options(&line.args, given).map_err(|fault| fault.to_string())
    }

    #[test]
    fn flags_go_before_the_environment() {
        let environment = [("QDRANT_HOST", "qdrant"), ("QDRANT_PORT", " 7000 "), ("QDRANT_COLLECTION_NAME", "old")];
        for (words, environment, url, source) in [
            (&[][..], &[][..], "http://localhost:6333", "mem0"),
            (&[], &environment[..], "http://qdrant:7000", "old"),
            (&["--qdrant-host", "https://q/", "--source", "x"], &environment[..], "https://q:7000", "x"),
            (&["--qdrant-host", "::1", "--qdrant-port", "1"], &[][..], "http://[::1]:1", "mem0"),
            (&["--qdrant-host", "[::1]"], &[("QDRANT_PORT", "")][..], "http://[::1]:6333", "mem0"),
        ] {
            let options = options_of(words, environment).unwrap();
            assert_eq!((options.url.as_str(), options.source.as_str()), (url, source));
        }
        let key = options_of(&[], &[("QDRANT_API_KEY", "geheim")]).unwrap();
        assert!(key.api_key.is_some() && !format!("{key:?}").contains("geheim"));
    }

    #[test]
    fn wrong_calls_are_told() {
        assert!(options_of(&["--qdrant-host", "q:6333"], &[]).unwrap_err().contains("--qdrant-port"));
        assert!(options_of(&[], &[("QDRANT_PORT", "many")]).unwrap_err().contains("QDRANT_PORT"));
        assert!(options_of(&["--verify", "x", "--export"], &[]).unwrap_err().contains("cannot be used with"));
    }
}
