//! Settings, resolved once. Flags override the environment, which overrides the settings file, which overrides defaults.

mod declared;
mod embedder;
mod environment;
mod file;
mod llm;
mod location;
mod mem0_qdrant;
#[cfg(feature = "minilm")]
mod minilm;
pub(crate) mod names;
mod paths;
mod qdrant;
#[cfg(test)]
mod reference;
mod server;
mod setting;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use jiff::Span;
use mnemon_engine::EngineError;
use mnemon_store::Scope;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::args::{GlobalArgs, ScopeArgs, SettingFlag};
use crate::error::CliError;
use declared::Values;
use embedder::EmbedderSettings;
pub(crate) use environment::Environment;
use llm::LlmSettings;
pub(crate) use location::{LedgerLocation, StoreLocation};
pub(crate) use mem0_qdrant::Mem0Qdrant;
pub use qdrant::CollectionAddress;
pub(crate) use qdrant::QdrantSettings;
pub(crate) use server::ServerSettings;
use setting::SettingType;

/// The resolved settings of a command, except for its own arguments.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) store: StoreLocation,
    pub(crate) qdrant: QdrantSettings,
    pub(crate) embedder: EmbedderSettings,
    /// The setting `embedder` as it was given.
    pub(crate) embedder_name: String,
    embedder_timeout: Duration,
    pub(crate) llm: LlmSettings,
    /// Base URL for model downloads.
    #[cfg_attr(not(feature = "minilm"), expect(dead_code, reason = "only MiniLM is downloaded"))]
    pub(crate) models_url: Option<String>,
    pub(crate) cache_bytes: usize,
    pub(crate) session_gap: Span,
    scope: ScopeArgs,
    /// The settings file that was read.
    pub(crate) file: Option<PathBuf>,
    /// Settings of `mnemon serve`.
    pub(crate) server: ServerSettings,
    /// A warning about settings and variables that have no effect.
    pub(crate) warning: Option<String>,
    /// The filter of the log, if it is given.
    pub(crate) log_filter: Option<String>,
}

/// Checks a filter of the log. A word that names no level would be the name of a module, and nothing else would be logged.
fn log_filter(filter: Option<String>) -> Result<Option<String>, CliError> {
    let Some(text) = filter else { return Ok(None) };
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_known =
        |part: &str| part.is_empty() || is_level(part) || part.contains(['=', '[', ':']) || part.starts_with("mnemon");
    if !text.split(',').all(|part| is_known(part.trim())) || text.parse::<EnvFilter>().is_err() {
        let message = format!(
            "MNEMON_LOG is `{text}`; give a level such as `debug`, or levels of modules such as `warn,mnemon_server=debug`"
        );
        return Err(CliError::usage(message));
    }
    Ok(Some(text))
}

