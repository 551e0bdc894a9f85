//! Listing memories.

use axum::extract::State;
use mnemon_engine::ListRequest;
use mnemon_store::Page;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::dto::{
    MAX_ITEMS, MemoryDoc, OneOrMany, PageNumber, PageQuery, Paged, RequestUrl, check_length, linked_json,
    note_unknown_fields, select_fields,
};
use super::queries::MemoryQuery;
use crate::answer;
use crate::api::dto::tag;
use crate::auth::{Caller, Reader};
use crate::error::Problem;
use crate::http::extract::{Body, Json, Query, double_option, usize_or_text};
use crate::service::AppState;

const DEFAULT_PAGE_SIZE: usize = 100;

/// Request of `POST /v3/memories` and `/v2/memories`.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = PlatformList)]
pub(super) struct ListBody {
    /// Which memories to list; the same filters as for searching. A user's key lists only memories of its user.
    #[serde(default, deserialize_with = "double_option")]
    #[schema(value_type = Option<Object>)]
    filters: Option<Value>,
    /// Only memories created on this day or later: `YYYY-MM-DD` or RFC 3339.
    start_date: Option<String>,
    /// Only memories created on this day or earlier.
    end_date: Option<String>,
    /// Only memories with one of these categories.
    categories: Option<OneOrMany>,
    /// Only memories that contain one of these words.
    keywords: Option<OneOrMany>,
    /// The fields of the memories to return; default all.
    fields: Option<Vec<String>>,
    /// Whether to include expired memories.
    show_expired: Option<bool>,
    /// Whether to leave out facts that newer ones replace.
    latest_only: Option<bool>,
    /// Only for `/v2`, and not different from `filters`; otherwise in `filters`.
    user_id: Option<Value>,
    /// Only for `/v2`, and not different from `filters`; otherwise in `filters`.
    agent_id: Option<Value>,
    /// Only for `/v2`, and not different from `filters`; otherwise in `filters`.
    app_id: Option<Value>,
    /// Only for `/v2`, and not different from `filters`; otherwise in `filters`.
    run_id: Option<Value>,
    /// The number of the page, from 1. The query parameter takes precedence; another value here is named as ignored.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[schema(minimum = 1)]
    page: Option<usize>,
    /// Page size, 1 to 1000; default 100. The query parameter takes precedence; another value here is named as ignored.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[schema(minimum = 1, maximum = 1000)]
    page_size: Option<usize>,
}

async fn list_page(
    app: AppState,
    caller: Caller,
    url: RequestUrl,
    query: PageQuery,
    body: ListBody,
    ids_in_filters_only: bool,
) -> Result<Paged<Map<String, Value>>, Problem> {
    for (name, in_query, in_body) in [("page", query.page, body.page), ("page_size", query.page_size, body.page_size)] {
        if in_query.is_some() && in_body.is_some_and(|page| Some(page) != in_query) {
            answer::ignore(&format!("body.{name}"));
        }
    }
    let page = PageNumber::new(query.page.or(body.page), query.page_size.or(body.page_size), DEFAULT_PAGE_SIZE)?;
    let fields = body.fields;
    check_length("fields", fields.as_deref().unwrap_or_default())?;
    note_unknown_fields(fields.as_deref());
    let query = MemoryQuery {
        filters: body.filters,
        ids: [body.user_id, body.agent_id, body.app_id, body.run_id],
        categories: body.categories,
        keywords: body.keywords,
        start_date: body.start_date,
        end_date: body.end_date,
        ..MemoryQuery::default()
    };
    if ids_in_filters_only {
        query.refuse_ids_beside_filters()?;
    }
    let query = query.authorize(&caller)?;
    let request = ListRequest {
        filter: query.filter,
        ids: query.ids,
        show_expired: body.show_expired.unwrap_or(false),
        latest_only: body.latest_only.unwrap_or(false),
        offset: page.offset(),
        limit: page.size,
        ..ListRequest::default()
    };
    let Page { items, total, .. } = app.with_engine(move |engine| Ok(engine.list(&request)?)).await?;
    let replacements = app.replacements(&caller, items.iter().map(|memory| memory.id).collect()).await?;
    let json = |memory| select_fields(linked_json(memory, &replacements), fields.as_deref());
    let results = items.iter().map(json).collect();
    Ok(url.page(page, total, results))
}

