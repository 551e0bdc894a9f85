//! The server over real HTTP, on a real store.
#![allow(clippy::unwrap_used)]

mod isolation;
mod learning;
mod openapi;
mod oss_accounts;
mod oss_configure;
mod oss_entities;
mod oss_keys;
mod oss_memories;
mod platform_danger;
mod platform_memories;
mod platform_more;
mod redact;
mod service;
mod surface;
mod webhooks;
