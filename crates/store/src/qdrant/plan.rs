//! A change set worked out to the last id, so that it can be applied again and again with the same result.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::QdrantStore;
use crate::scope_index::{terms_from_blob, terms_to_blob};
use crate::{
    Change, Entity, HistoryEvent, Link, Memory, MemoryId, Mention, Payload, Provenance, Record, Result, SCOPE_KEYS,
    Scope, SessionMessage, Sparse, StoreError, Terms, keys,
};

/// What a change set comes to.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Points as they are in the end, in the order they were first written.
    pub(super) puts: Vec<Put>,
    /// Points that are not there in the end. One that is put as well gets a new place.
    pub(super) removed: Vec<MemoryId>,
    /// New terms of memories that stay as they are.
    pub(super) terms: Vec<(MemoryId, Terms)>,
    /// Memories to strip from all entities before the rest.
    pub(super) stripped: Vec<MemoryId>,
    /// Entities to make, or to link to further memories.
    pub(super) entities: Vec<Entity>,
    /// Those of the entities whose ids were made up for this plan, so that they can't be there. Known while it is applied
    /// for the first time only.
    pub(super) fresh: BTreeSet<MemoryId>,
    /// Those whose ids were known by their names, so that they should be there. As above.
    pub(super) met: BTreeSet<MemoryId>,
    /// Rows of the ledger, in order.
    pub(super) rows: Vec<LedgerRow>,
}

/// A point with what the ledger keeps of it.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) memory: Memory,
    pub(super) vector: Vec<f32>,
    pub(super) bm25: Sparse,
    pub(super) terms: Terms,
    pub(super) holds_time_word: bool,
}

/// A row to write to the ledger.
#[derive(Clone, Debug)]
pub(super) enum LedgerRow {
    Link(Link),
    /// All links of a memory go.
    Unlink(MemoryId),
    History(Box<HistoryEvent>),
    Message(Box<SessionMessage>),
}

impl Plan {
    /// Scopes whose memories change: those of the points put; what was there before is the ledger's to know.
    pub(super) fn scopes(&self) -> BTreeSet<Scope> {
        let puts = self.puts.iter().map(|put| put.memory.payload.scope());
        puts.chain(self.entities.iter().map(|entity| entity.payload.scope())).collect()
    }
}

/// The entities a memory names.
pub(super) struct Naming {
    pub(super) memory: MemoryId,
    pub(super) scope: Scope,
    pub(super) mentions: Vec<Mention>,
}

/// What is known of a memory while a change set is worked out.
struct State {
    /// Whether it was there before.
    was: bool,
    now: Now,
    /// Whether it went, and came back as another.
    left: bool,
    replaced: bool,
}

enum Now {
    AsBefore(Option<Terms>),
    Put(Box<Put>),
    Gone,
}

/// The memories a change set names, in the order it first names them.
struct States<'t> {
    there: &'t BTreeSet<MemoryId>,
    order: Vec<MemoryId>,
    by_id: HashMap<MemoryId, State>,
}

impl States<'_> {
    fn of(&mut self, id: MemoryId) -> &mut State {
        self.by_id.entry(id).or_insert_with(|| {
            self.order.push(id);
            let was = self.there.contains(&id);
            State { was, now: if was { Now::AsBefore(None) } else { Now::Gone }, left: false, replaced: false }
        })
    }
}

