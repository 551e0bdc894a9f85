//! Specific noun phrases: "coral reef survey", "pediatric nurse".

use std::borrow::Cow;
use std::ops::Range;

use super::kind::{Entity, EntityKind};
use super::tagged::Tagged;
use super::words::{CIRCUMSTANCES, GENERIC_ENDINGS, GENERIC_HEADS, VAGUE_ADJECTIVES, is_one_of};
use crate::lemma::{is_stop_word, lemma};
use crate::tag::{Place, Tag};

pub(super) fn find(text: &Tagged, found: &mut Vec<Entity>) {
    let mut at = 0;
    while at < text.places.len() {
        if text.places[at] == Place::Outside {
            at += 1;
            continue;
        }
        let start = at;
        at += 1;
        while at < text.places.len() && text.places[at] != Place::Outside && !text.places[at].is_first() {
            at += 1;
        }
        for part in parts(text, start..at) {
            push_entity(text, part, found);
        }
    }
}

/// Splits a phrase at quotes and after possessives ("Maria's"). The part after a possessive is kept only if it is a name.
fn parts(text: &Tagged, phrase: Range<usize>) -> Vec<Range<usize>> {
    let is_possessive = |at: usize| text.tags[at] == Tag::Possessive && matches!(text.word(at), "'s" | "’s" | "'");
    let is_quote =
        |at: usize| text.tags[at] == Tag::Punctuation && matches!(text.word(at), "'" | "\"" | "‘" | "’" | "“" | "”");
    let mut parts = Vec::new();
    let mut from = phrase.start;
    let mut at = phrase.start;
    while at < phrase.end {
        let cut = at;
        at += 1;
        if !is_possessive(cut) && !is_quote(cut) {
            continue;
        }
        if cut > from {
            parts.push(from..cut);
        }
        from = cut + 1;
        if is_possessive(cut) {
            let end = (from..phrase.end).find(|at| is_possessive(*at) || is_quote(*at)).unwrap_or(phrase.end);
            let first = (from..end).find(|at| !matches!(text.tags[*at], Tag::Punctuation | Tag::Possessive | Tag::To));
            if from < end && !first.is_some_and(|at| text.is_capitalised(at)) {
                from = end;
                at = end.max(at);
            }
        }
    }
    if from < phrase.end {
        parts.push(from..phrase.end);
    }
    parts
}

/// A content word of a phrase.
struct Content<'t> {
    at: usize,
    lemma: Cow<'t, str>,
}

/// Adds the entity of a part of a phrase, if it has one.
fn push_entity(text: &Tagged, part: Range<usize>, found: &mut Vec<Entity>) {
    let lower: Vec<String> = part.clone().map(|at| text.word(at).to_lowercase()).collect();
    let lemma_of = |at: usize| lemma(&lower[at - part.start], text.tags[at]);
    let is_noun = |at: &usize| text.tags[*at].is_common_noun() || text.tags[*at].is_name();
    let Some(head) = part.clone().rev().find(is_noun) else { return };

    let content: Vec<Content> = part
        .clone()
        .filter(|at| {
            let tag = text.tags[*at];
            tag.is_adjective() || (is_content(tag) && !is_stop_word(&lower[at - part.start]))
        })
        .map(|at| Content { at, lemma: lemma_of(at) })
        .collect();
    let is_compound = |word: &Content| text.places[word.at].is_compound();
    let is_adjective = |word: &Content| text.tags[word.at].is_adjective();
    let is_modifier = |word: &Content| is_adjective(word) || text.places[word.at].is_modifier();
    let is_vague = |word: &Content| is_one_of(&word.lemma, VAGUE_ADJECTIVES);

    let compound = content.iter().any(is_compound);
    let specific = content.iter().any(|word| is_modifier(word) && !is_vague(word));
    if !compound && (content.len() < 2 || !specific) {
        return;
    }
    if compound && content.iter().any(|w| is_compound(w) && is_one_of(&w.lemma, CIRCUMSTANCES)) {
        let noun = if text.tags[head].is_name() { Cow::Borrowed(text.word(head)) } else { lemma_of(head) };
        if noun.chars().nth(2).is_some() {
            found.push(Entity { kind: EntityKind::Noun, text: noun.into_owned() });
        }
        return;
    }
    if is_one_of(&lemma_of(head), GENERIC_HEADS) && !compound && !specific {
        return;
    }
    let mut kept: Vec<&Content> =
        content.iter().filter(|w| !(is_vague(w) && if compound { is_adjective(w) } else { is_modifier(w) })).collect();
    if kept.len() > 2 && kept.last().is_some_and(|w| is_one_of(&w.lemma, GENERIC_ENDINGS)) {
        kept.pop();
    }
    if kept.len() < 2 {
        return;
    }
    let words: Vec<&str> =
        kept.iter().map(|w| if text.tags[w.at].is_common_noun() { &*w.lemma } else { text.word(w.at) }).collect();
    let phrase = words.join(" ");
    if phrase.chars().nth(3).is_some() {
        found.push(Entity { kind: EntityKind::Compound, text: phrase });
    }
}

fn is_content(tag: Tag) -> bool {
    !matches!(
        tag,
        Tag::Space
            | Tag::Determiner
            | Tag::Pronoun
            | Tag::PronounOwner
            | Tag::Question
            | Tag::Punctuation
            | Tag::Possessive
            | Tag::To
            | Tag::Preposition
            | Tag::Number
    )
}
