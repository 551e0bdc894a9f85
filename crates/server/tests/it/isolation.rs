//! No user sees or changes the data of another user: every route, with many forms of ids.
//!
//! Every status must be one that the OpenAPI document lists for the route. The routes come from the OpenAPI document,
//! so new routes are tested without being named here. Each route is called with ana's key and all combinations of ids
//! in path, query and body. Afterwards no data of bob may have appeared in an answer, and none of it may have changed.

use mnemon_engine::ListRequest;
use mnemon_store::{Filter, MemoryId};
use mnemon_testbed::{FakeService as Endpoint, Reply};
use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, BOB, TestServer, config};

/// Contained in all of bob's data, and in no request.
const MARK: &str = "xyzzybob";
/// Contained in a memory of an agent without a user, which only an admin may access.
const AGENT_MARK: &str = "xyzzyagent";

/// The server and its data before the requests.
struct World {
    server: TestServer,
    /// The ids of bob's memories, events, exports, keys and webhooks.
    bobs_ids: Vec<String>,
}

impl World {
    async fn new() -> Self {
        // Whatever the model is given appears in its answers and facts.
        let endpoint = Endpoint::start(|_, request| {
            let prompt = request.body.to_string();
            let found = [MARK, AGENT_MARK].into_iter().find(|mark| prompt.contains(mark)).unwrap_or("nothing");
            if prompt.contains("## New Messages") {
                Reply::chat(request, &json!({"memory": [{"text": format!("it contains {found}")}]}).to_string())
            } else {
                Reply::chat(request, found)
            }
        });
        let server = TestServer::with_llm(&endpoint, config()).await;
        let mut bobs_ids = Vec::new();
        for text in ["likes jasmine tea", "lives in Porto with Maria"] {
            let body = json!({
                "messages": format!("{MARK} {text}"), "user_id": "bob", "agent_id": "bot", "run_id": "run1", "app_id": "shop",
                "metadata": {"note": MARK, "topic": "tea"}, "infer": false,
            });
            let mut answer = server.post(BOB, "/v3/memories/add", body.clone()).await;
            if answer.status == 404 {
                let mut body = body;
                body.as_object_mut().unwrap().remove("app_id");
                answer = server.post(BOB, "/memories", body).await;
            }
            let answer = answer.expect(200);
            bobs_ids.push(answer["results"][0]["id"].as_str().unwrap().to_owned());
            bobs_ids.extend(answer["event_id"].as_str().map(str::to_owned));
        }
        let changed = json!({"text": format!("{MARK} likes green tea now")});
        server.call(BOB, "PUT", &format!("/memories/{}", bobs_ids[0]), changed).await.expect(200);
        // A deleted memory: its history is bob's, too.
        let deleted = server.remember(BOB, &format!("{MARK} is deleted")).await;
        server.call(BOB, "DELETE", &format!("/memories/{deleted}"), Value::Null).await.expect(200);
        bobs_ids.push(deleted);
        let export = json!({"schema": {"type": "object"}, "filters": {"user_id": "bob"}});
        bobs_ids.extend(server.post(BOB, "/v1/exports", export).await.body["id"].as_str().map(str::to_owned));
        bobs_ids
            .extend(server.post(BOB, "/api-keys", json!({"label": MARK})).await.body["id"].as_str().map(str::to_owned));
        let feedback = json!({"memory_id": bobs_ids[0], "feedback": "POSITIVE", "feedback_reason": MARK});
        server.post(BOB, "/v1/feedback", feedback).await;
        let hook = json!({"name": MARK, "url": "http://127.0.0.1:9/", "event_types": ["memory_delete"]});
        let hook = server.post(ADMIN, "/api/v1/webhooks/projects/default", hook).await.body;
        bobs_ids.extend(hook["webhook_id"].as_str().map(str::to_owned));
        let agent = json!({"messages": format!("{AGENT_MARK} tea at four"), "agent_id": "bot", "infer": false});
        server.post(ADMIN, "/memories", agent).await.expect(200);
        server.remember(ANA, "Ana likes tea").await;
        Self { server, bobs_ids }
    }

    /// All memories and histories that are not ana's.
    fn others(&self) -> String {
        let engine = &self.server.engine;
        let not_ana = Filter::ne("user_id", "ana").unwrap();
        let request = ListRequest { filter: Some(not_ana), limit: 1000, show_expired: true, ..ListRequest::default() };
        let memories = engine.list(&request).unwrap().items;
        let mut found = format!("{:?}", engine.owners(Some("bob")).unwrap());
        for memory in memories {
            found.push_str(&format!("{memory:?}{:?}", engine.history(memory.id).unwrap()));
        }
        for id in self.bobs_ids.iter().filter_map(|id| id.parse::<MemoryId>().ok()) {
            found.push_str(&format!("{:?}", engine.history(id).unwrap()));
        }
        found
    }