impl QdrantStore {
    /// Works a change set out. `there`: the memories it names that exist; `known`: the entities it names.
    ///
    /// # Errors
    /// What makes the change set impossible: [`StoreError::Exists`], [`StoreError::NotFound`], [`StoreError::Dims`], and
    /// what Qdrant can't hold.
    pub(super) fn plan(
        &self,
        changes: &[Change],
        there: &BTreeSet<MemoryId>,
        known: &HashMap<(Scope, String), MemoryId>,
    ) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut states = States { there, order: Vec::new(), by_id: HashMap::new() };
        let mut mentions: HashMap<MemoryId, (Scope, Vec<Mention>)> = HashMap::new();
        let mut given: Vec<&Entity> = Vec::new();
        for change in changes {
            match change {
                Change::Insert(record) | Change::Replace(record) => {
                    let id = record.memory.id;
                    self.check_record(record)?;
                    let state = states.of(id);
                    match (change, &state.now) {
                        (Change::Insert(_), Now::Gone) => {}
                        (Change::Insert(_), _) => return Err(StoreError::Exists(id)),
                        (_, Now::Gone) => return Err(StoreError::NotFound(id)),
                        _ => state.replaced = true,
                    }
                    state.now = Now::Put(Box::new(Put {
                        memory: record.memory.clone(),
                        vector: record.vector.clone(),
                        bm25: record.bm25.clone(),
                        terms: record.terms.clone(),
                        holds_time_word: record.holds_time_word,
                    }));
                    mentions.insert(id, (record.memory.payload.scope(), record.mentions.clone()));
                }
                Change::SetTerms(id, terms) => match &mut states.of(*id).now {
                    Now::Gone => return Err(StoreError::NotFound(*id)),
                    Now::Put(put) => put.terms = terms.clone(),
                    Now::AsBefore(own) => *own = Some(terms.clone()),
                },
                Change::Remove(id) => {
                    let state = states.of(*id);
                    if matches!(state.now, Now::Gone) {
                        return Err(StoreError::NotFound(*id));
                    }
                    state.now = Now::Gone;
                    state.left = true;
                    mentions.remove(id);
                    plan.rows.push(LedgerRow::Unlink(*id));
                }
                Change::InsertEntity(entity) => {
                    self.check_vector(&entity.vector)?;
                    super::codec::payload_map(&entity.payload)?;
                    given.push(entity);
                }
                Change::Link(link) => plan.rows.push(LedgerRow::Link(link.clone())),
                Change::History(event) => plan.rows.push(LedgerRow::History(event.clone())),
                Change::Message(message) => plan.rows.push(LedgerRow::Message(message.clone())),
            }
        }
        let mentions: Vec<Naming> = states
            .order
            .iter()
            .filter_map(|id| mentions.remove(id).map(|(scope, mentions)| Naming { memory: *id, scope, mentions }))
            .collect();
        for id in states.order {
            let Some(state) = states.by_id.remove(&id) else { continue };
            if state.was && state.left {
                plan.removed.push(id);
            }
            if state.was && (state.left || state.replaced) {
                plan.stripped.push(id);
            }
            match state.now {
                Now::Put(put) => plan.puts.push(*put),
                Now::AsBefore(Some(terms)) => plan.terms.push((id, terms)),
                Now::AsBefore(None) | Now::Gone => {}
            }
        }
        self.resolve(&mut plan, given, &mentions, known)?;
        Ok(plan)
    }

    fn check_record(&self, record: &Record) -> Result<()> {
        self.check_vector(&record.vector)?;
        super::codec::payload_map(&record.memory.payload).map(drop)
    }

    fn check_vector(&self, vector: &[f32]) -> Result<()> {
        let dims = self.inner.dims;
        let finite = vector.iter().filter(|value| value.is_finite()).count();
        if vector.len() != dims || finite != dims {
            return Err(StoreError::Dims { expected: dims, found: finite });
        }
        Ok(())
    }

    /// Joins mentions to the entities of their names, and gives those that are new an id.
    fn resolve(
        &self,
        plan: &mut Plan,
        given: Vec<&Entity>,
        namings: &[Naming],
        known: &HashMap<(Scope, String), MemoryId>,
    ) -> Result<()> {
        let mut entities: Vec<Entity> = Vec::new();
        let mut by_name: HashMap<(Scope, String), usize> = HashMap::new();
        for entity in given {
            match entities.iter_mut().find(|known| known.id == entity.id) {
                Some(known) => known.memories.extend(&entity.memories),
                None => {
                    let name = (entity.payload.scope(), entity.text().to_lowercase());
                    by_name.entry(name).or_insert(entities.len());
                    entities.push(entity.clone());
                }
            }
        }
        for Naming { memory, scope, mentions } in namings {
            for mention in mentions {
                let name = (scope.clone(), mention.text.to_lowercase());
                let at = match (by_name.get(&name), known.get(&name)) {
                    (Some(&at), None) => at,
                    (found, Some(&id)) if found.is_none_or(|&at| entities[at].id != id) => {
                        // The one that was there first goes before one that came just now.
                        by_name.insert(name, entities.len());
                        plan.met.insert(id);
                        entities.push(made(id, scope, mention));
                        entities.len() - 1
                    }
                    (Some(&at), _) => at,
                    (None, _) => {
                        self.check_vector(&mention.vector)?;
                        by_name.insert(name, entities.len());
                        let id = MemoryId::random();
                        plan.fresh.insert(id);
                        entities.push(made(id, scope, mention));
                        entities.len() - 1
                    }
                };
                entities[at].memories.push(*memory);
            }
        }
        plan.entities = entities;
        Ok(())
    }
}

