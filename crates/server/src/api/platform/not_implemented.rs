//! What the hosted platform has its language model do: summaries and profiles. Told for what it is: not to be had.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::TAG;
use super::queries::Ask;
use crate::auth::{Admin, Reader, Writer};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, Path, some};
use crate::service::app::Shared;

/// What to sum up.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformSummary)]
pub(super) struct SummaryBody {
    /// Whose memories, and which of them, as for searching.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
}

/// Sum memories up
///
/// Not written yet: 503 without a language model, 501 with one.
#[utoipa::path(post, path = "/v1/summary", tag = TAG, request_body = SummaryBody,
    responses((status = 503, body = ErrorBody)))]
pub(super) async fn summary(
    State(app): State<Shared>,
    Reader(caller): Reader,
    Body(body): Body<SummaryBody>,
) -> Problem {
    match (Ask { filters: body.filters, ..Ask::default() }).gate(&caller) {
        Ok(_) => app.not_asked("A summary"),
        Err(fault) => fault,
    }
}

/// A user's profile.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformProfile)]
pub(super) struct Profile {
    /// Always null.
    profile: Option<String>,
    /// `not_enabled`: profiles are written by a language model.
    status: &'static str,
    /// `user`
    entity_type: &'static str,
    entity_id: String,
    /// Always null.
    updated_at: Option<String>,
    /// Always 0.
    generation_count: u64,
}

/// A user's profile: none is ever written
#[utoipa::path(get, path = "/v2/entities/{entity_type}/{entity_name}/profile", tag = TAG,
    params(("entity_type" = String, Path), ("entity_name" = String, Path)), responses((status = 200, body = Profile)))]
pub(super) async fn profile(
    Reader(caller): Reader,
    Path((entity_type, name)): Path<(String, String)>,
) -> Result<Json<Profile>, Problem> {
    if entity_type != "user" {
        return Err(Problem::not_found("Only users have profiles."));
    }
    let entity_id = caller.scope(Some(&name), None, None)?.user_id.unwrap_or_default();
    Ok(Json(Profile {
        profile: None,
        status: "not_enabled",
        entity_type: "user",
        entity_id,
        updated_at: None,
        generation_count: 0,
    }))
}

/// Settings of profiles.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformProfileSettings)]
pub(super) struct ProfileSettings {
    /// Always false.
    enabled: bool,
    /// Always empty.
    #[schema(value_type = Object)]
    capabilities: Map<String, Value>,
    /// Always empty.
    #[schema(value_type = Object)]
    entities: Map<String, Value>,
}

/// Settings of profiles: they are off
#[utoipa::path(get, path = "/v2/profiles/settings", tag = TAG, responses((status = 200, body = ProfileSettings)))]
pub(super) async fn profile_settings(_: Reader) -> Json<ProfileSettings> {
    Json(ProfileSettings { enabled: false, capabilities: Map::new(), entities: Map::new() })
}

/// Switch profiles on
///
/// Not written yet: 503 without a language model, 501 with one.
#[utoipa::path(post, path = "/v2/profiles/settings", tag = TAG, responses((status = 503, body = ErrorBody)))]
pub(super) async fn change_profile_settings(State(app): State<Shared>, _: Admin) -> Problem {
    app.not_asked("A profile")
}

/// Have profiles written
///
/// 400: they are not enabled.
#[utoipa::path(post, path = "/v2/profiles/jobs", tag = TAG, responses((status = 400, body = ErrorBody)))]
pub(super) async fn start_profile_job(_: Writer) -> Problem {
    Problem::bad_request("Profiles are not enabled: this server writes none yet.")
}

/// What became of the writing of profiles: there is none
#[utoipa::path(get, path = "/v2/profiles/jobs/{job_id}", tag = TAG, params(("job_id" = String, Path)),
    responses((status = 404, body = ErrorBody)))]
pub(super) async fn profile_job(_: Reader, Path(_job): Path<String>) -> Problem {
    Problem::not_found("There is no such job.")
}
