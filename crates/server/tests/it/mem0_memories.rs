//! `/memories` and `/search` in the format of mem0's server, and regressions of known issues of that server.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::redact::redact;
use crate::server::{ADMIN, ANA, BOB, TestServer};

async fn add(server: &TestServer, key: &str, text: &str, more: Value) -> String {
    let mut body = json!({"messages": [{"role": "user", "content": text}], "infer": false});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let added = server.post(key, "/memories", body).await.expect(200);
    added["results"][0]["id"].as_str().unwrap().to_owned()
}

async fn count(server: &TestServer, key: &str) -> u64 {
    server.get(key, "/memories").await.expect(200)["count"].as_u64().unwrap()
}

async fn found(server: &TestServer, key: &str, body: Value) -> Vec<String> {
    let hits = server.post(key, "/search", body).await.expect(200);
    hits["results"].as_array().unwrap().iter().map(|hit| hit["memory"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_memory_is_added_read_changed_and_deleted() {
    let server = TestServer::start().await;
    let body = json!({
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "I am Ana and I like tea", "name": "Ana"},
            {"role": "assistant", "content": "Noted"},
        ],
        "agent_id": "bot", "metadata": {"source": "chat"}, "expiration_date": "2999-12-31", "infer": false,
    });
    let added = server.post(ANA, "/memories/", body).await.expect(200);
    let path = format!("/memories/{}", added["results"][0]["id"].as_str().unwrap());
    assert_json_snapshot!("memory_added", redact(added));
    assert_json_snapshot!("memory", redact(server.get(ANA, &format!("{path}/")).await.expect(200)));
    let change = json!({"text": "I like coffee", "metadata": {"source": "form"}, "expiration_date": null});
    let changed = server.call(ANA, "PUT", &path, change).await.expect(200);
    assert_eq!(changed, json!({"message": "Memory updated successfully!"}));
    assert_json_snapshot!("memories", redact(server.get(ANA, "/memories").await.expect(200)));
    assert_json_snapshot!("memories_of_all_users", redact(server.get(ADMIN, "/memories").await.expect(200)));
    let deleted = server.call(ANA, "DELETE", &format!("{path}/"), Value::Null).await.expect(200);
    assert_eq!(deleted, json!({"message": "Memory deleted successfully"}));
    for method in ["GET", "DELETE"] {
        server.call(ANA, method, &path, Value::Null).await.expect(404);
    }
    server.call(ANA, "PUT", &path, json!({"text": "x"})).await.expect(404);
    assert_json_snapshot!("history", redact(server.get(ANA, &format!("{path}/history/")).await.expect(200)));
    for id in ["nonsense", "00000000-0000-4000-8000-000000000000"] {
        assert_eq!(server.get(ANA, &format!("/memories/{id}/history")).await.expect(200), json!([]));
        server.get(ANA, &format!("/memories/{id}")).await.expect(404);
    }
}

#[tokio::test]
async fn explain_adds_the_score_details() {
    let server = TestServer::start().await;
    add(&server, ANA, "Ana likes jasmine tea", json!({"metadata": {"topic": "drinks"}})).await;
    let hits = server.post(ANA, "/search/", json!({"query": "tea", "explain": true})).await.expect(200);
    let hit = hits["results"][0].as_object().unwrap();
    let mut keys: Vec<&str> = hit.keys().map(String::as_str).collect();
    keys.sort_unstable();
    let all =
        ["created_at", "hash", "id", "memory", "metadata", "role", "score", "score_details", "updated_at", "user_id"];
    assert_eq!(keys, all);
    for key in ["semantic_score", "bm25_score", "entity_boost", "raw_score", "final_score", "threshold"] {
        assert!(hit["score_details"][key].is_number(), "{key}");
    }
    let plain = server.post(ANA, "/search", json!({"query": "tea"})).await.expect(200);
    assert_eq!(plain["results"][0].get("score_details"), None);
}

#[tokio::test]
async fn invalid_adds_are_refused() {
    let server = TestServer::start().await;
    let messages = |messages: Value| json!({"messages": messages});
    for (body, status) in [
        (messages(json!([])), 400),
        (messages(json!([{"role": "user", "content": " "}])), 400),
        (messages(json!("")), 400),
        (messages(json!(vec!["x"; 1001])), 400),
        (messages(json!([{"role": "user"}])), 422),
        (json!({}), 422),
        (json!({"messages": "x", "expiration_date": "tomorrow"}), 422),
        (json!({"messages": "x", "metadata": []}), 422),
        (json!({"messages": "x", "memory_type": "procedural_memory"}), 400),
        (json!({"messages": "x", "memory_type": "other"}), 400),
        (json!({"messages": "x", "user_id": "a b"}), 400),
        (json!({"messages": "x", "user_id": "*"}), 400),
    ] {
        let answer = server.post(ANA, "/memories", body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    let without_owner = server.post(ADMIN, "/memories", messages(json!("x"))).await.expect(400);
    assert_eq!(without_owner["detail"], "At least one identifier (user_id, agent_id, run_id) is required.");
    let system = messages(json!([{"role": "system", "content": "be kind"}]));
    assert_eq!(server.post(ANA, "/memories", system).await.expect(200)["results"], json!([]));
    assert_eq!(count(&server, ANA).await, 0);
}

#[tokio::test]
async fn messages_may_have_all_forms() {
    let server = TestServer::start().await;
    for (messages, stored) in [
        (json!("a"), 1),
        (json!({"content": "b"}), 1),
        (json!(["c", {"role": "assistant", "content": "d"}]), 2),
        (json!({"messages": ["e", {"content": [{"type": "text", "text": "f"}]}]}), 2),
    ] {
        for path in ["/memories", "/v1/memories/"] {
            let body = json!({"messages": messages, "infer": false, "output_format": "v1.1"});
            let added = server.post(ANA, path, body).await.expect(200);
            assert_eq!(added["results"].as_array().map(Vec::len), Some(stored), "{path}: {messages}");
        }
    }
    for (messages, fault) in [
        (json!(7), "messages: "),
        (json!(["a", {"role": "user"}]), "messages[1].content: "),
        (json!({"messages": ["a", 1]}), "messages[1]: "),
        (json!([{"content": "a", "timestamp": "soon"}]), "messages[0].timestamp: "),
    ] {
        let body = json!({"messages": messages, "infer": false});
        let refused = server.post(ANA, "/memories", body.clone()).await.expect(422);
        let first = &refused["detail"][0];
        assert_eq!(first["loc"], json!(["body", "messages"]), "{refused}");
        assert!(first["msg"].as_str().unwrap().starts_with(fault), "{refused}");
        let refused = server.post(ANA, "/v3/memories/add/", body).await.expect(400);
        assert!(refused["detail"].as_str().unwrap().starts_with(&format!("body.messages: {fault}")), "{refused}");
    }
}

#[tokio::test]
async fn metadata_cannot_set_reserved_keys() {
    let server = TestServer::start().await;
    let id = add(&server, ANA, "Ana likes tea", json!({})).await;
    for key in ["user_id", "agent_id", "run_id", "actor_id", "role", "created_at", "hash", "data", "id"] {
        let metadata = json!({key: "bob"});
        let body = json!({"messages": "x", "metadata": metadata});
        let refused = server.post(ANA, "/memories", body).await.expect(400);
        assert!(refused["detail"].as_str().unwrap().contains(key), "{refused}");
        server.call(ANA, "PUT", &format!("/memories/{id}"), json!({"metadata": metadata})).await.expect(400);
    }
    assert_eq!((count(&server, ANA).await, count(&server, BOB).await), (1, 0));
}

#[tokio::test]
async fn deleting_all_memories_of_one_user_keeps_those_of_others() {
    let server = TestServer::start().await;
    for number in 0..150 {
        add(&server, ANA, &format!("fact {number} of Ana"), json!({})).await;
    }
    add(&server, BOB, "a fact of Bob", json!({})).await;
    for query in ["", "?user_id=*", "?user_id=", "?user_id=%20", "?filters=%7B%7D", "?filters=%5Bobject%20Object%5D"] {
        for key in [ANA, ADMIN] {
            server.call(key, "DELETE", &format!("/memories{query}"), Value::Null).await.expect(400);
        }
    }
    server.call(ANA, "DELETE", "/memories?user_id=bob", Value::Null).await.expect(403);
    assert_eq!((count(&server, ANA).await, count(&server, BOB).await), (150, 1));
    let deleted = server.call(ADMIN, "DELETE", "/memories/?user_id=ana", Value::Null).await.expect(200);
    assert_eq!(deleted, json!({"message": "All relevant memories deleted"}));
    assert_eq!((count(&server, ANA).await, count(&server, BOB).await), (0, 1));
}

#[tokio::test]
async fn a_star_is_not_a_valid_id() {
    let server = TestServer::start().await;
    add(&server, ANA, "Ana likes tea", json!({})).await;
    for key in [ADMIN, ANA] {
        server.get(key, "/memories?user_id=*").await.expect(400);
        server.get(key, "/memories?user_id=").await.expect(400);
        for ids in
            [json!({"user_id": "*"}), json!({"filters": {"user_id": "*"}}), json!({"filters": {"agent_id": "*"}})]
        {
            let mut body = ids.clone();
            body["query"] = json!("tea");
            let answer = server.post(key, "/search", body).await;
            assert_eq!(answer.status, 400, "{ids}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn two_conditions_on_one_key_must_both_hold() {
    let server = TestServer::start().await;
    add(&server, ANA, "tea one", json!({"metadata": {"tag": ["a"], "n": 1}})).await;
    add(&server, ANA, "tea two", json!({"metadata": {"tag": ["a", "b"], "n": 2}})).await;
    add(&server, ANA, "tea three", json!({"metadata": {"tag": ["b"], "n": 3}})).await;
    let ask = |filters: Value| json!({"query": "tea", "filters": filters});
    let both = ask(json!({"AND": [{"tag": "a"}, {"tag": "b"}]}));
    assert_eq!(found(&server, ANA, both).await, ["tea two"]);
    let between = ask(json!({"user_id": "ana", "AND": [{"n": {"gt": 1}}, {"n": {"lt": 3}}]}));
    assert_eq!(found(&server, ADMIN, between).await, ["tea two"]);
    let groups = ask(json!({"AND": [{"OR": [{"n": 1}, {"n": 2}]}, {"OR": [{"n": 2}, {"n": 3}]}]}));
    assert_eq!(found(&server, ANA, groups).await, ["tea two"]);
    let inside = ask(json!({"AND": [{"user_id": "ana"}, {"n": 3}]}));
    assert_eq!(found(&server, ADMIN, inside).await, ["tea three"]);
}

#[tokio::test]
async fn invalid_searches_are_refused() {
    let server = TestServer::start().await;
    add(&server, ANA, "Ana likes tea", json!({})).await;
    for (body, status) in [
        (json!({}), 422),
        (json!({"query": " "}), 400),
        (json!({"query": "tea", "threshold": 1.5}), 400),
        (json!({"query": "tea", "threshold": -0.1}), 400),
        (json!({"query": "tea", "top_k": 0}), 400),
        (json!({"query": "tea", "top_k": 1001}), 400),
        (json!({"query": "tea", "top_k": -1}), 422),
        (json!({"query": "tea", "filters": {"n": {"near": 1}}}), 400),
        (json!({"query": "tea", "filters": {"n": {"gt": "x"}}}), 400),
        (json!({"query": "tea", "filters": {"AND": 7}}), 400),
        (json!({"query": "tea", "filters": []}), 422),
    ] {
        let answer = server.post(ANA, "/search", body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    for body in
        [json!({"query": "tea"}), json!({"query": "tea", "filters": {"n": 1}}), json!({"query": "tea", "filters": {}})]
    {
        server.post(ADMIN, "/search", body).await.expect(400);
    }
    let same = json!({"query": "tea", "user_id": " ana ", "filters": {"user_id": "ana"}});
    assert_eq!(found(&server, ADMIN, same).await, ["Ana likes tea"]);
    let other = json!({"query": "tea", "user_id": "ana", "filters": {"user_id": "bob"}});
    server.post(ADMIN, "/search", other).await.expect(400);
}

#[tokio::test]
async fn lists_have_pages_and_limits() {
    let server = TestServer::start().await;
    for number in 0..25 {
        add(&server, ANA, &format!("fact {number}"), json!({})).await;
    }
    let first = server.get(ANA, "/memories").await.expect(200);
    assert_eq!((first["results"].as_array().unwrap().len(), &first["count"]), (20, &json!(25)));
    let next = server.get(ANA, &format!("/memories?cursor={}", first["next"].as_str().unwrap())).await.expect(200);
    assert_eq!((next["results"].as_array().unwrap().len(), &next["next"]), (5, &Value::Null));
    let none = server.get(ANA, "/memories?top_k=0").await.expect(200);
    assert_eq!(none, json!({"results": [], "count": 25, "total": 25, "next": null}));
    server.get(ANA, "/memories?top_k=1000").await.expect(200);
    let refused = server.get(ANA, "/memories?top_k=1001").await.expect(422);
    assert_json_snapshot!("top_k_too_large", redact(refused));
    server.get(ANA, "/memories?cursor=nonsense").await.expect(400);
    assert_eq!(server.get(ADMIN, "/memories?user_id=ana&top_k=3").await.body["results"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn expired_memories_are_hidden_by_default() {
    let server = TestServer::start().await;
    let id = add(&server, ANA, "tea was cheap", json!({"expiration_date": "2020-01-01"})).await;
    assert_eq!(count(&server, ANA).await, 0);
    assert_eq!(server.get(ANA, "/memories?show_expired=true").await.body["count"], 1);
    assert_eq!(server.get(ADMIN, "/memories").await.body["count"], 1);
    assert!(found(&server, ANA, json!({"query": "tea"})).await.is_empty());
    assert_eq!(found(&server, ANA, json!({"query": "tea", "show_expired": true})).await.len(), 1);
    server.call(ANA, "PUT", &format!("/memories/{id}"), json!({"expiration_date": null})).await.expect(200);
    assert_eq!(count(&server, ANA).await, 1);
}
