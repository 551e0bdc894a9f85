//! The other resources of the hosted platform: entities, events, exports, feedback, projects, webhooks, profiles.

use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, BOB, TestServer};

async fn add(server: &TestServer, key: &str, body: Value) -> String {
    let answer = server.post(key, "/v3/memories/add/", body).await.expect(200);
    answer["results"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn entities_are_the_owners_of_memories() {
    let server = TestServer::start().await;
    for (key, body) in [
        (ANA, json!({"messages": "I like tea", "agent_id": "a/b", "app_id": "shop"})),
        (ANA, json!({"messages": "My cat is old", "run_id": "r1"})),
        (BOB, json!({"messages": "My dog is young", "agent_id": "bot"})),
        (ADMIN, json!({"messages": "The tram is late", "user_id": "ä@b.c+d"})),
    ] {
        add(&server, key, body).await;
    }
    let all = server.get(ADMIN, "/v1/entities/").await.expect(200);
    assert_eq!(
        [&all["count"], &all["total_users"], &all["total_agents"], &all["total_apps"], &all["total_runs"]],
        [7, 3, 2, 1, 1]
    );
    let own = server.get(ANA, "/v1/entities/?page=1&page_size=50").await.expect(200);
    let names: Vec<(&str, &str)> = own["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["type"].as_str().unwrap(), row["name"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [("run", "r1"), ("app", "shop"), ("agent", "a/b"), ("user", "ana")]);
    assert_eq!(server.get(ANA, "/v2/entities/agent/a%2Fb/").await.expect(200)[0]["total_memories"], 1);
    assert_eq!(server.get(ANA, "/v2/entities/agent/bot/").await.status, 404);
    assert_eq!(server.get(ANA, "/v1/entities/filters/").await.expect(200).as_array().unwrap().len(), 4);
    let page = server.get(ADMIN, "/v1/entities/?page=2&page_size=3").await.expect(200);
    assert_eq!((page["results"].as_array().unwrap().len(), page["count"].as_u64()), (3, Some(7)));
    assert!(page["next"].is_string() && page["previous"].is_string());

    let delete = |key: &'static str, path: &'static str| {
        let server = &server;
        async move { server.call(key, "DELETE", path, Value::Null).await }
    };
    assert_eq!(delete(ANA, "/v2/entities/user/bob/").await.status, 403);
    assert_eq!(delete(ANA, "/v2/entities/agent/bot/").await.expect(200)["deleted"], 0);
    assert_eq!(delete(ADMIN, "/v2/entities/user/%C3%A4%40b.c%2Bd/?source=CLI").await.expect(200)["deleted"], 1);
    // Delete all entities in the order of the list, as clients do.
    for row in own["results"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap().replace('/', "%2F");
        let path = format!("/v2/entities/{}/{name}/", row["type"].as_str().unwrap());
        server.call(ANA, "DELETE", &path, Value::Null).await.expect(200);
    }
    assert_eq!(server.get(ANA, "/v1/entities/").await.expect(200)["count"], 0);
    assert_eq!(server.get(BOB, "/v1/entities/").await.expect(200)["count"], 2);
    assert_eq!(delete(BOB, "/v1/entities/agent/bot/").await.expect(200)["deleted"], 1);
}

#[tokio::test]
async fn deleting_a_user_deletes_their_events_exports_and_feedback() {
    let server = TestServer::start().await;
    let id = add(&server, ANA, json!({"messages": "a secret of ana"})).await;
    server.post(ANA, "/v1/feedback/", json!({"memory_id": id, "feedback": "POSITIVE"})).await.expect(200);
    let export = json!({"schema": {"type": "object"}, "filters": {"user_id": "ana"}});
    server.post(ADMIN, "/v1/exports/", export).await.expect(201);
    server.call(ADMIN, "DELETE", "/v2/entities/user/ana/", Value::Null).await.expect(200);
    for path in ["/v1/events/", "/v1/exports/"] {
        let left = server.get(ADMIN, path).await.expect(200).to_string();
        assert!(!left.contains("secret"), "{path}: {left}");
    }
    assert_eq!(server.post(ADMIN, "/v1/exports/get/", json!({})).await.status, 404);
}

#[tokio::test]
async fn events_are_visible_to_their_user_only() {
    let server = TestServer::start().await;
    let added = server.post(ANA, "/v3/memories/add/", json!({"messages": "I like tea"})).await.expect(200);
    let event = added["event_id"].as_str().unwrap();
    assert_eq!(server.get(BOB, &format!("/v1/event/{event}/")).await.status, 404);
    assert_eq!(server.get(BOB, "/v1/events/").await.expect(200)["count"], 0);
    assert_eq!(server.get(ANA, "/v1/events/").await.expect(200)["results"][0]["id"], event);
    assert_eq!(server.get(ADMIN, "/v1/events/").await.expect(200)["count"], 1);
    assert_eq!(server.get(ANA, "/v1/event/none/").await.status, 404);
}

#[tokio::test]
async fn exports_contain_the_memories_that_match() {
    let server = TestServer::start().await;
    add(&server, ANA, json!({"messages": "likes tea"})).await;
    add(&server, BOB, json!({"messages": "likes coffee"})).await;
    // As the Python client sends it: the schema as a string, and the ids twice.
    let body = json!({"schema": "{\"type\":\"object\"}", "filters": {"user_id": "ana"}, "user_id": "ana"});
    let made = server.post(ANA, "/v1/exports/", body).await.expect(201);
    let id = made["id"].as_str().unwrap();
    for wanted in [json!({"memory_export_id": id}), json!({"filters": {"user_id": "ana"}}), json!({})] {
        let export = server.post(ANA, "/v1/exports/get/", wanted.clone()).await.expect(200);
        assert_eq!(export["memories"][0]["memory"], "likes tea", "{wanted}");
        assert_eq!(export["memories"].as_array().unwrap().len(), 1);
        assert_eq!(server.post(BOB, "/v1/exports/get/", wanted.clone()).await.status, 404, "{wanted}");
    }
    assert_eq!(server.post(ANA, "/v1/exports/get/", json!({"memory_export_id": "x"})).await.status, 404);
    assert_eq!(server.post(ANA, "/v1/exports/get/", json!({"filters": {"user_id": "z"}})).await.status, 404);
    assert_eq!(server.get(ANA, "/v1/exports/").await.expect(200)["results"][0]["memories"], 1);
    assert_eq!(server.post(ANA, "/v1/exports/", json!({"filters": {"user_id": "ana"}})).await.status, 400);
    let anothers = json!({"schema": {}, "filters": {"user_id": "bob"}});
    assert_eq!(server.post(ANA, "/v1/exports/", anothers).await.status, 403);
    assert_eq!(server.post(ADMIN, "/v1/exports/", json!({"schema": {}})).await.status, 400);
}

#[tokio::test]
async fn feedback_is_accepted_on_own_memories_only() {
    let server = TestServer::start().await;
    let id = server.remember(ANA, "likes tea").await;
    let say = |key: &'static str, feedback: Value| {
        let body = json!({"memory_id": id, "feedback": feedback, "feedback_reason": "good"});
        let server = &server;
        async move { server.post(key, "/v1/feedback/", body).await }
    };
    let kept = say(ANA, json!("POSITIVE")).await.expect(200);
    assert_eq!(kept, json!({"id": id, "feedback": "POSITIVE", "feedback_reason": "good"}));
    assert_eq!(say(ANA, Value::Null).await.expect(200)["feedback"], Value::Null);
    assert_eq!(say(ANA, json!("MEH")).await.status, 400);
    assert_eq!(say(BOB, json!("POSITIVE")).await.status, 404);
}

#[tokio::test]
async fn the_project_is_readable_by_all_and_changed_by_admins() {
    let server = TestServer::start().await;
    let path = "/api/v1/orgs/organizations/default/projects/default/";
    let change = json!({"custom_instructions": "x", "custom_categories": [{"a": "b"}], "org_id": "default"});
    assert_eq!(server.call(ANA, "PATCH", path, change.clone()).await.status, 403);
    let changed = server.call(ADMIN, "PATCH", path, change).await.expect(200);
    let message = "Updated project successfully. Stored, but without effect on this server: custom_categories.";
    assert_eq!(changed["message"], message);
    server.call(ADMIN, "PATCH", path, json!({"decay": true})).await.expect(200);
    let long = "x".repeat((64 << 10) + 1);
    for wrong in [json!({"custom_instructions": {"a": 1}}), json!({"agent_custom_instructions": long})] {
        assert_eq!(server.call(ADMIN, "PATCH", path, wrong).await.status, 400);
    }
    let changed = server.call(ADMIN, "PATCH", path, json!({"custom_instructions": "x"})).await.expect(200);
    assert_eq!(changed["message"], "Updated project successfully.");
    let fields = format!("{path}?fields=custom_instructions&fields=custom_categories&org_id=default");
    let settings = server.get(ANA, &fields).await.expect(200);
    assert_eq!(settings, json!({"custom_instructions": "x", "custom_categories": [{"a": "b"}], "ignored": ["org_id"]}));
    assert_eq!(server.get(ANA, path).await.expect(200)["decay"], true);
    assert_eq!(server.call(ADMIN, "PATCH", path, json!({"org_id": "default"})).await.status, 400);
    assert_eq!(server.call(ADMIN, "DELETE", path, Value::Null).await.status, 400);
    assert_eq!(server.get(ADMIN, "/api/v1/orgs/organizations/default/projects/other/").await.status, 404);
    let new = json!({"name": "n", "description": "d"});
    assert_eq!(server.post(ADMIN, "/api/v1/orgs/organizations/default/projects/", new).await.status, 400);

    let members = format!("{path}members/");
    let reader = json!({"email": "m@x", "role": "READER"});
    assert_eq!(server.post(ANA, &members, reader.clone()).await.status, 403);
    assert_eq!(server.get(ANA, &members).await.status, 403);
    server.post(ADMIN, &members, reader).await.expect(200);
    server.call(ADMIN, "PUT", &members, json!({"email": "m@x", "role": "OWNER"})).await.expect(200);
    let listed = server.get(ADMIN, &members).await.expect(200);
    assert_eq!(listed, json!({"members": [{"username": "m@x", "role": "OWNER"}]}));
    assert_eq!(server.post(ADMIN, &members, json!({"email": "m@x", "role": "KING"})).await.status, 400);
    server.call(ADMIN, "DELETE", &format!("{members}?email=m%40x"), Value::Null).await.expect(200);
    assert_eq!(server.call(ADMIN, "DELETE", &format!("{members}?email=m%40x"), Value::Null).await.status, 404);
}

#[tokio::test]
async fn webhooks_require_an_admin_key() {
    let server = TestServer::start().await;
    let path = "/api/v1/webhooks/projects/default/";
    let new = json!({"url": "http://127.0.0.1:9/", "name": "w", "event_types": ["memory_add"]});
    for (method, path) in
        [("GET", path), ("POST", path), ("PUT", "/api/v1/webhooks/x/"), ("DELETE", "/api/v1/webhooks/x/")]
    {
        assert_eq!(server.call(ANA, method, path, new.clone()).await.status, 403, "{method} {path}");
    }
    let made = server.post(ADMIN, path, new).await.expect(201);
    let id = made["webhook_id"].as_str().unwrap();
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let listed = server.get(ADMIN, path).await.expect(200);
    assert_eq!((&listed[0]["webhook_id"], &listed[0]["is_active"]), (&json!(id), &json!(true)));
    assert_eq!(listed[0].get("secret"), None);
    let one = format!("/api/v1/webhooks/{id}/");
    server.call(ADMIN, "PUT", &one, json!({"name": "n2"})).await.expect(200);
    let listed = server.get(ADMIN, path).await.expect(200);
    assert_eq!((&listed[0]["name"], &listed[0]["event_types"]), (&json!("n2"), &json!(["memory_add"])));
    for wrong in [
        json!({"url": "ftp://x/", "event_types": ["memory_add"]}),
        json!({"url": "javascript:alert(1)", "event_types": ["memory_add"]}),
        json!({"url": "x", "event_types": ["memory_add"]}),
        json!({"url": format!("http://x/{}", "y".repeat(2048)), "event_types": ["memory_add"]}),
        json!({"url": "http://x/", "event_types": []}),
        json!({"url": "http://x/", "event_types": ["memory_eat"]}),
        json!({"url": "http://x/"}),
    ] {
        assert_eq!(server.post(ADMIN, path, wrong.clone()).await.status, 400, "{wrong}");
    }
    assert_eq!(server.call(ADMIN, "PUT", &one, json!({})).await.status, 400);
    server.call(ADMIN, "DELETE", &one, Value::Null).await.expect(200);
    assert_eq!(server.call(ADMIN, "DELETE", &one, Value::Null).await.status, 404);
    assert_eq!(server.get(ADMIN, path).await.expect(200), json!([]));
}

#[tokio::test]
async fn features_without_a_language_model_are_refused() {
    let server = TestServer::start().await;
    let summary = server.post(ANA, "/v1/summary/", json!({"filters": {"user_id": "ana"}})).await;
    assert_eq!((summary.status, &summary.body["code"]), (503, &json!("llm_not_configured")));
    assert_eq!(server.post(ANA, "/v1/summary/", json!({"filters": {"color": 1}})).await.status, 400);
    let profile = server.get(ADMIN, "/v2/entities/user/a%2Fb/profile/").await.expect(200);
    assert_eq!((&profile["status"], &profile["entity_id"]), (&json!("not_enabled"), &json!("a/b")));
    assert_eq!(server.get(ANA, "/v2/entities/user/bob/profile/").await.status, 403);
    assert_eq!(server.get(ANA, "/v2/profiles/settings/").await.expect(200)["enabled"], false);
    let job = json!({"operation": "trigger", "entity_type": "user", "entity_id": "ana"});
    assert_eq!(server.post(ANA, "/v2/profiles/jobs/", job).await.status, 400);
    assert_eq!(server.get(ANA, "/v2/profiles/jobs/j1/").await.status, 404);
}