/// List memories, newest first
#[utoipa::path(post, path = "/v3/memories", tag = tag::PLATFORM, params(PageQuery), request_body = ListBody,
    responses((status = 200, body = Paged<MemoryDoc>)))]
pub(super) async fn list(
    State(app): State<AppState>,
    Reader(caller): Reader,
    url: RequestUrl,
    Query(query): Query<PageQuery>,
    Body(body): Body<ListBody>,
) -> Result<Json<Paged<Map<String, Value>>>, Problem> {
    list_page(app, caller, url, query, body, true).await.map(Json)
}

/// List memories, newest first (older clients)
#[utoipa::path(post, path = "/v2/memories", tag = tag::PLATFORM, params(PageQuery), request_body = ListBody,
    responses((status = 200, body = Paged<MemoryDoc>)))]
pub(super) async fn list_v2(
    State(app): State<AppState>,
    Reader(caller): Reader,
    url: RequestUrl,
    Query(query): Query<PageQuery>,
    Body(body): Body<ListBody>,
) -> Result<Json<Paged<Map<String, Value>>>, Problem> {
    list_page(app, caller, url, query, body, false).await.map(Json)
}

/// Query of `GET /v1/memories`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    user_id: Option<String>,
    agent_id: Option<String>,
    app_id: Option<String>,
    run_id: Option<String>,
    /// Only memories created on this day or later.
    start_date: Option<String>,
    /// Only memories created on this day or earlier.
    end_date: Option<String>,
    /// Only memories with one of these categories, separated by commas.
    categories: Option<String>,
    /// Only memories that contain one of these words.
    keywords: Option<String>,
    /// The fields to return, separated by commas; default all.
    fields: Option<String>,
    /// Whether to include expired memories.
    show_expired: Option<bool>,
    /// Whether to leave out facts that newer ones replace.
    latest_only: Option<bool>,
    /// The number of the page, from 1. With it the response is a page, without it a list.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[param(minimum = 1)]
    page: Option<usize>,
    /// Page size, 1 to 1000; default 100, or 1000 without `page`.
    #[serde(default, deserialize_with = "usize_or_text")]
    #[param(minimum = 1, maximum = 1000)]
    page_size: Option<usize>,
}

/// Response of `GET /v1/memories`: a page if one was requested, otherwise a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum OldListAnswer {
    #[schema(value_type = Paged<MemoryDoc>)]
    Page(Paged<Map<String, Value>>),
    #[schema(value_type = Vec<MemoryDoc>)]
    List(Vec<Map<String, Value>>),
}

/// List memories, newest first (oldest clients)
#[utoipa::path(get, path = "/v1/memories", tag = tag::PLATFORM, params(ListQuery),
    responses((status = 200, body = OldListAnswer)))]
pub(super) async fn list_v1(
    State(app): State<AppState>,
    Reader(caller): Reader,
    url: RequestUrl,
    Query(query): Query<ListQuery>,
) -> Result<Json<OldListAnswer>, Problem> {
    let paged = query.page.is_some();
    let comma_list = |text: Option<String>| text.map(OneOrMany::One);
    let body = ListBody {
        user_id: query.user_id.map(Value::from),
        agent_id: query.agent_id.map(Value::from),
        app_id: query.app_id.map(Value::from),
        run_id: query.run_id.map(Value::from),
        start_date: query.start_date,
        end_date: query.end_date,
        categories: comma_list(query.categories),
        keywords: comma_list(query.keywords),
        fields: comma_list(query.fields).map(OneOrMany::into_list),
        show_expired: query.show_expired,
        latest_only: query.latest_only,
        ..ListBody::default()
    };
    // A list cannot say that there are further pages, so it gets the largest page.
    let page_size = query.page_size.or((!paged).then_some(MAX_ITEMS));
    let page = PageQuery { page: query.page, page_size };
    let answer = list_page(app, caller, url, page, body, false).await?;
    Ok(Json(if paged { OldListAnswer::Page(answer) } else { OldListAnswer::List(answer.results) }))
}
