//! The state of a migration: a JSON file in the migration's folder, which one process at a time has locked.

mod parts;
mod route;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use parts::{Part, PartResult, PartState};
pub use route::{Route, SourceSpec, TargetSpec};

use crate::carried::CarriedPoints;
use crate::error::{MigrateError, Refusal, Result};
use crate::files::replace_file;
use crate::switch::Switch;

/// The version of the file's format.
const VERSION: u32 = 1;
/// The state file in the migration's folder.
pub const STATE_FILE: &str = "state.json";
/// The file in the migration's folder that one process at a time locks.
pub const LOCK_FILE: &str = "lock";
/// The database of the copied points in the migration's folder.
pub const CARRIED_FILE: &str = "carried.db";

/// A phase of a migration. The order is that of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Counts the points and checks whether the migration is possible.
    Preflight,
    /// Saves everything that a rollback needs.
    Backup,
    /// Runs the migration on a copy.
    Rehearse,
    /// Copies the memories to the target.
    Rebuild,
    /// Compares source and target.
    Verify,
    /// Switches traffic to the target.
    Cutover,
    /// Switches traffic back to the source.
    Rollback,
    /// Deletes the source and the backup.
    Retire,
}

impl Phase {
    /// The parts that the phase has.
    pub fn parts(self) -> &'static [Part] {
        match self {
            Self::Backup => &[Part::Points, Part::History],
            Self::Rehearse => &[Part::Points, Part::SparseVectors, Part::Entities],
            Self::Rebuild | Self::Verify => &[Part::Points, Part::SparseVectors, Part::Entities, Part::History],
            Self::Preflight | Self::Cutover | Self::Rollback | Self::Retire => &[],
        }
    }

    /// The name of the phase, as in the commands.
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

/// The result of the last run of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseResult {
    /// When the run ended.
    pub at: Timestamp,
    /// Whether the run was successful.
    pub ok: bool,
    /// A summary in one line, for messages.
    #[serde(rename = "told")]
    pub summary: String,
    /// The results of its parts. Empty if an older version recorded the phase: then no part is known to be done.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<Part, PartResult>,
}

/// The contents of the state file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MigrationState {
    version: u32,
    /// Source and target; set by the first phase that gets them.
    pub route: Option<Route>,
    /// Whether the migration has started to write to the target.
    #[serde(rename = "begun")]
    pub started: bool,
    /// The number of points by user, as counted by the preflight.
    pub counts: BTreeMap<String, usize>,
    /// The folder of the last backup and its retention date.
    pub backup: Option<(PathBuf, jiff::civil::Date)>,
    /// The results of the phases that ran.
    pub ended: BTreeMap<Phase, PhaseResult>,
    /// The setting that was switched or is being switched.
    pub switch: Option<Switch>,
    /// Whether the new store is in use.
    pub switched: bool,
    /// mem0's history database, if the history is to be migrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<PathBuf>,
    /// Whether the target is to have no entities.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_entities: bool,
}

/// A migration, locked for this process.
#[derive(Debug)]
pub struct Migration {
    folder: PathBuf,
    /// Its state.
    pub state: MigrationState,
    _lock: File,
}

impl MigrationState {
    /// The source, if it is a snapshot file. It is its own backup.
    pub fn snapshot(&self) -> Option<&Path> {
        match &self.route {
            Some(Route { source: SourceSpec::Snapshot { file }, .. }) => Some(file),
            _ => None,
        }
    }

    /// Checks whether the migration in a folder can have a route. Until the first point is copied it can change, and a
    /// wrong address always.
    ///
    /// # Errors
    /// [`MigrateError::Refused`] if a migration with another source or target has started.
    pub fn check_route(&self, folder: &Path, route: &Route) -> Result<()> {
        match &self.route {
            Some(current) if self.started && current != route && !current.has_same_server(route) => {
                let (folder, current) = (folder.to_owned(), current.to_string());
                Err(Refusal::OtherMigration { folder, current, requested: route.to_string() }.into())
            }
            _ => Ok(()),
        }
    }

    /// Whether the migration is to carry over this part.
    pub fn asks_for(&self, part: Part) -> bool {
        match part {
            Part::Points | Part::SparseVectors => true,
            Part::Entities => !self.without_entities,
            Part::History => self.history.is_some(),
        }
    }

    /// Whether the last run of a phase was successful, with all parts that the migration asks for. A phase that an older
    /// version recorded, without parts, may lack some of them and is not done.
    pub fn is_done(&self, phase: Phase) -> bool {
        let Some(ended) = self.ended.get(&phase).filter(|ended| ended.ok) else { return false };
        let mut parts = phase.parts().iter().filter(|part| self.asks_for(**part));
        parts.all(|part| ended.parts.get(part).is_some_and(|part| part.state == PartState::Done))
    }

    /// Whether a verify after the last rebuild found no differences in any part that the migration asks for.
    pub fn is_verified(&self) -> bool {
        let (rebuilt, verified) = (self.ended.get(&Phase::Rebuild), self.ended.get(&Phase::Verify));
        verified.is_some_and(|verified| {
            // A cutover that an older version has started is completed.
            let is_of_older = self.switch.is_some() && verified.parts.is_empty();
            let is_proved = self.is_done(Phase::Verify) || verified.ok && is_of_older;
            is_proved && rebuilt.is_none_or(|rebuilt| rebuilt.at <= verified.at)
        })
    }
}

