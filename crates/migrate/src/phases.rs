//! The phases of a migration, one module each.

mod backup;
mod cutover;
mod preflight;
mod rebuild;
mod rehearse;
mod retire;
mod rollback;
mod verify;

pub use backup::{
    Artifact, ArtifactKind, BackupDifference, BackupEvent, BackupOptions, BackupPlan, BackupReport, CollectionBackup,
    MANIFEST, Manifest, backup, plan_backup, verify_backup, verify_backup_in,
};
pub use cutover::{CutoverReport, ServerHooks, cutover};
pub use preflight::{COUNTS, Preflight, look, preflight, read_counts};
pub use rebuild::{RebuildReport, rebuild};
pub use rehearse::{Rehearsal, rehearse};
pub use retire::retire;
pub use rollback::{RollbackReport, rollback};
pub use verify::{Difference, Verification, WordFound, verify, verify_migration};
