//! Sends queued deliveries: signed, a few at the same time, and again until the receiver accepts them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use mnemon_store::{Document, StoreError};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::registry::{Delivery, SECRET_PREFIX, Webhook, Webhooks, count};
use crate::service::blocking::BlockingPool;

/// Deliveries that are sent at the same time.
const MAX_CONCURRENT_DELIVERIES: usize = 8;

/// The timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A delivery that this process has claimed, with the webhook it goes to.
struct Claimed {
    webhook: Webhook,
    delivery: Document<Delivery>,
}

/// Sends queued deliveries as long as the server runs.
pub(crate) async fn run_deliveries(webhooks: Arc<Webhooks>, pool: BlockingPool) {
    let permits = Arc::new(Semaphore::new(MAX_CONCURRENT_DELIVERIES));
    let mut sending = JoinSet::new();
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let claimed = blocking(&webhooks, &pool, Webhooks::claim).await.flatten().zip(webhooks.client());
        while sending.try_join_next().is_some() {}
        let Some((Claimed { webhook, delivery }, client)) = claimed else {
            drop(permit);
            tokio::select! {
                () = webhooks.wake.notified() => {}
                () = tokio::time::sleep(webhooks.deliveries.policy().poll) => {}
            }
            continue;
        };
        let (webhooks, pool) = (webhooks.clone(), pool.clone());
        sending.spawn(async move {
            let outcome = send(&client, &delivery.id, &webhook, &delivery.body.body).await;
            blocking(&webhooks, &pool, move |webhooks| webhooks.record_outcome(&delivery, outcome)).await;
            drop(permit);
        });
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
    /// The number of queued deliveries. Blocks.
    pub(crate) fn queued(&self) -> Result<usize, StoreError> {
        self.deliveries.count()
    }

    /// Claims the delivery that has been due longest. Deliveries whose webhook was deleted or is inactive are dropped.
    /// `None` if none is due. Blocks.
    fn claim(&self) -> Result<Option<Claimed>, StoreError> {
        while let Some(delivery) = self.deliveries.claim()? {
            let webhook = match self.stored.get(&delivery.body.webhook) {
                // Deliveries of other webhooks must not wait.
                Err(error @ StoreError::UnreadableDocument { .. }) => {
                    self.record_outcome(&delivery, Err(error.to_string()))?;
                    continue;
                }
                found => found?.map(|document| document.body),
            };
            if let Some(webhook) = webhook.filter(|webhook| webhook.is_active) {
                return Ok(Some(Claimed { webhook, delivery }));
            }
            self.deliveries.finish(&delivery.id)?;
            count("dropped");
        }
        Ok(None)
    }

    /// Records the outcome of an attempt: finished, due again later, or dropped after the last attempt. Blocks.
    fn record_outcome(&self, delivery: &Document<Delivery>, outcome: Result<(), String>) -> Result<(), StoreError> {
        let Document { id, body: Delivery { webhook, attempts, .. }, .. } = delivery;
        let Err(reason) = outcome else {
            self.deliveries.finish(id)?;
            count("delivered");
            return Ok(());
        };
        let Some(pause) = self.deliveries.policy().pause(attempts + 1) else {
            self.deliveries.finish(id)?;
            count("given_up");
            tracing::warn!(%webhook, delivery = %id, %reason, "webhook delivery dropped: no attempts left");
            return Ok(());
        };
        self.deliveries.retry_later(id, pause, &mut |delivery| delivery.attempts = attempts + 1)?;
        count("failed");
        tracing::info!(%webhook, delivery = %id, %reason, pause_s = pause.as_secs(), "webhook delivery failed");
        Ok(())
    }

    /// The HTTP client, created on first use.
    fn client(&self) -> Option<reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Some(client.clone());
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REQUEST_TIMEOUT)
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
    use mnemon_store::{DocumentStore, EventKind, RetryPolicy, SqliteStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::super::event::MemoryEvent;
    use super::super::registry::{EVENT_TYPES, NewWebhook};
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
            backoff: vec![Duration::from_millis(1)],
            lease: Duration::from_secs(60),
            max_attempts: Some(4),
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
        while webhooks.deliveries.count().unwrap() > 0 {
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
        assert!(webhooks.claim().unwrap().is_some());
        assert!(self::webhooks(documents.clone()).claim().unwrap().is_none());
        assert_eq!(
            documents.delete_owned_by("ana").unwrap(),
            1,
            "a user's queued deliveries are deleted with the user"
        );
    }
}
