//! The HTTP server of Mnemon: the legacy backend, mem0's server, mem0's hosted platform and OpenAI's chat completions,
//! over one engine.

mod answer;
mod cache;
mod config;
mod error;
mod forwarded;
mod request_id;

pub mod auth;
mod service;

mod admin_request;
mod api;
mod documents;
mod first_key;
mod http;
mod server;

pub use api::openapi;
pub use config::{AuthMode, Config, RateLimit, Secret};
pub use documents::check_documents;
pub use first_key::create_first_key;
pub use forwarded::TrustedProxies;
pub use server::{ServeError, Server, service};
