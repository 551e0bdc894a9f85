//! The words of errors about values, and the notations of days.

use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, TestServer};

/// Values of every type.
fn values() -> Vec<Value> {
    vec![json!(true), json!(7), json!(-1.5), json!("text"), json!([7]), json!({"a": 1})]
}

#[tokio::test]
async fn faults_of_values_are_described_without_the_parsers_words() {
    let server = TestServer::start().await;
    let document = server.get("", "/openapi.json").await.expect(200);
    let mut refused = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["post", "put", "patch"] {
            let schema = &item[method]["requestBody"]["content"]["application/json"]["schema"];
            let target = schema["$ref"].as_str().and_then(|target| document.pointer(&target[1..]));
            let Some(properties) = target.and_then(|target| target["properties"].as_object()) else { continue };
            for key in properties.keys() {
                for value in values() {
                    let path = path.replace(['{', '}'], "");
                    let mut body = json!({});
                    body[key] = value;
                    let answer = server.call(ADMIN, &method.to_uppercase(), &path, body.clone()).await;
                    if ![400, 422].contains(&answer.status) {
                        continue;
                    }
                    let text = answer.body.to_string();
                    for word in ["at line", "invalid type", "expected ", "struct ", "enum ", "variant", "missing field"]
                    {
                        assert!(!text.contains(word), "{method} {path} {body}: {text}");
                    }
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 200, "{refused}");
    for (path, query) in [("/memories", "top_k=x"), ("/memories", "show_expired=7"), ("/v1/memories", "page=-1")] {
        let text = server.get(ADMIN, &format!("{path}?{query}")).await.body.to_string();
        assert!(!text.contains("invalid digit") && !text.contains("provided string"), "{text}");
    }
}

#[tokio::test]
async fn an_error_names_the_keys_that_were_not_read() {
    let server = TestServer::start().await;
    let id = server.remember(ANA, "I like tea.").await;
    for (method, path, body) in [
        ("PUT", format!("/memories/{id}"), json!({"data": "x"})),
        ("PUT", format!("/v1/memories/{id}/"), json!({"data": "x"})),
        ("POST", "/memories".to_owned(), json!({"data": "x"})),
        ("POST", "/search".to_owned(), json!({"data": "x"})),
        ("POST", "/v3/memories/add/".to_owned(), json!({"data": "x"})),
        ("POST", "/v3/memories/search/".to_owned(), json!({"query": "x", "threshold": 7, "data": "x"})),
        ("PUT", "/v1/batch/".to_owned(), json!({"memories": [{"memory_id": id, "data": "x"}]})),
    ] {
        let answer = server.call(ANA, method, &path, body.clone()).await;
        assert!([400, 422].contains(&answer.status), "{path} {body}: {}", answer.body);
        assert!(answer.body["ignored"].to_string().contains("data"), "{path}: {}", answer.body);
        let named = answer.body["detail"].to_string().contains("data`");
        assert_eq!(named, answer.status == 400, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_day_is_read_in_every_notation() {
    let server = TestServer::start().await;
    let id = server.remember(ANA, "I like tea.").await;
    for (day, expected) in [
        (json!("2030-01-01"), json!("2030-01-01")),
        (json!("2030-01-01T12:00:00Z"), json!("2030-01-01")),
        (json!(1_893_499_200), json!("2030-01-01")),
        (json!(1_893_499_200_000_u64), json!("2030-01-01")),
        (json!(1_893_499_200.5), json!("2030-01-01")),
        (Value::Null, Value::Null),
        (json!(""), Value::Null),
        (json!(" "), Value::Null),
    ] {
        for path in ["/memories", "/v3/memories/add/"] {
            let body = json!({"messages": format!("Note {day}."), "infer": false, "expiration_date": day});
            let added = server.post(ANA, path, body).await.expect(200);
            let memory = format!("/memories/{}", added["results"][0]["id"].as_str().unwrap());
            assert_eq!(server.get(ANA, &memory).await.expect(200)["expiration_date"], expected, "{path} {day}");
        }
        for path in [format!("/memories/{id}"), format!("/v1/memories/{id}/")] {
            server.call(ANA, "PUT", &path, json!({"expiration_date": "2029-01-01"})).await.expect(200);
            server.call(ANA, "PUT", &path, json!({"expiration_date": day})).await.expect(200);
            assert_eq!(server.get(ANA, &path).await.expect(200)["expiration_date"], expected, "{path} {day}");
        }
    }
    for wrong in [
        json!("soon"),
        json!(true),
        json!([2030]),
        json!({"day": 1}),
        json!("2030-13-01"),
        json!("1893499200"),
        json!(20_300_101),
        json!(1e300),
    ] {
        let body = json!({"messages": "x", "infer": false, "expiration_date": wrong});
        let refused = server.post(ANA, "/memories", body).await;
        assert!(refused.body.to_string().contains("such as 2024-05-31"), "{wrong}: {}", refused.body);
    }
}