/// An entity for a mention, as mem0 v2 writes it.
fn made(id: MemoryId, scope: &Scope, mention: &Mention) -> Entity {
    let mut payload = Payload::default();
    payload.set(keys::DATA, mention.text.as_str());
    payload.set("entity_type", mention.kind.as_str());
    for (key, value) in SCOPE_KEYS.iter().zip(scope.ids()) {
        if let Some(value) = value {
            payload.set(key, value);
        }
    }
    Entity { id, payload, vector: mention.vector.clone(), memories: Vec::new() }
}

/// The first byte of a plan in the outbox.
const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    puts: Vec<StoredPut>,
    removed: Vec<Vec<u8>>,
    terms: Vec<(Vec<u8>, Vec<u8>)>,
    stripped: Vec<Vec<u8>>,
    entities: Vec<StoredEntity>,
    rows: Vec<StoredRow>,
}

#[derive(Serialize, Deserialize)]
struct StoredPut {
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
enum StoredRow {
    Link { source: Vec<u8>, target: Vec<u8>, kind: String, created_at: String },
    Unlink(Vec<u8>),
    History { texts: [Option<String>; 9], is_deleted: bool, scope: [Option<String>; 3] },
    Message([Option<String>; 6]),
}

impl Plan {
    /// As the outbox keeps it.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let payload = |payload: &Payload| serde_json::to_string(payload.as_map()).map_err(broken);
        let ids = |ids: &[MemoryId]| ids.iter().map(|id| id.to_bytes()).collect::<Vec<_>>();
        let put = |put: &Put| -> Result<StoredPut> {
            let provenance = &put.memory.provenance;
            Ok(StoredPut {
                id: put.memory.id.to_bytes(),
                payload: payload(&put.memory.payload)?,
                session: provenance.session.clone(),
                position: provenance.position,
                event_time: provenance.event_time.map(jiff::Timestamp::as_microsecond),
                vector: put.vector.clone(),
                bm25: put.bm25.clone(),
                terms: terms_to_blob(&put.terms),
                holds_time_word: put.holds_time_word,
            })
        };
        let entity = |entity: &Entity| -> Result<StoredEntity> {
            Ok(StoredEntity {
                id: entity.id.to_bytes(),
                payload: payload(&entity.payload)?,
                vector: entity.vector.clone(),
                memories: ids(&entity.memories),
            })
        };
        let row = |row: &LedgerRow| match row {
            LedgerRow::Link(link) => StoredRow::Link {
                source: link.source.to_bytes(),
                target: link.target.to_bytes(),
                kind: link.kind.clone(),
                created_at: link.created_at.clone(),
            },
            LedgerRow::Unlink(id) => StoredRow::Unlink(id.to_bytes()),
            LedgerRow::History(event) => StoredRow::History {
                texts: [
                    Some(event.id.clone()),
                    Some(event.memory_id.clone()),
                    event.old_memory.clone(),
                    event.new_memory.clone(),
                    Some(event.event.clone()),
                    event.created_at.clone(),
                    event.updated_at.clone(),
                    event.actor_id.clone(),
                    event.role.clone(),
                ],
                is_deleted: event.is_deleted,
                scope: event.scope.ids().map(|id| id.map(str::to_owned)),
            },
            LedgerRow::Message(message) => StoredRow::Message([
                Some(message.id.clone()),
                Some(message.session_scope.clone()),
                message.role.clone(),
                message.content.clone(),
                message.name.clone(),
                message.created_at.clone(),
            ]),
        };
        let stored = Stored {
            puts: self.puts.iter().map(put).collect::<Result<_>>()?,
            removed: ids(&self.removed),
            terms: self.terms.iter().map(|(id, terms)| (id.to_bytes(), terms_to_blob(terms))).collect(),
            stripped: ids(&self.stripped),
            entities: self.entities.iter().map(entity).collect::<Result<_>>()?,
            rows: self.rows.iter().map(row).collect(),
        };
        postcard::to_extend(&stored, vec![FORMAT]).map_err(broken)
    }

