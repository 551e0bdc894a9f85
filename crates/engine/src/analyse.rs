//! From a text to all that the store keeps of it: lemmas, sparse vector, terms, entities, embedding.

use std::collections::BTreeMap;
use std::time::Instant;

use mnemon_models::Embedder;
use mnemon_store::{Memory, MemoryId, Mention, Payload, Provenance, Record, Sparse, TermCount, Terms, keys};
use mnemon_text::bm25::SparseVector;
use mnemon_text::{dates, entity};
use rayon::prelude::*;

use crate::session::speaker;
use crate::{Engine, Result};

/// Terms a memory's context is filled up to, its own included.
const CONTEXT_TERMS: usize = 45;
/// How many memories before it a context reaches back.
pub(crate) const CONTEXT_REACH: usize = 2;

/// What a text says, whoever said it and wherever.
#[derive(Clone, Debug)]
pub(crate) struct Analysis {
    pub(crate) lemmas: String,
    pub(crate) bm25: Sparse,
    pub(crate) terms: Vec<u32>,
    pub(crate) entities: Vec<entity::Entity>,
    pub(crate) holds_time_word: bool,
}

pub(crate) fn analyse(text: &str) -> Analysis {
    let lemmas = mnemon_text::lemma::lemmatize(text);
    Analysis {
        bm25: sparse(&lemmas, text),
        lemmas,
        terms: mnemon_text::index_terms(text),
        entities: entity::extract(text),
        holds_time_word: dates::holds_time_word(text),
    }
}

/// What ranking asks of a memory that another program wrote: its terms by itself, and whether it speaks of a time.
pub fn describe(payload: &Payload) -> (Terms, bool) {
    let own = mnemon_text::index_terms(payload.text());
    let speaker = payload.actor().or_else(|| payload.role());
    (count_terms(&own, &[], speaker), dates::holds_time_word(payload.text()))
}

/// mem0's `bm25` slot: the encoded lemmas, or the text itself where it has none; indices rise.
pub fn sparse(lemmas: &str, text: &str) -> Sparse {
    let SparseVector { indices, values } = mnemon_text::bm25::encode(if lemmas.is_empty() { text } else { lemmas });
    indices.into_iter().zip(values).collect()
}

/// What is embedded for a memory: `Speaker: text`, or the text alone where nobody is named.
pub(crate) fn embedding_text(payload: &Payload) -> String {
    match payload.actor().or_else(|| payload.role()) {
        Some(speaker) => format!("{speaker}: {}", payload.text()),
        None => payload.text().to_owned(),
    }
}

/// Counts a memory's own terms, those of its context (the last terms of the memory before it in the session, then of
/// the one before that, until there are 45), and those of its speaker's name.
///
/// `before`: terms of the memories before it, the nearest first.
pub(crate) fn count_terms(own: &[u32], before: &[&[u32]], speaker: Option<&str>) -> Terms {
    let mut counts: BTreeMap<u32, (u16, u16)> = BTreeMap::new();
    for &term in own {
        let count = counts.entry(term).or_default();
        *count = (count.0.saturating_add(1), count.1.saturating_add(1));
    }
    let mut context_len = own.len();
    for terms in before.iter().take(CONTEXT_REACH) {
        let room = CONTEXT_TERMS.saturating_sub(context_len);
        let tail = &terms[terms.len().saturating_sub(room)..];
        for &term in tail {
            let count = counts.entry(term).or_default();
            count.1 = count.1.saturating_add(1);
        }
        context_len += tail.len();
    }
    for term in speaker.map(mnemon_text::index_terms).unwrap_or_default() {
        counts.entry(term).or_default();
    }
    let counts = counts.into_iter().map(|(term, (in_text, in_context))| TermCount { term, in_text, in_context });
    Terms { counts: counts.collect(), text_len: own.len() as u32, context_len: context_len as u32 }
}

impl Engine {
    /// Embeds texts; one row each.
    pub(crate) fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let begun = Instant::now();
        let vectors = self.embedder.embed(texts)?;
        metrics::histogram!("mnemon_embed_seconds").record(begun.elapsed());
        metrics::counter!("mnemon_embedded_texts_total").increment(texts.len() as u64);
        Ok(vectors)
    }

    /// Embeds the entities of several texts in one batch; an entity named twice is embedded once.
    pub(crate) fn mentions<'a>(&self, texts: impl Iterator<Item = &'a [entity::Entity]>) -> Result<Vec<Vec<Mention>>> {
        let texts: Vec<&[entity::Entity]> = texts.collect();
        let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
        let mut names: Vec<&str> = Vec::new();
        for entity in texts.iter().copied().flatten() {
            rows.entry(&entity.text).or_insert_with(|| {
                names.push(&entity.text);
                names.len() - 1
            });
        }
        let vectors = self.embed(&names)?;
        let mention = |entity: &entity::Entity| Mention {
            kind: entity.kind.as_str().to_owned(),
            text: entity.text.clone(),
            vector: vectors[rows[entity.text.as_str()]].clone(),
        };
        Ok(texts.iter().map(|entities| entities.iter().map(mention).collect()).collect())
    }
}

