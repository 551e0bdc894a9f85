//! `/api-keys` of mem0's server: keys made at run time.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use mnemon_engine::EngineError;
use mnemon_store::Scope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::dto::Done;
use crate::auth::{Access, ApiKey, Caller, NewKey, Reader, Role, Writer};
use crate::error::Problem;
use crate::http::extract::{Body, Json, Path};
use crate::service::app::Shared;

const TAG: &str = "mem0 server";
const MAX_LABEL: usize = 200;

/// Something a key may do.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Right {
    Read,
    Write,
}

/// What a key is to be.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CreateBody {
    /// What it is for; 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200, pattern = r"\S")]
    label: String,
    /// Whose memories it reads and writes. Without it an admin makes an admin's key, a user one of their own.
    user_id: Option<String>,
    /// What it may do: `read`, `write`, or both; as much as the key that makes it, if absent.
    #[schema(min_items = 1)]
    scopes: Option<Vec<Right>>,
}

/// A key, as lists show it.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyItem {
    /// Names it for revoking.
    id: String,
    label: String,
    /// Its first 12 characters.
    key_prefix: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// To the minute; null if it was never used.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// Whose memories it reads and writes; null for an admin's.
    user_id: Option<String>,
    /// `admin` or `user`.
    role: &'static str,
    scopes: Vec<Right>,
}

/// A new key. The secret is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedKey {
    id: String,
    /// The key itself. Nobody can ask for it again.
    key: String,
    label: String,
    /// Its first 12 characters.
    key_prefix: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Whose memories it reads and writes; null for an admin's.
    user_id: Option<String>,
    /// `admin` or `user`.
    role: &'static str,
    scopes: Vec<Right>,
}

impl From<ApiKey> for KeyItem {
    fn from(key: ApiKey) -> Self {
        let (role, scopes) = (role(&key), rights(&key));
        Self {
            id: key.id,
            label: key.label,
            key_prefix: key.key_prefix,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            user_id: key.user,
            role,
            scopes,
        }
    }
}

impl CreatedKey {
    fn new(key: ApiKey, secret: String) -> Self {
        let (role, scopes) = (role(&key), rights(&key));
        Self {
            id: key.id,
            key: secret,
            label: key.label,
            key_prefix: key.key_prefix,
            created_at: key.created_at,
            user_id: key.user,
            role,
            scopes,
        }
    }
}

impl CreateBody {
    /// What the caller may have made: nothing that can do more than they can.
    fn checked(self, caller: &Caller) -> Result<NewKey, Problem> {
        let label = self.label.trim();
        let fault = match label.chars().count() {
            0 => Some(("string_too_short", "String should have at least 1 character".to_owned())),
            1..=MAX_LABEL => None,
            _ => Some(("string_too_long", format!("String should have at most {MAX_LABEL} characters"))),
        };
        if let Some((kind, message)) = fault {
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
        for (more, scope) in
            [(access.read && !caller.access.read, "read"), (access.write && !caller.access.write, "write")]
        {
            if more {
                return Err(Problem::missing_scope(scope));
            }
        }
        let user = match (&caller.user, self.user_id) {
            (None, None) => None,
            (None, Some(user)) => Scope::user(&user).map_err(EngineError::from)?.user_id,
            (Some(_), user) => caller.scope(user.as_deref(), None, None)?.user_id,
        };
        Ok(NewKey { label: label.to_owned(), user, access })
    }
}

/// Make a key
///
/// An admin makes keys for anybody; a user only for themselves. No key can do more than the one that makes it.
#[utoipa::path(post, path = "/api-keys", tag = TAG, request_body = CreateBody,
    responses((status = 201, body = CreatedKey)))]
pub(crate) async fn create(
    State(app): State<Shared>,
    Writer(caller): Writer,
    Body(body): Body<CreateBody>,
) -> Result<(StatusCode, Json<CreatedKey>), Problem> {
    let new = body.checked(&caller)?;
    let keys = app.keys.clone();
    let (key, secret) = app.blocking(move || keys.create(new)).await??;
    Ok((StatusCode::CREATED, Json(CreatedKey::new(key, secret))))
}

/// List keys made at run time, newest first
///
/// Revoked ones and those of the settings are not among them. A user's key sees its own user's.
#[utoipa::path(get, path = "/api-keys", tag = TAG, responses((status = 200, body = Vec<KeyItem>)))]
pub(crate) async fn list(State(app): State<Shared>, Reader(caller): Reader) -> Result<Json<Vec<KeyItem>>, Problem> {
    let keys = app.keys.clone();
    let mut found = app.blocking(move || keys.list()).await??;
    found.retain(|key| key.revoked_at.is_none() && (caller.is_admin() || key.user == caller.user));
    Ok(Json(found.into_iter().map(KeyItem::from).collect()))
}

/// Revoke a key
///
/// It is refused from then on, by other servers on the same store within a second.
#[utoipa::path(delete, path = "/api-keys/{key_id}", tag = TAG, params(("key_id" = String, Path)),
    responses((status = 200, body = Done)))]
pub(crate) async fn revoke(
    State(app): State<Shared>,
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

fn role(key: &ApiKey) -> &'static str {
    match key.role {
        Role::Admin => "admin",
        Role::User => "user",
    }
}

fn rights(key: &ApiKey) -> Vec<Right> {
    [(key.read, Right::Read), (key.write, Right::Write)]
        .into_iter()
        .filter_map(|(may, right)| may.then_some(right))
        .collect()
}
