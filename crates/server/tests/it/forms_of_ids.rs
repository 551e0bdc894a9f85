//! An id is the same in every Unicode form, on every route that takes one.

use mnemon_engine::{ForeignPoint, enrich};
use mnemon_server::Config;
use mnemon_server::auth::ConfiguredKey;
use mnemon_store::{Change, ChangeSet, DocumentStore as _, MemoryId, Payload};
use mnemon_testbed::{FakeService as Endpoint, Reply};
use serde_json::{Value, json};

use crate::server::{ADMIN, TestServer, config};

/// The same id, composed and decomposed, and the composed form in a URL and the decomposed one.
const FORMS: [&str; 2] = ["zo\u{eb}", "zoe\u{308}"];
const IN_URL: [&str; 2] = ["zo%C3%AB", "zoe%CC%88"];

#[tokio::test]
async fn forms_of_an_id_are_one_owner_on_every_route() {
    for key_form in FORMS {
        let keys = ConfiguredKey::parse_all(&json!({"kz": key_form, "kb": "bob"}).to_string()).unwrap();
        let server = TestServer::with(Config { keys, ..config() }).await;
        let mut stored = 0;
        for key in ["kz", ADMIN] {
            for id in FORMS {
                let body = json!({"messages": [{"role": "user", "content": "a zebra"}], "user_id": id, "infer": false});
                server.post(key, "/memories", body.clone()).await.expect(200);
                server.post(key, "/v3/memories/add/", body).await.expect(200);
                stored += 1;
            }
        }
        for key in ["kz", ADMIN] {
            for (id, in_url) in FORMS.into_iter().zip(IN_URL) {
                let listed = server.get(key, &format!("/memories?user_id={in_url}")).await.expect(200);
                let one = listed["results"][0]["id"].as_str().unwrap().to_owned();
                server.get(key, &format!("/memories/{one}")).await.expect(200);
                let listed = listed["results"].as_array().unwrap().len();
                assert!(listed >= stored, "{key} {id:?}: {listed}");
                let search = json!({"query": "zebra", "filters": {"user_id": id}});
                for route in ["/search", "/v3/memories/search/"] {
                    let found = server.post(key, route, search.clone()).await.expect(200);
                    let found = found["results"].as_array().unwrap().len();
                    assert!(found > 0, "{route} {id:?}");
                }
                let entity = server.get(key, &format!("/v2/entities/user/{in_url}/")).await.expect(200);
                assert_eq!(entity[0]["name"], FORMS[0], "{entity}");
            }
            let entities = server.get(key, "/v1/entities/").await.expect(200);
            assert_eq!(entities["total_users"], 1, "{entities}");
        }
        // Another user's key is refused in every form.
        for (id, in_url) in FORMS.into_iter().zip(IN_URL) {
            server.get("kb", &format!("/memories?user_id={in_url}")).await.expect(403);
            server.post("kb", "/search", json!({"query": "zebra", "filters": {"user_id": id}})).await.expect(403);
            server.call("kb", "DELETE", &format!("/memories?user_id={in_url}"), Value::Null).await.expect(403);
        }
        // A key that is created for one form has the memories of the other.
        let created = server.post(ADMIN, "/api-keys", json!({"label": "z", "user_id": FORMS[1]})).await.expect(201);
        let secret = created["key"].as_str().unwrap().to_owned();
        let listed = server.get(&secret, "/memories").await.expect(200);
        assert!(!listed["results"].as_array().unwrap().is_empty());
        server.call("kz", "DELETE", &format!("/memories?user_id={}", IN_URL[1]), Value::Null).await.expect(200);
        let left = server.get(ADMIN, "/memories").await.expect(200);
        assert!(left["results"].as_array().unwrap().is_empty(), "{left}");
    }
}

/// Stores a memory as an older version did: with the id of the user as it was given.
fn store_as_given(server: &TestServer, user: &str) -> String {
    let mut payload = Payload::default();
    payload.set("data", format!("A zebra of {}.", user.chars().count()));
    payload.set("user_id", user);
    let id = MemoryId::random();
    let mut record = enrich(vec![ForeignPoint { id, payload, vector: vec![0.1; 256] }]).remove(0);
    record.mentions.clear();
    let changes = vec![Change::Insert(Box::new(record))];
    server.engine.store().apply(&ChangeSet { expected: Vec::new(), changes }).unwrap();
    id.to_string()
}

/// A language model that refuses every request.
fn refusing() -> Endpoint {
    let error = json!({"error": {"message": "blocked", "code": "content_filter"}});
    Endpoint::start(move |_, _| Reply::new("400 Bad Request", &error))
}

