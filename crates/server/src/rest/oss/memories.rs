//! `/memories` of mem0's server.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Date;
use mnemon_engine::{AddRequest, LearnRequest, ListRequest, UpdateRequest};
use mnemon_store::{Filter, SessionMessage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::dto::{HistoryRow, Item, Raw};
use crate::app::Shared;
use crate::auth::{Caller, Reader, Writer};
use crate::body::{Body, Json, Path, Query, count, memory_id, some};
use crate::error::Problem;
use crate::learning::AddedFact;
use crate::rest::dto::{Done, Messages, MessagesDoc, moment, procedure};

const TAG: &str = "mem0 server";
/// mem0's page, if none is asked for.
const TOP_K: usize = 20;
/// The most of one page.
const MAX_TOP_K: usize = 1000;
/// The most messages of one request.
const MAX_MESSAGES: usize = 1000;

/// What to remember.
#[derive(Deserialize, ToSchema)]
pub(crate) struct AddBody {
    /// A text, a message, or a list of messages.
    #[schema(value_type = MessagesDoc)]
    messages: Messages,
    /// The person; a user's key fills in its own.
    user_id: Option<String>,
    /// The agent.
    agent_id: Option<String>,
    /// The run or conversation.
    run_id: Option<String>,
    /// Your own keys, stored with each memory.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// The last day the memories are shown, `YYYY-MM-DD`.
    #[schema(value_type = Option<String>, format = Date)]
    expiration_date: Option<Date>,
    /// Whether to extract facts, which is the default; otherwise every message is remembered as it is. Without a language
    /// model facts are the sentences that state something.
    infer: Option<bool>,
    /// `procedural_memory`: one record of what an agent did. Needs an agent_id and a language model.
    memory_type: Option<String>,
    /// When it was said: unix seconds, or RFC 3339.
    #[schema(value_type = Option<f64>)]
    timestamp: Option<Value>,
    /// What the language model is told beside its task.
    prompt: Option<String>,
    /// Whether to wait where a model is away, instead of answering 202 at once.
    sync: Option<bool>,
}

/// What was remembered.
#[derive(Serialize, ToSchema)]
pub(crate) struct AddAnswer {
    results: Vec<AddedItem>,
    /// Where facts were asked for, who extracted them: `llm`, or `extractive` without a language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    extractor: Option<&'static str>,
    /// Where facts were asked for: see /v1/event/{event_id}.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// `PENDING`, with 202: a model is away. The messages are kept, and worked on until it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A memory that was stored.
#[derive(Serialize, ToSchema)]
struct AddedItem {
    id: String,
    memory: String,
    /// ADD
    event: &'static str,
    actor_id: Option<String>,
    role: String,
}

impl From<AddedFact> for AddedItem {
    fn from(added: AddedFact) -> Self {
        Self { id: added.id, memory: added.memory, event: "ADD", actor_id: added.actor_id, role: added.role }
    }
}

impl AddBody {
    fn request(self, caller: &Caller) -> Result<AddRequest, Problem> {
        if self.messages.0.len() > MAX_MESSAGES {
            return Err(Problem::bad_request(format!(
                "more than {MAX_MESSAGES} messages; send them in several requests"
            )));
        }
        let timestamp = self.timestamp.as_ref().filter(|value| !value.is_null()).map(moment).transpose()?;
        Ok(AddRequest {
            timestamp,
            scope: caller.scope(self.user_id.as_deref(), self.agent_id.as_deref(), self.run_id.as_deref())?,
            messages: self.messages.0,
            metadata: self.metadata.unwrap_or_default(),
            expiration_date: self.expiration_date,
            ..AddRequest::default()
        })
    }
}

/// Remember messages
///
/// What was said is stored, durably, when this answers 200: as facts, or word for word with `infer` false. 202: a model is
/// away, and the messages are kept until it is back.
#[utoipa::path(post, path = "/memories", tag = TAG, request_body = AddBody,
    responses((status = 200, body = AddAnswer), (status = 202, body = AddAnswer)))]
