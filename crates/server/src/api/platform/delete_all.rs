//! Deleting all memories of an owner. A request that is not entirely clear deletes nothing.

use axum::extract::State;
use mnemon_engine::{Event, RequestKind, read_json};
use mnemon_store::filter::ScopeKey;
use mnemon_store::{Filter, keys};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::add::checked_app_id;
use super::dto::ENTITY_KEYS;
use super::filters::metadata_filter;
use crate::api::dto::tag;
use crate::auth::{Caller, Writer};
use crate::error::Problem;
use crate::http::extract::{Json, Query};
use crate::service::AppState;

/// Query of `DELETE /v1/memories`. Unknown parameters are refused.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes the wire format")]
pub(super) struct DeleteAllQuery {
    /// An id, or `*` for memories of any user.
    user_id: Option<String>,
    /// An id, or `*` for memories of any agent.
    agent_id: Option<String>,
    /// An id, or `*` for memories of any app.
    app_id: Option<String>,
    /// An id, or `*` for memories of any run.
    run_id: Option<String>,
    /// Only memories with this metadata: a JSON object.
    metadata: Option<String>,
}

/// Response of a deletion.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformDeletedAll)]
pub(super) struct DeletedAll {
    pub(super) message: String,
    /// The id of the event, see /v1/event/{event_id}.
    pub(super) event_id: String,
    /// Number of deleted memories.
    pub(super) deleted: usize,
}

/// The memories to delete.
#[derive(Debug, PartialEq)]
struct Selection {
    /// `None` matches everything.
    filter: Option<Filter>,
    /// The user who owns all of the memories, if it is one user.
    owner: Option<String>,
}

impl Selection {
    fn parse(query: Vec<(String, String)>, caller: &Caller) -> Result<Self, Problem> {
        let mut given: Map<String, Value> = Map::new();
        for (key, value) in query {
            // Others were refused before, except those of every request of mem0's clients.
            if !ENTITY_KEYS.contains(&key.as_str()) && key != "metadata" {
                continue;
            }
            if given.insert(key.clone(), value.into()).is_some() {
                return Err(Problem::bad_request(format!("{key} is given twice; nothing was deleted")));
            }
        }
        let id = |key: &str| given.get(key).and_then(Value::as_str).map(str::trim);
        if ENTITY_KEYS.iter().all(|key| id(key).is_none()) {
            return Err(Problem::bad_request(
                "At least one identifier (user_id, agent_id, app_id, run_id) is required; nothing was deleted.",
            )
            .hint("To delete everything that the key may delete, send user_id=*&agent_id=*&app_id=*&run_id=*"));
        }
        let everything = ENTITY_KEYS.iter().all(|key| id(key) == Some("*"));
        let mut filters = Vec::new();
        for key in ENTITY_KEYS.into_iter().filter(|_| !everything) {
            let Some(id) = id(key) else { continue };
            match (key, ScopeKey::from_name(key)) {
                ("user_id", _) if id != "*" => {
                    let user = caller.scope(Some(id), None, None)?.user_id.unwrap_or_default();
                    filters.push(checked(Filter::eq(key, user))?);
                }
                // `Caller::filter` adds the caller's own user.
                ("user_id", _) if !caller.is_admin() => {}
                (_, Some(scope)) if id == "*" => filters.push(Filter::has_scope(scope)),
                ("app_id", _) if id == "*" => filters.push(checked(Filter::exists(keys::APP_ID))?),
                ("app_id", _) => filters.push(checked(Filter::eq(keys::APP_ID, checked_app_id(id)?))?),
                _ => filters.push(checked(Filter::eq(key, id))?),
            }
        }
        if let Some(text) = given.get("metadata").and_then(Value::as_str) {
            let metadata = read_json(text).map_err(|fault| {
                Problem::bad_request(format!(
                    "metadata: must be a JSON object such as {{\"k\": 1}}; nothing was deleted: {fault}"
                ))
            });
            filters.push(metadata_filter(&metadata?)?);
        }
        let filter = caller.filter(Filter::all(filters))?;
        let owner = filter.as_ref().and_then(|filter| filter.scope().pinned(ScopeKey::User)).map(str::to_owned);
        Ok(Self { filter, owner })
    }
}

fn checked(filter: Result<Filter, mnemon_store::FilterError>) -> Result<Filter, Problem> {
    filter.map_err(|error| mnemon_engine::EngineError::from(error).into())
}

/// Delete all memories of a user, agent, app or run
///
/// Deletes the memories that have all of the ids, including expired ones. `*` matches any id; all four ids as `*` match
/// everything. With a user's key, only memories of its user are deleted.
#[utoipa::path(delete, path = "/v1/memories", tag = tag::PLATFORM, params(DeleteAllQuery),
    extensions(("x-refuses-unknown" = json!(true))),
    responses((status = 200, body = DeletedAll)))]
pub(super) async fn delete_all(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<DeletedAll>, Problem> {
    let parameters: Map<String, Value> =
        query.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let Selection { filter, owner } = Selection::parse(query, &caller)?;
    let event = Event::new(RequestKind::DeleteAll, Value::Object(parameters));
    let (deleted, event_id) = app.delete_all_with_event(filter, None, owner, event).await?;
    Ok(Json(DeletedAll { message: "Memories deleted successfully!".to_owned(), event_id, deleted }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::AuthKind;

    fn admin() -> Caller {
        Caller::admin(AuthKind::AdminApiKey, "")
    }

    fn ana() -> Caller {
        Caller { user: Some("ana".into()), ..admin() }
    }

    fn parse(query: &str, caller: &Caller) -> Result<Selection, u16> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        });
        Selection::parse(pairs.collect(), caller).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn a_request_without_a_clear_owner_deletes_nothing() {
        for query in [
            "",
            "org_id=default&project_id=default",
            "source=CLI",
            "user_id=",
            "filters=[object Object]",
            "user_id=a&user_id=b",
            "user_id=a&metadata={'x': 1}",
            "user_id=a&metadata={}",
            "user_id=a&metadata=[]",
            "metadata={\"x\":1}",
            "user_id=a b",
            "app_id=",
        ] {
            assert_eq!(parse(query, &admin()), Err(400), "{query}");
            assert_eq!(parse(query, &ana()).map_err(|status| status / 100), Err(4), "{query}");
        }
        assert_eq!(parse("user_id=bob", &ana()), Err(403));
    }

    #[test]
    fn a_star_matches_what_the_key_may_access() {
        let everything = "user_id=*&agent_id=*&app_id=*&run_id=*&source=CLI";
        assert_eq!(parse(everything, &admin()), Ok(Selection { filter: None, owner: None }));
        let own = Selection { filter: Some(Filter::eq("user_id", "ana").unwrap()), owner: Some("ana".into()) };
        assert_eq!(parse(everything, &ana()), Ok(own));
        let own = Selection { filter: Some(Filter::eq("user_id", "ana").unwrap()), owner: Some("ana".into()) };
        assert_eq!(parse("user_id=*", &ana()), Ok(own));
        assert_eq!(parse("agent_id=*", &admin()).unwrap().filter, Some(Filter::has_scope(ScopeKey::Agent)));
        let narrowed = parse("user_id=ana&metadata={\"x\":1}", &admin()).unwrap();
        assert_eq!(narrowed.filter, Some(Filter::eq("user_id", "ana").unwrap().and(Filter::eq("x", 1).unwrap())));
    }
}