    /// What bob and the admin read from routes that do not return memories.
    async fn seen_by_others(&self) -> Vec<Value> {
        let mut seen = Vec::new();
        for (key, path) in [
            (BOB, "/v1/events?page_size=1000"),
            (BOB, "/api-keys"),
            (BOB, "/v1/exports"),
            (ADMIN, "/api-keys"),
            (ADMIN, "/configure"),
            (ADMIN, "/api/v1/webhooks/projects/default"),
            (ADMIN, "/api/v1/orgs/organizations/default/projects/default"),
            (ADMIN, "/api/v1/orgs/organizations/default/projects/default/members"),
        ] {
            let mut body = self.server.get(key, path).await.body;
            if path == "/api-keys" && key == ADMIN {
                // Ana may create keys for herself.
                body.as_array_mut().into_iter().for_each(|keys| keys.retain(|key| key["user_id"] != "ana"));
            }
            remove_varying(&mut body);
            seen.push(body);
        }
        seen
    }
}

/// Removes times of use and request ids, which differ from call to call.
fn remove_varying(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| key != "last_used_at" && key != "request_id");
            map.values_mut().for_each(remove_varying);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_varying),
        _ => {}
    }
}

/// Values of an id: own, of another user, a wildcard, missing, and unusual forms of them.
fn ids() -> Vec<Value> {
    let mut ids = vec![json!("ana"), json!("bob"), json!("*"), Value::Null, json!(""), json!(" bob "), json!("Bob")];
    ids.extend([
        json!(["bob"]),
        json!(["ana", "bob"]),
        json!({"ne": "ana"}),
        json!(7),
        json!("bob\u{0}"),
        json!("ana' OR '1'='1"),
    ]);
    ids
}

/// Filters with an id, and filters that exclude an id.
fn filters(id: &Value) -> Vec<Value> {
    vec![
        Value::Null,
        json!({}),
        json!({"user_id": id}),
        json!({"user_id": {"in": [id, "bob"]}}),
        json!({"AND": [{"user_id": id}]}),
        json!({"AND": [{"user_id": "ana"}, {"OR": [{"user_id": id}, {"agent_id": "bot"}]}]}),
        json!({"OR": [{"user_id": "ana"}, {"user_id": id}, {"agent_id": "bot"}, {"run_id": "*"}]}),
        json!({"NOT": [{"user_id": "ana"}]}),
        json!({"NOT": {"user_id": id}}),
        json!({"agent_id": "bot"}),
        json!({"metadata": {"user_id": id}}),
        json!({"metadata": {"topic": "tea"}}),
        json!({"$or": [{"user_id": id}]}),
        json!([{"user_id": id}]),
    ]
}

fn encoded(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// A body with fields for every route.
fn body(id: &Value, filter: &Value, bobs_id: &str) -> Value {
    json!({
        "messages": "a new fact", "query": "who likes tea?", "text": "changed", "user_id": id, "agent_id": "bot",
        "filters": filter, "memory_id": bobs_id, "memories": [{"memory_id": bobs_id, "text": "changed"}], "memory_export_id": bobs_id,
        "schema": {"type": "object"}, "feedback": "NEGATIVE", "label": "mine", "infer": false, "confirm": "reset",
        "name": "x", "url": "http://127.0.0.1:9/", "event_types": ["memory_add"], "email": "a@example.com", "role": "OWNER",
        "custom_instructions": "x", "scopes": ["read", "write"], "page_size": 1000,
    })
}

#[tokio::test]
async fn no_route_shows_or_changes_the_data_of_another_user() {
    let world = World::new().await;
    let before = world.others();
    assert!(before.contains(MARK) && before.contains(AGENT_MARK));
    let seen_before = world.seen_by_others().await;
    let api = serde_json::to_value(mnemon_server::openapi()).unwrap();
    let mut tried = 0;
    for (template, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut paths: Vec<String> = Vec::new();
            if template.contains('{') {
                let values = ids().into_iter().chain(world.bobs_ids.iter().map(|id| json!(id)));
                paths.extend(values.map(|value| fill(template, &encoded(&value))));
                for kind in ["user", "agent", "run", "app"] {
                    for name in ["bob", "bot", "run1", "shop", "%2A", "ana%2Fbob"] {
                        paths.push(fill(&template.replacen(&first_parameter(template), kind, 1), name));
                    }
                }
            } else {
                paths.push(template.clone());
            }
            for (at, path) in paths.iter().enumerate() {
                for id in ids() {
                    let queries = [
                        String::new(),
                        format!("?user_id={}", encoded(&id)),
                        format!(
                            "?user_id={}&agent_id=bot&run_id=%2A&filters={}&top_k=1000&page_size=1000&confirm=reset",
                            encoded(&id),
                            encoded(&json!({"user_id": id}))
                        ),
                    ];
                    let bodies: Vec<Value> = match method.as_str() {
                        "get" => vec![Value::Null],
                        _ => filters(&id).iter().map(|filter| body(&id, filter, &world.bobs_ids[0])).collect(),
                    };
                    // If there are several paths, each is called with a fifth of the bodies.
                    let step = if paths.len() > 1 { 5 } else { 1 };
                    for (number, body) in bodies.iter().enumerate().filter(|(number, _)| (number + at) % step == 0) {
                        let query = &queries[(number + at) % queries.len()];
                        let (verb, address) = (method.to_uppercase(), format!("{path}{query}"));
                        let answer = world.server.call(ANA, &verb, &address, body.clone()).await;
                        tried += 1;
                        let shown = answer.body.to_string();
                        let context = format!("{method} {path}{query} {body} → {} {shown}", answer.status);
                        let documented = operation["responses"].get(answer.status.to_string()).is_some();
                        assert!(documented || answer.status == 405, "not in the OpenAPI document: {context}");
                        assert!(answer.status < 500 || answer.body["code"] == "not_implemented", "{context}");
                        assert!(!shown.contains(MARK) && !shown.contains(AGENT_MARK), "{context}");
                        assert_eq!(world.others(), before, "{context}");
                    }
                }
            }
            assert_eq!(world.seen_by_others().await, seen_before, "{method} {template}");
        }
    }
    eprintln!("{tried} requests made");
    assert!(tried > 3000, "{tried}");
}