impl Migration {
    /// Opens the migration in a folder and locks it. Creates the folder if it is missing.
    ///
    /// # Errors
    /// [`MigrateError::Busy`] if another process has locked it; [`MigrateError::DamagedState`]; [`MigrateError::Invalid`]
    /// if a newer version wrote the state file; [`MigrateError::Io`].
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|source| MigrateError::Io { path: folder.to_owned(), source })?;
        let path = folder.join(LOCK_FILE);
        let io = |source| MigrateError::Io { path: path.clone(), source };
        let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(MigrateError::Busy(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let state = Self::read(folder)?.unwrap_or_else(|| MigrationState {
            version: VERSION,
            route: None,
            started: false,
            counts: BTreeMap::new(),
            backup: None,
            ended: BTreeMap::new(),
            switch: None,
            switched: false,
            history: None,
            without_entities: false,
        });
        Ok(Self { folder: folder.to_owned(), state, _lock: lock })
    }

    /// Reads the state file in a folder without locking it; `None` if there is no state file.
    ///
    /// # Errors
    /// [`MigrateError::DamagedState`]; [`MigrateError::Invalid`] if a newer version wrote it; [`MigrateError::Io`].
    pub fn read(folder: &Path) -> Result<Option<MigrationState>> {
        let path = folder.join(STATE_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(MigrateError::Io { path, source }),
        };
        let damaged =
            |error: serde_json::Error| MigrateError::DamagedState { path: path.clone(), reason: error.to_string() };
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
        if let Some(version) = value["version"].as_u64().filter(|version| *version > u64::from(VERSION)) {
            let message = format!(
                "{} has version {version}, but this program reads versions up to {VERSION}: use a newer program",
                path.display()
            );
            return Err(MigrateError::Invalid(message));
        }
        serde_json::from_value(value).map(Some).map_err(damaged)
    }

    /// The folder of the migration.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the database of the points that have been copied.
    ///
    /// # Errors
    /// [`MigrateError::Store`] of the file.
    pub fn carried_points(&self) -> Result<CarriedPoints> {
        CarriedPoints::open(&self.folder.join(CARRIED_FILE))
    }

    /// Sets source and target, or checks that they are the same as before.
    ///
    /// # Errors
    /// [`MigrateError::Refused`] if a migration with others has started in this folder, or if source and target are the
    /// same.
    pub fn set_route(&mut self, route: Route) -> Result<()> {
        route.check()?;
        self.state.check_route(&self.folder, &route)?;
        if self.state.route.as_ref() == Some(&route) {
            return Ok(());
        }
        let is_other = !self.state.route.as_ref().is_some_and(|current| current.has_same_server(&route));
        self.state.route = Some(route);
        if is_other {
            self.state.ended.retain(|phase, _| *phase == Phase::Backup);
        }
        self.save()
    }

    /// Source and target.
    ///
    /// # Errors
    /// [`MigrateError::Refused`] if they have not been set.
    pub fn route(&self) -> Result<&Route> {
        self.state.route.as_ref().ok_or_else(|| Refusal::NotStarted(self.folder.clone()).into())
    }

    /// Records the result of a phase without parts.
    ///
    /// # Errors
    /// [`MigrateError::Io`].
    pub fn record_result(&mut self, phase: Phase, ok: bool, summary: impl Into<String>) -> Result<()> {
        self.record_parts(phase, ok, summary, BTreeMap::new())
    }

    /// Records the result of a phase and of its parts.
    ///
    /// # Errors
    /// [`MigrateError::Io`].
    pub fn record_parts(
        &mut self,
        phase: Phase,
        ok: bool,
        summary: impl Into<String>,
        parts: BTreeMap<Part, PartResult>,
    ) -> Result<()> {
        let result = PhaseResult { at: Timestamp::now(), ok, summary: summary.into(), parts };
        self.state.ended.insert(phase, result);
        self.save()
    }

    /// Sets which parts the migration carries over. Neither changes with `None`.
    ///
    /// # Errors
    /// [`MigrateError::Io`].
    pub fn ask_for(&mut self, history: Option<Option<PathBuf>>, without_entities: Option<bool>) -> Result<()> {
        let history = history.unwrap_or_else(|| self.state.history.clone());
        let without_entities = without_entities.unwrap_or(self.state.without_entities);
        if self.state.history == history && self.state.without_entities == without_entities {
            return Ok(());
        }
        self.state.history = history;
        self.state.without_entities = without_entities;
        self.save()
    }

    /// Whether the last run of a phase was successful; see [`MigrationState::is_done`].
    pub fn is_done(&self, phase: Phase) -> bool {
        self.state.is_done(phase)
    }

    /// Writes the state file atomically.
    ///
    /// # Errors
    /// [`MigrateError::Io`].
    pub fn save(&self) -> Result<()> {
        let mut text =
            serde_json::to_vec_pretty(&self.state).map_err(|error| MigrateError::Invalid(error.to_string()))?;
        text.push(b'\n');
        replace_file(&self.folder.join(STATE_FILE), &text)
    }
}

#[cfg(test)]
mod tests;
