//! Which memories a request asks for: filters, the ids that older clients send beside them, and other conditions.

use mnemon_store::{Filter, MemoryId, keys};
use serde_json::Value;

use super::dto::{ENTITY_KEYS, OneOrMany};
use super::filters::{
    ParsedFilters, categories_filter, created_filter, entity_filter, keywords_filter, metadata_filter,
};
use crate::auth::Caller;
use crate::error::Problem;

/// Which memories a request asks for.
#[derive(Default)]
pub(super) struct MemoryQuery {
    pub(super) filters: Option<Value>,
    /// user_id, agent_id, app_id and run_id beside the filters.
    pub(super) ids: [Option<Value>; 4],
    pub(super) categories: Option<OneOrMany>,
    pub(super) keywords: Option<OneOrMany>,
    pub(super) metadata: Option<Value>,
    pub(super) start_date: Option<String>,
    pub(super) end_date: Option<String>,
}

/// The part of a query that the caller may access.
pub(super) struct AuthorizedQuery {
    /// `None` matches everything; only an admin who names memories by id gets it.
    pub(super) filter: Option<Filter>,
    /// Only memories with these ids.
    pub(super) ids: Option<Vec<MemoryId>>,
}

impl MemoryQuery {
    /// Refuses ids beside the filters: the `/v3` routes take them in `filters` only.
    pub(super) fn refuse_ids_beside_filters(&self) -> Result<(), Problem> {
        match ENTITY_KEYS.iter().zip(&self.ids).find(|(_, id)| id.is_some()) {
            Some((key, _)) => {
                Err(Problem::bad_request(format!("{key}: must be given in `filters`, e.g. {{\"{key}\": …}}")))
            }
            None => Ok(()),
        }
    }

    /// Checks the query and narrows it to what the caller may access.
    pub(super) fn authorize(self, caller: &Caller) -> Result<AuthorizedQuery, Problem> {
        let mut query = match &self.filters {
            Some(filters) => ParsedFilters::parse(filters)?,
            None => ParsedFilters::default(),
        };
        for (key, id) in ENTITY_KEYS.iter().zip(&self.ids) {
            if let Some(id) = id {
                query.and(entity_filter(key, id)?);
            }
        }
        if query.is_empty() && caller.is_admin() {
            return Err(Problem::bad_request(
                "filters: must name an owner, e.g. {\"user_id\": \"alice\"}, or {\"user_id\": \"*\"} for all users",
            ));
        }
        if let Some(categories) = self.categories.map(OneOrMany::into_list).filter(|list| !list.is_empty()) {
            query.and(categories_filter(&categories.into())?);
        }
        if let Some(keywords) = self.keywords.map(OneOrMany::into_list).filter(|list| !list.is_empty()) {
            query.and(keywords_filter(&keywords.into())?);
        }
        let is_empty = |metadata: &Value| metadata.is_null() || metadata.as_object().is_some_and(|map| map.is_empty());
        if let Some(metadata) = self.metadata.filter(|metadata| !is_empty(metadata)) {
            query.and(metadata_filter(&metadata)?);
        }
        if let Some(created) = created_filter(self.start_date.as_deref(), self.end_date.as_deref())? {
            query.and(created);
        }
        // The engine checks the ids of the scope.
        if let Some([first, second]) = query.filter.as_ref().and_then(|filter| filter.conflict(keys::APP_ID)) {
            let message = format!("app_id is required to be `{first}` and `{second}` at once; name one of them");
            return Err(Problem::bad_request(message));
        }
        Ok(AuthorizedQuery { filter: caller.filter(query.filter)?, ids: query.ids })
    }
}
