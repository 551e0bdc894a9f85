//! The features of the classifiers: hashes of a token's properties and those of its neighbours.

use super::labels::Tag;
use super::lexicon::{ADJECTIVE, NOUN, VERB, hash, irregular, parts_of_speech};

/// The properties of a token that the classifiers use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Atoms {
    pub(crate) is_space: bool,
    word: u32,
    last_two: u32,
    last_three: u32,
    /// WordNet's parts of speech of the word and of its possible base forms.
    classes: u32,
    shape: u32,
}

const PLURAL: u32 = 1 << 4;
const THIRD: u32 = 1 << 5;
const PAST: u32 = 1 << 6;
const ING: u32 = 1 << 7;
const DEGREE: u32 = 1 << 8;

/// Appends `word` in lower case, with digits replaced by zeros.
pub(crate) fn push_lower(buffer: &mut String, word: &str) {
    for c in word.chars() {
        if c.is_ascii() {
            buffer.push(if c.is_ascii_digit() { '0' } else { c.to_ascii_lowercase() });
        } else {
            buffer.extend(c.to_lowercase());
        }
    }
}

impl Atoms {
    /// `lower` is the output of [`push_lower`] for `word`; `cased` says whether the text has capital letters.
    pub(crate) fn new(word: &str, lower: &str, cased: bool, is_space: bool) -> Self {
        if is_space {
            return Atoms { is_space, word: 1, ..Atoms::default() };
        }
        let ending = |count: usize| {
            let start = lower.char_indices().rev().nth(count - 1).map_or(0, |(at, _)| at);
            hash(&lower.as_bytes()[start..])
        };
        // Long numbers and words are distinguished by their first bytes only.
        let head = &lower.as_bytes()[..lower.len().min(24)];
        Atoms {
            is_space,
            word: hash(head),
            last_two: ending(2),
            last_three: ending(3),
            classes: classes(lower),
            shape: shape(word) + if cased { 16 } else { 0 },
        }
    }
}

fn shape(word: &str) -> u32 {
    let (mut upper, mut lower, mut digits, mut others, mut letters) = (0, 0, 0, 0, 0);
    for c in word.chars().take(24) {
        if c.is_alphabetic() {
            letters += 1;
            upper += u32::from(c.is_uppercase());
            lower += u32::from(c.is_lowercase());
        } else if c.is_numeric() {
            digits += 1;
        } else {
            others += 1;
        }
    }
    let title = word.starts_with(char::is_uppercase);
    match (letters, digits, others) {
        (0, 0, _) => 1,
        (0, _, 0) => 2,
        (0, _, _) => 3,
        (_, 0, _) if upper == 0 && lower > 0 => 4 + u32::from(others > 0),
        (_, 0, _) if upper == 0 => 6,
        (1, 0, _) => 7,
        (_, 0, _) if title && upper == 1 => 8,
        (_, 0, _) if lower == 0 => 9,
        (_, 0, _) => 10 + u32::from(title),
        _ if title => 12,
        _ => 13,
    }
}

fn classes(lower: &str) -> u32 {
    if !lower.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) || lower.len() > 32 {
        return 0;
    }
    let mut classes = u32::from(parts_of_speech(lower));
    let mut stem_is = |stem: &str, more: &str, part: u8, class: u32| {
        let known = if more.is_empty() {
            parts_of_speech(stem) & part != 0
        } else {
            let mut word = [0u8; 40];
            let len = stem.len() + more.len();
            word[..stem.len()].copy_from_slice(stem.as_bytes());
            word[stem.len()..len].copy_from_slice(more.as_bytes());
            std::str::from_utf8(&word[..len]).is_ok_and(|word| parts_of_speech(word) & part != 0)
        };
        if known {
            classes |= class;
        }
    };
    if let Some(stem) = lower.strip_suffix('s') {
        stem_is(stem, "", NOUN, PLURAL);
        stem_is(stem, "", VERB, THIRD);
        if let Some(stem) = stem.strip_suffix('e') {
            stem_is(stem, "", NOUN, PLURAL);
            stem_is(stem, "", VERB, THIRD);
            if let Some(stem) = stem.strip_suffix('i') {
                stem_is(stem, "y", NOUN, PLURAL);
                stem_is(stem, "y", VERB, THIRD);
            }
        }
    } else if let Some(stem) = lower.strip_suffix("ed") {
        stem_is(stem, "", VERB, PAST);
        stem_is(stem, "e", VERB, PAST);
        if let Some(stem) = stem.strip_suffix('i') {
            stem_is(stem, "y", VERB, PAST);
        }
    } else if let Some(stem) = lower.strip_suffix("ing") {
        stem_is(stem, "", VERB, ING);
        stem_is(stem, "e", VERB, ING);
    } else if let Some(stem) = lower.strip_suffix("er").or_else(|| lower.strip_suffix("est")) {
        stem_is(stem, "", ADJECTIVE, DEGREE);
        stem_is(stem, "e", ADJECTIVE, DEGREE);
        if let Some(stem) = stem.strip_suffix('i') {
            stem_is(stem, "y", ADJECTIVE, DEGREE);
        }
    }
    let irregular = irregular(lower);
    if irregular & VERB != 0 {
        classes |= if lower.ends_with("ing") { ING } else { PAST };
    }
    if irregular & NOUN != 0 {
        classes |= PLURAL;
    }
    classes
}

