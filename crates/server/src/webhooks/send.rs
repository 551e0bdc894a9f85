//! Sending what waits: signed, a few at once, again and again until it is accepted.

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

use super::{DELIVERY, Delivery, SECRET, WEBHOOK, Webhook, Webhooks, count, read};
use crate::app::Shared;

/// Deliveries that are under way at once.
const AT_ONCE: usize = 8;

/// Sends what waits in the ledger, as long as the server runs.
pub(crate) async fn deliver(app: Shared) {
    let shared = app.clone();
    let block = move |work: Work| {
        let app = shared.clone();
        async move {
            let shared = app.clone();
            // A worker that panicked has left a line in the log.
            app.blocking(move || work(&shared.webhooks)).await.ok()
        }
    };
    run(&app.webhooks, block).await;
}

/// Something that blocks, done with the webhooks.
type Work = Box<dyn FnOnce(&Webhooks) -> Result<Step, StoreError> + Send>;

/// What it came to.
enum Step {
    /// What is due.
    Due(Vec<Document>),
    /// What is to be sent now, and to whom.
    Leased(Option<Box<(Webhook, Delivery)>>),
    Done,
}

/// The loop, over a way to block: `block` gives `None` where the work could not be done.
async fn run<F, W>(webhooks: &Webhooks, block: F)
where
    F: Fn(Work) -> W + Clone + Send + 'static,
    W: Future<Output = Option<Result<Step, StoreError>>> + Send,
{
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut sending = JoinSet::new();
    loop {
        let due = done(block(Box::new(|webhooks: &Webhooks| webhooks.due().map(Step::Due))).await);
        let Some(Step::Due(due)) = due else {
            tokio::time::sleep(webhooks.pace.look).await;
            continue;
        };
        let mut idle = true;
        for document in due {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let id = document.id.clone();
            // Two processes see the same: one of them gets it.
            let lease = Box::new(move |webhooks: &Webhooks| webhooks.lease(&id).map(Step::Leased));
            let Some(Step::Leased(Some(leased))) = done(block(lease).await) else { continue };
            let Some(client) = webhooks.client() else { continue };
            idle = false;
            let (block, id) = (block.clone(), document.id);
            sending.spawn(async move {
                let (webhook, delivery) = *leased;
                let outcome = send(&client, &id, &webhook, &delivery.body).await;
                let settled = Box::new(move |webhooks: &Webhooks| {
                    webhooks.settle(&id, &webhook, delivery.attempts, outcome).map(|()| Step::Done)
                });
                done(block(settled).await);
                drop(place);
            });
        }
        while sending.try_join_next().is_some() {}
        // Nothing was due, or nothing could be done about it.
        if idle {
            tokio::select! {
                () = webhooks.wake.notified() => {}
                () = tokio::time::sleep(webhooks.pace.look) => {}
            }
        }
    }
}

/// The step, or a line in the log.
fn done(step: Option<Result<Step, StoreError>>) -> Option<Step> {
    step?.inspect_err(|error| tracing::warn!(%error, "the queue of webhooks could not be read or written")).ok()
}

impl Webhooks {
    /// What is due now. Blocks.
    fn due(&self) -> Result<Vec<Document>, StoreError> {
        let due = self.ledger.due(DELIVERY, Timestamp::now(), 8 * AT_ONCE)?;
        let page = PageRequest { limit: 1, ..PageRequest::default() };
        let waiting = self.ledger.documents(DELIVERY, None, &page)?.total;
        metrics::gauge!("mnemon_webhook_queue").set(waiting as f64);
        Ok(due)
    }

