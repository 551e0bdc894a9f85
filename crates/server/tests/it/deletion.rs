//! What a deletion takes along: requests that wait, that are being processed or that are parked, and their messages.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mnemon_store::{ExportRecord, SessionMessage};
use mnemon_testbed::{FakeService as Endpoint, ReceivedRequest, Reply};
use serde_json::{Value, json};

use crate::learning::{answer, until_done};
use crate::server::{ADMIN, ANA, BOB, TestServer, config};

/// A language model that can't answer some texts until it is released.
struct Model {
    endpoint: Endpoint,
    is_released: Arc<AtomicBool>,
}

impl Model {
    fn start() -> Self {
        let is_released = Arc::new(AtomicBool::new(false));
        let released = is_released.clone();
        let endpoint = Endpoint::start(move |_, request| reply(request, &released));
        Self { endpoint, is_released }
    }
}

fn reply(request: &ReceivedRequest, is_released: &AtomicBool) -> Reply {
    let prompt = request.body["messages"].to_string();
    let new = prompt.split("## New Messages").nth(1).unwrap_or_default().to_owned();
    let is_released = || is_released.load(Ordering::SeqCst);
    if new.contains("nothing") {
        return Reply::chat(request, r#"{"memory": []}"#);
    }
    if new.contains("refused") {
        let error = json!({"error": {"message": "blocked", "code": "content_filter"}});
        return Reply::new("400 Bad Request", &error);
    }
    if new.contains("queued") && !is_released() {
        return Reply::refusal("503 Service Unavailable", "overloaded");
    }
    let begun = Instant::now();
    while new.contains("slow") && !is_released() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
    answer(request)
}

/// A server with requests of ana and bob in every state, and a memory of each.
struct World {
    server: Arc<TestServer>,
    model: Model,
    /// Ids of events that are not finished.
    waiting: Vec<String>,
    parked: String,
    /// Ana's request that is being processed.
    slow: tokio::task::JoinHandle<u16>,
}

fn body(text: &str) -> Value {
    let messages = json!([{"role": "user", "content": text}]);
    json!({"messages": messages, "agent_id": "a", "run_id": "r", "app_id": "x", "metadata": {"k": 1}})
}

const ADD: &str = "/v3/memories/add/";

async fn world() -> World {
    let model = Model::start();
    let server = Arc::new(TestServer::with_llm(&model.endpoint, config()).await);
    let mut waiting = Vec::new();
    let mut parked = String::new();
    for (key, name) in [(BOB, "bob"), (ANA, "ana")] {
        server.post(key, ADD, body(&format!("{name} knows this."))).await.expect(200);
        server.post(key, ADD, body(&format!("{name} says nothing."))).await.expect(200);
        let queued = server.post(key, ADD, body(&format!("{name} is queued."))).await.expect(202);
        let refused = server.post(key, ADD, body(&format!("{name} is refused."))).await.expect(202);
        waiting.push(queued["event_id"].as_str().unwrap().to_owned());
        parked = refused["event_id"].as_str().unwrap().to_owned();
    }
    let (adding, before) = (server.clone(), model.endpoint.requests().len());
    let slow = tokio::spawn(async move { adding.post(ANA, ADD, body("ana is slow.")).await.status });
    while !model.endpoint.requests()[before..].iter().any(|request| request.body.to_string().contains("slow")) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    World { server, model, waiting, parked, slow }
}

fn messages(server: &TestServer) -> Vec<SessionMessage> {
    let mut found = Vec::new();
    let mut visit = |record| {
        if let ExportRecord::Message(message) = record {
            found.push(*message);
        }
        ControlFlow::Continue(())
    };
    server.engine.store().visit(&mut visit).unwrap();
    found
}

/// Which requests a route deletes: all of ana's with their messages, those with a condition that messages do not have, or
/// those of everybody.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Covers {
    Ana,
    AnaWithoutMessages,
    All,
}

