//! Measures how well the lemmas agree with those of mem0.

use std::collections::HashMap;

use mnemon_text::lemma::lemmatize;
use proptest::prelude::*;
use rust_stemmers::{Algorithm, Stemmer};

const GOLDEN: &str = include_str!("../fixtures/lemmas.jsonl");

/// (text, lemmas) of each golden line.
fn golden() -> Vec<(String, String)> {
    GOLDEN
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("a golden line");
            (
                line["text"].as_str().expect("a golden line").to_owned(),
                line["lemmas"].as_str().expect("a golden line").to_owned(),
            )
        })
        .collect()
}

/// Whether all letters of a text are Latin.
fn is_english(text: &str) -> bool {
    text.chars().all(|c| !c.is_alphabetic() || c < '\u{250}')
}

/// The numbers of shared, expected and actual stems.
fn agreement<'t>(lines: impl Iterator<Item = &'t (String, String)>) -> (usize, usize, usize) {
    let stemmer = Stemmer::create(Algorithm::English);
    let stems = |lemmas: &str| {
        let mut stems = HashMap::new();
        for lemma in lemmas.split_whitespace() {
            *stems.entry(stemmer.stem(lemma).into_owned()).or_insert(0usize) += 1;
        }
        stems
    };
    let mut sums = (0, 0, 0);
    for (text, lemmas) in lines.filter(|(text, _)| is_english(text)) {
        let (expected, given) = (stems(lemmas), stems(&lemmatize(text)));
        sums.0 += expected.iter().map(|(s, n)| *n.min(given.get(s).unwrap_or(&0))).sum::<usize>();
        sums.1 += expected.values().sum::<usize>();
        sums.2 += given.values().sum::<usize>();
    }
    sums
}

fn f1((shared, expected, given): (usize, usize, usize)) -> f64 {
    2.0 * shared as f64 / (expected + given) as f64
}

#[test]
fn stems_agree_with_mem0() {
    let lines = golden();
    let all = f1(agreement(lines.iter()));
    let even = f1(agreement(lines.iter().step_by(2)));
    let odd = f1(agreement(lines.iter().skip(1).step_by(2)));
    println!("stem F1: all {all:.4}, even {even:.4}, odd {odd:.4}");
    assert!(all >= 0.97, "{all}");
}

proptest! {
    #[test]
    fn any_text_gives_lower_case_words(text in "\\PC*|(?s:.){0,60}") {
        let lemmas = lemmatize(&text);
        prop_assert!(lemmas.split(' ').all(|lemma| !lemma.is_empty()) || lemmas.is_empty());
    }

    #[test]
    fn letters_are_never_dropped(text in "[а-яα-ω一-龥ぁ-んا-ي]{1,12}") {
        prop_assert!(!lemmatize(&text).is_empty());
    }
}

#[test]
fn hostile_texts_take_linear_time() {
    for text in hostile() {
        lemmatize(&text);
    }
}

fn hostile() -> Vec<String> {
    vec![
        " ".repeat(1_000_000),
        "\u{1}\u{0}\u{7f}".repeat(20_000),
        "'".repeat(60_000),
        "a-".repeat(30_000),
        "A.".repeat(30_000),
        "ing".repeat(20_000),
    ]
}
