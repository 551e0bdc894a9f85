//! Memories on the hosted platform: add, search, list, read, change and delete.

use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, BOB, TestServer};

/// Adds with a key and returns the first memory's id.
async fn add(server: &TestServer, key: &str, body: Value) -> String {
    let answer = server.post(key, "/v3/memories/add/", body).await.expect(200);
    answer["results"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn ping_has_the_fields_that_clients_require() {
    let server = TestServer::start().await;
    for header in ["Token ka", "Bearer ka"] {
        // The npm client sends this header empty in its first ping.
        let request = server.request("GET", "/v1/ping/").header("authorization", header).header("mem0-user-id", "");
        let body = TestServer::answer(request).await.expect(200);
        assert_eq!(body["status"], "ok");
        for key in ["org_id", "project_id", "user_email"] {
            assert!(body[key].as_str().is_some_and(|text| !text.is_empty() && !text.contains('@')), "{body}");
        }
    }
    let refused = server.get("wrong", "/v1/ping/").await;
    assert!(refused.status == 401 && refused.body["detail"].is_string(), "{}", refused.body);
}

#[tokio::test]
async fn an_add_returns_the_memories_and_an_event() {
    let server = TestServer::start().await;
    let body = json!({
        "messages": [{"role": "user", "content": "likes tea"}], "user_id": "alice", "agent_id": "a1", "app_id": "p1",
        "run_id": "r1", "metadata": {"k": 1}, "infer": false, "timestamp": 1_700_000_000,
        "expiration_date": "2099-01-01", "org_id": "default", "project_id": "default", "async_mode": true,
        "custom_categories": [{"a": "b"}], "source": "CLI",
    });
    let answer = server.post(ADMIN, "/v3/memories/add/", body).await.expect(200);
    assert_eq!(answer["status"], "SUCCEEDED");
    let result = &answer["results"][0];
    assert_eq!((&result["memory"], &result["data"]["memory"]), (&json!("likes tea"), &json!("likes tea")));
    assert_eq!(result["event"], "ADD");
    let event_id = answer["event_id"].as_str().unwrap();
    for path in ["/v1/event/", "/v1/events/"] {
        let event = server.get(ADMIN, &format!("{path}{event_id}/")).await.expect(200);
        assert_eq!((&event["status"], &event["event_type"]), (&json!("SUCCEEDED"), &json!("ADD")));
        assert_eq!(event["results"][0]["data"]["memory"], "likes tea");
        assert!(event["latency"].is_number());
    }
    let id = result["id"].as_str().unwrap();
    let memory = server.get(ADMIN, &format!("/v1/memories/{id}/?source=CLI")).await.expect(200);
    for (key, value) in [
        ("user_id", json!("alice")),
        ("agent_id", json!("a1")),
        ("app_id", json!("p1")),
        ("run_id", json!("r1")),
        ("session_id", json!("r1")),
        ("metadata", json!({"k": 1})),
        ("expiration_date", json!("2099-01-01")),
        ("timestamp", json!("2023-11-14T22:13:20Z")),
        ("created_at", json!("2023-11-14T22:13:20Z")),
        ("categories", json!([])),
    ] {
        assert_eq!(memory[key], value, "{key}");
    }
}

#[tokio::test]
async fn ids_may_be_given_in_filters() {
    let server = TestServer::start().await;
    let id = add(&server, ADMIN, json!({"messages": "I like tea", "filters": {"user_id": "alice"}})).await;
    let memory = server.get(ADMIN, &format!("/v1/memories/{id}/")).await.expect(200);
    assert_eq!(memory["user_id"], "alice");
    let id = add(&server, ANA, json!({"messages": "I like tea", "filters": {"AND": [{"app_id": "shop"}]}})).await;
    let memory = server.get(ANA, &format!("/v1/memories/{id}/")).await.expect(200);
    assert_eq!((&memory["user_id"], &memory["app_id"]), (&json!("ana"), &json!("shop")));
    let old = json!({"messages": "My cat is old", "user_id": "alice", "output_format": "v1.1", "async_mode": true});
    let old = server.post(ADMIN, "/v1/memories/", old).await.expect(200);
    assert!(old["results"][0]["event_id"].is_string() && old["results"][0]["memory"] == "My cat is old", "{old}");
    let oldest = json!({"messages": "My dog is young", "user_id": "alice"});
    let oldest = server.post(ADMIN, "/v1/memories/", oldest).await.expect(200);
    assert_eq!(oldest[0]["memory"], "My dog is young");
}

#[tokio::test]
async fn invalid_adds_are_refused() {
    let server = TestServer::start().await;
    for (body, status) in [
        (json!({}), 400),
        (json!({"messages": []}), 400),
        (json!({"messages": ""}), 400),
        (json!({"messages": [{"role": "user", "content": ""}]}), 400),
        (json!({"messages": "x", "user_id": "bob"}), 403),
        (json!({"messages": "x", "user_id": "*"}), 400),
        (json!({"messages": "x", "user_id": ""}), 400),
        (json!({"messages": "x", "user_id": 7}), 400),
        (json!({"messages": "x", "user_id": "ana", "filters": {"user_id": "bob"}}), 400),
        (json!({"messages": "x", "filters": {"color": "red"}}), 400),
        (json!({"messages": "x", "filters": {"OR": [{"user_id": "ana"}]}}), 400),
        (json!({"messages": "x", "app_id": "*"}), 400),
        (json!({"messages": "x", "app_id": ""}), 400),
        (json!({"messages": "x", "metadata": {"user_id": "bob"}}), 400),
        (json!({"messages": "x", "timestamp": "soon"}), 400),
        (json!({"messages": "x", "timestamp": 1e300}), 400),
        (json!({"messages": "x", "expiration_date": "soon"}), 400),
        (json!({"messages": "x", "memory_type": "procedural_memory"}), 400),
        (json!({"messages": "x", "memory_type": "odd"}), 400),
    ] {
        let answer = server.post(ANA, "/v3/memories/add/", body.clone()).await;
        assert_eq!(answer.status, status, "{body} → {}", answer.body);
        assert!(answer.body["detail"].is_string(), "{}", answer.body);
    }
    assert_eq!(server.post(ADMIN, "/v3/memories/add/", json!({"messages": "x"})).await.status, 400);
    assert_eq!(server.get(ADMIN, "/memories").await.body["count"], 0);
}

#[tokio::test]
async fn each_search_route_answers_in_its_format() {
    let server = TestServer::start().await;
    add(&server, ADMIN, json!({"messages": "likes green tea", "user_id": "alice", "agent_id": "a1"})).await;
    add(&server, ADMIN, json!({"messages": "plays chess", "user_id": "alice", "categories": ["games"]})).await;
    add(&server, ADMIN, json!({"messages": "likes green tea too", "user_id": "bob"})).await;
    let body = json!({
        "query": "who likes tea?", "filters": {"AND": [{"user_id": "alice"}, {"OR": [{"agent_id": "a1"}]}]}, "top_k": 3,
        "threshold": 0.1, "rerank": true, "keyword_search": true, "latest_only": true, "reference_date": "2024-01-01",
    });
    let found = server.post(ADMIN, "/v3/memories/search/", body).await.expect(200);
    let hit = &found["results"][0];
    assert_eq!(hit["memory"], "likes green tea");
    assert!(hit["score"].as_f64().is_some_and(|score| (0.0..=1.0).contains(&score)));
    for part in ["semantic", "bm25", "entity"] {
        assert!(hit["score_breakdown"][part].is_number(), "{hit}");
    }
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    let old = json!({"query": "tea", "user_id": "alice", "limit": 2, "version": "v2"});
    for path in ["/v1/memories/search/", "/v2/memories/search/"] {
        let found = server.post(ADMIN, path, old.clone()).await.expect(200);
        assert_eq!(found[0]["memory"], "likes green tea", "{found}");
        let mut object = old.clone();
        object["output_format"] = json!("v1.1");
        let found = server.post(ADMIN, path, object).await.expect(200);
        assert_eq!(found["results"][0]["memory"], "likes green tea", "{found}");
    }
    let fields = json!({"query": "tea", "filters": {"user_id": "alice"}, "fields": ["memory"], "top_k": 1});
    let found = server.post(ADMIN, "/v3/memories/search/", fields).await.expect(200);
    let mut keys: Vec<&String> = found["results"][0].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["id", "memory"]);
    let games = json!({"query": "tea chess", "filters": {"user_id": "alice"}, "categories": ["games"], "threshold": 0});
    let found = server.post(ADMIN, "/v3/memories/search/", games).await.expect(200);
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    assert_eq!(found["results"][0]["categories"], json!(["games"]));
}

#[tokio::test]
async fn a_search_must_name_an_owner() {
    let server = TestServer::start().await;
    add(&server, ANA, json!({"messages": "ana likes tea"})).await;
    add(&server, BOB, json!({"messages": "bob likes tea"})).await;
    let ask = |filters: Value| json!({"query": "tea", "filters": filters, "threshold": 0});
    for filters in [
        json!({"user_id": "*"}),
        json!({"NOT": [{"user_id": "ana"}]}),
        json!({"agent_id": "*"}),
        json!({"app_id": "x"}),
        json!({}),
        Value::Null,
        json!("user_id"),
        json!({"user_id": null}),
        json!({"color": "red"}),
    ] {
        let answer = server.post(ADMIN, "/v3/memories/search/", ask(filters.clone())).await;
        assert_eq!(answer.status, 400, "{filters} → {}", answer.body);
    }
    assert_eq!(server.post(ADMIN, "/v3/memories/search/", json!({"query": "tea"})).await.status, 400);
    let beside = json!({"query": "tea", "user_id": "ana"});
    assert_eq!(server.post(ADMIN, "/v3/memories/search/", beside).await.status, 400);
    for filters in [json!({"user_id": "*"}), json!({"OR": [{"user_id": "ana"}, {"user_id": "bob"}]})] {
        let found = server.post(ANA, "/v3/memories/search/", ask(filters)).await.expect(200);
        assert_eq!(found["results"].as_array().unwrap().len(), 1);
        assert_eq!(found["results"][0]["user_id"], "ana");
    }
    let both = ask(json!({"user_id": {"in": ["ana", "bob"]}}));
    let found = server.post(ADMIN, "/v3/memories/search/", both).await.expect(200);
    assert_eq!(found["results"].as_array().unwrap().len(), 2);
    for wrong in [json!({"top_k": 0}), json!({"top_k": 1001}), json!({"threshold": 2}), json!({"query": " "})] {
        let mut body = ask(json!({"user_id": "ana"}));
        body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(server.post(ADMIN, "/v3/memories/search/", body).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn lists_have_pages_counts_and_links() {
    let server = TestServer::start().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(add(&server, ANA, json!({"messages": format!("fact {number}"), "metadata": {"n": number}})).await);
    }
    add(&server, BOB, json!({"messages": "bob's"})).await;
    let first = server.post(ANA, "/v3/memories/?page=1&page_size=2", json!({})).await.expect(200);
    assert_eq!((&first["count"], &first["previous"]), (&json!(5), &Value::Null));
    assert_eq!(first["results"][0]["memory"], "fact 4");
    let next = first["next"].as_str().unwrap();
    assert_eq!(next, format!("{}/v3/memories/?page=2&page_size=2", server.url));
    let second = server.post(ANA, next.strip_prefix(&server.url).unwrap(), json!({})).await.expect(200);
    assert_eq!(second["results"][0]["memory"], "fact 2");
    let last = server.post(ANA, "/v3/memories/", json!({"page": 3, "page_size": 2})).await.expect(200);
    assert_eq!((last["results"].as_array().unwrap().len(), &last["next"]), (1, &Value::Null));
    assert_eq!(server.post(ANA, "/v3/memories/?page=9", json!({})).await.expect(200)["results"], json!([]));
    for query in ["?page=0", "?page_size=0", "?page_size=1001", "?page=x", "?page=18446744073709551615"] {
        assert_eq!(server.post(ANA, &format!("/v3/memories/{query}"), json!({})).await.status, 400, "{query}");
    }
    let count = |body: Value| {
        let server = &server;
        async move { server.post(ANA, "/v3/memories/", body).await.expect(200)["count"].clone() }
    };
    assert_eq!(count(json!({"filters": {"metadata": {"n": {"gte": 3}}}})).await, 2);
    assert_eq!(count(json!({"filters": {"memory_ids": [ids[0], ids[1], "no id"]}})).await, 2);
    assert_eq!(count(json!({"keywords": "fact 3"})).await, 1);
    assert_eq!(count(json!({"start_date": "2020-01-01", "end_date": "2021-01-01"})).await, 0);
    assert_eq!(count(json!({"start_date": "2020-01-01"})).await, 5);
    let anothers = json!({"filters": {"AND": [{"user_id": "bob"}]}});
    assert_eq!(server.post(ANA, "/v3/memories/", anothers).await.status, 403);
    assert_eq!(count(json!({"filters": {"user_id": "*"}})).await, 5);
    let list = server.get(ANA, "/v1/memories/?user_id=ana&fields=memory").await.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 5);
    assert_eq!(list[0].as_object().unwrap().len(), 2);
    assert_eq!(server.get(ANA, "/v1/memories/?page=1&page_size=2").await.expect(200)["count"], 5);
    assert_eq!(server.post(ADMIN, "/v2/memories/", json!({"user_id": "ana"})).await.expect(200)["count"], 5);
    assert_eq!(server.post(ADMIN, "/v3/memories/", json!({})).await.status, 400);
    let all = json!({"filters": {"OR": [{"user_id": "*"}, {"agent_id": "*"}]}});
    assert_eq!(server.post(ADMIN, "/v3/memories/", all).await.expect(200)["count"], 6);
}

#[tokio::test]
async fn a_change_keeps_the_platform_fields() {
    let server = TestServer::start().await;
    let body = json!({"messages": "likes tea", "app_id": "shop", "categories": ["food"], "metadata": {"k": 1, "j": 2}});
    let id = add(&server, ANA, body).await;
    let path = format!("/v1/memories/{id}/");
    let change = json!({
        "text": "likes green tea", "metadata": {"k": 2}, "timestamp": 1_700_000_001, "expiration_date": "2098-01-01",
        "source": "CLI",
    });
    let changed = server.call(ANA, "PUT", &path, change).await.expect(200);
    assert_eq!((&changed["id"], &changed["memory"]), (&json!(id), &json!("likes green tea")));
    assert_eq!((&changed["metadata"], &changed["app_id"]), (&json!({"k": 2}), &json!("shop")));
    assert_eq!((&changed["categories"], &changed["expiration_date"]), (&json!(["food"]), &json!("2098-01-01")));
    assert_eq!(changed["timestamp"], "2023-11-14T22:13:21Z");
    let moved = server.call(ANA, "PUT", &path, json!({"timestamp": "2024-01-01"})).await.expect(200);
    assert_eq!((&moved["metadata"], &moved["timestamp"]), (&json!({"k": 2}), &json!("2024-01-01T00:00:00Z")));
    let cleared = server.call(ANA, "PUT", &path, json!({"expiration_date": null})).await.expect(200);
    assert_eq!(cleared["expiration_date"], Value::Null);
    for wrong in [json!({}), json!({"text": ""}), json!({"metadata": {"user_id": "bob"}}), json!({"text": 7})] {
        assert_eq!(server.call(ANA, "PUT", &path, wrong.clone()).await.status, 400, "{wrong}");
    }
    let fixed = add(&server, ANA, json!({"messages": "born in May", "immutable": true})).await;
    let refused = server.call(ANA, "PUT", &format!("/v1/memories/{fixed}/"), json!({"text": "born in June"})).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let deleted = server.call(ANA, "DELETE", &format!("/v1/memories/{fixed}/"), Value::Null).await.expect(200);
    assert_eq!(deleted["cascade_count"], 0);
}

#[tokio::test]
async fn the_history_lists_all_texts() {
    let server = TestServer::start().await;
    let id = add(&server, ANA, json!({"messages": "likes tea", "run_id": "r1", "app_id": "shop"})).await;
    server.call(ANA, "PUT", &format!("/v1/memories/{id}/"), json!({"text": "likes coffee"})).await.expect(200);
    server.call(ANA, "DELETE", &format!("/v1/memories/{id}/?delete_linked=true"), Value::Null).await.expect(200);
    let rows = server.get(ANA, &format!("/v1/memories/{id}/history/")).await.expect(200);
    let events: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["event"]).collect();
    assert_eq!(events, ["ADD", "UPDATE", "DELETE"]);
    assert_eq!(rows[1]["input"], json!([{"role": "user", "content": "likes coffee"}]));
    assert_eq!((&rows[1]["old_memory"], &rows[1]["new_memory"]), (&json!("likes tea"), &json!("likes coffee")));
    assert_eq!((&rows[0]["user_id"], &rows[0]["session_id"]), (&json!("ana"), &json!("r1")));
    assert_eq!(server.get(BOB, &format!("/v1/memories/{id}/history/")).await.expect(200), json!([]));
    assert_eq!(server.get(ANA, &format!("/v1/memories/{id}/")).await.status, 404);
}

#[tokio::test]
async fn linked_memories_are_deleted_on_request() {
    let server = TestServer::start().await;
    let target = add(&server, ANA, json!({"messages": "has a cat"})).await;
    let request = mnemon_engine::AddRequest {
        scope: mnemon_store::Scope::user("ana").unwrap(),
        messages: vec![mnemon_engine::Message {
            role: "user".into(),
            content: "the cat is Tom".into(),
            ..Default::default()
        }],
        links: vec![(target.parse().unwrap(), "related".into())],
        ..Default::default()
    };
    let source = server.engine.add(request).unwrap()[0].id;
    let path = format!("/v1/memories/{source}/?delete_linked=true");
    assert_eq!(server.call(BOB, "DELETE", &path, Value::Null).await.status, 404);
    let deleted = server.call(ANA, "DELETE", &path, Value::Null).await.expect(200);
    assert_eq!(deleted["cascade_count"], 1);
    assert_eq!(server.get(ANA, &format!("/v1/memories/{target}/")).await.status, 404);
}

#[tokio::test]
async fn a_text_that_was_not_embedded_as_a_whole_is_shown_on_both_surfaces() {
    let server = TestServer::start().await;
    let long = "We walked along the river in the evening. ".repeat(60);
    for (text, record) in [(long.as_str(), [json!(1), json!(1)]), ("We walked.", [Value::Null, Value::Null])] {
        let body = json!({"messages": [{"role": "user", "content": text}], "user_id": "ana", "infer": false});
        let id = add(&server, ANA, body).await;
        let search = json!({"query": text, "filters": {"user_id": "ana"}, "top_k": 1});
        let found = server.post(ANA, "/v3/memories/search/", search.clone()).await.expect(200);
        for memory in [
            server.get(ANA, &format!("/v1/memories/{id}/")).await.expect(200),
            server.get(ANA, &format!("/memories/{id}")).await.expect(200),
            found["results"].get(0).unwrap_or(&found[0]).clone(),
        ] {
            assert_eq!([&memory["vector_pieces"], &memory["vector_left_out"]], [&record[0], &record[1]], "{memory}");
        }
    }
}

#[tokio::test]
async fn lists_and_reads_name_the_fact_after_each() {
    let server = TestServer::start().await;
    let mut chain = Vec::new();
    for city in ["Lisbon", "Porto", "Braga"] {
        let links = chain.last().map(|id: &mnemon_store::MemoryId| (*id, mnemon_store::Link::SUPERSEDES.to_owned()));
        let request = mnemon_engine::AddRequest {
            scope: mnemon_store::Scope { user_id: Some("ana".into()), ..mnemon_store::Scope::default() },
            messages: vec![mnemon_engine::Message {
                content: format!("Ana lives in {city}."),
                ..mnemon_engine::Message::default()
            }],
            links: links.into_iter().collect(),
            ..mnemon_engine::AddRequest::default()
        };
        chain.push(server.engine.add(request).unwrap()[0].id);
    }
    let alone = server.remember(ANA, "Ana likes tea.").await;
    let [lisbon, porto, braga] = [0, 1, 2].map(|place: usize| chain[place].to_string());
    let expected = |id: &str| match id {
        id if id == braga => (Value::Null, json!([porto, lisbon])),
        id if id == alone => (Value::Null, Value::Null),
        _ => (json!(braga), Value::Null),
    };
    let mut answers = Vec::new();
    for key in [ANA, ADMIN] {
        for path in ["/v3/memories/", "/v2/memories/"] {
            answers.push(server.post(key, path, json!({"filters": {"user_id": "ana"}})).await.expect(200));
        }
        answers.push(server.get(key, "/v1/memories/?user_id=ana").await.expect(200));
        for id in [&lisbon, &porto, &braga, &alone] {
            answers.push(json!([server.get(key, &format!("/v1/memories/{id}/")).await.expect(200)]));
        }
    }
    for answer in answers {
        for item in answer.get("results").unwrap_or(&answer).as_array().unwrap() {
            let found = (item["replaced_by"].clone(), item["replaces"].clone());
            assert_eq!(found, expected(item["id"].as_str().unwrap()), "{item}");
        }
    }
}
