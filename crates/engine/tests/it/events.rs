//! Events of learning requests: the job while a request is pending, its results when it is done, and jobs of older versions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use mnemon_engine::{Engine, Events, ModelServices};
use mnemon_store::database::SqliteDatabase;
use mnemon_store::qdrant::LEDGER_SCHEMA;
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{Document, DocumentStore, Durability, PageRequest, SqliteStore};
use mnemon_testbed::{FakeService, Reply};
use serde_json::{Value, json};

use crate::fixture::{
    World, add, by_user, check_store, engine_with_documents, engine_with_llm, fixture, note, user, world,
};
use crate::learn::{Fault, Faulty, echo, learn_from, texts};

tests!(
    an_event_holds_the_request_until_it_is_done,
    jobs_of_an_older_version_move_into_their_events,
    an_older_job_is_cancelled_with_its_owner,
    an_older_job_that_is_deleted_does_not_come_back,
    an_older_job_with_a_lease_is_left_to_its_worker,
    the_jobs_in_an_older_ledger_are_done,
    trimming_keeps_pending_requests
);

/// The document store of engines with a language model.
fn documents(world: &World) -> Arc<dyn DocumentStore> {
    Arc::new(SqliteStore::open(SqliteOptions::new(world.folder.path().join("ledger.db"), "none", 1)).unwrap())
}

fn event(world: &World, id: &str) -> Value {
    documents(world).document("event", id).unwrap().unwrap().body
}

fn an_event_holds_the_request_until_it_is_done() {
    let world = world();
    let is_available = Arc::new(AtomicBool::new(false));
    let available = is_available.clone();
    let endpoint = FakeService::start(move |_, request| match available.load(Ordering::SeqCst) {
        true => echo(request),
        false => Reply::refusal("503 Service Unavailable", "overloaded"),
    });
    let engine = engine_with_llm(&world, &endpoint);
    let mut request = learn_from(user("ana"), &[("user", "I like tea.")]);
    request.add.fields.app_id = Some("diary".into());
    let pending = engine.learn(request.clone()).unwrap();
    let cancelled = engine.learn(learn_from(user("ben"), &[("user", "I like milk.")])).unwrap();
    let stored = event(&world, &pending.event_id);
    assert_eq!(
        (&stored["status"], &stored["error"]),
        (&json!("PENDING"), &json!("the language model is not available"))
    );
    assert_eq!(stored["job"]["messages"][0]["content"], "I like tea.");
    let payload = json!({"user_id": "ana", "agent_id": null, "app_id": "diary", "run_id": null, "infer": true});
    assert_eq!((&stored["payload"], &stored["results"]), (&payload, &json!([])));
    assert_eq!(engine.cancel_pending(Some(&by_user("ben"))).unwrap().len(), 1);
    is_available.store(true, Ordering::SeqCst);
    engine.run_soon(&pending.event_id).unwrap();
    engine.run_soon(&cancelled.event_id).unwrap();
    assert!(engine.run_due_job().unwrap().is_some() && engine.run_due_job().unwrap().is_none());
    let at_once = engine.learn(request).unwrap();
    let rules =
        world.another().with_model_services(ModelServices { documents: Some(documents(&world)), ..Default::default() });
    let by_rules = rules.learn(learn_from(user("cleo"), &[("user", "I like cake.")])).unwrap();
    let events = Events::new(documents(&world));
    for (id, texts) in [
        (&pending.event_id, vec!["I like tea."]),
        (&at_once.event_id, vec![]),
        (&by_rules.event_id, vec!["I like cake."]),
    ] {
        let stored = event(&world, id);
        assert_eq!((&stored["status"], &stored["error"], stored.get("job")), (&json!("SUCCEEDED"), &Value::Null, None));
        assert!(!stored["completed_at"].is_null() && stored["created_at"].is_string());
        let added = events.find(id).unwrap().unwrap().body.added().unwrap();
        assert_eq!(added.iter().map(|added| added.memory.as_str()).collect::<Vec<_>>(), texts);
    }
    let stored = event(&world, &cancelled.event_id);
    assert!(stored["status"] == "FAILED" && stored["error"].as_str().unwrap().contains("deleted"), "{stored}");
    assert_eq!((stored.get("job"), texts(&world, "ben").len()), (None, 0));
    let (count, listed) = events.list(None, &PageRequest { limit: 9, ..PageRequest::default() }).unwrap();
    assert_eq!((count, listed[0].id.as_str(), listed[3].id.as_str()), (4, &*by_rules.event_id, &*pending.event_id));
}

