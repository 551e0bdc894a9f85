//! Rate of the configured embedder, by batch size.

use std::time::Instant;

use mnemon_cli::figures::{percentile, rounded};
use mnemon_cli::{Output, Settings, wiring};
use mnemon_models::Embedder;
use serde_json::{Value, json};

use crate::sentences::Sentences;

/// Batch sizes: 1 for a search, 32 for an import.
const BATCHES: [usize; 2] = [1, 32];

/// How much to measure.
#[derive(Debug, clap::Args)]
pub struct EmbedArgs {
    /// Number of sentences (15 to 40 words each) for each batch size
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    texts: u32,
}

/// Measures and prints the result.
///
/// # Errors
/// Those of the embedder.
pub fn run(args: &EmbedArgs, settings: &Settings, out: &Output) -> anyhow::Result<()> {
    let answer = measure(&*wiring::embedder(settings)?, args.texts)?;
    out.value(&answer, human)
}

fn measure(embedder: &dyn Embedder, texts: u32) -> anyhow::Result<Value> {
    let mut sentences = Sentences::new(7);
    let texts: Vec<String> = (0..texts).map(|_| sentences.statement()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    // Loads weights and fills caches before the measurement.
    embedder.embed(&texts[..texts.len().min(BATCHES[1])])?;
    let mut answer = json!({"embedder": embedder.fingerprint(), "texts": texts.len(), "batches": {}});
    for batch in BATCHES {
        let mut milliseconds = Vec::with_capacity(texts.len().div_ceil(batch));
        let start = Instant::now();
        for texts in texts.chunks(batch) {
            let start = Instant::now();
            embedder.embed(texts)?;
            milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let seconds = start.elapsed().as_secs_f64();
        milliseconds.sort_by(f64::total_cmp);
        answer["batches"][batch.to_string()] = json!({
            "texts_per_second": rounded(texts.len() as f64 / seconds, 1),
            "p50_ms": rounded(percentile(&milliseconds, 0.5), 3),
            "p95_ms": rounded(percentile(&milliseconds, 0.95), 3),
        });
    }
    Ok(answer)
}

fn human(answer: &Value) -> String {
    let mut text = format!("{} texts with {}\n", answer["texts"], answer["embedder"].as_str().unwrap_or_default());
    for (batch, figures) in answer["batches"].as_object().into_iter().flatten() {
        let [rate, p50, p95] = ["texts_per_second", "p50_ms", "p95_ms"].map(|key| &figures[key]);
        text.push_str(&format!("{batch:>3} at a time: {rate} texts/s, p50 {p50} ms, p95 {p95} ms\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HashedWords;

    #[test]
    fn both_batch_sizes_are_measured() {
        let answer = measure(&HashedWords::new(8), 40).unwrap();
        assert_eq!(answer["texts"], 40);
        for batch in ["1", "32"] {
            assert!(answer["batches"][batch]["texts_per_second"].as_f64().unwrap() > 0.0, "{answer}");
        }
        assert!(human(&answer).contains(" 32 at a time: "), "{answer}");
        // A batch is smaller than its size if there are fewer texts.
        assert_eq!(measure(&HashedWords::new(8), 1).unwrap()["texts"], 1);
    }
}
