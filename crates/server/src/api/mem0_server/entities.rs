//! `/entities` of mem0's server: who has memories.

use axum::extract::State;
use mnemon_store::{Filter, Owner, OwnerKind, Scope};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::dto::Done;
use crate::auth::{Caller, Reader, Writer};
use crate::error::Problem;
use crate::http::extract::{Json, Path};
use crate::service::app::Shared;

const TAG: &str = "mem0 server";

/// Somebody, or something, that has memories.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntityItem {
    /// Its id.
    id: String,
    /// `user`, `agent` or `run`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Its memories, expired ones included.
    total_memories: usize,
    /// When the first was stored; null if nobody wrote that down.
    created_at: Option<String>,
    /// When the last was stored or changed.
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
/// All of them, sorted by type and id. A user's key sees those that its own user's memories belong to, and counts only
/// these.
#[utoipa::path(get, path = "/entities", tag = TAG, responses((status = 200, body = Vec<EntityItem>)))]
pub(crate) async fn list(State(app): State<Shared>, Reader(caller): Reader) -> Result<Json<Vec<EntityItem>>, Problem> {
    let mut owners = app.engine(move |engine| Ok(engine.owners(caller.user.as_deref())?)).await?;
    owners.retain(|owner| owner.kind != OwnerKind::App);
    owners.sort_by(|a, b| (a.kind.as_str(), &a.id).cmp(&(b.kind.as_str(), &b.id)));
    Ok(Json(owners.into_iter().map(EntityItem::from).collect()))
}

/// Delete all memories of a user, agent or run
///
/// With a user go events, exports and feedback of theirs; API keys stay until they are revoked, and the history stays. A user's key deletes of an
/// agent or run only its own user's memories.
#[utoipa::path(delete, path = "/entities/{entity_type}/{entity_id}", tag = TAG,
    params(("entity_type" = String, Path, description = "`user`, `agent` or `run`"), ("entity_id" = String, Path)),
    responses((status = 200, body = Done)))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Json<Done>, Problem> {
    let kind = OwnerKind::from_name(&kind).filter(|kind| *kind != OwnerKind::App).ok_or_else(|| {
        let message = "Input should be 'user', 'agent' or 'run'".to_owned();
        Problem::unprocessable(&["path", "entity_type"], "literal_error", message, kind.into())
    })?;
    let filter = whose(&caller, kind, &id)?;
    let mut gone = app.delete_all(Some(filter)).await?;
    if kind == OwnerKind::User {
        let id = id.clone();
        gone += app.ledger(move |ledger| ledger.forget(&id)).await?;
    }
    if gone == 0 {
        let id: String = id.chars().take(80).collect();
        return Err(Problem::not_found(format!("There is nothing of {} `{id}`.", kind.as_str())));
    }
    Ok(Json(Done::new("Entity deleted")))
}

/// The memories that carry this very id, within the caller's own. It is compared as it is: `*` is an id like any other,
/// and what an older server let in can be deleted.
fn whose(caller: &Caller, kind: OwnerKind, id: &str) -> Result<Filter, Problem> {
    let mut scope = Scope::default();
    match kind {
        OwnerKind::User if caller.user.as_deref().is_some_and(|own| own != id) => return Err(Problem::not_yours()),
        OwnerKind::User => scope.user_id = Some(id.to_owned()),
        OwnerKind::Agent => scope.agent_id = Some(id.to_owned()),
        _ => scope.run_id = Some(id.to_owned()),
    }
    if caller.user.is_some() {
        scope.user_id.clone_from(&caller.user);
    }
    Filter::of_scope(&scope).ok_or_else(Problem::no_scope)
}
