//! Parked requests: nothing was learnt from them, and they are kept until they are tried again, edited or dropped.

use axum::extract::State;
use jiff::Timestamp;
use mnemon_engine::{Message, ParkedRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::dto::{Done, Messages, MessagesDoc, tag};
use crate::auth::{Caller, Reader, Writer};
use crate::error::Problem;
use crate::http::extract::{Body, Json, Path};
use crate::service::AppState;

/// A request whose messages are kept, and from which nothing was learnt.
#[derive(Serialize, ToSchema)]
pub(super) struct Parked {
    /// The id of its event.
    event_id: String,
    user_id: Option<String>,
    agent_id: Option<String>,
    run_id: Option<String>,
    /// Its messages: role, content and name.
    #[schema(value_type = Vec<MessagesDoc>)]
    messages: Vec<Value>,
    /// Number of failed attempts.
    attempts: usize,
    /// Why the last one failed.
    error: String,
    /// The code of that error.
    code: Option<String>,
    /// That error with the message of the model's service; only with an admin's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_detail: Option<String>,
    /// When the request was received.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was parked.
    #[schema(value_type = String, format = DateTime)]
    parked_at: Timestamp,
}

impl Parked {
    fn of(request: ParkedRequest, caller: &Caller) -> Self {
        let message = |message: &Message| {
            let mut shown = serde_json::json!({"role": message.role, "content": message.content});
            if let Some(name) = &message.name {
                shown["name"] = name.as_str().into();
            }
            shown
        };
        Self {
            messages: request.messages.iter().map(message).collect(),
            event_id: request.event_id,
            user_id: request.scope.user_id,
            agent_id: request.scope.agent_id,
            run_id: request.scope.run_id,
            attempts: request.attempts,
            error: request.reason,
            code: request.code,
            error_detail: request.detail.filter(|_| caller.is_admin()),
            created_at: request.received,
            parked_at: request.parked,
        }
    }
}

/// Parked requests.
#[derive(Serialize, ToSchema)]
pub(super) struct ParkedList {
    count: usize,
    results: Vec<Parked>,
}

/// Request of `PUT /v1/parked/{event_id}`.
#[derive(Deserialize, ToSchema)]
pub(super) struct EditBody {
    /// The messages that replace those of the request.
    #[schema(value_type = MessagesDoc)]
    messages: Messages,
}

/// List the parked requests
///
/// Requests with `infer` that the language model answered, but refused or answered unusably, several times. A user's key
/// sees the requests of its user.
#[utoipa::path(get, path = "/v1/parked", tag = tag::PLATFORM, responses((status = 200, body = ParkedList)))]
pub(super) async fn list(State(app): State<AppState>, Reader(caller): Reader) -> Result<Json<ParkedList>, Problem> {
    let user = caller.user.clone();
    let parked = app.with_engine(move |engine| Ok(engine.parked_requests(user.as_deref(), usize::MAX)?)).await?;
    let results: Vec<Parked> = parked.into_iter().map(|request| Parked::of(request, &caller)).collect();
    Ok(Json(ParkedList { count: results.len(), results }))
}

/// Try a parked request again
#[utoipa::path(post, path = "/v1/parked/{event_id}/retry", tag = tag::PLATFORM, params(("event_id" = String, Path)),
    responses((status = 200, body = Done)))]
pub(super) async fn retry(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    resume(app, &caller, id, None).await
}

/// Replace the messages of a parked request and try it again
#[utoipa::path(put, path = "/v1/parked/{event_id}", tag = tag::PLATFORM, params(("event_id" = String, Path)),
    request_body = EditBody, responses((status = 200, body = Done)))]
pub(super) async fn edit(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Path(id): Path<String>,
    Body(body): Body<EditBody>,
) -> Result<Json<Done>, Problem> {
    resume(app, &caller, id, Some(body.messages.0)).await
}

/// Drop a parked request with its messages
#[utoipa::path(delete, path = "/v1/parked/{event_id}", tag = tag::PLATFORM, params(("event_id" = String, Path)),
    responses((status = 200, body = Done)))]
pub(super) async fn remove(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    check_owner(&app, &caller, &id).await?;
    let dropped = app.with_engine(move |engine| Ok(engine.drop_parked(&id)?)).await?;
    if dropped { Ok(Json(Done::new("The request was dropped."))) } else { Err(not_parked()) }
}

async fn resume(
    app: AppState,
    caller: &Caller,
    id: String,
    messages: Option<Vec<Message>>,
) -> Result<Json<Done>, Problem> {
    check_owner(&app, caller, &id).await?;
    let resumed = app.with_engine(move |engine| Ok(engine.resume_parked(&id, messages.as_deref())?)).await?;
    if !resumed {
        return Err(not_parked());
    }
    app.job_enqueued.notify_one();
    Ok(Json(Done::new("The request is queued again.")))
}

/// Refuses a request of another owner as an unknown one.
async fn check_owner(app: &AppState, caller: &Caller, id: &str) -> Result<(), Problem> {
    let id = id.to_owned();
    let found = app.with_engine(move |engine| Ok(engine.parked_request(&id)?)).await?;
    found.filter(|request| caller.owns(&request.scope)).map(drop).ok_or_else(not_parked)
}

fn not_parked() -> Problem {
    Problem::not_found("No parked request has this event id.")
}
