//! Tests of the embedder with the real weights.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use mnemon_models::{Embedder, MiniLmEmbedder, ModelError};
use serde_json::Value;

pub(crate) type Test = fn(&Path);

pub(crate) const TESTS: [(&str, Test); 7] = [
    ("vectors_match_the_golden_vectors", vectors_match_the_golden_vectors),
    ("a_vector_does_not_depend_on_the_batch", a_vector_does_not_depend_on_the_batch),
    ("texts_without_pieces_give_the_zero_vector", texts_without_pieces_give_the_zero_vector),
    ("long_texts_are_truncated_at_256_pieces", long_texts_are_truncated_at_256_pieces),
    ("similar_texts_have_similar_vectors", similar_texts_have_similar_vectors),
    ("files_of_another_model_are_rejected", files_of_another_model_are_rejected),
    ("threads_can_share_it", threads_can_share_it),
];

fn embedder(folder: &Path) -> &'static MiniLmEmbedder {
    static LOADED: OnceLock<MiniLmEmbedder> = OnceLock::new();
    LOADED.get_or_init(|| MiniLmEmbedder::open(folder).unwrap())
}

fn embed(folder: &Path, texts: &[&str]) -> Vec<Vec<f32>> {
    embedder(folder).embed(texts).unwrap()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn golden() -> Vec<(String, Vec<f32>)> {
    let lines = include_str!("../fixtures/minilm_embeddings.jsonl").lines();
    let row = |line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let vector = row["vector"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32);
        (row["text"].as_str().unwrap().to_owned(), vector.collect())
    };
    lines.map(row).collect()
}

fn vectors_match_the_golden_vectors(folder: &Path) {
    let golden = golden();
    assert_eq!(golden.len(), 49);
    let texts: Vec<&str> = golden.iter().map(|(text, _)| text.as_str()).collect();
    for ((text, expected), vector) in golden.iter().zip(embed(folder, &texts)) {
        let cosine = dot(&vector, expected) / dot(expected, expected).sqrt();
        assert!(cosine >= 0.9999, "{text}: {cosine}");
        assert!((dot(&vector, &vector) - 1.0).abs() < 1e-5, "{text}");
    }
}

fn a_vector_does_not_depend_on_the_batch(folder: &Path) {
    let golden = golden();
    let texts: Vec<&str> = golden.iter().map(|(text, _)| text.as_str()).collect();
    for (text, together) in texts.iter().zip(embed(folder, &texts)) {
        let cosine = dot(&together, &embed(folder, &[text])[0]);
        assert!((cosine - 1.0).abs() < 1e-5, "{text}: {cosine}");
    }
}

fn texts_without_pieces_give_the_zero_vector(folder: &Path) {
    let found = embed(folder, &["", "tea", " \n\t", "\0\u{fffd}"]);
    let are_zero: Vec<bool> = found.iter().map(|vector| *vector == [0.0; 384]).collect();
    assert_eq!(are_zero, [true, false, true, true]);
    assert!(embed(folder, &[]).is_empty());
}

fn long_texts_are_truncated_at_256_pieces(folder: &Path) {
    // 254 pieces, and [CLS] and [SEP].
    let start = "tea ".repeat(253);
    let at_the_limit = format!("{start}jam");
    let found = embed(folder, &[&format!("{at_the_limit} {}", "submarine ".repeat(500)), &at_the_limit, &start]);
    assert_eq!(found[0], found[1]);
    assert_ne!(found[1], found[2]);
    let texts = [format!("{at_the_limit} jam"), at_the_limit];
    let found = embedder(folder).embed_texts(&[&texts[0], &texts[1]]).expect("vectors");
    assert_eq!((found[0].left_out, found[1].left_out), (1, 0));
}

fn similar_texts_have_similar_vectors(folder: &Path) {
    let vectors = embed(folder, &["My dog loves the beach", "Our puppy enjoys the seaside", "The invoice is overdue"]);
    assert!(dot(&vectors[0], &vectors[1]) > dot(&vectors[0], &vectors[2]) + 0.4);
}

fn files_of_another_model_are_rejected(folder: &Path) {
    assert_eq!(embedder(folder).fingerprint(), "minilm:all-MiniLM-L6-v2:384");
    assert_eq!(embedder(folder).dims(), 384);
    let other = std::env::temp_dir().join(format!("mnemon-minilm-{}", std::process::id()));
    let check_rejected = |what: &str| {
        let error = MiniLmEmbedder::open(&other).unwrap_err();
        assert!(matches!(error, ModelError::Folder { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    };
    check_rejected("vocab.txt");
    fs::create_dir(&other).unwrap();
    for name in ["vocab.txt", "config.json"] {
        fs::copy(folder.join(name), other.join(name)).unwrap();
    }
    check_rejected("model.safetensors");
    let mut weights = fs::read(folder.join("model.safetensors")).unwrap();
    fs::write(other.join("model.safetensors"), &weights[..1_000_000]).unwrap();
    check_rejected("model.safetensors");
    // A fine-tuned model has the same shape, but its vectors are not comparable.
    for number in weights[60_000_000..].as_chunks_mut::<4>().0.iter_mut() {
        *number = (f32::from_le_bytes(*number) * 0.9).to_le_bytes();
    }
    fs::write(other.join("model.safetensors"), &weights).unwrap();
    check_rejected("another model's");
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    fs::write(other.join("config.json"), config.replace(": 384", ": 768")).unwrap();
    check_rejected("config.json");
    fs::remove_dir_all(&other).unwrap();
}

fn threads_can_share_it(folder: &Path) {
    let golden = golden();
    let texts: Vec<&str> = golden.iter().map(|(text, _)| text.as_str()).collect();
    let alone = embed(folder, &texts);
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (texts, alone) = (&texts, &alone);
            scope.spawn(move || {
                for at in (thread..texts.len()).step_by(3) {
                    assert!(dot(&embed(folder, &texts[at..=at])[0], &alone[at]) > 0.9999, "{}", texts[at]);
                }
            });
        }
    });
}
