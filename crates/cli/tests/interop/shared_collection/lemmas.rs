//! bm25 vectors of the same texts, written by both sides.

use serde_json::{Value, json};

use super::{Both, USER};

/// Chosen before the first comparison.
const TEXTS: [&str; 24] = [
    "I like tea.",
    "My grandmother baked bread every Sunday when we were children.",
    "The children were running through the fields, chasing butterflies.",
    "She has been studying medicine at the University of Porto since 2019.",
    "Is the meeting on Tuesday at 14:30 or on Wednesday?",
    "Don't forget: I'm allergic to peanuts, shellfish and latex!",
    "He bought 3 tickets for $45.50 each.",
    "My email is ana.silva@example.com and my site is https://example.com/ana.",
    "Captain Haddock sailed from Marseille to New York in 1941.",
    "Running, swimming and cycling are her favourite activities.",
    "We'd rather stay at home than go out tonight.",
    "The geese flew over the frozen lakes and landed near the mice.",
    "It was the best of times, it was the worst of times.",
    "Please remind me to call Dr. Smith about the X-ray results.",
    "I've broken my left wrist twice while skiing.",
    "Their company makes software for hospitals; mine sells bicycles.",
    "no",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG",
    "Café owners in Zürich prefer naïve décor.",
    "After leaving Amazon, Tom founded a start-up that builds self-driving tractors.",
    "She said: \"I will never eat meat again.\"",
    "The better option costs less but takes longer.",
    "Ana's brother-in-law works as a web developer in São Paulo.",
    "Remember that the wifi password is hunter2 and the router is in the attic.",
];

/// Texts whose lemmas differ between spaCy and mnemon: `geese` for `goose`, `long` for `longer`.
const DIFFERENT_LEMMAS: [&str; 2] = [
    "The geese flew over the frozen lakes and landed near the mice.",
    "The better option costs less but takes longer.",
];

pub(super) fn bm25_vectors_are_equal(both: &mut Both<'_>) {
    let pairs = TEXTS.map(|text| (both.add(USER, text, json!({})), both.mem0.add(USER, text, json!({}))));
    let raw = both.mem0.ask(json!({"op": "raw"}));
    let points = raw["memories"].as_array().unwrap();
    for point in points {
        assert_matches_own_lemmas(point);
    }
    let point = |id: &str| points.iter().find(|point| point["id"] == id).unwrap();
    let mut different = Vec::new();
    for (text, (ours, theirs)) in TEXTS.iter().zip(&pairs) {
        let (ours, theirs) = (point(ours), point(theirs));
        if ours["payload"]["text_lemmatized"] != theirs["payload"]["text_lemmatized"] {
            different.push(*text);
            continue;
        }
        assert_same(&bm25_vector(ours), &bm25_vector(theirs), text);
    }
    assert_eq!(different, DIFFERENT_LEMMAS);
    for (ours, theirs) in &pairs {
        both.delete(ours);
        both.delete(theirs);
    }
    both.assert_equal_contents();
}

fn bm25_vector(point: &Value) -> Vec<(u32, f32)> {
    let list = |name: &str| point["vector"]["bm25"][name].as_array().unwrap().iter();
    let indices = list("indices").map(|index| index.as_u64().unwrap() as u32);
    let mut vector: Vec<(u32, f32)> = indices.zip(list("values").map(|value| value.as_f64().unwrap() as f32)).collect();
    vector.sort_by_key(|term| term.0);
    vector
}

/// The bm25 vector of a point equals the encoding of its own lemmas, or of its text if it has none.
fn assert_matches_own_lemmas(point: &Value) {
    let of = |key: &str| point["payload"][key].as_str().unwrap();
    let lemmas = if of("text_lemmatized").is_empty() { of("data") } else { of("text_lemmatized") };
    let encoded = mnemon_text::bm25::encode(lemmas);
    let mut expected: Vec<(u32, f32)> = encoded.indices.into_iter().zip(encoded.values).collect();
    expected.sort_by_key(|term| term.0);
    assert_same(&bm25_vector(point), &expected, lemmas);
}

fn assert_same(one: &[(u32, f32)], other: &[(u32, f32)], text: &str) {
    assert_eq!(one.len(), other.len(), "{text}");
    for (one, other) in one.iter().zip(other) {
        assert!(one.0 == other.0 && (one.1 - other.1).abs() < 1e-6, "{text}: {one:?} and {other:?}");
    }
}
