//! Analyses a text into what the store keeps of it: lemmas, sparse vector, terms and entities.

use std::collections::{HashMap, HashSet};

use mnemon_store::{Mention, Payload, Sparse, Terms};
use mnemon_text::bm25::SparseVector;
use mnemon_text::{IndexTerms, dates, entity};

use crate::engine::Engine;
use crate::error::Result;
use crate::terms::count_terms;

/// The analysis of a text alone, without its speaker and its session.
#[derive(Clone, Debug)]
pub(crate) struct Analysis {
    pub(crate) lemmas: String,
    pub(crate) bm25: Sparse,
    pub(crate) terms: IndexTerms,
    pub(crate) entities: Vec<entity::Entity>,
    pub(crate) holds_time_word: bool,
}

/// Analyses a text.
pub(crate) fn analyse(text: &str) -> Analysis {
    let lemmas = mnemon_text::lemma::lemmatize(text);
    Analysis {
        bm25: sparse_vector(&lemmas, text),
        lemmas,
        terms: mnemon_text::index_terms(text),
        entities: entity::extract(text),
        holds_time_word: dates::holds_time_word(text),
    }
}

/// What ranking needs to know of a memory that another program wrote: its terms without a context, and whether its text
/// names a time.
pub fn describe_terms(payload: &Payload) -> (Terms, bool) {
    let own = mnemon_text::index_terms(payload.text());
    (count_terms(&own, &[], payload.speaker()), dates::holds_time_word(payload.text()))
}

/// The vector of mem0's `bm25` slot: the encoded lemmas, or the encoded text where there are no lemmas. Indices ascend.
pub fn sparse_vector(lemmas: &str, text: &str) -> Sparse {
    let SparseVector { indices, values } = mnemon_text::bm25::encode(if lemmas.is_empty() { text } else { lemmas });
    indices.into_iter().zip(values).collect()
}

/// Turns the entities of several texts into mentions, embedding all names in one batch.
pub(crate) fn mentions<'a>(
    engine: &Engine,
    texts: impl Iterator<Item = &'a [entity::Entity]>,
) -> Result<Vec<Vec<Mention>>> {
    let texts: Vec<&[entity::Entity]> = texts.collect();
    let names = texts.iter().copied().flatten().map(|entity| entity.text.as_str());
    let vectors = embed_names(names, |names| engine.embed(names))?;
    let mention = |entity: &entity::Entity| mention(entity, vectors[&entity.text].clone());
    Ok(texts.iter().map(|entities| entities.iter().map(mention).collect()).collect())
}

/// A mention of an entity, with the vector of its name.
pub(crate) fn mention(entity: &entity::Entity, vector: Vec<f32>) -> Mention {
    Mention { kind: entity.kind.as_str().to_owned(), text: entity.text.clone(), vector }
}

/// Embeds names in one batch, each distinct name once, and returns their vectors by name.
pub(crate) fn embed_names<'n>(
    names: impl Iterator<Item = &'n str>,
    embed: impl FnOnce(&[&str]) -> Result<Vec<Vec<f32>>>,
) -> Result<HashMap<String, Vec<f32>>> {
    let mut seen = HashSet::new();
    let distinct: Vec<&str> = names.filter(|name| seen.insert(*name)).collect();
    let vectors = if distinct.is_empty() { Vec::new() } else { embed(&distinct)? };
    Ok(distinct.into_iter().map(str::to_owned).zip(vectors).collect())
}
