//! How many texts a second the configured embedder takes, by how many it is given at a time.

use std::time::Instant;

use serde_json::json;

use super::figures::{percentile, rounded};
use super::speech::Speech;
use crate::error::Exit;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// Texts given at a time: a question, and what an import gives.
const BATCHES: [usize; 2] = [1, 32];

#[derive(Debug, clap::Args)]
pub(super) struct EmbedArgs {
    /// Sentences of 15 to 40 words, for each way.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    texts: u32,
}

pub(super) fn run(args: &EmbedArgs, settings: &Settings, out: &Output) -> anyhow::Result<Exit> {
    let embedder = wiring::embedder(settings)?;
    let mut speech = Speech::new(7);
    let texts: Vec<String> = (0..args.texts).map(|_| speech.sentence()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    // Weights are read and caches filled before the clock starts.
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
    out.value(&answer, |answer| {
        let mut text = format!("{} texts with {}\n", texts.len(), embedder.fingerprint());
        for (batch, figures) in answer["batches"].as_object().into_iter().flatten() {
            let [rate, p50, p95] = ["texts_per_second", "p50_ms", "p95_ms"].map(|key| &figures[key]);
            text.push_str(&format!("{batch:>3} at a time: {rate} texts/s, p50 {p50} ms, p95 {p95} ms\n"));
        }
        text
    })?;
    Ok(Exit::Ok)
}
