//! Deleting many memories at once. Whatever can't be read for sure deletes nothing.

use axum::extract::State;
use mnemon_store::Filter;
use mnemon_store::filter::ScopeKey;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::TAG;
use super::add::app_id;
use super::dto::APP_ID;
use super::filters::{ENTITY_KEYS, metadata};
use crate::auth::{Caller, Writer};
use crate::error::Problem;
use crate::http::extract::{Json, Query};
use crate::service::app::Shared;
use crate::service::events::Doing;

/// Keys that clients add to every request.
const IGNORED: [&str; 7] = ["org_id", "project_id", "org_name", "project_name", "source", "output_format", "version"];

/// Whose memories are deleted. Anything else in the query is refused.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes the wire")]
pub(super) struct DeleteAllQuery {
    /// An id, or `*` for memories of any user.
    user_id: Option<String>,
    /// An id, or `*` for memories of any agent.
    agent_id: Option<String>,
    /// An id, or `*` for memories of any app.
    app_id: Option<String>,
    /// An id, or `*` for memories of any run.
    run_id: Option<String>,
    /// Only memories with these keys of your own: a JSON object.
    metadata: Option<String>,
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformDeletedAll)]
pub(super) struct DeletedAll {
    pub(super) message: String,
    /// See /v1/event/{event_id}.
    pub(super) event_id: String,
    /// How many memories.
    pub(super) deleted: usize,
}

/// What a query asks to be deleted.
#[derive(Debug, PartialEq)]
struct Doomed {
    /// `None` for everything.
    filter: Option<Filter>,
    /// The one user whose memories they are.
    owner: Option<String>,
}

impl Doomed {
    fn read(query: Vec<(String, String)>, caller: &Caller) -> Result<Self, Problem> {
        let mut given: Map<String, Value> = Map::new();
        for (key, value) in query {
            if IGNORED.contains(&key.as_str()) {
                continue;
            }
            if !ENTITY_KEYS.contains(&key.as_str()) && key != "metadata" {
                return Err(Problem::bad_request(format!("`{key}` can't narrow what is deleted; nothing was deleted"))
                    .hint("Name user_id, agent_id, app_id or run_id, each by itself in the query."));
            }
            if given.insert(key.clone(), value.into()).is_some() {
                return Err(Problem::bad_request(format!("{key} is named twice; nothing was deleted")));
            }
        }
        let id = |key: &str| given.get(key).and_then(Value::as_str).map(str::trim);
        if ENTITY_KEYS.iter().all(|key| id(key).is_none()) {
            return Err(Problem::bad_request(
                "At least one identifier (user_id, agent_id, app_id, run_id) is required; nothing was deleted.",
            )
            .hint("To delete everything the key may delete, say so: user_id=*&agent_id=*&app_id=*&run_id=*"));
        }
        let everything = ENTITY_KEYS.iter().all(|key| id(key) == Some("*"));
        let mut filters = Vec::new();
        for key in ENTITY_KEYS.into_iter().filter(|_| !everything) {
            let Some(id) = id(key) else { continue };
            match (key, ScopeKey::from_name(key)) {
                ("user_id", _) if id != "*" => {
                    let user = caller.scope(Some(id), None, None)?.user_id.unwrap_or_default();
                    filters.push(made(Filter::eq(key, user))?);
                }
                // The caller's own user comes with the gate.
                ("user_id", _) if !caller.is_admin() => {}
                (_, Some(scope)) if id == "*" => filters.push(Filter::has_scope(scope)),
                (APP_ID, _) if id == "*" => filters.push(made(Filter::exists(APP_ID))?),
                (APP_ID, _) => filters.push(made(Filter::eq(APP_ID, app_id(id)?))?),
                _ => filters.push(made(Filter::eq(key, id))?),
            }
        }
        if let Some(own) = given.get("metadata").and_then(Value::as_str) {
            let read = serde_json::from_str::<Value>(own).map_err(|_| {
                Problem::bad_request("metadata: must be a JSON object such as {\"k\": 1}; nothing was deleted")
            });
            filters.push(metadata(&read?)?);
        }
        let filter = caller.filter(Filter::all(filters))?;
        let owner = filter.as_ref().and_then(|filter| filter.scope().pinned(ScopeKey::User)).map(str::to_owned);
        Ok(Self { filter, owner })
    }
}

fn made(filter: Result<Filter, mnemon_store::FilterError>) -> Result<Filter, Problem> {
    filter.map_err(|fault| mnemon_engine::EngineError::from(fault).into())
}

/// Delete all memories of a user, agent, app or run
///
/// Those that carry all the ids named, expired ones included; `*` is any id. All four as `*` is everything. A user's key
/// deletes its own user's only.
#[utoipa::path(delete, path = "/v1/memories", tag = TAG, params(DeleteAllQuery),
    responses((status = 200, body = DeletedAll)))]
pub(super) async fn delete_all(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<DeletedAll>, Problem> {
    let asked: Map<String, Value> = query.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let Doomed { filter, owner } = Doomed::read(query, &caller)?;
    let doing = Doing::new("DELETE_ALL", Value::Object(asked));
    let (deleted, event_id) = app
        .with_webhooks(move |app| {
            app.delete_matching(filter.as_ref(), |deleted| Ok((deleted, doing.done(app, owner.as_deref(), Vec::new()))))
        })
        .await?;
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

    fn read(query: &str, caller: &Caller) -> Result<Doomed, u16> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        });
        Doomed::read(pairs.collect(), caller).map_err(|fault| fault.status.as_u16())
    }

    #[test]
    fn what_names_nobody_deletes_nothing() {
        for query in [
            "",
            "org_id=default&project_id=default",
            "source=CLI",
            "user_id=",
            "user_id=a&filters={'user_id': 'alice'}",
            "filters=[object Object]",
            "user_id=a&user_id=b",
            "user_id=a&metadata={'x': 1}",
            "user_id=a&metadata={}",
            "user_id=a&metadata=[]",
            "metadata={\"x\":1}",
            "user_id=a b",
            "app_id=",
            "user_id=a&run=x",
        ] {
            assert_eq!(read(query, &admin()), Err(400), "{query}");
            assert_eq!(read(query, &ana()).map_err(|status| status / 100), Err(4), "{query}");
        }
        assert_eq!(read("user_id=bob", &ana()), Err(403));
    }

    #[test]
    fn stars_reach_as_far_as_the_key() {
        let everything = "user_id=*&agent_id=*&app_id=*&run_id=*&source=CLI";
        assert_eq!(read(everything, &admin()), Ok(Doomed { filter: None, owner: None }));
        let own = Doomed { filter: Some(Filter::eq("user_id", "ana").unwrap()), owner: Some("ana".into()) };
        assert_eq!(read(everything, &ana()), Ok(own));
        let own = Doomed { filter: Some(Filter::eq("user_id", "ana").unwrap()), owner: Some("ana".into()) };
        assert_eq!(read("user_id=*", &ana()), Ok(own));
        assert_eq!(read("agent_id=*", &admin()).unwrap().filter, Some(Filter::has_scope(ScopeKey::Agent)));
        let narrowed = read("user_id=ana&metadata={\"x\":1}", &admin()).unwrap();
        assert_eq!(narrowed.filter, Some(Filter::eq("user_id", "ana").unwrap().and(Filter::eq("x", 1).unwrap())));
    }
}
