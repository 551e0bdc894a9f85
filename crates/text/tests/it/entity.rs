//! Measures how well the entities agree with those of mem0.

use std::collections::HashSet;

use mnemon_text::entity::{EntityKind, extract};
use proptest::prelude::*;

const GOLDEN: &str = include_str!("../fixtures/entities.jsonl");

/// (text, entities as kind and text) of each golden line.
fn golden() -> Vec<(String, HashSet<(String, String)>)> {
    GOLDEN
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("a golden line");
            let entities = line["entities"].as_array().expect("a golden line").iter().map(|entity| {
                (
                    entity[0].as_str().expect("a golden line").to_owned(),
                    entity[1].as_str().expect("a golden line").to_owned(),
                )
            });
            (line["text"].as_str().expect("a golden line").to_owned(), entities.collect())
        })
        .collect()
}

/// The F1 score of exact agreement over the lines, for some kinds.
fn f1<'t>(lines: impl Iterator<Item = &'t (String, HashSet<(String, String)>)>, kinds: &[EntityKind]) -> f64 {
    let of_kinds = |kind: &str| kinds.iter().any(|k| k.as_str() == kind);
    let (mut shared, mut sum) = (0, 0);
    for (text, expected) in lines {
        let expected: HashSet<_> = expected.iter().filter(|(kind, _)| of_kinds(kind)).cloned().collect();
        let given: HashSet<_> = extract(text)
            .into_iter()
            .map(|entity| (entity.kind.as_str().to_owned(), entity.text))
            .filter(|(kind, _)| of_kinds(kind))
            .collect();
        shared += expected.intersection(&given).count();
        sum += expected.len() + given.len();
    }
    2.0 * shared as f64 / sum as f64
}

#[test]
fn entities_agree_with_mem0() {
    let lines = golden();
    let names = [EntityKind::Proper, EntityKind::Quoted];
    for kinds in [&names[..], &[EntityKind::Compound], &[EntityKind::Noun]] {
        let all = f1(lines.iter(), kinds);
        let even = f1(lines.iter().step_by(2), kinds);
        let odd = f1(lines.iter().skip(1).step_by(2), kinds);
        println!("{kinds:?} F1: all {all:.4}, even {even:.4}, odd {odd:.4}");
    }
    assert!(f1(lines.iter(), &names) >= 0.85);
    assert!(f1(lines.iter(), &[EntityKind::Compound]) >= 0.60);
}

proptest! {
    #[test]
    fn any_text_gives_distinct_entities(text in "\\PC*|(?s:.){0,60}|([A-Za-z]{1,4}|[\"'* .])*") {
        let entities = extract(&text);
        let distinct: HashSet<String> = entities.iter().map(|e| e.text.to_lowercase()).collect();
        prop_assert_eq!(distinct.len(), entities.len());
        prop_assert!(entities.iter().all(|e| e.text.chars().count() > 2));
    }
}

#[test]
fn hostile_texts_take_linear_time() {
    let quotes: String = (0..9_000).map(|n| format!("\"ab{n}\" ")).collect();
    let names: String = (0..9_000).map(|n| format!("go Ab{n} ")).collect();
    assert!(extract(&quotes).len() > 1_000);
    assert!(extract(&names).len() > 1_000);
    for text in [
        " ".repeat(1_000_000),
        "\"".repeat(60_000),
        " 'a".repeat(20_000),
        "XA ".repeat(20_000),
        "John's ".repeat(9_000),
    ] {
        extract(&text);
    }
}
