//! `/configure` of mem0's server: settings that can be read and changed while it runs.

use axum::extract::State;
use mnemon_engine::Engine;
use mnemon_store::{Document, DocumentStore, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::overrides::{EMBEDDERS, LLMS, base, changed, shown};
use crate::app::Shared;
use crate::auth::{Admin, Reader};
use crate::body::{Body, Json};
use crate::error::Problem;

const TAG: &str = "mem0 server";
const KIND: &str = "config";
const ID: &str = "overrides";

/// Settings: `version`, `vector_store`, `llm`, `embedder`, and whatever else was set.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(value_type = Object)]
pub(crate) struct Configuration(Map<String, Value>);

/// What can be named in a configuration.
#[derive(Serialize, ToSchema)]
pub(crate) struct Providers {
    llm: Vec<&'static str>,
    embedder: Vec<&'static str>,
}

/// That settings were changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Configured {
    message: &'static str,
    /// What to know about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// The settings in force
///
/// Secrets are shown as `[redacted]`.
#[utoipa::path(get, path = "/configure", tag = TAG, responses((status = 200, body = Configuration)))]
pub(crate) async fn show(State(app): State<Shared>, _: Reader) -> Result<Json<Configuration>, Problem> {
    let base = app.engine(in_force).await?;
    let kept = app.ledger(|ledger| ledger.document(KIND, ID)).await?.map(|document| document.body);
    Ok(Json(Configuration(shown(&base, &kept.unwrap_or_default()))))
}

/// Providers that can be named
#[utoipa::path(get, path = "/configure/providers", tag = TAG, responses((status = 200, body = Providers)))]
pub(crate) async fn providers(_: Reader) -> Json<Providers> {
    Json(Providers { llm: LLMS.to_vec(), embedder: EMBEDDERS.to_vec() })
}

/// Change settings
///
/// Objects are merged at every depth, null removes what was set, and `[redacted]` keeps the secret that is there; in
/// lists by position. Nothing is changed if the result could not be used.
#[utoipa::path(post, path = "/configure", tag = TAG, request_body = Configuration,
    responses((status = 200, body = Configured)))]
pub(crate) async fn change(
    State(app): State<Shared>,
    _: Admin,
    Body(Configuration(patch)): Body<Configuration>,
) -> Result<Json<Configured>, Problem> {
    let names_model = patch.get("llm").is_some_and(|llm| !llm.is_null());
    let base = app.engine(in_force).await?;
    app.ledger(move |ledger| keep(ledger, &patch, &base)).await??;
    let note = "The language model's settings are kept and have no effect: it is configured where the server starts.";
    Ok(Json(Configured { message: "Configuration set successfully", note: names_model.then_some(note) }))
}

fn in_force(engine: &Engine) -> Result<Map<String, Value>, Problem> {
    let info = engine.store().info()?;
    let store = info.location.split(':').next().unwrap_or_default();
    Ok(base(store, &info.embedder, info.dims))
}

/// Writes a change down, unless it is refused; two at once are both kept.
fn keep(
    ledger: &dyn DocumentStore,
    patch: &Map<String, Value>,
    base: &Map<String, Value>,
) -> Result<Result<(), Problem>, StoreError> {
    ledger.put_new(&Document::new(KIND, ID, Map::new().into()))?;
    let mut outcome = Ok(());
    ledger.change(KIND, ID, &mut |document| match changed(&document.body, patch, base) {
        Ok(next) => {
            document.body = next.into();
            true
        }
        Err(problem) => {
            outcome = Err(problem);
            false
        }
    })?;
    Ok(outcome)
}
