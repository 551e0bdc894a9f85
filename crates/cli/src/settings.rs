//! Settings, resolved once: defaults, then the settings file, then the environment, then flags.

pub(crate) mod durations;
mod embedder;
mod llm;
#[cfg(feature = "minilm")]
mod minilm;
mod paths;
mod qdrant;
pub(crate) mod server;
mod store_path;
mod values;

use std::path::{Path, PathBuf};

use jiff::Span;
use mnemon_engine::EngineError;
use mnemon_store::Scope;

use crate::args::{GlobalArgs, ScopeArgs};
use crate::error::CliError;
use embedder::EmbedderSettings;
use llm::LlmSettings;
pub use qdrant::CollectionPlace;
pub(crate) use qdrant::QdrantSettings;
pub(crate) use store_path::{LedgerPlace, StorePlace};
use values::Values;

/// Everything a command needs to know beside its own arguments.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) store: StorePlace,
    pub(crate) qdrant: QdrantSettings,
    pub(crate) embedder: EmbedderSettings,
    /// The setting `embedder`, as it is written.
    pub(crate) embedder_name: String,
    embedder_timeout: String,
    pub(crate) llm: LlmSettings,
    /// Where models are published.
    #[cfg_attr(not(feature = "minilm"), expect(dead_code, reason = "nothing is fetched"))]
    pub(crate) models_url: Option<String>,
    pub(crate) cache_bytes: usize,
    pub(crate) session_gap: Span,
    scope: ScopeArgs,
    /// The settings file that was read.
    pub(crate) file: Option<PathBuf>,
    /// How to serve.
    pub(crate) server: server::ServerSettings,
}

impl Settings {
    /// Resolves flags, environment, file and defaults.
    pub fn resolve(flags: &GlobalArgs) -> anyhow::Result<Self> {
        values::check_environment()?;
        let environment = |name: &str| std::env::var(name).ok();
        let named = flags.config.clone().or_else(|| environment("MNEMON_CONFIG").map(PathBuf::from));
        let file = match named {
            Some(file) if !file.is_file() => {
                return Err(CliError::usage(format!("{} is no settings file", file.display())).into());
            }
            Some(file) => Some(file),
            None => paths::default_files().into_iter().find(|file| file.is_file()),
        };
        let values = Values::read(file.as_deref(), environment, flags)?;
        let store = match &values.store {
            Some(store) => store_path::parse(store)?,
            None => match qdrant::of_the_runbook(environment)? {
                Some(store) => store,
                None => StorePlace::Sqlite(paths::data_file("mnemon.db")?),
            },
        };
        let qdrant = qdrant::resolve(&values, &store, environment)?;
        let embedder = embedder::resolve(&values, environment)?;
        let llm = llm::resolve(&values, environment)?;
        let cache_bytes = values.cache_mb.checked_mul(1 << 20).ok_or_else(|| {
            CliError::usage(format!("cache_mb is {}; give a number of MiB that this machine can have", values.cache_mb))
        })?;
        let session_gap = durations::session_gap(&values.session_gap)?;
        let server = server::resolve(&values, environment)?;
        let scope = ScopeArgs { user: values.user, agent: values.agent, run: values.run };
        Ok(Self {
            store,
            qdrant,
            embedder,
            embedder_name: values.embedder,
            embedder_timeout: values.embedder_timeout,
            llm,
            models_url: values.models_url,
            cache_bytes,
            session_gap,
            scope,
            file,
            server,
        })
    }

    /// The file that memories, or the ledger beside them, are kept in.
    pub(crate) fn file_of_store(&self) -> Option<&Path> {
        match &self.store {
            StorePlace::Sqlite(path) => Some(path),
            StorePlace::Qdrant { .. } => self.qdrant.file(),
        }
    }

    /// Whose memories: the flags, and for each that is absent the setting. `None` if nobody is named.
    pub(crate) fn scope(&self, flags: &ScopeArgs) -> anyhow::Result<Option<Scope>> {
        let or = |flag: &Option<String>, setting: &Option<String>| flag.clone().or_else(|| setting.clone());
        scope_of(&ScopeArgs {
            user: or(&flags.user, &self.scope.user),
            agent: or(&flags.agent, &self.scope.agent),
            run: or(&flags.run, &self.scope.run),
        })
    }

    /// The folder of the local MiniLM: the embedder's, or the one that `minilm` alone would name.
    #[cfg(feature = "minilm")]
    pub(crate) fn minilm_folder(&self) -> anyhow::Result<PathBuf> {
        match &self.embedder {
            embedder::EmbedderSettings::MiniLm(model) => Ok(model.folder().to_owned()),
            _ => minilm::folder(None),
        }
    }

    /// Where the collection of the store is; `None` for a store in SQLite.
    pub fn collection(&self) -> Option<CollectionPlace<'_>> {
        match &self.store {
            StorePlace::Sqlite(_) => None,
            StorePlace::Qdrant { urls, collection } => Some(self.qdrant.place(urls, collection)),
        }
    }

    /// How clients reach Qdrant, and how collections are made.
    pub(crate) fn qdrant_client(&self) -> qdrant::ClientSettings {
        self.qdrant.client()
    }

    /// These settings for another store, whose ledger is the one that goes with it unless one is named.
    pub(crate) fn with_store(&self, store: &str) -> anyhow::Result<Self> {
        let store = store_path::parse(store)?;
        let qdrant = self.qdrant.for_store(&store)?;
        Ok(Self { store, qdrant, ..self.clone() })
    }

    /// Whether the caller named the ledger of a store in Qdrant.
    pub fn names_ledger(&self) -> bool {
        self.qdrant.ledger_named
    }

    /// Settings of another embedder, named as the setting `embedder` does.
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
            embedder_timeout: self.embedder_timeout.clone(),
            ..Values::default()
        };
        embedder::resolve(&values, |name| std::env::var(name).ok())
    }
}

/// The file of a store `sqlite:PATH`.
pub(crate) fn sqlite_file(store: &str) -> anyhow::Result<PathBuf> {
    match store_path::parse(store)? {
        StorePlace::Sqlite(file) => Ok(file),
        StorePlace::Qdrant { .. } => {
            let message = format!("`{store}` is no file: give sqlite:PATH; a collection is named by --target");
            Err(CliError::usage(message).into())
        }
    }
}

/// The scope these flags name, and nothing else; `None` if they name nobody.
pub(crate) fn scope_of(flags: &ScopeArgs) -> anyhow::Result<Option<Scope>> {
    let ids = [&flags.user, &flags.agent, &flags.run].map(Option::as_deref);
    if ids.iter().all(Option::is_none) {
        return Ok(None);
    }
    Ok(Some(Scope::new(ids[0], ids[1], ids[2]).map_err(EngineError::from)?))
}
