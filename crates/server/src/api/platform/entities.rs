//! Users, agents, apps and runs: whoever memories are kept for.

use axum::extract::State;
use mnemon_store::filter::check_id;
use mnemon_store::{Filter, Owner, OwnerKind};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::TAG;
use super::delete_all::DeletedAll;
use super::dto::{Here, PageOf, PageQuery};
use crate::auth::{Caller, Reader, Writer};
use crate::error::Problem;
use crate::http::extract::{Json, Path, Query, WholePath};
use crate::service::app::Shared;
use crate::service::events::Doing;

/// Clients that delete everybody ask for the first page alone.
const PAGE: usize = 1000;

/// Somebody memories are kept for.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformEntity)]
pub(super) struct EntityRow {
    /// The same as `name`.
    id: String,
    name: String,
    /// user, agent, app or run
    r#type: &'static str,
    /// The user a key may see; null for an admin's.
    owner: Option<String>,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    total_memories: usize,
    /// When the first memory was stored.
    created_at: Option<String>,
    /// When the last was stored or changed.
    updated_at: Option<String>,
}

impl EntityRow {
    fn of(owner: Owner, caller: &Caller) -> Self {
        Self {
            id: owner.id.clone(),
            name: owner.id,
            r#type: owner.kind.as_str(),
            owner: caller.user.clone(),
            metadata: Map::new(),
            total_memories: owner.memories,
            created_at: owner.first,
            updated_at: owner.last,
        }
    }
}

/// A page of them.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformEntities)]
pub(super) struct Entities {
    count: usize,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<EntityRow>,
    total_users: usize,
    total_agents: usize,
    total_apps: usize,
    total_runs: usize,
}

/// Runs, apps, agents, then users: clients that delete all of them in this order find each still there.
async fn owners(app: &Shared, caller: &Caller) -> Result<Vec<Owner>, Problem> {
    let within = caller.user.clone();
    let mut owners = app.engine(move |engine| Ok(engine.owners(within.as_deref())?)).await?;
    if let Some(own) = &caller.user {
        owners.retain(|owner| owner.kind != OwnerKind::User || owner.id == *own);
    }
    owners.sort_by(|a, b| b.kind.cmp(&a.kind).then_with(|| a.id.cmp(&b.id)));
    Ok(owners)
}

/// Everybody memories are kept for
///
/// A user's key sees its own user, and the agents, apps and runs of that user's memories.
#[utoipa::path(get, path = "/v1/entities", tag = TAG, params(PageQuery),
    responses((status = 200, body = Entities)))]
pub(super) async fn list(
    State(app): State<Shared>,
    Reader(caller): Reader,
    here: Here,
    Query(query): Query<PageQuery>,
) -> Result<Json<Entities>, Problem> {
    let page = PageOf::new(query.page, query.page_size, PAGE)?;
    let owners = owners(&app, &caller).await?;
    let total = |kind: OwnerKind| owners.iter().filter(|owner| owner.kind == kind).count();
    let [total_users, total_agents, total_apps, total_runs] = OwnerKind::ALL.map(total);
    let rows = owners.into_iter().map(|owner| EntityRow::of(owner, &caller)).collect();
    let (count, rows) = page.of(rows);
    let paged = here.page(page, count, rows);
    Ok(Json(Entities {
        count,
        next: paged.next,
        previous: paged.previous,
        results: paged.results,
        total_users,
        total_agents,
        total_apps,
        total_runs,
    }))
}

/// Everybody memories can be filtered by
#[utoipa::path(get, path = "/v1/entities/filters", tag = TAG, responses((status = 200, body = Vec<EntityRow>)))]
pub(super) async fn filters(
    State(app): State<Shared>,
    Reader(caller): Reader,
) -> Result<Json<Vec<EntityRow>>, Problem> {
    let owners = owners(&app, &caller).await?;
    Ok(Json(owners.into_iter().map(|owner| EntityRow::of(owner, &caller)).collect()))
}

fn kind(name: &str) -> Result<OwnerKind, Problem> {
    OwnerKind::from_name(name).ok_or_else(|| Problem::not_found("An entity is a user, agent, app or run."))
}

/// Somebody memories are kept for, in a list of one
#[utoipa::path(get, path = "/v2/entities/{entity_type}/{entity_name}", tag = TAG,
    params(("entity_type" = String, Path), ("entity_name" = String, Path)),
    responses((status = 200, body = Vec<EntityRow>)))]
pub(super) async fn get(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Path((entity_type, name)): Path<(String, String)>,
) -> Result<Json<Vec<EntityRow>>, Problem> {
    let kind = kind(&entity_type)?;
    let found = owners(&app, &caller).await?.into_iter().find(|owner| owner.kind == kind && owner.id == name);
    let row = EntityRow::of(found.ok_or_else(|| Problem::not_found("There is no such entity."))?, &caller);
    Ok(Json(vec![row]))
}

/// Delete somebody's memories
///
/// The path must end in a slash. With a user go also events, exports and feedback of theirs. A user's key deletes memories of its own user only. Whoever
/// has no memories (left) is deleted too: 0 of them.
#[utoipa::path(delete, path = "/v2/entities/{entity_type}/{entity_name}", tag = TAG,
    params(("entity_type" = String, Path), ("entity_name" = String, Path)),
    responses((status = 200, body = DeletedAll)))]
pub(super) async fn delete(
    State(app): State<Shared>,
    Writer(caller): Writer,
    _: WholePath,
    Path((entity_type, name)): Path<(String, String)>,
) -> Result<Json<DeletedAll>, Problem> {
    let kind = kind(&entity_type)?;
    let name = check_id(&name).map_err(|fault| Problem::bad_request(format!("{entity_type}: {fault}")))?.to_owned();
    if kind == OwnerKind::User {
        caller.scope(Some(&name), None, None)?;
    }
    let asked = Filter::eq(kind.key(), name.as_str()).map_err(mnemon_engine::EngineError::from)?;
    let filter = caller.filter(Some(asked))?;
    let user = (kind == OwnerKind::User).then(|| name.clone());
    let owner = user.clone().or_else(|| caller.user.clone());
    let doing = Doing::new("DELETE_ALL", json!({"entity_type": kind.as_str(), "entity_name": name}));
    let (deleted, event_id) = app
        .with_webhooks(move |app| {
            app.delete_matching(filter.as_ref(), |deleted| {
                if let Some(user) = &user {
                    app.ledger.forget(user)?;
                }
                Ok((deleted, doing.done(app, owner.as_deref(), Vec::new())))
            })
        })
        .await?;
    Ok(Json(DeletedAll { message: "Entity deleted successfully!".to_owned(), event_id, deleted }))
}

/// Delete somebody's memories, as older clients do
#[utoipa::path(delete, path = "/v1/entities/{entity_type}/{entity_id}", tag = TAG,
    params(("entity_type" = String, Path), ("entity_id" = String, Path)),
    responses((status = 200, body = DeletedAll)))]
pub(super) async fn delete_old(
    state: State<Shared>,
    writer: Writer,
    whole: WholePath,
    path: Path<(String, String)>,
) -> Result<Json<DeletedAll>, Problem> {
    delete(state, writer, whole, path).await
}
