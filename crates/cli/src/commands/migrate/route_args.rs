//! Flags of all phases: source, target, and the folder of the migration.

use std::path::{Path, PathBuf};

use mnemon_migrate::{Migration, Route, SourceSpec, TargetSpec};

use crate::error::CliError;
use crate::settings::{Environment, Mem0Qdrant};

const ROUTE: &str = "Source and target (by default, those in the migration's folder)";

/// Source and target of the migration.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct RouteArgs {
    /// Folder of the migration: its state, counts and reports
    #[arg(help_heading = ROUTE, long, value_name = "DIR", env = "MNEMON_MIGRATION", default_value = "mnemon-migration")]
    pub(super) dir: PathBuf,
    /// Source collection, which mem0 writes to [default: QDRANT_COLLECTION_NAME, else mem0]
    #[arg(help_heading = ROUTE, long, value_name = "NAME", conflicts_with = "snapshot")]
    source: Option<String>,
    /// Snapshot file of the collection as source, instead of a running Qdrant
    #[arg(help_heading = ROUTE, long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// New target collection on the same Qdrant server
    #[arg(help_heading = ROUTE, long, value_name = "NAME", conflicts_with_all = ["to", "in_place"])]
    target: Option<String>,
    /// New SQLite store as target: sqlite:PATH
    #[arg(help_heading = ROUTE, long, value_name = "STORE", conflicts_with = "in_place")]
    to: Option<String>,
    /// Extend the source collection itself (requires Qdrant 1.18 or newer)
    #[arg(help_heading = ROUTE, long)]
    in_place: bool,
    /// Qdrant host [env: QDRANT_HOST] [default: localhost]
    #[arg(help_heading = ROUTE, long, value_name = "HOST")]
    qdrant_host: Option<String>,
    /// Qdrant's REST port [env: QDRANT_PORT] [default: 6333]
    #[arg(help_heading = ROUTE, long, value_name = "PORT")]
    qdrant_port: Option<u16>,
    /// Qdrant's gRPC port [env: QDRANT_GRPC_PORT] [default: REST port + 1]
    #[arg(help_heading = ROUTE, long, value_name = "PORT")]
    qdrant_grpc_port: Option<u16>,
}

impl RouteArgs {
    /// The route of the flags, completed from the environment and from `known`; `None` if no flag is given.
    pub(super) fn resolve(&self, known: Option<&Route>) -> anyhow::Result<Option<Route>> {
        let flags = [self.source.is_some(), self.snapshot.is_some(), self.target.is_some(), self.to.is_some()];
        let server = [self.qdrant_host.is_some(), self.qdrant_port.is_some(), self.qdrant_grpc_port.is_some()];
        if !flags.into_iter().chain(server).any(|given| given) && !self.in_place {
            return Ok(None);
        }
        let from = match (&self.snapshot, known) {
            (Some(file), _) => SourceSpec::Snapshot { file: absolute(file)? },
            // Only the target is given: the source stays.
            (None, Some(known)) if self.source.is_none() && !server.contains(&true) => known.source.clone(),
            (None, Some(Route { source: SourceSpec::Collection { name, .. }, .. })) if self.source.is_none() => {
                match self.collection()? {
                    SourceSpec::Collection { grpc, rest, .. } => {
                        SourceSpec::Collection { grpc, rest, name: name.clone() }
                    }
                    other => other,
                }
            }
            _ => self.collection()?,
        };
        let to = match (&self.target, &self.to, self.in_place, known) {
            (Some(name), ..) => TargetSpec::Collection { name: name.clone() },
            (_, Some(store), ..) => TargetSpec::Sqlite { file: crate::settings::sqlite_file(store)? },
            (.., true, _) => TargetSpec::InPlace,
            (.., Some(known)) => known.target.clone(),
            _ => {
                let message = "no target: give --target NAME (a new collection), --to sqlite:PATH, or --in-place";
                return Err(CliError::usage(message).into());
            }
        };
        Ok(Some(Route { source: from, target: to }))
    }

    /// The source collection of the flags, completed from the environment.
    fn collection(&self) -> Result<SourceSpec, CliError> {
        self.collection_with(&Environment::read()?)
    }

