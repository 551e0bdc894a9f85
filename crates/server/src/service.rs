//! What every surface calls.

pub(crate) mod accounts;
pub(crate) mod app;
pub(crate) mod events;
pub(crate) mod learning;
pub(crate) mod memories;
pub(crate) mod request_log;
pub(crate) mod webhooks;
