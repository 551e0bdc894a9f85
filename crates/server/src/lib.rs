//! HTTP surfaces of Mnemon: the runbook's backend, mem0's server and the hosted platform, over one engine.

mod accounts;
mod app;
pub mod auth;
mod body;
mod config;
mod error;
mod learning;
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
