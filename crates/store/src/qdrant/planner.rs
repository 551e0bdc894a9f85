//! Makes the plan of a change set.

use std::collections::{BTreeSet, HashMap};

use super::codec::payload_map;
use super::plan::{LedgerChange, Plan, PlannedPoint};
use crate::{Change, Entity, MemoryId, Mention, Record, Result, Scope, StoreError, Terms};

/// What a plan depends on.
pub(super) struct Planner<'p> {
    /// Dims of the store.
    pub(super) dims: usize,
    /// Those of the memories in the change set that exist.
    pub(super) existing: &'p BTreeSet<MemoryId>,
    /// Those of the mentioned entities that exist, by exact scope and lower-case name.
    pub(super) known_entities: &'p HashMap<(Scope, String), MemoryId>,
}

/// The mentions of a memory.
struct MemoryMentions {
    memory: MemoryId,
    scope: Scope,
    mentions: Vec<Mention>,
}

/// The state of a memory while its changes are planned.
struct MemoryState {
    /// Whether the memory existed before.
    existed: bool,
    current: Current,
    /// Whether the memory was removed; it may have been inserted again since.
    removed: bool,
    replaced: bool,
}

enum Current {
    /// As before, except for its terms.
    Unchanged(Option<Terms>),
    Written(Box<PlannedPoint>),
    Absent,
}

/// The memories of a change set, in the order of their first change.
struct MemoryStates<'t> {
    existing: &'t BTreeSet<MemoryId>,
    order: Vec<MemoryId>,
    by_id: HashMap<MemoryId, MemoryState>,
}

impl MemoryStates<'_> {
    fn get(&mut self, id: MemoryId) -> &mut MemoryState {
        self.by_id.entry(id).or_insert_with(|| {
            self.order.push(id);
            let existed = self.existing.contains(&id);
            let current = if existed { Current::Unchanged(None) } else { Current::Absent };
            MemoryState { existed, current, removed: false, replaced: false }
        })
    }
}

