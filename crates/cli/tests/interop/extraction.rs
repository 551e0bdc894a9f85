//! mnemon and mem0 extract the same facts from the same messages with the same endpoint.

use std::collections::BTreeSet;
use std::sync::Arc;

use mnemon_engine::{AddOutcome, AddRequest, Engine, EngineConfig, LearnRequest, ListRequest, Message, ModelServices};
use mnemon_models::{Embedder, LlmClient, LlmConfig, LlmProvider};
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{Scope, SqliteStore};
use mnemon_testbed::{FakeService, ReceivedRequest, Reply};
use serde_json::{Value, json};

use crate::Fixture;
use crate::mem0::Mem0;

const CONVERSATIONS: [(&str, &[(&str, &str)]); 6] = [
    (
        "ana",
        &[("user", "I moved to Lisbon in May. My sister Zoë stayed in Graz."), ("assistant", "I will remember that.")],
    ),
    ("ana", &[("user", "My cat is called Miso.\nShe likes \"Kürbiskernöl\" a lot."), ("assistant", "What a cat!")]),
    ("ana", &[("user", "I moved to Lisbon in May.")]),
    ("bob", &[("user", "I moved to Lisbon in May."), ("user", "I moved to Lisbon in May.")]),
    ("bob", &[("user", "Is it ok?"), ("assistant", "Yes.")]),
    ("bob", &[("user", "我住在里斯本 已经 三 年."), ("assistant", "The café opens at seven in the morning.")]),
];

/// Answers with every sentence of at least three words that is not a question.
fn facts(request: &ReceivedRequest) -> Reply {
    let prompt = request.body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap();
    let section = prompt.split("## New Messages\n").nth(1).unwrap().split("\n\n## ").next().unwrap();
    let texts = match serde_json::from_str::<Vec<Value>>(section) {
        Ok(messages) => messages.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect(),
        Err(_) => vec![section.to_owned()],
    };
    let mut facts: Vec<String> = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let line = line.trim_start_matches("user: ").trim_start_matches("assistant: ");
        for sentence in line.split_inclusive(". ").map(str::trim) {
            let counts = sentence.split(' ').count() >= 3 && !sentence.ends_with('?');
            if counts && !facts.iter().any(|known| known == sentence) {
                facts.push(sentence.to_owned());
            }
        }
    }
    let facts: Vec<Value> =
        facts.iter().map(|text| json!({"id": "0", "text": text, "attributed_to": "user"})).collect();
    Reply::chat(request, &json!({"memory": facts}).to_string())
}

/// (user, text, hash, attributed_to) without duplicates: mem0 compares with the ten nearest memories only and may store one twice.
type Facts = BTreeSet<(String, String, String, String)>;

pub(crate) fn both_store_the_same_facts(fixture: &Fixture) {
    let endpoint = FakeService::start(|_, request| facts(request));
    let mut mem0 = Mem0::start_with(
        fixture.version,
        fixture.server.http_url(),
        &fixture.collection,
        crate::ENDPOINT.url(),
        &endpoint.url,
    );
    for (user, messages) in CONVERSATIONS {
        let messages: Vec<Value> =
            messages.iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
        mem0.ask(json!({"op": "learn", "messages": messages, "user_id": user}));
    }
    let raw = mem0.ask(json!({"op": "raw"}));
    let text = |payload: &Value, key: &str| payload[key].as_str().unwrap_or_default().to_owned();
    let fact = |payload: &Value| {
        (text(payload, "user_id"), text(payload, "data"), text(payload, "hash"), text(payload, "attributed_to"))
    };
    let theirs: Facts = raw["memories"].as_array().unwrap().iter().map(|point| fact(&point["payload"])).collect();

    let folder = tempfile::tempdir().unwrap();
    let options =
        SqliteOptions::new(folder.path().join("m.db"), fixture.embedder.fingerprint(), fixture.embedder.dims());
    let store = Arc::new(SqliteStore::open(options).unwrap());
    let mut llm = LlmConfig::new(LlmProvider::OpenAi, "double");
    llm.base_url.clone_from(&endpoint.url);
    let model_services = ModelServices {
        llm: Some(Arc::new(LlmClient::new(llm).unwrap())),
        documents: Some(store.clone()),
        ..ModelServices::default()
    };
    let engine = Engine::new(store, Arc::new(fixture.embedder.clone()), EngineConfig::default());
    let engine = engine.with_model_services(model_services);
    for (user, messages) in CONVERSATIONS {
        let message = |(role, content): &(&str, &str)| Message {
            role: (*role).into(),
            content: (*content).into(),
            ..Message::default()
        };
        let messages = messages.iter().map(message).collect();
        let add = AddRequest { scope: Scope::user(user).unwrap(), messages, ..AddRequest::default() };
        let learned = engine.learn(LearnRequest { add, ..LearnRequest::default() }).unwrap();
        assert!(matches!(learned.outcome, AddOutcome::Stored(_)), "{learned:?}");
    }
    let listed = engine.list(&ListRequest { limit: 1000, ..ListRequest::default() }).unwrap().items;
    let ours: Facts = listed.iter().map(|memory| fact(&Value::Object(memory.payload.as_map().clone()))).collect();
    assert_eq!(listed.len(), ours.len(), "no duplicates");
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 9, "{ours:?}");
}