impl Settings {
    /// Resolves flags, environment, file and defaults. `of_command` are further flags, those of one command.
    ///
    /// # Errors
    /// An error that names the setting and where it was given.
    pub fn resolve(flags: &GlobalArgs, of_command: &[SettingFlag<'_>]) -> anyhow::Result<Self> {
        let environment = Environment::read()?;
        let file = match flags.config.clone().or_else(|| environment.non_blank("MNEMON_CONFIG").map(PathBuf::from)) {
            Some(file) if !file.is_file() => {
                return Err(CliError::usage(format!("{} is not a settings file", file.display())).into());
            }
            Some(file) => Some(file),
            None => paths::default_files().into_iter().find(|file| file.is_file()),
        };
        let flags: Vec<SettingFlag<'_>> = flags.settings().chain(of_command.iter().copied()).collect();
        let values = Values::read(file.as_deref(), &environment, &flags)?;
        let store = match &values.store {
            Some(store) => location::parse(store).with_context(|| values.origin("store"))?,
            None => match qdrant::from_mem0_variables(&environment)? {
                Some(store) => store,
                None => StoreLocation::Sqlite(paths::data_file("mnemon.db")?),
            },
        };
        let cache_bytes = usize::try_from(u64::from(values.cache_mb) << 20)
            .map_err(|_| values.invalid("cache_mb", "a number of MiB that this machine has"))?;
        let warnings: Vec<String> = [environment.warning(), llm::unused(&values)].into_iter().flatten().collect();
        Ok(Self {
            qdrant: qdrant::resolve(&values, &store, &environment)?,
            embedder: embedder::resolve(&values, &environment)?,
            llm: llm::resolve(&values, &environment)?,
            server: server::resolve(&values, &environment)?,
            store,
            cache_bytes,
            session_gap: values.session_gap,
            scope: ScopeArgs { user: values.user, agent: values.agent, run: values.run },
            embedder_name: values.embedder,
            embedder_timeout: values.embedder_timeout,
            models_url: values.models_url,
            file,
            warning: (!warnings.is_empty()).then(|| warnings.join("; ")),
            log_filter: log_filter(environment.non_blank("MNEMON_LOG"))?,
        })
    }

    /// The file of a SQLite store, or of the SQLite ledger of a Qdrant store.
    pub(crate) fn file_of_store(&self) -> Option<&Path> {
        match &self.store {
            StoreLocation::Sqlite(path) => Some(path),
            StoreLocation::Qdrant { .. } => self.qdrant.file(),
        }
    }

    /// The file for the first admin's key: the configured one, or one beside the store.
    pub(crate) fn first_key_file(&self) -> anyhow::Result<PathBuf> {
        if let Some(file) = &self.server.first_key_file {
            return Ok(file.clone());
        }
        let Some(store) = self.file_of_store() else { return paths::data_file("first-key") };
        let mut file = store.to_owned().into_os_string();
        file.push(".first-key");
        Ok(file.into())
    }

    /// The scope: each id from its flag, otherwise from its setting. `None` if there is none.
    pub(crate) fn scope(&self, flags: &ScopeArgs) -> anyhow::Result<Option<Scope>> {
        let or = |flag: &Option<String>, setting: &Option<String>| flag.clone().or_else(|| setting.clone());
        scope_of(&ScopeArgs {
            user: or(&flags.user, &self.scope.user),
            agent: or(&flags.agent, &self.scope.agent),
            run: or(&flags.run, &self.scope.run),
        })
    }

    /// The folder of the local MiniLM: the one of the setting `embedder`, otherwise the default folder.
    #[cfg(feature = "minilm")]
    pub(crate) fn minilm_folder(&self) -> anyhow::Result<PathBuf> {
        match &self.embedder {
            embedder::EmbedderSettings::MiniLm(model) => Ok(model.folder().to_owned()),
            _ => minilm::folder(None),
        }
    }

    /// The address of the store's collection; `None` for a store in SQLite.
    pub fn collection(&self) -> Option<CollectionAddress<'_>> {
        match &self.store {
            StoreLocation::Sqlite(_) => None,
            StoreLocation::Qdrant { urls, collection } => Some(self.qdrant.address(urls, collection)),
        }
    }

    /// Connection settings of Qdrant clients, and options for new collections.
    pub(crate) fn qdrant_client(&self) -> qdrant::ClientSettings {
        self.qdrant.client()
    }

    /// These settings with another store. The ledger is that store's default, unless one is configured.
    pub(crate) fn with_store(&self, store: &str) -> anyhow::Result<Self> {
        let store = location::parse(store)?;
        let qdrant = self.qdrant.for_store(&store)?;
        Ok(Self { store, qdrant, ..self.clone() })
    }

    /// Whether a ledger is configured.
    pub fn has_ledger(&self) -> bool {
        self.qdrant.is_ledger_configured
    }

    /// The settings of another embedder, given like the settings `embedder`, `embedder_url` and `embedder_dims`.
    pub(crate) fn other_embedder(
        &self,
        name: &str,
        url: Option<&str>,
        dims: Option<u32>,
    ) -> anyhow::Result<EmbedderSettings> {
        let values = Values {
            embedder: name.to_owned(),
            embedder_url: url.map(str::to_owned),
            embedder_dims: dims.unwrap_or_default(),
            embedder_timeout: self.embedder_timeout,
            ..Values::default()
        };
        embedder::resolve(&values, &Environment::read()?)
    }
}

/// The path of a store `sqlite:PATH`.
pub(crate) fn sqlite_file(store: &str) -> anyhow::Result<PathBuf> {
    match location::parse(store)? {
        StoreLocation::Sqlite(file) => Ok(file),
        StoreLocation::Qdrant { .. } => {
            let message = format!("`{store}` is not a file: give sqlite:PATH; a collection is given with --target");
            Err(CliError::usage(message).into())
        }
    }
}

/// The scope of these flags, without defaults; `None` if no id is given.
pub(crate) fn scope_of(flags: &ScopeArgs) -> anyhow::Result<Option<Scope>> {
    let ids = [&flags.user, &flags.agent, &flags.run].map(Option::as_deref);
    if ids.iter().all(Option::is_none) {
        return Ok(None);
    }
    Ok(Some(Scope::new(ids[0], ids[1], ids[2]).map_err(EngineError::from)?))
}

/// Parses a time above zero, such as `60s`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    SettingType::parse(text).ok_or_else(|| format!("give {}", <Duration as SettingType>::EXPECTED))
}
