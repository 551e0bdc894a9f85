//! Default paths of settings and data.

use std::path::PathBuf;

use crate::error::CliError;
use mnemon_engine::ErrorCode;

/// Settings files to look for, in this order.
pub(super) fn default_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("mnemon.toml")];
    files.extend(dirs::config_dir().map(|folder| folder.join("mnemon").join("mnemon.toml")));
    files
}

/// A file in mnemon's folder of the data directory.
pub(super) fn data_file(name: &str) -> anyhow::Result<PathBuf> {
    let folder = dirs::data_dir()
        .ok_or_else(|| CliError::usage("the data directory is unknown: give a file with --store sqlite:PATH"))?;
    Ok(folder.join("mnemon").join(name))
}

/// The absolute path. `~/` is the home directory.
pub(super) fn absolute(path: &str) -> Result<PathBuf, CliError> {
    let path = match path.strip_prefix("~/") {
        Some(rest) => dirs::home_dir()
            .ok_or_else(|| CliError::usage("the home directory is unknown: give the path without ~"))?
            .join(rest),
        None => PathBuf::from(path),
    };
    std::path::absolute(&path).map_err(|error| CliError::failed(ErrorCode::Io, format!("{}: {error}", path.display())))
}