/// A memory of another program, as it lies in a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignPoint {
    /// Its id.
    pub id: MemoryId,
    /// Its payload, whatever that holds.
    pub payload: Payload,
    /// Its dense vector.
    pub vector: Vec<f32>,
}

/// Adds to points of another program what search needs: lemmas (unless they have some), the `bm25` slot, terms, and the
/// entities they name, whose vectors are left empty for [`embed_mentions`]. Ids, vectors and all other keys of the payload
/// stay as they are. Uses all cores.
pub fn enrich(points: Vec<ForeignPoint>) -> Vec<Record> {
    points.into_par_iter().map(enriched).collect()
}

fn enriched(point: ForeignPoint) -> Record {
    let analysis = analyse(point.payload.text());
    let mut payload = point.payload;
    if !payload.text().is_empty() && payload.str(keys::TEXT_LEMMATIZED).is_none() {
        payload.set(keys::TEXT_LEMMATIZED, analysis.lemmas.as_str());
    }
    let lemmas = payload.str(keys::TEXT_LEMMATIZED).unwrap_or_default();
    let bm25 = match lemmas == analysis.lemmas {
        true => analysis.bm25,
        // The lemmas are another program's: its vector is made of them.
        false => sparse(lemmas, payload.text()),
    };
    let mention = |entity: &entity::Entity| Mention {
        kind: entity.kind.as_str().to_owned(),
        text: entity.text.clone(),
        vector: Vec::new(),
    };
    let memory = Memory { id: point.id, payload, provenance: Provenance::default() };
    Record {
        terms: count_terms(&analysis.terms, &[], speaker(&memory)),
        memory,
        vector: point.vector,
        bm25,
        holds_time_word: analysis.holds_time_word,
        mentions: analysis.entities.iter().map(mention).collect(),
    }
}

/// Embeds the entities that records name, all in one batch, each name once; without an embedder of their kind no entities
/// are left.
///
/// # Errors
/// [`crate::EngineError::Model`] if the embedder fails.
pub fn embed_mentions(records: &mut [Record], embedder: Option<&dyn Embedder>) -> Result<()> {
    let Some(embedder) = embedder else {
        records.iter_mut().for_each(|record| record.mentions.clear());
        return Ok(());
    };
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    let mut names: Vec<&str> = Vec::new();
    for mention in records.iter().flat_map(|record| &record.mentions) {
        rows.entry(mention.text.clone()).or_insert_with(|| {
            names.push(&mention.text);
            names.len() - 1
        });
    }
    let vectors = if names.is_empty() { Vec::new() } else { embedder.embed(&names)? };
    for mention in records.iter_mut().flat_map(|record| &mut record.mentions) {
        mention.vector.clone_from(&vectors[rows[&mention.text]]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_filled_from_the_nearest_memory_first() {
        let near: Vec<u32> = (100..140).collect();
        let far: Vec<u32> = (200..240).collect();
        let terms = count_terms(&[1, 1, 2], &[&near, &far], None);
        assert_eq!((terms.text_len, terms.context_len), (3, 45));
        let of = |term| terms.counts.iter().find(|count| count.term == term).map(|c| (c.in_text, c.in_context));
        assert_eq!(of(1), Some((2, 2)));
        assert_eq!(of(100), Some((0, 1)));
        assert_eq!(of(239), Some((0, 1)));
        assert_eq!(of(238), Some((0, 1)));
        assert_eq!(of(237), None);
    }

    #[test]
    fn a_long_text_has_no_context() {
        let own: Vec<u32> = (0..60).collect();
        assert_eq!(count_terms(&own, &[&[77, 78]], None).context_len, 60);
    }

    #[test]
    fn the_speaker_counts_for_nothing_but_the_name() {
        let terms = count_terms(&[], &[], Some("Maria"));
        assert_eq!(terms.counts.len(), 1);
        assert_eq!((terms.counts[0].in_text, terms.counts[0].in_context), (0, 0));
    }
}
