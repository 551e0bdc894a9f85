//! `mnemon export`: writes the whole store as JSON lines.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use mnemon_engine::{Engine, TransferCounts};
use serde_json::json;

use super::import::{counts_to_json, counts_to_text};
use super::progress;
use super::store_files::is_part_of_store;
use crate::error::{CliError, Exit};
use crate::output::{OnClosed, Output, pluralize};
use crate::settings::Settings;
use crate::wiring;

/// Where to write.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The export is written to a temporary file in the same folder, which replaces the file once it is \
complete and synced to disk."
)]
pub(crate) struct ExportArgs {
    /// Output file, - for stdout
    #[arg(default_value = "-")]
    file: PathBuf,
}

impl ExportArgs {
    /// What a closed stdout does to it.
    pub(super) fn on_closed_stdout(&self) -> OnClosed {
        if self.to_stdout() { OnClosed::Stop(Exit::Failed) } else { OnClosed::GoOn }
    }

    fn to_stdout(&self) -> bool {
        self.file == Path::new("-")
    }
}

pub(crate) fn run(args: &ExportArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let file = &args.file;
    if args.to_stdout() {
        let engine = wiring::open_engine_any_embedder(settings)?;
        let mut stdout = BufWriter::new(out.stdout());
        let counts = write(&engine, &mut stdout, out)?;
        out.note(&format!("exported {}", counts_to_text(&counts)));
        note_pending(&engine, out)?;
        return Ok(Exit::Ok);
    }
    // A symbolic link stays; the file it points to is replaced.
    let file = &if file.is_symlink() { file.canonicalize().unwrap_or_else(|_| file.clone()) } else { file.clone() };
    check_is_file(file)?;
    check_not_database(file, settings.file_of_store())?;
    let engine = wiring::open_engine_any_embedder(settings)?;
    let counts = export_to_file(&engine, file, out)?;
    let pending = note_pending(&engine, out)?;
    let answer = json!({"file": file.display().to_string(), "exported": counts_to_json(&counts), "waiting": pending});
    out.value(&answer, |_| format!("exported {} to {}\n", counts_to_text(&counts), file.display()))?;
    Ok(Exit::Ok)
}

/// Requests that are queued for a model, or parked, are not memories and not exported. Returns how many are queued.
fn note_pending(engine: &Engine, out: &Output) -> anyhow::Result<usize> {
    let jobs = engine.pending_jobs()?;
    if jobs.parked > 0 {
        let requests = pluralize(jobs.parked, "parked request", "parked requests");
        out.note(&format!("not exported: {requests}; see `mnemon parked list`"));
    }
    let pending = jobs.requests;
    if pending > 0 {
        let requests = pluralize(pending, "request", "requests");
        out.note(&format!(
            "not exported: {requests} waiting for a model. Export again once `mnemon doctor` shows none"
        ));
    }
    Ok(pending)
}

fn export_to_file(engine: &Engine, file: &Path, out: &Output) -> anyhow::Result<TransferCounts> {
    let at = || file.display().to_string();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A unique name, so that two exports to the same file do not mix. Deleted unless it is persisted.
    let mut part = tempfile::Builder::new().prefix(".mnemon-export-").tempfile_in(folder).with_context(at)?;
    let mut writer = BufWriter::with_capacity(1 << 20, part.as_file_mut());
    let counts = write(engine, &mut writer, out)?;
    writer.into_inner().map_err(io::IntoInnerError::into_error).with_context(at)?.sync_all().with_context(at)?;
    part.persist(file).with_context(at)?;
    // The new name is durable once the folder is synced. Not every system can open a folder.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(counts)
}

fn write(engine: &Engine, writer: &mut dyn Write, out: &Output) -> anyhow::Result<TransferCounts> {
    let bar = progress::counter("memories", out.is_json());
    let counts = engine.export(writer, &mut |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    Ok(counts?)
}

/// Refuses folders and devices.
fn check_is_file(file: &Path) -> Result<(), CliError> {
    if file.file_name().is_some() && (file.is_file() || !file.exists()) {
        return Ok(());
    }
    Err(CliError::usage(format!("{} is not a regular file: give a file, or - for stdout", file.display())))
}

/// Refuses any SQLite database and the files of the store itself, which the export would overwrite.
fn check_not_database(file: &Path, store: Option<&Path>) -> Result<(), CliError> {
    let is_database = || {
        let mut start = [0u8; 16];
        File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"SQLite format 3\0"
    };
    if is_part_of_store(file, store) || is_database() {
        let message = format!(
            "{} is a database or a part of one; the export would overwrite it. Give another file",
            file.display()
        );
        return Err(CliError::refused(message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_does_not_replace_folders_or_devices() {
        assert!(check_is_file(Path::new("a/b.jsonl")).is_ok());
        assert!(check_is_file(Path::new("/")).is_err());
        assert!(check_is_file(&std::env::temp_dir()).is_err());
        assert!(!Path::new("/dev/null").exists() || check_is_file(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn an_export_does_not_replace_databases() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = folder.path().join("store.db");
        assert!(check_not_database(&path, Some(&store)).is_ok());
        assert!(check_not_database(&folder.path().join("store.db-wal"), Some(&store)).is_err());
        std::fs::write(&path, "SQLite format 3\0 and more").unwrap();
        assert!(check_not_database(&path, Some(&store)).is_err());
        std::fs::write(&path, "{}").unwrap();
        assert!(check_not_database(&path, Some(&store)).is_ok());
    }
}