pub(crate) async fn add(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Body(mut body): Body<AddBody>,
) -> Result<(StatusCode, Json<AddAnswer>), Problem> {
    let procedure = procedure(body.memory_type.as_deref())?;
    let (infer, sync) = (body.infer.unwrap_or(true) || procedure, body.sync.unwrap_or(false));
    let instructions = body.prompt.take().filter(|prompt| !prompt.trim().is_empty());
    let add = body.request(&caller)?;
    let mut answer = AddAnswer { results: Vec::new(), extractor: None, event_id: None, status: None, reason: None };
    if !infer {
        let added = app.add(add).await?.into_iter().map(AddedFact::from);
        answer.results = added.map(AddedItem::from).collect();
        return Ok((StatusCode::OK, Json(answer)));
    }
    let told = app.learn(LearnRequest { add, instructions, procedure }, sync).await?;
    answer.extractor = Some(told.extractor.as_str());
    answer.event_id = Some(told.event_id);
    Ok(match told.added {
        Ok(added) => {
            answer.results = added.into_iter().map(AddedItem::from).collect();
            (StatusCode::OK, Json(answer))
        }
        Err(reason) => {
            answer.status = Some("PENDING");
            answer.reason = Some(reason);
            (StatusCode::ACCEPTED, Json(answer))
        }
    })
}

/// Whose memories, and which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    user_id: Option<String>,
    agent_id: Option<String>,
    run_id: Option<String>,
    /// Most memories to return, 0 ..= 1000; 20 if absent, 1000 for an admin who names nobody.
    #[serde(default, deserialize_with = "count")]
    #[param(maximum = 1000)]
    top_k: Option<usize>,
    /// Shows expired memories too.
    show_expired: Option<bool>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// A page of memories, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ListAnswer {
    /// For everybody's memories `metadata` is all of the payload that has no field of its own.
    #[schema(value_type = Vec<Item>)]
    results: Vec<Listed>,
    /// How many there are on all pages.
    count: usize,
    /// Give this as `cursor` for the next page; null on the last.
    next: Option<String>,
}

/// A memory of a list.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Item(Item),
    Raw(Raw),
}

/// List memories, newest first
///
/// An admin who names nobody gets everybody's, expired ones included, each as it lies in the store.
#[utoipa::path(get, path = "/memories", tag = TAG, params(ListQuery), responses((status = 200, body = ListAnswer)))]
pub(crate) async fn list(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListAnswer>, Problem> {
    let named = query.user_id.is_some() || query.agent_id.is_some() || query.run_id.is_some();
    let everybody = !named && caller.is_admin();
    let filter = if everybody {
        None
    } else {
        let scope = caller.scope(query.user_id.as_deref(), query.agent_id.as_deref(), query.run_id.as_deref())?;
        Some(Filter::of_scope(&scope).ok_or_else(Problem::no_scope)?)
    };
    let limit = query.top_k.unwrap_or(if everybody { MAX_TOP_K } else { TOP_K });
    if limit > MAX_TOP_K {
        let message = format!("Input should be less than or equal to {MAX_TOP_K}");
        return Err(Problem::unprocessable(&["query", "top_k"], "less_than_equal", message, limit.into()));
    }
    let request = ListRequest {
        filter,
        cursor: query.cursor,
        limit: limit.max(1),
        show_expired: query.show_expired.unwrap_or(everybody),
        ..ListRequest::default()
    };
    let mut page = app.engine(move |engine| Ok(engine.list(&request)?)).await?;
    if limit == 0 {
        // Asked only how many there are; the page after it would leave one out.
        (page.items, page.next) = (Vec::new(), None);
    }
    let listed = |memory| if everybody { Listed::Raw(Item::raw(memory)) } else { Listed::Item(Item::of(memory)) };
    Ok(Json(ListAnswer { results: page.items.iter().map(listed).collect(), count: page.total, next: page.next }))
}

/// Whose memories are deleted. Anything else in the query is refused: it may be meant to narrow.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScopeQuery {
    user_id: Option<String>,
    agent_id: Option<String>,
    run_id: Option<String>,
}

