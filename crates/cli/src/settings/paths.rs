//! Where settings and data are kept unless they are named.

use std::path::PathBuf;

use crate::error::CliError;

/// Where a settings file is looked for, in this order.
pub(super) fn default_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("mnemon.toml")];
    files.extend(dirs::config_dir().map(|folder| folder.join("mnemon").join("mnemon.toml")));
    files
}

/// A file in the folder for our data.
pub(super) fn data_file(name: &str) -> anyhow::Result<PathBuf> {
    let folder = dirs::data_dir()
        .ok_or_else(|| CliError::usage("your data directory is not known: name a file with --store sqlite:PATH"))?;
    Ok(folder.join("mnemon").join(name))
}

/// The path, absolute; `~/` is the home directory.
pub(super) fn expanded(path: &str) -> Result<PathBuf, CliError> {
    let path = match path.strip_prefix("~/") {
        Some(rest) => dirs::home_dir()
            .ok_or_else(|| CliError::usage("your home directory is not known: give the path without ~"))?
            .join(rest),
        None => PathBuf::from(path),
    };
    std::path::absolute(&path).map_err(|error| CliError::failed("io", format!("{}: {error}", path.display())))
}