/// Number of features for the tag of a token.
pub(crate) const TAG_FEATURES: usize = 22;

fn mix(template: u32, parts: &[u32]) -> u32 {
    let mut hash = template.wrapping_mul(0x9e37_79b1) ^ 0x51ed_270b;
    for part in parts {
        hash = (hash ^ part).wrapping_mul(0x85eb_ca6b);
        hash ^= hash >> 15;
    }
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

fn neighbour(atoms: &[Atoms], at: usize, offset: isize) -> Atoms {
    at.checked_add_signed(offset).and_then(|at| atoms.get(at)).copied().unwrap_or_default()
}

/// The features of token `at`; `tags` holds the tags of the tokens before it.
pub(crate) fn tag_features(atoms: &[Atoms], tags: &[u8], at: usize, out: &mut [u32; TAG_FEATURES]) {
    let this = atoms[at];
    let before = neighbour(atoms, at, -1);
    let before2 = neighbour(atoms, at, -2);
    let after = neighbour(atoms, at, 1);
    let after2 = neighbour(atoms, at, 2);
    let tag = |back: usize| at.checked_sub(back).map_or(99, |at| u32::from(tags[at]));
    let (tag1, tag2) = (tag(1), tag(2));
    *out = [
        mix(1, &[this.word]),
        mix(2, &[this.last_three, this.shape]),
        mix(3, &[this.last_two, this.classes]),
        mix(4, &[this.classes, this.shape]),
        mix(5, &[this.shape, tag1]),
        mix(6, &[tag1, tag2]),
        mix(7, &[tag1, this.word]),
        mix(8, &[before.word]),
        mix(9, &[after.word]),
        mix(10, &[after.classes, after.last_two, after.shape]),
        mix(11, &[before.classes, before.last_two]),
        mix(12, &[tag1, this.classes]),
        mix(13, &[after2.word]),
        mix(14, &[this.classes, after.classes]),
        mix(15, &[tag1, after.word]),
        mix(16, &[this.last_three, after.classes]),
        mix(17, &[tag1, tag2, this.classes]),
        mix(18, &[this.word, after.word]),
        mix(19, &[before.word, this.classes]),
        mix(20, &[this.shape, after.shape, before.shape]),
        mix(21, &[before2.word]),
        mix(22, &[tag1, this.classes, after.classes, after.shape]),
    ];
}

/// Number of features for the place of a token in a noun phrase.
pub(crate) const CHUNK_FEATURES: usize = 22;

/// The features of token `at`; `places` holds the places of the tokens before it.
pub(crate) fn chunk_features(atoms: &[Atoms], tags: &[Tag], places: &[u8], at: usize, out: &mut [u32; CHUNK_FEATURES]) {
    let word = |offset: isize| neighbour(atoms, at, offset).word;
    let tag = |offset: isize| at.checked_add_signed(offset).and_then(|at| tags.get(at)).map_or(99, |tag| *tag as u32);
    let place = |back: usize| at.checked_sub(back).map_or(9, |at| u32::from(places[at]));
    let (t, t1, t2, n1, n2) = (tag(0), tag(-1), tag(-2), tag(1), tag(2));
    let (p1, p2) = (place(1), place(2));
    *out = [
        mix(31, &[t, p1]),
        mix(32, &[t, t1, p1]),
        mix(33, &[t, n1, p1]),
        mix(34, &[t, t1, n1]),
        mix(35, &[t, n1, n2]),
        mix(36, &[t, t1, t2]),
        mix(37, &[t, t1, n1, n2]),
        mix(38, &[p1, p2, t]),
        mix(39, &[word(0)]),
        mix(40, &[word(0), p1]),
        mix(41, &[word(0), n1]),
        mix(42, &[word(0), t1]),
        mix(43, &[word(-1), t]),
        mix(44, &[word(1), t]),
        mix(45, &[t, p1, t1, n1, n2]),
        mix(46, &[t, n1, n2, tag(3)]),
        mix(47, &[atoms[at].classes, atoms[at].last_three]),
        mix(48, &[t, p1, neighbour(atoms, at, 1).classes]),
        mix(49, &[atoms[at].shape, t, n1]),
        mix(50, &[t, t1, p1, n1, word(-2)]),
        mix(51, &[t, t1, t2, tag(-3), p1]),
        mix(52, &[word(0), word(1)]),
    ];
}
