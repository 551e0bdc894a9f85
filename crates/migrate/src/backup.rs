//! Backups of a mem0 stack: snapshots of its collections, fetched and proved, with all that a rollback needs beside them.
//!
//! The source is only read, but for the snapshots, which the server makes on its own disk and which are deleted there when
//! they are here. What is done is recorded in the folder before the next thing begins: after a kill, a full disk or a lost
//! connection the same call goes on, and when all is there it changes nothing.

mod calendar;
mod download;
mod export;
mod files;
mod history;
mod manifest;
mod snapshot;
mod underway;
mod verify;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value, json};

use crate::rest::Rest;
use crate::{MigrateError, Result};
use export::POINTS;
use files::Hashed;
pub(crate) use files::free;
use snapshot::snapshot;
use underway::Underway;

pub use manifest::{Artifact, ArtifactKind, CollectionBackup, MANIFEST, Manifest};
pub use verify::{BackupDifference, BackupReport, verify_backup, verify_backup_in};

const ALIASES: &str = "aliases.json";
const COLLECTION: &str = "collection.json";
const HISTORY: &str = "history.db";
const NEO4J: &str = "neo4j.dump";
const CALENDAR: &str = "retention.ics";

/// What to back up, and where to.
#[derive(Clone)]
#[non_exhaustive]
pub struct BackupOptions {
    /// REST address of Qdrant: `http://host:6333`.
    pub url: String,
    /// Its key, where it wants one.
    pub api_key: Option<String>,
    /// The collection, or an alias of it.
    pub source: String,
    /// The folder of the backup; made if missing.
    pub folder: PathBuf,
    /// mem0's `history.db`.
    pub history: Option<PathBuf>,
    /// A dump that `neo4j-admin database dump` wrote.
    pub neo4j_dump: Option<PathBuf>,
    /// Whether all points are written as JSON, too.
    pub export: bool,
    /// Days for which the backup is kept.
    pub retention_days: u32,
    /// Whether the snapshots stay on the server, too.
    pub keep_on_server: bool,
    /// Tries after the first where nobody answers.
    pub retries: u32,
    /// The pause before the second try; doubled for each further one, up to 15 seconds.
    pub pause: Duration,
}

impl BackupOptions {
    /// A backup of one collection with that of its entities, kept for 30 days.
    pub fn new(url: impl Into<String>, source: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self {
            url: url.into(),
            api_key: None,
            source: source.into(),
            folder: folder.into(),
            history: None,
            neo4j_dump: None,
            export: false,
            retention_days: 30,
            keep_on_server: false,
            retries: 6,
            pause: Duration::from_millis(500),
        }
    }

    fn rest(&self) -> Result<Rest> {
        Rest::new(&self.url, self.api_key.as_deref(), self.retries, self.pause)
    }
}

impl std::fmt::Debug for BackupOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupOptions")
            .field("url", &self.url)
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("source", &self.source)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// What a backup tells while it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupEvent<'e> {
    /// Work that has no measure begins.
    Step(&'e str),
    /// Bytes of a collection's snapshot that are here.
    Download {
        /// The collection.
        collection: &'e str,
        /// Bytes that are here.
        done: u64,
        /// Bytes in all, where the server says.
        total: Option<u64>,
    },
    /// Points that are exported.
    Export {
        /// Points in the file.
        done: u64,
        /// Points that the server counted.
        total: u64,
    },
    /// Something the reader should know.
    Note(&'e str),
    /// The backup is complete already, every byte of it; nothing was done.
    AlreadyThere,
}

/// What a backup would hold.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BackupPlan {
    /// Version of the server.
    pub qdrant: String,
    /// Its REST address.
    pub server: String,
    /// The collection behind what was asked for.
    pub collection: String,
    /// The collections and the points of each.
    pub collections: Vec<(String, u64)>,
    /// Aliases on the server.
    pub aliases: usize,
    /// Files that would be written.
    pub files: Vec<String>,
    /// Bytes that are free where they would be.
    pub free: Option<u64>,
}

/// What is on the server.
struct Found {
    version: String,
    collection: String,
    collections: Vec<Seen>,
    aliases: Value,
}

struct Seen {
    name: String,
    points: u64,
    info: Value,
}

