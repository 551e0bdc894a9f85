//! Times in every notation: of the points of other programs, and of filters.

use mnemon_engine::ImportOptions;
use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, TestServer};

/// 2024-07-21T15:33:20Z as programs write it.
fn notations() -> Vec<Value> {
    vec![
        json!(1_721_576_000),
        json!(1_721_576_000.0),
        json!(1_721_576_000_000_u64),
        json!(1_721_576_000_000.0),
        json!(1_721_576_000_000_000_u64),
        json!(1_721_576_000_000_000_000_u64),
        json!("1721576000"),
        json!("1721576000.0"),
        json!("1721576000000"),
        json!("2024-07-21T15:33:20Z"),
        json!("2024-07-21T15:33:20.000000+00:00"),
        json!("2024-07-21T08:33:20-07:00"),
        json!("2024-07-21 15:33:20"),
    ]
}

/// Filters on a time, and whether that instant passes.
fn conditions() -> Vec<(Value, bool)> {
    let mut conditions = vec![
        (json!("2024-07-21"), true),
        (json!({"eq": "2024-07-21"}), true),
        (json!({"eq": "2024-07-20"}), false),
        (json!({"eq": "2024-07-22"}), false),
        (json!({"gte": "2024-07-21", "lte": "2024-07-21"}), true),
        (json!({"gt": "2024-07-21"}), false),
        (json!({"lt": "2024-07-21"}), false),
        (json!({"gte": 1_721_576_000, "lt": "2024-07-22"}), true),
        (json!({"gte": "2024-07-01", "lte": 1_721_575_999}), false),
        (json!({"gt": 1_721_575_999_999_u64, "lt": "1721576001"}), true),
        (json!({"gte": 0}), true),
        (json!({"lte": 0}), false),
        (json!({"gt": -1, "lt": 99_999_999_999_u64}), true),
    ];
    for at in notations() {
        conditions.push((json!({"eq": at}), true));
        conditions.push((at.clone(), true));
        conditions.push((json!({"gte": at, "lte": at}), true));
        conditions.push((json!({"gt": at}), false));
        conditions.push((json!({"lt": at}), false));
    }
    conditions
}

fn import(server: &TestServer, points: &[Value]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines: String = points.iter().map(|point| format!("{point}\n")).collect();
    std::fs::write(file.path(), lines).unwrap();
    let report = server.engine.import(file.path(), &ImportOptions::default(), &mut |_| {}).unwrap();
    assert_eq!((report.stored.memories, report.refused.len()), (points.len(), 0), "{report:?}");
}

/// How many memories of a user each route finds with a condition on `key`.
async fn counts(server: &TestServer, user: &str, key: &str, condition: &Value) -> Vec<(String, usize)> {
    let mut counts = Vec::new();
    for path in ["/search", "/memories/search", "/v3/memories/search", "/v2/memories/search", "/v3/memories"] {
        let filters = json!({"user_id": user, key: condition});
        let body = json!({"query": "note", "filters": filters, "threshold": 0, "top_k": 100, "page_size": 100});
        let answer = server.post(ADMIN, path, body).await.expect(200);
        let found = answer.get("results").unwrap_or(&answer).as_array().unwrap().len();
        counts.push((path.to_owned(), found));
    }
    counts
}

#[tokio::test]
async fn times_of_other_programs_match_and_are_shown_in_every_notation() {
    let server = TestServer::start().await;
    let point = |(number, at): (usize, &Value)| {
        let payload = json!({"data": format!("note {number}"), "user_id": "ana", "created_at": at, "updated_at": at});
        json!({"id": number + 1, "payload": payload})
    };
    let points: Vec<Value> = notations().iter().enumerate().map(point).collect();
    import(&server, &points);
    for key in ["created_at", "updated_at"] {
        for (condition, passes) in conditions() {
            let expected = if passes { points.len() } else { 0 };
            for (path, found) in counts(&server, "ana", key, &condition).await {
                assert_eq!(found, expected, "{path} {key} {condition}");
            }
        }
        let two = json!(["2024-07-21", "2024-05-01"]);
        let filters = json!({"query": "note", "filters": {"user_id": "ana", key: two}, "threshold": 0});
        assert_eq!(server.post(ADMIN, "/search", filters).await.expect(200)["results"].as_array().unwrap().len(), 13);
    }
    for (id, at) in (1..).zip(notations()) {
        for path in [format!("/memories/{id}"), format!("/v1/memories/{id}/")] {
            let memory = server.get(ADMIN, &path).await.expect(200);
            for key in ["created_at", "updated_at"] {
                let text = memory[key].as_str().unwrap_or_else(|| panic!("{path} {at}: {memory}"));
                let time = mnemon_store::parse_time(text).unwrap_or_else(|| panic!("{path} {at}: {text}"));
                assert_eq!(time.as_second(), 1_721_576_000, "{path} {at}");
            }
        }
    }
    let listed = server.get(ADMIN, "/v1/memories/?start_date=2024-07-21&end_date=2024-07-21&user_id=ana").await;
    assert_eq!(listed.body.as_array().unwrap().len(), points.len());
}

