//! Which memories a request asks for: pages, days, owners and ids, alike on all routes.

use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, TestServer};

fn ids(results: &Value) -> Vec<String> {
    let list = results.as_array().unwrap_or_else(|| panic!("{results}"));
    list.iter().map(|memory| memory["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_has_pages() {
    let server = TestServer::start().await;
    let mut added = Vec::new();
    for number in 0..25 {
        added.push(server.remember(ANA, &format!("note {number}")).await);
    }
    added.reverse();
    for (query, expected) in [
        ("", &added[..20]),
        ("limit=7", &added[..7]),
        ("page_size=7", &added[..7]),
        ("top_k=7&limit=7&page_size=7", &added[..7]),
        ("page=1&page_size=10", &added[..10]),
        ("page=2&page_size=10", &added[10..20]),
        ("page=3&limit=10", &added[20..]),
        ("page=2", &added[20..]),
        ("page=9&top_k=10", &[]),
        ("page_size=0", &[]),
        ("limit=1000", &added[..]),
    ] {
        for (key, prefix) in [(ANA, ""), (ADMIN, "user_id=ana&")] {
            let answer = server.get(key, &format!("/memories?{prefix}{query}")).await.expect(200);
            assert_eq!(ids(&answer["results"]), expected, "{query}");
            assert_eq!((&answer["total"], &answer["count"]), (&json!(25), &json!(25)), "{query}");
            let is_last = expected.last() == added.last() || expected.is_empty();
            assert_eq!(answer["next"].is_null(), is_last, "{query}");
        }
    }
    let second = server.get(ANA, "/memories?page=2&page_size=10").await.body;
    let next = second["next"].as_str().unwrap();
    let third = server.get(ANA, &format!("/memories?page_size=10&cursor={next}")).await.body;
    assert_eq!(ids(&third["results"]), &added[20..], "the cursor goes on behind the page");
    assert_eq!(server.get(ADMIN, "/memories?page=2&page_size=20").await.body["results"].as_array().unwrap().len(), 5);
    for (query, name) in [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=x", "page"),
        ("page=18446744073709551615&limit=1000", "page"),
        ("page_size=1001", "page_size"),
        ("limit=1001", "limit"),
        ("top_k=5&limit=6", "limit"),
        ("page_size=5&limit=6", "limit"),
        ("page=1&cursor=x", "cursor"),
    ] {
        let answer = server.get(ANA, &format!("/memories?{query}")).await;
        assert!([400, 422].contains(&answer.status) && answer.body.to_string().contains(name), "{query}: {answer:?}");
    }
    for path in ["/search", "/v3/memories/search", "/v2/memories/search"] {
        let body = json!({"query": "note", "filters": {"user_id": "ana"}, "top_k": 5, "limit": 6});
        assert_eq!(server.post(ANA, path, body).await.status, 400, "{path}");
    }
}

/// Memories with a `timestamp` each, which counts as their time on all routes of the platform, and their times.
async fn dated(server: &TestServer) -> Vec<(String, &'static str)> {
    let times = [
        "2024-05-30T23:59:59Z",
        "2024-05-31T00:00:00Z",
        "2024-05-31T18:00:00Z",
        "2024-05-31T23:59:59.5Z",
        "2024-06-01T00:00:00Z",
    ];
    let mut dated = Vec::new();
    for time in times {
        let body = json!({"messages": format!("note of {time}"), "timestamp": time, "infer": false});
        let added = server.post(ANA, "/v3/memories/add", body).await.expect(200);
        dated.push((added["results"][0]["id"].as_str().unwrap().to_owned(), time));
    }
    dated
}

#[tokio::test]
async fn a_day_as_a_bound_is_the_whole_day_on_every_route() {
    let server = TestServer::start().await;
    let dated = dated(&server).await;
    let bounds = [
        (json!({"gte": "2024-05-31"}), [false, true, true, true, true]),
        (json!({"gt": "2024-05-31"}), [false, false, false, false, true]),
        (json!({"lte": "2024-05-31"}), [true, true, true, true, false]),
        (json!({"lt": "2024-05-31"}), [true, false, false, false, false]),
        (json!({"gte": "2024-05-31", "lte": "2024-05-31"}), [false, true, true, true, false]),
        (json!({"gt": "2024-05-30", "lt": "2024-06-01"}), [false, true, true, true, false]),
        (json!({"gte": "2024-05-31T18:00:00Z", "lte": "2024-05-31"}), [false, false, true, true, false]),
        (json!({"gt": "2024-05-31T18:00:00Z", "lte": "2024-06-01T00:00:00+00:00"}), [false, false, false, true, true]),
        (json!({"lte": "2024-05-31T00:00:00Z"}), [true, true, false, false, false]),
    ];
    for (bound, expected) in bounds {
        let expected: Vec<&String> =
            dated.iter().zip(expected).filter(|(_, shown)| *shown).map(|((id, _), _)| id).collect();
        for (path, key) in [
            ("/search", "event_time"),
            ("/memories/search", "event_time"),
            ("/v3/memories/search", "timestamp"),
            ("/v3/memories/search", "created_at"),
            ("/v3/memories", "timestamp"),
            ("/v2/memories", "created_at"),
            ("/v1/exports", "created_at"),
        ] {
            let filters = json!({"user_id": "ana", key: bound});
            let mut body = json!({"filters": filters});
            if path.ends_with("/search") {
                body["query"] = json!("note");
                body["top_k"] = json!(100);
            }
            if path == "/v1/exports" {
                body["schema"] = json!({});
            }
            let mut answer = server.post(ANA, path, body).await.body;
            if path == "/v1/exports" {
                let wanted = json!({"memory_export_id": answer["id"]});
                answer = server.post(ANA, "/v1/exports/get", wanted).await.expect(200);
                answer["results"] = answer["memories"].clone();
            }
            let mut found = ids(&answer["results"]);
            found.sort_by_key(|id| dated.iter().position(|(own, _)| own == id));
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{path} {key}: {bound}");
        }
    }
    for (query, count) in [
        ("start_date=2024-05-31&end_date=2024-05-31", 3),
        ("end_date=2024-05-31", 4),
        ("start_date=2024-06-01T00:00:00Z", 1),
        ("end_date=2024-05-31T18:00:00Z", 3),
    ] {
        let listed = server.get(ANA, &format!("/v1/memories?{query}")).await.body;
        assert_eq!(listed.as_array().unwrap().len(), count, "{query}");
    }
}

#[tokio::test]
async fn a_second_owner_is_refused_with_both_names() {
    let server = TestServer::start().await;
    server.remember(ANA, "likes tea").await;
    let nested = |key: &str, value: Value| {
        vec![
            json!({key: value}),
            json!({"AND": [{key: value}]}),
            json!({"AND": [{"AND": [{key: value}, {"user_id": {"ne": "x"}}]}]}),
            json!({key: {"in": [value]}}),
        ]
    };
    for key in ["user_id", "agent_id", "run_id", "app_id"] {
        let is_scope = key != "app_id";
        for filters in nested(key, json!("bob")) {
            for path in [
                "/search",
                "/memories/search",
                "/v1/memories/search",
                "/v2/memories/search",
                "/v2/memories",
                "/v1/exports",
            ] {
                // mem0's server has no apps.
                if !is_scope && ["/search", "/memories/search"].contains(&path) {
                    continue;
                }
                let mut body = json!({"query": "tea", "schema": {}, "filters": filters, key: "cleo"});
                let answer = server.post(ADMIN, path, body.clone()).await;
                let text = answer.body["error"].as_str().unwrap_or_default().to_owned();
                assert_eq!(answer.status, 400, "{path} {body}: {}", answer.body);
                assert!([key, "bob", "cleo"].iter().all(|word| text.contains(word)), "{path} {body}: {text}");
                body[key] = json!("bob");
                let same = server.post(ADMIN, path, body.clone()).await;
                assert!(
                    same.status < 300 || same.body["error"].as_str().unwrap().contains("must name"),
                    "{path} {body}: {}",
                    same.body
                );
            }
        }
        let both = json!({"AND": [{key: "bob"}, {key: "cleo"}, {"user_id": "ana"}]});
        for path in ["/v3/memories/search", "/v3/memories"] {
            let answer = server.post(ADMIN, path, json!({"query": "tea", "filters": both})).await;
            let text = answer.body["error"].as_str().unwrap_or_default();
            assert!(answer.status == 400 && text.contains("bob"), "{path} {key}: {}", answer.body);
        }
        // In the query of a request that names owners in its body.
        for path in ["/search", "/v2/memories", "/v2/memories/search", "/v3/memories/add", "/chat"] {
            let body = json!({"query": "tea", "messages": "a", "filters": {"user_id": "ana"}});
            let answer = server.post(ADMIN, &format!("{path}?{key}=bob"), body).await;
            let is_named =
                answer.headers.get("x-mnemon-ignored").is_some_and(|names| names.to_str().unwrap().contains(key));
            assert!(answer.status == 400 && answer.body["error"].as_str().unwrap().contains(key) || is_named, "{path}");
        }
        let add = json!({"messages": "a", key: "bob", "filters": {key: "cleo"}, "infer": false});
        let answer = server.post(ADMIN, "/v3/memories/add", add).await;
        let text = answer.body["error"].as_str().unwrap_or_default();
        assert!(answer.status == 400 && text.contains("bob") && text.contains("cleo"), "{key}: {}", answer.body);
    }
    // A user's key: the other user is not theirs.
    let search = json!({"query": "tea", "user_id": "ana", "filters": {"user_id": "bob"}});
    assert_eq!(server.post(ANA, "/search", search).await.status, 400);
    let search = json!({"query": "tea", "filters": {"user_id": "bob"}});
    assert_eq!(server.post(ANA, "/search", search).await.status, 403);
    let chat = json!({"messages": [{"role": "user", "content": "a"}], "user": "bob", "metadata": {"user_id": "cleo"}});
    let answer = server.post(ADMIN, "/v1/chat/completions", chat).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
}

#[tokio::test]
async fn memories_named_by_id_are_found_at_any_rank() {
    let server = TestServer::start().await;
    let body = json!({"messages": "Zephyr plays the oboe", "categories": ["music"], "infer": false});
    let wanted = server.post(ANA, "/v3/memories/add", body).await.expect(200)["results"][0]["id"].clone();
    let mut other = Value::Null;
    for from in [0, 750] {
        let messages: Vec<Value> = (from..from + 750)
            .map(|n| json!({"role": "user", "content": format!("Green tea number {n} is in the kitchen")}))
            .collect();
        let added = server.post(ANA, "/v3/memories/add", json!({"messages": messages, "infer": false})).await;
        other = added.expect(200)["results"][0]["id"].clone();
    }
    let find = async |path: &str, mut extra: Value, filters: Value| {
        extra["query"] = json!("which green tea is in the kitchen?");
        extra["filters"] = filters;
        let answer = server.post(ANA, path, extra).await.expect(200);
        ids(if answer.is_array() { &answer } else { &answer["results"] })
    };
    let (wanted, other) = (wanted.as_str().unwrap(), other.as_str().unwrap());
    for path in ["/search", "/memories/search"] {
        for key in ["memory_ids", "id"] {
            for value in [json!(wanted), json!([wanted]), json!({"in": [wanted]}), json!({"eq": wanted})] {
                for filters in [
                    json!({"user_id": "ana", key: value}),
                    json!({"AND": [{"user_id": "ana"}, {key: value}]}),
                    json!({"user_id": "ana", "AND": {key: value}}),
                    json!({"$and": [{"AND": [{key: value}]}, {"user_id": "ana", key: [wanted, other]}]}),
                ] {
                    assert_eq!(find(path, json!({}), filters.clone()).await, [wanted], "{path} {filters}");
                }
            }
            let both = json!({"user_id": "ana", key: [wanted, other, "no id", wanted.to_uppercase()]});
            assert_eq!(find(path, json!({}), both).await, [other, wanted]);
            let none: [&str; 0] = [];
            for unknown in [json!("no id"), json!(["6f0e0000-0000-4000-8000-000000000000"]), json!(7)] {
                assert_eq!(find(path, json!({}), json!({"user_id": "ana", key: unknown})).await, none);
            }
            let others = json!({"user_id": "ana", "AND": [{"memory_ids": wanted}, {"id": other}]});
            assert_eq!(find(path, json!({}), others).await, none);
            for refused in [
                json!({"user_id": "ana", key: []}),
                json!({"user_id": "ana", key: null}),
                json!({"user_id": "ana", key: {"ne": wanted}}),
                json!({"user_id": "ana", "OR": [{key: wanted}, {"x": 1}]}),
                json!({"user_id": "ana", "NOT": {key: wanted}}),
                json!({"user_id": "ana", "NOT": [{"AND": [{key: wanted}]}]}),
                json!({key: wanted}),
            ] {
                let key_of = if refused.get("user_id").is_some() { ANA } else { ADMIN };
                let answer = server.post(key_of, path, json!({"query": "tea", "filters": refused})).await;
                assert_eq!(answer.status, 400, "{path} {refused}: {}", answer.body);
            }
        }
        assert_eq!(find(path, json!({"threshold": 0.9}), json!({"user_id": "ana", "id": wanted})).await.len(), 0);
    }
    for path in ["/v3/memories/search", "/v2/memories/search", "/v1/memories/search"] {
        assert_eq!(find(path, json!({}), json!({"user_id": "ana", "id": wanted})).await, [wanted]);
        let only = || json!({"user_id": "ana", "memory_ids": [wanted]});
        let both = || json!({"AND": [{"user_id": "ana"}, {"memory_ids": {"in": [wanted, other]}}]});
        assert_eq!(find(path, json!({}), only()).await, [wanted]);
        assert_eq!(find(path, json!({}), both()).await, [other, wanted]);
        assert_eq!(find(path, json!({"top_k": 1}), both()).await, [other]);
        assert_eq!(find(path, json!({"rerank": true, "latest_only": true}), only()).await, [wanted]);
        assert_eq!(find(path, json!({"threshold": 0.0}), only()).await, [wanted]);
        assert!(find(path, json!({"threshold": 0.9}), only()).await.is_empty());
        assert_eq!(find(path, json!({"categories": ["music"]}), both()).await, [wanted]);
        let negated = json!({"AND": [both(), {"NOT": [{"keywords": "green"}]}]});
        assert_eq!(find(path, json!({}), negated).await, [wanted]);
        let negated = json!({"AND": [both(), {"NOT": [{"categories": "music"}]}]});
        assert_eq!(find(path, json!({}), negated).await, [other]);
    }
}

#[tokio::test]
async fn days_and_times_are_read_alike_everywhere() {
    let server = TestServer::start().await;
    let days = [
        "2099-01-31",
        "2099-01-31T10:00:00Z",
        "2099-01-31T10:00:00.5+00:00",
        "2099-02-01T01:00:00+02:00",
        "2099-01-31 10:00",
    ];
    for (index, day) in days.into_iter().enumerate() {
        let mut stored = Vec::new();
        for path in ["/memories", "/v1/memories/", "/v3/memories/add"] {
            let messages = format!("note {index} of {path}");
            let body = json!({"messages": messages, "expiration_date": day, "infer": false, "output_format": "v1.1"});
            let answer = server.post(ANA, path, body).await.expect(200);
            stored.push(answer["results"][0]["id"].as_str().unwrap().to_owned());
        }
        for path in ["/memories", "/v1/memories"] {
            let id = server.remember(ANA, &format!("note {index} of {path}, changed")).await;
            server.call(ANA, "PUT", &format!("{path}/{id}"), json!({"expiration_date": day})).await.expect(200);
            stored.push(id);
        }
        for id in stored {
            let memory = server.get(ANA, &format!("/memories/{id}")).await.expect(200);
            assert_eq!(memory["expiration_date"], "2099-01-31", "{day}");
        }
    }
    for (method, path) in [("POST", "/memories"), ("POST", "/v3/memories/add")] {
        for bad in [json!("soon"), json!("2099-02-30"), json!(20_990_131), json!("20990131")] {
            let body = json!({"messages": "a", "expiration_date": bad, "infer": false});
            let answer = server.call(ANA, method, path, body).await;
            let text = answer.body["error"].as_str().unwrap_or_default();
            assert!([400, 422].contains(&answer.status) && text.contains("expiration_date"), "{bad}: {text}");
            assert!(!text.contains("civil") && !text.contains("Zoned"), "words of a parser: {text}");
        }
    }
    for time in [json!("2024-05-01T12:00:00Z"), json!("2024-05-01 12:00:00+00:00"), json!(1_714_564_800)] {
        for path in ["/memories", "/v3/memories/add"] {
            let body = json!({"messages": format!("at {time} {path}"), "timestamp": time, "infer": false});
            server.post(ANA, path, body).await.expect(200);
        }
    }
}

#[tokio::test]
async fn unknown_names_of_fields_are_named() {
    let server = TestServer::start().await;
    server.remember(ANA, "likes tea").await;
    let filters = || json!({"user_id": "ana"});
    for (fields, unknown) in [
        (json!(["memory", "colour"]), vec!["fields.colour"]),
        (json!(["Memory", "", "metadata.k"]), vec!["fields.Memory", "fields.", "fields.metadata.k"]),
        (json!(["id", "memory", "score", "score_breakdown", "created_at", "categories", "replaces"]), vec![]),
        (json!([]), vec![]),
    ] {
        for path in
            ["/v3/memories/search", "/v2/memories/search", "/v1/memories/search", "/v3/memories", "/v2/memories"]
        {
            let mut body = json!({"filters": filters(), "fields": fields});
            if path.ends_with("/search") {
                body["query"] = json!("tea");
            }
            let answer = server.post(ANA, path, body).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            let header = answer.headers.get("x-mnemon-ignored").map_or("", |names| names.to_str().unwrap());
            assert_eq!(header, unknown.join(", "), "{path} {fields}");
            if answer.body.is_object() && !unknown.is_empty() {
                assert_eq!(answer.body["ignored"], json!(unknown), "{path} {fields}");
            }
        }
    }
    let answer = server.get(ANA, "/v1/memories/?fields=memory,colour,size").await;
    assert_eq!(answer.headers["x-mnemon-ignored"], "fields.colour, fields.size");
    // Also when nothing is found.
    let body = json!({"query": "tea", "filters": {"user_id": "bob"}, "fields": ["colour"]});
    assert_eq!(server.post(ADMIN, "/v3/memories/search", body).await.body["ignored"], json!(["fields.colour"]));
}
