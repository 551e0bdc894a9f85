//! The phase that looks before anything is done.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use crate::backup::free;
use crate::read::SourceInfo;
use crate::rebuild::Progress;
use crate::route::MigrationContext;
use crate::state::{Migration, Phase, Route, TargetSpec, write_whole};
use crate::{MigrateError, Result, Survey};

/// The runbook's file of counts.
pub const COUNTS: &str = "pre-cutover-counts.txt";

/// What was found.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// The source.
    pub about: SourceInfo,
    /// The version of its Qdrant, where there is one.
    pub version: Option<String>,
    /// What it holds.
    pub survey: Survey,
    /// What stands in the way: nothing can be carried over before it is mended.
    pub obstacles: Vec<String>,
    /// What should be known.
    pub notes: Vec<String>,
    /// Users whose counts differ from those that somebody else told, a running backend or a file: told, and found.
    pub counts_differ: BTreeMap<String, [usize; 2]>,
}

impl Preflight {
    /// Whether the migration may go on.
    pub fn is_clear(&self) -> bool {
        self.obstacles.is_empty() && self.counts_differ.is_empty()
    }
}

/// Looks at source and target, counts, and writes the plan. Changes nothing on either side. `told` are counts by user that
/// somebody else told.
///
/// # Errors
/// [`MigrateError`] where the source can't be read, or the folder belongs to another migration.
pub fn preflight(
    migration: &mut Migration,
    tools: &MigrationContext<'_>,
    told: &BTreeMap<String, usize>,
    progress: &Progress<'_>,
) -> Result<Preflight> {
    let preflight = look(migration.route()?, tools, told, migration.state.begun, progress)?;
    write_whole(&migration.folder().join(COUNTS), preflight.survey.counts().as_bytes())?;
    migration.state.counts.clone_from(&preflight.survey.by_user);
    let told = format!("{} points of {} users", preflight.survey.points, preflight.survey.by_user.len());
    migration.end(Phase::Preflight, preflight.is_clear(), told)?;
    Ok(preflight)
}

/// [`preflight`], without a trace of it. `begun`: whether the target holds what this migration brought.
///
/// # Errors
/// [`MigrateError`] where the source can't be read.
pub fn look(
    route: &Route,
    tools: &MigrationContext<'_>,
    told: &BTreeMap<String, usize>,
    begun: bool,
    progress: &Progress<'_>,
) -> Result<Preflight> {
    let version = route.server(tools)?.map(|server| server.version()).transpose()?;
    let source = route.source(tools)?;
    let about = source.about().clone();
    let mut survey = Survey::default();
    source.scan(&mut |page| {
        survey.add(&page);
        progress("surveyed", survey.points, about.points);
        ControlFlow::Continue(())
    })?;
    let survey = survey.finish();
    let (mut obstacles, mut notes) = (Vec::new(), Vec::new());
    match look_at_target(route, tools, about.dims, begun) {
        Ok(()) => {}
        Err(MigrateError::Refused(told) | MigrateError::Unfit(told)) => obstacles.push(told),
        Err(error) => return Err(error),
    }
    obstacles.extend(lacks_room(route, &survey, about.dims));
    if about.has_bm25 && !matches!(route.to, TargetSpec::InPlace) {
        notes.push("the source has the bm25 slot already: it was made by mem0 v2 or Mnemon".into());
    }
    match tools.embedder_of(about.dims) {
        None => notes.push(format!(
            "no embedder makes vectors of {} dims: there will be no entities, and nothing can be searched by meaning until \
             one is given (MNEMON_EMBEDDER=openai:MODEL, the model that mem0 used)",
            about.dims
        )),
        // Better told now than by the first names of entities.
        Some(embedder) => obstacles.extend(embedder.embed(&["preflight"]).err().map(|error| error.to_string())),
    }
    if survey.points as u64 != about.points {
        notes.push(format!(
            "{} points were counted, {} were read: it is written to at this moment",
            about.points, survey.points
        ));
    }
    let mut counts_differ = BTreeMap::new();
    for (user, told) in told {
        let found = survey.by_user.get(user).copied().unwrap_or(0);
        if *told != found {
            counts_differ.insert(user.clone(), [*told, found]);
        }
    }
    Ok(Preflight { about, version, survey, obstacles, notes, counts_differ })
}

/// Whether the target can be what it is to be, without making it.
fn look_at_target(route: &Route, tools: &MigrationContext<'_>, dims: usize, begun: bool) -> Result<()> {
    if let TargetSpec::Sqlite { file } = &route.to {
        if begun || !file.exists() {
            return Ok(());
        }
        let message = format!("{} is there already: name a file that is not (--to sqlite:FILE)", file.display());
        return Err(MigrateError::Refused(message));
    }
    let opened = route.target(tools, dims)?;
    if begun || matches!(route.to, TargetSpec::InPlace) {
        return Ok(());
    }
    match opened.held()? {
        Some(held) if held > 0 => Err(MigrateError::Refused(format!(
            "{} holds {held} memories already: name a collection that is not there (--target)",
            opened.target().place()
        ))),
        _ => Ok(()),
    }
}

/// What is told where a file has no room for what is to come; 3 KB a memory beside its vector were seen.
fn lacks_room(route: &Route, survey: &Survey, dims: usize) -> Option<String> {
    let TargetSpec::Sqlite { file } = &route.to else { return None };
    let folder = file.parent()?;
    let free = free(folder)?;
    let needed = survey.points as u64 * (dims as u64 * 4 + 3_000) * 2;
    let mib = |bytes: u64| bytes >> 20;
    (free < needed).then(|| {
        format!(
            "{} has {} MiB free, {} MiB may be needed: make room, or name a file elsewhere",
            folder.display(),
            mib(free),
            mib(needed)
        )
    })
}

/// Reads counts by user as the runbook's file has them, `user: N` a line; the last colon divides.
///
/// # Errors
/// [`MigrateError::Io`]; [`MigrateError::Unfit`] for a line of another kind.
pub fn read_counts(file: &Path) -> Result<BTreeMap<String, usize>> {
    let text = fs::read_to_string(file).map_err(|source| MigrateError::Io { path: file.to_owned(), source })?;
    let mut counts = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = line.rsplit_once(':').and_then(|(user, count)| Some((user, count.trim().parse().ok()?)));
        let Some((user, count)) = parsed else {
            let message = format!("{}, line {}: `{line}` is not `user: N`", file.display(), at + 1);
            return Err(MigrateError::Unfit(message));
        };
        counts.insert(user.to_owned(), count);
    }
    Ok(counts)
}
