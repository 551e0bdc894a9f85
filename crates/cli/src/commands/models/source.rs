//! Sources of a model's files: a folder, an archive, or a folder of a web site.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use mnemon_engine::ErrorCode;
use reqwest::Url;
use reqwest::blocking::Client;
use zip::ZipArchive;

use crate::error::CliError;

/// Longest wait for data from a site.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes copied at a time.
const BUFFER_BYTES: usize = 1 << 18;

pub(super) enum Source {
    Folder(PathBuf),
    /// An archive, and the path of the model's folder in it.
    Archive(Box<ZipArchive<File>>, String),
    Site(Client, Url),
}

impl Source {
    /// Opens the source: a URL with http:// or https://, an archive if it is a file, otherwise a folder.
    pub(super) fn open(from: &str) -> anyhow::Result<Self> {
        if from.starts_with("http://") || from.starts_with("https://") {
            let url = Url::parse(&format!("{}/", from.trim_end_matches('/')));
            let url = url.map_err(|error| CliError::usage(format!("--from: `{from}` is not a valid URL: {error}")))?;
            let client = Client::builder()
                .connect_timeout(TIMEOUT)
                .timeout(TIMEOUT)
                .user_agent(concat!("mnemon/", env!("CARGO_PKG_VERSION")))
                .build()
                .context("the HTTP client")?;
            return Ok(Self::Site(client, url));
        }
        let path = Path::new(from);
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let file = File::open(path).map_err(|error| CliError::usage(format!("--from {from}: {error}")))?;
        let archive = ZipArchive::new(file).map_err(|error| {
            CliError::usage(format!("--from {from} is neither a folder nor a .whl or .zip file: {error}"))
        })?;
        let folder = archive.file_names().flatten().find_map(|name| {
            let folder = name.strip_suffix("model.safetensors")?;
            (folder.is_empty() || folder.ends_with('/')).then(|| folder.to_owned())
        });
        let folder = folder.ok_or_else(|| CliError::usage(format!("--from {from} contains no model.safetensors")))?;
        Ok(Self::Archive(Box::new(archive), folder))
    }

    /// Copies a file of at most `max_bytes`, which must have the announced length.
    pub(super) fn copy(
        &mut self,
        name: &str,
        max_bytes: u64,
        to: &mut dyn Write,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> anyhow::Result<()> {
        let failed = |reason: String| CliError::failed(ErrorCode::Download, format!("{name}: {reason}"));
        let error = |error: &dyn std::error::Error| failed(with_causes(error));
        match self {
            Self::Folder(folder) => {
                let file = File::open(folder.join(name)).map_err(|e| error(&e))?;
                let length = file.metadata().map_err(|e| error(&e))?.len();
                copy_stream(file, Some(length), max_bytes, to, progress).map_err(failed)?;
            }
            Self::Archive(archive, folder) => {
                let file = archive.by_name(&format!("{folder}{name}")).map_err(|e| error(&e))?;
                let length = file.size();
                copy_stream(file, Some(length), max_bytes, to, progress).map_err(failed)?;
            }
            Self::Site(client, url) => {
                let url = url.join(name).map_err(|e| error(&e))?;
                let response = client.get(url.clone()).send().map_err(|e| error(&e))?;
                if !response.status().is_success() {
                    return Err(failed(format!("{url} answered {}", response.status())).into());
                }
                let length = response.content_length();
                copy_stream(response, length, max_bytes, to, progress).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// Copies until the end. Errors are text: both sides may fail, with different error types.
fn copy_stream(
    mut from: impl Read,
    length: Option<u64>,
    max_bytes: u64,
    to: &mut dyn Write,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), String> {
    let too_large = || format!("larger than {max_bytes} bytes: this is another model");
    if length.is_some_and(|length| length > max_bytes) {
        return Err(too_large());
    }
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut done = 0;
    loop {
        progress(done, length);
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(with_causes(&error)),
        };
        done += count as u64;
        if done > max_bytes {
            return Err(too_large());
        }
        to.write_all(&buffer[..count]).map_err(|error| with_causes(&error))?;
    }
    match length {
        Some(length) if length != done => Err(format!("incomplete: {done} of {length} bytes; try again")),
        _ => Ok(()),
    }
}

/// An error with its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(bytes: &[u8], length: Option<u64>, max_bytes: u64) -> Result<Vec<u8>, String> {
        let mut to = Vec::new();
        copy_stream(bytes, length, max_bytes, &mut to, &mut |_, _| {}).map(|()| to)
    }

    #[test]
    fn a_copy_has_the_announced_length() {
        let bytes = vec![7; 3 * BUFFER_BYTES + 1];
        let length = bytes.len() as u64;
        assert_eq!(copied(&bytes, Some(length), length), Ok(bytes.clone()));
        assert_eq!(copied(&bytes, None, length), Ok(bytes.clone()));
        for (announced, max_bytes) in [(Some(length + 1), length), (Some(length + 1), 2 * length), (None, length - 1)] {
            assert!(copied(&bytes, announced, max_bytes).is_err(), "{announced:?} {max_bytes}");
        }
    }
}
