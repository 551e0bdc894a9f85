//! The server over real HTTP, on a real store.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue panics")]

mod all_routes;
mod asking;
mod bodies;
mod deletion;
mod faults;
mod forms_of_ids;
mod isolation;
mod learning;
mod mem0_accounts;
mod mem0_configure;
mod mem0_entities;
mod mem0_keys;
mod mem0_memories;
mod messages;
mod metadata;
mod metadata_updates;
mod older_version;
mod openai_errors;
mod openapi;
mod parameters;
mod parked;
mod platform_deletion;
mod platform_memories;
mod platform_resources;
mod proxies;
#[cfg(target_os = "linux")]
mod read_only;
mod redact;
mod reserved_metadata;
mod server;
mod strangers;
mod times;
mod transport;
mod unreadable;
mod webhooks;
