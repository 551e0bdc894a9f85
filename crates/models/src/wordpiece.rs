//! BERT's uncased WordPiece tokenizer. It returns the same ids as the `tokenizers` crate (0.23) with the `tokenizer.json` of
//! `bert-base-uncased` and of all-MiniLM-L6-v2, is many times faster, and loads in a millisecond.
//!
//! Devlin et al. 2018. The reference is `BertNormalizer` (clean text, separate Chinese characters, strip accents, lower
//! case), `BertPreTokenizer` and the `WordPiece` model.

use std::borrow::Cow;

use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::decompose_canonical;

use crate::error::ModelError;

/// A word with more characters than this becomes the unknown piece.
const MAX_WORD_CHARS: usize = 100;
/// An empty slot of the hash table.
const EMPTY: u16 = u16::MAX;
/// The prefix of pieces inside a word in the vocabulary.
const INNER: &str = "##";
/// Pieces that are recognised in a text as they are written.
const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// A tokenizer with a vocabulary of word pieces.
pub struct WordPiece {
    /// The vocabulary, one piece on each line.
    text: Cow<'static, str>,
    /// Where each piece begins in `text`, and the end of the last one.
    starts: Vec<u32>,
    /// A hash table with open addressing: each id is in the slot of its piece's hash, or in one after it.
    slots: Vec<u16>,
    /// Length in bytes of the longest piece.
    longest: usize,
    unknown: u16,
    special: [u16; SPECIAL.len()],
}

impl WordPiece {
    /// Reads a vocabulary: one piece on each line, whose number is its id. Pieces inside words begin with `##`.
    ///
    /// # Errors
    /// [`ModelError::Vocabulary`] if there are more than 65,534 pieces, or if one of BERT's special pieces is missing.
    pub fn new(vocabulary: impl Into<Cow<'static, str>>) -> Result<Self, ModelError> {
        let vocabulary = vocabulary.into();
        let mut starts = vec![0];
        starts.extend(vocabulary.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(at, _)| at as u32 + 1));
        let len = starts.len() - 1;
        if len >= usize::from(EMPTY) || vocabulary.len() > u32::MAX as usize {
            return Err(ModelError::Vocabulary("is too large"));
        }
        let slots = vec![EMPTY; (len * 2).next_power_of_two()];
        let mut this = Self { text: vocabulary, starts, slots, longest: 0, unknown: 0, special: [0; _] };
        for id in 0..len as u16 {
            let (piece, inner) = this.piece(id);
            let length = piece.len();
            let mut slot = this.slot(piece.bytes().fold(seed(inner), hash));
            while this.slots[slot] != EMPTY {
                slot = this.after(slot);
            }
            this.slots[slot] = id;
            this.longest = this.longest.max(length);
        }
        for (at, name) in SPECIAL.into_iter().enumerate() {
            let id = this.find(name.as_bytes(), false, name.bytes().fold(seed(false), hash));
            this.special[at] = id.ok_or(ModelError::Vocabulary("lacks a special piece"))?;
        }
        this.unknown = this.special[1];
        Ok(this)
    }

    /// The number of pieces.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are no pieces.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the ids of the first `limit` pieces of a text, and returns whether it has more.
    pub fn encode_beginning(&self, text: &str, limit: usize, ids: &mut Vec<u16>) -> bool {
        let end = ids.len() + limit;
        self.encode(text, limit + 1, ids);
        let has_more = ids.len() > end;
        ids.truncate(end);
        has_more
    }

    /// Appends the ids of the first `limit` pieces of a text, without `[CLS]` and `[SEP]`.
    pub fn encode(&self, text: &str, limit: usize, ids: &mut Vec<u16>) {
        let end = ids.len() + limit;
        let mut word = Word::default();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c.is_ascii() {
                match ASCII[c as usize] {
                    DROPPED => {}
                    SPACE => self.finish(&mut word, ids),
                    PUNCTUATION => {
                        self.finish(&mut word, ids);
                        if c == '['
                            && let Some((id, rest)) = self.special(chars.as_str())
                        {
                            chars = rest.chars();
                            ids.push(id);
                        } else {
                            word.push(c);
                            self.finish(&mut word, ids);
                        }
                    }
                    lower => word.push(lower as char),
                }
            } else {
                self.read(c, &mut word, ids);
            }
            if ids.len() >= end {
                break;
            }
        }
        self.finish(&mut word, ids);
        ids.truncate(end);
    }

    /// The share of a text's words, 0 ..= 1, that have a meaning in the vocabulary. A word that is one piece counts 1, one
    /// of long pieces ½. Unknown words, single letters outside ASCII, and words of short pieces count 0; a word with accents
    /// counts half of that, because the vocabulary has it without. 1 for a text without words.
    pub fn known_share(&self, text: &str) -> f32 {
        let (mut words, mut known) = (0.0f32, 0.0);
        let mut ids = Vec::new();
        for word in
            text.split(|c: char| !c.is_alphanumeric() && !c.is_mark_nonspacing()).filter(|word| !word.is_empty())
        {
            ids.clear();
            self.encode(word, MAX_WORD_CHARS, &mut ids);
            let chars = word.chars().count();
            let has_unknown = ids.contains(&self.unknown);
            let share = match ids.len() {
                0 => continue,
                _ if has_unknown || (!word.is_ascii() && chars < 2) => 0.0,
                1 => 1.0,
                pieces if chars >= 3 * pieces => 0.5,
                _ => 0.0,
            };
            // A text without spaces is one word here, but many in fact.
            let weight = if word.is_ascii() { 1.0 } else { (chars as f32 / 6.0).max(1.0) };
            words += weight;
            known += weight * if word.is_ascii() { share } else { share / 2.0 };
        }
        if words > 0.0 { known / words } else { 1.0 }
    }

    /// Reads a character outside ASCII.
    fn read(&self, c: char, word: &mut Word, ids: &mut Vec<u16>) {
        if c == char::REPLACEMENT_CHARACTER || c.is_other() {
            return;
        }
        if c.is_whitespace() {
            return self.finish(word, ids);
        }
        let alone = is_chinese(c);
        if alone {
            self.finish(word, ids);
        }
        decompose_canonical(c, |c| {
            if c.is_mark_nonspacing() {
                return;
            }
            for c in c.to_lowercase() {
                if c.is_whitespace() {
                    self.finish(word, ids);
                } else if c.is_ascii_punctuation() || c.is_punctuation() {
                    self.finish(word, ids);
                    word.push(c);
                    self.finish(word, ids);
                } else {
                    word.push(c);
                }
            }
        });
        if alone {
            self.finish(word, ids);
        }
    }

    /// Appends the pieces of the current word, if there is one, and begins a new word.
    fn finish(&self, word: &mut Word, ids: &mut Vec<u16>) {
        if word.chars == 0 {
            return;
        }
        let before = ids.len();
        if word.chars > MAX_WORD_CHARS || !self.split(word.text.as_bytes(), ids) {
            ids.truncate(before);
            ids.push(self.unknown);
        }
        word.clear();
    }

    /// Appends the pieces of a word, each the longest possible at its position; false if the word can't be split so.
    fn split(&self, mut word: &[u8], ids: &mut Vec<u16>) -> bool {
        let mut inner = false;
        while !word.is_empty() {
            let Some((id, len)) = self.longest_piece(word, inner) else { return false };
            ids.push(id);
            word = &word[len..];
            inner = true;
        }
        true
    }

    /// The longest piece that `word` begins with, and its length.
    ///
    /// A piece is valid UTF-8, so it ends at the end of a character of `word`.
    fn longest_piece(&self, word: &[u8], inner: bool) -> Option<(u16, usize)> {
        const MAX_LEN: usize = 64;
        let word = &word[..word.len().min(self.longest).min(MAX_LEN)];
        let mut hashes = [0; MAX_LEN];
        let mut state = seed(inner);
        for (&byte, at) in word.iter().zip(&mut hashes) {
            state = hash(state, byte);
            *at = state;
        }
        (1..=word.len()).rev().find_map(|len| Some((self.find(&word[..len], inner, hashes[len - 1])?, len)))
    }

    fn find(&self, piece: &[u8], inner: bool, hash: u32) -> Option<u16> {
        let mut slot = self.slot(hash);
        loop {
            let id = self.slots[slot];
            if id == EMPTY {
                return None;
            }
            let (text, is_inner) = self.piece(id);
            if is_inner == inner && text.as_bytes() == piece {
                return Some(id);
            }
            slot = self.after(slot);
        }
    }

    /// The text of a piece without the prefix of inner pieces, and whether it is an inner piece.
    fn piece(&self, id: u16) -> (&str, bool) {
        let id = usize::from(id);
        let line = &self.text[self.starts[id] as usize..self.starts[id + 1] as usize - 1];
        match line.strip_prefix(INNER) {
            Some(inner) if !inner.is_empty() => (inner, true),
            _ => (line, false),
        }
    }

    /// The special piece that `[` and `rest` begin with, and the text after it.
    fn special<'t>(&self, rest: &'t str) -> Option<(u16, &'t str)> {
        SPECIAL.iter().zip(self.special).find_map(|(name, id)| Some((id, rest.strip_prefix(&name[1..])?)))
    }

    fn slot(&self, hash: u32) -> usize {
        // The upper bits of the product are mixed best.
        (hash.wrapping_mul(0x9e37_79b1) >> 8) as usize & (self.slots.len() - 1)
    }

    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

