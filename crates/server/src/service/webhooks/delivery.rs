//! Sends queued deliveries: signed, a few at the same time, and again until the receiver accepts them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use mnemon_store::{Document, PageRequest, StoreError};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::registry::{DELIVERY, Delivery, SECRET_PREFIX, WEBHOOK, Webhook, Webhooks, count, read};
use crate::service::blocking::BlockingPool;

/// Deliveries that are sent at the same time.
const MAX_CONCURRENT_DELIVERIES: usize = 8;

/// A delivery that this process has claimed, with the webhook it goes to.
struct Claimed {
    webhook: Webhook,
    delivery: Delivery,
}

/// Sends queued deliveries as long as the server runs.
pub(crate) async fn run_deliveries(webhooks: Arc<Webhooks>, pool: BlockingPool) {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_DELIVERIES));
    let mut sending = JoinSet::new();
    loop {
        let Some(due) = blocking(&webhooks, &pool, Webhooks::due).await else {
            tokio::time::sleep(webhooks.retry.poll).await;
            continue;
        };
        let mut idle = true;
        for document in due {
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            let id = document.id;
            // Several processes may see the same delivery: one of them gets the claim.
            let claim = {
                let id = id.clone();
                blocking(&webhooks, &pool, move |webhooks| webhooks.claim(&id)).await
            };
            let Some(Some(claimed)) = claim else { continue };
            let Some(client) = webhooks.client() else { continue };
            idle = false;
            let (webhooks, pool) = (webhooks.clone(), pool.clone());
            sending.spawn(async move {
                let Claimed { webhook, delivery } = claimed;
                let outcome = send(&client, &id, &webhook, &delivery.body).await;
                blocking(&webhooks, &pool, move |webhooks| {
                    webhooks.record_outcome(&id, &webhook, delivery.attempts, outcome)
                })
                .await;
                drop(permit);
            });
        }
        while sending.try_join_next().is_some() {}
        if idle {
            tokio::select! {
                () = webhooks.wake.notified() => {}
                () = tokio::time::sleep(webhooks.retry.poll) => {}
            }
        }
    }
}

/// Calls the queue in the pool. `None` after a failure, which is logged.
async fn blocking<T: Send + 'static>(
    webhooks: &Arc<Webhooks>,
    pool: &BlockingPool,
    work: impl FnOnce(&Webhooks) -> Result<T, StoreError> + Send + 'static,
) -> Option<T> {
    let webhooks = webhooks.clone();
    // The pool has logged a panic.
    let result = pool.run(move || work(&webhooks)).await.ok()?;
    result.inspect_err(|error| tracing::warn!(%error, "could not read or write the webhook queue")).ok()
}

impl Webhooks {
    /// The deliveries that are due now. Blocks.
    fn due(&self) -> Result<Vec<Document>, StoreError> {
        let due = self.documents.due(DELIVERY, Timestamp::now(), 8 * MAX_CONCURRENT_DELIVERIES)?;
        let page = PageRequest { limit: 1, ..PageRequest::default() };
        let queued = self.documents.documents(DELIVERY, None, &page)?.total;
        metrics::gauge!("mnemon_webhook_queue").set(queued as f64);
        Ok(due)
    }

    /// Claims a delivery for this process under a lease. `None` if another process has it, or if it was dropped because
    /// its webhook was deleted or is inactive. Blocks.
    fn claim(&self, id: &str) -> Result<Option<Claimed>, StoreError> {
        let now = Timestamp::now();
        let lease_end = after(now, self.retry.lease);
        let leased = self.documents.change(DELIVERY, id, &mut |document| {
            let free = document.due.is_some_and(|due| due <= now);
            document.due = Some(lease_end);
            free
        })?;
        let Some(leased) = leased else { return Ok(None) };
        let webhook = self.documents.document(WEBHOOK, webhook_id(&leased))?.as_ref().and_then(read::<Webhook>);
        match (webhook.filter(|webhook| webhook.is_active), read::<Delivery>(&leased)) {
            (Some(webhook), Some(delivery)) => Ok(Some(Claimed { webhook, delivery })),
            _ => {
                self.documents.take(DELIVERY, id)?;
                count("dropped");
                Ok(None)
            }
        }
    }