    fn collection_with(&self, environment: &Environment) -> Result<SourceSpec, CliError> {
        let flags = Mem0Qdrant {
            host: self.qdrant_host.clone(),
            rest_port: self.qdrant_port,
            grpc_port: self.qdrant_grpc_port,
            collection: self.source.clone(),
        };
        let collection = flags.or(Mem0Qdrant::read(environment)?).collection()?;
        Ok(SourceSpec::Collection { grpc: vec![collection.grpc], rest: collection.rest, name: collection.name })
    }

    /// REST address and name of the source collection, from the flags, otherwise from `known`.
    pub(super) fn rest(&self, known: Option<&Route>) -> anyhow::Result<(String, String)> {
        let flags = self.source.is_some() || self.qdrant_host.is_some() || self.qdrant_port.is_some();
        let from = match known.filter(|_| !flags) {
            Some(known) => known.source.clone(),
            None => self.collection()?,
        };
        match from {
            SourceSpec::Collection { rest, name, .. } => Ok((rest, name)),
            SourceSpec::Snapshot { file } => {
                let message = format!("{} is already a snapshot: there is no server to back up", file.display());
                Err(CliError::usage(message).into())
            }
        }
    }

    /// Opens the migration in the folder, with the route of the flags if they give one.
    pub(super) fn open(&self) -> anyhow::Result<Migration> {
        // Checked first, so that wrong flags create no folder.
        let known = Migration::read(&self.dir)?.and_then(|state| state.route);
        let route = self.resolve(known.as_ref())?;
        if route.is_none() && known.is_none() {
            let message = "no source and target: give --source NAME and --target NAME, --to sqlite:PATH or --in-place; or --dir \
                           with the folder of an existing migration";
            return Err(CliError::usage(message).into());
        }
        let mut migration = Migration::open(&self.dir)?;
        if let Some(route) = route {
            migration.set_route(route)?;
        }
        Ok(migration)
    }
}

fn absolute(file: &Path) -> anyhow::Result<PathBuf> {
    Ok(std::path::absolute(file)?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        route: RouteArgs,
    }

    fn collection_of(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(String, String, String), String> {
        let parsed =
            Arguments::try_parse_from([&["migrate"], arguments].concat()).map_err(|error| error.to_string())?;
        let environment = Environment::of(environment.iter().copied()).map_err(|error| error.to_string())?;
        match parsed.route.collection_with(&environment).map_err(|error| error.to_string())? {
            SourceSpec::Collection { grpc, rest, name } => Ok((rest, grpc[0].clone(), name)),
            SourceSpec::Snapshot { .. } => Err("a snapshot".into()),
        }
    }

    #[test]
    fn flags_override_the_environment() {
        let environment = [("QDRANT_HOST", "qdrant"), ("QDRANT_PORT", " 7000 "), ("QDRANT_COLLECTION_NAME", "old")];
        for (arguments, environment, rest, grpc, source) in [
            (&[][..], &[][..], "http://localhost:6333", "http://localhost:6334", "mem0"),
            (&[], &environment[..], "http://qdrant:7000", "http://qdrant:7001", "old"),
            (
                &["--qdrant-host", "https://q/", "--source", "x"],
                &environment[..],
                "https://q:7000",
                "https://q:7001",
                "x",
            ),
            (
                &["--qdrant-host", "::1", "--qdrant-port", "1", "--qdrant-grpc-port", "9"],
                &[][..],
                "http://[::1]:1",
                "http://[::1]:9",
                "mem0",
            ),
            (&["--qdrant-host", "[::1]"], &[("QDRANT_PORT", "")][..], "http://[::1]:6333", "http://[::1]:6334", "mem0"),
        ] {
            let found = collection_of(arguments, environment).unwrap();
            assert_eq!(found, (rest.to_owned(), grpc.to_owned(), source.to_owned()));
        }
    }

    #[test]
    fn wrong_arguments_are_reported() {
        assert!(collection_of(&["--qdrant-host", "q:6333"], &[]).unwrap_err().contains("--qdrant-port"));
        assert!(collection_of(&[], &[("QDRANT_PORT", "many")]).unwrap_err().contains("QDRANT_PORT"));
        assert!(collection_of(&["--target", "x", "--in-place"], &[]).unwrap_err().contains("cannot be used with"));
    }
}
