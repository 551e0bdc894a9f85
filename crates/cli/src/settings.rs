//! Settings, resolved once: defaults, then the settings file, then the environment, then flags.

mod embedder;
mod llm;
#[cfg(feature = "minilm")]
mod minilm;
mod qdrant;
mod reembed;
pub(crate) mod server;
mod store_path;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use jiff::{SignedDuration, Span};
use mnemon_engine::{Engine, EngineConfig, EngineError};
use mnemon_models::Embedder;
use mnemon_store::database::{Database, Lock, LockGuard};
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{DocumentStore, QdrantStore, Scope, SqliteStore, Store};
use serde::{Deserialize, Serialize};

use crate::cli::{GlobalArgs, ScopeArgs};
use crate::exit::Fault;
use store_path::StorePlace;

/// What a settings file may hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Values {
    store: Option<String>,
    ledger: Option<String>,
    user: Option<String>,
    agent: Option<String>,
    run: Option<String>,
    cache_mb: usize,
    session_gap: String,
    embedder: String,
    embedder_url: Option<String>,
    embedder_dims: u32,
    embedder_timeout: String,
    llm: String,
    llm_url: Option<String>,
    llm_temperature: Option<f64>,
    llm_top_p: Option<f64>,
    llm_max_tokens: u32,
    llm_timeout: String,
    llm_extra: String,
    llm_headers: String,
    llm_instructions: String,
    reranker: String,
    reranker_url: Option<String>,
    models_url: Option<String>,
    qdrant_timeout: String,
    qdrant_retries: u32,
    qdrant_shards: u32,
    qdrant_replication_factor: u32,
    qdrant_write_consistency_factor: u32,
    qdrant_on_disk: bool,
    qdrant_quantization: String,
    bind: String,
    auth: String,
    rate_limit: u32,
    cors_origins: String,
    max_body_mb: usize,
    request_timeout: String,
    shutdown_grace: String,
    log_format: String,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            store: None,
            ledger: None,
            user: None,
            agent: None,
            run: None,
            cache_mb: 512,
            session_gap: "30m".into(),
            embedder: "builtin".into(),
            embedder_url: None,
            embedder_dims: 0,
            embedder_timeout: "25s".into(),
            llm: "none".into(),
            llm_url: None,
            llm_temperature: None,
            llm_top_p: None,
            llm_max_tokens: 0,
            llm_timeout: "40s".into(),
            llm_extra: String::new(),
            llm_headers: String::new(),
            llm_instructions: String::new(),
            reranker: "none".into(),
            reranker_url: None,
            models_url: None,
            qdrant_timeout: "10s".into(),
            qdrant_retries: 2,
            qdrant_shards: 0,
            qdrant_replication_factor: 0,
            qdrant_write_consistency_factor: 0,
            qdrant_on_disk: false,
            qdrant_quantization: "none".into(),
            bind: "127.0.0.1:8000".into(),
            auth: "on".into(),
            rate_limit: 0,
            cors_origins: String::new(),
            max_body_mb: 8,
            request_timeout: "60s".into(),
            shutdown_grace: "30s".into(),
            log_format: "text".into(),
        }
    }
}

/// What is read from the environment.
const VARIABLES: [&str; 39] = [
    "MNEMON_CONFIG",
    "MNEMON_STORE",
    "MNEMON_LEDGER",
    "MNEMON_USER",
    "MNEMON_AGENT",
    "MNEMON_RUN",
    "MNEMON_CACHE_MB",
    "MNEMON_SESSION_GAP",
    "MNEMON_EMBEDDER",
    "MNEMON_EMBEDDER_URL",
    "MNEMON_EMBEDDER_DIMS",
    "MNEMON_EMBEDDER_TIMEOUT",
    "MNEMON_LLM",
    "MNEMON_LLM_URL",
    "MNEMON_LLM_TEMPERATURE",
    "MNEMON_LLM_TOP_P",
    "MNEMON_LLM_MAX_TOKENS",
    "MNEMON_LLM_TIMEOUT",
    "MNEMON_LLM_EXTRA",
    "MNEMON_LLM_HEADERS",
    "MNEMON_LLM_INSTRUCTIONS",
    "MNEMON_RERANKER",
    "MNEMON_RERANKER_URL",
    "MNEMON_MODELS_URL",
    "MNEMON_QDRANT_TIMEOUT",
    "MNEMON_QDRANT_RETRIES",
    "MNEMON_QDRANT_SHARDS",
    "MNEMON_QDRANT_REPLICATION_FACTOR",
    "MNEMON_QDRANT_WRITE_CONSISTENCY_FACTOR",
    "MNEMON_QDRANT_ON_DISK",
    "MNEMON_QDRANT_QUANTIZATION",
    "MNEMON_BIND",
    "MNEMON_AUTH",
    "MNEMON_RATE_LIMIT",
    "MNEMON_CORS_ORIGINS",
    "MNEMON_MAX_BODY_MB",
    "MNEMON_REQUEST_TIMEOUT",
    "MNEMON_SHUTDOWN_GRACE",
    "MNEMON_LOG_FORMAT",
];

