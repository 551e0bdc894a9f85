//! The built-in embedder, compared with vectors that Python computed from the same weights.

use mnemon_models::{Embedder, StaticEmbedder};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn embedder() -> StaticEmbedder {
    StaticEmbedder::builtin().expect("the weights are compiled in")
}

fn embed(texts: &[&str]) -> Vec<Vec<f32>> {
    embedder().embed(texts).expect("the built-in embedder does not fail")
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn vectors_match_the_golden_vectors() {
    let golden: Vec<Value> = include_str!("../fixtures/static_embeddings.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a golden line is JSON"))
        .collect();
    assert_eq!(golden.len(), 100);
    let texts: Vec<&str> = golden.iter().map(|line| line["text"].as_str().expect("text")).collect();
    for (line, vector) in golden.iter().zip(embed(&texts)) {
        let expected = line["vector"].as_array().expect("vector").iter();
        let expected: Vec<f32> = expected.map(|x| x.as_f64().expect("number") as f32).collect();
        let norms = dot(&expected, &expected).sqrt() * dot(&vector, &vector).sqrt();
        if dot(&expected, &expected) == 0.0 {
            assert!(vector.iter().all(|&x| x == 0.0), "{}", line["text"]);
            continue;
        }
        let cosine = dot(&vector, &expected) / norms;
        assert!(cosine >= 0.9999, "{}: {cosine}", line["text"]);
    }
}

#[test]
fn the_fingerprint_identifies_the_weights() {
    let digest = Sha256::digest(include_bytes!("../../static-256/model.safetensors"));
    let hex = hex::encode(&digest[..8]);
    assert_eq!(embedder().fingerprint(), format!("static-256:{hex}"));
}

#[test]
fn texts_without_pieces_give_the_zero_vector() {
    for text in ["", " \n\t", "\0\u{fffd}", "[CLS][SEP] [PAD]", "𐎠𐎡𐎢"] {
        assert_eq!(embed(&[text]), [vec![0.0; 256]], "{text:?}");
    }
    assert!(embed(&[]).is_empty());
}

#[test]
fn long_texts_are_truncated_at_256_pieces() {
    let start = "tea and bread ".repeat(85);
    let at_the_limit = format!("{start}jam");
    assert_eq!(embed(&[&format!("{at_the_limit} {}", "submarine ".repeat(10_000))]), embed(&[&at_the_limit]));
    assert_ne!(embed(&[&at_the_limit]), embed(&[&start]));
}

#[test]
fn a_text_that_is_read_in_part_is_recorded() {
    let embedder = embedder();
    let cases = [
        (String::new(), true),
        ("tea".into(), true),
        ("tea ".repeat(255), true),
        ("tea ".repeat(256), true),
        (format!("{}\n \u{200b}", "tea ".repeat(256)), true),
        ("tea ".repeat(257), false),
        (format!("{}!", "tea ".repeat(256)), false),
        (format!("{}猫", "tea ".repeat(256)), false),
        ("猫".repeat(300), false),
        ("tea ".repeat(9000), false),
    ];
    // Alone, and many together, which are embedded by several threads.
    for copies in [1, 40] {
        for (text, is_whole) in &cases {
            for found in embedder.embed_texts(&vec![text.as_str(); copies]).expect("vectors") {
                assert_eq!((found.is_whole(), found.left_out), (*is_whole, usize::from(!is_whole)), "{text:.20}");
            }
        }
    }
}

#[test]
fn similar_texts_have_similar_vectors() {
    let vectors = embed(&["My dog loves the beach", "Our puppy enjoys the seaside", "The invoice is overdue"]);
    assert!(dot(&vectors[0], &vectors[1]) > dot(&vectors[0], &vectors[2]) + 0.2);
}

#[test]
fn a_large_batch_keeps_its_order() {
    let texts: Vec<String> = (0..1_000).map(|i| format!("memory number {i} about {}", i % 7)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = embed(&texts);
    for (at, text) in texts.iter().enumerate().step_by(97) {
        assert_eq!(together[at], embed(&[text])[0]);
    }
}

proptest! {
    #[test]
    fn vectors_have_length_one_or_zero(text in any::<String>()) {
        let vector = &embed(&[&text])[0];
        prop_assert_eq!(vector.len(), embedder().dims());
        let length = dot(vector, vector).sqrt();
        prop_assert!(length == 0.0 || (length - 1.0).abs() < 1e-5, "{}", length);
    }
}
