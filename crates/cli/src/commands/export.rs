//! `mnemon export`: the whole store as lines of JSON.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use mnemon_engine::{Engine, Transferred};
use serde_json::json;

use super::import::{of_counts, told_counts};
use super::progress;
use crate::exit::{Exit, Fault};
use crate::output::{OnClosed, Output, counted};
use crate::settings::Settings;

/// Where to.
#[derive(Debug, clap::Args)]
#[command(after_help = "A file is written beside its place and put there when it is whole and safe on disk: what was \
there before stays until then.")]
pub(crate) struct ExportArgs {
    /// The file, - for stdout
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
        let engine = settings.open_engine_as_it_is()?;
        let mut stdout = BufWriter::new(out.stdout());
        let counts = write(&engine, &mut stdout, out)?;
        out.note(&format!("exported {}", told_counts(&counts)));
        left_out(&engine, out)?;
        return Ok(Exit::Ok);
    }
    // Through a link, what it leads to is replaced, not the link.
    let file = &if file.is_symlink() { file.canonicalize().unwrap_or_else(|_| file.clone()) } else { file.clone() };
    refuse_other_than_files(file)?;
    refuse_databases(file, settings.file_of_store())?;
    let engine = settings.open_engine_as_it_is()?;
    let counts = into_file(&engine, file, out)?;
    let waiting = left_out(&engine, out)?;
    let answer = json!({"file": file.display().to_string(), "exported": of_counts(&counts), "waiting": waiting});
    out.value(&answer, |_| format!("exported {} to {}\n", told_counts(&counts), file.display()))?;
    Ok(Exit::Ok)
}

/// What waits for a model is no memory yet. Returns how many requests do.
fn left_out(engine: &Engine, out: &Output) -> anyhow::Result<usize> {
    let waiting = engine.waiting()?.requests;
    if waiting > 0 {
        let requests = counted(waiting, "request", "requests");
        out.note(&format!(
            "{requests} to learn from still waiting for a model: not exported. Export again once `mnemon doctor` tells of none"
        ));
    }
    Ok(waiting)
}

fn into_file(engine: &Engine, file: &Path, out: &Output) -> anyhow::Result<Transferred> {
    let at = || file.display().to_string();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A name of its own: another export to the same file must not write into this one. Gone if it is not kept.
    let mut part = tempfile::Builder::new().prefix(".mnemon-export-").tempfile_in(folder).with_context(at)?;
    let mut writer = BufWriter::with_capacity(1 << 20, part.as_file_mut());
    let counts = write(engine, &mut writer, out)?;
    writer.into_inner().map_err(io::IntoInnerError::into_error).with_context(at)?.sync_all().with_context(at)?;
    part.persist(file).with_context(at)?;
    // The new name is safe only once its folder is; not every system lets a folder be opened.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(counts)
}

fn write(engine: &Engine, writer: &mut dyn Write, out: &Output) -> anyhow::Result<Transferred> {
    let bar = progress::counting("memories", out.is_json());
    let counts = engine.export(writer, &mut |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    Ok(counts?)
}

/// Folders and devices are no place for a file.
fn refuse_other_than_files(file: &Path) -> Result<(), Fault> {
    if file.file_name().is_some() && (file.is_file() || !file.exists()) {
        return Ok(());
    }
    Err(Fault::usage(format!("{} is no file: name one, or - for stdout", file.display())))
}

/// An export must never take the place of a store, the one it comes from least of all.
fn refuse_databases(file: &Path, store: Option<&Path>) -> Result<(), Fault> {
    let absolute = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or(path.to_owned());
    let own = store.map(absolute).is_some_and(|store| {
        ["", "-wal", "-shm", "-journal"].iter().any(|suffix| {
            let mut name = store.clone().into_os_string();
            name.push(suffix);
            absolute(file).as_os_str() == name
        })
    });
    let mut start = [0u8; 16];
    let is_database =
        File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"SQLite format 3\0";
    if is_database || own {
        let refusal =
            format!("{} is a database or part of one: the export would destroy it. Name another file", file.display());
        return Err(Fault::refused(refusal));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_devices_are_no_place_for_an_export() {
        assert!(refuse_other_than_files(Path::new("a/b.jsonl")).is_ok());
        assert!(refuse_other_than_files(Path::new("/")).is_err());
        assert!(refuse_other_than_files(&std::env::temp_dir()).is_err());
        assert!(!Path::new("/dev/null").exists() || refuse_other_than_files(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn databases_are_no_place_for_an_export() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = folder.path().join("store.db");
        assert!(refuse_databases(&path, Some(&store)).is_ok());
        assert!(refuse_databases(&folder.path().join("store.db-wal"), Some(&store)).is_err());
        std::fs::write(&path, "SQLite format 3\0 and more").unwrap();
        assert!(refuse_databases(&path, Some(&store)).is_err());
        std::fs::write(&path, "{}").unwrap();
        assert!(refuse_databases(&path, Some(&store)).is_ok());
    }
}
