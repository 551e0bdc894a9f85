//! From a mem0 stack to Mnemon, phase by phase: what is there, how it is carried over, and how that is proved.
#![warn(missing_docs)]

mod backup;
mod base;
mod cutover;
mod error;
mod pass;
mod preflight;
pub mod read;
mod rebuild;
mod rehearse;
mod remember;
mod rest;
mod route;
mod state;
mod survey;
mod switch;
mod target;
mod verify;

pub use backup::{
    Artifact, ArtifactKind, BackupDifference, BackupEvent, BackupOptions, BackupPlan, BackupReport, CollectionBackup,
    MANIFEST, Manifest, backup, plan_backup, verify_backup, verify_backup_in,
};
pub use base::{CarriedPoints, Digest, digest};
pub use cutover::{CutoverReport, RollbackReport, ServerHooks, cutover, retire, rollback};
pub use error::MigrateError;
pub use pass::{SyncOptions, SyncReport, sync, write_entities};
pub use preflight::{COUNTS, Preflight, look, preflight, read_counts};
pub use rebuild::{ENTITIES, Progress, RebuildReport, rebuild};
pub use rehearse::{Rehearsal, rehearse};
pub use route::{MigrationContext, OpenTarget};
pub use state::{Migration, Phase, PhaseResult, Route, SourceSpec, State, Switch, TargetSpec};
pub use survey::{Anomaly, Survey};
pub use switch::{store_in_settings, value_in_env_file};
pub use target::{CollectionTarget, PointFormat, StoreTarget, Target};
pub use verify::{Difference, Verification, WordFound, verify, verify_migration};

/// The result of a phase's work.
pub type Result<T, E = MigrateError> = std::result::Result<T, E>;
