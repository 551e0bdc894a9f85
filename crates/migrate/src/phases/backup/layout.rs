//! The names of the files of a backup.

use super::options::BackupOptions;

pub(super) const ALIASES: &str = "aliases.json";
pub(super) const COLLECTION: &str = "collection.json";
pub(super) const HISTORY: &str = "history.db";
pub(super) const NEO4J: &str = "neo4j.dump";
pub(super) const CALENDAR: &str = "retention.ics";
/// The points as JSON.
pub(super) const POINTS: &str = "points.jsonl";

/// The files beside the snapshots.
pub(super) fn extra_files(options: &BackupOptions) -> Vec<&'static str> {
    let mut files = vec![ALIASES, COLLECTION, CALENDAR];
    let asked = [(options.history.is_some(), HISTORY), (options.neo4j_dump.is_some(), NEO4J), (options.export, POINTS)];
    files.extend(asked.into_iter().filter(|(asked, _)| *asked).map(|(_, file)| file));
    files
}

pub(super) fn snapshot_file(collection: &str) -> String {
    format!("{collection}.snapshot")
}
