//! From a mem0 stack to Mnemon, phase by phase: what is there, how it is carried over, and how that is proved.
#![warn(missing_docs)]

mod backup;
mod copy;
mod error;
pub mod read;
mod rehearse;
mod survey;
mod verify;

pub use backup::{
    Artifact, ArtifactKind, BackedUp, BackupDifference, BackupEvent, BackupOptions, BackupPlan, BackupReport, MANIFEST,
    Manifest, backup, plan_backup, verify_backup, verify_backup_in,
};
pub use copy::{Copied, Step, copy};
pub use error::MigrateError;
pub use rehearse::{Rehearsal, WordFound, rehearse};
pub use survey::{Anomaly, Survey};
pub use verify::{Difference, Verification, verify};

/// The result of a phase's work.
pub type Result<T, E = MigrateError> = std::result::Result<T, E>;
