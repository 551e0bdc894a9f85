//! The server over real HTTP, on a real store.
#![allow(clippy::unwrap_used)]

mod isolation;
mod platform_danger;
mod platform_memories;
mod platform_more;
mod service;
mod surface;
mod webhooks;
