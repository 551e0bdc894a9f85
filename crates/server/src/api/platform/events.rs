//! Events: requests that add, change or delete memories, and their outcomes.

use axum::extract::State;
use mnemon_store::PageRequest;

use super::dto::{PageNumber, PageQuery, Paged, RequestUrl};
use crate::api::dto::tag;
use crate::auth::Reader;
use crate::error::Problem;
use crate::http::extract::{Json, Path, Query};
use crate::service::{AppState, Event};

const DEFAULT_PAGE_SIZE: usize = 100;

/// List events, newest first
///
/// A user's key sees the events of its user. The last 100,000 events are kept.
#[utoipa::path(get, path = "/v1/events", tag = tag::PLATFORM, params(PageQuery),
    responses((status = 200, body = Paged<Event>)))]
pub(super) async fn list(
    State(app): State<AppState>,
    Reader(caller): Reader,
    url: RequestUrl,
    Query(query): Query<PageQuery>,
) -> Result<Json<Paged<Event>>, Problem> {
    let page = PageNumber::new(query.page, query.page_size, DEFAULT_PAGE_SIZE)?;
    let request = PageRequest { offset: page.offset(), limit: page.size, ..PageRequest::default() };
    let (count, events) =
        app.with_documents(move |documents| Event::list(documents, caller.user.as_deref(), &request)).await?;
    Ok(Json(url.page(page, count, events)))
}

/// Get an event
#[utoipa::path(get, path = "/v1/event/{event_id}", tag = tag::PLATFORM, params(("event_id" = String, Path)),
    responses((status = 200, body = Event)))]
pub(super) async fn get(
    State(app): State<AppState>,
    Reader(caller): Reader,
    Path(id): Path<String>,
) -> Result<Json<Event>, Problem> {
    let found = app.with_documents(move |documents| Event::find(documents, &id)).await?;
    let own = found.filter(|document| caller.is_admin() || document.owner == caller.user);
    own.map(|document| Json(document.body)).ok_or_else(|| Problem::not_found("This event does not exist."))
}

/// Get an event (alternative path)
#[utoipa::path(get, path = "/v1/events/{event_id}", tag = tag::PLATFORM, params(("event_id" = String, Path)),
    responses((status = 200, body = Event)))]
pub(super) async fn get_plural(
    state: State<AppState>,
    reader: Reader,
    path: Path<String>,
) -> Result<Json<Event>, Problem> {
    get(state, reader, path).await
}