async fn check(key: &str, method: &str, path: &str, request: Value, covers: Covers) {
    let case = format!("{method} {path} with {key}");
    let World { server, model, waiting, parked, slow } = world().await;
    server.call(key, method, path, request).await.expect(200);
    model.is_released.store(true, Ordering::SeqCst);
    assert_eq!(slow.await.unwrap(), 409, "{case}: the request that was being processed");
    for event in &waiting {
        server.engine.run_soon(event).unwrap();
    }
    server.call(ANA, "POST", &format!("/v1/parked/{parked}/retry/"), Value::Null).await.expect(404);
    for event in &waiting {
        // Deleting a user deletes the user's events.
        if server.get(ADMIN, &format!("/v1/event/{event}/")).await.status == 200 {
            until_done(&server, ADMIN, event).await;
        }
    }
    while server.engine.run_due_job().unwrap().is_some() {}
    let memories = server.get(ADMIN, "/memories").await.expect(200);
    let of = |user: &str| {
        let memories = memories["results"].as_array().unwrap().iter();
        memories.filter(|memory| memory["user_id"] == user).count()
    };
    let bobs = if covers == Covers::All { 0 } else { 2 };
    assert_eq!((of("ana"), of("bob")), (0, bobs), "{case}: {memories}");
    let left = messages(&server);
    let of = |user: &str| left.iter().filter(|message| message.content.as_ref().unwrap().starts_with(user)).count();
    if covers == Covers::AnaWithoutMessages {
        assert_eq!(of("ana"), 1, "{case}: only the message without a fact stays: {left:?}");
    } else {
        assert_eq!(of("ana"), 0, "{case}: {left:?}");
    }
    assert_eq!(of("bob"), if covers == Covers::All { 0 } else { 3 }, "{case}: {left:?}");
    assert_eq!(server.get(BOB, "/v1/parked").await.expect(200)["count"], i32::from(covers != Covers::All), "{case}");
}

/// Each route with each kind of key.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_deleted_by_every_route() {
    use Covers::{All, Ana, AnaWithoutMessages};
    let everything = "/v1/memories/?user_id=*&agent_id=*&app_id=*&run_id=*";
    for (path, with_own_key, with_admin_key) in [
        ("/memories?user_id=ana", Some(Ana), Some(Ana)),
        ("/memories?agent_id=a", Some(Ana), Some(All)),
        ("/memories?run_id=r", Some(Ana), None),
        ("/memories?user_id=ana&agent_id=a&run_id=r", Some(Ana), Some(Ana)),
        ("/entities/user/ana", Some(Ana), Some(Ana)),
        ("/entities/agent/a", Some(Ana), Some(All)),
        ("/entities/run/r", Some(Ana), None),
        ("/v1/memories/?user_id=ana", Some(Ana), Some(Ana)),
        ("/v1/memories?user_id=%20ana%20&source=CLI", Some(Ana), None),
        ("/v1/memories/?user_id=*", Some(Ana), Some(All)),
        (everything, Some(Ana), Some(All)),
        ("/v1/memories/?agent_id=a", Some(Ana), Some(All)),
        ("/v1/memories/?agent_id=*", Some(Ana), Some(All)),
        ("/v1/memories/?user_id=ana&agent_id=*&run_id=r", Some(Ana), Some(Ana)),
        ("/v1/memories/?user_id=ana&app_id=x", Some(AnaWithoutMessages), Some(AnaWithoutMessages)),
        ("/v1/memories/?user_id=ana&metadata=%7B%22k%22%3A1%7D", Some(AnaWithoutMessages), None),
        ("/v2/entities/user/ana/", Some(Ana), Some(Ana)),
        ("/v1/entities/user/ana/", Some(Ana), Some(Ana)),
        ("/v2/entities/agent/a/", Some(Ana), None),
        ("/v2/entities/run/r/", Some(Ana), None),
        ("/v2/entities/app/x/", Some(AnaWithoutMessages), None),
    ] {
        for (key, covers) in [(ANA, with_own_key), (ADMIN, with_admin_key)] {
            if let Some(covers) = covers {
                check(key, "DELETE", path, Value::Null, covers).await;
            }
        }
    }
    check(ADMIN, "POST", "/reset", json!({"confirm": "reset"}), All).await;
}

/// Requests that a deletion does not cover are processed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_deletion_does_not_cover_is_learnt() {
    for path in [
        "/v1/memories/?user_id=ana&agent_id=other",
        "/v1/memories/?user_id=ana&app_id=other",
        "/v1/memories/?user_id=ana&metadata=%7B%22k%22%3A2%7D",
        "/v2/entities/run/other/",
        "/memories?user_id=ana&run_id=other",
    ] {
        let World { server, model, waiting, slow, .. } = world().await;
        server.call(ANA, "DELETE", path, Value::Null).await.expect(200);
        model.is_released.store(true, Ordering::SeqCst);
        assert_eq!(slow.await.unwrap(), 200, "{path}");
        for event in &waiting {
            server.engine.run_soon(event).unwrap();
            assert_eq!(until_done(&server, ADMIN, event).await["status"], "SUCCEEDED", "{path}");
        }
        assert_eq!(server.get(ANA, "/memories").await.expect(200)["count"], 3, "{path}");
        assert_eq!(server.get(ANA, "/v1/parked").await.expect(200)["count"], 1, "{path}");
        assert_eq!(messages(&server).len(), 3 + 4, "{path}");
    }
}
