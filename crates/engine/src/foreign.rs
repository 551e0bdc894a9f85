//! Points that another program wrote, and the fields that search needs.

use mnemon_models::Embedder;
use mnemon_store::{Entity, Memory, MemoryId, Mention, Payload, Provenance, Record, StoredMemory, keys};
use rayon::prelude::*;

use crate::analyse::{analyse, embed_names, mention, sparse_vector};
use crate::error::Result;
use crate::terms::count_terms;

/// A memory written by another program (such as Python mem0), as stored in that program's collection.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignPoint {
    /// Its id.
    pub id: MemoryId,
    /// Its payload, with any keys.
    pub payload: Payload,
    /// Its dense vector.
    pub vector: Vec<f32>,
}

/// Adds the fields that search needs to points of another program: lemmas (unless the payload has them), the vector of the `bm25`
/// slot, terms, and the entities they mention. The vectors of the mentions are empty: [`embed_mentions`] fills them in.
/// Ids, vectors and all other payload keys stay unchanged. Uses all cores.
pub fn enrich(points: Vec<ForeignPoint>) -> Vec<Record> {
    points.into_par_iter().map(enrich_point).collect()
}

fn enrich_point(point: ForeignPoint) -> Record {
    let analysis = analyse(point.payload.text());
    let mut payload = point.payload;
    if !payload.text().is_empty() && payload.str(keys::TEXT_LEMMATIZED).is_none() {
        payload.set(keys::TEXT_LEMMATIZED, analysis.lemmas.as_str());
    }
    let lemmas = payload.str(keys::TEXT_LEMMATIZED).unwrap_or_default();
    // The vector follows the lemmas in the payload, which may be those of the other program.
    let bm25 = if lemmas == analysis.lemmas { analysis.bm25 } else { sparse_vector(lemmas, payload.text()) };
    Record {
        terms: count_terms(&analysis.terms, &[], payload.speaker()),
        memory: Memory { id: point.id, payload, provenance: Provenance::default() },
        vector: point.vector,
        bm25,
        holds_time_word: analysis.holds_time_word,
        mentions: analysis.entities.iter().map(|entity| mention(entity, Vec::new())).collect(),
    }
}

/// The record of a memory of the store, with new lemmas if it has none. Its terms are those of its text alone, and its mentions
/// have no vectors.
pub(crate) fn enrich_stored(stored: StoredMemory) -> Record {
    let StoredMemory { memory: Memory { id, payload, provenance }, vector, .. } = stored;
    let mut record = enrich_point(ForeignPoint { id, payload, vector });
    record.memory.provenance = provenance;
    record
}

/// The entities that the text of each point mentions, without vectors. Uses all cores.
pub fn mentions_in(points: &[ForeignPoint]) -> Vec<Vec<Mention>> {
    let of_text = |point: &ForeignPoint| {
        mnemon_text::entity::extract(point.payload.text()).iter().map(|entity| mention(entity, Vec::new())).collect()
    };
    points.par_iter().map(of_text).collect()
}

/// Embeds the entities that records mention, in one batch, each distinct name once. Without an embedder the mentions are
/// removed.
///
/// # Errors
/// [`EngineError::Model`](crate::EngineError::Model) if the embedder fails.
pub fn embed_mentions(records: &mut [Record], embedder: Option<&dyn Embedder>) -> Result<()> {
    let Some(embedder) = embedder else {
        records.iter_mut().for_each(|record| record.mentions.clear());
        return Ok(());
    };
    let names = records.iter().flat_map(|record| &record.mentions).map(|mention| mention.text.as_str());
    let vectors = embed_names(names, |names| Ok(embedder.embed(names)?))?;
    for mention in records.iter_mut().flat_map(|record| &mut record.mentions) {
        mention.vector.clone_from(&vectors[&mention.text]);
    }
    Ok(())
}

/// Embeds the names of entities, in one batch, each distinct name once.
///
/// # Errors
/// [`EngineError::Model`](crate::EngineError::Model) if the embedder fails.
pub fn embed_entities<'e>(entities: impl Iterator<Item = &'e mut Entity>, embedder: &dyn Embedder) -> Result<()> {
    let entities: Vec<&mut Entity> = entities.collect();
    let vectors = embed_names(entities.iter().map(|entity| entity.text()), |names| Ok(embedder.embed(names)?))?;
    for entity in entities {
        entity.vector.clone_from(&vectors[entity.text()]);
    }
    Ok(())
}
