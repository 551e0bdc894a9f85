//! Webhooks: deliveries of memory events are queued in the document store and sent until the receiver accepts them.

mod delivery;
mod event;
mod registry;

pub(crate) use delivery::run_deliveries;
pub(crate) use event::MemoryEvent;
pub(crate) use registry::{EVENT_TYPES, MAX_WEBHOOKS, NewWebhook, Webhook, WebhookChange, Webhooks};
