//! `manifest.json`: what a backup holds, sealed by its own digest.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::files::{self, Hashed};
use crate::{MigrateError, Result};

/// The manifest's file in the folder of a backup.
pub const MANIFEST: &str = "manifest.json";

/// The layout that this version writes and reads.
const FORMAT: u32 = 1;

/// What the digest stands behind; the last key of the file.
const SEAL: &str = "  \"manifest_sha256\": \"";
const END: &str = "\"\n}\n";

/// What a backup holds, and until when it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Layout of the file, 1.
    pub format: u32,
    /// Version of Mnemon that wrote it.
    pub mnemon: String,
    /// Version of the server.
    pub qdrant: String,
    /// REST address of the server.
    pub server: String,
    /// When the backup was complete.
    #[serde(with = "as_text")]
    pub created: Timestamp,
    /// The first day, in UTC, on which it may be deleted.
    #[serde(with = "as_text")]
    pub retention_until: Date,
    /// What was asked for: a collection or an alias.
    pub source: String,
    /// The collection behind it.
    pub collection: String,
    /// Points of the collection, as the server counted them before the snapshot was made.
    pub points: u64,
    /// The collections, that of the entities included.
    pub collections: Vec<CollectionBackup>,
    /// The files.
    pub artifacts: Vec<Artifact>,
}

/// A collection in a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CollectionBackup {
    /// Its name.
    pub name: String,
    /// The file of its snapshot.
    pub file: String,
    /// Points that the server counted before the snapshot was made.
    pub points: u64,
    /// Points that the server counted afterwards; others than before if somebody wrote meanwhile.
    pub points_after: u64,
    /// The server's name of the snapshot.
    pub snapshot: String,
    /// When the server made it, in its words.
    pub snapshot_created: Option<String>,
    /// Whether the server named a SHA-256 that the file was compared with; old ones don't.
    pub checked_against_server: bool,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Artifact {
    /// Its name in the folder.
    pub file: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
    /// Points, rows, aliases or collections in it, where it has such.
    pub count: Option<u64>,
}

/// What a file of a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ArtifactKind {
    /// A snapshot of a collection, counted in points.
    Snapshot,
    /// The server's aliases.
    Aliases,
    /// Settings and payload indexes of the collections.
    Collection,
    /// mem0's `history.db`, counted in rows of `history`.
    History,
    /// A point a line, as JSON.
    Points,
    /// A dump of Neo4j.
    Neo4jDump,
    /// The day of retention as a calendar's event.
    Calendar,
}

impl Manifest {
    pub(super) fn current() -> u32 {
        FORMAT
    }

    /// An artifact by its file.
    pub fn artifact(&self, file: &str) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.file == file)
    }

    /// Reads the manifest of a backup; its files are not looked at.
    ///
    /// # Errors
    /// [`MigrateError::Io`] if there is none, [`MigrateError::Unfit`] if it is damaged or of a newer version.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let bytes = std::fs::read(&path).map_err(files::failed(&path))?;
        let (manifest, sealed) = Self::parse(&bytes).map_err(|reason| unfit(&path, &reason))?;
        if sealed { Ok(manifest) } else { Err(unfit(&path, BROKEN)) }
    }

    /// Writes the manifest, after all that it speaks of.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(MANIFEST);
        let json = serde_json::to_string_pretty(self).map_err(|error| unfit(&path, &error.to_string()))?;
        let head = format!("{},\n{SEAL}", json.trim_end_matches("\n}"));
        let digest = digest(head.as_bytes(), END.as_bytes());
        files::write(&path, format!("{head}{digest}{END}").as_bytes())
    }

    /// What the bytes say, and whether they are those that were written.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, bool), String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
        let manifest: serde_json::Value =
            serde_json::from_str(text).map_err(|error| format!("it is damaged ({error})"))?;
        match manifest["format"].as_u64() {
            Some(format) if format > u64::from(FORMAT) => {
                return Err(format!("it was written by a newer Mnemon ({}): use that one", manifest["mnemon"]));
            }
            _ => {}
        }
        let manifest = serde_json::from_value(manifest).map_err(|error| format!("it is damaged ({error})"))?;
        let sealed = text.rfind(SEAL).is_some_and(|at| {
            let (head, rest) = text.split_at(at + SEAL.len());
            rest.strip_suffix(END).is_some_and(|told| told == digest(head.as_bytes(), END.as_bytes()))
        });
        Ok((manifest, sealed))
    }
}

/// What is said of a manifest whose digest is not its own.
pub(super) const BROKEN: &str = "its digest is not that of its content: a byte was changed";

fn unfit(path: &Path, reason: &str) -> MigrateError {
    MigrateError::Unfit(format!("{} can't be used: {reason}", path.display()))
}

/// Of all bytes but the digest's own.
fn digest(head: &[u8], end: &[u8]) -> String {
    let mut hashed = Hashed::default();
    hashed.update(head);
    hashed.update(end);
    hashed.sha256()
}

/// Times and dates as they are shown.
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
            sha256: Hashed::of(file.as_bytes()),
            count: (kind == ArtifactKind::Snapshot).then_some(204),
        };
        Manifest {
            format: FORMAT,
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
    fn no_byte_changes_unseen() {
        let folder = tempfile::tempdir().unwrap();
        manifest().write(folder.path()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), manifest());
        let whole = std::fs::read(folder.path().join(MANIFEST)).unwrap();
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
    fn a_newer_one_is_told() {
        let told = Manifest::parse(br#"{"format": 2, "mnemon": "9.0.0", "artifacts": {}}"#).unwrap_err();
        assert!(told.contains("newer") && told.contains("9.0.0"), "{told}");
    }
}
