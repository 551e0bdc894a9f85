//! One memory, as the hosted platform's clients read, change and delete it.

use axum::extract::State;
use jiff::civil::Date;
use mnemon_engine::UpdateRequest;
use mnemon_store::{HistoryEvent, Memory, MemoryId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::TAG;
use super::add::own_metadata;
use super::dto::{CATEGORIES, MemoryDoc, TIMESTAMP, is_promoted, memory, project};
use super::events::{Doing, result};
use crate::app::{App, Shared};
use crate::auth::{Caller, Reader, Writer};
use crate::body::{Body, Json, Path, Query, memory_id, some};
use crate::error::Problem;
use crate::memories::may_change;
use crate::rest::dto::moment;
use crate::webhooks::{Happened, HappenedKind};

/// A memory
#[utoipa::path(get, path = "/v1/memories/{memory_id}", tag = TAG, params(("memory_id" = String, Path)),
    responses((status = 200, body = MemoryDoc)))]
pub(super) async fn get(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Map<String, Value>>, Problem> {
    Ok(Json(memory(&app.get(&caller, memory_id(&id)?).await?)))
}

/// What to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformUpdate)]
pub(super) struct UpdateBody {
    /// The new text.
    text: Option<String>,
    /// Your own keys, in place of all that were there.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// When it was said: unix seconds, or RFC 3339.
    #[schema(value_type = Option<f64>)]
    timestamp: Option<Value>,
    /// A new last day, `YYYY-MM-DD`; null for none.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<String>, format = Date)]
    expiration_date: Option<Option<Date>>,
}

impl UpdateBody {
    pub(super) fn change(self) -> Result<Change, Problem> {
        if let Some(metadata) = &self.metadata {
            own_metadata(metadata)?;
        }
        Ok(Change {
            text: self.text,
            metadata: self.metadata,
            timestamp: self.timestamp.as_ref().filter(|value| !value.is_null()).map(moment).transpose()?,
            expiration_date: self.expiration_date,
        })
    }
}

/// A change of one memory.
#[derive(Default)]
pub(super) struct Change {
    pub(super) text: Option<String>,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) timestamp: Option<jiff::Timestamp>,
    pub(super) expiration_date: Option<Option<Date>>,
}

impl Change {
    /// The change for the engine, which knows nothing of the platform's keys: they stay. Refuses memories that may not
    /// be changed.
    pub(super) fn of(self, old: &Memory) -> Result<UpdateRequest, Problem> {
        may_change(old)?;
        let mut metadata = self.metadata;
        if metadata.is_some() || self.timestamp.is_some() {
            let replaced = metadata.is_some();
            let kept = old.payload.metadata().filter(|(key, value)| !replaced || is_promoted(key, value));
            let mut all: Map<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
            all.extend(metadata.unwrap_or_default());
            if let Some(timestamp) = self.timestamp {
                all.insert(TIMESTAMP.into(), timestamp.to_string().into());
            }
            metadata = Some(all);
        }
        Ok(UpdateRequest { text: self.text, metadata, expiration_date: self.expiration_date })
    }
}

/// Change a memory
///
/// A key that may not read gets the id alone.
#[utoipa::path(put, path = "/v1/memories/{memory_id}", tag = TAG, params(("memory_id" = String, Path)),
    request_body = UpdateBody, responses((status = 200, body = MemoryDoc)))]
pub(super) async fn update(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    Body(body): Body<UpdateBody>,
) -> Result<Json<Map<String, Value>>, Problem> {
    let id = memory_id(&id)?;
    let change = body.change()?;
    let doing = Doing::new("UPDATE", json!({"memory_id": id.to_string()}));
    let hidden = (!caller.access.read).then(|| ["id".to_owned()]);
    let changed = app.with_webhooks(move |app| {
        let old = app.must_own(&caller, id)?;
        let changed = app.engine.update(id, &change.of(&old)?)?;
        let owner = changed.payload.scope().user_id;
        let results = vec![result(id, "UPDATE", changed.payload.text(), owner.as_deref())];
        doing.done(app, owner.as_deref(), results);
        Ok((vec![Happened::to(HappenedKind::Update, &changed)], changed))
    });
    Ok(Json(project(memory(&changed.await?), hidden.as_ref().map(<[String; 1]>::as_slice))))
}

/// What goes with it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// Also deletes the memories it links to.
    delete_linked: Option<bool>,
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformDeleted)]
pub(super) struct Deleted {
    message: &'static str,
    /// Linked memories that went with it.
    cascade_count: usize,
    /// See /v1/event/{event_id}.
    event_id: String,
}

/// Delete a memory
#[utoipa::path(delete, path = "/v1/memories/{memory_id}", tag = TAG,
    params(("memory_id" = String, Path), DeleteQuery), responses((status = 200, body = Deleted)))]
