//! Every parameter of every route is used, refused or named as ignored: those of the OpenAPI document, and invented ones.

use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, Answer, TestServer};

/// An operation of the document.
struct Operation {
    method: String,
    /// With its placeholders.
    path: String,
    description: Value,
}

fn operations(api: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, description) in item.as_object().unwrap() {
            let (method, path) = (method.to_uppercase(), path.clone());
            found.push(Operation { method, path, description: description.clone() });
        }
    }
    found
}

fn document() -> Value {
    serde_json::to_value(mnemon_server::openapi()).unwrap()
}

impl Operation {
    /// The schema behind references and alternatives with null.
    fn resolved<'d>(schema: &'d Value, document: &'d Value) -> &'d Value {
        if let Some(target) = schema["$ref"].as_str() {
            return Self::resolved(document.pointer(&target[1..]).unwrap(), document);
        }
        let parts = schema["oneOf"].as_array().map_or(&[][..], Vec::as_slice);
        match parts {
            [null, other] if null["type"] == "null" => Self::resolved(other, document),
            _ => schema,
        }
    }

    /// The keys of the body with their schemas.
    fn body_keys<'d>(&'d self, document: &'d Value) -> Vec<(&'d String, &'d Value)> {
        let schema = &self.description["requestBody"]["content"]["application/json"]["schema"];
        Self::resolved(schema, document)["properties"].as_object().into_iter().flatten().collect()
    }

    fn query_parameters(&self) -> Vec<&Value> {
        let parameters = self.description["parameters"].as_array().into_iter().flatten();
        parameters.filter(|parameter| parameter["in"] == "query").collect()
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn path(&self, memory: &str) -> String {
        let path = self.path.replace("{memory_id}", memory).replace("{entity_type}", "user");
        let path = path.replace("{entity_id}", "ana").replace("{entity_name}", "ana").replace("{user_id}", "ana");
        let path = path.replace("{org_id}", "default").replace("{project_id}", "default");
        let path = path.replace("{event_id}", "no-such-id");
        // Some deletions require the slash.
        let slash = if self.method == "DELETE" && path.contains("/entities/") { "/" } else { "" };
        path.split('{')
            .next()
            .map(|start| if path.contains('{') { format!("{start}no-such-id") } else { path.clone() })
            .unwrap()
            + slash
    }

    /// A body that the route accepts, or refuses for a reason that no key mends.
    fn body(&self, memory: &str) -> Value {
        let body = match self.name().as_str() {
            "POST /search"
            | "POST /memories/search"
            | "POST /v1/memories/search"
            | "POST /v2/memories/search"
            | "POST /v3/memories/search" => json!({"query": "tea", "filters": {"user_id": "ana"}}),
            "POST /v2/memories" | "POST /v3/memories" | "POST /v1/summary" => json!({"filters": {"user_id": "ana"}}),
            "POST /memories" | "POST /v1/memories" | "POST /v3/memories/add" => {
                json!({"messages": "I like tea", "user_id": "ana", "infer": false})
            }
            "POST /chat" => json!({"message": "tea?", "user_id": "ana"}),
            "POST /v1/chat/completions" => json!({"messages": [{"role": "user", "content": "tea?"}], "user": "ana"}),
            "PUT /memories/{memory_id}" | "PUT /v1/memories/{memory_id}" => json!({"text": "I like green tea"}),
            "PUT /v1/batch" => json!({"memories": [{"memory_id": memory, "text": "I like black tea"}]}),
            "DELETE /v1/batch" => json!({"memories": [{"memory_id": memory}]}),
            "POST /v1/exports" => json!({"schema": {}, "filters": {"user_id": "ana"}}),
            "POST /v1/feedback" => json!({"memory_id": memory, "feedback": "POSITIVE"}),
            "POST /generate-instructions" => json!({"use_case": "tea"}),
            "POST /api-keys" => json!({"label": "l"}),
            "POST /auth/register" => json!({"name": "n", "email": "n@example.com", "password": "long enough"}),
            "POST /auth/login" => json!({"email": "n@example.com", "password": "long enough"}),
            "POST /auth/refresh" => json!({"refresh_token": "x"}),
            "POST /auth/change-password" => json!({"current_password": "long enough", "new_password": "long enough"}),
            "POST /api/v1/webhooks/projects/{project_id}" => {
                json!({"url": "https://example.com/hook", "event_types": ["memory_add"]})
            }
            "PUT /v1/parked/{event_id}" => json!({"messages": "I like tea"}),
            "PUT /api/v1/webhooks/{webhook_id}" => json!({"name": "n"}),
            "PATCH /api/v1/orgs/organizations/{org_id}/projects/{project_id}" => json!({"decay": true}),
            name if name.ends_with("/members") && self.method != "GET" => json!({"email": "m@example.com"}),
            _ => json!({}),
        };
        if self.description["requestBody"].is_null() { Value::Null } else { body }
    }

    /// A query that the route needs.
    fn query(&self) -> &'static str {
        match self.name().as_str() {
            "DELETE /memories" | "DELETE /v1/memories" | "GET /v1/memories" => "user_id=ana",
            name if name.ends_with("/members") && self.method == "DELETE" => "email=m@example.com",
            _ => "",
        }
    }
}