    /// Keeps a delivery for this process for a while. `None` if another has it, or nobody wants it any more. Blocks.
    fn lease(&self, id: &str) -> Result<Option<Box<(Webhook, Delivery)>>, StoreError> {
        let now = Timestamp::now();
        let until = later(now, self.pace.lease);
        let leased = self.ledger.change(DELIVERY, id, &mut |document| {
            let free = document.due.is_some_and(|due| due <= now);
            document.due = Some(until);
            free
        })?;
        let Some(leased) = leased else { return Ok(None) };
        let webhook = self.ledger.document(WEBHOOK, &of(&leased))?.as_ref().and_then(read::<Webhook>);
        match (webhook.filter(|webhook| webhook.is_active), read::<Delivery>(&leased)) {
            (Some(webhook), Some(delivery)) => Ok(Some(Box::new((webhook, delivery)))),
            _ => {
                self.ledger.take(DELIVERY, id)?;
                count("dropped");
                Ok(None)
            }
        }
    }

    /// Notes how it went. Blocks.
    fn settle(
        &self,
        id: &str,
        webhook: &Webhook,
        attempts: usize,
        outcome: Result<(), String>,
    ) -> Result<(), StoreError> {
        let Err(reason) = outcome else {
            self.ledger.take(DELIVERY, id)?;
            count("delivered");
            return Ok(());
        };
        let Some(pause) = self.pace.pauses.get(attempts) else {
            self.ledger.take(DELIVERY, id)?;
            count("given_up");
            tracing::warn!(webhook = %webhook.id, delivery = %id, %reason, "a delivery was given up");
            return Ok(());
        };
        let due = later(Timestamp::now(), *pause);
        self.ledger.change(DELIVERY, id, &mut |document| {
            let Some(delivery) = read::<Delivery>(document) else { return false };
            document.due = Some(due);
            document.body = serde_json::json!(Delivery { attempts: attempts + 1, ..delivery });
            true
        })?;
        count("failed");
        tracing::info!(webhook = %webhook.id, delivery = %id, %reason, again_at = %due, "a delivery failed");
        Ok(())
    }

    /// The HTTP client, made when it is first needed.
    fn client(&self) -> Option<reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Some(client.clone());
        }
        let made = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(self.pace.timeout)
            .user_agent(concat!("mnemon/", env!("CARGO_PKG_VERSION")))
            .build();
        match made {
            Ok(client) => Some(self.client.get_or_init(|| client).clone()),
            Err(error) => {
                tracing::error!(%error, "webhooks can't be sent");
                None
            }
        }
    }
}

fn of(delivery: &Document) -> String {
    delivery.body["webhook"].as_str().unwrap_or_default().to_owned()
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// Sends one; accepted is what is answered with 2xx.
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
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("answered {}", answer.status().as_u16())),
        // Not the whole error: it would show the address, which may hold a password.
        Err(error) if error.is_timeout() => Err("no answer in time".into()),
        Err(error) if error.is_connect() => Err("no connection".into()),
        Err(_) => Err("the request failed".into()),
    }
}

