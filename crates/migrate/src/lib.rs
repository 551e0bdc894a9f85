//! Migrates the memories of a mem0 deployment to Mnemon in phases, and verifies every step.
#![warn(missing_docs)]

mod state;

mod addresses;
mod endpoints;
mod progress;
mod switch;

pub mod source;
mod target;

mod carried;
mod embedding_cache;
mod entities;
mod survey;
mod sync;

mod phases;

mod error;
mod files;
mod outputs;
mod qdrant_rest;

pub use carried::{CarriedPoints, Digest, EntitiesOf, digest};
pub use endpoints::{MigrationContext, OpenStore};
pub use entities::write_entities;
pub use error::{MigrateError, Refusal, Result};
pub use outputs::check_outputs;
pub use phases::{
    Artifact, ArtifactKind, BackupDifference, BackupEvent, BackupOptions, BackupPlan, BackupReport, COUNTS_FILE,
    CollectionBackup, CutoverReport, Difference, EntityComparison, HistoryComparison, MANIFEST_FILE, Manifest,
    NameForecast, Obstacle, PreflightNote, PreflightReport, RebuildReport, RehearsalReport, RollbackReport,
    ServerHooks, StartChecks, Started, VerificationReport, VerifyOptions, WordSearch, backup, check_space, check_start,
    cutover, inspect, plan_backup, preflight, read_counts, rebuild, rehearse, retire, rollback, verify, verify_backup,
    verify_backup_in, verify_migration,
};
pub use progress::{ENTITIES_STEP, Progress};
pub use state::{
    CARRIED_FILE, LOCK_FILE, Migration, MigrationState, Part, PartResult, PartState, Phase, PhaseResult, Route,
    STATE_FILE, SourceSpec, TargetSpec,
};
pub use survey::{Anomaly, Survey};
pub use switch::{Switch, store_in_settings, value_in_env_file};
pub use sync::{OnPoints, SyncOptions, SyncReport, sync};
pub use target::{CollectionTarget, PointFormat, StoreTarget, Target};