#[tokio::test]
async fn values_that_are_no_times_match_no_time() {
    let server = TestServer::start().await;
    let odd = [
        json!("yesterday"),
        json!(null),
        json!(true),
        json!({}),
        json!([]),
        json!([1_721_576_000]),
        json!("20240721"),
        json!(""),
        json!(1e300),
    ];
    let point = |(number, at): (usize, &Value)| json!({"id": number + 1, "payload": {"data": format!("note {number}"), "user_id": "ana", "created_at": at}});
    let points: Vec<Value> = odd.iter().enumerate().map(point).collect();
    import(&server, &points);
    for condition in
        [json!("2024-07-21"), json!({"gte": "2024-07-21", "lte": "2024-07-21"}), json!({"gte": "0000-01-01"})]
    {
        for (path, found) in counts(&server, "ana", "created_at", &condition).await {
            assert_eq!(found, 0, "{path} {condition}");
        }
    }
    for (id, at) in (1..).zip(odd) {
        assert_eq!(server.get(ADMIN, &format!("/memories/{id}")).await.expect(200)["created_at"], at);
    }
}

#[tokio::test]
async fn the_time_of_a_message_is_read_and_filtered_in_every_notation() {
    let server = TestServer::start().await;
    for (number, at) in notations().into_iter().enumerate() {
        for path in ["/memories", "/v3/memories/add"] {
            let body = json!({"messages": format!("note {number} {path}"), "timestamp": at, "infer": false});
            server.post(ANA, path, body).await.expect(200);
        }
    }
    let all = 2 * notations().len();
    for (condition, passes) in conditions() {
        let expected = if passes { all } else { 0 };
        for (path, key) in [("/search", "event_time"), ("/search", "$event_time"), ("/v3/memories/search", "timestamp")]
        {
            let filters = json!({"user_id": "ana", key: condition});
            let body = json!({"query": "note", "filters": filters, "threshold": 0, "top_k": 100});
            let found = server.post(ANA, path, body).await.expect(200);
            assert_eq!(found["results"].as_array().unwrap().len(), expected, "{path} {key} {condition}");
        }
    }
    for bad in [json!("soon"), json!(true), json!({}), json!([1]), json!(1e300), json!(-1e300)] {
        for path in ["/memories", "/v3/memories/add"] {
            let body = json!({"messages": "a", "timestamp": bad, "infer": false});
            let refused = server.post(ANA, path, body).await;
            assert!([400, 422].contains(&refused.status), "{path} {bad}: {}", refused.body);
            assert!(refused.body["error"].as_str().unwrap().contains("timestamp"), "{bad}: {}", refused.body);
        }
    }
}

#[tokio::test]
async fn dates_in_metadata_stay_texts_and_numbers() {
    let server = TestServer::start().await;
    let metadata = json!({"due": "2024-07-21T15:33:20Z", "at": 1_721_576_000, "day": "2024-07-21", "event_time": 7});
    server.post(ANA, "/memories", json!({"messages": "note", "metadata": metadata, "infer": false})).await.expect(200);
    for (filter, expected) in [
        (json!({"due": "2024-07-21"}), 0),
        (json!({"due": {"gte": "2024-07-21", "lte": "2024-07-21"}}), 1),
        (json!({"day": "2024-07-21"}), 1),
        (json!({"day": {"eq": "2024-07-21"}}), 1),
        (json!({"at": {"gte": 1_721_576_000}}), 1),
        (json!({"at": {"gte": "2024-07-21"}}), 0),
        (json!({"event_time": 7}), 1),
        (json!({"event_time": {"gt": 6, "lt": 8}}), 1),
        (json!({"event_time": {"gt": 7}}), 0),
    ] {
        let mut filters = filter.clone();
        filters["user_id"] = json!("ana");
        let found = server.post(ANA, "/search", json!({"query": "note", "filters": filters})).await.expect(200);
        assert_eq!(found["results"].as_array().unwrap().len(), expected, "{filter}");
    }
}
