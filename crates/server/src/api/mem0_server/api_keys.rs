//! `/api-keys` of mem0's server: keys created at run time.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use mnemon_engine::EngineError;
use mnemon_store::Scope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::dto::{Done, tag};
use crate::auth::{Access, ApiKey, Caller, NewKey, Reader, Role, Writer};
use crate::error::Problem;
use crate::http::extract::{Body, Json, Path};
use crate::service::AppState;

/// The longest label, in characters.
const MAX_LABEL: usize = 200;

/// A permission of a key.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Right {
    Read,
    Write,
}

/// Request of `POST /api-keys`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CreateBody {
    /// Describes the purpose of the key; 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    label: String,
    /// The user whose memories the key gives access to. Without it, an admin creates an admin key and a user creates a
    /// personal key.
    user_id: Option<String>,
    /// `admin` or `user`; it must fit `user_id`.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// The permissions of the key: `read`, `write` or both. By default those of the key that creates it.
    #[schema(min_items = 1)]
    scopes: Option<Vec<Right>>,
}

/// A key in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyItem {
    /// The id for revoking the key.
    id: String,
    label: String,
    /// The first 12 characters of the key.
    key_prefix: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Accurate to a minute; null if the key was never used.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// The user whose memories the key gives access to; null for an admin key.
    user_id: Option<String>,
    /// `admin` or `user`.
    #[schema(value_type = String)]
    role: Role,
    scopes: Vec<Right>,
}

/// A new key. Only this response contains the secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedKey {
    id: String,
    /// The key itself. It cannot be read again.
    key: String,
    label: String,
    /// The first 12 characters of the key.
    key_prefix: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The user whose memories the key gives access to; null for an admin key.
    user_id: Option<String>,
    /// `admin` or `user`.
    #[schema(value_type = String)]
    role: Role,
    scopes: Vec<Right>,
}

impl From<ApiKey> for KeyItem {
    fn from(key: ApiKey) -> Self {
        let scopes = rights(&key);
        Self {
            id: key.id,
            label: key.label,
            key_prefix: key.key_prefix,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            user_id: key.user,
            role: key.role,
            scopes,
        }
    }
}

impl CreatedKey {
    fn new(key: ApiKey, secret: String) -> Self {
        let scopes = rights(&key);
        Self {
            id: key.id,
            key: secret,
            label: key.label,
            key_prefix: key.key_prefix,
            created_at: key.created_at,
            user_id: key.user,
            role: key.role,
            scopes,
        }
    }
}

impl CreateBody {
    /// The key to create, if the caller may create it: it may not have more permissions than the caller.
    fn checked(self, caller: &Caller) -> Result<NewKey, Problem> {
        let label = self.label.trim();
        let error = match label.chars().count() {
            0 => Some(("string_too_short", "String should have at least 1 character".to_owned())),
            1..=MAX_LABEL => None,
            _ => Some(("string_too_long", format!("String should have at most {MAX_LABEL} characters"))),
        };
        if let Some((kind, message)) = error {
            return Err(Problem::unprocessable(&["body", "label"], kind, message, label.into()));
        }
        let access = match &self.scopes {
            None => caller.access,
            Some(rights) if rights.is_empty() => {
                let message = "List should have at least 1 item".to_owned();
                return Err(Problem::unprocessable(
                    &["body", "scopes"],
                    "too_short",
                    message,
                    serde_json::Value::Array(Vec::new()),
                ));
            }
            Some(rights) => Access { read: rights.contains(&Right::Read), write: rights.contains(&Right::Write) },
        };
        if access.read && !caller.access.read {
            return Err(Problem::missing_scope("read"));
        }
        if access.write && !caller.access.write {
            return Err(Problem::missing_scope("write"));
        }
        let user = match (&caller.user, self.user_id) {
            (None, None) => None,
            (None, Some(user)) => Scope::user(&user).map_err(EngineError::from)?.user_id,
            (Some(_), user) => caller.scope(user.as_deref(), None, None)?.user_id,
        };
        match (self.role, &user) {
            (Some(Role::User), None) => Err(Problem::bad_request("A key of role `user` must have a user_id.")),
            (Some(Role::Admin), Some(_)) if !caller.is_admin() => Err(Problem::admin_only()),
            (Some(Role::Admin), Some(_)) => Err(Problem::bad_request("A key of role `admin` must not have a user_id.")),
            _ => Ok(NewKey { label: label.to_owned(), user, access }),
        }
    }
}

/// Create a key
///
/// An admin may create keys for any user, a user only for themselves. A key cannot have more permissions than the key
/// that creates it.
#[utoipa::path(post, path = "/api-keys", tag = tag::MEM0_SERVER, request_body = CreateBody,
    responses((status = 201, body = CreatedKey)))]
pub(crate) async fn create(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Body(body): Body<CreateBody>,
) -> Result<(StatusCode, Json<CreatedKey>), Problem> {
    let new = body.checked(&caller)?;
    let keys = app.keys.clone();
    let (key, secret) = app.blocking(move || keys.create(new)).await??;
    Ok((StatusCode::CREATED, Json(CreatedKey::new(key, secret))))
}

/// List keys created at run time, newest first
///
/// Without revoked keys and keys from the settings. A user's key sees the keys of its user.
#[utoipa::path(get, path = "/api-keys", tag = tag::MEM0_SERVER, responses((status = 200, body = Vec<KeyItem>)))]
pub(crate) async fn list(State(app): State<AppState>, Reader(caller): Reader) -> Result<Json<Vec<KeyItem>>, Problem> {
    let keys = app.keys.clone();
    let mut found = app.blocking(move || keys.list()).await??;
    found.retain(|key| {
        key.revoked_at.is_none() && (caller.is_admin() || key.user.as_deref().is_some_and(|user| caller.is_named(user)))
    });
    Ok(Json(found.into_iter().map(KeyItem::from).collect()))
}

/// Revoke a key
///
/// The key is refused at once; other servers on the same store refuse it within a second.
#[utoipa::path(delete, path = "/api-keys/{key_id}", tag = tag::MEM0_SERVER, params(("key_id" = String, Path)),
    responses((status = 200, body = Done)))]
pub(crate) async fn revoke(
    State(app): State<AppState>,
    Writer(caller): Writer,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    let keys = app.keys.clone();
    match app.blocking(move || keys.revoke(&id, caller.user.as_deref())).await?? {
        Some(true) => Ok(Json(Done::new("API key revoked."))),
        Some(false) => Err(Problem::bad_request("API key is already revoked.")),
        None => Err(Problem::not_found("API key not found.")),
    }
}

fn rights(key: &ApiKey) -> Vec<Right> {
    [(key.read, Right::Read), (key.write, Right::Write)]
        .into_iter()
        .filter(|(allowed, _)| *allowed)
        .map(|(_, right)| right)
        .collect()
}