/// Everything a command needs to know beside its own arguments.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    store: StorePlace,
    qdrant: qdrant::QdrantSettings,
    embedder: embedder::EmbedderSettings,
    embedder_name: String,
    embedder_timeout: String,
    llm: llm::LlmSettings,
    #[cfg_attr(not(feature = "minilm"), expect(dead_code, reason = "nothing is fetched"))]
    models_url: Option<String>,
    cache_bytes: usize,
    session_gap: Span,
    scope: ScopeArgs,
    file: Option<PathBuf>,
    server: server::ServerSettings,
}

impl Settings {
    /// Resolves flags, environment, file and defaults.
    pub(crate) fn resolve(flags: &GlobalArgs) -> anyhow::Result<Self> {
        for (name, value) in std::env::vars_os() {
            let ours = name.to_str().is_some_and(|name| VARIABLES.contains(&name));
            // Taken for absent, a blank MNEMON_USER would show everybody's memories.
            if ours && value.to_str().is_none_or(|value| value.trim().is_empty()) {
                let name = name.to_string_lossy();
                return Err(Fault::usage(format!("{name} is blank or no UTF-8: unset it, or give it a value")).into());
            }
        }
        let environment = |name: &str| std::env::var(name).ok();
        let named = flags.config.clone().or_else(|| environment("MNEMON_CONFIG").map(PathBuf::from));
        let file = match named {
            Some(file) if !file.is_file() => {
                return Err(Fault::usage(format!("{} is no settings file", file.display())).into());
            }
            Some(file) => Some(file),
            None => default_files().into_iter().find(|file| file.is_file()),
        };
        let values = read(file.as_deref(), environment, flags)?;
        let store = match &values.store {
            Some(store) => store_path::parse(store)?,
            None => match qdrant::of_the_runbook(environment)? {
                Some(store) => store,
                None => StorePlace::Sqlite(data_file("mnemon.db")?),
            },
        };
        let qdrant = qdrant::resolve(&values, &store, environment)?;
        let embedder = embedder::resolve(&values, environment)?;
        let llm = llm::resolve(&values, environment)?;
        let cache_bytes = values.cache_mb.checked_mul(1 << 20).ok_or_else(|| {
            Fault::usage(format!("cache_mb is {}; give a number of MiB that this machine can have", values.cache_mb))
        })?;
        let session_gap = session_gap(&values.session_gap)?;
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

    /// How to serve.
    pub(crate) fn server(&self) -> &server::ServerSettings {
        &self.server
    }

    /// The file that memories, or the ledger beside them, are kept in.
    pub(crate) fn file_of_store(&self) -> Option<&Path> {
        match &self.store {
            StorePlace::Sqlite(path) => Some(path),
            StorePlace::Qdrant { .. } => self.qdrant.file(),
        }
    }

    /// The settings file that was read.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
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

    /// What makes vectors of texts.
    pub(crate) fn embedder(&self) -> anyhow::Result<Arc<dyn Embedder>> {
        Ok(self.embedder.make()?)
    }

    /// Loads an embedder that lies on this machine now rather than with the first text.
    pub(crate) fn load_embedder(&self) -> anyhow::Result<()> {
        Ok(self.embedder.load()?)
    }

    /// The folder of the local MiniLM: the embedder's, or the one that `minilm` alone would name.
    #[cfg(feature = "minilm")]
    pub(crate) fn minilm_folder(&self) -> anyhow::Result<PathBuf> {
        match &self.embedder {
            embedder::EmbedderSettings::MiniLm(model) => Ok(model.folder().to_owned()),
            _ => minilm::folder(None),
        }
    }

    /// Where models are published.
    #[cfg(feature = "minilm")]
    pub(crate) fn models_url(&self) -> Option<&str> {
        self.models_url.as_deref()
    }

    /// The engine over the store, which must be there.
    pub(crate) fn open_engine(&self) -> anyhow::Result<Engine> {
        self.must_exist()?;
        Ok(self.open_store(Wanted { create: false, as_it_is: false })?.engine)
    }

    /// The engine over the store, which is created if it is not there: for what remembers.
    pub(crate) fn open_or_create_engine(&self) -> anyhow::Result<Engine> {
        Ok(self.open_store(Wanted { create: true, as_it_is: false })?.engine)
    }

    /// The engine over the store, whichever embedder filled it: for what asks no questions.
    pub(crate) fn open_engine_as_it_is(&self) -> anyhow::Result<Engine> {
        self.must_exist()?;
        Ok(self.open_store(Wanted { create: false, as_it_is: true })?.engine)
    }

    /// Whether there is a store. Qdrant is asked when it is opened.
    pub(crate) fn must_exist(&self) -> Result<(), Fault> {
        match &self.store {
            StorePlace::Sqlite(path) if !path.exists() => {
                let store = path.display();
                let message = format!(
                    "there is no store at {store}: `mnemon add` or `mnemon serve` makes one, --store names another"
                );
                Err(Fault::failed("no_store", message))
            }
            _ => Ok(()),
        }
    }

    /// An engine over another file, which is created if it is not there.
    pub(crate) fn open_engine_at(&self, path: &Path) -> anyhow::Result<Engine> {
        Ok(self.open_sqlite(path, None)?.engine)
    }

    /// Where the collection of the store is; `None` for a store in SQLite.
    pub(crate) fn collection(&self) -> Option<qdrant::CollectionPlace<'_>> {
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

    /// Keeps all writers out of a collection that Mnemon itself serves, until it is dropped; `None` for one that has no
    /// ledger here, so is served by somebody else.
    pub(crate) fn fence(&self) -> anyhow::Result<Option<Fence>> {
        Ok(self.qdrant.ledger_there()?.map(Fence))
    }

    /// Whether the caller named the ledger of a store in Qdrant.
    pub(crate) fn names_ledger(&self) -> bool {
        self.qdrant.names_ledger()
    }

    /// The engine over another collection of the store's server, which is created if it is not there, with an embedder
    /// of the caller's; its ledger is the store's own, or this file.
    pub(crate) fn open_engine_in(
        &self,
        collection: &str,
        ledger: Option<&Path>,
        embedder: Arc<dyn Embedder>,
    ) -> anyhow::Result<Engine> {
        let StorePlace::Qdrant { urls, .. } = &self.store else {
            return Err(Fault::usage("there are collections in Qdrant only: give --store qdrant:URL/COLLECTION").into());
        };
        let qdrant = ledger.map_or_else(|| self.qdrant.clone(), |file| self.qdrant.with_ledger(file));
        let fingerprint = embedder.fingerprint().to_owned();
        let (database, ledger) = qdrant.open()?;
        let mut options = qdrant.options(urls, collection, fingerprint, embedder.dims(), database);
        options.cache_bytes = self.cache_bytes;
        self.engine(Arc::new(QdrantStore::open(options)?), embedder, ledger)
    }

    /// The engine over the store, which is created if it is not there, and the server's ledger.
    pub(crate) fn open_for_server(&self) -> anyhow::Result<(Engine, Arc<dyn DocumentStore>)> {
        let opened = self.open_store(Wanted { create: true, as_it_is: false })?;
        Ok((opened.engine, opened.ledger))
    }

    /// The documents that a server keeps, whose place is created if it is not there.
    pub(crate) fn open_ledger(&self) -> anyhow::Result<Arc<dyn DocumentStore>> {
        match &self.store {
            StorePlace::Sqlite(_) => Ok(self.open_for_server()?.1),
            StorePlace::Qdrant { .. } => self.qdrant.documents(),
        }
    }

    fn open_store(&self, wanted: Wanted) -> anyhow::Result<Opened> {
        match &self.store {
            StorePlace::Sqlite(path) => {
                let stored = if wanted.as_it_is { SqliteStore::embedder_of(path)? } else { None };
                self.open_sqlite(path, stored)
            }
            StorePlace::Qdrant { urls, collection } => self.open_qdrant(urls, collection, wanted),
        }
    }

    fn open_sqlite(&self, path: &Path, embedder_of_store: Option<(String, usize)>) -> anyhow::Result<Opened> {
        let embedder = self.embedder()?;
        if !path.exists() {
            self.embedder.prove(&*embedder)?;
            tracing::info!(path = %path.display(), "creating the store");
        }
        let (fingerprint, dims) =
            embedder_of_store.unwrap_or_else(|| (embedder.fingerprint().to_owned(), embedder.dims()));
        let mut options = SqliteOptions::new(path, fingerprint, dims);
        options.cache_bytes = self.cache_bytes;
        let store = Arc::new(SqliteStore::open(options)?);
        Ok(Opened { engine: self.engine(store.clone(), embedder, store.clone())?, ledger: store })
    }

    /// The engine over a collection. Whether it is made is `wanted`'s to say.
    fn open_qdrant(&self, urls: &[String], collection: &str, wanted: Wanted) -> anyhow::Result<Opened> {
        let embedder = self.embedder()?;
        let (database, ledger) = self.qdrant.open()?;
        let mut stored = QdrantStore::embedder_of(&*database)?;
        if stored.is_none() && wanted.create {
            self.embedder.prove(&*embedder)?;
        }
        stored = stored.filter(|_| wanted.as_it_is);
        let (fingerprint, dims) = stored.unwrap_or_else(|| (embedder.fingerprint().to_owned(), embedder.dims()));
        let mut options = self.qdrant.options(urls, collection, fingerprint, dims, database);
        options.cache_bytes = self.cache_bytes;
        options.create = wanted.create;
        let store = Arc::new(QdrantStore::open(options)?);
        Ok(Opened { engine: self.engine(store, embedder, ledger.clone())?, ledger })
    }

    fn engine(
        &self,
        store: Arc<dyn Store>,
        embedder: Arc<dyn Embedder>,
        ledger: Arc<dyn DocumentStore>,
    ) -> anyhow::Result<Engine> {
        let config = EngineConfig { session_gap: self.session_gap, ..EngineConfig::default() };
        Ok(Engine::new(store, embedder, config).with_model_services(self.llm.make(ledger)?))
    }
}

/// A ledger whose scopes are to be held.
pub(crate) struct Fence(Arc<dyn Database>);

impl Fence {
    /// Waits for the writers that are at work, and keeps further ones waiting.
    pub(crate) fn close(&self) -> anyhow::Result<Box<dyn LockGuard + '_>> {
        Ok(self.0.lock(&Lock::Everything)?)
    }
}

