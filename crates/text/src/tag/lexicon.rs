//! WordNet's words: the possible parts of speech of a form, and irregular inflections.
//!
//! `data/lexicon.bin` is a hash table with open addressing of little-endian `u16` slots, whose number is a power of two. The
//! four low bits of a slot are flags for noun, verb, adjective and adverb; the twelve high bits are a fingerprint of the
//! word. Zero is an empty slot. The entry of a word with `|` appended has the parts of speech of which the word is an
//! irregular inflection; it saves most words a search in the exception lists. For words that are not in WordNet, about
//! one lookup in several thousand finds a false match. That does no harm here, and in return nothing has to be built at start.
//! `data/*.exc` are WordNet's exception lists, sorted, with `form lemma` on each line.

/// May be a noun.
pub(crate) const NOUN: u8 = 1;
/// May be a verb.
pub(crate) const VERB: u8 = 2;
/// May be an adjective.
pub(crate) const ADJECTIVE: u8 = 4;
/// May be an adverb.
pub(crate) const ADVERB: u8 = 8;

static LEXICON: &[u8] = include_bytes!("../../data/lexicon.bin");
static NOUN_EXCEPTIONS: &str = include_str!("../../data/noun.exc");
static VERB_EXCEPTIONS: &str = include_str!("../../data/verb.exc");
static ADJECTIVE_EXCEPTIONS: &str = include_str!("../../data/adj.exc");
static ADVERB_EXCEPTIONS: &str = include_str!("../../data/adv.exc");

/// FNV-1a over the bytes, then the finalizer of MurmurHash3, so that both ends of the word are mixed well.
pub(crate) fn hash(bytes: &[u8]) -> u32 {
    finish(feed(0x811c_9dc5, bytes))
}

fn feed(mut hash: u32, bytes: &[u8]) -> u32 {
    for byte in bytes {
        hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    }
    hash
}

fn finish(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// The parts of speech of a base form in lower case, as bits; 0 for an unknown word.
pub(crate) fn parts_of_speech(word: &str) -> u8 {
    look_up(hash(word.as_bytes()))
}

/// The parts of speech, as bits, of which `form` may be an irregular inflection.
pub(crate) fn irregular(form: &str) -> u8 {
    look_up(finish(feed(feed(0x811c_9dc5, form.as_bytes()), b"|")))
}

fn look_up(hash: u32) -> u8 {
    let slots = LEXICON.len() / 2;
    let fingerprint = ((hash >> 20) as u16) << 4;
    let mut at = hash as usize & (slots - 1);
    loop {
        let slot = u16::from_le_bytes([LEXICON[2 * at], LEXICON[2 * at + 1]]);
        if slot == 0 {
            return 0;
        }
        if slot & 0xfff0 == fingerprint {
            return (slot & 0xf) as u8;
        }
        at = (at + 1) & (slots - 1);
    }
}

/// The irregular lemma of `form` as the given part of speech.
pub(crate) fn exception(form: &str, part: u8) -> Option<&'static str> {
    if irregular(form) & part == 0 {
        return None;
    }
    let lines = match part {
        NOUN => NOUN_EXCEPTIONS,
        VERB => VERB_EXCEPTIONS,
        ADJECTIVE => ADJECTIVE_EXCEPTIONS,
        _ => ADVERB_EXCEPTIONS,
    };
    search(lines, form)
}

/// Binary search in sorted lines `form lemma`.
fn search(lines: &'static str, form: &str) -> Option<&'static str> {
    let bytes = lines.as_bytes();
    let (mut low, mut high) = (0, bytes.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = bytes[low..middle].iter().rposition(|b| *b == b'\n').map_or(low, |at| low + at + 1);
        let end = bytes[middle..high].iter().position(|b| *b == b'\n').map_or(high, |at| middle + at);
        let (entry, lemma) = lines[start..end].split_once(' ')?;
        match form.cmp(entry) {
            std::cmp::Ordering::Equal => return Some(lemma),
            std::cmp::Ordering::Less => high = start,
            std::cmp::Ordering::Greater => low = end + 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_their_parts_of_speech() {
        assert_eq!(parts_of_speech("lake"), NOUN);
        assert_eq!(parts_of_speech("book"), NOUN | VERB);
        assert_eq!(parts_of_speech("quickly"), ADVERB);
        assert_eq!(parts_of_speech("pediatric"), ADJECTIVE);
        assert_eq!(parts_of_speech("xqzzy"), 0);
    }

    #[test]
    fn every_exception_is_found() {
        for (list, part) in [
            (NOUN_EXCEPTIONS, NOUN),
            (VERB_EXCEPTIONS, VERB),
            (ADJECTIVE_EXCEPTIONS, ADJECTIVE),
            (ADVERB_EXCEPTIONS, ADVERB),
        ] {
            for line in list.lines() {
                let (form, lemma) = line.split_once(' ').unwrap();
                assert_eq!(exception(form, part), Some(lemma), "{form}");
            }
        }
        assert_eq!(exception("table", NOUN), None);
    }
}
