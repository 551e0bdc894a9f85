//! Requests that the model answers but refuses, or answers unusably: the rest of the request is learnt, the others are parked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mnemon_engine::{AddOutcome, ChatTurn, Engine, EngineError, Events, Message};
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{DocumentStore, Durability, Scope, SqliteStore};
use mnemon_testbed::{FakeService, ReceivedRequest, Reply};
use serde_json::json;

use crate::fixture::{World, by_user, engine_with_llm, user, user_message, world};
use crate::learn::{echo, learn_from, texts};

tests!(
    a_long_message_is_cut_smaller_and_others_are_not,
    a_message_that_a_filter_refuses_keeps_none_of_the_others,
    a_request_that_is_refused_as_a_whole_is_parked_at_once,
    an_unusable_answer_is_tried_a_few_times_and_then_parked,
    an_outage_parks_nothing,
    a_job_of_an_older_version_counts_its_attempts,
    a_parked_request_is_tried_again_edited_or_dropped,
    answers_without_closing_brackets_end,
    a_long_conversation_is_shortened
);

fn documents(world: &World) -> Arc<dyn DocumentStore> {
    Arc::new(SqliteStore::open(SqliteOptions::new(world.folder.path().join("ledger.db"), "none", 1)).unwrap())
}

fn event(world: &World, id: &str) -> mnemon_engine::Event {
    Events::new(documents(world)).find(id).unwrap().unwrap().body
}

fn chars(request: &ReceivedRequest) -> usize {
    let messages = request.body["messages"].as_array().unwrap();
    messages.iter().map(|message| message["content"].as_str().unwrap().chars().count()).sum()
}

fn contains(request: &ReceivedRequest, word: &str) -> bool {
    request.body["messages"].to_string().contains(word)
}

/// Runs the job as often as it may be tried.
fn run(engine: &Engine, id: &str, times: usize) {
    for _ in 0..times {
        engine.run_soon(id).unwrap();
        if engine.run_due_job().unwrap().is_none() {
            return;
        }
    }
}

fn a_long_message_is_cut_smaller_and_others_are_not() {
    let long: String = (0..400).map(|n| format!("My book number {n} is on the shelf.\n")).collect();
    for (status, message) in [
        ("400 Bad Request", "This model's maximum context length is 4096 tokens"),
        ("500 Internal Server Error", "the request exceeds the available context size"),
        ("413 Payload Too Large", "too large"),
        ("400 Bad Request", "Bad Request"),
    ] {
        let world = world();
        let empty = FakeService::start(|_, request| Reply::chat(request, "{\"memory\": []}"));
        engine_with_llm(&world, &empty).learn(learn_from(user("ana"), &[("user", "Hi there.")])).unwrap();
        let limit = chars(&empty.requests()[0]) + 3000;
        let endpoint = FakeService::start(move |_, request| match chars(request) > limit {
            true => Reply::refusal(status, message),
            false => echo(request),
        });
        let engine = engine_with_llm(&world, &endpoint);
        // The endpoint has answered such a request, so the parameters are not the reason.
        engine.learn(learn_from(user("ben"), &[("user", "I like milk.")])).unwrap();
        let request = learn_from(user("ana"), &[("user", "I like tea."), ("user", &long), ("user", "I like cake.")]);
        let learned = engine.learn(request).unwrap();
        let AddOutcome::Stored(added) = learned.outcome else { panic!("{message}: {:?}", learned.outcome) };
        let found: String = added.iter().map(|added| added.memory.as_str()).collect();
        assert!((0..400).all(|n| found.contains(&format!("number {n} is"))), "{message}");
        assert!(found.contains("I like tea.") && found.contains("I like cake.") && learned.not_learnt.is_empty());
        let calls = endpoint.requests().len();
        assert!(calls < 50, "{message}: {calls} calls");
        engine.learn(learn_from(user("ben"), &[("user", "I like jam.")])).unwrap();
        assert_eq!(endpoint.requests().len(), calls + 1, "others are answered");
    }
}