/// The documents of a user that a key lists: events, parked requests, exports.
async fn documents(server: &TestServer, key: &str) -> [Value; 3] {
    let [events, parked, exports] = ["/v1/events", "/v1/parked", "/v1/exports"];
    [
        server.get(key, events).await.expect(200)["count"].clone(),
        server.get(key, parked).await.expect(200)["count"].clone(),
        server.get(key, exports).await.expect(200)["count"].clone(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_an_owner_in_any_form_are_its_own_and_are_deleted_with_it() {
    let endpoint = refusing();
    for (stored, key_form) in FORMS.iter().flat_map(|stored| FORMS.map(|key| (*stored, key))) {
        for (deleted_by, route) in [
            ("kz", "/v2/entities/user/ID/"),
            (ADMIN, "/v2/entities/user/ID/"),
            ("kz", "/entities/user/ID"),
            (ADMIN, "/entities/user/ID"),
        ] {
            for (in_url, deleted_before) in IN_URL.iter().flat_map(|form| [(form, false), (form, true)]) {
                let case = format!("{stored:?} {key_form:?} {deleted_by} {route} {in_url} {deleted_before}");
                let keys = ConfiguredKey::parse_all(&json!({"kz": key_form, "kb": "bob"}).to_string()).unwrap();
                let server = TestServer::with_llm(&endpoint, Config { keys, ..config() }).await;
                let memory = store_as_given(&server, stored);
                let added = server.post("kz", "/memories", json!({"messages": "I like tea"})).await.expect(202);
                let event = format!("/v1/event/{}", added["event_id"].as_str().unwrap());
                for (key, form) in [("kz", FORMS[0]), (ADMIN, FORMS[0]), (ADMIN, FORMS[1])] {
                    let body = json!({"schema": {}, "filters": {"user_id": form}});
                    server.post(key, "/v1/exports", body).await.expect(201);
                }
                let feedback = json!({"memory_id": memory, "feedback": "POSITIVE"});
                server.post("kz", "/v1/feedback", feedback).await.expect(200);
                let before = documents(&server, "kz").await;
                assert_eq!(before, [json!(1), json!(1), json!(3)], "{case}");
                if deleted_before {
                    server.call(ADMIN, "DELETE", &format!("/memories/{memory}"), Value::Null).await.expect(200);
                    server.get("kz", &format!("/memories/{memory}/history")).await.expect(200);
                }
                assert_eq!(documents(&server, "kz").await, before, "{case}");
                server.get("kz", &event).await.expect(200);
                server.get("kb", &event).await.expect(404);
                for key in ["kz", ADMIN] {
                    let stats = server.get(key, &format!("/stats/{in_url}")).await.expect(200);
                    assert_eq!(stats["parked_requests"], 1, "{case} {stats}");
                }
                let path = route.replace("ID", in_url);
                server.call(deleted_by, "DELETE", &path, Value::Null).await.expect(200);
                // The platform's route saves an event of the deletion.
                let events = json!(usize::from(route.starts_with("/v2")));
                assert_eq!(documents(&server, "kz").await, [events, json!(0), json!(0)], "{case}");
                for (kind, left) in [("event", route.starts_with("/v2")), ("export", false), ("feedback", false)] {
                    let page = mnemon_store::PageRequest::default();
                    let found = server.documents.scan(kind, None, &page).unwrap();
                    assert_eq!(found.total, usize::from(left), "{case} {kind}");
                }
                server.get("kz", &event).await.expect(404);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_that_a_store_keeps_apart_do_not_see_each_other_until_they_are_joined() {
    let endpoint = refusing();
    let keys = json!({"k0": FORMS[0], "k1": FORMS[1]});
    let keys = ConfiguredKey::parse_all(&keys.to_string()).unwrap();
    let server = TestServer::with_llm(&endpoint, Config { keys, ..config() }).await;
    let memories = FORMS.map(|form| store_as_given(&server, form));
    let mut events = Vec::new();
    for key in ["k0", "k1"] {
        let added = server.post(key, "/memories", json!({"messages": "I like tea"})).await.expect(202);
        events.push(format!("/v1/event/{}", added["event_id"].as_str().unwrap()));
    }
    for (own, other, key) in [(0, 1, "k0"), (1, 0, "k1")] {
        server.get(key, &format!("/memories/{}", memories[own])).await.expect(200);
        server.get(key, &format!("/memories/{}", memories[other])).await.expect(404);
        server.call(key, "DELETE", &format!("/memories/{}", memories[other]), Value::Null).await.expect(404);
        server.get(key, &events[own]).await.expect(200);
        server.get(key, &events[other]).await.expect(404);
        assert_eq!(documents(&server, key).await, [json!(1), json!(1), json!(0)]);
    }
    assert_eq!(server.engine.join_owners().unwrap(), 1);
    for key in ["k0", "k1"] {
        for path in [format!("/memories/{}", memories[0]), format!("/memories/{}", memories[1])] {
            server.get(key, &path).await.expect(200);
        }
        for path in &events {
            server.get(key, path).await.expect(200);
        }
        assert_eq!(documents(&server, key).await, [json!(2), json!(2), json!(0)]);
    }
}

#[tokio::test]
async fn keys_of_metadata_are_found_in_every_form() {
    let server = TestServer::start().await;
    for (stored, form) in [("composed", FORMS[0]), ("decomposed", FORMS[1])] {
        let metadata = json!({form: FORMS[0], "in": {form: 1}});
        let body = json!({"messages": stored, "user_id": stored, "metadata": metadata, "infer": false});
        server.post(ADMIN, "/memories", body).await.expect(200);
        for asked in FORMS {
            let nested = format!("in.{asked}");
            for (condition, expected) in [
                (json!({asked: FORMS[1]}), 1),
                (json!({asked: "*"}), 1),
                (json!({asked: {"ne": FORMS[0]}}), 0),
                (json!({nested.as_str(): 1}), 1),
                (json!({nested.as_str(): {"gt": 1}}), 0),
            ] {
                let mut filters = condition.clone();
                filters["user_id"] = json!(stored);
                let body = json!({"query": stored, "filters": filters});
                let found = server.post(ADMIN, "/search", body).await.expect(200);
                assert_eq!(found["results"].as_array().unwrap().len(), expected, "{stored} {condition}");
                let filters = json!({"user_id": stored, "metadata": condition});
                let listed = server.post(ADMIN, "/v3/memories/", json!({"filters": filters})).await.expect(200);
                assert_eq!(listed["count"], expected, "{stored} {condition}");
            }
        }
    }
}
