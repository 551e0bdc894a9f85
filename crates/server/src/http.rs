//! Transport: connections, the router, extractors, logs and metrics of requests.

pub(crate) mod extract;
pub(crate) mod observe;
pub(crate) mod openapi;
pub(crate) mod router;
pub(crate) mod serve;
