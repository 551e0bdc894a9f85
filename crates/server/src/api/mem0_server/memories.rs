//! `/memories` of mem0's server.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Date;
use mnemon_engine::{AddOutcome, AddRequest, AddedMemory, LearnRequest, ListRequest, UpdateRequest};
use mnemon_store::{Filter, HistoryEvent, SessionMessage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::dto::{HistoryRow, Item};
use crate::answer;
use crate::api::dto::{Done, Messages, MessagesDoc, NotLearnt, is_procedural, one_value, optional_timestamp, tag};
use crate::auth::{Caller, Reader, Writer};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, Path, Query, day, double_day, memory_id, usize_or_text};
use crate::service::{AppState, visible_history};

/// mem0's default page size.
const DEFAULT_TOP_K: usize = 20;
/// The largest page.
const MAX_TOP_K: usize = 1000;
/// Most messages of one request.
const MAX_MESSAGES: usize = 1000;

/// Request of `POST /memories`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct AddBody {
    /// The messages: a text, a message, or a list of messages.
    #[schema(value_type = MessagesDoc)]
    messages: Messages,
    /// The user; by default the user of the key.
    user_id: Option<String>,
    /// The agent.
    agent_id: Option<String>,
    /// The run or conversation.
    run_id: Option<String>,
    /// Your metadata, stored with each memory.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// The last day on which the memories are shown, `YYYY-MM-DD`; days are those of UTC.
    #[serde(default, deserialize_with = "day")]
    #[schema(value_type = Option<String>, format = Date)]
    expiration_date: Option<Date>,
    /// Whether to extract facts; default true. If false, every message is stored verbatim. Without a language model,
    /// built-in rules extract the sentences that state something.
    infer: Option<bool>,
    /// `procedural_memory`: store one summary of what an agent did. Requires an agent_id and a language model.
    memory_type: Option<String>,
    /// The time of the messages: unix seconds, or RFC 3339.
    #[schema(value_type = Option<f64>)]
    timestamp: Option<Value>,
    /// Additional instructions for the extraction.
    prompt: Option<String>,
    /// If a model is unavailable: whether to wait for it instead of answering 202 at once.
    sync: Option<bool>,
}

/// Response of `POST /memories`.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct AddAnswer {
    results: Vec<AddedItem>,
    /// What extracted the facts: `llm`, or `extractive` for the built-in rules. Absent if `infer` is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    extractor: Option<&'static str>,
    /// The event of the extraction, see /v1/event/{event_id}. Absent if `infer` is false.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    /// `PENDING`, with status 202: the messages are stored and queued until a model is available.
    /// `FAILED`, with status 202: nothing could be learnt, and the request is parked, see /v1/parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// Why the request is pending or parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Which messages, or parts of them, are not stored: instructions, tool calls, images.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Messages that nothing was learnt from, because the language model refuses them. Absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_learnt: Vec<NotLearnt>,
}

/// A memory that was stored.
#[derive(Serialize, ToSchema)]
struct AddedItem {
    id: String,
    memory: String,
    /// `ADD`
    event: &'static str,
    actor_id: Option<String>,
    role: String,
}

impl From<AddedMemory> for AddedItem {
    fn from(added: AddedMemory) -> Self {
        let AddedMemory { id, memory, actor_id, role, .. } = added;
        Self { id: id.to_string(), memory, event: "ADD", actor_id, role: role.into() }
    }
}

impl AddBody {
    fn request(self, caller: &Caller) -> Result<AddRequest, Problem> {
        if self.messages.0.len() > MAX_MESSAGES {
            return Err(Problem::bad_request(format!(
                "there are more than {MAX_MESSAGES} messages; split them into several requests"
            )));
        }
        Ok(AddRequest {
            timestamp: optional_timestamp(self.timestamp.as_ref())?,
            scope: caller.scope(self.user_id.as_deref(), self.agent_id.as_deref(), self.run_id.as_deref())?,
            messages: self.messages.0,
            metadata: self.metadata.unwrap_or_default(),
            expiration_date: self.expiration_date,
            ..AddRequest::default()
        })
    }
}

