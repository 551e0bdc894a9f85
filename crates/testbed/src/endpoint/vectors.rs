//! The vectors of the double: the mean of one vector for each word, so that texts with words in common are near.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::service::{ReceivedRequest, Reply};

/// The length of the double's vectors, unless a request asks for another.
pub const DIMS: usize = 16;

/// The vector of a text, of length 1: the sum of one vector for each word.
pub fn vector(text: &str) -> Vec<f32> {
    vector_of_length(text, DIMS)
}

fn vector_of_length(text: &str, dims: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; dims];
    for word in text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()) {
        // FNV-1a, then xorshift: a few lines that give each word its own direction.
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let mut state = word.to_lowercase().bytes().fold(0xcbf2_9ce4_8422_2325, fnv) | 1;
        for number in &mut sum {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *number += (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0;
        }
    }
    if sum.iter().all(|number| *number == 0.0) {
        // A text without words has a direction too, as with a real model.
        sum[0] = 1.0;
    }
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.iter().map(|x| x / length).collect()
}

/// A vector as services encode it in base64: little-endian f32.
pub(super) fn base64(vector: &[f32]) -> String {
    BASE64_STANDARD.encode(vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
}

/// The answer to a request for embeddings.
pub(super) fn answer(request: &ReceivedRequest) -> Reply {
    let dims = request.body["dimensions"].as_u64().map_or(DIMS, |dims| dims as usize);
    let encoded = |text: &str| match request.body["encoding_format"].as_str() {
        Some("base64") => json!(base64(&vector_of_length(text, dims))),
        _ => json!(vector_of_length(text, dims)),
    };
    let row = |(index, text): (usize, &str)| json!({"object": "embedding", "index": index, "embedding": encoded(text)});
    let data: Vec<Value> = request.texts().into_iter().enumerate().map(row).collect();
    let usage = json!({"prompt_tokens": 1, "total_tokens": 1});
    Reply::new("200 OK", &json!({"object": "list", "data": data, "model": request.body["model"], "usage": usage}))
}