pub(super) async fn delete(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    Query(query): Query<DeleteQuery>,
) -> Result<Json<Deleted>, Problem> {
    let id = memory_id(&id)?;
    let linked = query.delete_linked.unwrap_or(false);
    let doing = Doing::new("DELETE", json!({"memory_id": id.to_string(), "delete_linked": linked}));
    let (cascade_count, event_id) = app
        .with_webhooks(move |app| {
            let first = app.must_own(&caller, id)?;
            let mut going = vec![first];
            if linked {
                going.extend(links_of(app, &caller, id)?);
            }
            let owner = going[0].payload.scope().user_id;
            let mut gone = Vec::new();
            for memory in going {
                match app.engine.delete(memory.id) {
                    Ok(()) => gone.push(memory),
                    // Of those that go along, one that is gone already is no fault.
                    Err(_) if !gone.is_empty() && is_gone(app, memory.id)? => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let results = gone.iter().map(|memory| {
                result(memory.id, "DELETE", memory.payload.text(), memory.payload.scope().user_id.as_deref())
            });
            let event_id = doing.done(app, owner.as_deref(), results.collect());
            let happened = gone.iter().map(|memory| Happened::to(HappenedKind::Delete, memory)).collect();
            Ok((happened, (gone.len() - 1, event_id)))
        })
        .await?;
    Ok(Json(Deleted { message: "Memory deleted successfully!", cascade_count, event_id }))
}

/// The caller's memories that a memory links to.
fn links_of(app: &App, caller: &Caller, id: MemoryId) -> Result<Vec<Memory>, Problem> {
    let mut targets: Vec<MemoryId> = Vec::new();
    for link in app.engine.store().links_of(id)? {
        if link.source == id && link.target != id && !targets.contains(&link.target) {
            targets.push(link.target);
        }
    }
    let found = app.engine.store().get(&targets)?;
    Ok(found.into_iter().flatten().filter(|memory| caller.owns(&memory.payload.scope())).collect())
}

fn is_gone(app: &App, id: MemoryId) -> Result<bool, Problem> {
    Ok(app.engine.store().get(&[id])?.pop().flatten().is_none())
}

/// Something that happened to a memory.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformHistory)]
pub(super) struct HistoryRow {
    id: String,
    memory_id: String,
    /// What the memory was made from; here its text.
    input: Vec<Input>,
    old_memory: Option<String>,
    new_memory: Option<String>,
    user_id: Option<String>,
    agent_id: Option<String>,
    app_id: Option<String>,
    /// The run or conversation.
    session_id: Option<String>,
    categories: Vec<String>,
    /// ADD, UPDATE or DELETE.
    event: String,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

/// A message.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformInput)]
struct Input {
    role: String,
    content: String,
}

impl HistoryRow {
    /// App, categories and metadata are those the memory has now: its history keeps texts alone.
    fn of(event: HistoryEvent, now: Option<&Map<String, Value>>) -> Self {
        let field = |key: &str| now.and_then(|now| now.get(key)).cloned().unwrap_or_default();
        let content = event.new_memory.as_deref().or(event.old_memory.as_deref()).unwrap_or_default().to_owned();
        Self {
            input: vec![Input { role: event.role.unwrap_or_else(|| "user".into()), content }],
            id: event.id,
            memory_id: event.memory_id,
            old_memory: event.old_memory,
            new_memory: event.new_memory,
            user_id: event.scope.user_id,
            agent_id: event.scope.agent_id,
            app_id: field("app_id").as_str().map(str::to_owned),
            session_id: event.scope.run_id,
            categories: serde_json::from_value(field(CATEGORIES)).unwrap_or_default(),
            event: event.event,
            metadata: match field("metadata") {
                Value::Object(metadata) => metadata,
                _ => Map::new(),
            },
            created_at: event.created_at,
            updated_at: event.updated_at,
        }
    }
}

/// What happened to a memory, oldest first
///
/// Empty if nothing is known of the id, or it is not the caller's.
#[utoipa::path(get, path = "/v1/memories/{memory_id}/history", tag = TAG, params(("memory_id" = String, Path)),
    responses((status = 200, body = Vec<HistoryRow>)))]
pub(super) async fn history(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Vec<HistoryRow>>, Problem> {
    let id = memory_id(&id)?;
    let rows = app.engine(move |engine| {
        let events = match engine.scope_of(id)? {
            Some(scope) if caller.owns(&scope) => engine.history(id)?,
            None if caller.is_admin() => engine.history(id)?,
            _ => Vec::new(),
        };
        let now = engine.store().get(&[id])?.pop().flatten().filter(|found| caller.owns(&found.payload.scope()));
        let now = now.map(|found| memory(&found));
        Ok(events.into_iter().map(|event| HistoryRow::of(event, now.as_ref())).collect())
    });
    Ok(Json(rows.await?))
}
