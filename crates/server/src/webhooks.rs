//! Telling others what happened to memories: what is to be sent waits in the ledger until it was accepted, or given up.

mod send;

pub(crate) use send::deliver;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use mnemon_store::{Document, DocumentStore, Durability, Memory, PageRequest, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

const WEBHOOK: &str = "webhook";
const DELIVERY: &str = "delivery";
/// How long what is known of webhooks is believed: those that another process made are told within this time.
const BELIEVED: Duration = Duration::from_secs(10);
/// What every secret begins with, as Standard Webhooks has it.
const SECRET: &str = "whsec_";

/// Webhooks of a server.
pub(crate) const MAX_WEBHOOKS: usize = 100;
/// What a webhook can be told of. Nothing is categorised without a language model.
pub(crate) const EVENT_TYPES: [&str; 4] = ["memory_add", "memory_update", "memory_delete", "memory_categorize"];

/// What happened to a memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Happened {
    pub(crate) kind: HappenedKind,
    pub(crate) id: String,
    pub(crate) memory: String,
    /// The user whose memory it is.
    pub(crate) owner: Option<String>,
}

impl Happened {
    pub(crate) fn to(kind: HappenedKind, memory: &Memory) -> Self {
        let Memory { id, payload, .. } = memory;
        Self { kind, id: id.to_string(), memory: payload.text().to_owned(), owner: payload.scope().user_id }
    }
}

/// mem0's names: ADD, UPDATE, DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HappenedKind {
    Add,
    Update,
    Delete,
}

impl HappenedKind {
    /// As deliveries name it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    /// As webhooks ask for it.
    fn event_type(self) -> &'static str {
        match self {
            Self::Add => "memory_add",
            Self::Update => "memory_update",
            Self::Delete => "memory_delete",
        }
    }
}

/// Somebody who wants to know.
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
    secret: String,
}

impl Webhook {
    fn wants(&self, kind: HappenedKind) -> bool {
        self.is_active && self.event_types.iter().any(|known| known == kind.event_type())
    }
}

/// A webhook to be.
pub(crate) struct NewWebhook {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) event_types: Vec<String>,
    pub(crate) project: String,
}

/// What is to be different; what is absent stays.
#[derive(Default, PartialEq)]
pub(crate) struct WebhookChange {
    pub(crate) name: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) event_types: Option<Vec<String>>,
    pub(crate) is_active: Option<bool>,
}

/// Something to be sent.
#[derive(Serialize, Deserialize)]
struct Delivery {
    webhook: String,
    /// The body, as it is signed.
    body: String,
    /// How often it was sent in vain.
    attempts: usize,
}

/// How patient deliveries are.
#[derive(Clone, Debug)]
struct Pace {
    /// How often to look for what is due when nobody calls.
    look: Duration,
    /// How long a receiver may take.
    timeout: Duration,
    /// How long one that is being sent is nobody else's.
    lease: Duration,
    /// The pauses before it is sent again; after the last it is given up.
    pauses: Vec<Duration>,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = [5, 30, 2 * 60, 10 * 60, 60 * 60, 6 * 60 * 60, 24 * 60 * 60];
        Self {
            look: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            lease: Duration::from_secs(60),
            pauses: seconds.map(Duration::from_secs).to_vec(),
        }
    }
}

/// The webhooks of a ledger.
pub(crate) struct Webhooks {
    ledger: Arc<dyn DocumentStore>,
    known: Mutex<Option<(Instant, Arc<Vec<Webhook>>)>>,
    /// Called when there is something to send.
    wake: Notify,
    client: OnceLock<reqwest::Client>,
    pace: Pace,
}

impl Webhooks {
    pub(crate) fn new(ledger: Arc<dyn DocumentStore>) -> Self {
        Self { ledger, known: Mutex::new(None), wake: Notify::new(), client: OnceLock::new(), pace: Pace::default() }
    }

    /// All, newest first.
    pub(crate) fn list(&self) -> Result<Vec<Webhook>, StoreError> {
        let page = PageRequest { limit: MAX_WEBHOOKS, ..PageRequest::default() };
        let found = self.ledger.documents(WEBHOOK, None, &page)?;
        Ok(found.items.iter().filter_map(read).collect())
    }

