//! Webhooks: URLs that receive events when memories are added, changed or deleted.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::dto::{Done, tag};
use crate::auth::Admin;
use crate::error::Problem;
use crate::http::extract::{Body, Json, Path};
use crate::service::{AppState, EVENT_TYPES, MAX_WEBHOOKS, NewWebhook, Webhook, WebhookChange};

/// The longest name, in bytes.
const MAX_NAME: usize = 200;
/// The longest URL, in bytes.
const MAX_URL: usize = 2048;

/// A webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformWebhook)]
pub(super) struct WebhookRow {
    webhook_id: String,
    name: String,
    url: String,
    /// Of `memory_add`, `memory_update`, `memory_delete` and `memory_categorize`.
    event_types: Vec<String>,
    /// Always `admin`: a webhook receives the events of all users.
    owner: &'static str,
    is_active: bool,
    project: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// The secret that signs deliveries, as defined by Standard Webhooks. Only this response contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WebhookRow {
    fn new(webhook: Webhook) -> Self {
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

/// Request to create a webhook.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformNewWebhook)]
pub(super) struct NewBody {
    name: Option<String>,
    /// An `http` or `https` URL; at most 2048 bytes.
    url: String,
    /// One or more of `memory_add`, `memory_update`, `memory_delete` and `memory_categorize`.
    event_types: Vec<String>,
}

/// Request to change a webhook; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformWebhookChange)]
pub(super) struct ChangeBody {
    name: Option<String>,
    /// An `http` or `https` URL; at most 2048 bytes.
    url: Option<String>,
    /// One or more of `memory_add`, `memory_update`, `memory_delete` and `memory_categorize`.
    event_types: Option<Vec<String>>,
    is_active: Option<bool>,
}

fn checked_name(name: String) -> Result<String, Problem> {
    if name.len() > MAX_NAME {
        return Err(Problem::bad_request(format!("name: must have at most {MAX_NAME} bytes")));
    }
    Ok(name)
}

fn checked_url(url: String) -> Result<String, Problem> {
    let invalid = || Problem::bad_request("url: must start with https:// or http://");
    if url.len() > MAX_URL {
        return Err(Problem::bad_request(format!("url: must have at most {MAX_URL} bytes")));
    }
    let url = reqwest::Url::parse(url.trim()).map_err(|_| invalid())?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        return Err(invalid());
    }
    Ok(url.into())
}

fn checked_event_types(types: Vec<String>) -> Result<Vec<String>, Problem> {
    let known = || EVENT_TYPES.join(", ");
    if types.is_empty() {
        return Err(Problem::bad_request(format!("event_types: must be one or more of {}", known())));
    }
    let mut unique: Vec<String> = Vec::new();
    for kind in types {
        if !EVENT_TYPES.contains(&kind.as_str()) {
            let kind: String = kind.chars().take(40).collect();
            return Err(Problem::bad_request(format!("event_types: `{kind}` is not one of {}", known())));
        }
        if !unique.contains(&kind) {
            unique.push(kind);
        }
    }
    Ok(unique)
}

/// A project as it is stored with a webhook.
fn stored_project(project: &str) -> String {
    project.chars().take(MAX_NAME).collect()
}

/// List the webhooks of a project, newest first
#[utoipa::path(get, path = "/api/v1/webhooks/projects/{project_id}", tag = tag::PLATFORM,
    params(("project_id" = String, Path)), responses((status = 200, body = Vec<WebhookRow>)))]
pub(super) async fn list(
    State(app): State<AppState>,
    _: Admin,
    Path(project): Path<String>,
) -> Result<Json<Vec<WebhookRow>>, Problem> {
    let webhooks = app.webhooks.clone();
    let mut found = app.blocking(move || webhooks.list()).await??;
    let project = stored_project(&project);
    found.retain(|webhook| webhook.project == project);
    Ok(Json(found.into_iter().map(WebhookRow::new).collect()))
}

/// Create a webhook
///
/// The URL receives a POST for each memory of any user that is added, changed or deleted, signed as defined by Standard
/// Webhooks. A delivery that is not answered with 2xx is sent again for about a day.
#[utoipa::path(post, path = "/api/v1/webhooks/projects/{project_id}", tag = tag::PLATFORM,
    params(("project_id" = String, Path)), request_body = NewBody, responses((status = 201, body = WebhookRow)))]
pub(super) async fn create(
    State(app): State<AppState>,
    _: Admin,
    Path(project): Path<String>,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<WebhookRow>), Problem> {
    let new = NewWebhook {
        name: checked_name(body.name.unwrap_or_default())?,
        url: checked_url(body.url)?,
        event_types: checked_event_types(body.event_types)?,
        project: stored_project(&project),
    };
    let webhooks = app.webhooks.clone();
    let made = app.blocking(move || webhooks.create(new)).await??;
    let (webhook, secret) =
        made.ok_or_else(|| Problem::bad_request(format!("there are already {MAX_WEBHOOKS} webhooks")))?;
    Ok((StatusCode::CREATED, Json(WebhookRow { secret: Some(secret), ..WebhookRow::new(webhook) })))
}

/// Change a webhook
#[utoipa::path(put, path = "/api/v1/webhooks/{webhook_id}", tag = tag::PLATFORM, params(("webhook_id" = String, Path)),
    request_body = ChangeBody, responses((status = 200, body = Done)))]
pub(super) async fn update(
    State(app): State<AppState>,
    _: Admin,
    Path(id): Path<String>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<Done>, Problem> {
    let change = WebhookChange {
        name: body.name.map(checked_name).transpose()?,
        url: body.url.map(checked_url).transpose()?,
        event_types: body.event_types.map(checked_event_types).transpose()?,
        is_active: body.is_active,
    };
    if change == WebhookChange::default() {
        return Err(Problem::bad_request("nothing to change: must contain name, url, event_types or is_active"));
    }
    let webhooks = app.webhooks.clone();
    let found = app.blocking(move || webhooks.change(&id, &change)).await??;
    if found { Ok(Json(Done::new("Webhook updated successfully"))) } else { Err(no_webhook()) }
}

/// Delete a webhook and its queued deliveries
#[utoipa::path(delete, path = "/api/v1/webhooks/{webhook_id}", tag = tag::PLATFORM,
    params(("webhook_id" = String, Path)), responses((status = 200, body = Done)))]
pub(super) async fn delete(
    State(app): State<AppState>,
    _: Admin,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    let webhooks = app.webhooks.clone();
    let found = app.blocking(move || webhooks.delete(&id)).await??;
    if found { Ok(Json(Done::new("Webhook deleted successfully"))) } else { Err(no_webhook()) }
}

fn no_webhook() -> Problem {
    Problem::not_found("This webhook does not exist.")
}
