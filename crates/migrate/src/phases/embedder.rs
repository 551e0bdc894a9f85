//! The embedder of the entities of a migration.

use mnemon_engine::EngineError;
use mnemon_models::Embedder;

use crate::endpoints::MigrationContext;
use crate::error::{Refusal, Result};
use crate::state::{Migration, Part};

/// The embedder of the entities; `None` if the migration is to have none.
///
/// # Errors
/// [`crate::MigrateError::Refused`] if no embedder with these dims is set; that of the embedder if it does not answer.
pub(super) fn entity_embedder<'e>(
    migration: &Migration,
    context: &MigrationContext<'e>,
    dims: usize,
) -> Result<Option<&'e dyn Embedder>> {
    if !migration.state.asks_for(Part::Entities) {
        return Ok(None);
    }
    let embedder = context
        .embedder_with_dims(dims)
        .ok_or_else(|| Refusal::NoEmbedder { dims, given: context.embedder.map(|embedder| embedder.dims()) })?;
    // One that fails should be found before anything is written.
    embedder.embed(&["preflight"]).map_err(EngineError::from)?;
    Ok(Some(embedder))
}
