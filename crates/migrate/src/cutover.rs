//! The phases that switch to the new store, and back, with the writes that were made meanwhile.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use mnemon_store::{MemoryId, Record, Sparse, StoredMemory};
use parking_lot::Mutex;
use serde_json::json;

use crate::pass::{PassOptions, Passed, pass};
use crate::rebuild::{Progress, bring_up};
use crate::route::Tools;
use crate::state::{From, Migration, Phase, Switch, To};
use crate::target::{IntoCollection, Shape, Target};
use crate::{MigrateError, Result};

/// What a way there and back leaves in the migration's folder: points as they were before the way back wrote over them.
const REPLACED: &str = "replaced-by-rollback.jsonl";

/// The server that is switched. Both say what went wrong.
pub struct Served<'s> {
    /// Makes it take what was switched.
    pub restart: &'s dyn Fn() -> Result<(), String>,
    /// Tries it.
    pub smoke: &'s dyn Fn() -> Result<(), String>,
}

impl std::fmt::Debug for Served<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").finish_non_exhaustive()
    }
}

/// What a cutover did.
#[derive(Clone, Debug, Default)]
pub struct CutOver {
    /// What the last pass before the switch found.
    pub last: Passed,
    /// What was written to the old store while it was switched.
    pub late: Passed,
    /// What was switched.
    pub switch: String,
    /// Whether it was switched before, and nothing was done now.
    pub already: bool,
}

/// Carries over what is left, switches, and tries the new store; where that fails, it is switched back.
///
/// # Errors
/// [`MigrateError::Refused`] before a green verify; [`MigrateError::Switch`] where the server failed and was switched back;
/// [`MigrateError`] of either side.
pub fn cutover(
    migration: &mut Migration,
    tools: &Tools<'_>,
    switch: Switch,
    served: &Served<'_>,
    progress: &Progress<'_>,
) -> Result<CutOver> {
    let route = migration.route()?.clone();
    // Begun once, what was before is known; asked again it would be what is now.
    let begun = migration.state.switch.clone();
    if let Some(begun) = begun.as_ref().filter(|begun| !begun.is_of(&switch)) {
        let message = format!(
            "another switch was begun ({}): call that one again, or `mnemon migrate rollback` first",
            begun.told()
        );
        return Err(MigrateError::Refused(message));
    }
    if let (true, Some(switch)) = (migration.state.switched, &migration.state.switch) {
        return Ok(CutOver { switch: switch.told(), already: true, ..CutOver::default() });
    }
    if !migration.state.is_compared() {
        let message = "the last `mnemon migrate verify` is not green, or older than the last rebuild: run it first";
        return Err(MigrateError::Refused(message.into()));
    }
    let was_begun = begun.is_some();
    let switch = begun.unwrap_or(switch);
    let (source, rest) = (route.source(tools)?, route.rest(tools)?);
    let opened = route.target(tools, source.about().dims)?;
    let base = migration.base()?;
    let mut done = CutOver { switch: switch.told(), ..CutOver::default() };
    done.last = bring_up(&*source, &opened, &base, tools, false, progress)?;
    let (carried, there) = (base.count()?, opened.target().count()?);
    // Where it was begun before, others may write to the new store since; in place they always do.
    let alone = !was_begun && !matches!(route.to, To::InPlace);
    if carried != there && alone {
        let message = format!(
            "{carried} memories were carried over, {there} are in the new store: nothing was switched; `mnemon migrate \
             verify` tells the difference"
        );
        return Err(MigrateError::Refused(message));
    }
    migration.state.switch = Some(switch.clone());
    migration.save()?;
    if let Err(error) = switch.forward(rest.as_ref()) {
        // A file is written whole or not at all; an alias may have been moved though no answer came.
        if !was_begun && !matches!(switch, Switch::Alias { .. }) {
            migration.state.switch = None;
            migration.save()?;
        }
        return Err(error);
    }
    let tried = (served.restart)()
        .and_then(|()| (served.smoke)().map_err(|told| format!("the new store failed its smoke test: {told}")));
    if let Err(told) = tried {
        switch.back(rest.as_ref())?;
        let restarted = (served.restart)();
        // Who was faster than the smoke test has written to the new store.
        if let (From::Collection { .. }, true) = (&route.from, !matches!(route.to, To::InPlace)) {
            carry_back(migration, tools, progress)?;
        }
        migration.state.switch = None;
        migration.state.switched = false;
        migration.end(Phase::Cutover, false, format!("switched back: {told}"))?;
        let but = restarted.err().map_or_else(String::new, |told| format!("; then {told}: have the server take it"));
        let message = format!("switched back: {told}{but}");
        return Err(MigrateError::Switch(message));
    }
    done.late = bring_up(&*source, &opened, &base, tools, false, progress)?;
    migration.state.switched = true;
    migration.state.ended.remove(&Phase::Rollback);
    migration.end(Phase::Cutover, true, done.switch.clone())?;
    Ok(done)
}

