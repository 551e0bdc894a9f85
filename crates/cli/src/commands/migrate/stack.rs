//! What all phases are told: the stack that is left, where it goes, and the folder that remembers it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mnemon_migrate::{ENTITIES, Migration, MigrationContext, Route, SourceSpec, TargetSpec};
use mnemon_models::Embedder;

use crate::commands::progress::Steps;
use crate::exit::Fault;
use crate::output::Output;
use crate::settings::Settings;

const STACK: &str = "The stack; what is not given is taken from the folder of the migration";

/// From where to where.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct StackArgs {
    /// Folder of the migration: its state, counts and reports
    #[arg(help_heading = STACK, long, value_name = "DIR", env = "MNEMON_MIGRATION", default_value = "mnemon-migration")]
    pub(super) dir: PathBuf,
    /// Collection that mem0 writes to [default: QDRANT_COLLECTION_NAME, else mem0]
    #[arg(help_heading = STACK, long, value_name = "NAME", conflicts_with = "snapshot")]
    source: Option<String>,
    /// Snapshot file of the collection, in place of a running Qdrant
    #[arg(help_heading = STACK, long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// New collection to fill, on the same Qdrant
    #[arg(help_heading = STACK, long, value_name = "NAME", conflicts_with_all = ["to", "in_place"])]
    target: Option<String>,
    /// New SQLite store to fill: sqlite:PATH
    #[arg(help_heading = STACK, long, value_name = "STORE", conflicts_with = "in_place")]
    to: Option<String>,
    /// Add what is missing to the collection itself (Qdrant 1.18 or newer)
    #[arg(help_heading = STACK, long)]
    in_place: bool,
    /// Host of Qdrant [env: QDRANT_HOST] [default: localhost]
    #[arg(help_heading = STACK, long, value_name = "HOST")]
    qdrant_host: Option<String>,
    /// Its REST port [env: QDRANT_PORT] [default: 6333]
    #[arg(help_heading = STACK, long, value_name = "PORT")]
    qdrant_port: Option<u16>,
    /// Its gRPC port [env: QDRANT_GRPC_PORT] [default: the one after that of REST]
    #[arg(help_heading = STACK, long, value_name = "PORT")]
    qdrant_grpc_port: Option<u16>,
}

