//! Which setting is changed to switch the server, as flags.

use std::path::PathBuf;

use mnemon_migrate::{Route, SourceSpec, Switch, TargetSpec};

use super::context::store_of;
use crate::error::CliError;

/// What says which store is served.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct SwitchArgs {
    /// Alias of Qdrant that leads to the collection
    #[arg(long, value_name = "NAME")]
    pub(super) alias: Option<String>,
    /// File of KEY=value lines with QDRANT_COLLECTION_NAME
    #[arg(long, value_name = "FILE")]
    pub(super) env_file: Option<PathBuf>,
    /// Settings file of `mnemon serve`, whose `store` is set
    #[arg(long, value_name = "FILE")]
    pub(super) settings: Option<PathBuf>,
}

const KEY: &str = "QDRANT_COLLECTION_NAME";

impl SwitchArgs {
    pub(super) fn switch(&self, route: &Route, aliases: &[(String, String)]) -> anyhow::Result<Switch> {
        let collection = match (&route.to, &route.from) {
            (TargetSpec::Collection { name }, _) => Some(name.clone()),
            (TargetSpec::InPlace, SourceSpec::Collection { name, .. }) => Some(name.clone()),
            _ => None,
        };
        let name = |what: &str| {
            let message =
                format!("{what} names a collection, and the new store is a file: give --settings mnemon.toml");
            collection.clone().ok_or_else(|| CliError::usage(message))
        };
        Ok(match (&self.alias, &self.env_file, &self.settings) {
            (Some(alias), ..) => {
                let was = aliases.iter().find(|(name, _)| name == alias).map(|(_, to)| to.clone());
                Switch::Alias { alias: alias.clone(), was, now: name("an alias")? }
            }
            (_, Some(file), _) => {
                let was = mnemon_migrate::value_in_env_file(file, KEY)?;
                if was.is_none() {
                    let message = format!(
                        "{} has no line {KEY}=: is it the file that the server reads? Add the line with the old name first",
                        file.display()
                    );
                    return Err(CliError::refused(message).into());
                }
                Switch::EnvFile { file: std::path::absolute(file)?, key: KEY.into(), was, now: name(KEY)? }
            }
            (_, _, Some(file)) if !file.is_file() => {
                let message =
                    format!("there is no settings file {}: name the one that the server reads", file.display());
                return Err(CliError::refused(message).into());
            }
            (_, _, Some(file)) => Switch::Settings {
                file: std::path::absolute(file)?,
                was: mnemon_migrate::store_in_settings(file)?,
                now: store_of(route),
            },
            _ => return Err(CliError::usage("give --alias, --env-file or --settings").into()),
        })
    }
}
