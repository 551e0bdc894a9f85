//! Flags that say how the server is switched.

use std::path::PathBuf;

use mnemon_migrate::{Route, SourceSpec, Switch, TargetSpec};

use super::context::target_store;
use crate::error::CliError;

/// The setting that determines which store the server uses.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct SwitchArgs {
    /// Qdrant alias that points to the collection
    #[arg(long, value_name = "NAME")]
    pub(super) alias: Option<String>,
    /// Environment file with a line QDRANT_COLLECTION_NAME=
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Option<PathBuf>,
    /// Settings file of `mnemon serve`, whose `store` is changed
    #[arg(long, value_name = "FILE")]
    pub(super) settings: Option<PathBuf>,
}

const COLLECTION_VARIABLE: &str = "QDRANT_COLLECTION_NAME";

impl SwitchArgs {
    /// The switch of the flags, with the old and the new value.
    pub(super) fn switch(&self, route: &Route, aliases: &[(String, String)]) -> anyhow::Result<Switch> {
        let collection = match (&route.target, &route.source) {
            (TargetSpec::Collection { name }, _) => Some(name.clone()),
            (TargetSpec::InPlace, SourceSpec::Collection { name, .. }) => Some(name.clone()),
            _ => None,
        };
        let name = |what: &str| {
            let message =
                format!("{what} refers to a collection, but the new store is a file: give --settings mnemon.toml");
            collection.clone().ok_or_else(|| CliError::usage(message))
        };
        Ok(match (&self.alias, &self.env_file, &self.settings) {
            (Some(alias), ..) => {
                let was = aliases.iter().find(|(name, _)| name == alias).map(|(_, to)| to.clone());
                Switch::Alias { alias: alias.clone(), was, now: name("an alias")? }
            }
            (_, Some(file), _) => {
                let was = mnemon_migrate::value_in_env_file(file, COLLECTION_VARIABLE)?;
                if was.is_none() {
                    let message = format!(
                        "{} has no line {COLLECTION_VARIABLE}=: is it the file that the server reads? If so, add the line with the \
                         old name",
                        file.display()
                    );
                    return Err(CliError::refused(message).into());
                }
                let now = name(COLLECTION_VARIABLE)?;
                Switch::EnvFile { file: std::path::absolute(file)?, key: COLLECTION_VARIABLE.into(), was, now }
            }
            (_, _, Some(file)) if !file.is_file() => {
                let message =
                    format!("settings file {} does not exist: give the one that the server reads", file.display());
                return Err(CliError::refused(message).into());
            }
            (_, _, Some(file)) => Switch::Settings {
                file: std::path::absolute(file)?,
                was: mnemon_migrate::store_in_settings(file)?,
                now: target_store(route),
            },
            _ => return Err(CliError::usage("give --alias, --env-file or --settings").into()),
        })
    }
}
