//! `mnemon export`: the whole store as lines of JSON.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use mnemon_engine::{Engine, Transferred};
use serde_json::json;

use super::import::{of_counts, told_counts};
use super::progress;
use crate::exit::{Exit, Fault};
use crate::output::Output;
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

pub(crate) fn run(args: &ExportArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let file = &args.file;
    if file == Path::new("-") {
        let engine = settings.open_engine()?;
        let mut stdout = BufWriter::new(io::stdout().lock());
        let counts = write(&engine, &mut stdout, out)?;
        out.note(&format!("exported {}", told_counts(&counts)));
        return Ok(Exit::Ok);
    }
    // Through a link, what it leads to is replaced, not the link.
    let file = &file.canonicalize().unwrap_or_else(|_| file.clone());
    let part = beside(file)?;
    refuse_databases(file)?;
    let engine = settings.open_engine()?;
    let counts = into_file(&engine, &part, file, out).inspect_err(|_| {
        let _ = std::fs::remove_file(&part);
    })?;
    let answer = json!({"file": file.display().to_string(), "exported": of_counts(&counts)});
    out.value(&answer, |_| format!("exported {} to {}\n", told_counts(&counts), file.display()))?;
    Ok(Exit::Ok)
}

fn into_file(engine: &Engine, part: &Path, file: &Path, out: &Output) -> anyhow::Result<Transferred> {
    let at = |path: &Path| path.display().to_string();
    let mut writer = BufWriter::with_capacity(1 << 20, File::create(part).with_context(|| at(part))?);
    let counts = write(engine, &mut writer, out)?;
    let written = writer.into_inner().map_err(io::IntoInnerError::into_error).with_context(|| at(part))?;
    written.sync_all().with_context(|| at(part))?;
    std::fs::rename(part, file).with_context(|| at(file))?;
    // The new name is safe only once its folder is; not every system lets a folder be opened.
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
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

/// `FILE.part`. Folders and devices are no place for a file.
fn beside(file: &Path) -> Result<PathBuf, Fault> {
    let name = file.file_name().filter(|_| file.is_file() || !file.exists());
    let hint = || Fault::usage(format!("{} is no file: name one, or - for stdout", file.display()));
    let mut name: OsString = name.ok_or_else(hint)?.to_owned();
    name.push(".part");
    Ok(file.with_file_name(name))
}

/// An export must never take the place of a store, the one it comes from least of all.
fn refuse_databases(file: &Path) -> Result<(), Fault> {
    let mut start = [0u8; 16];
    let is_database =
        File::open(file).and_then(|mut file| file.read_exact(&mut start)).is_ok() && &start == b"SQLite format 3\0";
    if is_database {
        let refusal = format!("{} is a database: the export would destroy it. Name another file", file.display());
        return Err(Fault::refused(refusal));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_beside_its_file() {
        assert_eq!(beside(Path::new("a/b.jsonl")).unwrap(), Path::new("a/b.jsonl.part"));
        assert!(beside(Path::new("/")).is_err() && beside(&std::env::temp_dir()).is_err());
        assert!(!Path::new("/dev/null").exists() || beside(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn databases_are_no_place_for_an_export() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        assert!(refuse_databases(&path).is_ok());
        std::fs::write(&path, "SQLite format 3\0 and more").unwrap();
        assert!(refuse_databases(&path).is_err());
        std::fs::write(&path, "{}").unwrap();
        assert!(refuse_databases(&path).is_ok());
    }
}
