//! What a move to another embedder needs: the store as it is, and the embedder that is not set yet.

use std::sync::Arc;

use anyhow::Context;
use mnemon_models::Embedder;
use mnemon_store::SqliteStore;
use mnemon_store::sqlite::SqliteOptions;

use super::store_path::StorePlace;
use super::{Settings, Values, embedder};
use crate::exit::Fault;

impl Settings {
    /// Another embedder than the one that is set, named as the setting does; one that is set already needs no more than its
    /// name.
    pub(crate) fn other_embedder(
        &self,
        name: &str,
        url: Option<&str>,
        dims: Option<u32>,
    ) -> anyhow::Result<Arc<dyn Embedder>> {
        if name.trim() == self.embedder_name.trim() && url.is_none() && dims.is_none() {
            return self.embedder();
        }
        let values = Values {
            embedder: name.to_owned(),
            embedder_url: url.map(str::to_owned),
            embedder_dims: dims.unwrap_or_default(),
            embedder_timeout: self.embedder_timeout.clone(),
            ..Values::default()
        };
        let resolved = embedder::resolve(&values, |name| std::env::var(name).ok())
            .context("--to, --to-url and --to-dims stand for embedder, embedder_url and embedder_dims")?;
        Ok(resolved.make()?)
    }

    /// The store, which must be there and in SQLite, whichever embedder filled it.
    pub(crate) fn open_sqlite_as_it_is(&self) -> anyhow::Result<SqliteStore> {
        self.must_exist()?;
        let StorePlace::Sqlite(path) = &self.store else {
            let message = "a store in Qdrant can't be moved in its place: `mnemon export FILE` from it, then, with the \
                           other embedder set, `mnemon import --reembed FILE` into a new one, such as --store \
                           qdrant:URL/ANOTHER_COLLECTION";
            return Err(Fault::usage(message).into());
        };
        let (fingerprint, dims) = SqliteStore::embedder_of(path)?
            .ok_or_else(|| Fault::failed("no_store", format!("{} is empty: there is nothing to do", path.display())))?;
        let mut options = SqliteOptions::new(path, fingerprint, dims);
        options.cache_bytes = self.cache_bytes;
        Ok(SqliteStore::open(options)?)
    }
}