/// A server with a memory of ana, and its id.
async fn server() -> (TestServer, String) {
    let server = TestServer::start().await;
    let memory = server.remember(ANA, "I like tea").await;
    (server, memory)
}

/// The names in the header, which every answer has that ignores something.
fn ignored(answer: &Answer) -> Vec<String> {
    let header = answer.headers.get("x-mnemon-ignored").map_or("", |value| value.to_str().unwrap());
    let names: Vec<String> = header.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if answer.status < 300 && answer.body.is_object() {
        let in_body: Vec<String> = serde_json::from_value(answer.body["ignored"].clone()).unwrap_or_default();
        assert_eq!(in_body, names, "the answer and its header differ: {}", answer.body);
    }
    names
}

fn refuses(answer: &Answer, name: &str) -> bool {
    (400..500).contains(&answer.status) && answer.body.to_string().contains(name)
}

/// A value of a type that the parameter does not have.
fn wrong_value(schema: &Value, document: &Value) -> Value {
    let schema = Operation::resolved(schema, document);
    let types = schema["type"].to_string();
    if types.contains("string") || types.contains("integer") || types.contains("number") {
        json!({"of": "no such type"})
    } else if types.contains("boolean") {
        json!("maybe")
    } else {
        json!(7)
    }
}

/// Texts in a query have no wrong type: a value that the parameter does not accept, or that changes the answer.
fn wrong_text(parameter: &Value) -> &'static str {
    match parameter["name"].as_str().unwrap() {
        "fields" => "id",
        "categories" | "keywords" => "none-such",
        "start_date" | "end_date" => "soon",
        "confirm" => "reset",
        "metadata" => "no json",
        _ => "no%20such%20value",
    }
}

