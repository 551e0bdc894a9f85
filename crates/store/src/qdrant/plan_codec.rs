//! The binary format of plans in the outbox.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::plan::{LedgerChange, Plan, PlannedPoint};
use crate::scope_index::{terms_from_blob, terms_to_blob};
use crate::{
    Entity, HistoryEvent, Link, Memory, MemoryId, Payload, Provenance, Result, Scope, SessionMessage, Sparse,
    StoreError,
};

/// The first byte of an encoded plan.
const FORMAT: u8 = 1;

// The order of fields and variants is the format. It must not change.
#[derive(Serialize, Deserialize)]
struct StoredPlan {
    points: Vec<StoredPoint>,
    removed: Vec<Vec<u8>>,
    terms: Vec<(Vec<u8>, Vec<u8>)>,
    unlinked: Vec<Vec<u8>>,
    entities: Vec<StoredEntity>,
    ledger_changes: Vec<StoredChange>,
}

#[derive(Serialize, Deserialize)]
struct StoredPoint {
    id: Vec<u8>,
    payload: String,
    session: Option<String>,
    position: Option<u32>,
    event_time: Option<i64>,
    vector: Vec<f32>,
    bm25: Sparse,
    terms: Vec<u8>,
    holds_time_word: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredEntity {
    id: Vec<u8>,
    payload: String,
    vector: Vec<f32>,
    memories: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
enum StoredChange {
    AddLink { source: Vec<u8>, target: Vec<u8>, kind: String, created_at: String },
    DeleteLinks(Vec<u8>),
    AddHistory { texts: [Option<String>; 9], is_deleted: bool, scope: [Option<String>; 3] },
    AddMessage([Option<String>; 6]),
}

impl Plan {
    /// Encodes the plan. `new_entities` and `known_entities` are not included.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let stored = StoredPlan {
            points: self.points.iter().map(encode_point).collect::<Result<_>>()?,
            removed: encode_ids(&self.removed),
            terms: self.terms.iter().map(|(id, terms)| (id.to_bytes(), terms_to_blob(terms))).collect(),
            unlinked: encode_ids(&self.unlinked),
            entities: self.entities.iter().map(encode_entity).collect::<Result<_>>()?,
            ledger_changes: self.ledger_changes.iter().map(encode_change).collect(),
        };
        postcard::to_extend(&stored, vec![FORMAT]).map_err(invalid)
    }

    /// Decodes a plan.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let stored: StoredPlan = match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(invalid)?,
            _ => return Err(StoreError::Corrupt("a pending write has an unknown format: use a newer mnemon".into())),
        };
        let terms = |(id, blob): (Vec<u8>, Vec<u8>)| Ok((decode_id(&id)?, terms_from_blob(&blob)?));
        Ok(Self {
            points: stored.points.into_iter().map(decode_point).collect::<Result<_>>()?,
            removed: decode_ids(&stored.removed)?,
            terms: stored.terms.into_iter().map(terms).collect::<Result<_>>()?,
            unlinked: decode_ids(&stored.unlinked)?,
            entities: stored.entities.into_iter().map(decode_entity).collect::<Result<_>>()?,
            new_entities: BTreeSet::new(),
            known_entities: BTreeSet::new(),
            ledger_changes: stored.ledger_changes.into_iter().map(decode_change).collect::<Result<_>>()?,
        })
    }
}

fn encode_ids(ids: &[MemoryId]) -> Vec<Vec<u8>> {
    ids.iter().map(|id| id.to_bytes()).collect()
}

fn decode_id(bytes: &[u8]) -> Result<MemoryId> {
    MemoryId::from_bytes(bytes).ok_or_else(|| invalid("an id"))
}

fn decode_ids(list: &[Vec<u8>]) -> Result<Vec<MemoryId>> {
    list.iter().map(|bytes| decode_id(bytes)).collect()
}

