//! A collection to measure in, gone afterwards.

use qdrant_client::Qdrant;
use qdrant_client::config::QdrantConfig;
use tokio::runtime::Runtime;

use crate::error::CliError;
use crate::settings::Settings;

/// A collection that was not there before; it and its entities are removed when this is dropped.
pub struct TemporaryCollection {
    runtime: Runtime,
    client: Qdrant,
    name: String,
    keep: bool,
}

impl TemporaryCollection {
    /// Takes a name on the store's server that no collection has.
    pub fn claim(settings: &Settings, name: &str) -> anyhow::Result<Self> {
        let Some(place) = settings.collection() else {
            return Err(CliError::usage("this measures Qdrant: give --store qdrant:URL/COLLECTION").into());
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let mut config = QdrantConfig::from_url(place.url);
        config.timeout = place.timeout;
        config.api_key = place.api_key.map(str::to_owned);
        config.check_compatibility = false;
        let client = {
            let _within = runtime.enter();
            Qdrant::new(config)?
        };
        for name in [name, &entities(name)] {
            if runtime.block_on(client.collection_exists(name))? {
                let message =
                    format!("collection `{name}` is there already: name another, which is removed afterwards");
                return Err(CliError::refused(message).into());
            }
        }
        Ok(Self { runtime, client, name: name.to_owned(), keep: false })
    }

    /// Leaves the collection where it is.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client of its own, and what it runs on.
    pub fn client(&self) -> (&Runtime, &Qdrant) {
        (&self.runtime, &self.client)
    }
}

impl Drop for TemporaryCollection {
    fn drop(&mut self) {
        for name in [self.name.clone(), entities(&self.name)] {
            if self.keep {
                continue;
            }
            if let Err(error) = self.runtime.block_on(self.client.delete_collection(name.as_str())) {
                tracing::warn!(%error, collection = name, "could not remove what was measured in");
            }
        }
    }
}

fn entities(name: &str) -> String {
    format!("{name}_entities")
}