/// What a rollback did.
#[derive(Clone, Debug, Default)]
pub struct RolledBack {
    /// Writes that were carried back.
    pub carried: Passed,
    /// Whether they were left behind instead.
    pub dropped: bool,
    /// What was switched back.
    pub switch: String,
    /// Where the points are that were written over in the old store; none where there were none.
    pub replaced: Option<PathBuf>,
}

/// Switches back, carrying the writes that were made since into the old store, in its shape; `restart` makes the server take
/// it.
///
/// # Errors
/// [`MigrateError::Refused`] where nothing was switched, or where writes can't be carried and `drop_writes` is not set;
/// [`MigrateError::Switch`] where the server could not be restarted: a second call goes on.
pub fn rollback(
    migration: &mut Migration,
    tools: &Tools<'_>,
    drop_writes: bool,
    restart: &dyn Fn() -> Result<(), String>,
    progress: &Progress<'_>,
) -> Result<RolledBack> {
    let route = migration.route()?.clone();
    let Some(switch) = migration.state.switch.clone() else {
        return Err(MigrateError::Refused("nothing was switched, so there is nothing to switch back".into()));
    };
    if migration.is_done(Phase::Retire) {
        let message = "the old collection was retired: there is nothing to go back to";
        return Err(MigrateError::Refused(message.into()));
    }
    let rest = route.rest(tools)?;
    let back = || {
        switch.back(rest.as_ref())?;
        let told = |told| MigrateError::Switch(format!("switched back, but {told}: mend that, and roll back again"));
        restart().map_err(told)
    };
    let mut done = RolledBack { switch: switch.told_back(), ..RolledBack::default() };
    if matches!(route.to, To::InPlace) {
        // The writes are in the collection; what was added to it goes, so that old readers see what they saw.
        back()?;
        if let (Some(server), From::Collection { name, .. }) = (route.server(tools)?, &route.from) {
            server.remove_slot(name)?;
        }
        migration.base()?.clear()?;
        migration.state.begun = false;
        migration.state.ended.remove(&Phase::Rebuild);
        migration.state.ended.remove(&Phase::Verify);
    } else if drop_writes {
        done.dropped = true;
        back()?;
    } else {
        let (carried, replaced) = carry_back(migration, tools, progress)?;
        back()?;
        // What was written while it was switched.
        let (late, replaced_late) = carry_back(migration, tools, progress)?;
        done.carried = carried;
        done.carried.added += late.added;
        done.carried.changed += late.changed;
        done.carried.removed += late.removed;
        done.replaced = replaced.or(replaced_late);
    }
    migration.state.switch = None;
    migration.state.switched = false;
    let told = format!(
        "{} added, {} changed, {} removed in the old store",
        done.carried.added, done.carried.changed, done.carried.removed
    );
    migration.end(Phase::Rollback, true, told)?;
    Ok(done)
}

/// Carries what was written to the new store into the old one, in its shape; returns what was done, and where the points are
/// that were written over, if any were.
fn carry_back(migration: &Migration, tools: &Tools<'_>, progress: &Progress<'_>) -> Result<(Passed, Option<PathBuf>)> {
    let route = migration.route()?;
    let (Some(server), From::Collection { name, .. }) = (route.server(tools)?, &route.from) else {
        let message = "the source is a snapshot file: writes made since can't be carried into it; restore the snapshot in \
                       Qdrant and `mnemon export` the new store, or give --drop-writes";
        return Err(MigrateError::Refused(message.into()));
    };
    let legacy = IntoCollection::new(server, name, Shape::Legacy);
    let opened = route.target(tools, route.source(tools)?.about().dims)?;
    let source = opened.source()?;
    let keeping = Keeping::new(&legacy, migration.folder().join(REPLACED))?;
    let options = PassOptions { rate: tools.rate, removals: tools.removals, ..PassOptions::default() };
    let points = source.about().points;
    let carried =
        pass(&*source, &keeping, &migration.base()?, options, &|done| progress("carried back", done, points))?;
    Ok((carried, keeping.into_file()))
}