    /// Makes one and returns it with its secret; `None` if there are enough.
    pub(crate) fn create(&self, new: NewWebhook) -> Result<Option<(Webhook, String)>, StoreError> {
        if self.list()?.len() >= MAX_WEBHOOKS {
            return Ok(None);
        }
        let secret = format!("{SECRET}{}", STANDARD.encode(rand::random::<[u8; 32]>()));
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
        self.ledger.put_new(&Document::new(WEBHOOK, webhook.id.as_str(), json!(webhook)))?;
        self.forget_known();
        Ok(Some((webhook, secret)))
    }

    /// Changes one; false if there is none of this id.
    pub(crate) fn change(&self, id: &str, change: &WebhookChange) -> Result<bool, StoreError> {
        let changed = self.ledger.change(WEBHOOK, id, &mut |document| {
            let Some(mut webhook) = read::<Webhook>(document) else { return false };
            webhook.name = change.name.clone().unwrap_or(webhook.name);
            webhook.url = change.url.clone().unwrap_or(webhook.url);
            webhook.event_types = change.event_types.clone().unwrap_or(webhook.event_types);
            webhook.is_active = change.is_active.unwrap_or(webhook.is_active);
            webhook.updated_at = Timestamp::now();
            document.body = json!(webhook);
            true
        })?;
        self.forget_known();
        Ok(changed.is_some())
    }

    /// Ends one; false if there is none of this id. What waits for it is dropped when its time comes.
    pub(crate) fn delete(&self, id: &str) -> Result<bool, StoreError> {
        let taken = self.ledger.take(WEBHOOK, id)?;
        self.forget_known();
        Ok(taken.is_some())
    }

    /// Whether somebody wants to know of this.
    pub(crate) fn wanted(&self, kind: HappenedKind) -> bool {
        self.known().is_ok_and(|known| known.iter().any(|webhook| webhook.wants(kind)))
    }

    /// Queues what has happened for those who want to know. What has happened stays so if this fails. Blocks.
    pub(crate) fn queue(&self, happened: &[Happened]) {
        match self.try_queue(happened) {
            Ok(0) => {}
            Ok(_) => self.wake.notify_one(),
            Err(error) => {
                tracing::error!(%error, memories = happened.len(), "webhooks will not hear of this: it could not be queued");
                count("lost");
            }
        }
    }

    fn try_queue(&self, happened: &[Happened]) -> Result<usize, StoreError> {
        if happened.is_empty() {
            return Ok(0);
        }
        let known = self.known()?;
        let now = Timestamp::now();
        let mut deliveries = Vec::new();
        for happened in happened {
            for webhook in known.iter().filter(|webhook| webhook.wants(happened.kind)) {
                let delivery = Delivery { webhook: webhook.id.clone(), body: told(happened).to_string(), attempts: 0 };
                let id = uuid::Uuid::new_v4().to_string();
                let document = Document::new(DELIVERY, id, json!(delivery)).of(happened.owner.as_deref());
                deliveries.push(document.due(now));
            }
        }
        if !deliveries.is_empty() {
            self.ledger.put(&deliveries, Durability::Synced)?;
        }
        Ok(deliveries.len())
    }

    /// The webhooks, read again now and then.
    fn known(&self) -> Result<Arc<Vec<Webhook>>, StoreError> {
        let fresh = |(read, known): &(Instant, Arc<Vec<Webhook>>)| (read.elapsed() < BELIEVED).then(|| known.clone());
        if let Some(known) = self.lock().as_ref().and_then(fresh) {
            return Ok(known);
        }
        let read = Instant::now();
        let known = Arc::new(self.list()?);
        *self.lock() = Some((read, known.clone()));
        Ok(known)
    }

    fn forget_known(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Arc<Vec<Webhook>>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a delivery, as mem0's platform has it.
fn told(happened: &Happened) -> Value {
    json!({"event_details": {
        "id": happened.id,
        "data": {"memory": happened.memory},
        "event": happened.kind.as_str(),
    }})
}

fn read<T: serde::de::DeserializeOwned>(document: &Document) -> Option<T> {
    serde_json::from_value(document.body.clone()).ok()
}

fn count(outcome: &'static str) {
    metrics::counter!("mnemon_webhook_deliveries_total", "outcome" => outcome).increment(1);
}
