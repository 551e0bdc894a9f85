//! What can be known before a phase begins is checked before it writes anything.

use crate::endpoints::MigrationContext;
use crate::error::{Refusal, Result};
use crate::state::{Migration, Part};

/// Checks that an embedder makes vectors of the source's length, if the migration asks for entities. Sends it nothing.
///
/// # Errors
/// [`Refusal::NoEmbedder`]; those of the source.
pub fn check_embedder(migration: &Migration, context: &MigrationContext<'_>) -> Result<()> {
    if !migration.state.asks_for(Part::Entities) {
        return Ok(());
    }
    let dims = migration.route()?.dims(context)?;
    match context.embedder_with_dims(dims) {
        Some(_) => Ok(()),
        None => Err(Refusal::NoEmbedder { dims, given: context.embedder.map(|embedder| embedder.dims()) }.into()),
    }
}