/// Looks at what there is to back up; writes nothing, neither here nor there.
///
/// # Errors
/// [`MigrateError::Server`] if Qdrant does not answer, [`MigrateError::Unfit`] if it has no such collection, or not all of
/// it; [`MigrateError::Io`] for files that can't be read.
pub fn plan_backup(options: &BackupOptions) -> Result<BackupPlan> {
    require_files(options)?;
    let server = options.rest()?;
    let found = find(&server, options)?;
    let mut files: Vec<String> = found.collections.iter().map(|seen| snapshot_file(&seen.name)).collect();
    files.extend(others(options).into_iter().map(str::to_owned));
    files.push(MANIFEST.to_owned());
    Ok(BackupPlan {
        qdrant: found.version,
        server: server.url().to_owned(),
        collection: found.collection,
        collections: found.collections.into_iter().map(|seen| (seen.name, seen.points)).collect(),
        aliases: found.aliases["aliases"].as_array().map_or(0, Vec::len),
        files,
        free: files::free(&options.folder),
    })
}

/// Makes a backup, or goes on with one that was stopped; one that is complete stays as it is, though what it lacks of what
/// is asked for is added.
///
/// # Errors
/// [`MigrateError::Server`] where Qdrant does not answer or refuses, [`MigrateError::NoSpace`] where a disk is full,
/// [`MigrateError::Checksum`] where a download is damaged, [`MigrateError::History`] for a `history.db` that is none,
/// [`MigrateError::Unfit`] for a source or a folder that is not what it must be, [`MigrateError::Io`] for files. What was
/// done until then stays, and the same call goes on from there.
pub fn backup(options: &BackupOptions, progress: &dyn Fn(BackupEvent<'_>)) -> Result<Manifest> {
    require_files(options)?;
    let folder = options.folder.as_path();
    let server = options.rest()?;
    let mut held = if folder.is_dir() { lock(folder)? } else { None };
    let complete = complete(&server, options)?;
    if let Some(manifest) = &complete
        && others(options).into_iter().all(|file| manifest.artifact(file).is_some())
    {
        if manifest.retention_until != retention(manifest.created, options.retention_days)? {
            let told = format!("it is kept until {}, as its manifest says", manifest.retention_until);
            progress(BackupEvent::Note(&told));
        }
        files::remove(&folder.join(underway::UNDERWAY))?;
        progress(BackupEvent::AlreadyThere);
        return Ok(manifest.clone());
    }
    progress(BackupEvent::Step("looking at the collection"));
    let found = find(&server, options)?;
    if held.is_none() {
        files::make_folder(folder)?;
        held = lock(folder)?;
        if complete.is_none() && folder.join(MANIFEST).exists() {
            let told = format!("another run has written a backup to {} meanwhile: run it again", folder.display());
            return Err(MigrateError::Unfit(told));
        }
    }
    let mut underway = begin(&server, options, &found, complete.as_ref())?;
    if complete.is_none() {
        let resumed = !underway.started.is_empty();
        for seen in &found.collections {
            snapshot(&server, options, seen, &mut underway, resumed, progress)?;
        }
    }
    documents(&found, folder, &mut underway)?;
    if let Some(history) = &options.history
        && underway.kept(folder, HISTORY)?.is_none()
    {
        progress(BackupEvent::Step("copying history.db"));
        let path = folder.join(HISTORY);
        let rows = history::copy(history, &path)?;
        underway.add(of_file(folder, HISTORY, ArtifactKind::History, Some(rows))?)?;
    }
    if let Some(dump) = &options.neo4j_dump
        && underway.kept(folder, NEO4J)?.is_none()
    {
        progress(BackupEvent::Step("copying the dump of Neo4j"));
        underway.add(copied(dump, folder)?)?;
    }
    if options.export && underway.kept(folder, POINTS)?.is_none() {
        let points = found.collections.first().map_or(0, |seen| seen.points);
        let exported = export::export(&server, &found.collection, folder, points, progress)?;
        if exported.count != Some(points) {
            let told = format!(
                "{POINTS} holds {} points, the server counted {points} before: somebody is writing",
                exported.count.unwrap_or_default()
            );
            progress(BackupEvent::Note(&told));
        }
        underway.add(exported)?;
    }
    let sealed = seal(&server, options, found, &mut underway, complete);
    drop(held);
    sealed
}

/// The files beside the snapshots.
fn others(options: &BackupOptions) -> Vec<&'static str> {
    let mut files = vec![ALIASES, COLLECTION, CALENDAR];
    let asked = [(options.history.is_some(), HISTORY), (options.neo4j_dump.is_some(), NEO4J), (options.export, POINTS)];
    files.extend(asked.into_iter().filter(|(asked, _)| *asked).map(|(_, file)| file));
    files
}

fn snapshot_file(collection: &str) -> String {
    format!("{collection}.snapshot")
}