fn first_parameter(template: &str) -> String {
    let start = template.find('{').unwrap();
    template[start..=template.find('}').unwrap()].to_owned()
}

fn fill(template: &str, value: &str) -> String {
    let mut path = template.to_owned();
    while path.contains('{') {
        let parameter = first_parameter(&path);
        path = path.replacen(&parameter, value, 1);
    }
    path
}

#[tokio::test]
async fn the_memory_of_another_user_is_answered_like_an_unknown_one() {
    let world = World::new().await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    for (method, path) in [
        ("GET", "/memories/{}"),
        ("PUT", "/memories/{}"),
        ("DELETE", "/memories/{}"),
        ("GET", "/memories/{}/history"),
        ("GET", "/v1/memories/{}"),
        ("PUT", "/v1/memories/{}"),
        ("DELETE", "/v1/memories/{}"),
        ("GET", "/v1/memories/{}/history"),
        ("GET", "/v1/event/{}"),
    ] {
        let mut answers = Vec::new();
        for id in [world.bobs_ids[0].as_str(), world.bobs_ids[1].as_str(), unknown] {
            let body = if method == "PUT" { json!({"text": "mine now"}) } else { Value::Null };
            let mut answer = world.server.call(ANA, method, &path.replace("{}", id), body).await;
            remove_varying(&mut answer.body);
            answers.push((answer.status, answer.body.to_string().replace(id, "ID")));
        }
        assert_eq!(answers[0], answers[2], "{method} {path}");
        assert_eq!(answers[1], answers[2], "{method} {path}");
    }
}

#[tokio::test]
async fn a_read_only_key_changes_nothing() {
    let keys =
        r#"{"ro": {"user": "ana", "scopes": ["read"]}, "wo": {"user": "ana", "scopes": ["write"]}, "kb": "bob"}"#;
    let config =
        mnemon_server::Config { keys: mnemon_server::auth::ConfiguredKey::parse_all(keys).unwrap(), ..config() };
    let server = TestServer::with(config).await;
    let body = json!({"messages": "Ana likes tea", "infer": false});
    assert_eq!(server.post("ro", "/memories", body.clone()).await.body["code"], "missing_scope");
    let id = server.post("wo", "/memories", body).await.expect(200)["results"][0]["id"].clone();
    assert_eq!(server.get("wo", "/memories").await.body["code"], "missing_scope");
    let id = id.as_str().unwrap();
    let api = serde_json::to_value(mnemon_server::openapi()).unwrap();
    let all =
        || format!("{:?}", server.engine.list(&ListRequest { limit: 10, ..ListRequest::default() }).unwrap().items);
    let before = all();
    for (template, item) in api["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = fill(template, id);
            let body = if method == "get" { Value::Null } else { body_for(id) };
            let answer = server.call("ro", &method.to_uppercase(), &format!("{path}?user_id=ana"), body).await;
            assert_eq!(all(), before, "{method} {path} → {} {}", answer.status, answer.body);
        }
    }
}

fn body_for(id: &str) -> Value {
    body(&json!("ana"), &json!({"user_id": "ana"}), id)
}
