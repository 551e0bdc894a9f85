//! HTTP surfaces of Mnemon: the runbook's backend, mem0's server and the hosted platform, over one engine.

mod accounts;
mod app;
pub mod auth;
mod body;
mod config;
mod error;
mod memories;
mod observe;
mod openapi;
mod request_log;
mod rest;
mod router;
mod serve;
mod webhooks;

pub use config::{AuthMode, Config, RateLimit, Secret};
pub use openapi::openapi;
pub use serve::{ServeError, Server, service};

use mnemon_store::{Filter, Scope};

/// "Carries all ids of this scope".
pub(crate) fn scope_filter(scope: &Scope) -> Result<Filter, error::Problem> {
    let pinned = mnemon_store::SCOPE_KEYS.iter().zip(scope.ids()).filter_map(|(key, id)| Some(Filter::eq(key, id?)));
    let pinned: Vec<Filter> = pinned.collect::<Result<_, _>>().map_err(mnemon_engine::EngineError::from)?;
    Filter::all(pinned).ok_or_else(error::Problem::no_scope)
}