impl Planner<'_> {
    /// Makes the plan of a change set.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::NotFound`], [`StoreError::Dims`], or an error for a value that Qdrant can't
    /// hold.
    pub(super) fn plan(&self, changes: &[Change]) -> Result<Plan> {
        let mut plan = Plan::default();
        let mut states = MemoryStates { existing: self.existing, order: Vec::new(), by_id: HashMap::new() };
        let mut mentions: HashMap<MemoryId, (Scope, Vec<Mention>)> = HashMap::new();
        let mut inserted_entities: Vec<&Entity> = Vec::new();
        for change in changes {
            match change {
                Change::Insert(record) | Change::Replace(record) => {
                    self.check_record(record)?;
                    let id = record.memory.id;
                    let state = states.get(id);
                    match (change, &state.current) {
                        (Change::Insert(_), Current::Absent) => {}
                        (Change::Insert(_), _) => return Err(StoreError::Exists(id)),
                        (_, Current::Absent) => return Err(StoreError::NotFound(id)),
                        _ => state.replaced = true,
                    }
                    state.current = Current::Written(Box::new(planned_point(record)));
                    mentions.insert(id, (record.memory.payload.scope(), record.mentions.clone()));
                }
                Change::SetTerms(id, terms) => match &mut states.get(*id).current {
                    Current::Absent => return Err(StoreError::NotFound(*id)),
                    Current::Written(point) => point.terms = terms.clone(),
                    Current::Unchanged(own) => *own = Some(terms.clone()),
                },
                Change::Remove(id) => {
                    let state = states.get(*id);
                    if matches!(state.current, Current::Absent) {
                        return Err(StoreError::NotFound(*id));
                    }
                    state.current = Current::Absent;
                    state.removed = true;
                    mentions.remove(id);
                    plan.ledger_changes.push(LedgerChange::DeleteLinks(*id));
                }
                Change::InsertEntity(entity) => {
                    self.check_vector(&entity.vector)?;
                    payload_map(&entity.payload)?;
                    inserted_entities.push(entity);
                }
                Change::Link(link) => plan.ledger_changes.push(LedgerChange::AddLink(link.clone())),
                Change::History(event) => plan.ledger_changes.push(LedgerChange::AddHistory(event.clone())),
                Change::Message(message) => plan.ledger_changes.push(LedgerChange::AddMessage(message.clone())),
            }
        }
        let mut memory_mentions = Vec::with_capacity(mentions.len());
        for id in states.order {
            let Some(state) = states.by_id.remove(&id) else { continue };
            if let Some((scope, mentions)) = mentions.remove(&id) {
                memory_mentions.push(MemoryMentions { memory: id, scope, mentions });
            }
            add_state(&mut plan, id, state);
        }
        self.add_entities(&mut plan, inserted_entities, &memory_mentions)?;
        Ok(plan)
    }

    fn check_record(&self, record: &Record) -> Result<()> {
        self.check_vector(&record.vector)?;
        payload_map(&record.memory.payload).map(drop)
    }

    fn check_vector(&self, vector: &[f32]) -> Result<()> {
        let finite = vector.iter().filter(|value| value.is_finite()).count();
        if vector.len() != self.dims || finite != self.dims {
            return Err(StoreError::Dims { expected: self.dims, found: finite });
        }
        Ok(())
    }

    /// Joins mentions to the entities with their names. An entity that does not exist gets a new id.
    fn add_entities(
        &self,
        plan: &mut Plan,
        inserted_entities: Vec<&Entity>,
        memory_mentions: &[MemoryMentions],
    ) -> Result<()> {
        let mut entities: Vec<Entity> = Vec::new();
        let mut by_name: HashMap<(Scope, String), usize> = HashMap::new();
        for entity in inserted_entities {
            match entities.iter_mut().find(|other| other.id == entity.id) {
                Some(other) => other.memories.extend(&entity.memories),
                None => {
                    let name = (entity.payload.scope(), entity.text().to_lowercase());
                    by_name.entry(name).or_insert(entities.len());
                    entities.push(entity.clone());
                }
            }
        }
        for MemoryMentions { memory, scope, mentions } in memory_mentions {
            for mention in mentions {
                let name = (scope.clone(), mention.text.to_lowercase());
                let index = match (by_name.get(&name), self.known_entities.get(&name)) {
                    (Some(&index), None) => index,
                    // An existing entity has priority over one that this change set inserts.
                    (found, Some(&id)) if found.is_none_or(|&index| entities[index].id != id) => {
                        by_name.insert(name, entities.len());
                        plan.known_entities.insert(id);
                        entities.push(Entity::of_mention(id, scope, mention));
                        entities.len() - 1
                    }
                    (Some(&index), _) => index,
                    (None, _) => {
                        self.check_vector(&mention.vector)?;
                        by_name.insert(name, entities.len());
                        let id = MemoryId::random();
                        plan.new_entities.insert(id);
                        entities.push(Entity::of_mention(id, scope, mention));
                        entities.len() - 1
                    }
                };
                entities[index].memories.push(*memory);
            }
        }
        plan.entities = entities;
        Ok(())
    }
}

fn planned_point(record: &Record) -> PlannedPoint {
    PlannedPoint {
        memory: record.memory.clone(),
        vector: record.vector.clone(),
        bm25: record.bm25.clone(),
        terms: record.terms.clone(),
        holds_time_word: record.holds_time_word,
    }
}

/// Adds the final state of a memory to a plan.
fn add_state(plan: &mut Plan, id: MemoryId, state: MemoryState) {
    if state.existed && state.removed {
        plan.removed.push(id);
    }
    if state.existed && (state.removed || state.replaced) {
        plan.unlinked.push(id);
    }
    match state.current {
        Current::Written(point) => plan.points.push(*point),
        Current::Unchanged(Some(terms)) => plan.terms.push((id, terms)),
        Current::Unchanged(None) | Current::Absent => {}
    }
}