/// How a store is to be opened.
#[derive(Clone, Copy)]
struct Wanted {
    /// Makes it where it is not there.
    create: bool,
    /// Takes whichever embedder filled it.
    as_it_is: bool,
}

/// A store that was opened.
struct Opened {
    engine: Engine,
    ledger: Arc<dyn DocumentStore>,
}

/// The file of a store `sqlite:PATH`.
pub(crate) fn sqlite_file(store: &str) -> anyhow::Result<PathBuf> {
    match store_path::parse(store)? {
        StorePlace::Sqlite(file) => Ok(file),
        StorePlace::Qdrant { .. } => {
            let message = format!("`{store}` is no file: give sqlite:PATH; a collection is named by --target");
            Err(Fault::usage(message).into())
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

fn read(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<String>,
    flags: &GlobalArgs,
) -> anyhow::Result<Values> {
    let mut figment = Figment::from(Serialized::defaults(Values::default()));
    if let Some(file) = file {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        figment = figment.merge(Toml::string(&text));
    }
    // As text: `MNEMON_USER=42` is the user 42, not a number.
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    let texts_of = [
        "store",
        "ledger",
        "user",
        "agent",
        "run",
        "session_gap",
        "embedder",
        "embedder_url",
        "embedder_timeout",
        "llm",
        "llm_url",
        "llm_timeout",
        "llm_extra",
        "llm_headers",
        "llm_instructions",
        "reranker",
        "reranker_url",
        "models_url",
        "qdrant_timeout",
        "qdrant_quantization",
        "bind",
        "auth",
        "cors_origins",
        "request_timeout",
        "shutdown_grace",
        "log_format",
    ];
    for key in texts_of {
        texts.extend(environment(&variable(key)).map(|value| (key, value)));
    }
    texts.extend(flags.store.clone().map(|store| ("store", store)));
    texts.extend(flags.embedder.clone().map(|embedder| ("embedder", embedder)));
    figment = figment.merge(Serialized::defaults(texts));
    let numbers = [
        ("cache_mb", " of MiB"),
        ("max_body_mb", " of MiB"),
        ("rate_limit", " of requests a minute"),
        ("embedder_dims", " of dims"),
        ("llm_max_tokens", " of tokens"),
        ("qdrant_retries", " of tries"),
        ("qdrant_shards", " of shards"),
        ("qdrant_replication_factor", " of copies"),
        ("qdrant_write_consistency_factor", " of copies"),
    ];
    if let Some(text) = environment("MNEMON_QDRANT_ON_DISK") {
        let on_disk: bool = text
            .trim()
            .parse()
            .map_err(|_| Fault::usage(format!("MNEMON_QDRANT_ON_DISK is `{text}`; give `true` or `false`")))?;
        figment = figment.merge(Serialized::default("qdrant_on_disk", on_disk));
    }
    for key in ["llm_temperature", "llm_top_p"] {
        let name = variable(key);
        if let Some(text) = environment(&name) {
            let number: f64 = text
                .trim()
                .parse()
                .map_err(|_| Fault::usage(format!("{name} is `{text}`; give a number such as 0.2")))?;
            figment = figment.merge(Serialized::default(key, number));
        }
    }
    for (key, unit) in numbers {
        let name = variable(key);
        if let Some(text) = environment(&name) {
            let number: u32 = text
                .trim()
                .parse()
                .map_err(|_| Fault::usage(format!("{name} is `{text}`; give a whole number{unit}")))?;
            figment = figment.merge(Serialized::default(key, number));
        }
    }
    figment.extract().map_err(|error| {
        let source = file.map_or_else(|| "settings".to_owned(), |file| file.display().to_string());
        let text = error.to_string().replace("default.", "");
        let text = text.trim_end_matches(" in TOML source string");
        Fault::usage(format!("{source}: {text}")).into()
    })
}

fn variable(key: &str) -> String {
    format!("MNEMON_{}", key.to_uppercase())
}

fn session_gap(text: &str) -> anyhow::Result<Span> {
    let gap: Option<SignedDuration> = text.parse().ok().filter(|gap: &SignedDuration| !gap.is_negative());
    let span = gap.and_then(|gap| Span::try_from(gap).ok());
    Ok(span.ok_or_else(|| {
        Fault::usage(format!("session_gap is `{text}`; give hours, minutes or seconds, such as `30m` or `1h 30m`"))
    })?)
}

/// Where a settings file is looked for, in this order.
fn default_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("mnemon.toml")];
    files.extend(dirs::config_dir().map(|folder| folder.join("mnemon").join("mnemon.toml")));
    files
}

/// A file in the folder for our data.
fn data_file(name: &str) -> anyhow::Result<PathBuf> {
    let folder = dirs::data_dir()
        .ok_or_else(|| Fault::usage("your data directory is not known: name a file with --store sqlite:PATH"))?;
    Ok(folder.join("mnemon").join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT_FILE: &str = include_str!("../mnemon.default.toml");

    fn parsed(text: &str) -> Values {
        Figment::from(Serialized::defaults(Values::default())).merge(Toml::string(text)).extract().unwrap()
    }

    #[test]
    fn the_shipped_file_holds_the_defaults() {
        let alone: Values = Figment::from(Toml::string(DEFAULT_FILE)).extract().unwrap();
        assert_eq!(alone, Values::default());
    }

    #[test]
    fn what_the_shipped_file_proposes_can_be_set() {
        let all: Vec<&str> = DEFAULT_FILE
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = \"")).unwrap_or(line))
            .collect();
        let values = parsed(&all.join("\n"));
        assert_eq!(values.store.as_deref(), Some("sqlite:~/memories.db"));
        assert_eq!(
            [values.user.as_deref(), values.agent.as_deref(), values.run.as_deref()],
            [Some("ana"), Some("planner"), Some("run-1")]
        );
    }

    #[test]
    fn flags_go_before_environment_before_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mnemon.toml");
        std::fs::write(&file, "store = \"sqlite:file\"\nuser = \"file\"\nagent = \"file\"\ncache_mb = 1").unwrap();
        let environment = |name: &str| match name {
            "MNEMON_STORE" => Some("sqlite:environment".to_owned()),
            "MNEMON_USER" => Some("42".to_owned()),
            "MNEMON_CACHE_MB" => Some("2".to_owned()),
            _ => None,
        };
        let flags = GlobalArgs { store: Some("sqlite:flag".into()), ..GlobalArgs::default() };
        let values = read(Some(&file), environment, &flags).unwrap();
        assert_eq!(values.store.as_deref(), Some("sqlite:flag"));
        assert_eq!(values.user.as_deref(), Some("42"));
        assert_eq!(values.agent.as_deref(), Some("file"));
        assert_eq!((values.cache_mb, values.session_gap.as_str()), (2, "30m"));
    }

    #[test]
    fn gaps_are_lengths_of_time() {
        for good in ["30m", "1h 30m", "90 minutes", "0s", "PT2H"] {
            assert!(session_gap(good).is_ok(), "{good}");
        }
        for bad in ["", "30", "-5m", "1 day", "soon"] {
            assert!(session_gap(bad).is_err(), "{bad}");
        }
    }
}
