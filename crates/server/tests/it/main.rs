//! The server over real HTTP, on a real store.
#![allow(clippy::unwrap_used)]

mod isolation;
mod openapi;
mod service;
mod surface;
