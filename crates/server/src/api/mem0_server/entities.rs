//! `/entities` of mem0's server: the owners of memories.

use axum::extract::State;
use mnemon_store::{Filter, Owner, OwnerKind, Scope};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::dto::{Done, tag};
use crate::auth::{Caller, Reader, Writer};
use crate::error::Problem;
use crate::http::extract::{Json, Path};
use crate::service::AppState;

/// A user, agent or run with memories.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntityItem {
    /// The id.
    id: String,
    /// `user`, `agent` or `run`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Number of memories, including expired ones.
    total_memories: usize,
    /// When the first memory was stored; null if unknown.
    created_at: Option<String>,
    /// When the last memory was stored or changed.
    updated_at: Option<String>,
}

impl From<Owner> for EntityItem {
    fn from(owner: Owner) -> Self {
        Self {
            id: owner.id,
            kind: owner.kind.as_str(),
            total_memories: owner.memories,
            created_at: owner.first,
            updated_at: owner.last,
        }
    }
}

/// List users, agents and runs that have memories
///
/// Sorted by type and id. A user's key sees the owners of its user's memories, and counts only these memories.
#[utoipa::path(get, path = "/entities", tag = tag::MEM0_SERVER, responses((status = 200, body = Vec<EntityItem>)))]
pub(crate) async fn list(
    State(app): State<AppState>,
    Reader(caller): Reader,
) -> Result<Json<Vec<EntityItem>>, Problem> {
    let mut owners = app.with_engine(move |engine| Ok(engine.owners(caller.user.as_deref())?)).await?;
    owners.retain(|owner| owner.kind != OwnerKind::App);
    owners.sort_by(|a, b| (a.kind.as_str(), &a.id).cmp(&(b.kind.as_str(), &b.id)));
    Ok(Json(owners.into_iter().map(EntityItem::from).collect()))
}

/// Delete all memories of a user, agent or run
///
/// For a user, the user's events, exports and feedback are deleted as well; the history stays, and API keys stay until
/// they are revoked. With a user's key, only the memories of that user are deleted.
#[utoipa::path(delete, path = "/entities/{entity_type}/{entity_id}", tag = tag::MEM0_SERVER,
    params(("entity_type" = String, Path, description = "`user`, `agent` or `run`"), ("entity_id" = String, Path)),
    extensions(("x-refuses-unknown" = json!(true))),
    responses((status = 200, body = Done)))]
pub(crate) async fn delete(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Json<Done>, Problem> {
    let kind = OwnerKind::from_name(&kind).filter(|kind| *kind != OwnerKind::App).ok_or_else(|| {
        let message = "Input should be 'user', 'agent' or 'run'".to_owned();
        Problem::unprocessable(&["path", "entity_type"], "literal_error", message, kind.into())
    })?;
    let filter = owner_filter(&caller, kind, &id)?;
    let user = (kind == OwnerKind::User).then(|| id.clone());
    let deleted = app.delete_all(Some(filter), user).await?;
    if deleted == 0 {
        let id: String = id.chars().take(80).collect();
        return Err(Problem::not_found(format!("No memories or other data of {} `{id}` exist.", kind.as_str())));
    }
    Ok(Json(Done::new("Entity deleted")))
}

/// Matches the memories with exactly this id, within the caller's own. The id is not validated: `*` is an id like any
/// other, and ids that an older server accepted can be deleted.
fn owner_filter(caller: &Caller, kind: OwnerKind, id: &str) -> Result<Filter, Problem> {
    let mut scope = Scope::default();
    match kind {
        OwnerKind::User if !caller.is_admin() && !caller.is_named(id) => return Err(Problem::wrong_user()),
        OwnerKind::User => scope.user_id = Some(id.to_owned()),
        OwnerKind::Agent => scope.agent_id = Some(id.to_owned()),
        _ => scope.run_id = Some(id.to_owned()),
    }
    if caller.user.is_some() {
        scope.user_id.clone_from(&caller.user);
    }
    Filter::of_scope(&scope).ok_or_else(Problem::no_scope)
}
