//! Lists of memories, as the hosted platform's clients ask for them.

use axum::extract::State;
use mnemon_engine::ListRequest;
use mnemon_store::{Filter, Memory, MemoryId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::TAG;
use super::dto::{Here, MAX_ITEMS, MemoryDoc, OneOrMany, PageOf, PageQuery, Paged, limited, memory, project};
use super::queries::Ask;
use crate::auth::{Caller, Reader};
use crate::error::Problem;
use crate::http::extract::{Body, Json, Query, count, some};
use crate::service::app::Shared;

const PAGE: usize = 100;

/// Which memories.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = PlatformList)]
pub(super) struct ListBody {
    /// Whose memories, and which of them, as for searching. A user's key lists its own user's.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Stored on this day or later: `YYYY-MM-DD` or RFC 3339.
    start_date: Option<String>,
    /// Stored on this day or earlier.
    end_date: Option<String>,
    /// Only memories of these categories.
    categories: Option<OneOrMany>,
    /// Only memories that hold one of these words.
    keywords: Option<OneOrMany>,
    /// Which fields of the memories to answer with; all if absent.
    fields: Option<Vec<String>>,
    /// Shows expired memories too.
    show_expired: Option<bool>,
    /// Older addresses only; elsewhere in `filters`.
    user_id: Option<Value>,
    /// Likewise.
    agent_id: Option<Value>,
    /// Likewise.
    app_id: Option<Value>,
    /// Likewise.
    run_id: Option<Value>,
    /// From 1; the query's counts first.
    #[serde(default, deserialize_with = "count")]
    #[schema(minimum = 1)]
    page: Option<usize>,
    /// 1 ..= 1000; 100 if absent; the query's counts first.
    #[serde(default, deserialize_with = "count")]
    #[schema(minimum = 1, maximum = 1000)]
    page_size: Option<usize>,
}

/// What to list.
struct Wanted {
    filter: Option<Filter>,
    ids: Option<Vec<MemoryId>>,
    show_expired: bool,
    page: PageOf,
}

impl Wanted {
    /// The memories of the page, and how many there are on all pages.
    async fn read(self, app: &Shared) -> Result<(usize, Vec<Memory>), Problem> {
        let Self { filter, ids, show_expired, page } = self;
        app.engine(move |engine| {
            let Some(ids) = ids else {
                let request = ListRequest {
                    filter,
                    offset: page.offset(),
                    limit: page.size,
                    show_expired,
                    ..ListRequest::default()
                };
                let found = engine.list(&request)?;
                return Ok((found.total, found.items));
            };
            let today = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
            let shown = |memory: &Memory| {
                let over = memory.payload.expiration_date().is_some_and(|last| last < today);
                (show_expired || !over) && filter.as_ref().is_none_or(|filter| filter.matches(memory.payload.as_map()))
            };
            let found = engine.store().get(&ids)?.into_iter().flatten();
            Ok(page.of(found.filter(shown).collect()))
        })
        .await
    }
}

async fn listed(
    app: Shared,
    caller: Caller,
    here: Here,
    query: PageQuery,
    body: ListBody,
    new: bool,
) -> Result<Paged<Map<String, Value>>, Problem> {
    let page = PageOf::new(query.page.or(body.page), query.page_size.or(body.page_size), PAGE)?;
    let fields = body.fields;
    limited("fields", fields.as_deref().unwrap_or_default())?;
    let ask = Ask {
        filters: body.filters,
        ids: [body.user_id, body.agent_id, body.app_id, body.run_id],
        categories: body.categories,
        keywords: body.keywords,
        start_date: body.start_date,
        end_date: body.end_date,
        ..Ask::default()
    };
    if new {
        ask.ids_in_filters_only()?;
    }
    let gated = ask.gate(&caller)?;
    let wanted =
        Wanted { filter: gated.filter, ids: gated.ids, show_expired: body.show_expired.unwrap_or(false), page };
    let (count, memories) = wanted.read(&app).await?;
    let results = memories.iter().map(|found| project(memory(found), fields.as_deref())).collect();
    Ok(here.page(page, count, results))
}

/// List memories, newest first
#[utoipa::path(post, path = "/v3/memories", tag = TAG, params(PageQuery), request_body = ListBody,
    responses((status = 200, body = Paged<MemoryDoc>)))]
pub(super) async fn list(
    State(app): State<Shared>,
    Reader(caller): Reader,
    here: Here,
    Query(query): Query<PageQuery>,
    Body(body): Body<ListBody>,
) -> Result<Json<Paged<Map<String, Value>>>, Problem> {
    listed(app, caller, here, query, body, true).await.map(Json)
}

/// List memories, as older clients do
#[utoipa::path(post, path = "/v2/memories", tag = TAG, params(PageQuery), request_body = ListBody,
    responses((status = 200, body = Paged<MemoryDoc>)))]
pub(super) async fn list_v2(
    State(app): State<Shared>,
    Reader(caller): Reader,
    here: Here,
    Query(query): Query<PageQuery>,
    Body(body): Body<ListBody>,
) -> Result<Json<Paged<Map<String, Value>>>, Problem> {
    listed(app, caller, here, query, body, false).await.map(Json)
}

/// Which memories.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    user_id: Option<String>,
    agent_id: Option<String>,
    app_id: Option<String>,
    run_id: Option<String>,
    /// Stored on this day or later.
    start_date: Option<String>,
    /// Stored on this day or earlier.
    end_date: Option<String>,
    /// Only memories of these categories, with commas between them.
    categories: Option<String>,
    /// Only memories that hold one of these words.
    keywords: Option<String>,
    /// Which fields to answer with, with commas between them.
    fields: Option<String>,
    /// Shows expired memories too.
    show_expired: Option<bool>,
    /// From 1. Without it the answer is a list, with it a page.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 1)]
    page: Option<usize>,
    /// 1 ..= 1000; 100 a page if absent, 1000 in a list.
    #[serde(default, deserialize_with = "count")]
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<usize>,
}

/// A page where one was asked for, else the list alone.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum OldListAnswer {
    #[schema(value_type = Paged<MemoryDoc>)]
    Page(Paged<Map<String, Value>>),
    #[schema(value_type = Vec<MemoryDoc>)]
    List(Vec<Map<String, Value>>),
}

/// List memories, as the oldest clients do
#[utoipa::path(get, path = "/v1/memories", tag = TAG, params(ListQuery),
    responses((status = 200, body = OldListAnswer)))]
pub(super) async fn list_v1(
    State(app): State<Shared>,
    Reader(caller): Reader,
    here: Here,
    Query(query): Query<ListQuery>,
) -> Result<Json<OldListAnswer>, Problem> {
    let paged = query.page.is_some();
    let words = |text: Option<String>| text.map(OneOrMany::One);
    let body = ListBody {
        user_id: query.user_id.map(Value::from),
        agent_id: query.agent_id.map(Value::from),
        app_id: query.app_id.map(Value::from),
        run_id: query.run_id.map(Value::from),
        start_date: query.start_date,
        end_date: query.end_date,
        categories: words(query.categories),
        keywords: words(query.keywords),
        fields: words(query.fields).map(OneOrMany::list),
        show_expired: query.show_expired,
        ..ListBody::default()
    };
    // A list tells nobody that there is more: it holds as much as it may.
    let page_size = query.page_size.or((!paged).then_some(MAX_ITEMS));
    let page = PageQuery { page: query.page, page_size };
    let answer = listed(app, caller, here, page, body, false).await?;
    Ok(Json(if paged { OldListAnswer::Page(answer) } else { OldListAnswer::List(answer.results) }))
}
