//! The phases of a migration, one module each.

mod backup;
mod cutover;
mod embedder;
mod history;
mod preflight;
mod rebuild;
mod rehearse;
mod retire;
mod rollback;
mod start;
mod verify;

pub use backup::{
    Artifact, ArtifactKind, BackupDifference, BackupEvent, BackupOptions, BackupPlan, BackupReport, CollectionBackup,
    MANIFEST_FILE, Manifest, backup, plan_backup, verify_backup, verify_backup_in,
};
pub use cutover::{CutoverReport, ServerHooks, cutover};
pub use history::HistoryComparison;
pub use preflight::{
    COUNTS_FILE, NameForecast, Obstacle, PreflightNote, PreflightReport, inspect, preflight, read_counts,
};
pub use rebuild::{RebuildReport, rebuild};
pub use rehearse::{RehearsalReport, rehearse};
pub use retire::retire;
pub use rollback::{RollbackReport, rollback};
pub use start::{StartChecks, Started, check_space, check_start};
pub use verify::{
    Difference, EntityComparison, VerificationReport, VerifyOptions, WordSearch, verify, verify_migration,
};
