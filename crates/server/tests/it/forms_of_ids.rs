//! An id is the same in every Unicode form, on every route that takes one.

use mnemon_server::Config;
use mnemon_server::auth::ConfiguredKey;
use serde_json::{Value, json};

use crate::server::{ADMIN, TestServer, config};

/// The same id, composed and decomposed, and the composed form in a URL and the decomposed one.
const FORMS: [&str; 2] = ["zo\u{eb}", "zoe\u{308}"];
const IN_URL: [&str; 2] = ["zo%C3%AB", "zoe%CC%88"];

#[tokio::test]
async fn forms_of_an_id_are_one_owner_on_every_route() {
    for key_form in FORMS {
        let keys = ConfiguredKey::parse_all(&json!({"kz": key_form, "kb": "bob"}).to_string()).unwrap();
        let server = TestServer::with(Config { keys, ..config() }).await;
        let mut stored = 0;
        for key in ["kz", ADMIN] {
            for id in FORMS {
                let body = json!({"messages": [{"role": "user", "content": "a zebra"}], "user_id": id, "infer": false});
                server.post(key, "/memories", body.clone()).await.expect(200);
                server.post(key, "/v3/memories/add/", body).await.expect(200);
                stored += 1;
            }
        }
        for key in ["kz", ADMIN] {
            for (id, in_url) in FORMS.into_iter().zip(IN_URL) {
                let listed = server.get(key, &format!("/memories?user_id={in_url}")).await.expect(200);
                let one = listed["results"][0]["id"].as_str().unwrap().to_owned();
                server.get(key, &format!("/memories/{one}")).await.expect(200);
                let listed = listed["results"].as_array().unwrap().len();
                assert!(listed >= stored, "{key} {id:?}: {listed}");
                let search = json!({"query": "zebra", "filters": {"user_id": id}});
                for route in ["/search", "/v3/memories/search/"] {
                    let found = server.post(key, route, search.clone()).await.expect(200);
                    let found = found["results"].as_array().unwrap().len();
                    assert!(found > 0, "{route} {id:?}");
                }
                let entity = server.get(key, &format!("/v2/entities/user/{in_url}/")).await.expect(200);
                assert_eq!(entity[0]["name"], FORMS[0], "{entity}");
            }
            let entities = server.get(key, "/v1/entities/").await.expect(200);
            assert_eq!(entities["total_users"], 1, "{entities}");
        }
        // Another user's key is refused in every form.
        for (id, in_url) in FORMS.into_iter().zip(IN_URL) {
            server.get("kb", &format!("/memories?user_id={in_url}")).await.expect(403);
            server.post("kb", "/search", json!({"query": "zebra", "filters": {"user_id": id}})).await.expect(403);
            server.call("kb", "DELETE", &format!("/memories?user_id={in_url}"), Value::Null).await.expect(403);
        }
        // A key that is created for one form has the memories of the other.
        let created = server.post(ADMIN, "/api-keys", json!({"label": "z", "user_id": FORMS[1]})).await.expect(201);
        let secret = created["key"].as_str().unwrap().to_owned();
        let listed = server.get(&secret, "/memories").await.expect(200);
        assert!(!listed["results"].as_array().unwrap().is_empty());
        server.call("kz", "DELETE", &format!("/memories?user_id={}", IN_URL[1]), Value::Null).await.expect(200);
        let left = server.get(ADMIN, "/memories").await.expect(200);
        assert!(left["results"].as_array().unwrap().is_empty(), "{left}");
    }
}