fn a_message_that_a_filter_refuses_keeps_none_of_the_others() {
    for reply in [
        Reply::new("400 Bad Request", &json!({"error": {"message": "filtered", "code": "content_filter"}})),
        Reply::new("400 Bad Request", &json!([{"error": {"message": "blocked", "status": "PROHIBITED_CONTENT"}}])),
        Reply::new("200 OK", &json!({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]})),
        Reply::new("400 Bad Request", &json!({"message": "Guardrail intervened", "code": "None"})),
        Reply::new("200 OK", &json!({"choices": [{"message": {"refusal": "I can't"}, "finish_reason": "stop"}]})),
    ] {
        let world = world();
        let refusal = reply.clone();
        let endpoint = FakeService::start(move |_, request| match contains(request, "poison") {
            true => refusal.clone(),
            false => echo(request),
        });
        let engine = engine_with_llm(&world, &endpoint);
        let messages = [
            ("user", "I like tea."),
            ("assistant", "Which poison?"),
            ("user", "I like cake."),
            ("user", "I like jam."),
        ];
        let learned = engine.learn(learn_from(user("ana"), &messages)).unwrap();
        assert!(matches!(learned.outcome, AddOutcome::Stored(_)), "{:?}", learned.outcome);
        assert_eq!(texts(&world, "ana"), ["I like cake.", "I like jam.", "I like tea."]);
        let event = event(&world, &learned.event_id);
        assert_eq!((event.status.as_str(), event.not_learnt.len()), ("SUCCEEDED", 1));
        assert_eq!((event.not_learnt[0].message, event.not_learnt[0].role.as_str()), (1, "assistant"));
        assert_eq!(event.not_learnt, learned.not_learnt);
        assert_eq!(engine.pending_jobs().unwrap(), mnemon_engine::PendingJobs::default());
    }
    // The memories of the prompt are the reason, not the message.
    let world = world();
    let engine = engine_with_llm(&world, &FakeService::start(|_, request| echo(request)));
    engine.learn(learn_from(user("ana"), &[("user", "I know the poison of frogs.")])).unwrap();
    let endpoint = FakeService::start(|_, request| match contains(request, "poison") {
        true => Reply::new("400 Bad Request", &json!({"error": {"message": "filtered", "code": "content_filter"}})),
        false => echo(request),
    });
    let engine = engine_with_llm(&world, &endpoint);
    let learned = engine.learn(learn_from(user("ana"), &[("user", "I know frogs.")])).unwrap();
    assert!(matches!(&learned.outcome, AddOutcome::Stored(added) if added.len() == 1), "{:?}", learned.outcome);
}

fn a_request_that_is_refused_as_a_whole_is_parked_at_once() {
    let world = world();
    let endpoint = FakeService::start(|_, request| match contains(request, "poison") {
        true => {
            Reply::new("400 Bad Request", &json!({"error": {"message": "no poison please", "code": "content_filter"}}))
        }
        false => echo(request),
    });
    let engine = engine_with_llm(&world, &endpoint);
    let learned = engine.learn(learn_from(user("ana"), &[("user", "poison"), ("user", "more poison")])).unwrap();
    assert!(matches!(learned.outcome, AddOutcome::Parked { .. }), "{:?}", learned.outcome);
    let event = event(&world, &learned.event_id);
    assert_eq!((event.status.as_str(), event.is_parked()), ("FAILED", true));
    assert_eq!(event.error.as_deref(), Some("the language model refuses the content of the messages"));
    assert!(event.failure_detail().unwrap().contains("please"), "{event:?}");
    let pending = engine.pending_jobs().unwrap();
    assert_eq!((pending.requests, pending.parked), (0, 1));
    let parked = engine.parked_requests(Some("ana"), usize::MAX).unwrap();
    assert_eq!((parked.len(), parked[0].messages.len(), parked[0].attempts), (1, 2, 1));
    assert!(engine.parked_requests(Some("ben"), usize::MAX).unwrap().is_empty());
    assert_eq!(engine.cancel_pending(Some(&by_user("ana"))).unwrap().len(), 1, "it goes with its owner's memories");
    assert!(engine.parked_requests(None, usize::MAX).unwrap().is_empty());
}