/// A target that keeps what is written over or removed, in a file of JSON lines.
struct Keeping<'t> {
    inner: &'t dyn Target,
    path: PathBuf,
    file: Mutex<(File, usize)>,
}

impl<'t> Keeping<'t> {
    fn new(inner: &'t dyn Target, path: PathBuf) -> Result<Self> {
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|source| MigrateError::Io { path: path.clone(), source })?;
        Ok(Self { inner, path, file: Mutex::new((file, 0)) })
    }

    fn keep(&self, ids: &[MemoryId]) -> Result<()> {
        let there = self.inner.get(ids)?;
        let mut file = self.file.lock();
        for stored in there.values() {
            let line = json!({
                "id": stored.memory.id.to_value(),
                "payload": stored.memory.payload.as_map(),
                "vector": stored.vector,
            });
            let io = |source| MigrateError::Io { path: self.path.clone(), source };
            writeln!(file.0, "{line}").map_err(io)?;
            file.1 += 1;
        }
        file.0.sync_data().map_err(|source| MigrateError::Io { path: self.path.clone(), source })
    }

    fn into_file(self) -> Option<PathBuf> {
        let (file, kept) = self.file.into_inner();
        if kept == 0 && file.metadata().is_ok_and(|file| file.len() == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
        (kept > 0).then_some(self.path)
    }
}

impl Target for Keeping<'_> {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn at_once(&self) -> usize {
        self.inner.at_once()
    }

    fn batch(&self) -> usize {
        self.inner.batch()
    }

    fn joins_entities(&self) -> bool {
        self.inner.joins_entities()
    }

    fn write(&self, records: Vec<Record>) -> Result<()> {
        self.keep(&records.iter().map(|record| record.memory.id).collect::<Vec<_>>())?;
        self.inner.write(records)
    }

    fn remove(&self, ids: &[MemoryId]) -> Result<()> {
        self.keep(ids)?;
        self.inner.remove(ids)
    }

    fn get(&self, ids: &[MemoryId]) -> Result<HashMap<MemoryId, StoredMemory>> {
        self.inner.get(ids)
    }

    fn count(&self) -> Result<u64> {
        self.inner.count()
    }

    fn first_by_words(&self, user: &str, vector: &Sparse) -> Result<Option<MemoryId>> {
        self.inner.first_by_words(user, vector)
    }

    fn lacks_indexes(&self) -> Result<Vec<String>> {
        self.inner.lacks_indexes()
    }
}

/// Deletes the old collection and the backup after the retention date. Returns what was deleted; with `dry_run`, what would be.
///
/// # Errors
/// [`MigrateError::Refused`] before the retention date, before a cutover, or where the last verify is not green.
pub fn retire(
    migration: &mut Migration,
    tools: &Tools<'_>,
    today: jiff::civil::Date,
    dry_run: bool,
) -> Result<Vec<String>> {
    let route = migration.route()?.clone();
    let refused = |told: String| Err(MigrateError::Refused(told));
    if migration.is_done(Phase::Retire) {
        return refused("the old collection and the backup were deleted before".into());
    }
    if !migration.state.switched {
        return refused(
            "the old store is still the one that is served: there is nothing to retire before a cutover".into(),
        );
    }
    if !migration.is_done(Phase::Verify) {
        return refused("the last `mnemon migrate verify` is not green: nothing is deleted before it is".into());
    }
    let Some((backup, until)) = migration.state.backup.clone() else {
        return refused(
            "there is no backup: make one (`mnemon migrate backup`), then wait for its retention date".into(),
        );
    };
    if today < until {
        return refused(format!("the backup must be kept until {until}, today is {today}: come back then"));
    }
    let mut told = Vec::new();
    if let (From::Collection { name, .. }, false, Some(server)) =
        (&route.from, matches!(route.to, To::InPlace), route.server(tools)?)
    {
        told.push(format!("collection `{name}`"));
        if !dry_run {
            server.delete_collection(name)?;
        }
    }
    told.push(format!("backup {}", backup.display()));
    if dry_run {
        return Ok(told);
    }
    std::fs::remove_dir_all(&backup).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(MigrateError::Io { path: backup.clone(), source: error }),
    })?;
    migration.end(Phase::Retire, true, told.join(", "))?;
    Ok(told)
}
