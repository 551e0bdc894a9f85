//! `/configure` of mem0's server: settings that can be read and changed while the server runs.

use std::sync::Arc;

use axum::extract::State;
use mnemon_engine::Engine;
use mnemon_store::{Collection, DocumentStore, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::overrides::{EMBEDDERS, LLMS, apply, base, redacted};
use crate::api::dto::tag;
use crate::auth::{Admin, Reader};
use crate::error::Problem;
use crate::http::extract::{Body, Json};
use crate::service::AppState;

pub(super) const KIND: &str = "config";
const ID: &str = "overrides";

/// The settings: `version`, `vector_store`, `llm`, `embedder`, and any others that were set.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub(crate) struct Configuration(Map<String, Value>);

/// The providers that a configuration may name.
#[derive(Serialize, ToSchema)]
pub(crate) struct Providers {
    llm: Vec<&'static str>,
    embedder: Vec<&'static str>,
}

/// Confirmation of changed settings.
#[derive(Serialize, ToSchema)]
pub(crate) struct Configured {
    message: &'static str,
    /// A remark on the effect of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// Get the current settings
///
/// Values of an allow-list are shown, all others as `[redacted]`.
#[utoipa::path(get, path = "/configure", tag = tag::MEM0_SERVER, responses((status = 200, body = Configuration)))]
pub(crate) async fn show(State(app): State<AppState>, _: Reader) -> Result<Json<Configuration>, Problem> {
    let base = app.with_engine(current).await?;
    let overrides = app.with_documents(|documents| settings(documents).get(ID)).await?.map(|document| document.body);
    Ok(Json(Configuration(redacted(&base, &overrides.unwrap_or_default()))))
}

/// List the providers that a configuration may name
#[utoipa::path(get, path = "/configure/providers", tag = tag::MEM0_SERVER, responses((status = 200, body = Providers)))]
pub(crate) async fn providers(_: Reader) -> Json<Providers> {
    Json(Providers { llm: LLMS.to_vec(), embedder: EMBEDDERS.to_vec() })
}

/// Change settings
///
/// Objects are merged at every depth, and null removes a setting. `[redacted]` keeps the current secret; in lists, the
/// one at the same position. Nothing is changed if the result would be invalid.
#[utoipa::path(post, path = "/configure", tag = tag::MEM0_SERVER, request_body = Configuration,
    responses((status = 200, body = Configured)))]
pub(crate) async fn change(
    State(app): State<AppState>,
    _: Admin,
    Body(Configuration(patch)): Body<Configuration>,
) -> Result<Json<Configured>, Problem> {
    let names_model = patch.get("llm").is_some_and(|llm| !llm.is_null());
    let base = app.with_engine(current).await?;
    app.with_documents(move |documents| save(&settings(documents), &patch, &base)).await??;
    let note =
        "The settings of the language model are stored but have no effect: it is configured when the server starts.";
    Ok(Json(Configured { message: "Configuration set successfully", note: names_model.then_some(note) }))
}

/// The settings that were changed.
fn settings(documents: Arc<dyn DocumentStore>) -> Collection<Map<String, Value>> {
    Collection::new(documents, KIND)
}

/// The settings that the server was started with.
fn current(engine: &Engine) -> Result<Map<String, Value>, Problem> {
    let info = engine.store().info()?;
    let store = info.location.split(':').next().unwrap_or_default();
    Ok(base(store, &info.embedder, info.dims))
}

/// Saves a change unless it is refused. Of two concurrent changes both are saved.
fn save(
    settings: &Collection<Map<String, Value>>,
    patch: &Map<String, Value>,
    base: &Map<String, Value>,
) -> Result<Result<(), Problem>, StoreError> {
    settings.put_new(&settings.document(ID, Map::new()))?;
    let mut outcome = Ok(());
    settings.change(ID, &mut |document| match apply(&document.body, patch, base) {
        Ok(next) => {
            document.body = next;
            true
        }
        Err(problem) => {
            outcome = Err(problem);
            false
        }
    })?;
    Ok(outcome)
}
