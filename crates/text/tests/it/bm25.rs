//! Sparse vectors: equal to those of fastembed 0.9.1, and their properties.

use std::io::Cursor;

use mnemon_text::analysis::{first_terms, query_words};
use mnemon_text::bm25::{Params, encode};
use mnemon_text::{index_terms, stem, term_id, term_ids, terms, words};
use proptest::prelude::*;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

#[test]
fn vectors_equal_those_of_fastembed() {
    let golden = include_str!("../fixtures/bm25.jsonl");
    let mut lines = 0;
    for line in golden.lines() {
        let line: Value = serde_json::from_str(line).expect("a golden line is JSON");
        let text = line["text"].as_str().expect("text");
        let indices: Vec<u64> = line["indices"].as_array().expect("indices").iter().filter_map(Value::as_u64).collect();
        let values: Vec<f64> = line["values"].as_array().expect("values").iter().filter_map(Value::as_f64).collect();
        let vector = encode(text);
        assert_eq!(vector.indices.iter().map(|&i| u64::from(i)).collect::<Vec<_>>(), indices, "{text:?}");
        for (value, expected) in vector.values.iter().zip(values) {
            assert!((f64::from(*value) - expected).abs() < 1e-5, "{text:?}: {value} for {expected}");
        }
        lines += 1;
    }
    assert_eq!(lines, 554);
}

#[test]
fn vectors_of_unusual_texts() {
    let check = |text: &str, expected: &[(&str, f32)]| {
        let mut expected: Vec<(u32, f32)> = expected.iter().map(|&(term, value)| (term_id(term), value)).collect();
        expected.sort_by_key(|&(id, _)| id);
        let vector = encode(text);
        assert_eq!(vector.indices, expected.iter().map(|e| e.0).collect::<Vec<_>>(), "{text:?}");
        for (value, (_, expected)) in vector.values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-5, "{text:?}: {value} for {expected}");
        }
    };
    check("", &[]);
    check("the of _ !?", &[]);
    check("tea", &[("tea", 1.687_743)]);
    check("Tea, TEA & teas", &[("tea", 1.993_628)]);
    // As in fastembed, a run of any length is one token, and is dropped if it has more than forty characters.
    check("東京タワー", &[("東京タワー", 1.687_743)]);
    check(&"東".repeat(41), &[]);
}

/// Texts in many forms.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,60}",
        "[a-zA-Z0-9_'’.,!? \n-]{0,120}",
        "([a-z]{0,9}(s|es|ed|ing|ly|eed|ied|ness|ational|ization|'s|y|ies|é|ß|я)[ .,-]?){0,12}",
        "[\u{e9}\u{130}\u{3a3}\u{301}\u{430}-\u{44f}\u{4e00}-\u{4e20}\u{3041}-\u{3050}\u{e01}-\u{e4e}\u{627}-\u{652}\u{915}-\u{94d}a-zA-Z ]{0,60}",
    ]
}

/// Texts in scripts with spaces, with composed characters.
fn spaced_text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_'’.,!?éßçñøåœΑ-Ωα-ωА-яא-תء-ي€ \n-]{0,120}"
}

#[test]
fn each_emoji_is_a_term() {
    assert_eq!(index_terms("Party 🎉🦄!").words, [term_ids("party")[0], term_id("🎉"), term_id("🦄")]);
    assert_eq!(index_terms("👍🏽").words, [term_id("👍")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn vectors_are_well_formed(text in any_text()) {
        let vector = encode(&text);
        prop_assert!(vector.indices.is_sorted_by(|a, b| a < b));
        prop_assert!(vector.indices.iter().all(|&i| i <= 1 << 31));
        prop_assert_eq!(vector.indices.len(), vector.values.len());
        let highest = Params::default().k as f32 + 1.0;
        prop_assert!(vector.values.iter().all(|&v| v.is_finite() && v > 0.0 && v < highest));
    }

    #[test]
    fn case_does_not_matter(text in "[a-zA-Zéàüñßа-яА-Я0-9 .,]{0,80}") {
        prop_assert_eq!(encode(&text), encode(&text.to_lowercase()));
        prop_assert_eq!(encode(&text), encode(&text.to_ascii_uppercase()));
    }

    #[test]
    fn punctuation_does_not_matter(text in any_text(), punctuation in "[ .,;:!?()\"'“”…—\n\t]{1,10}") {
        prop_assert_eq!(encode(&text), encode(&format!("{punctuation}{text}{punctuation}")));
    }

    #[test]
    fn term_ids_are_the_ids_of_terms(text in any_text()) {
        prop_assert_eq!(term_ids(&text), terms(&text).iter().map(|t| term_id(t)).collect::<Vec<_>>());
        prop_assert!(terms(&text).len() <= words(&text).len());
    }

    #[test]
    fn term_id_is_murmur3(stem in any::<String>()) {
        let hash = murmur3::murmur3_32(&mut Cursor::new(&stem), 0).expect("memory can be read") as i32;
        prop_assert_eq!(term_id(&stem), hash.unsigned_abs());
    }

    #[test]
    fn first_terms_are_term_ids_where_words_have_spaces(text in spaced_text()) {
        prop_assert_eq!(first_terms(&text), term_ids(&text));
    }

    #[test]
    fn first_terms_are_found_in_text_without_spaces(before in "[一-龥ぁ-んァ-ヶ가-힣]{0,9}", word in "[一-龥ぁ-んァ-ヶ가-힣]{2,6}", after in "[一-龥ぁ-ん]{0,9}") {
        let found = first_terms(&format!("{before}{word}{after}"));
        prop_assert!(first_terms(&word).iter().all(|id| found.contains(id)));
    }

    #[test]
    fn forms_of_a_text_have_the_same_terms(text in any_text()) {
        let terms = index_terms(&text);
        prop_assert_eq!(&index_terms(&text.nfd().collect::<String>()), &terms);
        prop_assert_eq!(&index_terms(&text.nfc().collect::<String>()), &terms);
        prop_assert_eq!(&index_terms(&text.nfkc().collect::<String>()), &terms);
    }

    #[test]
    fn a_word_alone_is_found(word in "[一-龥]{1,4}|[ァ-ヴ]{2,6}|[ก-ฮ]{2,6}|[א-ת]{2,7}|[а-я]{2,9}|[α-ω]{2,9}|[क-ह]{2,6}") {
        let terms = index_terms(&word);
        for asked in query_words(&word, &[]) {
            prop_assert!(asked.forms.iter().all(|form| terms.words.contains(form) || terms.parts.contains(form)));
        }
    }

    #[test]
    fn any_text_is_processed_without_panic(text in any_text()) {
        index_terms(&text);
        query_words(&text, &mnemon_text::analysis::Language::all().collect::<Vec<_>>());
        stem(&text);
    }
}
