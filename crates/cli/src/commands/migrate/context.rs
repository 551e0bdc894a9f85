//! What phases work with, by the settings.

use std::path::Path;
use std::sync::Arc;

use mnemon_migrate::{ENTITIES, MigrationContext, Route, SourceSpec, TargetSpec};
use mnemon_models::Embedder;

use crate::commands::progress::Steps;
use crate::output::Output;
use crate::settings::Settings;

/// What phases work with, by the settings.
pub(super) fn tools<'e>(settings: &Settings, embedder: &'e Arc<dyn Embedder>, scratch: &Path) -> MigrationContext<'e> {
    let qdrant = settings.qdrant_client();
    MigrationContext {
        api_key: qdrant.api_key,
        timeout: qdrant.timeout,
        retries: qdrant.retries,
        embedder: Some(&**embedder),
        rate: None,
        removals: false,
        scratch: scratch.to_owned(),
        new: qdrant.new,
    }
}

/// Runs work that tells how far it is.
pub(super) fn with_progress<T>(out: &Output, work: impl FnOnce(&mnemon_migrate::Progress<'_>) -> T) -> T {
    let line = Steps::new(out.is_json());
    work(&|what, done, of| {
        let step = if what == ENTITIES { "entities written".to_owned() } else { format!("points {what}") };
        line.things(step, done as u64, of);
    })
}

/// The new store, as `--store` names it.
pub(super) fn store_of(route: &Route) -> String {
    match &route.to {
        TargetSpec::Collection { name } => collection_of(route, Some(name)),
        TargetSpec::Sqlite { file } => format!("sqlite:{}", file.display()),
        TargetSpec::InPlace => old_store(route),
    }
}

/// The old store, as `--store` names it.
pub(super) fn old_store(route: &Route) -> String {
    collection_of(route, None)
}

fn collection_of(route: &Route, name: Option<&str>) -> String {
    match &route.from {
        SourceSpec::Collection { grpc, name: own, .. } => {
            let hosts = grpc.iter().map(|url| url.split_once("://").map_or(url.as_str(), |(_, host)| host));
            let scheme = grpc.first().and_then(|url| url.split_once("://")).map_or("http", |(scheme, _)| scheme);
            format!("qdrant:{scheme}://{}/{}", hosts.collect::<Vec<_>>().join(","), name.unwrap_or(own))
        }
        // A snapshot goes into a file only: collections are refused when they are opened.
        SourceSpec::Snapshot { file } => file.display().to_string(),
    }
}
