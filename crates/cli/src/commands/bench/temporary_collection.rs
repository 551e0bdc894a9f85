//! A Qdrant collection that exists for one measurement.

use mnemon_store::qdrant::{QdrantServer, entity_collection};

use crate::error::CliError;
use crate::settings::Settings;

/// The name of a new collection. Dropping this deletes the collection and its entity collection.
pub struct TemporaryCollection {
    server: QdrantServer,
    name: String,
    keep: bool,
}

impl TemporaryCollection {
    /// Claims a name on the Qdrant server of the settings.
    ///
    /// # Errors
    /// A usage error if the store is not in Qdrant; a refusal if a collection has the name, since it would be deleted.
    pub fn claim(settings: &Settings, name: &str) -> anyhow::Result<Self> {
        let Some(place) = settings.collection() else {
            return Err(CliError::usage("this measures Qdrant: give --store qdrant:URL/COLLECTION").into());
        };
        let retries = settings.qdrant_client().retries;
        let server = QdrantServer::connect(&[place.url.to_owned()], place.api_key, place.timeout, retries)?;
        for name in [name, &entity_collection(name)] {
            if server.describe(name)?.is_some() {
                let message =
                    format!("collection `{name}` exists: give the name of a new one, because it is deleted at the end");
                return Err(CliError::refused(message).into());
            }
        }
        Ok(Self { server, name: name.to_owned(), keep: false })
    }

    /// Does not delete the collection when this is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TemporaryCollection {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        for name in [self.name.clone(), entity_collection(&self.name)] {
            if let Err(error) = self.server.delete_collection(&name) {
                tracing::warn!(%error, collection = name, "could not delete the temporary collection");
            }
        }
    }
}
