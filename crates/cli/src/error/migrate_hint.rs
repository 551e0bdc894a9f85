//! What to do about an error of a migration, with the flags and commands of this program.

use mnemon_migrate::{MigrateError, Obstacle, PreflightNote, Refusal};

use super::hint::{engine_hint, store_hint};

pub(super) fn migrate_hint(error: &MigrateError) -> Option<String> {
    match error {
        MigrateError::Refused(refusal) => refusal_hint(refusal),
        MigrateError::NoSource { .. } => {
            Some("give the one that mem0 writes to (--source, QDRANT_COLLECTION_NAME)".to_owned())
        }
        MigrateError::DamagedState { .. } => Some("restore the file, or give another --dir".to_owned()),
        MigrateError::WrongAddress(_) => {
            Some("give the REST port with --qdrant-port, the gRPC port with --qdrant-grpc-port, and https:// in --qdrant-host".to_owned())
        }
        MigrateError::History { .. } => Some(
            "put the file that mem0's history_db_path names there, or give its place with --history FILE; `mnemon migrate \
             rebuild --without-history` leaves the history out"
                .to_owned(),
        ),
        MigrateError::Store(error) => store_hint(error),
        MigrateError::Engine(error) => engine_hint(error),
        _ => None,
    }
}

fn refusal_hint(refusal: &Refusal) -> Option<String> {
    let hint = match refusal {
        Refusal::SourceIsAlias { alias, collection } => {
            return Some(format!(
                "give --source {collection}; `mnemon migrate cutover --alias {alias}` switches the alias"
            ));
        }
        Refusal::TargetIsAlias { .. }
        | Refusal::TargetHasOtherVectors { .. }
        | Refusal::TargetHasNoBm25 { .. }
        | Refusal::TargetNotEmpty { .. }
        | Refusal::TargetHasEntities { .. } => "give another target (--target, or --to sqlite:FILE)",
        Refusal::TargetFileExists(_) => "give a new file (--to sqlite:FILE)",
        Refusal::CantAddBm25 { .. } => "upgrade Qdrant, or give a new collection with --target",
        Refusal::NoEmbedder { dims, .. } => {
            return Some(format!(
                "set the embedding model that mem0 used (MNEMON_EMBEDDER=openai:MODEL, MNEMON_EMBEDDER_URL, \
                 MNEMON_EMBEDDER_DIMS={dims}), or do without entities with --without-entities"
            ));
        }
        Refusal::OtherModel { .. } => {
            "set the embedding model that mem0 used (MNEMON_EMBEDDER, MNEMON_EMBEDDER_URL), or do without entities with \
             --without-entities"
        }
        Refusal::WithoutEntities => {
            "add them first (`mnemon migrate rebuild` with the embedding model that mem0 used, then `verify`), or switch \
             without them with --without-entities"
        }
        Refusal::SnapshotToCollection => {
            "give one with --to sqlite:FILE; to fill a collection, restore the snapshot in Qdrant and give the restored \
             collection as --source"
        }
        Refusal::SameCollection(_) => "give a new collection (--target), or add the slot to this one (--in-place)",
        Refusal::OtherMigration { .. } => "continue that one, or give another --dir for this one",
        Refusal::NotStarted(_) => "start with `mnemon migrate preflight --source NAME --target NAME`",
        Refusal::NothingCopied => "run `mnemon migrate rebuild` first",
        Refusal::MassRemoval { .. } => {
            "check it first; if they were deleted on purpose, run again with --allow-removals"
        }
        Refusal::HistoryLost { .. } => {
            "put the file of mem0 back, or give its place (`mnemon migrate rebuild --history FILE`); if the rows were deleted on \
             purpose, run again with --allow-removals; `rebuild --without-history` leaves the history out"
        }
        Refusal::TargetInUse => "`mnemon doctor` checks the new store",
        Refusal::WouldOverwrite => "run `mnemon migrate rollback` first",
        Refusal::NotVerified | Refusal::VerifyFailed => "run `mnemon migrate verify` first",
        Refusal::CountsDiffer { .. } => "`mnemon migrate verify` shows the difference",
        Refusal::OtherCutover(_) => "run that cutover again, or `mnemon migrate rollback` first",
        Refusal::NoBackup => "make one (`mnemon migrate backup`), then wait for its retention date",
        Refusal::SnapshotSource => {
            "restore the snapshot in Qdrant and save the new store with `mnemon export`, or leave the writes with \
             --drop-writes"
        }
        Refusal::NothingSwitched
        | Refusal::SourceInUse
        | Refusal::SourceDeleted
        | Refusal::AlreadyRetired
        | Refusal::NothingToRetire(_)
        | Refusal::Retention { .. } => return None,
    };
    Some(hint.to_owned())
}

/// An obstacle with what to do about it.
pub(crate) fn obstacle(obstacle: &Obstacle) -> String {
    let hint = match obstacle {
        Obstacle::Target(error) => migrate_hint(error),
        Obstacle::Embedder(error) => engine_hint(error),
        Obstacle::DiskSpace { .. } => None,
    };
    hint.map_or_else(|| obstacle.to_string(), |hint| format!("{obstacle}: {hint}"))
}

/// A note with the setting that it is about.
pub(crate) fn note(note: &PreflightNote) -> String {
    match note {
        PreflightNote::OtherEmbedder { .. } => format!(
            "{note} (MNEMON_EMBEDDER=openai:MODEL, MNEMON_EMBEDDER_DIMS); `mnemon migrate rebuild` needs it, or --without-entities"
        ),
        PreflightNote::OtherModel { .. } => format!("{note}: check MNEMON_EMBEDDER"),
        PreflightNote::SourceHasBm25 | PreflightNote::SourceChanges { .. } => note.to_string(),
    }
}
