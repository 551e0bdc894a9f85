//! What searches and lists have in common: filters, older clients' ids beside them, and other ways to narrow.

use mnemon_store::{Filter, MemoryId};
use serde_json::Value;

use super::dto::OneOrMany;
use super::filters::{Asked, ENTITY_KEYS, categories, created, entity, keywords, metadata};
use crate::auth::Caller;
use crate::error::Problem;

/// Which memories a request asks for, in all the ways it may.
#[derive(Default)]
pub(super) struct Ask {
    pub(super) filters: Option<Value>,
    /// user_id, agent_id, app_id, run_id beside the filters.
    pub(super) ids: [Option<Value>; 4],
    pub(super) categories: Option<OneOrMany>,
    pub(super) keywords: Option<OneOrMany>,
    pub(super) metadata: Option<Value>,
    pub(super) start_date: Option<String>,
    pub(super) end_date: Option<String>,
}

/// What a caller gets to see of it.
pub(super) struct Gated {
    /// `None` for everything, which only an admin gets, and only by naming memories.
    pub(super) filter: Option<Filter>,
    /// The only memories meant.
    pub(super) ids: Option<Vec<MemoryId>>,
}

impl Ask {
    /// The newest addresses take ids in `filters` alone.
    pub(super) fn ids_in_filters_only(&self) -> Result<(), Problem> {
        match ENTITY_KEYS.iter().zip(&self.ids).find(|(_, id)| id.is_some()) {
            Some((key, _)) => {
                Err(Problem::bad_request(format!("{key}: put ids into `filters`, e.g. {{\"{key}\": …}}")))
            }
            None => Ok(()),
        }
    }

    pub(super) fn gate(self, caller: &Caller) -> Result<Gated, Problem> {
        let mut asked = match &self.filters {
            Some(filters) => Asked::parse(filters)?,
            None => Asked::default(),
        };
        for (key, id) in ENTITY_KEYS.iter().zip(&self.ids) {
            if let Some(id) = id {
                asked.and(entity(key, id)?);
            }
        }
        if asked.is_empty() && caller.is_admin() {
            return Err(Problem::bad_request(
                "filters: say whose memories: {\"user_id\": \"alice\"}, or {\"user_id\": \"*\"} for all users'",
            ));
        }
        if let Some(names) = self.categories.map(OneOrMany::list).filter(|names| !names.is_empty()) {
            asked.and(categories(&names.into())?);
        }
        if let Some(words) = self.keywords.map(OneOrMany::list).filter(|words| !words.is_empty()) {
            asked.and(keywords(&words.into())?);
        }
        if let Some(own) = self.metadata.filter(|own| !own.is_null() && own.as_object().is_none_or(|m| !m.is_empty())) {
            asked.and(metadata(&own)?);
        }
        if let Some(time) = created(self.start_date.as_deref(), self.end_date.as_deref())? {
            asked.and(time);
        }
        Ok(Gated { filter: caller.filter(asked.filter)?, ids: asked.ids })
    }
}
