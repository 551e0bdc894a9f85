//! Documents that are damaged, or that a newer version wrote: an error where one is needed, and no obstacle to the
//! others.

use std::sync::Arc;

use mnemon_server::check_documents;
use mnemon_store::{Document, DocumentStore, Durability, PageRequest};
use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, BOB, TestServer, config, documents};

const PROJECT: &str = "/api/v1/orgs/organizations/default/projects/default";
const WEBHOOKS: &str = "/api/v1/webhooks/projects/default";

/// Bodies that no kind of document has.
fn bodies() -> [Value; 3] {
    [json!(7), json!([{"id": "x"}]), json!([null])]
}

/// The ids of all documents of a kind.
fn ids(store: &dyn DocumentStore, kind: &'static str) -> Vec<String> {
    let page = PageRequest { limit: 99, ..PageRequest::default() };
    store.scan(kind, None, &page).unwrap().items.into_iter().map(|document| document.unwrap().id).collect()
}

/// Fills every kind of document that a request can write. Returns the path of the store's file, a key made at run time,
/// and the ids of an event, an export and a webhook.
async fn fill(server: &TestServer) -> (String, [String; 3]) {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let key = server.post(ADMIN, "/api-keys", json!({"label": "laptop", "user_id": "cleo"})).await.expect(201);
    let account = json!({"name": "Ana", "email": "ana@example.org", "password": "correct horse"});
    server.post(ADMIN, "/auth/register", account).await.expect(200);
    let added = json!({"messages": "I like tea.", "infer": false});
    let event = server.post(ANA, "/v3/memories/add", added).await.expect(200);
    let memory = event["results"][0]["id"].clone();
    server.post(ANA, "/v1/feedback", json!({"memory_id": memory, "feedback": "POSITIVE"})).await.expect(200);
    let export = server.post(ANA, "/v1/exports", json!({"schema": {}})).await.expect(201);
    server.post(ADMIN, &format!("{PROJECT}/members"), json!({"email": "a@example.org"})).await.expect(200);
    server.call(ADMIN, "PATCH", PROJECT, json!({"custom_instructions": "Only places."})).await.expect(200);
    server.post(ADMIN, "/configure", json!({"custom": 1})).await.expect(200);
    let hook = json!({"name": "h", "url": "http://127.0.0.1:9/", "event_types": ["memory_delete"]});
    let hook = server.post(ADMIN, WEBHOOKS, hook).await.expect(201);
    server.get(ADMIN, "/requests").await.expect(200);
    (text(&key, "key"), [text(&event, "event_id"), text(&export, "id"), text(&hook, "webhook_id")])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_needs_an_unreadable_document_fails() {
    for body in bodies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.db");
        let server = TestServer::over(&path, config()).await;
        let (key, [event, export, hook]) = fill(&server).await;
        let store: Arc<dyn DocumentStore> = Arc::new(documents(&path));
        assert_eq!(check_documents(&store).unwrap(), []);
        let cases: [(&'static str, &str, &str, String, Value); 7] = [
            ("api_key", &key, "GET", "/memories".into(), Value::Null),
            (
                "account",
                "",
                "POST",
                "/auth/login".into(),
                json!({"email": "ana@example.org", "password": "correct horse"}),
            ),
            ("event", ANA, "GET", format!("/v1/event/{event}"), Value::Null),
            ("export", ANA, "POST", "/v1/exports/get".into(), json!({"memory_export_id": export})),
            ("project", ADMIN, "GET", PROJECT.into(), Value::Null),
            ("config", ADMIN, "GET", "/configure".into(), Value::Null),
            ("webhook", ADMIN, "PUT", format!("/api/v1/webhooks/{hook}"), json!({"name": "x"})),
        ];
        for (kind, key, method, path, request) in cases {
            let id = ids(&*store, kind).remove(0);
            let before = store.document(kind, &id).unwrap().unwrap();
            let bad = Document { body: body.clone(), ..before.clone() };
            store.put(&[bad], Durability::Synced).unwrap();
            let problem = server.call(key, method, &path, request).await.expect(500);
            assert_eq!(problem["code"], "unreadable_document", "{kind} {body}: {problem}");
            assert!(problem["hint"].as_str().unwrap().contains("names the document"), "{problem}");
            assert_eq!(store.document(kind, &id).unwrap().unwrap().body, body, "{kind}: nothing was written");
            let findings = check_documents(&store).unwrap();
            assert_eq!((findings.len(), findings[0].check), (1, "unreadable_document"), "{kind}: {findings:?}");
            assert!(findings[0].detail.contains(kind) && findings[0].detail.contains(&id), "{findings:?}");
            store.put(&[before], Durability::Synced).unwrap();
        }
        // Kinds that no request answers with are checked too.
        for kind in ["feedback", "secret", "request", "member"] {
            let id = ids(&*store, kind).remove(0);
            store
                .change(kind, &id, &mut |document| {
                    document.body = body.clone();
                    true
                })
                .unwrap()
                .unwrap();
            assert_eq!(check_documents(&store).unwrap().len(), 1, "{kind} {body}");
            assert!(store.remove(kind, &id).unwrap());
        }
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_leave_out_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.db");
    let server = TestServer::over(&path, config()).await;
    fill(&server).await;
    let store = documents(&path);
    let members = format!("{PROJECT}/members");
    for (kind, list, owner) in [
        ("api_key", "/api-keys", None),
        ("webhook", WEBHOOKS, None),
        ("event", "/v1/events", Some("ana")),
        ("export", "/v1/exports", Some("ana")),
        ("member", &members, None),
    ] {
        let bad = bodies()
            .into_iter()
            .enumerate()
            .map(|(number, body)| Document::new(kind, format!("bad {number}"), body).owned_by(owner));
        store.put(&bad.collect::<Vec<_>>(), Durability::Synced).unwrap();
        let found = server.get(ADMIN, list).await.expect(200);
        let in_object = || found["results"].as_array().or_else(|| found["members"].as_array());
        let found = found.as_array().or_else(in_object).unwrap();
        assert_eq!(found.len(), 1, "{kind}: {found:?}");
    }
    // Those of other users are absent, whether they can be read or not.
    for (method, path, request) in [
        ("GET", "/v1/event/bad%200", Value::Null),
        ("GET", "/v1/events/bad%200", Value::Null),
        ("POST", "/v1/exports/get", json!({"memory_export_id": "bad 0"})),
    ] {
        server.call(BOB, method, path, request.clone()).await.expect(404);
        server.call(ANA, method, path, request.clone()).await.expect(500);
        server.call(ADMIN, method, path, request).await.expect(500);
    }
    let page = server.get(ANA, "/v1/events").await.expect(200);
    assert_eq!((&page["count"], page["results"].as_array().unwrap().len()), (&json!(4), 1));
    // The webhook that can be read gets its events.
    let memory = server.get(ANA, "/memories").await.expect(200)["results"][0]["id"].as_str().unwrap().to_owned();
    server.call(ANA, "DELETE", &format!("/memories/{memory}"), Value::Null).await.expect(200);
    assert_eq!(ids(&store, "delivery").len(), 1);
    // One that can't be read can be deleted.
    server.call(ADMIN, "DELETE", "/api/v1/webhooks/bad%200", Value::Null).await.expect(200);
}
