//! The context of a phase, from the settings, and the addresses of both stores.

use std::path::Path;
use std::sync::Arc;

use mnemon_engine::{Engine, EngineError};
use mnemon_migrate::{ENTITIES_STEP, MigrateError, MigrationContext, Route, SourceSpec, TargetSpec};
use mnemon_models::Embedder;
use mnemon_store::StoreError;

use crate::commands::progress::ProgressLine;
use crate::output::Output;
use crate::settings::Settings;
use crate::wiring;

/// Opens the target of a migration as a store, with the ledger of the settings.
pub(super) fn target_opener(settings: &Settings) -> impl Fn(&Route, usize) -> Result<Engine, MigrateError> + Sync + '_ {
    |route, dims| {
        let open = || wiring::open_engine_with_dims(&settings.with_store(&target_store(route))?, dims);
        open().map_err(|error| match error.downcast::<EngineError>() {
            Ok(error) => error.into(),
            Err(error) => match error.downcast::<StoreError>() {
                Ok(error) => error.into(),
                Err(error) => MigrateError::Invalid(format!("{error:#}")),
            },
        })
    }
}

/// Connection settings, embedder and options for a phase.
pub(super) fn migration_context<'e>(
    settings: &Settings,
    embedder: &'e Arc<dyn Embedder>,
    scratch: &Path,
) -> MigrationContext<'e> {
    let qdrant = settings.qdrant_client();
    MigrationContext {
        api_key: qdrant.api_key,
        timeout: qdrant.timeout,
        retries: qdrant.retries,
        embedder: Some(&**embedder),
        rate: None,
        without_entities: false,
        allow_removals: false,
        scratch: scratch.to_owned(),
        new_collection: qdrant.new,
        store: None,
    }
}

/// Runs work and shows its progress.
pub(super) fn with_progress<T>(out: &Output, work: impl FnOnce(&mnemon_migrate::Progress<'_>) -> T) -> T {
    let progress = ProgressLine::new(out.is_json());
    work(&|what, done, of| {
        let step = if what == ENTITIES_STEP { "entities written".to_owned() } else { format!("points {what}") };
        progress.items(step, done as u64, of);
    })
}

/// The target in the form of `--store`.
pub(super) fn target_store(route: &Route) -> String {
    match &route.target {
        TargetSpec::Collection { name } => collection_of(route, Some(name)),
        TargetSpec::Sqlite { file } => format!("sqlite:{}", file.display()),
        TargetSpec::InPlace => source_store(route),
    }
}

/// The source in the form of `--store`.
pub(super) fn source_store(route: &Route) -> String {
    collection_of(route, None)
}

fn collection_of(route: &Route, name: Option<&str>) -> String {
    match &route.source {
        SourceSpec::Collection { grpc, name: own, .. } => {
            let hosts = grpc.iter().map(|url| url.split_once("://").map_or(url.as_str(), |(_, host)| host));
            let scheme = grpc.first().and_then(|url| url.split_once("://")).map_or("http", |(scheme, _)| scheme);
            format!("qdrant:{scheme}://{}/{}", hosts.collect::<Vec<_>>().join(","), name.unwrap_or(own))
        }
        // A snapshot can only be migrated to a file; collections are refused when they are opened.
        SourceSpec::Snapshot { file } => file.display().to_string(),
    }
}
