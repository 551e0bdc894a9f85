//! Backup of a mem0 deployment: snapshots of its collections, downloaded and verified, and everything else that a
//! rollback needs.
//!
//! The source is only read, except that the server makes the snapshots on its own disk; they are deleted there after
//! the download. Each step is recorded in the backup's folder before the next one starts. After a kill, a full disk or
//! a lost connection the same call continues, and for a complete backup it changes nothing.

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
mod removal;
mod run;
mod seal;
mod snapshot;
mod unfinished;
mod verify;

pub use events::BackupEvent;
pub(super) use history::check_history_source;
pub use manifest::{Artifact, ArtifactKind, CollectionBackup, MANIFEST_FILE, Manifest};
pub use options::BackupOptions;
pub use plan::{BackupPlan, plan_backup};
pub(super) use removal::{check_removal, remove_backup};
pub use run::backup;
pub use verify::{BackupDifference, BackupReport, verify_backup, verify_backup_in};