    /// Reads what [`Plan::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let stored: Stored = match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(broken)?,
            _ => return Err(StoreError::Corrupt("a pending write of an unknown format: use a newer mnemon".into())),
        };
        let id = |bytes: &Vec<u8>| MemoryId::from_bytes(bytes).ok_or_else(|| broken("an id"));
        let ids = |list: &[Vec<u8>]| list.iter().map(id).collect::<Result<Vec<_>>>();
        let payload = |text: &str| serde_json::from_str(text).map(Payload::new).map_err(broken);
        let put = |put: StoredPut| -> Result<Put> {
            let event_time = put.event_time.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
            let provenance = Provenance { session: put.session, position: put.position, event_time };
            Ok(Put {
                memory: Memory { id: id(&put.id)?, payload: payload(&put.payload)?, provenance },
                vector: put.vector,
                bm25: put.bm25,
                terms: terms_from_blob(&put.terms)?,
                holds_time_word: put.holds_time_word,
            })
        };
        let entity = |entity: StoredEntity| -> Result<Entity> {
            Ok(Entity {
                id: id(&entity.id)?,
                payload: payload(&entity.payload)?,
                vector: entity.vector,
                memories: ids(&entity.memories)?,
            })
        };
        let row = |row: StoredRow| -> Result<LedgerRow> {
            Ok(match row {
                StoredRow::Link { source, target, kind, created_at } => {
                    LedgerRow::Link(Link { source: id(&source)?, target: id(&target)?, kind, created_at })
                }
                StoredRow::Unlink(memory) => LedgerRow::Unlink(id(&memory)?),
                StoredRow::History { texts, is_deleted, scope } => {
                    let [id, memory_id, old_memory, new_memory, event, created_at, updated_at, actor_id, role] = texts;
                    let [user_id, agent_id, run_id] = scope;
                    LedgerRow::History(Box::new(HistoryEvent {
                        id: id.unwrap_or_default(),
                        memory_id: memory_id.unwrap_or_default(),
                        old_memory,
                        new_memory,
                        event: event.unwrap_or_default(),
                        created_at,
                        updated_at,
                        is_deleted,
                        actor_id,
                        role,
                        scope: Scope { user_id, agent_id, run_id },
                    }))
                }
                StoredRow::Message([id, session_scope, role, content, name, created_at]) => {
                    LedgerRow::Message(Box::new(SessionMessage {
                        id: id.unwrap_or_default(),
                        session_scope: session_scope.unwrap_or_default(),
                        role,
                        content,
                        name,
                        created_at,
                    }))
                }
            })
        };
        let terms = |(memory, blob): (Vec<u8>, Vec<u8>)| Ok((id(&memory)?, terms_from_blob(&blob)?));
        Ok(Self {
            puts: stored.puts.into_iter().map(put).collect::<Result<_>>()?,
            removed: ids(&stored.removed)?,
            terms: stored.terms.into_iter().map(terms).collect::<Result<_>>()?,
            fresh: BTreeSet::new(),
            met: BTreeSet::new(),
            stripped: ids(&stored.stripped)?,
            entities: stored.entities.into_iter().map(entity).collect::<Result<_>>()?,
            rows: stored.rows.into_iter().map(row).collect::<Result<_>>()?,
        })
    }
}

fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("a pending write: {error}"))
}
