//! Webhooks end to end: a server that tells, and a receiver that hears.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::service::{ADMIN, ANA, Service, config};

const PATH: &str = "/api/v1/webhooks/projects/default/";

/// What came in.
struct Heard {
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Heard {
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

/// Answers with these statuses, then with 200.
async fn receiver(statuses: Vec<u16>) -> (String, mpsc::UnboundedReceiver<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, heard) = mpsc::unbounded_channel();
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
            let told = Heard {
                id: header("webhook-id"),
                timestamp: header("webhook-timestamp"),
                signature: header("webhook-signature"),
                body: body.to_owned(),
            };
            if tell.send(told).is_err() {
                return;
            }
        }
    });
    (url, heard)
}

async fn hook(service: &Service, url: &str, event_types: Value) -> Value {
    let body = json!({"name": "w", "url": url, "event_types": event_types});
    service.post(ADMIN, PATH, body).await.expect(201)
}

#[tokio::test]
async fn what_happens_is_told_signed_and_in_both_languages() {
    let service = Service::start().await;
    let (url, mut heard) = receiver(Vec::new()).await;
    let made = hook(&service, &url, json!(["memory_add", "memory_update", "memory_delete"])).await;
    let secret = made["secret"].as_str().unwrap();
    let (deaf, mut unheard) = receiver(Vec::new()).await;
    hook(&service, &deaf, json!(["memory_categorize"])).await;

    let id = service.remember(ANA, "likes tea").await;
    let mut expect = async |id: &str, event: &str, memory: &str| {
        let told = heard.recv().await.unwrap();
        assert!(told.is_signed_with(secret), "{}", told.signature);
        assert_eq!(told.details()["data"]["memory"], memory);
        assert_eq!((&told.details()["id"], &told.details()["event"]), (&json!(id), &json!(event)));
    };
    expect(&id, "ADD", "likes tea").await;
    service.call(ANA, "PUT", &format!("/memories/{id}"), json!({"text": "likes coffee"})).await.expect(200);
    expect(&id, "UPDATE", "likes coffee").await;
    service.call(ANA, "DELETE", "/v1/memories/?user_id=ana", Value::Null).await.expect(200);
    expect(&id, "DELETE", "likes coffee").await;
    let id = service.remember(ANA, "likes cocoa").await;
    expect(&id, "ADD", "likes cocoa").await;
    service.call(ANA, "DELETE", "/memories?user_id=ana", Value::Null).await.expect(200);
    expect(&id, "DELETE", "likes cocoa").await;
    assert!(unheard.try_recv().is_err());
    // Nothing of this is for everybody's eyes.
    let metrics = service.get(ADMIN, "/metrics").await.body;
    assert!(!metrics.as_str().unwrap().contains(secret));
    service.stop().await;
}

#[tokio::test]
async fn what_was_not_accepted_is_sent_by_the_next_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let (url, mut heard) = receiver(vec![503]).await;
    let service = Service::over(&path, config()).await;
    hook(&service, &url, json!(["memory_add"])).await;
    service.remember(ANA, "likes tea").await;
    let first = heard.recv().await.unwrap();
    service.stop().await;
    let service = Service::over(&path, config()).await;
    let second = heard.recv().await.unwrap();
    assert_eq!((first.id, first.body), (second.id, second.body));
    service.stop().await;
}

#[tokio::test]
async fn a_webhook_that_is_gone_hears_no_more() {
    let service = Service::start().await;
    let (url, mut heard) = receiver(vec![500; 100]).await;
    let made = hook(&service, &url, json!(["memory_add"])).await;
    service.remember(ANA, "likes tea").await;
    heard.recv().await.unwrap();
    let one = format!("/api/v1/webhooks/{}/", made["webhook_id"].as_str().unwrap());
    service.call(ADMIN, "DELETE", &one, Value::Null).await.expect(200);
    service.remember(ANA, "likes coffee").await;
    service.stop().await;
    assert!(heard.try_recv().is_err());
}
