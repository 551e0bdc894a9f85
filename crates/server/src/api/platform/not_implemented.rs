//! Features of the hosted platform that this server does not implement: summaries and profiles.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::queries::MemoryQuery;
use crate::api::dto::tag;
use crate::auth::{Admin, Reader, Writer};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json, Path, double_option};
use crate::service::AppState;

/// Request of `POST /v1/summary`.
#[derive(Deserialize, ToSchema)]
#[schema(as = PlatformSummary)]
pub(super) struct SummaryBody {
    /// Which memories to summarize; the same filters as for searching.
    #[serde(default, deserialize_with = "double_option")]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
}

/// Summarize memories
///
/// Not implemented: answers 501, or 503 if no language model is configured.
#[utoipa::path(post, path = "/v1/summary", tag = tag::PLATFORM, request_body = SummaryBody,
    responses((status = 503, body = ErrorBody), (status = 501, body = ErrorBody)))]
pub(super) async fn summary(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Body(body): Body<SummaryBody>,
) -> Problem {
    match (MemoryQuery { filters: body.filters, ..MemoryQuery::default() }).authorize(&caller) {
        Ok(_) => app.llm_feature_error("A summary"),
        Err(problem) => problem,
    }
}

/// The profile of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformProfile)]
pub(super) struct Profile {
    /// Always null.
    profile: Option<String>,
    /// Always `not_enabled`.
    status: &'static str,
    /// `user`
    entity_type: &'static str,
    entity_id: String,
    /// Always null.
    updated_at: Option<String>,
    /// Always 0.
    generation_count: u64,
}

/// Get the profile of a user
///
/// Profiles are not implemented, so it is always empty.
#[utoipa::path(get, path = "/v2/entities/{entity_type}/{entity_name}/profile", tag = tag::PLATFORM,
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

/// The settings of profiles.
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

/// Get the settings of profiles
///
/// Profiles are not implemented, so they are always off.
#[utoipa::path(get, path = "/v2/profiles/settings", tag = tag::PLATFORM,
    responses((status = 200, body = ProfileSettings)))]
pub(super) async fn profile_settings(_: Reader) -> Json<ProfileSettings> {
    Json(ProfileSettings { enabled: false, capabilities: Map::new(), entities: Map::new() })
}

/// Enable profiles
///
/// Not implemented: answers 501, or 503 if no language model is configured.
#[utoipa::path(post, path = "/v2/profiles/settings", tag = tag::PLATFORM,
    responses((status = 503, body = ErrorBody), (status = 501, body = ErrorBody)))]
pub(super) async fn change_profile_settings(State(app): State<AppState>, _: Admin) -> Problem {
    app.llm_feature_error("A profile")
}

/// Start a profile job
///
/// Answers 400: profiles are not enabled.
#[utoipa::path(post, path = "/v2/profiles/jobs", tag = tag::PLATFORM, responses((status = 400, body = ErrorBody)))]
pub(super) async fn start_profile_job(_: Writer) -> Problem {
    Problem::bad_request("Profiles are not enabled: this server does not implement them yet.")
}

/// Get the status of a profile job
///
/// Answers 404: there are no profile jobs.
#[utoipa::path(get, path = "/v2/profiles/jobs/{job_id}", tag = tag::PLATFORM, params(("job_id" = String, Path)),
    responses((status = 404, body = ErrorBody)))]
pub(super) async fn profile_job(_: Reader, Path(_job): Path<String>) -> Problem {
    Problem::not_found("This job does not exist.")
}