impl std::fmt::Debug for WordPiece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordPiece").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The word being read, in lower case.
#[derive(Default)]
struct Word {
    text: String,
    chars: usize,
}

impl Word {
    fn push(&mut self, c: char) {
        self.chars += 1;
        // A longer word becomes the unknown piece anyway.
        if self.chars <= MAX_WORD_CHARS {
            self.text.push(c);
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.chars = 0;
    }
}

const DROPPED: u8 = 0;
const SPACE: u8 = 1;
const PUNCTUATION: u8 = 2;
/// The class of each ASCII character: one of the above, or the character in lower case.
const ASCII: [u8; 128] = {
    let mut table = [DROPPED; 128];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => SPACE,
            _ if byte.is_ascii_control() => DROPPED,
            _ if byte.is_ascii_punctuation() => PUNCTUATION,
            _ => byte.to_ascii_lowercase(),
        };
        byte += 1;
    }
    table
};

/// FNV-1a. Its seed differs between pieces that begin a word and inner pieces.
fn hash(state: u32, byte: u8) -> u32 {
    (state ^ u32::from(byte)).wrapping_mul(0x0100_0193)
}

fn seed(inner: bool) -> u32 {
    if inner { 0x811c_9dc5 ^ 0x5bd1_e995 } else { 0x811c_9dc5 }
}

/// The blocks in which each character is a word, as in `BertNormalizer`.
fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{2a6df}' | '\u{2a700}'..='\u{2b73f}'
        | '\u{2b740}'..='\u{2b81f}' | '\u{2b920}'..='\u{2ceaf}' | '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}')
}
