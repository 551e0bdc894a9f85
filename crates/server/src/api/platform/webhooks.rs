//! Webhooks: who is told when memories come, change and go.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::TAG;
use crate::api::dto::Done;
use crate::auth::Admin;
use crate::error::Problem;
use crate::http::extract::{Body, Json, Path};
use crate::service::app::Shared;
use crate::service::webhooks::{EVENT_TYPES, MAX_WEBHOOKS, NewWebhook, Webhook, WebhookChange};

const MAX_NAME: usize = 200;
const MAX_URL: usize = 2048;

/// A webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformWebhook)]
pub(super) struct WebhookRow {
    webhook_id: String,
    name: String,
    url: String,
    /// memory_add, memory_update, memory_delete, memory_categorize
    event_types: Vec<String>,
    /// `admin`: webhooks hear of everybody's memories.
    owner: &'static str,
    is_active: bool,
    project: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// What deliveries are signed with, as Standard Webhooks has it; shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WebhookRow {
    fn of(webhook: Webhook) -> Self {
        Self {
            webhook_id: webhook.id,
            name: webhook.name,
            url: webhook.url,
            event_types: webhook.event_types,
            owner: "admin",
            is_active: webhook.is_active,
            project: webhook.project,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
            secret: None,
        }
    }
}

/// A webhook to be.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformNewWebhook)]
pub(super) struct NewBody {
    name: Option<String>,
    /// http or https; at most 2048 bytes.
    url: String,
    /// One or more of memory_add, memory_update, memory_delete, memory_categorize.
    event_types: Vec<String>,
}

/// What to change; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformWebhookChange)]
pub(super) struct ChangeBody {
    name: Option<String>,
    /// http or https; at most 2048 bytes.
    url: Option<String>,
    /// One or more of memory_add, memory_update, memory_delete, memory_categorize.
    event_types: Option<Vec<String>>,
    is_active: Option<bool>,
}

fn name(name: String) -> Result<String, Problem> {
    let fits = name.len() <= MAX_NAME;
    if fits { Ok(name) } else { Err(Problem::bad_request(format!("name: give at most {MAX_NAME} bytes"))) }
}

fn url(url: String) -> Result<String, Problem> {
    let wrong = || Problem::bad_request("url: give an address that begins with https:// or http://");
    if url.len() > MAX_URL {
        return Err(Problem::bad_request(format!("url: give at most {MAX_URL} bytes")));
    }
    let read = reqwest::Url::parse(url.trim()).map_err(|_| wrong())?;
    if !["http", "https"].contains(&read.scheme()) || read.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    Ok(read.into())
}

fn event_types(types: Vec<String>) -> Result<Vec<String>, Problem> {
    let known = || EVENT_TYPES.join(", ");
    if types.is_empty() {
        return Err(Problem::bad_request(format!("event_types: give one or more of {}", known())));
    }
    let mut once: Vec<String> = Vec::new();
    for kind in types {
        if !EVENT_TYPES.contains(&kind.as_str()) {
            let kind: String = kind.chars().take(40).collect();
            return Err(Problem::bad_request(format!("event_types: `{kind}` is none of {}", known())));
        }
        if !once.contains(&kind) {
            once.push(kind);
        }
    }
    Ok(once)
}

/// Webhooks, newest first
#[utoipa::path(get, path = "/api/v1/webhooks/projects/{project_id}", tag = TAG,
    params(("project_id" = String, Path)), responses((status = 200, body = Vec<WebhookRow>)))]
pub(super) async fn list(
    State(app): State<Shared>,
    _: Admin,
    Path(_project): Path<String>,
) -> Result<Json<Vec<WebhookRow>>, Problem> {
    let shared = app.clone();
    let found = app.blocking(move || shared.webhooks.list()).await??;
    Ok(Json(found.into_iter().map(WebhookRow::of).collect()))
}

/// Make a webhook
///
/// It is sent a POST for each memory of anybody's that comes, changes or goes, signed as Standard Webhooks has it. What is
/// not accepted with 2xx is sent again for about a day.
#[utoipa::path(post, path = "/api/v1/webhooks/projects/{project_id}", tag = TAG,
    params(("project_id" = String, Path)), request_body = NewBody, responses((status = 201, body = WebhookRow)))]
pub(super) async fn create(
    State(app): State<Shared>,
    _: Admin,
    Path(project): Path<String>,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<WebhookRow>), Problem> {
    let new = NewWebhook {
        name: name(body.name.unwrap_or_default())?,
        url: url(body.url)?,
        event_types: event_types(body.event_types)?,
        project: project.chars().take(MAX_NAME).collect(),
    };
    let shared = app.clone();
    let made = app.blocking(move || shared.webhooks.create(new)).await??;
    let (webhook, secret) =
        made.ok_or_else(|| Problem::bad_request(format!("there are {MAX_WEBHOOKS} webhooks already")))?;
    Ok((StatusCode::CREATED, Json(WebhookRow { secret: Some(secret), ..WebhookRow::of(webhook) })))
}

/// Change a webhook
#[utoipa::path(put, path = "/api/v1/webhooks/{webhook_id}", tag = TAG, params(("webhook_id" = String, Path)),
    request_body = ChangeBody, responses((status = 200, body = Done)))]
pub(super) async fn update(
    State(app): State<Shared>,
    _: Admin,
    Path(id): Path<String>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<Done>, Problem> {
    let change = WebhookChange {
        name: body.name.map(name).transpose()?,
        url: body.url.map(url).transpose()?,
        event_types: body.event_types.map(event_types).transpose()?,
        is_active: body.is_active,
    };
    if change == WebhookChange::default() {
        return Err(Problem::bad_request("nothing to change: give name, url, event_types or is_active"));
    }
    let shared = app.clone();
    let found = app.blocking(move || shared.webhooks.change(&id, &change)).await??;
    if found { Ok(Json(Done::new("Webhook updated successfully"))) } else { Err(no_webhook()) }
}

/// Delete a webhook, with what was still to be sent
#[utoipa::path(delete, path = "/api/v1/webhooks/{webhook_id}", tag = TAG, params(("webhook_id" = String, Path)),
    responses((status = 200, body = Done)))]
pub(super) async fn delete(State(app): State<Shared>, _: Admin, Path(id): Path<String>) -> Result<Json<Done>, Problem> {
    let shared = app.clone();
    let found = app.blocking(move || shared.webhooks.delete(&id)).await??;
    if found { Ok(Json(Done::new("Webhook deleted successfully"))) } else { Err(no_webhook()) }
}

fn no_webhook() -> Problem {
    Problem::not_found("There is no such webhook.")
}