    /// Records the outcome of an attempt: finished, due again later, or dropped after the last attempt. Blocks.
    fn record_outcome(
        &self,
        id: &str,
        webhook: &Webhook,
        attempts: usize,
        outcome: Result<(), String>,
    ) -> Result<(), StoreError> {
        let Err(reason) = outcome else {
            self.documents.take(DELIVERY, id)?;
            count("delivered");
            return Ok(());
        };
        let Some(pause) = self.retry.backoff.get(attempts) else {
            self.documents.take(DELIVERY, id)?;
            count("given_up");
            tracing::warn!(webhook = %webhook.id, delivery = %id, %reason, "webhook delivery dropped: no attempts left");
            return Ok(());
        };
        let due = after(Timestamp::now(), *pause);
        self.documents.change(DELIVERY, id, &mut |document| {
            let Some(delivery) = read::<Delivery>(document) else { return false };
            document.due = Some(due);
            document.body = serde_json::json!(Delivery { attempts: attempts + 1, ..delivery });
            true
        })?;
        count("failed");
        tracing::info!(webhook = %webhook.id, delivery = %id, %reason, retry_at = %due, "webhook delivery failed");
        Ok(())
    }

    /// The HTTP client, created on first use.
    fn client(&self) -> Option<reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Some(client.clone());
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(self.retry.timeout)
            .user_agent(concat!("mnemon/", env!("CARGO_PKG_VERSION")))
            .build();
        match client {
            Ok(client) => Some(self.client.get_or_init(|| client).clone()),
            Err(error) => {
                tracing::error!(%error, "could not create the HTTP client for webhooks");
                None
            }
        }
    }
}

