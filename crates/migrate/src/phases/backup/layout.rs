//! The names of the files in a backup's folder, except the manifest.

use super::options::BackupOptions;

pub(super) const ALIASES: &str = "aliases.json";
pub(super) const COLLECTION: &str = "collection.json";
pub(in crate::phases) const HISTORY: &str = "history.db";
pub(super) const NEO4J: &str = "neo4j.dump";
pub(super) const CALENDAR: &str = "retention.ics";
pub(super) const POINTS: &str = "points.jsonl";
/// The record of an unfinished backup; removed when the backup is complete.
pub(super) const UNFINISHED: &str = "unfinished.json";

/// The requested files besides the snapshots.
pub(super) fn extra_files(options: &BackupOptions) -> Vec<&'static str> {
    let mut files = vec![ALIASES, COLLECTION, CALENDAR];
    for (is_requested, file) in
        [(options.history.is_some(), HISTORY), (options.neo4j_dump.is_some(), NEO4J), (options.export, POINTS)]
    {
        if is_requested {
            files.push(file);
        }
    }
    files
}

/// The file of a collection's snapshot.
pub(super) fn snapshot_file(collection: &str) -> String {
    format!("{collection}.snapshot")
}