/// Delete all memories of a user, agent or run
///
/// Those that carry all the ids named; a user's key deletes its own user's only.
#[utoipa::path(delete, path = "/memories", tag = TAG, params(ScopeQuery), responses((status = 200, body = Done)))]
pub(crate) async fn delete_all(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Query(query): Query<ScopeQuery>,
) -> Result<Json<Done>, Problem> {
    if query.user_id.is_none() && query.agent_id.is_none() && query.run_id.is_none() {
        return Err(Problem::bad_request("At least one identifier is required."));
    }
    let scope = caller.scope(query.user_id.as_deref(), query.agent_id.as_deref(), query.run_id.as_deref())?;
    let filter = Filter::of_scope(&scope).ok_or_else(Problem::no_scope)?;
    app.delete_all(Some(filter)).await?;
    Ok(Json(Done::new("All relevant memories deleted")))
}

/// A memory
///
/// mem0 answers 200 with `null` where there is none; here it is 404.
#[utoipa::path(get, path = "/memories/{memory_id}", tag = TAG, params(("memory_id" = String, Path)),
    responses((status = 200, body = Item)))]
pub(crate) async fn get(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Item>, Problem> {
    Ok(Json(Item::unscored(&app.get(&caller, memory_id(&id)?).await?)))
}

/// What to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
pub(crate) struct UpdateBody {
    /// The new text.
    text: Option<String>,
    /// Your own keys, in place of all that were there.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// A new last day, `YYYY-MM-DD`; null for none.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<String>, format = Date)]
    expiration_date: Option<Option<Date>>,
}

/// Change a memory
#[utoipa::path(put, path = "/memories/{memory_id}", tag = TAG, params(("memory_id" = String, Path)),
    request_body = UpdateBody, responses((status = 200, body = Done)))]
pub(crate) async fn update(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    Body(body): Body<UpdateBody>,
) -> Result<Json<Done>, Problem> {
    let request = UpdateRequest { text: body.text, metadata: body.metadata, expiration_date: body.expiration_date };
    app.update(&caller, memory_id(&id)?, request).await?;
    Ok(Json(Done::new("Memory updated successfully!")))
}

/// Delete a memory
#[utoipa::path(delete, path = "/memories/{memory_id}", tag = TAG, params(("memory_id" = String, Path)),
    responses((status = 200, body = Done)))]
pub(crate) async fn delete(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    app.delete(&caller, memory_id(&id)?).await?;
    Ok(Json(Done::new("Memory deleted successfully")))
}

/// The messages that a memory was extracted from.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sources {
    /// In the order they were said; those that were forgotten are left out.
    messages: Vec<SourceMessage>,
}

/// A message that a memory was extracted from.
#[derive(Serialize, ToSchema)]
struct SourceMessage {
    id: String,
    role: Option<String>,
    name: Option<String>,
    content: Option<String>,
    /// When it was said, RFC 3339.
    created_at: Option<String>,
}

/// The messages a memory was extracted from
///
/// Empty for memories that are a message themselves.
#[utoipa::path(get, path = "/memories/{memory_id}/sources", tag = TAG, params(("memory_id" = String, Path)),
    responses((status = 200, body = Sources)))]
pub(crate) async fn sources(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Sources>, Problem> {
    let memory = app.get(&caller, memory_id(&id)?).await?;
    let found = app.engine(move |engine| Ok(engine.source_messages(&memory)?)).await?;
    let message = |SessionMessage { id, role, name, content, created_at, .. }| SourceMessage {
        id,
        role,
        name,
        content,
        created_at,
    };
    Ok(Json(Sources { messages: found.into_iter().map(message).collect() }))
}

/// What happened to a memory, oldest first
///
/// Empty if nothing is known of the id, or it is not the caller's.
#[utoipa::path(get, path = "/memories/{memory_id}/history", tag = TAG, params(("memory_id" = String, Path)),
    responses((status = 200, body = Vec<HistoryRow>)))]
pub(crate) async fn history(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Vec<HistoryRow>>, Problem> {
    let Ok(id) = memory_id(&id) else { return Ok(Json(Vec::new())) };
    let rows = app.engine(move |engine| match engine.scope_of(id)? {
        Some(scope) if caller.owns(&scope) => Ok(engine.history(id)?),
        None if caller.is_admin() => Ok(engine.history(id)?),
        _ => Ok(Vec::new()),
    });
    Ok(Json(rows.await?.into_iter().map(HistoryRow::from).collect()))
}
