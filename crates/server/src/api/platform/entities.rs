//! Entities: the users, agents, apps and runs that own memories.

use axum::extract::State;
use mnemon_engine::{Event, RequestKind};
use mnemon_store::filter::check_id;
use mnemon_store::{Filter, Owner, OwnerKind, is_same_text};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::delete_all::DeletedAll;
use super::dto::{PageNumber, PageQuery, RequestUrl};
use crate::api::dto::tag;
use crate::auth::{Caller, Reader, Writer};
use crate::error::Problem;
use crate::http::extract::{Json, Path, Query, TrailingSlash};
use crate::service::AppState;

/// The default is the largest page, because clients that delete all entities read only the first page.
const DEFAULT_PAGE_SIZE: usize = 1000;

/// A user, agent, app or run that owns memories.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformEntity)]
pub(super) struct EntityRow {
    /// The same as `name`.
    id: String,
    name: String,
    /// `user`, `agent`, `app` or `run`
    r#type: &'static str,
    /// The user of the key; null for an admin key.
    owner: Option<String>,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    total_memories: usize,
    /// When the first memory was stored.
    created_at: Option<String>,
    /// When the last memory was stored or changed.
    updated_at: Option<String>,
}

impl EntityRow {
    fn new(owner: Owner, caller: &Caller) -> Self {
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

/// A page of entities, with totals by type.
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

/// The entities that the caller may see: runs, apps, agents, then users. Clients delete all entities in the order of
/// the list; with users last, each entity still exists when it is deleted.
async fn owners(app: &AppState, caller: &Caller) -> Result<Vec<Owner>, Problem> {
    let user = caller.user.clone();
    let mut owners = app.with_engine(move |engine| Ok(engine.owners(user.as_deref())?)).await?;
    if let Some(own) = &caller.user {
        owners.retain(|owner| owner.kind != OwnerKind::User || owner.id == *own);
    }
    owners.sort_by(|a, b| b.kind.cmp(&a.kind).then_with(|| a.id.cmp(&b.id)));
    Ok(owners)
}

/// List entities
///
/// A user's key sees its own user, and the agents, apps and runs of that user's memories.
#[utoipa::path(get, path = "/v1/entities", tag = tag::PLATFORM, params(PageQuery),
    responses((status = 200, body = Entities)))]
pub(super) async fn list(
    State(app): State<AppState>,
    Reader(caller): Reader,
    url: RequestUrl,
    Query(query): Query<PageQuery>,
) -> Result<Json<Entities>, Problem> {
    let page = PageNumber::new(query.page, query.page_size, DEFAULT_PAGE_SIZE)?;
    let owners = owners(&app, &caller).await?;
    let total = |kind: OwnerKind| owners.iter().filter(|owner| owner.kind == kind).count();
    let [total_users, total_agents, total_apps, total_runs] = OwnerKind::ALL.map(total);
    let rows = owners.into_iter().map(|owner| EntityRow::new(owner, &caller)).collect();
    let (count, rows) = page.slice(rows);
    let paged = url.page(page, count, rows);
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

/// List the entities that memories can be filtered by
#[utoipa::path(get, path = "/v1/entities/filters", tag = tag::PLATFORM,
    responses((status = 200, body = Vec<EntityRow>)))]
pub(super) async fn filters(
    State(app): State<AppState>,
    Reader(caller): Reader,
) -> Result<Json<Vec<EntityRow>>, Problem> {
    let owners = owners(&app, &caller).await?;
    Ok(Json(owners.into_iter().map(|owner| EntityRow::new(owner, &caller)).collect()))
}

fn kind(name: &str) -> Result<OwnerKind, Problem> {
    OwnerKind::from_name(name).ok_or_else(|| Problem::not_found("The type of an entity is user, agent, app or run."))
}

/// Get an entity, as a list with one item
#[utoipa::path(get, path = "/v2/entities/{entity_type}/{entity_name}", tag = tag::PLATFORM,
    params(("entity_type" = String, Path), ("entity_name" = String, Path)),
    responses((status = 200, body = Vec<EntityRow>)))]
pub(super) async fn get(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Path((entity_type, name)): Path<(String, String)>,
) -> Result<Json<Vec<EntityRow>>, Problem> {
    let kind = kind(&entity_type)?;
    let owners: Vec<Owner> = owners(&app, &caller).await?.into_iter().filter(|owner| owner.kind == kind).collect();
    // If a store of an older version has several forms of an id, the one that was asked for.
    let exact = owners.iter().position(|owner| owner.id == name);
    let found = exact.or_else(|| owners.iter().position(|owner| is_same_text(&owner.id, &name)));
    let found = found.and_then(|at| owners.into_iter().nth(at));
    let row = EntityRow::new(found.ok_or_else(|| Problem::not_found("This entity does not exist."))?, &caller);
    Ok(Json(vec![row]))
}

/// Delete all memories of an entity
///
/// The path must end in a slash. For a user, the user's events, exports and feedback are deleted as well. With a user's
/// key, only memories of its user are deleted. An entity without memories is answered with `deleted: 0`.
#[utoipa::path(delete, path = "/v2/entities/{entity_type}/{entity_name}", tag = tag::PLATFORM,
    extensions(("x-refuses-unknown" = json!(true))),
    params(("entity_type" = String, Path), ("entity_name" = String, Path)),
    responses((status = 200, body = DeletedAll)))]
pub(super) async fn delete(
    State(app): State<AppState>,
    Writer(caller): Writer,
    _: TrailingSlash,
    Path((entity_type, name)): Path<(String, String)>,
) -> Result<Json<DeletedAll>, Problem> {
    let kind = kind(&entity_type)?;
    let name = check_id(&name).map_err(|reason| Problem::bad_request(format!("{entity_type}: {reason}")))?.to_owned();
    if kind == OwnerKind::User {
        caller.scope(Some(&name), None, None)?;
    }
    let requested = Filter::eq(kind.key(), name.as_str()).map_err(mnemon_engine::EngineError::from)?;
    let filter = caller.filter(Some(requested))?;
    let user = (kind == OwnerKind::User).then(|| name.clone());
    let owner = user.clone().or_else(|| caller.user.clone());
    let event = Event::new(RequestKind::DeleteAll, json!({"entity_type": kind.as_str(), "entity_name": name}));
    let (deleted, event_id) = app.delete_all_with_event(filter, user, owner, event).await?;
    Ok(Json(DeletedAll { message: "Entity deleted successfully!".to_owned(), event_id, deleted }))
}

/// Delete all memories of an entity (older clients)
#[utoipa::path(delete, path = "/v1/entities/{entity_type}/{entity_id}", tag = tag::PLATFORM,
    extensions(("x-refuses-unknown" = json!(true))),
    params(("entity_type" = String, Path), ("entity_id" = String, Path)),
    responses((status = 200, body = DeletedAll)))]
pub(super) async fn delete_old(
    state: State<AppState>,
    writer: Writer,
    slash: TrailingSlash,
    path: Path<(String, String)>,
) -> Result<Json<DeletedAll>, Problem> {
    delete(state, writer, slash, path).await
}
