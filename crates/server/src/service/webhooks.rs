//! Webhooks: deliveries of memory events are queued in the document store and sent until the receiver accepts them.

mod delivery;
mod event;
mod registry;

use mnemon_store::DocumentKind;

pub(crate) use delivery::run_deliveries;
pub(crate) use event::MemoryEvent;
pub(crate) use registry::{EVENT_TYPES, MAX_WEBHOOKS, NewWebhook, Webhook, WebhookChange, Webhooks};

/// The documents that hold webhooks.
pub(super) const WEBHOOKS: DocumentKind = DocumentKind::of::<Webhook>(registry::WEBHOOK);
/// The documents that hold queued deliveries.
pub(super) const DELIVERIES: DocumentKind = DocumentKind::of::<registry::Delivery>(registry::DELIVERY);
