//! Where a model's files come from: a folder, an archive, or a folder of a web site.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use reqwest::Url;
use reqwest::blocking::Client;
use zip::ZipArchive;

use crate::error::CliError;

/// How long a site may say nothing.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes that are copied at a time.
const PIECE: usize = 1 << 18;

pub(super) enum Source {
    Folder(PathBuf),
    /// An archive, and the folder in it that holds the weights.
    Archive(Box<ZipArchive<File>>, String),
    Site(Client, Url),
}

impl Source {
    /// What `from` names: a URL with http:// or https://, an archive if it is a file, else a folder.
    pub(super) fn open(from: &str) -> anyhow::Result<Self> {
        if from.starts_with("http://") || from.starts_with("https://") {
            let url = Url::parse(&format!("{}/", from.trim_end_matches('/')));
            let url = url.map_err(|error| CliError::usage(format!("--from: `{from}` is no URL: {error}")))?;
            let client = Client::builder()
                .connect_timeout(SILENCE)
                .timeout(SILENCE)
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
        let folder = folder.ok_or_else(|| CliError::usage(format!("--from {from} holds no model.safetensors")))?;
        Ok(Self::Archive(Box::new(archive), folder))
    }

    /// Copies a file, which must have the length that was announced and at most `largest` bytes; tells how far it is.
    pub(super) fn copy(
        &mut self,
        name: &str,
        largest: u64,
        to: &mut dyn Write,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> anyhow::Result<()> {
        let wrong = |what: String| CliError::failed("download", format!("{name}: {what}"));
        let failed = |error: &dyn std::error::Error| wrong(told(error));
        match self {
            Self::Folder(folder) => {
                let file = File::open(folder.join(name)).map_err(|error| failed(&error))?;
                let length = file.metadata().map_err(|error| failed(&error))?.len();
                stream(file, Some(length), largest, to, progress).map_err(wrong)?;
            }
            Self::Archive(archive, folder) => {
                let file = archive.by_name(&format!("{folder}{name}")).map_err(|error| failed(&error))?;
                let length = file.size();
                stream(file, Some(length), largest, to, progress).map_err(wrong)?;
            }
            Self::Site(client, url) => {
                let url = url.join(name).map_err(|error| failed(&error))?;
                let answer = client.get(url.clone()).send().map_err(|error| failed(&error))?;
                if !answer.status().is_success() {
                    return Err(wrong(format!("{url} answers {}", answer.status())).into());
                }
                let length = answer.content_length();
                stream(answer, length, largest, to, progress).map_err(wrong)?;
            }
        }
        Ok(())
    }
}

/// Copies until the end. What went wrong is told as text: it is for people, whichever side it came from.
fn stream(
    mut from: impl Read,
    length: Option<u64>,
    largest: u64,
    to: &mut dyn Write,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), String> {
    let too_large = || format!("more than {largest} bytes: that is another model");
    if length.is_some_and(|length| length > largest) {
        return Err(too_large());
    }
    let mut piece = vec![0; PIECE];
    let mut done = 0;
    loop {
        progress(done, length);
        let count = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(told(&error)),
        };
        done += count as u64;
        if done > largest {
            return Err(too_large());
        }
        to.write_all(&piece[..count]).map_err(|error| told(&error))?;
    }
    match length {
        Some(length) if length != done => Err(format!("{done} bytes came of {length}; try again")),
        _ => Ok(()),
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
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

    fn copied(bytes: &[u8], length: Option<u64>, largest: u64) -> Result<Vec<u8>, String> {
        let mut to = Vec::new();
        stream(bytes, length, largest, &mut to, &mut |_, _| {}).map(|()| to)
    }

    #[test]
    fn what_was_announced_must_come() {
        let bytes = vec![7; 3 * PIECE + 1];
        let length = bytes.len() as u64;
        assert_eq!(copied(&bytes, Some(length), length), Ok(bytes.clone()));
        assert_eq!(copied(&bytes, None, length), Ok(bytes.clone()));
        for (announced, largest) in [(Some(length + 1), length), (Some(length + 1), 2 * length), (None, length - 1)] {
            assert!(copied(&bytes, announced, largest).is_err(), "{announced:?} {largest}");
        }
    }
}