/// Add memories
///
/// Status 200: the memories are stored durably, as extracted facts, or verbatim if `infer` is false. Status 202: a
/// model is unavailable; the messages are stored and queued until it is available (`PENDING`), or nothing can be learnt
/// from them, and the request is parked (`FAILED`).
#[utoipa::path(post, path = "/memories", tag = tag::MEM0_SERVER, request_body = AddBody,
    responses((status = 200, body = AddAnswer), (status = 202, body = AddAnswer), (status = 409, body = ErrorBody),
        (status = 502, body = ErrorBody)))]
pub(crate) async fn add(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Body(mut body): Body<AddBody>,
) -> Result<(StatusCode, Json<AddAnswer>), Problem> {
    let procedure = is_procedural(body.memory_type.as_deref())?;
    let (infer, sync) = (body.infer.unwrap_or(true) || procedure, body.sync.unwrap_or(false));
    if !infer {
        let unused = [("prompt", body.prompt.is_some()), ("sync", body.sync.is_some())];
        unused.into_iter().filter(|(_, given)| *given).for_each(|(name, _)| answer::ignore(name));
    }
    let instructions = body.prompt.take().filter(|prompt| !prompt.trim().is_empty());
    let add = body.request(&caller)?;
    let mut answer = AddAnswer { note: add.skipped(), ..AddAnswer::default() };
    if !infer {
        answer.results = app.add(add).await?.into_iter().map(AddedItem::from).collect();
        return Ok((StatusCode::OK, Json(answer)));
    }
    let reply = app.learn(LearnRequest { add, instructions, procedure }, sync).await?;
    answer.extractor = Some(reply.extractor.as_str());
    answer.event_id = Some(reply.event_id);
    answer.not_learnt = reply.not_learnt.into_iter().map(NotLearnt::from).collect();
    Ok(match reply.outcome {
        AddOutcome::Stored(stored) => {
            answer.results = stored.into_iter().map(AddedItem::from).collect();
            (StatusCode::OK, Json(answer))
        }
        AddOutcome::Pending { public_reason, .. } => {
            answer.status = Some("PENDING");
            answer.reason = Some(public_reason.to_owned());
            (StatusCode::ACCEPTED, Json(answer))
        }
        AddOutcome::Parked { public_reason, .. } => {
            answer.status = Some("FAILED");
            answer.reason = Some(public_reason.to_owned());
            (StatusCode::ACCEPTED, Json(answer))
        }
        AddOutcome::Cancelled => return Err(Problem::cancelled()),
    })
}

/// Query of `GET /memories`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    user_id: Option<String>,
    agent_id: Option<String>,
    run_id: Option<String>,
    /// Page size, 0 to 1000; default 20, or 1000 for an admin who names no ids.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[param(maximum = 1000)]
    top_k: Option<usize>,
    /// Another name for `top_k`.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[param(maximum = 1000)]
    limit: Option<usize>,
    /// Another name for `top_k`.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[param(maximum = 1000)]
    page_size: Option<usize>,
    /// The number of the page, from 1; not together with `cursor`.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[param(minimum = 1)]
    page: Option<usize>,
    /// Whether to include expired memories.
    show_expired: Option<bool>,
    /// Whether to leave out facts that newer ones replace.
    latest_only: Option<bool>,
    /// The `next` of the previous page.
    cursor: Option<String>,
}

impl ListQuery {
    /// The page size, if the request gives one.
    fn limit(&self) -> Result<Option<usize>, Problem> {
        let names = [("top_k", self.top_k), ("limit", self.limit), ("page_size", self.page_size)];
        if let Some((name, Some(limit))) = names.iter().find(|(_, limit)| limit.is_some_and(|limit| limit > MAX_TOP_K))
        {
            let message = format!("Input should be less than or equal to {MAX_TOP_K}");
            return Err(Problem::unprocessable(&["query", name], "less_than_equal", message, (*limit).into()));
        }
        one_value(&names)
    }