/// Before anything is begun: what is to be copied must be there.
fn require_files(options: &BackupOptions) -> Result<()> {
    for path in [&options.history, &options.neo4j_dump].into_iter().flatten() {
        let about = std::fs::metadata(path).map_err(files::failed(path))?;
        if about.is_dir() {
            return Err(MigrateError::Unfit(format!("{} is a folder: give the file in it", path.display())));
        }
        if about.len() == 0 {
            return Err(MigrateError::Unfit(format!("{} is empty", path.display())));
        }
    }
    Ok(())
}

fn find(server: &Rest, options: &BackupOptions) -> Result<Found> {
    let version = server.version()?;
    let aliases = server.aliases()?;
    let source = &options.source;
    // By its own name: an alias may be switched while this runs.
    let behind = |name: &str| {
        let mut pairs = aliases["aliases"].as_array().into_iter().flatten();
        let pair = pairs.find(|pair| pair["alias_name"] == name);
        pair.and_then(|pair| pair["collection_name"].as_str()).unwrap_or(name).to_owned()
    };
    let collection = behind(source);
    if collection.is_empty() || collection.starts_with('.') || collection.contains(['/', '\\']) {
        return Err(MigrateError::Unfit(format!("`{collection}` is no name of a collection")));
    }
    let Some(info) = server.collection(&collection)? else {
        let mut names = server.collections()?;
        names.sort();
        let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let told = format!("Qdrant at {} has no collection `{collection}`; it has: {there}", server.url());
        return Err(MigrateError::Unfit(told));
    };
    let mut collections = vec![(collection.clone(), info)];
    // mem0 names that of the entities after what it was told, be it an alias.
    for name in [&collection, source] {
        let entities = behind(&format!("{name}_entities"));
        if collections.iter().all(|(there, _)| *there != entities)
            && let Some(info) = server.collection(&entities)?
        {
            collections.push((entities, info));
        }
    }
    let seen = |(name, info): (String, Value)| {
        let elsewhere = server.shards_elsewhere(&name)?;
        if elsewhere > 0 {
            return Err(MigrateError::Unfit(format!(
                "{elsewhere} shards of {name} are not active on the node at {}, and a snapshot holds those of one node \
                 only: move all shards to one node, or back up each node's storage by other means",
                server.url()
            )));
        }
        Ok(Seen { points: server.count(&name)?, name, info })
    };
    let collections = collections.into_iter().map(seen).collect::<Result<Vec<_>>>()?;
    Ok(Found { version, collection, collections, aliases })
}

/// The backup that a folder holds, if it is complete; every file of it is hashed.
fn complete(server: &Rest, options: &BackupOptions) -> Result<Option<Manifest>> {
    let folder = options.folder.as_path();
    if !folder.join(MANIFEST).exists() {
        return Ok(None);
    }
    let manifest = Manifest::read(folder)?;
    require_same(folder, (&manifest.server, &manifest.source), (server.url(), &options.source))?;
    if let Some(difference) = verify::hashes(folder, &manifest).first() {
        return Err(MigrateError::Unfit(format!(
            "{} holds a backup that is damaged: {} {}. It is left as it is; name another folder",
            folder.display(),
            difference.file,
            difference.what
        )));
    }
    Ok(Some(manifest))
}

fn require_same(folder: &Path, there: (&str, &str), asked: (&str, &str)) -> Result<()> {
    if there == asked {
        return Ok(());
    }
    Err(MigrateError::Unfit(format!(
        "{} holds a backup of {} at {}, not of {} at {}: name another folder",
        folder.display(),
        there.1,
        there.0,
        asked.1,
        asked.0
    )))
}

/// Two at a time would write to the same files.
fn lock(folder: &Path) -> Result<Option<File>> {
    // Where a folder can't be opened as a file, there is no lock.
    let Ok(handle) = File::open(folder) else { return Ok(None) };
    match handle.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(MigrateError::Unfit(format!("another run is writing a backup to {}: wait for it", folder.display())))
        }
        Err(std::fs::TryLockError::Error(_)) => Ok(None),
        Ok(()) => Ok(Some(handle)),
    }
}