/// A job in the format of an older version.
fn older_job(id: &str, owner: &str, text: &str) -> Document {
    let body = json!({
        "user_id": owner, "agent_id": null, "run_id": null, "metadata": {"app_id": "diary"}, "timestamp": null,
        "messages": [{"role": "user", "content": text, "name": null, "timestamp": null}], "session": null,
        "unordered": false, "expiration_date": null, "links": [], "instructions": null, "procedure": false,
        "extractor": "llm", "received": "2025-06-01T12:00:00Z", "planned": null, "attempts": 1,
        "error": "the language model is not available",
    });
    Document::new("extraction", id, body).owned_by(Some(owner)).due_at("2025-06-01T12:00:02Z".parse().unwrap())
}

/// An event in the format of an older version.
fn older_event(id: &str, owner: &str, status: &str) -> Document {
    let at = "2025-06-01T12:00:00.5Z";
    let body = json!({
        "id": id, "event_type": "ADD", "status": status, "metadata": {}, "results": [], "latency": 0.003,
        "payload": {"user_id": owner, "agent_id": null, "app_id": "diary", "run_id": null, "infer": true},
        "created_at": at, "updated_at": at, "started_at": at, "completed_at": null, "error": "of the older version",
    });
    Document::new("event", id, body).owned_by(Some(owner))
}

fn jobs_of_an_older_version_move_into_their_events() {
    let world = world();
    let endpoint = FakeService::start(|_, request| echo(request));
    let engine = engine_with_llm(&world, &endpoint);
    let store = documents(&world);
    let put = |documents: &[Document]| store.put(documents, Durability::Synced).unwrap();
    put(&[older_job("pending", "ana", "I like tea."), older_event("pending", "ana", "PENDING")]);
    put(&[older_job("without event", "ana", "I like milk.")]);
    // Its facts were extracted, and one was stored, before the process ended.
    let known = add(&world, note("ana", "I like rum."));
    let mut planned = older_job("planned", "ana", "no fact");
    let fact =
        |text: &str| json!({"text": text, "attributed_to": "user", "sources": [0], "related": [], "supersedes": []});
    let new = mnemon_store::MemoryId::random();
    planned.body["planned"] = json!([
        {"id": known.to_string(), "fact": fact("I like rum.")}, {"id": new.to_string(), "fact": fact("I like figs.")},
    ]);
    put(&[planned, older_event("planned", "ana", "PENDING")]);
    // An upgrade ended after the move, and the job was done or cancelled since.
    put(&[older_job("done", "ana", "I like cake."), older_event("done", "ana", "SUCCEEDED")]);
    put(&[older_job("cancelled", "ana", "I like beer."), older_event("cancelled", "ana", "FAILED")]);
    let mut damaged = older_job("damaged", "ana", "I like wine.");
    damaged.body["messages"] = json!("no list");
    put(&[damaged.clone(), older_event("damaged", "ana", "PENDING")]);
    put(&[older_job("damaged event", "ana", "I like gin."), Document::new("event", "damaged event", json!({}))]);
    let before = engine.pending_jobs().unwrap();
    assert_eq!((before.requests, before.reason), (7, None), "they are counted without being read");
    let mut finished = Vec::new();
    while let Some(result) = engine.run_due_job().unwrap() {
        finished.push(result.event_id);
    }
    finished.sort();
    assert_eq!(finished, ["pending", "planned", "without event"]);
    assert_eq!(texts(&world, "ana"), ["I like figs.", "I like milk.", "I like rum.", "I like tea."]);
    assert_eq!((world.get(new).unwrap().payload.text(), endpoint.requests().len()), ("I like figs.", 2));
    for id in ["pending", "planned", "without event"] {
        let stored = event(&world, id);
        // Where the older version left no event, the `app_id` of its job is metadata.
        let app = if id == "pending" || id == "planned" { json!("diary") } else { Value::Null };
        assert_eq!((&stored["status"], &stored["payload"]["app_id"]), (&json!("SUCCEEDED"), &app), "{id}");
    }
    assert_eq!(event(&world, "pending")["created_at"], "2025-06-01T12:00:00.5Z", "the event is the same");
    for (id, status) in [("done", "SUCCEEDED"), ("cancelled", "FAILED"), ("damaged", "PENDING")] {
        assert_eq!(event(&world, id)["status"], status);
    }
    // What can't be read is left, and nothing else.
    let page = PageRequest { limit: 9, ..PageRequest::default() };
    let left: Vec<Document> =
        store.scan("extraction", None, &page).unwrap().items.into_iter().map(Result::unwrap).collect();
    let ids: Vec<&str> = left.iter().map(|document| document.id.as_str()).collect();
    assert_eq!((ids, &left[1].body), (vec!["damaged event", "damaged"], &damaged.body));
    check_store(&world);
}