    /// Number of memories on the pages before.
    fn offset(&self, limit: usize) -> Result<usize, Problem> {
        let Some(page) = self.page else { return Ok(0) };
        if self.cursor.is_some() {
            return Err(Problem::bad_request("page and cursor are both given; give only one of them").param("page"));
        }
        let before = page.checked_sub(1).and_then(|before| before.checked_mul(limit.max(1)));
        before.filter(|before| *before <= i64::MAX as usize).ok_or_else(|| {
            Problem::unprocessable(&["query", "page"], "value_error", "must be 1 or more".to_owned(), page.into())
        })
    }
}

/// A page of memories, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct ListAnswer {
    /// If an admin names no ids, each memory has all keys of its payload.
    #[schema(value_type = Vec<Item>)]
    results: Vec<Listed>,
    /// Number of memories on all pages.
    count: usize,
    /// The same as `count`.
    total: usize,
    /// The `cursor` of the next page; null on the last page.
    next: Option<String>,
}

/// A memory in a list.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Item(Box<Item>),
    WholePayload(Map<String, Value>),
}

/// List memories, newest first
///
/// An admin who names no ids gets the memories of all users, including expired ones, with their complete payloads.
#[utoipa::path(get, path = "/memories", tag = tag::MEM0_SERVER, params(ListQuery),
    responses((status = 200, body = ListAnswer)))]
pub(crate) async fn list(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Query(query): Query<ListQuery>,
) -> Result<Json<ListAnswer>, Problem> {
    let named = query.user_id.is_some() || query.agent_id.is_some() || query.run_id.is_some();
    let all_users = !named && caller.is_admin();
    let filter = if all_users {
        None
    } else {
        let scope = caller.scope(query.user_id.as_deref(), query.agent_id.as_deref(), query.run_id.as_deref())?;
        Some(Filter::of_scope(&scope).ok_or_else(Problem::no_scope)?)
    };
    let limit = query.limit()?.unwrap_or(if all_users { MAX_TOP_K } else { DEFAULT_TOP_K });
    let request = ListRequest {
        filter,
        offset: query.offset(limit)?,
        cursor: query.cursor,
        limit: limit.max(1),
        show_expired: query.show_expired.unwrap_or(all_users),
        latest_only: query.latest_only.unwrap_or(false),
        ..ListRequest::default()
    };
    let mut page = app.with_engine(move |engine| Ok(engine.list(&request)?)).await?;
    if limit == 0 {
        // Only the count was requested. One memory was read, so its cursor would skip that memory.
        (page.items, page.next) = (Vec::new(), None);
    }
    let listed = |memory| match all_users {
        true => Listed::WholePayload(Item::with_whole_payload(memory)),
        false => Listed::Item(Box::new(Item::new(memory))),
    };
    let results = page.items.iter().map(listed).collect();
    Ok(Json(ListAnswer { results, count: page.total, total: page.total, next: page.next }))
}

/// Query of `DELETE /memories`. Unknown parameters are refused, because they may be meant as conditions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScopeQuery {
    user_id: Option<String>,
    agent_id: Option<String>,
    run_id: Option<String>,
}

/// Delete all memories of a user, agent or run
///
/// Deletes the memories that have all of the ids. With a user's key, only memories of its user are deleted.
#[utoipa::path(delete, path = "/memories", tag = tag::MEM0_SERVER, params(ScopeQuery),
    extensions(("x-refuses-unknown" = json!(true))),
    responses((status = 200, body = Done)))]
pub(crate) async fn delete_all(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Query(query): Query<ScopeQuery>,
) -> Result<Json<Done>, Problem> {
    if query.user_id.is_none() && query.agent_id.is_none() && query.run_id.is_none() {
        return Err(Problem::bad_request("At least one identifier is required."));
    }
    let scope = caller.scope(query.user_id.as_deref(), query.agent_id.as_deref(), query.run_id.as_deref())?;
    let filter = Filter::of_scope(&scope).ok_or_else(Problem::no_scope)?;
    app.delete_all(Some(filter), None).await?;
    Ok(Json(Done::new("All relevant memories deleted")))
}

