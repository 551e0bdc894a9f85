//! Backups of a mem0 stack: snapshots of its collections, fetched and proved, with all that a rollback needs beside them.
//!
//! The source is only read, but for the snapshots, which the server makes on its own disk and which are deleted there when
//! they are here. What is done is recorded in the folder before the next thing begins: after a kill, a full disk or a lost
//! connection the same call goes on, and when all is there it changes nothing.

mod artifacts;
mod calendar;
mod download;
mod events;
mod export;
mod history;
mod inventory;
mod layout;
mod manifest;
mod options;
mod plan;
mod run;
mod seal;
mod snapshot;
mod unfinished;
mod verify;

pub use events::BackupEvent;
pub use manifest::{Artifact, ArtifactKind, CollectionBackup, MANIFEST, Manifest};
pub use options::BackupOptions;
pub use plan::{BackupPlan, plan_backup};
pub use run::backup;
pub use verify::{BackupDifference, BackupReport, verify_backup, verify_backup_in};
