//! The WordPiece tokenizer, compared with the `tokenizers` crate with the same vocabulary and settings.

use std::sync::LazyLock;

use mnemon_models::wordpiece::WordPiece;
use proptest::prelude::*;
use serde_json::Value;
use tokenizers::models::wordpiece::WordPiece as ReferenceModel;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, Tokenizer};

const VOCABULARY: &str = include_str!("../../static-256/vocab.txt");

fn reference(text: &str) -> Vec<u16> {
    static REFERENCE: LazyLock<Tokenizer> = LazyLock::new(|| {
        let model = ReferenceModel::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/static-256/vocab.txt")).build();
        let mut tokenizer = Tokenizer::new(model.expect("a valid vocabulary"));
        tokenizer.with_normalizer(Some(BertNormalizer::default())).expect("a new tokenizer takes any normalizer");
        tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
        tokenizer.add_special_tokens(special.map(|name| AddedToken::from(name, true))).expect("known tokens");
        tokenizer
    });
    let encoding = REFERENCE.encode_fast(text, false).expect("any text can be encoded");
    encoding.get_ids().iter().map(|&id| u16::try_from(id).expect("30,522 pieces")).collect()
}

fn ours(text: &str, limit: usize) -> Vec<u16> {
    static OURS: LazyLock<WordPiece> = LazyLock::new(|| WordPiece::new(VOCABULARY).expect("a valid vocabulary"));
    let mut ids = Vec::new();
    OURS.encode(text, limit, &mut ids);
    ids
}

#[test]
fn all_pieces_have_the_reference_ids() {
    let vocabulary = WordPiece::new(VOCABULARY).expect("a valid vocabulary");
    assert_eq!(vocabulary.len(), 30_522);
    assert!(!vocabulary.is_empty());
    for piece in VOCABULARY.lines() {
        assert_eq!(ours(piece, usize::MAX >> 1), reference(piece), "{piece:?}");
    }
}

#[test]
fn golden_texts_have_the_reference_ids() {
    let golden =
        [include_str!("../fixtures/static_embeddings.jsonl"), include_str!("../../../text/tests/fixtures/bm25.jsonl")];
    for line in golden.iter().flat_map(|file| file.lines()) {
        let line: Value = serde_json::from_str(line).expect("a golden line is JSON");
        let text = line["text"].as_str().expect("text");
        assert_eq!(ours(text, 1 << 20), reference(text), "{text:?}");
    }
}

/// Each character alone, within a word, and doubled.
#[test]
fn all_characters_have_the_reference_ids() {
    for c in '\0'..=char::MAX {
        let text = format!("{c} a{c}b {c}{c}1");
        assert_eq!(ours(&text, 1 << 20), reference(&text), "{c:?} {:x}", u32::from(c));
    }
}

#[test]
fn unusual_texts_have_the_reference_ids() {
    let long = |c: &str, n| c.repeat(n);
    let texts = [
        "",
        " ",
        "[CLS]",
        "x[MASK]y",
        "[cls] [ CLS ] [[UNK]] [UNK",
        "un[UNK]able",
        "a\0b\u{200b}c\u{ad}d",
        "##ing #ing ## #",
        "İstanbul ΟΔΟΣ ẞ ﬁ Ⅷ",
        "東京tower 한국어 ประเทศไทย हिन्दी",
        "e\u{301}\u{327}\u{302e}\u{1d165}",
        "don't stop-motion 3.14% $5 a_b",
        "\u{85}\u{2028}\u{3000}\u{a0}x\x0by\x0cz",
        "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}",
    ];
    for text in
        texts.into_iter().map(str::to_owned).chain([long("a", 100), long("a", 101), long("é", 100), long("é", 101)])
    {
        assert_eq!(ours(&text, 1 << 20), reference(&text), "{text:?}");
    }
}

#[test]
fn a_vocabulary_needs_its_special_pieces() {
    assert!(WordPiece::new("a\nb\n").is_err());
    assert!(WordPiece::new("").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_text_has_the_reference_ids(text in prop_oneof![
        any::<String>(),
        "\\PC{0,80}",
        "[a-zA-Z0-9 .,'’#_\\[\\]-]{0,120}",
        "([a-z]{1,12}(ing|ed|ness|é|ß|'s|\u{301})? ?(\\[(CLS|UNK|MASK|PAD|SEP)\\])?){0,12}",
        "[\u{a0}-\u{17f}\u{300}-\u{36f}\u{370}-\u{3ff}\u{400}-\u{45f}\u{5d0}-\u{5ea}\u{620}-\u{65f}\u{900}-\u{97f}\u{e00}-\u{e5b} ]{0,60}",
        "[\u{1100}-\u{11ff}\u{3040}-\u{30ff}\u{4e00}-\u{4fff}\u{ac00}-\u{b000}\u{f900}-\u{f9ff}\u{ff00}-\u{ffef}a-c ]{0,60}",
    ]) {
        prop_assert_eq!(ours(&text, 1 << 20), reference(&text));
    }

    #[test]
    fn a_limit_truncates_the_ids(text in "([a-zé]{0,12}[ ,.]){0,30}", limit in 0usize..20) {
        let mut whole = ours(&text, 1 << 20);
        whole.truncate(limit);
        prop_assert_eq!(ours(&text, limit), whole);
    }
}
