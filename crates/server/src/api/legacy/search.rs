//! `POST /memories/search`: another path of `/search`.

use axum::extract::State;

use crate::api::dto::tag;
use crate::api::mem0_server::{self, SearchAnswer, SearchBody};
use crate::auth::Reader;
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json};
use crate::service::AppState;

/// Search memories
///
/// The same as `/search`.
#[utoipa::path(post, path = "/memories/search", tag = tag::LEGACY, request_body = SearchBody,
    responses((status = 200, body = SearchAnswer), (status = 502, body = ErrorBody)))]
pub(super) async fn search(
    state: State<AppState>,
    reader: Reader,
    body: Body<SearchBody>,
) -> Result<Json<SearchAnswer>, Problem> {
    mem0_server::search(state, reader, body).await
}
