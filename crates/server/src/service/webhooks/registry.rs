//! The webhooks of a server, and the queue of their deliveries.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use mnemon_store::{Collection, DocumentStore, EventKind, PageRequest, Queue, RetryPolicy, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::event::{MemoryEvent, event_type};
use crate::cache::TimedCache;

/// The kind of the documents that hold webhooks.
pub(super) const WEBHOOK: &str = "webhook";
/// The kind of the documents that hold queued deliveries.
pub(super) const DELIVERY: &str = "delivery";
/// How long the list of webhooks is cached: a webhook that another process made receives events within this time.
const CACHE_TTL: Duration = Duration::from_secs(10);
/// The prefix of every secret, as Standard Webhooks defines it.
pub(super) const SECRET_PREFIX: &str = "whsec_";

/// Most webhooks of a server.
pub(crate) const MAX_WEBHOOKS: usize = 100;
/// The events that a webhook can subscribe to. `memory_categorize` never occurs: nothing is categorized.
pub(crate) const EVENT_TYPES: [&str; 4] = ["memory_add", "memory_update", "memory_delete", "memory_categorize"];

/// A URL that receives events.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) event_types: Vec<String>,
    pub(crate) is_active: bool,
    pub(crate) project: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(super) secret: String,
}

impl Webhook {
    fn subscribes_to(&self, kind: EventKind) -> bool {
        self.is_active && self.event_types.iter().any(|subscribed| subscribed == event_type(kind))
    }
}

/// A webhook to create.
pub(crate) struct NewWebhook {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) event_types: Vec<String>,
    pub(crate) project: String,
}

/// The fields of a webhook to change; absent fields stay.
#[derive(Default, PartialEq)]
pub(crate) struct WebhookChange {
    pub(crate) name: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) event_types: Option<Vec<String>>,
    pub(crate) is_active: Option<bool>,
}

/// A queued delivery.
#[derive(Serialize, Deserialize)]
pub(super) struct Delivery {
    /// The id of the webhook.
    pub(super) webhook: String,
    /// The body, exactly as it is signed.
    pub(super) body: String,
    /// Failed attempts so far.
    pub(super) attempts: usize,
}

/// When deliveries are sent and sent again.
fn retry_policy() -> RetryPolicy {
    let pauses = [5, 30, 2 * 60, 10 * 60, 60 * 60, 6 * 60 * 60, 24 * 60 * 60];
    RetryPolicy {
        poll: Duration::from_secs(5),
        backoff: pauses.map(Duration::from_secs).to_vec(),
        lease: Duration::from_secs(60),
        max_attempts: Some(pauses.len() + 1),
    }
}

/// The webhooks in a document store.
pub(crate) struct Webhooks {
    pub(super) stored: Collection<Webhook>,
    pub(super) deliveries: Queue<Delivery>,
    /// The list of webhooks.
    cache: TimedCache<(), Arc<Vec<Webhook>>>,
    /// Wakes the worker when a delivery was enqueued.
    pub(super) wake: Notify,
    pub(super) client: OnceLock<reqwest::Client>,
}

impl Webhooks {
    pub(crate) fn new(documents: Arc<dyn DocumentStore>) -> Self {
        Self::with_retry_policy(documents, retry_policy())
    }

    pub(super) fn with_retry_policy(documents: Arc<dyn DocumentStore>, policy: RetryPolicy) -> Self {
        Self {
            stored: Collection::new(documents.clone(), WEBHOOK),
            deliveries: Queue::new(documents, DELIVERY, policy),
            cache: TimedCache::new(CACHE_TTL, 1),
            wake: Notify::new(),
            client: OnceLock::new(),
        }
    }

    /// All webhooks, newest first. A webhook that can't be read is logged and left out.
    pub(crate) fn list(&self) -> Result<Vec<Webhook>, StoreError> {
        let page = PageRequest { limit: MAX_WEBHOOKS, ..PageRequest::default() };
        Ok(self.stored.readable(None, &page)?.items.into_iter().map(|document| document.body).collect())
    }

