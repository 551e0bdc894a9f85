//! Where a migration stands: a file in a folder of its own, held by one process at a time.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CarriedPoints, MigrateError, Result};

/// The version of the file's format.
const VERSION: u32 = 1;
const FILE: &str = "state.json";
const LOCK: &str = "lock";
const BASE: &str = "carried.db";

/// Where memories come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceSpec {
    /// A collection on a running Qdrant.
    Collection {
        /// Addresses of gRPC.
        grpc: Vec<String>,
        /// Address of REST.
        rest: String,
        /// Its name.
        name: String,
    },
    /// A snapshot file.
    Snapshot {
        /// The file.
        file: PathBuf,
    },
}

/// Where memories go to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TargetSpec {
    /// A SQLite store.
    Sqlite {
        /// Its file.
        file: PathBuf,
    },
    /// A new collection on the source's Qdrant.
    Collection {
        /// Its name.
        name: String,
    },
    /// The source's own collection.
    InPlace,
}

/// From where to where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The source.
    pub from: SourceSpec,
    /// The target.
    pub to: TargetSpec,
}

/// A phase, in the order they follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// What is there.
    Preflight,
    /// Copies that are kept.
    Backup,
    /// All of it on a copy.
    Rehearse,
    /// Carrying over.
    Rebuild,
    /// Comparing.
    Verify,
    /// Switching.
    Cutover,
    /// Switching back.
    Rollback,
    /// Removing what is old.
    Retire,
}

impl Phase {
    /// Its name, as commands have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Backup => "backup",
            Self::Rehearse => "rehearse",
            Self::Rebuild => "rebuild",
            Self::Verify => "verify",
            Self::Cutover => "cutover",
            Self::Rollback => "rollback",
            Self::Retire => "retire",
        }
    }
}

/// When a phase was last ended, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseResult {
    /// When.
    pub at: Timestamp,
    /// Whether all was as it should be.
    pub ok: bool,
    /// A line for people.
    pub told: String,
}

/// What says which store is served, and what it said before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Switch {
    /// An alias of Qdrant.
    Alias {
        /// The alias.
        alias: String,
        /// The collection it led to; none where it was not there.
        was: Option<String>,
        /// The collection it leads to.
        now: String,
    },
    /// A variable in a file of `KEY=value` lines.
    EnvFile {
        /// The file.
        file: PathBuf,
        /// The variable.
        key: String,
        /// Its value; none where it was not there.
        was: Option<String>,
        /// Its new value.
        now: String,
    },
    /// The key `store` of our own settings file.
    Settings {
        /// The file.
        file: PathBuf,
        /// Its value; none where it was not there.
        was: Option<String>,
        /// Its new value.
        now: String,
    },
}

/// What is kept in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// From where to where; given by the first phase that knows it.
    pub route: Option<Route>,
    /// Whether anything was written to the target.
    pub begun: bool,
    /// Counts by user, as preflight found them.
    pub counts: BTreeMap<String, usize>,
    /// The folder of the last backup, and the day it must be kept until.
    pub backup: Option<(PathBuf, jiff::civil::Date)>,
    /// The phases that were ended.
    pub ended: BTreeMap<Phase, PhaseResult>,
    /// What was switched, or is about to be.
    pub switch: Option<Switch>,
    /// Whether the new store is the one that is served.
    pub switched: bool,
}

/// A migration that is worked on; nobody else may meanwhile.
#[derive(Debug)]
pub struct Migration {
    folder: PathBuf,
    /// Where it stands.
    pub state: State,
    _lock: File,
}

impl State {
    /// Whether all was compared, without a difference, after the last rebuild.
    pub fn is_compared(&self) -> bool {
        let (rebuilt, verified) = (self.ended.get(&Phase::Rebuild), self.ended.get(&Phase::Verify));
        verified.is_some_and(|verified| verified.ok && rebuilt.is_none_or(|rebuilt| rebuilt.at <= verified.at))
    }
}

impl Route {
    /// Whether another one is the same, but for one of the addresses of the server.
    fn is_at_the_server_of(&self, other: &Self) -> bool {
        let (
            SourceSpec::Collection { grpc, rest, name },
            SourceSpec::Collection { grpc: grpc_of, rest: rest_of, name: name_of },
        ) = (&self.from, &other.from)
        else {
            return self == other;
        };
        self.to == other.to && name == name_of && (grpc == grpc_of || rest == rest_of)
    }
}

