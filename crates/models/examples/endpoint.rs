//! Serves the built-in embedder with OpenAI's `POST /v1/embeddings`: prints the base URL and answers until its input ends.

use std::io::Read;

use mnemon_models::{Embedder, StaticEmbedder};
use mnemon_testbed::EmbeddingsEndpoint;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let embedder = StaticEmbedder::builtin()?;
    let endpoint = EmbeddingsEndpoint::start(move |texts| embedder.embed(texts).expect("embeddings"));
    println!("{}", endpoint.url());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