/// What was done already.
fn begin(server: &Rest, options: &BackupOptions, found: &Found, complete: Option<&Manifest>) -> Result<Underway> {
    let folder = options.folder.as_path();
    if let Some(underway) = Underway::read(folder)? {
        require_same(folder, (&underway.server, &underway.source), (server.url(), &options.source))?;
        if underway.collection != found.collection {
            return Err(MigrateError::Unfit(format!(
                "{} is the alias of {} now, when the backup in {} was begun it was that of {}: name another folder",
                options.source,
                found.collection,
                folder.display(),
                underway.collection
            )));
        }
        return Ok(underway);
    }
    let mut underway = Underway::new(folder, server.url(), &options.source, &found.collection);
    if let Some(manifest) = complete {
        underway.done.clone_from(&manifest.collections);
        underway.artifacts.clone_from(&manifest.artifacts);
    } else {
        let snapshots = found.collections.iter().map(|seen| snapshot_file(&seen.name));
        let mut names = snapshots.chain(others(options).into_iter().map(str::to_owned));
        if let Some(name) = names.find(|name| folder.join(name).exists()) {
            return Err(MigrateError::Unfit(format!(
                "{} holds a {name}, but no manifest that says what it is: name another folder",
                folder.display()
            )));
        }
    }
    underway.save()?;
    Ok(underway)
}

/// Aliases and settings.
fn documents(found: &Found, folder: &Path, underway: &mut Underway) -> Result<()> {
    let infos: Map<String, Value> =
        found.collections.iter().map(|seen| (seen.name.clone(), seen.info.clone())).collect();
    let aliases = found.aliases["aliases"].as_array().map_or(0, Vec::len);
    for (file, kind, value, count) in [
        (ALIASES, ArtifactKind::Aliases, found.aliases.clone(), aliases),
        (COLLECTION, ArtifactKind::Collection, json!({"collections": infos}), infos.len()),
    ] {
        if underway.kept(folder, file)?.is_none() {
            files::write(&folder.join(file), format!("{value:#}\n").as_bytes())?;
            underway.add(of_file(folder, file, kind, Some(count as u64))?)?;
        }
    }
    Ok(())
}

/// A file of the backup as it is on disk.
fn of_file(folder: &Path, file: &str, kind: ArtifactKind, count: Option<u64>) -> Result<Artifact> {
    let hashed = Hashed::file(&folder.join(file))?;
    Ok(Artifact { file: file.to_owned(), kind, bytes: hashed.bytes, sha256: hashed.sha256(), count })
}

fn copied(dump: &Path, folder: &Path) -> Result<Artifact> {
    let target = folder.join(NEO4J);
    let part = files::part_of(&target);
    let bytes = std::fs::metadata(dump).map_err(files::failed(dump))?.len();
    if let Some(free) = files::free(folder).filter(|free| *free < bytes) {
        return Err(MigrateError::NoSpace { path: part, needs: Some(bytes), free: Some(free) });
    }
    let mut source = File::open(dump).map_err(files::failed(dump))?;
    let file = files::open(&part)?;
    file.set_len(0).map_err(files::failed(&part))?;
    let mut writer = files::Hashing::new(file);
    std::io::copy(&mut source, &mut writer).map_err(files::failed(&part))?;
    let (bytes, sha256) = (writer.hashed.bytes, writer.hashed.sha256());
    files::finish(&part, &target)?;
    Ok(Artifact { file: NEO4J.into(), kind: ArtifactKind::Neo4jDump, bytes, sha256, count: None })
}

fn retention(created: Timestamp, days: u32) -> Result<jiff::civil::Date> {
    let day = created.to_zoned(TimeZone::UTC).date();
    day.checked_add(i64::from(days).days())
        .map_err(|_| MigrateError::Unfit(format!("a retention of {days} days is longer than the calendar goes")))
}

/// Writes the calendar's event and, last of all, the manifest.
fn seal(
    server: &Rest,
    options: &BackupOptions,
    found: Found,
    underway: &mut Underway,
    complete: Option<Manifest>,
) -> Result<Manifest> {
    let folder = options.folder.as_path();
    let manifest = if let Some(manifest) = complete {
        Manifest { artifacts: underway.artifacts.clone(), ..manifest }
    } else {
        // To the second, as calendars have it.
        let created = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let retention_until = retention(created, options.retention_days)?;
        let place = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()).display().to_string();
        let event = calendar::event(&found.collection, server.url(), &place, created, retention_until);
        files::write(&folder.join(CALENDAR), event.as_bytes())?;
        underway.add(of_file(folder, CALENDAR, ArtifactKind::Calendar, None)?)?;
        let of_source = underway.done.iter().find(|done| done.name == found.collection);
        Manifest {
            format: Manifest::current(),
            mnemon: env!("CARGO_PKG_VERSION").to_owned(),
            qdrant: found.version,
            server: server.url().to_owned(),
            created,
            retention_until,
            source: options.source.clone(),
            collection: found.collection.clone(),
            points: of_source.map_or(0, |done| done.points),
            collections: underway.done.clone(),
            artifacts: underway.artifacts.clone(),
        }
    };
    manifest.write(folder)?;
    underway.remove()?;
    Ok(manifest)
}
