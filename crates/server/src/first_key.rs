//! The first key of a server that has none: without it, the first account would be that of the first who connects.

use std::sync::Arc;

use mnemon_store::{DocumentStore, StoreError};

use crate::auth::Keys;
use crate::config::{AuthMode, Config};
use crate::service::has_account;

/// Creates an admin's key and returns its secret, if authentication is on and there is neither a configured key, nor a
/// created one, nor an account. However many servers call it on the same documents, one key is created. `keep` gets the
/// secret before the key exists; if the result is `None`, it is of no use.
///
/// # Errors
/// Those of `keep`, and no key is created; others if the document store fails.
pub fn create_first_key<E: From<StoreError>>(
    documents: &Arc<dyn DocumentStore>,
    config: &Config,
    keep: impl FnOnce(&str) -> Result<(), E>,
) -> Result<Option<String>, E> {
    let has_configured = config.auth == AuthMode::Off || !config.keys.is_empty() || config.admin_key.is_some();
    if has_configured || has_account(documents)? {
        return Ok(None);
    }
    Keys::new(documents.clone()).create_first(keep)
}
