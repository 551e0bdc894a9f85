//! The webhooks of a server, and the queue of their deliveries.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use mnemon_store::{Document, DocumentStore, Durability, EventKind, PageRequest, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;
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
#[derive(Clone, Debug)]
pub(super) struct RetryPolicy {
    /// How often the queue is read when nothing wakes the worker.
    pub(super) poll: Duration,
    /// The timeout of one request.
    pub(super) timeout: Duration,
    /// How long a claimed delivery belongs to one process.
    pub(super) lease: Duration,
    /// The pauses between attempts; after the last one the delivery is dropped.
    pub(super) backoff: Vec<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let seconds = [5, 30, 2 * 60, 10 * 60, 60 * 60, 6 * 60 * 60, 24 * 60 * 60];
        Self {
            poll: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            lease: Duration::from_secs(60),
            backoff: seconds.map(Duration::from_secs).to_vec(),
        }
    }
}

/// The webhooks in a document store.
pub(crate) struct Webhooks {
    pub(super) documents: Arc<dyn DocumentStore>,
    /// The list of webhooks.
    cache: TimedCache<(), Arc<Vec<Webhook>>>,
    /// Wakes the worker when a delivery was enqueued.
    pub(super) wake: Notify,
    pub(super) client: OnceLock<reqwest::Client>,
    pub(super) retry: RetryPolicy,
}

impl Webhooks {
    pub(crate) fn new(documents: Arc<dyn DocumentStore>) -> Self {
        Self::with_retry_policy(documents, RetryPolicy::default())
    }

    pub(super) fn with_retry_policy(documents: Arc<dyn DocumentStore>, retry: RetryPolicy) -> Self {
        let cache = TimedCache::new(CACHE_TTL, 1);
        Self { documents, cache, wake: Notify::new(), client: OnceLock::new(), retry }
    }

    /// All webhooks, newest first.
    pub(crate) fn list(&self) -> Result<Vec<Webhook>, StoreError> {
        let page = PageRequest { limit: MAX_WEBHOOKS, ..PageRequest::default() };
        let found = self.documents.documents(WEBHOOK, None, &page)?;
        Ok(found.items.iter().filter_map(read).collect())
    }

    /// Creates a webhook and returns it with its secret; `None` if there are [`MAX_WEBHOOKS`] already.
    pub(crate) fn create(&self, new: NewWebhook) -> Result<Option<(Webhook, String)>, StoreError> {
        if self.list()?.len() >= MAX_WEBHOOKS {
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
        self.documents.put_new(&Document::new(WEBHOOK, webhook.id.as_str(), json!(webhook)))?;
        self.cache.clear();
        Ok(Some((webhook, secret)))
    }

    /// Changes a webhook; false if the id is unknown.
    pub(crate) fn change(&self, id: &str, change: &WebhookChange) -> Result<bool, StoreError> {
        let changed = self.documents.change(WEBHOOK, id, &mut |document| {
            let Some(mut webhook) = read::<Webhook>(document) else { return false };
            webhook.name = change.name.clone().unwrap_or(webhook.name);
            webhook.url = change.url.clone().unwrap_or(webhook.url);
            webhook.event_types = change.event_types.clone().unwrap_or(webhook.event_types);
            webhook.is_active = change.is_active.unwrap_or(webhook.is_active);
            webhook.updated_at = Timestamp::now();
            document.body = json!(webhook);
            true
        })?;
        self.cache.clear();
        Ok(changed.is_some())
    }

    /// Deletes a webhook; false if the id is unknown. The worker drops its queued deliveries when they are due.
    pub(crate) fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let taken = self.documents.take(WEBHOOK, id)?;
        self.cache.clear();
        Ok(taken.is_some())
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
        let now = Timestamp::now();
        let mut deliveries = Vec::new();
        for event in events {
            for webhook in webhooks.iter().filter(|webhook| webhook.subscribes_to(event.kind)) {
                let delivery = Delivery { webhook: webhook.id.clone(), body: event.payload().to_string(), attempts: 0 };
                let id = uuid::Uuid::new_v4().to_string();
                let document = Document::new(DELIVERY, id, json!(delivery)).of(event.owner.as_deref());
                deliveries.push(document.due(now));
            }
        }
        if !deliveries.is_empty() {
            self.documents.put(&deliveries, Durability::Synced)?;
        }
        Ok(deliveries.len())
    }

    /// The webhooks, from the cache while it is fresh.
    fn cached(&self) -> Result<Arc<Vec<Webhook>>, StoreError> {
        let webhooks = self.cache.get_or_read((), || self.list().map(|webhooks| Some(Arc::new(webhooks))))?;
        Ok(webhooks.unwrap_or_default())
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(document: &Document) -> Option<T> {
    serde_json::from_value(document.body.clone()).ok()
}

pub(super) fn count(outcome: &'static str) {
    metrics::counter!("mnemon_webhook_deliveries_total", "outcome" => outcome).increment(1);
}
