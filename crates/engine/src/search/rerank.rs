//! Reranking: a model that reads question and memory together scores the top hits.

use std::sync::Arc;

use mnemon_models::{ChatMessage, ChatModel, ChatRequest, ChatRole, JsonShape, ModelError, ModelKind, Reranker, json};
use serde_json::{Value, json};

use super::answer::SearchAnswer;
use crate::error::EngineError;
use crate::extract::first_chars;
use crate::prompts::{RERANK, section};

/// Number of hits that are reranked.
pub(super) const DEPTH: usize = 40;
/// Characters of each memory that the reranker reads.
const MAX_CHARS: usize = 1200;

/// Orders the top hits by the reranker's scores and drops the others. If the reranker fails, the answer stays unchanged.
pub(super) fn rerank(reranker: &dyn Reranker, question: &str, answer: &mut SearchAnswer) {
    let depth = answer.hits.len().min(DEPTH);
    if depth < 2 {
        return;
    }
    let texts: Vec<&str> =
        answer.hits[..depth].iter().map(|hit| first_chars(hit.memory.payload.text(), MAX_CHARS)).collect();
    let scores = match reranker.rerank(question, &texts) {
        Ok(scores) if scores.len() == depth => scores,
        Ok(_) => return,
        Err(error) => {
            let error = EngineError::from(error);
            tracing::warn!(%error, hint = error.log_hint(), "reranking failed; the hits keep their order");
            metrics::counter!("mnemon_rerank_failures_total").increment(1);
            return;
        }
    };
    // Some models return probabilities, others logits.
    let are_probabilities = scores.iter().all(|score| (0.0..=1.0).contains(score));
    for (hit, score) in answer.hits.iter_mut().zip(&scores) {
        hit.score = if are_probabilities { *score } else { 1.0 / (1.0 + (-score).exp()) };
    }
    answer.hits.truncate(depth);
    answer.hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    answer.reranked = true;
}

/// A language model used as a reranker.
pub struct LlmReranker {
    llm: Arc<dyn ChatModel>,
}

impl LlmReranker {
    /// A reranker that calls this model.
    pub fn new(llm: Arc<dyn ChatModel>) -> Self {
        Self { llm }
    }

    fn scores(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, ModelError> {
        let mut prompt = String::new();
        section(&mut prompt, "Question", question);
        let memories: Vec<String> =
            texts.iter().enumerate().map(|(n, text)| json!({"n": n, "text": text}).to_string()).collect();
        section(&mut prompt, "Memories", &format!("[{}]", memories.join(",\n")));
        let messages = vec![ChatMessage::new(ChatRole::System, RERANK), ChatMessage::new(ChatRole::User, prompt)];
        let request = ChatRequest { messages, json: Some(answer_schema()), max_tokens: None };
        let reply = self.llm.chat(&request)?;
        let mut scores = vec![0.0; texts.len()];
        let mut has_list = false;
        for found in json::find(&reply.text) {
            let Some(rows) = found.value.get("scores").and_then(Value::as_array) else { continue };
            has_list = true;
            for row in rows {
                let index = row["n"].as_u64().and_then(|n| usize::try_from(n).ok());
                let score = row["score"].as_f64().map(|score| score.clamp(0.0, 1.0) as f32);
                if let (Some(slot), Some(score)) = (index.and_then(|index| scores.get_mut(index)), score) {
                    *slot = score;
                }
            }
        }
        if has_list {
            return Ok(scores);
        }
        Err(ModelError::Answer {
            kind: ModelKind::LanguageModel,
            server: self.llm.name().to_owned(),
            answer: "without a list of scores".into(),
            is_empty: false,
        })
    }
}

impl Reranker for LlmReranker {
    fn rerank(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, ModelError> {
        self.scores(question, texts)
    }
}

/// The JSON schema of an answer.
fn answer_schema() -> JsonShape {
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