fn an_older_job_that_is_deleted_does_not_come_back() {
    for has_event in [true, false] {
        let world = world();
        let endpoint = FakeService::start(|_, request| echo(request));
        let engine = engine_with_documents(&world, &endpoint, |documents| {
            Arc::new(Faulty { documents, fault: Fault::DeletionDuringAdoption })
        });
        let store = documents(&world);
        store.put(&[older_job("1", "ana", "I like tea.")], Durability::Synced).unwrap();
        if has_event {
            store.put(&[older_event("1", "ana", "PENDING")], Durability::Synced).unwrap();
        }
        assert!(engine.run_due_job().unwrap().is_none());
        let engine = engine_with_llm(&world, &endpoint);
        engine.run_soon("1").unwrap();
        assert!(engine.run_due_job().unwrap().is_none() && texts(&world, "ana").is_empty());
        assert_eq!((store.document("event", "1").unwrap(), endpoint.requests().len()), (None, 0));
    }
}

fn an_older_job_with_a_lease_is_left_to_its_worker() {
    let world = world();
    let endpoint = FakeService::start(|_, request| echo(request));
    let engine = engine_with_llm(&world, &endpoint);
    let store = documents(&world);
    let mut job = older_job("1", "ana", "I like tea.");
    job.due = Some("9999-01-01T00:00:00Z".parse().unwrap());
    store.put(&[job.clone(), older_event("1", "ana", "PENDING")], Durability::Synced).unwrap();
    assert!(engine.run_due_job().unwrap().is_none());
    assert_eq!(store.document("extraction", "1").unwrap(), Some(job));
    assert_eq!(engine.pending_jobs().unwrap().requests, 1);
    // The lease has expired.
    assert!(store.reschedule("extraction", "1", Timestamp::MAX, Timestamp::UNIX_EPOCH).unwrap());
    assert!(engine.run_due_job().unwrap().is_some() && texts(&world, "ana").len() == 1);
}