fn encode_payload(payload: &Payload) -> Result<String> {
    serde_json::to_string(payload.as_map()).map_err(invalid)
}

fn decode_payload(text: &str) -> Result<Payload> {
    serde_json::from_str(text).map(Payload::new).map_err(invalid)
}

fn encode_point(point: &PlannedPoint) -> Result<StoredPoint> {
    let provenance = &point.memory.provenance;
    Ok(StoredPoint {
        id: point.memory.id.to_bytes(),
        payload: encode_payload(&point.memory.payload)?,
        session: provenance.session.clone(),
        position: provenance.position,
        event_time: provenance.event_time.map(jiff::Timestamp::as_microsecond),
        vector: point.vector.clone(),
        bm25: point.bm25.clone(),
        terms: terms_to_blob(&point.terms),
        holds_time_word: point.holds_time_word,
    })
}

fn decode_point(stored: StoredPoint) -> Result<PlannedPoint> {
    let event_time = stored.event_time.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    let provenance = Provenance { session: stored.session, position: stored.position, event_time };
    Ok(PlannedPoint {
        memory: Memory { id: decode_id(&stored.id)?, payload: decode_payload(&stored.payload)?, provenance },
        vector: stored.vector,
        bm25: stored.bm25,
        terms: terms_from_blob(&stored.terms)?,
        holds_time_word: stored.holds_time_word,
    })
}

fn encode_entity(entity: &Entity) -> Result<StoredEntity> {
    Ok(StoredEntity {
        id: entity.id.to_bytes(),
        payload: encode_payload(&entity.payload)?,
        vector: entity.vector.clone(),
        memories: encode_ids(&entity.memories),
    })
}

fn decode_entity(stored: StoredEntity) -> Result<Entity> {
    Ok(Entity {
        id: decode_id(&stored.id)?,
        payload: decode_payload(&stored.payload)?,
        vector: stored.vector,
        memories: decode_ids(&stored.memories)?,
    })
}

fn encode_change(change: &LedgerChange) -> StoredChange {
    match change {
        LedgerChange::AddLink(link) => StoredChange::AddLink {
            source: link.source.to_bytes(),
            target: link.target.to_bytes(),
            kind: link.kind.clone(),
            created_at: link.created_at.clone(),
        },
        LedgerChange::DeleteLinks(id) => StoredChange::DeleteLinks(id.to_bytes()),
        LedgerChange::AddHistory(event) => StoredChange::AddHistory {
            texts: event.texts().map(|text| text.map(str::to_owned)),
            is_deleted: event.is_deleted,
            scope: event.scope.ids().map(|id| id.map(str::to_owned)),
        },
        LedgerChange::AddMessage(message) => {
            StoredChange::AddMessage(message.texts().map(|text| text.map(str::to_owned)))
        }
    }
}

fn decode_change(stored: StoredChange) -> Result<LedgerChange> {
    Ok(match stored {
        StoredChange::AddLink { source, target, kind, created_at } => {
            LedgerChange::AddLink(Link { source: decode_id(&source)?, target: decode_id(&target)?, kind, created_at })
        }
        StoredChange::DeleteLinks(id) => LedgerChange::DeleteLinks(decode_id(&id)?),
        StoredChange::AddHistory { texts, is_deleted, scope } => {
            let [user_id, agent_id, run_id] = scope;
            let scope = Scope { user_id, agent_id, run_id };
            LedgerChange::AddHistory(Box::new(HistoryEvent::from_texts(texts, is_deleted, scope)))
        }
        StoredChange::AddMessage(texts) => LedgerChange::AddMessage(Box::new(SessionMessage::from_texts(texts))),
    })
}

