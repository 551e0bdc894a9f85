//! Compares the entities of the target with the names in the texts of the source.

use std::collections::{BTreeSet, HashMap};

use mnemon_engine::{ForeignPoint, mentions_in};
use mnemon_store::{MemoryId, Mention};

use crate::carried::entity_id;
use crate::error::Result;
use crate::target::Target;

/// The number of differences that are reported; all are counted.
const MAX_DIFFERENCES: usize = 10;

/// What a comparison of the entities found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityComparison {
    /// The names in the texts of the source, counted in each scope.
    pub expected: usize,
    /// Names without an entity in their scope.
    pub missing: usize,
    /// Entities that lack a link to a memory which mentions them, or have one to a memory which does not.
    pub links: usize,
    /// Entities without a usable vector of the right length.
    pub vectors: usize,
    /// The first differences.
    pub differences: Vec<String>,
}

impl EntityComparison {
    /// Whether there are no differences.
    pub fn is_green(&self) -> bool {
        self.missing + self.links + self.vectors == 0
    }

    fn add_difference(&mut self, what: String) {
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(what);
        }
    }
}

/// The entities that the texts of the source mention, by the id made of scope and name.
#[derive(Default)]
pub(super) struct ExpectedEntities(HashMap<MemoryId, ExpectedEntity>);

struct ExpectedEntity {
    name: String,
    /// The memories that no entity links to yet.
    memories: BTreeSet<MemoryId>,
    is_found: bool,
    has_other_links: bool,
}

impl ExpectedEntities {
    /// Adds the names in the texts of points.
    pub(super) fn add(&mut self, points: &[ForeignPoint]) {
        for (point, mentions) in points.iter().zip(mentions_in(points)) {
            self.add_point(point, &mentions);
        }
    }

    fn add_point(&mut self, point: &ForeignPoint, mentions: &[Mention]) {
        let scope = point.payload.scope();
        for mention in mentions {
            let new = || ExpectedEntity {
                name: mention.text.clone(),
                memories: BTreeSet::new(),
                is_found: false,
                has_other_links: false,
            };
            self.0.entry(entity_id(&scope, &mention.text)).or_insert_with(new).memories.insert(point.id);
        }
    }

    /// Compares them with the target's. With `has_other_writers`, other programs may have added entities and links.
    pub(super) fn compare(
        mut self,
        target: &dyn Target,
        dims: usize,
        has_other_writers: bool,
    ) -> Result<EntityComparison> {
        let mut compared = EntityComparison { expected: self.0.len(), ..EntityComparison::default() };
        target.visit_entities(&mut |entity| {
            let is_vector = entity.vector.len() == dims
                && entity.vector.iter().all(|value| value.is_finite())
                && entity.vector.iter().any(|value| *value != 0.0);
            if !is_vector {
                compared.vectors += 1;
                let found = entity.vector.len();
                compared.add_difference(format!("entity `{}` has no vector of {dims} dims ({found})", entity.text()));
            }
            let key = entity_id(&entity.payload.scope(), entity.text());
            let Some(expected) = self.0.get_mut(&key) else { return };
            expected.is_found = true;
            for memory in &entity.memories {
                let is_expected = expected.memories.remove(memory);
                expected.has_other_links |= !is_expected && !has_other_writers;
            }
        })?;
        for expected in self.0.into_values() {
            let name = &expected.name;
            if !expected.is_found {
                compared.missing += 1;
                compared.add_difference(format!("entity `{name}` is missing"));
            } else if !expected.memories.is_empty() || expected.has_other_links {
                compared.links += 1;
                let missing = expected.memories.len();
                let what = match missing {
                    0 => "links to memories that do not mention it".to_owned(),
                    _ => format!("lacks links to {missing} memories that mention it"),
                };
                compared.add_difference(format!("entity `{name}` {what}"));
            }
        }
        Ok(compared)
    }
}
