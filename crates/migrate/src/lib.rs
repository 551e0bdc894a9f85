//! From a mem0 stack to Mnemon, phase by phase: what is there, how it is carried over, and how that is proved.
#![warn(missing_docs)]

mod state;

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
mod qdrant_rest;

pub use carried::{Base, Digest, digest};
pub use endpoints::{Opened, Tools};
pub use entities::write_entities;
pub use error::{MigrateError, Result};
pub use phases::{
    Artifact, ArtifactKind, BackedUp, BackupDifference, BackupEvent, BackupOptions, BackupPlan, BackupReport, COUNTS,
    CutOver, Difference, MANIFEST, Manifest, Preflight, Rebuilt, Rehearsal, RolledBack, Served, Verification,
    WordFound, backup, cutover, look, plan_backup, preflight, read_counts, rebuild, rehearse, retire, rollback, verify,
    verify_backup, verify_backup_in, verify_migration,
};
pub use progress::{ENTITIES, Progress};
pub use source as read;
pub use state::{Ended, From, Migration, Phase, Route, State, To};
pub use survey::{Anomaly, Survey};
pub use switch::{Switch, store_in_settings, value_in_env_file};
pub use sync::{PassOptions, Passed, pass};
pub use target::{IntoCollection, IntoStore, Shape, Target};