fn an_unusable_answer_is_tried_a_few_times_and_then_parked() {
    let message = |content: &str| Reply::new("200 OK", &json!({"choices": [{"message": {"content": content}}]}));
    for (reply, attempts) in [
        // The endpoint answers a probe, so this request is the reason.
        (Reply::refusal("400 Bad Request", "no"), 2),
        (message("I would rather not."), 8),
        (message(""), 8),
        (message("{\"memory\": [7]}"), 8),
        (Reply::new("200 OK", &json!({"choices": []})), 8),
        (Reply { status: "200 OK", headers: "", body: "<html>".into() }, 8),
    ] {
        let world = world();
        let answer = reply.clone();
        let endpoint = FakeService::start(move |_, request| match contains(request, "I like tea.") {
            true => answer.clone(),
            false => echo(request),
        });
        let engine = engine_with_llm(&world, &endpoint);
        let id = engine.learn(learn_from(user("ana"), &[("user", "I like tea.")])).unwrap().event_id;
        run(&engine, &id, attempts - 2);
        assert_eq!(event(&world, &id).status.as_str(), "PENDING", "{reply:?}");
        run(&engine, &id, 100);
        let event = event(&world, &id);
        assert!(event.is_parked(), "{reply:?}: {event:?}");
        assert_eq!(engine.parked_request(&id).unwrap().unwrap().attempts, attempts);
        let count = endpoint.requests().len();
        run(&engine, &id, 3);
        assert_eq!(endpoint.requests().len(), count, "it is not tried again");
        let learned = engine.learn(learn_from(user("ben"), &[("user", "I like cake.")])).unwrap();
        assert!(matches!(learned.outcome, AddOutcome::Stored(_)));
    }
}

fn an_outage_parks_nothing() {
    for reply in [
        Reply::refusal("503 Service Unavailable", "overloaded"),
        Reply::refusal("500 Internal Server Error", "oops"),
        Reply::refusal("429 Too Many Requests", "slow down"),
        Reply::refusal("401 Unauthorized", "no such key"),
        Reply::refusal("404 Not Found", "no such model"),
        Reply::new("429 Too Many Requests", &json!({"error": {"message": "x", "code": "insufficient_quota"}})),
        Reply::refusal("402 Payment Required", "Insufficient credits"),
        Reply::refusal("400 Bad Request", "Your credit balance is too low to access the API"),
        Reply::refusal("403 Forbidden", "Access prohibited: your country is not supported"),
    ] {
        let world = world();
        let is_out = Arc::new(AtomicBool::new(true));
        let (out, refusal) = (is_out.clone(), reply.clone());
        let endpoint = FakeService::start(move |_, request| match out.load(Ordering::SeqCst) {
            true => refusal.clone(),
            false => echo(request),
        });
        let engine = engine_with_llm(&world, &endpoint);
        let id = engine.learn(learn_from(user("ana"), &[("user", "I like tea.")])).unwrap().event_id;
        run(&engine, &id, 30);
        let pending = engine.pending_jobs().unwrap();
        assert_eq!((pending.requests, pending.parked), (1, 0), "{reply:?}");
        assert!(pending.code.is_some() && pending.detail.is_some());
        is_out.store(false, Ordering::SeqCst);
        // The circuit breaker may be open.
        let begun = std::time::Instant::now();
        while engine.pending_jobs().unwrap().requests > 0 {
            assert!(begun.elapsed().as_secs() < 60);
            run(&engine, &id, 1);
        }
        assert_eq!(texts(&world, "ana"), ["I like tea."]);
    }
}

fn a_job_of_an_older_version_counts_its_attempts() {
    let world = world();
    let endpoint = FakeService::start(|_, request| Reply::chat(request, "I would rather not."));
    let engine = engine_with_llm(&world, &endpoint);
    let id = engine.learn(learn_from(user("ana"), &[("user", "I like tea.")])).unwrap().event_id;
    let documents = documents(&world);
    let changed = documents.change("event", &id, &mut |document| {
        document.body["job"]["attempts"] = json!(300);
        let job = document.body["job"].as_object_mut().unwrap();
        job.remove("refusals");
        job.remove("failure").is_some()
    });
    assert!(changed.unwrap().is_some());
    run(&engine, &id, 1);
    assert!(event(&world, &id).is_parked());
}