fn invalid(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("a pending write: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{EventKind, TermCount};

    /// The plan of [`plan`] as the first released version with an outbox encoded it.
    const ENCODED: &str = concat!(
        "0101106a55d8a72c4a4a1698ad906dfb3259101f7b2264617461223a225a6fc3ab222c22757365725f6964223a22616e61227d",
        "0101730104018280f28183898506020000003f0000008001030000c03f10010000000200000007000000010002000101080000",
        "000000000001010800000000000000021001000000020000000700000001000200020800000000000000",
        "01106a55d8a72c4a4a1698ad906dfb325910010800000000000000090f7b2264617461223a224e6f7269227d010000803f0110",
        "6a55d8a72c4a4a1698ad906dfb3259100400080000000000000001106a55d8a72c4a4a1698ad906dfb3259100a737570657273",
        "656465730174010800000000000000010201016801013101036f6c6400010644454c455445000101750103416e610001010361",
        "6e61000101720301016d010b757365725f69643d616e610104757365720101630000",
    );

    fn payload(value: serde_json::Value) -> Payload {
        Payload::new(value.as_object().unwrap().clone())
    }

    fn plan() -> Plan {
        let uuid: MemoryId = "6a55d8a7-2c4a-4a16-98ad-906dfb325910".parse().unwrap();
        let counts = vec![TermCount { term: 7, in_text: 1, in_context: 2 }];
        let terms = crate::Terms { counts, text_len: 1, context_len: 2 };
        let event_time = jiff::Timestamp::from_microsecond(1_700_000_000_000_001).ok();
        let point = PlannedPoint {
            memory: Memory {
                id: uuid,
                payload: payload(json!({"data": "Zoë", "user_id": "ana"})),
                provenance: Provenance { session: Some("s".into()), position: Some(4), event_time },
            },
            vector: vec![0.5, -0.0],
            bm25: vec![(3, 1.5)],
            terms: terms.clone(),
            holds_time_word: true,
        };
        let entity = Entity {
            id: MemoryId::Number(9),
            payload: payload(json!({"data": "Nori"})),
            vector: vec![1.0],
            memories: vec![uuid],
        };
        let link =
            Link { source: MemoryId::Number(1), target: uuid, kind: "supersedes".into(), created_at: "t".into() };
        let event = HistoryEvent {
            id: "h".into(),
            memory_id: "1".into(),
            old_memory: Some("old".into()),
            new_memory: None,
            event: EventKind::Delete.into(),
            created_at: None,
            updated_at: Some("u".into()),
            is_deleted: true,
            actor_id: Some("Ana".into()),
            role: None,
            scope: Scope { user_id: Some("ana".into()), agent_id: None, run_id: Some("r".into()) },
        };
        let message = SessionMessage {
            id: "m".into(),
            session_scope: "user_id=ana".into(),
            role: Some("user".into()),
            content: Some("c".into()),
            name: None,
            created_at: None,
        };
        Plan {
            points: vec![point],
            removed: vec![MemoryId::Number(1)],
            terms: vec![(MemoryId::Number(2), terms)],
            unlinked: vec![MemoryId::Number(1), uuid],
            entities: vec![entity],
            new_entities: BTreeSet::new(),
            known_entities: BTreeSet::new(),
            ledger_changes: vec![
                LedgerChange::AddLink(link),
                LedgerChange::DeleteLinks(MemoryId::Number(1)),
                LedgerChange::AddHistory(Box::new(event)),
                LedgerChange::AddMessage(Box::new(message)),
            ],
        }
    }

    #[test]
    fn the_format_does_not_change() {
        assert_eq!(hex::encode(plan().encode().unwrap()), ENCODED);
    }

    #[test]
    fn plans_round_trip() {
        let decoded = Plan::decode(&plan().encode().unwrap()).unwrap();
        assert_eq!(format!("{decoded:?}"), format!("{:?}", plan()));
    }

    #[test]
    fn other_formats_are_refused() {
        let mut newer = plan().encode().unwrap();
        newer[0] = 2;
        for bytes in [&[][..], &newer, &plan().encode().unwrap()[..9]] {
            assert!(matches!(Plan::decode(bytes), Err(StoreError::Corrupt(_))));
        }
    }
}
