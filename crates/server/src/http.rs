//! Transport: connections, the router, extractors, logs and metrics of requests. It does not depend on the API.

mod body;
pub(crate) mod extract;
mod fault;
mod observe;
mod openapi;
pub(crate) mod parameters;
mod router;
mod serve;
mod unread;

pub(crate) use observe::recorder;
pub(crate) use openapi::describe;
pub(crate) use router::{Routes, router};
pub(crate) use serve::serve;