fn a_parked_request_is_tried_again_edited_or_dropped() {
    let world = world();
    let endpoint = FakeService::start(|_, request| match contains(request, "poison") {
        true => Reply::new("400 Bad Request", &json!({"error": {"message": "no", "code": "content_filter"}})),
        false => echo(request),
    });
    let engine = engine_with_llm(&world, &endpoint);
    let learn = |text: &str| engine.learn(learn_from(user("ana"), &[("user", text)])).unwrap().event_id;
    let [again, edited, dropped] = ["poison one", "poison two", "poison three"].map(learn);
    assert_eq!(engine.pending_jobs().unwrap().parked, 3);
    // Tried again, it is refused again.
    assert!(engine.resume_parked(&again, None).unwrap());
    assert!(!engine.resume_parked(&again, None).unwrap(), "it is pending");
    assert_eq!(event(&world, &again).status.as_str(), "PENDING");
    assert!(engine.run_due_job().unwrap().is_some() && event(&world, &again).is_parked());
    // Edited, it succeeds.
    for bad in [&[][..], &[user_message(" ")]] {
        assert!(matches!(engine.resume_parked(&edited, Some(bad)), Err(EngineError::Invalid(_))));
    }
    assert!(event(&world, &edited).is_parked(), "an invalid edit changes nothing");
    assert!(engine.resume_parked(&edited, Some(&[user_message("I like tea.")])).unwrap());
    assert!(engine.run_due_job().unwrap().is_some());
    assert_eq!(
        (event(&world, &edited).status.as_str(), texts(&world, "ana")),
        ("SUCCEEDED", vec!["I like tea.".to_owned()])
    );
    // Dropped, it leaves no messages.
    assert!(engine.drop_parked(&dropped).unwrap() && !engine.drop_parked(&dropped).unwrap());
    let stored = documents(&world).document("event", &dropped).unwrap().unwrap().body;
    assert_eq!((&stored["status"], stored.to_string().contains("poison")), (&json!("FAILED"), false));
    assert_eq!(engine.pending_jobs().unwrap().parked, 1);
    for unknown in ["nowhere", edited.as_str()] {
        assert!(!engine.resume_parked(unknown, None).unwrap() && !engine.drop_parked(unknown).unwrap());
        assert!(engine.parked_request(unknown).unwrap().is_none());
    }
    // Trimming keeps it.
    documents(&world).trim("event", 0).unwrap();
    assert!(event(&world, &again).is_parked());
    let document = documents(&world).document("event", &again).unwrap().unwrap();
    documents(&world).put(&[document], Durability::Synced).unwrap();
    assert_eq!(engine.parked_requests(None, usize::MAX).unwrap().len(), 1);
}

fn answers_without_closing_brackets_end() {
    let whole = r#"{"memory": [{"text": "one is known"}, {"text": "two is known"}]}"#;
    for missing in 0..4 {
        for finish in ["stop", "length"] {
            let world = world();
            let answer = whole[..whole.len() - missing].to_owned();
            let endpoint = FakeService::start(move |_, request| Reply::chat_cut(request, &answer, finish));
            let engine = engine_with_llm(&world, &endpoint);
            let learned = engine.learn(learn_from(user("ana"), &[("user", "One, two.")])).unwrap();
            let AddOutcome::Stored(added) = learned.outcome else { panic!("{missing}: {:?}", learned.outcome) };
            let kept = if finish == "length" && missing == 3 { 1 } else { 2 };
            assert_eq!((added.len(), engine.pending_jobs().unwrap().requests), (kept, 0), "{missing} {finish}");
        }
    }
}

fn a_long_conversation_is_shortened() {
    let world = world();
    let endpoint = FakeService::start(|_, request| match contains(request, "zebra") || contains(request, "endless") {
        true => Reply::refusal("400 Bad Request", "maximum context length is 4096 tokens"),
        false => Reply::chat(request, "Yes."),
    });
    let engine = engine_with_llm(&world, &endpoint);
    let turn = |last: &str| {
        let message = |role: &str, content: &str| Message { role: role.into(), ..user_message(content) };
        let messages = vec![
            message("user", "zebra"),
            message("assistant", "zebra"),
            message("user", "new"),
            message("user", last),
        ];
        ChatTurn { scope: Scope::user("ana").unwrap(), messages, max_tokens: None }
    };
    let mut context = engine.chat_context(&turn("Really?")).unwrap();
    assert_eq!(engine.reply(&mut context, None).unwrap().text, "Yes.");
    let mut context = engine.chat_context(&turn("endless")).unwrap();
    let error = engine.reply(&mut context, None).unwrap_err();
    assert_eq!((error.code().as_str(), error.is_callers_error()), ("llm_input_too_long", true));
}
