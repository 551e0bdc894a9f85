//! Flags that say which parts a migration carries over.

use std::path::PathBuf;

use mnemon_migrate::{Migration, MigrationState};

/// What to migrate besides memories.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct PartArgs {
    /// mem0's history.db, to import into the history of the target [default: the one given before]
    #[arg(long, value_name = "FILE")]
    pub(super) history: Option<PathBuf>,
    /// Do not import the history that was given before
    #[arg(long, conflicts_with = "history")]
    without_history: bool,
    /// Create no entities, so that search does not find memories by names: for when mem0's embedding model is not available
    #[arg(long)]
    pub(super) without_entities: bool,
}

impl PartArgs {
    /// The history to carry over, given now or before.
    pub(super) fn history_of(&self, known: Option<&MigrationState>) -> Option<PathBuf> {
        let before = known.and_then(|state| state.history.clone()).filter(|_| !self.without_history);
        self.history.clone().or(before)
    }

    /// Records them in the migration, for the phases that follow.
    pub(super) fn record(&self, migration: &mut Migration) -> anyhow::Result<()> {
        let history = match &self.history {
            Some(file) => Some(Some(std::path::absolute(file)?)),
            None if self.without_history => Some(None),
            None => None,
        };
        Ok(migration.ask_for(history, Some(self.without_entities))?)
    }
}
