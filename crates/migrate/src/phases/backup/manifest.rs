//! `manifest.json`: the contents of a backup, with a digest of the file itself.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::error::{MigrateError, Result};
use crate::files::{self, ContentHash};

/// The file of the manifest in the folder of a backup.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The last key of the file, with the digest of all other bytes.
const DIGEST_KEY: &str = "  \"manifest_sha256\": \"";
/// What follows the digest.
const TAIL: &str = "\"\n}\n";

/// The contents of a backup and its retention date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// The version of the file's format.
    pub format: u32,
    /// The version of Mnemon that wrote it.
    pub mnemon: String,
    /// The version of Qdrant.
    pub qdrant: String,
    /// The REST address of Qdrant.
    pub server: String,
    /// When the backup was completed.
    #[serde(with = "as_text")]
    pub created: Timestamp,
    /// The retention date: the first day, in UTC, on which the backup may be deleted.
    #[serde(with = "as_text")]
    pub retention_until: Date,
    /// The requested collection or alias.
    pub source: String,
    /// The collection, after an alias was resolved.
    pub collection: String,
    /// The number of points that the server counted before it made the snapshot of the collection.
    pub points: u64,
    /// The collections, including the collection of entities.
    pub collections: Vec<CollectionBackup>,
    /// The files.
    pub artifacts: Vec<Artifact>,
}

/// A collection in a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CollectionBackup {
    /// The name of the collection.
    pub name: String,
    /// The file of its snapshot.
    pub file: String,
    /// The number of points that the server counted before it made the snapshot.
    pub points: u64,
    /// The number of points that the server counted after it made the snapshot; differs if clients were writing.
    pub points_after: u64,
    /// The name of the snapshot on the server.
    pub snapshot: String,
    /// When the server made the snapshot, as it reports it.
    pub snapshot_created: Option<String>,
    /// Whether the file was compared with a SHA-256 that the server reported; old servers report none.
    pub checked_against_server: bool,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Artifact {
    /// The name of the file in the folder.
    pub file: String,
    /// The kind of the file.
    pub kind: ArtifactKind,
    /// The length of the file.
    pub bytes: u64,
    /// The SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
    /// The number of points, rows, aliases or collections in the file, if it contains such.
    pub count: Option<u64>,
}

/// The kind of a file of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ArtifactKind {
    /// A snapshot of a collection; its points are counted.
    Snapshot,
    /// The aliases of the server.
    Aliases,
    /// The settings and payload indexes of the collections.
    Collection,
    /// mem0's `history.db`; the rows of `history` are counted.
    History,
    /// The points as JSON, one in each line.
    Points,
    /// A Neo4j dump.
    Neo4jDump,
    /// The retention date as a calendar event.
    Calendar,
}

impl Manifest {
    /// The version of the format that this program writes, and the highest that it reads.
    pub(super) const FORMAT: u32 = 1;

    /// The artifact of a file.
    pub fn artifact(&self, file: &str) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.file == file)
    }

    /// Reads the manifest of a backup without checking the other files.
    ///
    /// # Errors
    /// [`MigrateError::Io`] if it can't be read; [`MigrateError::Invalid`] if it is damaged or of a newer version.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST_FILE);
        let bytes = std::fs::read(&path).map_err(files::io_error(&path))?;
        let (manifest, digest_matches) = Self::parse(&bytes).map_err(|reason| unusable(&path, &reason))?;
        if digest_matches { Ok(manifest) } else { Err(unusable(&path, DIGEST_MISMATCH)) }
    }

    /// Writes the manifest, after all files that it lists.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(MANIFEST_FILE);
        let json = serde_json::to_string_pretty(self).map_err(|error| unusable(&path, &error.to_string()))?;
        let head = format!("{},\n{DIGEST_KEY}", json.trim_end_matches("\n}"));
        let digest = digest(head.as_bytes(), TAIL.as_bytes());
        files::write_private(&path, format!("{head}{digest}{TAIL}").as_bytes())
    }

    /// Parses a manifest. Also returns whether its digest matches.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, bool), String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not valid UTF-8".to_owned())?;
        let manifest: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("it is damaged ({error})"))?;
        match manifest["format"].as_u64() {
            Some(format) if format > u64::from(Self::FORMAT) => {
                return Err(format!(
                    "it was written by a newer version of Mnemon ({}): use that version",
                    manifest["mnemon"]
                ));
            }
            _ => {}
        }
        let manifest = serde_json::from_value(manifest).map_err(|error| format!("it is damaged ({error})"))?;
        let digest_matches = text.rfind(DIGEST_KEY).is_some_and(|at| {
            let (head, rest) = text.split_at(at + DIGEST_KEY.len());
            rest.strip_suffix(TAIL).is_some_and(|found| found == digest(head.as_bytes(), TAIL.as_bytes()))
        });
        Ok((manifest, digest_matches))
    }
}

/// The message for a manifest whose digest does not match.
pub(super) const DIGEST_MISMATCH: &str = "its digest does not match its content: the file was changed";

fn unusable(path: &Path, reason: &str) -> MigrateError {
    MigrateError::Invalid(format!("{} can't be used: {reason}", path.display()))
}

/// The digest of all bytes except the digest itself.
fn digest(head: &[u8], end: &[u8]) -> String {
    let mut hash = ContentHash::default();
    hash.update(head);
    hash.update(end);
    hash.sha256()
}

/// Times and dates as text.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let artifact = |file: &str, kind| Artifact {
            file: file.into(),
            kind,
            bytes: 1 << 40,
            sha256: ContentHash::sha256_of(file.as_bytes()),
            count: (kind == ArtifactKind::Snapshot).then_some(204),
        };
        Manifest {
            format: Manifest::FORMAT,
            mnemon: "0.1.0".into(),
            qdrant: "1.18.3".into(),
            server: "http://q:6333".into(),
            created: "2026-01-31T23:59:59Z".parse().unwrap(),
            retention_until: Date::constant(2026, 3, 2),
            source: "mem\"0\" ü".into(),
            collection: "mem0".into(),
            points: 204,
            collections: vec![CollectionBackup {
                name: "mem0".into(),
                file: "mem0.snapshot".into(),
                points: 204,
                points_after: 205,
                snapshot: "mem0-1-2026-01-31.snapshot".into(),
                snapshot_created: None,
                checked_against_server: true,
            }],
            artifacts: vec![
                artifact("mem0.snapshot", ArtifactKind::Snapshot),
                artifact("retention.ics", ArtifactKind::Calendar),
            ],
        }
    }

    #[test]
    fn any_changed_byte_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        manifest().write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), manifest());
        let whole = std::fs::read(folder.path().join(MANIFEST_FILE)).unwrap();
        assert!(Manifest::parse(&whole).unwrap().1);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(!matches!(Manifest::parse(&bytes), Ok((_, true))), "bit {bit} of byte {at}");
            }
            assert!(!matches!(Manifest::parse(&whole[..at]), Ok((_, true))), "cut after {at}");
        }
        for more in ["\n", " ", "x"] {
            let longer = [&whole, more.as_bytes()].concat();
            assert!(!matches!(Manifest::parse(&longer), Ok((_, true))), "{more:?}");
        }
    }

    #[test]
    fn a_newer_version_is_refused() {
        let error = Manifest::parse(br#"{"format": 2, "mnemon": "9.0.0", "artifacts": {}}"#).unwrap_err();
        assert!(error.contains("newer") && error.contains("9.0.0"), "{error}");
    }
}