    /// Creates a webhook and returns it with its secret; `None` if there are [`MAX_WEBHOOKS`] already.
    pub(crate) fn create(&self, new: NewWebhook) -> Result<Option<(Webhook, String)>, StoreError> {
        if self.stored.count()? >= MAX_WEBHOOKS {
            return Ok(None);
        }
        let secret = format!("{SECRET_PREFIX}{}", STANDARD.encode(rand::random::<[u8; 32]>()));
        let now = Timestamp::now();
        let webhook = Webhook {
            id: uuid::Uuid::new_v4().to_string(),
            name: new.name,
            url: new.url,
            event_types: new.event_types,
            is_active: true,
            project: new.project,
            created_at: now,
            updated_at: now,
            secret: secret.clone(),
        };
        self.stored.put_new(&self.stored.document(webhook.id.as_str(), webhook.clone()))?;
        self.cache.clear();
        Ok(Some((webhook, secret)))
    }

    /// Changes a webhook; false if the id is unknown.
    pub(crate) fn change(&self, id: &str, change: &WebhookChange) -> Result<bool, StoreError> {
        let changed = self.stored.change(id, &mut |document| {
            let webhook = &mut document.body;
            if let Some(name) = &change.name {
                webhook.name.clone_from(name);
            }
            if let Some(url) = &change.url {
                webhook.url.clone_from(url);
            }
            if let Some(event_types) = &change.event_types {
                webhook.event_types.clone_from(event_types);
            }
            webhook.is_active = change.is_active.unwrap_or(webhook.is_active);
            webhook.updated_at = Timestamp::now();
            true
        })?;
        self.cache.clear();
        Ok(changed.is_some())
    }

    /// Deletes a webhook; false if the id is unknown. The worker drops its queued deliveries when they are due.
    pub(crate) fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let existed = self.stored.remove(id)?;
        self.cache.clear();
        Ok(existed)
    }

    /// Whether any active webhook subscribes to this kind of event. Blocks.
    pub(crate) fn has_subscriber(&self, kind: EventKind) -> bool {
        self.cached().is_ok_and(|webhooks| webhooks.iter().any(|webhook| webhook.subscribes_to(kind)))
    }

    /// Enqueues a delivery of each event for each webhook that subscribes to it. The change itself is already
    /// committed, so a failure is logged and not returned. Blocks.
    pub(crate) fn enqueue(&self, events: &[MemoryEvent]) {
        match self.try_enqueue(events) {
            Ok(0) => {}
            Ok(_) => self.wake.notify_one(),
            Err(error) => {
                let events = events.len();
                tracing::error!(%error, events, "could not enqueue webhook deliveries; these events are lost");
                count("lost");
            }
        }
    }

    fn try_enqueue(&self, events: &[MemoryEvent]) -> Result<usize, StoreError> {
        if events.is_empty() {
            return Ok(0);
        }
        let webhooks = self.cached()?;
        let queue = self.deliveries.collection();
        let mut deliveries = Vec::new();
        for event in events {
            for webhook in webhooks.iter().filter(|webhook| webhook.subscribes_to(event.kind)) {
                let delivery = Delivery { webhook: webhook.id.clone(), body: event.payload().to_string(), attempts: 0 };
                let id = uuid::Uuid::new_v4().to_string();
                deliveries.push(queue.document(id, delivery).owned_by(event.owner.as_deref()));
            }
        }
        let enqueued = deliveries.len();
        if enqueued > 0 {
            self.deliveries.push(deliveries)?;
        }
        Ok(enqueued)
    }

    /// The webhooks, from the cache while it is fresh.
    fn cached(&self) -> Result<Arc<Vec<Webhook>>, StoreError> {
        let webhooks = self.cache.get_or_read((), || self.list().map(|webhooks| Some(Arc::new(webhooks))))?;
        Ok(webhooks.unwrap_or_default())
    }
}

pub(super) fn count(outcome: &'static str) {
    metrics::counter!("mnemon_webhook_deliveries_total", "outcome" => outcome).increment(1);
}
