//! Webhooks end to end: a server that sends events, and a receiver.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::server::{ADMIN, ANA, TestServer, config};

const PATH: &str = "/api/v1/webhooks/projects/default/";

/// A received delivery.
pub(crate) struct Received {
    pub(crate) id: String,
    timestamp: String,
    signature: String,
    pub(crate) body: String,
}

impl Received {
    fn details(&self) -> Value {
        serde_json::from_str::<Value>(&self.body).unwrap()["event_details"].clone()
    }

    fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.{}", self.id, self.timestamp, self.body).as_bytes());
        self.signature == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// A receiver that answers with these statuses, then with 200.
pub(crate) async fn receiver(statuses: Vec<u16>) -> (String, mpsc::UnboundedReceiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut statuses = statuses.into_iter();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}}") {
                let mut part = [0; 4096];
                match stream.read(&mut part).await {
                    Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
                    _ => break,
                }
            }
            let request = String::from_utf8(request).unwrap();
            let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
            let header = |name: &str| {
                let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                line.unwrap_or_default().to_owned()
            };
            let status = statuses.next().unwrap_or(200);
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
            let delivery = Received {
                id: header("webhook-id"),
                timestamp: header("webhook-timestamp"),
                signature: header("webhook-signature"),
                body: body.to_owned(),
            };
            if sender.send(delivery).is_err() {
                return;
            }
        }
    });
    (url, received)
}

async fn hook(server: &TestServer, url: &str, event_types: Value) -> Value {
    let body = json!({"name": "w", "url": url, "event_types": event_types});
    server.post(ADMIN, PATH, body).await.expect(201)
}

#[tokio::test]
async fn events_are_delivered_and_signed() {
    let server = TestServer::start().await;
    let (url, mut received) = receiver(Vec::new()).await;
    let made = hook(&server, &url, json!(["memory_add", "memory_update", "memory_delete"])).await;
    let secret = made["secret"].as_str().unwrap();
    let (other_url, mut other_received) = receiver(Vec::new()).await;
    hook(&server, &other_url, json!(["memory_categorize"])).await;

    let id = server.remember(ANA, "likes tea").await;
    let mut expect = async |id: &str, event: &str, memory: &str| {
        let delivery = received.recv().await.unwrap();
        assert!(delivery.is_signed_with(secret), "{}", delivery.signature);
        assert_eq!(delivery.details()["data"]["memory"], memory);
        assert_eq!((&delivery.details()["id"], &delivery.details()["event"]), (&json!(id), &json!(event)));
    };
    expect(&id, "ADD", "likes tea").await;
    server.call(ANA, "PUT", &format!("/memories/{id}"), json!({"text": "likes coffee"})).await.expect(200);
    expect(&id, "UPDATE", "likes coffee").await;
    server.call(ANA, "DELETE", "/v1/memories/?user_id=ana", Value::Null).await.expect(200);
    expect(&id, "DELETE", "likes coffee").await;
    let id = server.remember(ANA, "likes cocoa").await;
    expect(&id, "ADD", "likes cocoa").await;
    server.call(ANA, "DELETE", "/memories?user_id=ana", Value::Null).await.expect(200);
    expect(&id, "DELETE", "likes cocoa").await;
    assert!(other_received.try_recv().is_err());
    // The metrics do not contain the secret.
    let metrics = server.get(ADMIN, "/metrics").await.body;
    assert!(!metrics.as_str().unwrap().contains(secret));
    server.stop().await;
}

#[tokio::test]
async fn a_rejected_delivery_is_sent_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let (url, mut received) = receiver(vec![503]).await;
    let server = TestServer::over(&path, config()).await;
    hook(&server, &url, json!(["memory_add"])).await;
    server.remember(ANA, "likes tea").await;
    let first = received.recv().await.unwrap();
    server.stop().await;
    let server = TestServer::over(&path, config()).await;
    let second = received.recv().await.unwrap();
    assert_eq!((first.id, first.body), (second.id, second.body));
    server.stop().await;
}

#[tokio::test]
async fn a_deleted_webhook_receives_nothing() {
    let server = TestServer::start().await;
    let (url, mut received) = receiver(vec![500; 100]).await;
    let made = hook(&server, &url, json!(["memory_add"])).await;
    server.remember(ANA, "likes tea").await;
    received.recv().await.unwrap();
    let one = format!("/api/v1/webhooks/{}/", made["webhook_id"].as_str().unwrap());
    server.call(ADMIN, "DELETE", &one, Value::Null).await.expect(200);
    server.remember(ANA, "likes coffee").await;
    server.stop().await;
    assert!(received.try_recv().is_err());
}