fn webhook_id(delivery: &Document) -> &str {
    delivery.body["webhook"].as_str().unwrap_or_default()
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// Sends one delivery. A 2xx status accepts it.
async fn send(client: &reqwest::Client, id: &str, webhook: &Webhook, body: &str) -> Result<(), String> {
    let timestamp = Timestamp::now().as_second();
    let sent = client
        .post(&webhook.url)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", signature(&webhook.secret, id, timestamp, body))
        .body(body.to_owned())
        .send()
        .await;
    match sent {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(format!("status {}", response.status().as_u16())),
        // Not the whole error: it would show the URL, which may contain a password.
        Err(error) if error.is_timeout() => Err("timeout".into()),
        Err(error) if error.is_connect() => Err("no connection".into()),
        Err(_) => Err("the request failed".into()),
    }
}

/// The signature of Standard Webhooks: `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
fn signature(secret: &str, id: &str, timestamp: i64, body: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret)).unwrap_or_default();
    // HMAC accepts a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use mnemon_store::sqlite::SqliteOptions;
    use mnemon_store::{DocumentStore, EventKind, SqliteStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::super::event::MemoryEvent;
    use super::super::registry::{EVENT_TYPES, NewWebhook, RetryPolicy};
    use super::*;

    #[test]
    fn signatures_follow_standard_webhooks() {
        // The example from the reference implementations of the specification.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    fn documents(path: &std::path::Path) -> Arc<dyn DocumentStore> {
        Arc::new(SqliteStore::open(SqliteOptions::new(path, "test", 4)).unwrap())
    }

    fn webhooks(documents: Arc<dyn DocumentStore>) -> Arc<Webhooks> {
        let retry = RetryPolicy {
            poll: Duration::from_millis(5),
            timeout: Duration::from_secs(5),
            lease: Duration::from_secs(60),
            backoff: vec![Duration::from_millis(1); 3],
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        Arc::new(Webhooks::with_retry_policy(documents, retry))
    }

    fn start_worker(webhooks: &Arc<Webhooks>) -> tokio::task::JoinHandle<()> {
        tokio::spawn(run_deliveries(webhooks.clone(), BlockingPool::new(4)))
    }

    /// A receiver that answers one request with each of these statuses, and passes on each request's head and body.
    async fn receiver(statuses: Vec<u16>) -> (String, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for status in statuses {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"}}") {
                    let mut part = [0; 4096];
                    let read = stream.read(&mut part).await.unwrap();
                    assert!(read > 0, "the request was incomplete");
                    request.extend_from_slice(&part[..read]);
                }
                let response = format!(
                    "HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(response.as_bytes()).await.unwrap();
                sender.send(String::from_utf8(request).unwrap()).unwrap();
            }
        });
        (url, requests)
    }

    fn new_webhook(url: &str) -> NewWebhook {
        NewWebhook {
            name: "w".into(),
            url: url.into(),
            event_types: EVENT_TYPES.map(str::to_owned).to_vec(),
            project: "default".into(),
        }
    }

    fn added(memory: &str) -> MemoryEvent {
        MemoryEvent { kind: EventKind::Add, id: "1".into(), memory: memory.into(), owner: Some("ana".into()) }
    }

    fn header<'r>(request: &'r str, name: &str) -> &'r str {
        request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
    }

    async fn wait_until_empty(webhooks: &Webhooks) {
        let page = PageRequest { limit: 1, ..PageRequest::default() };
        while webhooks.documents.documents(DELIVERY, None, &page).unwrap().total > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_rejected_delivery_is_sent_again_with_the_same_id() {
        let folder = tempfile::tempdir().unwrap();
        let webhooks = webhooks(documents(&folder.path().join("m.db")));
        let (url, mut requests) = receiver(vec![500, 302, 200]).await;
        let (_, secret) = webhooks.create(new_webhook(&url)).unwrap().unwrap();
        let worker = start_worker(&webhooks);
        webhooks.enqueue(&[added("likes tea")]);
        let mut ids = Vec::new();
        for _ in 0..3 {
            let request = requests.recv().await.unwrap();
            assert!(request.starts_with("POST /hook "), "{request}");
            let body = request.split_once("\r\n\r\n").unwrap().1;
            assert_eq!(body, r#"{"event_details":{"id":"1","data":{"memory":"likes tea"},"event":"ADD"}}"#);
            let (id, at) = (header(&request, "webhook-id"), header(&request, "webhook-timestamp"));
            let expected = signature(&secret, id, at.parse().unwrap(), body);
            assert_eq!(header(&request, "webhook-signature"), expected);
            ids.push(id.to_owned());
        }
        assert!(ids.iter().all(|id| *id == ids[0]));
        wait_until_empty(&webhooks).await;
        worker.abort();
    }

    #[tokio::test]
    async fn a_delivery_is_dropped_after_the_last_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let webhooks = webhooks(documents(&folder.path().join("m.db")));
        let (url, mut requests) = receiver(vec![500; 4]).await;
        webhooks.create(new_webhook(&url)).unwrap().unwrap();
        let worker = start_worker(&webhooks);
        webhooks.enqueue(&[added("likes tea")]);
        for _ in 0..4 {
            requests.recv().await.unwrap();
        }
        wait_until_empty(&webhooks).await;
        worker.abort();
    }

    #[tokio::test]
    async fn a_queued_delivery_survives_the_process_but_not_its_webhook() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let (url, mut requests) = receiver(vec![200]).await;
        {
            let before = webhooks(documents(&path));
            before.create(new_webhook(&url)).unwrap().unwrap();
            let (deleted, _) = before.create(new_webhook("http://127.0.0.1:9/")).unwrap().unwrap();
            before.enqueue(&[added("likes tea")]);
            assert!(before.delete(&deleted.id).unwrap());
        }
        let after = webhooks(documents(&path));
        let worker = start_worker(&after);
        assert!(requests.recv().await.unwrap().contains("likes tea"));
        wait_until_empty(&after).await;
        worker.abort();
    }

    #[tokio::test]
    async fn one_of_two_processes_claims_a_delivery() {
        let folder = tempfile::tempdir().unwrap();
        let documents = documents(&folder.path().join("m.db"));
        let webhooks = webhooks(documents.clone());
        webhooks.create(new_webhook("http://127.0.0.1:9/")).unwrap().unwrap();
        webhooks.enqueue(&[added("likes tea")]);
        let due = webhooks.due().unwrap();
        assert!(webhooks.claim(&due[0].id).unwrap().is_some());
        assert!(webhooks.claim(&due[0].id).unwrap().is_none());
        assert!(webhooks.due().unwrap().is_empty());
        assert_eq!(documents.forget("ana").unwrap(), 1, "a user's queued deliveries are deleted with the user");
    }
}
