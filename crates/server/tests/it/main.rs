//! The server over real HTTP, on a real store.
#![allow(clippy::unwrap_used)]

mod isolation;
mod service;
mod surface;