/// Get a memory
///
/// An unknown id is answered with 404; mem0's server answers 200 with `null`.
#[utoipa::path(get, path = "/memories/{memory_id}", tag = tag::MEM0_SERVER, params(("memory_id" = String, Path)),
    responses((status = 200, body = Item)))]
pub(crate) async fn get(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Item>, Problem> {
    Ok(Json(Item::unscored(&app.get(&caller, memory_id(&id)?).await?)))
}

/// Request of `PUT /memories/{memory_id}`; absent fields stay.
#[derive(Deserialize, ToSchema)]
pub(crate) struct UpdateBody {
    /// The new text.
    text: Option<String>,
    /// Metadata to set; keys that are not given stay.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// The new last day on which the memory is shown, `YYYY-MM-DD`, a day of UTC; null removes it.
    #[serde(default, deserialize_with = "double_day")]
    #[schema(value_type = Option<String>, format = Date)]
    expiration_date: Option<Option<Date>>,
}

/// Change a memory
#[utoipa::path(put, path = "/memories/{memory_id}", tag = tag::MEM0_SERVER, params(("memory_id" = String, Path)),
    request_body = UpdateBody, responses((status = 200, body = Done), (status = 502, body = ErrorBody)))]
pub(crate) async fn update(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    Body(body): Body<UpdateBody>,
) -> Result<Json<Done>, Problem> {
    let request = UpdateRequest {
        text: body.text,
        metadata: body.metadata,
        expiration_date: body.expiration_date,
        ..UpdateRequest::default()
    };
    app.update(&caller, memory_id(&id)?, request).await?;
    Ok(Json(Done::new("Memory updated successfully!")))
}

/// Delete a memory
#[utoipa::path(delete, path = "/memories/{memory_id}", tag = tag::MEM0_SERVER, params(("memory_id" = String, Path)),
    responses((status = 200, body = Done)))]
pub(crate) async fn delete(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    app.delete(&caller, memory_id(&id)?).await?;
    Ok(Json(Done::new("Memory deleted successfully")))
}

/// The messages that a memory was extracted from.
#[derive(Serialize, ToSchema)]
pub(crate) struct Sources {
    /// In the order of the conversation, without messages that were deleted.
    messages: Vec<SourceMessage>,
}

/// A message that a memory was extracted from.
#[derive(Serialize, ToSchema)]
struct SourceMessage {
    id: String,
    role: Option<String>,
    name: Option<String>,
    content: Option<String>,
    /// The time of the message, RFC 3339.
    created_at: Option<String>,
}

/// Get the messages that a memory was extracted from
///
/// Empty if the memory was stored verbatim.
#[utoipa::path(get, path = "/memories/{memory_id}/sources", tag = tag::MEM0_SERVER,
    params(("memory_id" = String, Path)), responses((status = 200, body = Sources)))]
pub(crate) async fn sources(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Sources>, Problem> {
    let memory = app.get(&caller, memory_id(&id)?).await?;
    let found = app.with_engine(move |engine| Ok(engine.source_messages(&memory)?)).await?;
    let message = |SessionMessage { id, role, name, content, created_at, .. }| SourceMessage {
        id,
        role: role.map(String::from),
        name,
        content,
        created_at,
    };
    Ok(Json(Sources { messages: found.into_iter().map(message).collect() }))
}

/// Get the history of a memory, oldest first
///
/// Empty if the id is unknown, or if the memory is not the caller's.
#[utoipa::path(get, path = "/memories/{memory_id}/history", tag = tag::MEM0_SERVER,
    params(("memory_id" = String, Path)), responses((status = 200, body = Vec<HistoryRow>)))]
pub(crate) async fn history(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Vec<HistoryEvent>>, Problem> {
    let Ok(id) = memory_id(&id) else { return Ok(Json(Vec::new())) };
    let events = app.with_engine(move |engine| visible_history(engine, &caller, id));
    Ok(Json(events.await?))
}
