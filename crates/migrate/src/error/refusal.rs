//! Why a phase refuses to run.

use std::path::PathBuf;

use jiff::civil::Date;

/// Why an operation was refused, to prevent the loss of data. Displayed, it states the fact; which command or flag
/// helps is for the program that shows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name of the source is an alias. After a cutover it would name the target.
    #[error("`{alias}` is an alias of `{collection}`")]
    SourceIsAlias {
        /// The name that was given.
        alias: String,
        /// The collection.
        collection: String,
    },
    /// The name of the target is an alias.
    #[error("`{alias}` is an alias of `{collection}`")]
    TargetIsAlias {
        /// The name that was given.
        alias: String,
        /// The collection.
        collection: String,
    },
    /// The vectors of the target are not like those of the source.
    #[error(
        "collection `{collection}` has vectors of {dims} dims with {distance} distance, the source has {source_dims} dims with \
         Cosine distance"
    )]
    TargetHasOtherVectors {
        /// The target.
        collection: String,
        /// Dims of its vectors.
        dims: usize,
        /// How it compares them.
        distance: String,
        /// Dims of the source's vectors.
        source_dims: usize,
    },
    /// The target has no sparse vectors.
    #[error("collection `{collection}` exists and has no bm25 slot")]
    TargetHasNoBm25 {
        /// The target.
        collection: String,
    },
    /// The target holds memories that this migration did not write.
    #[error("{location} holds {count} memories that this migration did not write")]
    TargetNotEmpty {
        /// The target.
        location: String,
        /// About how many memories it holds.
        count: u64,
    },
    /// The collection of the target's entities holds entities that this migration did not write.
    #[error("{location}_entities holds {count} entities that this migration did not write")]
    TargetHasEntities {
        /// The target.
        location: String,
        /// The number of entities.
        count: u64,
    },
    /// The file of the target exists.
    #[error("{} exists", .0.display())]
    TargetFileExists(PathBuf),
    /// The server of the target can't add sparse vectors to a collection.
    #[error(
        "Qdrant at {server} is version {version}, and only 1.18 and newer can add the bm25 slot to an existing collection"
    )]
    CantAddBm25 {
        /// The server.
        server: String,
        /// Its version.
        version: String,
    },
    /// No embedder makes vectors of the collection's length, and entities were asked for.
    #[error("the collection has vectors of {dims} dims, and {}: its entities can't be embedded",
        given.map_or_else(|| "no embedder is set".to_owned(), |given| format!("the embedder makes vectors of {given}")))]
    NoEmbedder {
        /// Dims of the collection.
        dims: usize,
        /// Dims of the embedder, if there is one.
        given: Option<usize>,
    },
    /// The embedder makes other vectors than those of the source, and entities were asked for.
    #[error(
        "for the same texts the embedder makes other vectors than those of the source (cosine at most 0.{percent:02}): it is not the \
             model that mem0 used, so its vectors of entities do not fit"
    )]
    OtherModel {
        /// The best cosine of some texts, in percent.
        percent: u8,
    },
    /// The target was filled without entities.
    #[error("the new store has no entities, so it finds no memory by the names in it")]
    WithoutEntities,
    /// A snapshot file can fill only a SQLite store.
    #[error("a snapshot file can be migrated only to a SQLite store")]
    SnapshotToCollection,
    /// Source and target are the same collection.
    #[error("source and target are both `{0}`")]
    SameCollection(String),
    /// The folder holds the state of a migration with another source or target.
    #[error("{} holds the state of another migration ({current}), not of {requested}", folder.display())]
    OtherMigration {
        /// The folder.
        folder: PathBuf,
        /// Its source and target.
        current: String,
        /// The requested source and target.
        requested: String,
    },
    /// The migration has no source and target.
    #[error("the migration in {} has no source and target", .0.display())]
    NotStarted(PathBuf),
    /// Nothing has been copied.
    #[error("nothing has been copied yet")]
    NothingCopied,
    /// The source has lost most of the copied points.
    #[error("{source_location} no longer has {removed} of {copied} copied memories")]
    MassRemoval {
        /// The source.
        source_location: String,
        /// The number of points that it no longer has.
        removed: u64,
        /// The number of copied points.
        copied: u64,
    },
    /// mem0's history database has lost rows that were imported from it, so newer ones may be lost as well.
    #[error("{} no longer has {lost} rows of the history that were imported from it: it was emptied or replaced", file.display())]
    HistoryLost {
        /// The database.
        file: PathBuf,
        /// The number of rows that it no longer has.
        lost: usize,
    },
    /// The target is in use, so it can't be compared with the source.
    #[error("the new store is in use and changes, so it can't be compared with the source")]
    TargetInUse,
    /// The target is in use, and the source would overwrite its newer memories.
    #[error("the new store is in use, and the old one would overwrite its newer memories")]
    WouldOverwrite,
    /// No verify has succeeded since the last rebuild.
    #[error("no verification has succeeded since the last rebuild")]
    NotVerified,
    /// The target does not hold as many memories as were copied.
    #[error("{copied} memories were copied, but the new store holds {found}; nothing was switched")]
    CountsDiffer {
        /// The number of copied memories.
        copied: u64,
        /// The number of memories in the target.
        found: u64,
    },
    /// The cutover of another setting was started.
    #[error("the cutover of another setting was started ({0})")]
    OtherCutover(String),
    /// Nothing was switched; therefore a rollback has nothing to switch back.
    #[error("nothing was switched, so there is nothing to switch back")]
    NothingSwitched,
    /// The old store is still in use.
    #[error("the old store is still in use: nothing can be deleted before a cutover")]
    SourceInUse,
    /// The old collection was deleted.
    #[error("the old collection was deleted by `retire`, so a rollback is not possible")]
    SourceDeleted,
    /// The old collection and the backup were deleted.
    #[error("the old collection and the backup have been deleted already")]
    AlreadyRetired,
    /// The last verify did not succeed.
    #[error("the last verification did not succeed: nothing is deleted before it does")]
    VerifyFailed,
    /// A source that is a snapshot file has no collection and no backup.
    #[error("the source is the snapshot file {}: there is no collection or backup to delete", .0.display())]
    NothingToRetire(PathBuf),
    /// There is no backup.
    #[error("there is no backup")]
    NoBackup,
    /// The retention date has not come.
    #[error("the backup must be kept until {until}, and today is {today}")]
    Retention {
        /// The retention date.
        until: Date,
        /// The current date.
        today: Date,
    },
    /// A snapshot file can't take back the writes since the cutover.
    #[error("the source is a snapshot file, so the writes made since the cutover can't be copied back")]
    SnapshotSource,
}