fn an_older_job_is_cancelled_with_its_owner() {
    let world = world();
    let endpoint = FakeService::start(|_, request| echo(request));
    let engine = engine_with_llm(&world, &endpoint);
    let store = documents(&world);
    for (id, owner) in [("1", "ana"), ("2", "ben")] {
        let mut job = older_job(id, owner, "I like tea.");
        // Another process works on it.
        job.due = Some("9999-01-01T00:00:00Z".parse().unwrap());
        store.put(&[job, older_event(id, owner, "PENDING")], Durability::Synced).unwrap();
    }
    assert_eq!(engine.cancel_pending(Some(&by_user("ana"))).unwrap(), [("1".to_owned(), user("ana"))]);
    assert_eq!((&event(&world, "1")["status"], &event(&world, "2")["status"]), (&json!("FAILED"), &json!("PENDING")));
    engine.run_soon("1").unwrap();
    engine.run_soon("2").unwrap();
    assert!(engine.run_due_job().unwrap().is_some() && engine.run_due_job().unwrap().is_none());
    assert_eq!((texts(&world, "ana").len(), texts(&world, "ben").len()), (0, 1));
}

fn trimming_keeps_pending_requests() {
    let world = world();
    let endpoint = FakeService::start(|_, _| Reply::refusal("503 Service Unavailable", "no"));
    let engine = engine_with_llm(&world, &endpoint);
    let store = documents(&world);
    let learn = |text: &str| engine.learn(learn_from(user("ana"), &[("user", text)])).unwrap().event_id;
    // Due later, and due now.
    let pending = [learn("I like tea."), learn("I like milk."), learn("I like cake.")];
    engine.run_soon(&pending[1]).unwrap();
    for number in 0..5 {
        store.put(&[older_event(&number.to_string(), "ana", "SUCCEEDED")], Durability::Synced).unwrap();
    }
    for keep in [3, 0] {
        store.trim("event", keep).unwrap();
        let events = Events::new(store.clone());
        assert!(pending.iter().all(|id| events.find(id).unwrap().is_some()), "keep {keep}");
        assert_eq!(
            (
                events.list(None, &PageRequest { limit: 9, ..PageRequest::default() }).unwrap().0,
                engine.pending_jobs().unwrap().requests
            ),
            (3 + keep, 3)
        );
    }
}

fn the_jobs_in_an_older_ledger_are_done() {
    let world = world();
    let endpoint = FakeService::start(|_, request| echo(request));
    let path = world.folder.path().join("older_ledger.db");
    std::fs::copy(fixture("older_ledger.db"), &path).unwrap();
    let ledger: Arc<dyn DocumentStore> = Arc::new(SqliteDatabase::open(&path, LEDGER_SCHEMA).unwrap());
    let engine = engine_with_documents(&world, &endpoint, |_| ledger.clone());
    let ids: Vec<String> = all(&*ledger, "extraction").into_iter().map(|job| job.id).collect();
    assert_eq!((ids.len(), engine.pending_jobs().unwrap().requests), (3, 3));
    for id in &ids {
        // They are due whatever the clock says.
        assert!(ledger.reschedule("extraction", id, Timestamp::MAX, Timestamp::UNIX_EPOCH).unwrap());
    }
    assert_eq!(finish_all(&engine), 3);
    assert_eq!(texts(&world, "ana"), ["I adopted a cat yesterday.", "I like tea."]);
    assert_eq!(texts(&world, "bob"), ["I live in Rome."]);
    for id in &ids {
        let event = ledger.document("event", id).unwrap().unwrap().body;
        assert_eq!((&event["status"], event.get("job")), (&json!("SUCCEEDED"), None));
    }
    assert_eq!((all(&*ledger, "extraction").len(), ledger.count_due("event", jiff::Timestamp::MAX).unwrap()), (0, 0));
}

fn all(store: &dyn DocumentStore, kind: &'static str) -> Vec<Document> {
    let page = PageRequest { limit: 99, ..PageRequest::default() };
    store.scan(kind, None, &page).unwrap().items.into_iter().map(Result::unwrap).collect()
}

/// Runs the jobs that are due. Returns their number.
fn finish_all(engine: &Engine) -> usize {
    std::iter::from_fn(|| engine.run_due_job().unwrap()).count()
}