impl StackArgs {
    /// The route that the flags name, completed by the environment and by `known`; `None` where they name none.
    pub(super) fn route(&self, known: Option<&Route>) -> anyhow::Result<Option<Route>> {
        let flags = [self.source.is_some(), self.snapshot.is_some(), self.target.is_some(), self.to.is_some()];
        let server = [self.qdrant_host.is_some(), self.qdrant_port.is_some(), self.qdrant_grpc_port.is_some()];
        if !flags.into_iter().chain(server).any(|given| given) && !self.in_place {
            return Ok(None);
        }
        let from = match (&self.snapshot, known) {
            (Some(file), _) => SourceSpec::Snapshot { file: absolute(file)? },
            // Only the target is named: the source is the one that is known.
            (None, Some(known)) if self.source.is_none() && !server.contains(&true) => known.from.clone(),
            (None, Some(Route { from: SourceSpec::Collection { name, .. }, .. })) if self.source.is_none() => {
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
            (.., Some(known)) => known.to.clone(),
            _ => {
                let message = "where to? Give --target NAME (a new collection), --to sqlite:PATH, or --in-place";
                return Err(Fault::usage(message).into());
            }
        };
        Ok(Some(Route { from, to }))
    }

    /// The collection that the flags name, completed by the environment.
    fn collection(&self) -> Result<SourceSpec, Fault> {
        self.collection_by(|name| std::env::var(name).ok())
    }

    fn collection_by(&self, environment: impl Fn(&str) -> Option<String>) -> Result<SourceSpec, Fault> {
        let given = |name: &str| environment(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let port = |flag: Option<u16>, name: &str| -> Result<Option<u16>, Fault> {
            let parse = |text: String| {
                text.parse().map_err(|_| Fault::usage(format!("{name} is `{text}`; give the number of a port")))
            };
            flag.map_or_else(|| given(name).map(parse).transpose(), |port| Ok(Some(port)))
        };
        let host = self.qdrant_host.clone().or_else(|| given("QDRANT_HOST")).unwrap_or_else(|| "localhost".into());
        let (scheme, name) = host.split_once("://").unwrap_or(("http", &host));
        let name = name.trim_end_matches('/');
        let name = match name.matches(':').count() {
            0 => name.to_owned(),
            _ if name.starts_with('[') && name.ends_with(']') => name.to_owned(),
            1 => return Err(Fault::usage(format!("`{host}` names a port: give it as --qdrant-port"))),
            _ => format!("[{name}]"),
        };
        let rest = port(self.qdrant_port, "QDRANT_PORT")?.unwrap_or(6333);
        let grpc = port(self.qdrant_grpc_port, "QDRANT_GRPC_PORT")?.unwrap_or_else(|| rest.saturating_add(1));
        let source = self.source.clone().or_else(|| given("QDRANT_COLLECTION_NAME")).unwrap_or_else(|| "mem0".into());
        Ok(SourceSpec::Collection {
            grpc: vec![format!("{scheme}://{name}:{grpc}")],
            rest: format!("{scheme}://{name}:{rest}"),
            name: source,
        })
    }

    /// Address of REST and name of the collection that is left: as the flags have it, else as it is known.
    pub(super) fn rest(&self, known: Option<&Route>) -> anyhow::Result<(String, String)> {
        let flags = self.source.is_some() || self.qdrant_host.is_some() || self.qdrant_port.is_some();
        let from = match known.filter(|_| !flags) {
            Some(known) => known.from.clone(),
            None => self.collection()?,
        };
        match from {
            SourceSpec::Collection { rest, name, .. } => Ok((rest, name)),
            SourceSpec::Snapshot { file } => {
                let message = format!("{} is a snapshot already: there is no server to make one", file.display());
                Err(Fault::usage(message).into())
            }
        }
    }

    /// The migration of the folder, on the route that the flags name or that it knows.
    pub(super) fn open(&self) -> anyhow::Result<Migration> {
        // Wrong flags leave no folder behind.
        let known = Migration::read(&self.dir)?.and_then(|state| state.route);
        let route = self.route(known.as_ref())?;
        if route.is_none() && known.is_none() {
            let message = "what to migrate? Give --source NAME and --target NAME, --to sqlite:PATH or --in-place; or --dir \
                           with the folder of a migration that was begun";
            return Err(Fault::usage(message).into());
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

/// What phases work with, by the settings.
pub(super) fn tools<'e>(settings: &Settings, embedder: &'e Arc<dyn Embedder>, scratch: &Path) -> MigrationContext<'e> {
    let qdrant = settings.qdrant_client();
    MigrationContext {
        api_key: qdrant.api_key,
        timeout: qdrant.timeout,
        retries: qdrant.retries,
        embedder: Some(&**embedder),
        rate: None,
        removals: false,
        scratch: scratch.to_owned(),
        new: qdrant.new,
    }
}

/// Runs work that tells how far it is.
pub(super) fn with_progress<T>(out: &Output, work: impl FnOnce(&mnemon_migrate::Progress<'_>) -> T) -> T {
    let line = Steps::new(out.is_json());
    work(&|what, done, of| {
        let step = if what == ENTITIES { "entities written".to_owned() } else { format!("points {what}") };
        line.things(step, done as u64, of);
    })
}

/// The new store, as `--store` names it.
pub(super) fn store_of(route: &Route) -> String {
    match &route.to {
        TargetSpec::Collection { name } => collection_of(route, Some(name)),
        TargetSpec::Sqlite { file } => format!("sqlite:{}", file.display()),
        TargetSpec::InPlace => old_store(route),
    }
}

/// The old store, as `--store` names it.
pub(super) fn old_store(route: &Route) -> String {
    collection_of(route, None)
}

fn collection_of(route: &Route, name: Option<&str>) -> String {
    match &route.from {
        SourceSpec::Collection { grpc, name: own, .. } => {
            let hosts = grpc.iter().map(|url| url.split_once("://").map_or(url.as_str(), |(_, host)| host));
            let scheme = grpc.first().and_then(|url| url.split_once("://")).map_or("http", |(scheme, _)| scheme);
            format!("qdrant:{scheme}://{}/{}", hosts.collect::<Vec<_>>().join(","), name.unwrap_or(own))
        }
        // A snapshot goes into a file only: collections are refused when they are opened.
        SourceSpec::Snapshot { file } => file.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        stack: StackArgs,
    }

    fn collection_of(words: &[&str], environment: &[(&str, &str)]) -> Result<(String, String, String), String> {
        let line = Line::try_parse_from([&["migrate"], words].concat()).map_err(|error| error.to_string())?;
        let given = |name: &str| environment.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        match line.stack.collection_by(given).map_err(|fault| fault.to_string())? {
            SourceSpec::Collection { grpc, rest, name } => Ok((rest, grpc[0].clone(), name)),
            SourceSpec::Snapshot { .. } => Err("a snapshot".into()),
        }
    }

    #[test]
    fn flags_go_before_the_environment() {
        let environment = [("QDRANT_HOST", "qdrant"), ("QDRANT_PORT", " 7000 "), ("QDRANT_COLLECTION_NAME", "old")];
        for (words, environment, rest, grpc, source) in [
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
            let found = collection_of(words, environment).unwrap();
            assert_eq!(found, (rest.to_owned(), grpc.to_owned(), source.to_owned()));
        }
    }

    #[test]
    fn wrong_calls_are_told() {
        assert!(collection_of(&["--qdrant-host", "q:6333"], &[]).unwrap_err().contains("--qdrant-port"));
        assert!(collection_of(&[], &[("QDRANT_PORT", "many")]).unwrap_err().contains("QDRANT_PORT"));
        assert!(collection_of(&["--target", "x", "--in-place"], &[]).unwrap_err().contains("cannot be used with"));
    }
}