#[tokio::test]
async fn declared_parameters_are_used_refused_or_ignored() {
    let document = document();
    let (mut checked, mut silent) = (0, Vec::new());
    for operation in operations(&document) {
        let (server, memory) = server().await;
        let (path, name) = (operation.path(&memory), operation.name());
        let send = async |query: &str, body: Value| {
            server.call(ADMIN, &operation.method, &format!("{path}?{query}"), body).await
        };
        for parameter in operation.query_parameters() {
            let key = parameter["name"].as_str().unwrap();
            let base = send(operation.query(), operation.body(&memory)).await;
            let others =
                operation.query().split('&').filter(|pair| !pair.starts_with(key)).collect::<Vec<_>>().join("&");
            let answer = send(&format!("{others}&{key}={}", wrong_text(parameter)), operation.body(&memory)).await;
            let has_effect = (answer.status, &answer.body) != (base.status, &base.body) && answer.status < 300;
            if !refuses(&answer, key) && !ignored(&answer).contains(&key.to_owned()) && !has_effect {
                silent.push(format!("{name}: query parameter {key}: {} {}", answer.status, answer.body));
            }
            checked += 1;
        }
        for (key, schema) in operation.body_keys(&document) {
            let mut body = operation.body(&memory);
            let wrong = wrong_value(schema, &document);
            body.as_object_mut().unwrap().insert(key.clone(), wrong.clone());
            let answer = send(operation.query(), body).await;
            let is_stored = operation.method == "PATCH" && {
                let shown = server.get(ADMIN, &path).await.body;
                shown.get(key) == Some(&wrong)
            };
            if !refuses(&answer, key) && !ignored(&answer).contains(key) && !is_stored {
                silent.push(format!("{name}: key {key}: {} {}", answer.status, answer.body));
            }
            checked += 1;
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
    assert!(checked > 150, "{checked}");
}

#[tokio::test]
async fn path_parameters_are_used() {
    let document = document();
    for operation in operations(&document) {
        let parameters = operation.description["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|parameter| parameter["in"] == "path") {
            let (server, memory) = server().await;
            let hook = json!({"url": "https://example.com/hook", "event_types": ["memory_add"]});
            server.post(ADMIN, "/api/v1/webhooks/projects/default", hook).await.expect(201);
            let key = parameter["name"].as_str().unwrap();
            let other = Operation {
                method: operation.method.clone(),
                path: operation.path.replace(&format!("{{{key}}}"), "unknown-value"),
                description: operation.description.clone(),
            };
            // A user's key, where it may call the route: paths name users.
            let probe = server.call(ANA, &operation.method, &operation.path(&memory), operation.body(&memory)).await;
            let caller = if probe.status == 403 { ADMIN } else { ANA };
            let (server, memory) = if operation.method == "DELETE" { self::server().await } else { (server, memory) };
            let call = async |operation: &Operation| {
                let body = operation.body(&memory);
                server.call(caller, &operation.method, &operation.path(&memory), body).await
            };
            let (unknown, known) = (call(&other).await, call(&operation).await);
            let differ = (unknown.status, &unknown.body) != (known.status, &known.body);
            assert!(unknown.status >= 400 || differ, "{}: {key}: {}", operation.name(), unknown.body);
        }
    }
}

#[tokio::test]
async fn an_invented_parameter_is_named_on_every_route() {
    let document = document();
    for operation in operations(&document) {
        for place in ["query", "body"] {
            let (server, memory) = server().await;
            let mut body = operation.body(&memory);
            let mut query = operation.query().to_owned();
            if place == "query" {
                query.push_str("&inv%C3%A9nted=1");
            } else {
                // Also on routes that have no body.
                let mut keys = body.as_object().cloned().unwrap_or_default();
                keys.insert("invénted".into(), json!({"a": 1}));
                body = Value::Object(keys);
            }
            let path = format!("{}?{query}", operation.path(&memory));
            let answer = server.call(ADMIN, &operation.method, &path, body).await;
            let is_free = operation.name() == "POST /configure" && place == "body";
            let header = answer.headers.get("x-mnemon-ignored").map_or("", |value| value.to_str().unwrap());
            let in_body =
                answer.body["ignored"] == json!(["invénted"]) || !answer.body.is_object() || answer.status >= 300;
            let is_named = header == "inv%C3%A9nted" && in_body;
            let is_refused = refuses(&answer, "invénted");
            assert!(is_named || is_refused || is_free, "{}: {place}: {header} {}", operation.name(), answer.body);
            if operation.description["x-refuses-unknown"] == true {
                assert!(is_refused && answer.body["error"].as_str().unwrap().contains("nothing was deleted"));
                assert_eq!(server.get(ANA, "/memories").await.body["count"], 1, "{}", operation.name());
            }
        }
    }
}

#[tokio::test]
async fn nested_unknown_keys_are_named() {
    let (server, memory) = server().await;
    let messages = json!([{"role": "user", "content": "a", "mood": 1}, {"role": "user", "content": "b", "mood": 2}]);
    let body = json!({"messages": messages, "infer": false, "metadata": {"any": {"key": 1}}, "x": null});
    let answer = server.post(ANA, "/memories", body).await;
    assert_eq!((answer.status, ignored(&answer)), (200, vec!["messages[].mood".to_owned(), "x".to_owned()]));
    let batch = json!({"memories": [{"memory_id": memory, "text": "c", "timestamp": 1}]});
    let answer = server.call(ANA, "PUT", "/v1/batch", batch).await;
    assert_eq!((answer.status, ignored(&answer)), (200, vec!["memories[].timestamp".to_owned()]));
    let plain = server.get(ANA, "/memories").await;
    assert_eq!((ignored(&plain), plain.body.get("ignored")), (Vec::new(), None));
    // Filters are the caller's own words, and have their own errors.
    let search = json!({"query": "a", "filters": {"AND": [{"user_id": "ana"}, {"mood": 1}]}});
    assert_eq!(ignored(&server.post(ANA, "/search", search).await), Vec::<String>::new());
}

/// What each client of mem0 sends: the route, all keys at once, and those of them that this server does not know.
fn requests_of_clients(memory: &str) -> Vec<(&'static str, String, Value, Vec<&'static str>)> {
    let filters = || json!({"AND": [{"user_id": "ana"}, {"app_id": "shop"}]});
    let messages = || json!([{"role": "user", "content": "I like tea"}, {"role": "assistant", "content": [{"type": "text", "text": "Good"}]}]);
    let hosted = ["org_id", "project_id"];
    let mut add = json!({
        "messages": messages(), "user_id": "ana", "agent_id": "a", "app_id": "shop", "run_id": "r",
        "metadata": {"k": {"deep": 1}}, "infer": true, "custom_instructions": "c", "agent_custom_instructions": "c",
        "custom_categories": [{"food": "what is eaten"}], "timestamp": 1_700_000_000, "expiration_date": "2099-01-01",
        "structured_data_schema": {"a": 1}, "immutable": false, "includes": "i", "excludes": "e", "async_mode": true,
        "output_format": "v1.1", "version": "v2", "timezone": "UTC", "observation_date": "2024-01-01",
        "enable_graph": false, "source": "CLI", "org_id": "default", "project_id": "default",
    });
    let unknown_of_add = vec![
        "custom_categories",
        "structured_data_schema",
        "includes",
        "excludes",
        "async_mode",
        "version",
        "timezone",
        "observation_date",
        "enable_graph",
        "source",
        "org_id",
        "project_id",
    ];
    let search = json!({
        "query": "tea", "filters": filters(), "top_k": 3, "threshold": 0.3, "rerank": true, "fields": ["memory"],
        "categories": ["food"], "metadata": {"k": 1}, "show_expired": true, "reference_date": "2024-01-01",
        "latest_only": true, "keyword_search": true, "output_format": "v1.1", "source": "CLI",
    });
    let old_search = json!({
        "query": "tea", "user_id": "ana", "app_id": "shop", "version": "v2", "top_k": 3, "limit": 3, "enable_graph": true,
        "output_format": "v1.1", "org_id": "default", "project_id": "default", "filter_memories": true,
    });
    let list = json!({
        "filters": filters(), "start_date": "2024-01-01", "end_date": "2099-01-01", "categories": ["food"],
        "fields": ["memory"], "keywords": "tea", "show_expired": true, "latest_only": true, "page": 1, "page_size": 100,
    });
    let mut requests = vec![
        ("POST", "/v3/memories/add/".to_owned(), add.clone(), unknown_of_add.clone()),
        ("POST", "/v3/memories/search/".to_owned(), search, vec!["reference_date", "keyword_search", "source"]),
        ("POST", "/v3/memories/?page=1&page_size=100&source=CLI".to_owned(), list, vec!["source"]),
        ("POST", "/v2/memories/search/".to_owned(), old_search.clone(), vec!["version", "enable_graph", "org_id", "project_id", "filter_memories"]),
        ("POST", "/v1/memories/search/".to_owned(), old_search, vec!["version", "enable_graph", "org_id", "project_id", "filter_memories"]),
        ("POST", "/v2/memories/?page=1&page_size=50".to_owned(), json!({"user_id": "ana", "org_id": "default", "project_id": "default"}), hosted.to_vec()),
        ("GET", "/v1/memories/?user_id=ana&org_id=default&project_id=default&page=1&page_size=50&version=v1&output_format=v1.1&enable_graph=true".to_owned(), Value::Null, vec!["org_id", "project_id", "version", "output_format", "enable_graph"]),
        ("GET", format!("/v1/memories/{memory}/?org_id=default&project_id=default"), Value::Null, hosted.to_vec()),
        ("GET", format!("/v1/memories/{memory}/history/?org_id=default&project_id=default"), Value::Null, hosted.to_vec()),
        ("PUT", format!("/v1/memories/{memory}/"), json!({"text": "I like tea", "metadata": {"k": 1}, "timestamp": 1_700_000_000, "expiration_date": null, "source": "CLI"}), vec!["source"]),
        ("PUT", "/v1/batch/?org_id=default&project_id=default".to_owned(), json!({"memories": [{"memory_id": memory, "text": "t", "metadata": {"k": 1}}], "org_id": "default"}), hosted.to_vec()),
        ("GET", "/v1/ping/?org_id=default".to_owned(), Value::Null, vec!["org_id"]),
        ("GET", "/v1/entities/?org_id=default&project_id=default&page=1&page_size=100&source=CLI".to_owned(), Value::Null, vec!["org_id", "project_id", "source"]),
        ("GET", "/v1/events/?page=1&page_size=50&source=CLI".to_owned(), Value::Null, vec!["source"]),
        ("POST", "/v1/exports/".to_owned(), json!({"schema": {}, "filters": filters(), "export_instructions": "short", "org_id": "default", "project_id": "default"}), hosted.to_vec()),
        ("POST", "/v1/feedback/".to_owned(), json!({"memory_id": memory, "feedback": "POSITIVE", "feedback_reason": "right", "org_id": "default"}), vec!["org_id"]),
        ("GET", "/api/v1/orgs/organizations/default/projects/default/?fields=custom_instructions&fields=custom_categories&org_id=default".to_owned(), Value::Null, vec!["org_id"]),
        ("PATCH", "/api/v1/orgs/organizations/default/projects/default/".to_owned(), json!({"custom_instructions": "c", "custom_categories": [], "multilingual": true, "decay": true, "memory_depth": "d", "usecase_setting": "u", "version": "v", "org_id": "default", "project_id": "default"}), hosted.to_vec()),
        ("GET", "/memories?user_id=ana&top_k=5&show_expired=true".to_owned(), Value::Null, Vec::new()),
        ("POST", "/search".to_owned(), json!({"query": "tea", "filters": {"user_id": "ana"}, "user_id": "ana", "top_k": 5, "limit": 5, "threshold": 0.1, "explain": true, "show_expired": true}), Vec::new()),
        ("DELETE", format!("/v1/memories/{memory}/?delete_linked=true&org_id=default&project_id=default"), Value::Null, hosted.to_vec()),
        ("DELETE", "/v2/entities/user/ana/?org_id=default&project_id=default&source=CLI".to_owned(), Value::Null, vec!["org_id", "project_id", "source"]),
        ("DELETE", "/v1/memories/?user_id=ana&app_id=shop&org_id=default&project_id=default&source=CLI".to_owned(), Value::Null, vec!["org_id", "project_id", "source"]),
    ];
    add["messages"] = messages();
    add["output_format"] = json!("v1.0");
    requests.push(("POST", "/v1/memories/".to_owned(), add, unknown_of_add));
    requests
}

#[tokio::test]
async fn nothing_that_clients_of_mem0_send_is_refused() {
    let (server, memory) = server().await;
    for (method, path, body, expected) in requests_of_clients(&memory) {
        let mut request = server.request(method, &path).header("authorization", format!("Token {ADMIN}"));
        for (name, value) in [("mem0-user-id", "x"), ("x-mem0-source", "cli"), ("x-mem0-client-language", "node")] {
            request = request.header(name, value);
        }
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let answer = TestServer::answer(request).await;
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.body);
        let mut names = ignored(&answer);
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        names.sort();
        expected.sort();
        assert_eq!(names, expected, "{method} {path}");
    }
}