impl Migration {
    /// Opens the migration of a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`MigrateError::Busy`] while another process works on it; [`MigrateError::Unfit`] for a file that is damaged or of a
    /// newer version; [`MigrateError::Io`].
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|source| MigrateError::Io { path: folder.to_owned(), source })?;
        let path = folder.join(LOCK);
        let io = |source| MigrateError::Io { path: path.clone(), source };
        let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(MigrateError::Busy(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let state = Self::read(folder)?.unwrap_or_else(|| State {
            version: VERSION,
            route: None,
            begun: false,
            counts: BTreeMap::new(),
            backup: None,
            ended: BTreeMap::new(),
            switch: None,
            switched: false,
        });
        Ok(Self { folder: folder.to_owned(), state, _lock: lock })
    }

    /// What the file of a folder says, without holding it; `None` where there is none.
    ///
    /// # Errors
    /// [`MigrateError::Unfit`] for a file that is damaged or of a newer version; [`MigrateError::Io`].
    pub fn read(folder: &Path) -> Result<Option<State>> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(MigrateError::Io { path, source }),
        };
        let damaged = |error: serde_json::Error| {
            MigrateError::Unfit(format!(
                "{} is no state of a migration ({error}): give another --dir, or put the file back as it was",
                path.display()
            ))
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
        if let Some(version) = value["version"].as_u64().filter(|version| *version > u64::from(VERSION)) {
            let message =
                format!("{} has version {version}, this program knows {VERSION}: use a newer one", path.display());
            return Err(MigrateError::Unfit(message));
        }
        serde_json::from_value(value).map(Some).map_err(damaged)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was carried over so far.
    ///
    /// # Errors
    /// [`MigrateError::Store`] of the file.
    pub fn base(&self) -> Result<CarriedPoints> {
        CarriedPoints::open(&self.folder.join(BASE))
    }

    /// Sets from where to where, or makes sure that it is the same as before.
    ///
    /// # Errors
    /// [`MigrateError::Refused`] where another was begun in this folder, or where source and target are the same.
    pub fn set_route(&mut self, route: Route) -> Result<()> {
        if let (SourceSpec::Collection { name: from, .. }, TargetSpec::Collection { name: to }) =
            (&route.from, &route.to)
            && from == to
        {
            let message = format!(
                "source and target are both `{from}`: name a new collection (--target), or add the slot to this one \
                 (--in-place)"
            );
            return Err(MigrateError::Refused(message));
        }
        match &self.state.route {
            Some(begun) if *begun == route => Ok(()),
            // A port that was wrong may always be mended.
            Some(begun) if begun.is_at_the_server_of(&route) => {
                self.state.route = Some(route);
                self.save()
            }
            // Until something is carried over, plans may change.
            Some(begun) if self.state.begun => {
                let message = format!(
                    "{} holds the state of another migration ({begun}): go on with that, or give another --dir for this one \
                     ({route})",
                    self.folder.display()
                );
                Err(MigrateError::Refused(message))
            }
            _ => {
                self.state.route = Some(route);
                self.state.ended.retain(|phase, _| *phase == Phase::Backup);
                self.save()
            }
        }
    }

    /// From where to where.
    ///
    /// # Errors
    /// [`MigrateError::Refused`] before that was said.
    pub fn route(&self) -> Result<&Route> {
        self.state.route.as_ref().ok_or_else(|| {
            MigrateError::Refused(format!(
                "nothing is known in {} of what to migrate: begin with `mnemon migrate preflight --source NAME --target NAME`",
                self.folder.display()
            ))
        })
    }

    /// Notes that a phase was ended.
    ///
    /// # Errors
    /// [`MigrateError::Io`].
    pub fn end(&mut self, phase: Phase, ok: bool, told: impl Into<String>) -> Result<()> {
        self.state.ended.insert(phase, PhaseResult { at: Timestamp::now(), ok, told: told.into() });
        self.save()
    }

    /// Whether a phase was ended well.
    pub fn is_done(&self, phase: Phase) -> bool {
        self.state.ended.get(&phase).is_some_and(|ended| ended.ok)
    }

    /// Writes the state, so that it is there whole, or as it was.
    ///
    /// # Errors
    /// [`MigrateError::Io`].
    pub fn save(&self) -> Result<()> {
        let mut text =
            serde_json::to_vec_pretty(&self.state).map_err(|error| MigrateError::Unfit(error.to_string()))?;
        text.push(b'\n');
        write_whole(&self.folder.join(FILE), &text)
    }
}

/// Writes a file so that it is there whole or as it was, whatever happens; keeps its permissions.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |source| MigrateError::Io { path: path.to_owned(), source };
    // A link is followed: what it leads to is changed, not the link.
    let path_there = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path_there.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path_there.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = folder.join(name);
    let mut file = File::create(&fresh).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    if let Ok(there) = fs::metadata(&path_there) {
        file.set_permissions(there.permissions()).map_err(io)?;
    }
    file.sync_all().map_err(io)?;
    fs::rename(&fresh, &path_there).map_err(io)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.from {
            SourceSpec::Collection { name, rest, .. } => write!(f, "{rest} `{name}`")?,
            SourceSpec::Snapshot { file } => write!(f, "{}", file.display())?,
        }
        match &self.to {
            TargetSpec::Sqlite { file } => write!(f, " → {}", file.display()),
            TargetSpec::Collection { name } => write!(f, " → `{name}`"),
            TargetSpec::InPlace => write!(f, ", in place"),
        }
    }
}