/// `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64, as Standard Webhooks has it.
fn signature(secret: &str, id: &str, timestamp: i64, body: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix(SECRET).unwrap_or(secret)).unwrap_or_default();
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use mnemon_store::sqlite::SqliteOptions;
    use mnemon_store::{DocumentStore, SqliteStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::super::{EVENT_TYPES, Happened, HappenedKind, NewWebhook, Pace};
    use super::*;

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // The example of the specification's reference implementations.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    fn ledger(path: &std::path::Path) -> Arc<dyn DocumentStore> {
        Arc::new(SqliteStore::open(SqliteOptions::new(path, "test", 4)).unwrap())
    }

    fn webhooks(ledger: Arc<dyn DocumentStore>) -> Arc<Webhooks> {
        let pace = Pace {
            look: Duration::from_millis(5),
            timeout: Duration::from_secs(5),
            lease: Duration::from_secs(60),
            pauses: vec![Duration::from_millis(1); 3],
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        Arc::new(Webhooks { pace, ..Webhooks::new(ledger) })
    }

    fn start(webhooks: &Arc<Webhooks>) -> tokio::task::JoinHandle<()> {
        let webhooks = webhooks.clone();
        tokio::spawn(async move {
            let shared = webhooks.clone();
            run(&webhooks, move |work| {
                let shared = shared.clone();
                async move { tokio::task::spawn_blocking(move || work(&shared)).await.ok() }
            })
            .await;
        })
    }

    /// A receiver that answers with these statuses, one a request, and tells each request's head and body.
    async fn receiver(statuses: Vec<u16>) -> (String, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for status in statuses {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"}}") {
                    let mut part = [0; 4096];
                    let read = stream.read(&mut part).await.unwrap();
                    assert!(read > 0, "the request was cut off");
                    request.extend_from_slice(&part[..read]);
                }
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                tell.send(String::from_utf8(request).unwrap()).unwrap();
            }
        });
        (url, told)
    }

    fn new(url: &str) -> NewWebhook {
        NewWebhook {
            name: "w".into(),
            url: url.into(),
            event_types: EVENT_TYPES.map(str::to_owned).to_vec(),
            project: "default".into(),
        }
    }

    fn added(memory: &str) -> Happened {
        Happened { kind: HappenedKind::Add, id: "1".into(), memory: memory.into(), owner: Some("ana".into()) }
    }

    fn header<'r>(request: &'r str, name: &str) -> &'r str {
        request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
    }

    async fn emptied(webhooks: &Webhooks) {
        let page = PageRequest { limit: 1, ..PageRequest::default() };
        while webhooks.ledger.documents(DELIVERY, None, &page).unwrap().total > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_not_accepted_is_sent_again_with_the_same_id() {
        let folder = tempfile::tempdir().unwrap();
        let webhooks = webhooks(ledger(&folder.path().join("m.db")));
        let (url, mut requests) = receiver(vec![500, 302, 200]).await;
        let (_, secret) = webhooks.create(new(&url)).unwrap().unwrap();
        let worker = start(&webhooks);
        webhooks.queue(&[added("likes tea")]);
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
        emptied(&webhooks).await;
        worker.abort();
    }

    #[tokio::test]
    async fn it_is_given_up_after_the_last_pause() {
        let folder = tempfile::tempdir().unwrap();
        let webhooks = webhooks(ledger(&folder.path().join("m.db")));
        let (url, mut requests) = receiver(vec![500; 4]).await;
        webhooks.create(new(&url)).unwrap().unwrap();
        let worker = start(&webhooks);
        webhooks.queue(&[added("likes tea")]);
        for _ in 0..4 {
            requests.recv().await.unwrap();
        }
        emptied(&webhooks).await;
        worker.abort();
    }

    #[tokio::test]
    async fn what_waits_survives_the_process_and_not_its_webhook() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let (url, mut requests) = receiver(vec![200]).await;
        {
            let before = webhooks(ledger(&path));
            before.create(new(&url)).unwrap().unwrap();
            let (doomed, _) = before.create(new("http://127.0.0.1:9/")).unwrap().unwrap();
            before.queue(&[added("likes tea")]);
            assert!(before.delete(&doomed.id).unwrap());
        }
        let after = webhooks(ledger(&path));
        let worker = start(&after);
        assert!(requests.recv().await.unwrap().contains("likes tea"));
        emptied(&after).await;
        worker.abort();
    }

    #[tokio::test]
    async fn of_two_processes_one_sends() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder.path().join("m.db"));
        let webhooks = webhooks(ledger.clone());
        webhooks.create(new("http://127.0.0.1:9/")).unwrap().unwrap();
        webhooks.queue(&[added("likes tea")]);
        let due = webhooks.due().unwrap();
        assert!(webhooks.lease(&due[0].id).unwrap().is_some());
        assert!(webhooks.lease(&due[0].id).unwrap().is_none());
        assert!(webhooks.due().unwrap().is_empty());
        assert_eq!(ledger.forget("ana").unwrap(), 1, "what waits goes when its user goes");
    }
}
