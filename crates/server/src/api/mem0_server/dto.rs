//! Memories in the format of mem0's server.

use mnemon_engine::{Explanation, SearchHit, SignalKind};
use mnemon_store::{Memory, PayloadParts, keys};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A memory.
#[derive(Serialize, ToSchema)]
pub(crate) struct Item {
    /// A UUID; may be a number if another program stored the memory.
    id: String,
    /// The text.
    memory: String,
    /// MD5 of the text.
    hash: Option<Value>,
    /// The metadata; null if there is none.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// RFC 3339.
    created_at: Option<Value>,
    /// RFC 3339.
    updated_at: Option<Value>,
    /// From 0 to 1; null if this is not a search result.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<Option<f32>>,
    /// How the score was computed, if `explain` was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    score_details: Option<ScoreDetails>,
    /// The id of the newer memory that supersedes this one: of several, the one that was linked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    superseded_by: Option<String>,
    /// The ids of the older memories that this one supersedes, the last ones first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    supersedes: Vec<String>,
    /// Those of user_id, agent_id, run_id, actor_id, role, attributed_to, expiration_date, source_messages, memory_type,
    /// vector_pieces (the pieces whose mean the vector is) and vector_left_out (pieces that the embedder refused or did not
    /// read) that the memory has.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    promoted: Map<String, Value>,
}

/// How a score was computed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScoreDetails {
    /// Cosine similarity of query and memory.
    semantic_score: f32,
    /// BM25 score of the memory's text.
    bm25_score: f32,
    /// Added for shared entities; only in profile `mem0`.
    entity_boost: f32,
    /// The weighted sum of all signals.
    raw_score: f32,
    /// The divisor in profile `mem0`; null in the default profile, where the score is raw / (1 + raw).
    max_possible_score: Option<f32>,
    /// The final score.
    final_score: f32,
    /// The threshold of the search.
    threshold: f32,
    /// All signals of the ranking.
    signals: Vec<SignalDto>,
}

/// A component of a score.
#[derive(Serialize, ToSchema)]
#[schema(as = Signal)]
struct SignalDto {
    /// The name; ARCHITECTURE.md explains each signal.
    name: &'static str,
    /// The measured value.
    value: f32,
    /// The weight.
    weight: f32,
}

impl Item {
    /// A memory without a score.
    pub(crate) fn new(memory: &Memory) -> Self {
        let PayloadParts { hash, created_at, updated_at, promoted, metadata } = memory.payload.split();
        Self {
            id: memory.id.to_string(),
            memory: memory.payload.text().to_owned(),
            hash,
            metadata: Some(metadata).filter(|metadata| !metadata.is_empty()),
            created_at,
            updated_at,
            score: None,
            score_details: None,
            superseded_by: None,
            supersedes: Vec::new(),
            promoted,
        }
    }

    /// A memory read by id: its score is null.
    pub(crate) fn unscored(memory: &Memory) -> Self {
        Self { score: Some(None), ..Self::new(memory) }
    }

    /// A search result.
    pub(crate) fn scored(hit: &SearchHit, threshold: f32) -> Self {
        let details = hit.explanation.as_ref().map(|explanation| ScoreDetails::new(explanation, hit.score, threshold));
        Self {
            score: Some(Some(hit.score)),
            score_details: details,
            superseded_by: hit.superseded_by.map(|id| id.to_string()),
            supersedes: hit.supersedes.iter().map(ToString::to_string).collect(),
            ..Self::new(&hit.memory)
        }
    }

    /// The memory with its complete payload, as mem0 lists a whole store: absent ids and dates are null.
    pub(crate) fn with_whole_payload(memory: &Memory) -> Map<String, Value> {
        let parts = memory.payload.split();
        let mut fields = Map::from_iter([
            ("id".to_owned(), memory.id.to_string().into()),
            ("memory".to_owned(), memory.payload.text().into()),
            ("user_id".to_owned(), Value::Null),
            ("agent_id".to_owned(), Value::Null),
            ("run_id".to_owned(), Value::Null),
            ("hash".to_owned(), parts.hash.unwrap_or_default()),
            (keys::EXPIRATION_DATE.to_owned(), Value::Null),
            ("metadata".to_owned(), parts.metadata.into()),
            ("created_at".to_owned(), parts.created_at.unwrap_or_default()),
            ("updated_at".to_owned(), parts.updated_at.unwrap_or_default()),
        ]);
        fields.extend(parts.promoted);
        for key in [keys::TEXT_LEMMATIZED, keys::IMMUTABLE] {
            if let Some(value) = memory.payload.as_map().get(key) {
                fields.insert(key.to_owned(), value.clone());
            }
        }
        fields
    }
}

impl ScoreDetails {
    fn new(explanation: &Explanation, score: f32, threshold: f32) -> Self {
        Self {
            semantic_score: explanation.closeness(),
            bm25_score: explanation.bm25(),
            entity_boost: explanation.entity_boost(),
            raw_score: explanation.raw_score,
            max_possible_score: explanation.signal(SignalKind::Semantic).map(|signal| signal.weight.recip()),
            final_score: score,
            threshold,
            signals: explanation
                .signals
                .iter()
                .map(|signal| SignalDto { name: signal.kind.as_str(), value: signal.value, weight: signal.weight })
                .collect(),
        }
    }
}

/// An event in the history of a memory.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes the JSON of HistoryEvent")]
pub(crate) struct HistoryRow {
    id: String,
    memory_id: String,
    old_memory: Option<String>,
    new_memory: Option<String>,
    /// `ADD`, `UPDATE` or `DELETE`.
    event: String,
    created_at: Option<String>,
    updated_at: Option<String>,
    is_deleted: bool,
    actor_id: Option<String>,
    role: Option<String>,
}

#[cfg(test)]
mod tests {
    use mnemon_store::{HistoryEvent, MemoryId, Payload, Provenance};
    use serde_json::json;
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn history_is_described_as_it_is_sent() {
        let memory = Memory { id: MemoryId::Number(1), payload: Payload::default(), provenance: Provenance::default() };
        let event = HistoryEvent::added(&memory, "2024-01-01T00:00:00Z");
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&json!(HistoryRow::schema())["properties"]), keys(&json!(event)));
    }
}
