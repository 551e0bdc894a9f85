//! The best of a search are judged again by a model that reads question and memory together.

use std::sync::Arc;

use mnemon_models::{ChatMessage, ChatModel, ChatRequest, ChatRole, JsonShape, ModelError, Reranker, json};
use serde_json::{Value, json};

use super::{SearchAnswer, SearchRequest};
use crate::prompts::{RERANK, section};
use crate::{Engine, EngineError};

/// How many are judged.
pub(super) const DEPTH: usize = 40;
/// Characters of a memory that are shown.
const SHOWN: usize = 1200;

impl Engine {
    pub(super) fn reranks(&self, request: &SearchRequest) -> bool {
        request.rerank && self.model_services.reranker.is_some()
    }

    /// Sorts the first of the hits by what the reranker says. If it fails they stay as they are.
    pub(super) fn rerank(&self, request: &SearchRequest, answer: &mut SearchAnswer) {
        let Some(reranker) = &self.model_services.reranker else { return };
        let judged = answer.hits.len().min(DEPTH);
        if judged < 2 {
            return;
        }
        let texts: Vec<&str> =
            answer.hits[..judged].iter().map(|hit| crate::extract::cut(hit.memory.payload.text(), SHOWN)).collect();
        let scores = match reranker.rerank(&request.query, &texts) {
            Ok(scores) if scores.len() == judged => scores,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "hits are not reranked");
                metrics::counter!("mnemon_rerank_failures_total").increment(1);
                return;
            }
        };
        // Models that give probabilities keep them; those that give any number give logits.
        let probable = scores.iter().all(|score| (0.0..=1.0).contains(score));
        for (hit, score) in answer.hits.iter_mut().zip(&scores) {
            hit.score = if probable { *score } else { 1.0 / (1.0 + (-score).exp()) };
        }
        answer.hits.truncate(judged);
        answer.hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        answer.reranked = true;
    }
}

/// A language model as a reranker.
pub struct LlmReranker {
    llm: Arc<dyn ChatModel>,
}

impl LlmReranker {
    /// A reranker that asks this model.
    pub fn new(llm: Arc<dyn ChatModel>) -> Self {
        Self { llm }
    }

    fn ask(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, EngineError> {
        let mut prompt = String::new();
        section(&mut prompt, "Question", question);
        let memories: Vec<String> =
            texts.iter().enumerate().map(|(n, text)| json!({"n": n, "text": text}).to_string()).collect();
        section(&mut prompt, "Memories", &format!("[{}]", memories.join(",\n")));
        let messages = vec![ChatMessage::new(ChatRole::System, RERANK), ChatMessage::new(ChatRole::User, prompt)];
        let request = ChatRequest { messages, json: Some(shape()), max_tokens: None };
        let reply = self.llm.chat(&request)?;
        let mut scores = vec![0.0; texts.len()];
        let mut read = false;
        for found in json::find(&reply.text) {
            let Some(rows) = found.value.get("scores").and_then(Value::as_array) else { continue };
            read = true;
            for row in rows {
                let place = row["n"].as_u64().and_then(|n| usize::try_from(n).ok());
                let score = row["score"].as_f64().map(|score| score.clamp(0.0, 1.0) as f32);
                if let (Some(place), Some(score)) = (place.and_then(|place| scores.get_mut(place)), score) {
                    *place = score;
                }
            }
        }
        match read {
            true => Ok(scores),
            false => Err(EngineError::Extraction("it was asked for scores".into())),
        }
    }
}

impl Reranker for LlmReranker {
    fn rerank(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, ModelError> {
        self.ask(question, texts).map_err(|error| match error {
            EngineError::Model(error) => error,
            other => ModelError::Settings(format!("the language model can't rerank: {other}")),
        })
    }
}

/// The shape of an answer.
fn shape() -> JsonShape {
    let row = json!({
        "type": "object",
        "properties": {"n": {"type": "integer"}, "score": {"type": "number"}},
        "required": ["n", "score"],
        "additionalProperties": false,
    });
    JsonShape {
        name: "scores",
        schema: json!({
            "type": "object",
            "properties": {"scores": {"type": "array", "items": row}},
            "required": ["scores"],
            "additionalProperties": false,
        }),
    }
}
