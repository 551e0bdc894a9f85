//! HTTP surfaces of Mnemon: the runbook's backend, mem0's server and the hosted platform, over one engine.

mod api;
pub mod auth;
mod config;
mod error;
mod http;
mod service;

pub use config::{AuthMode, Config, RateLimit, Secret};
pub use http::openapi::openapi;
pub use http::serve::{ServeError, Server, service};
