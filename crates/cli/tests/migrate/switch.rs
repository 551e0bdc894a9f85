//! Cutover and rollback with a running server.

use mnemon_testbed::rest;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::stack::{SOURCE, Stack};

pub(crate) fn cutover_rollback_and_second_cutover(random: &mut StdRng) {
    let mut stack = Stack::of(300, random);
    // A configured ledger is also the new server's, whose writes must not wait for the end of the cutover.
    let ledger = format!("sqlite:{}", stack.path("ledger.db").display());
    stack.variables.push(("MNEMON_STORE", format!("qdrant:{}/mem0_v3", stack.server.grpc_url())));
    stack.variables.push(("MNEMON_LEDGER", ledger));
    let before = stack.points(SOURCE);
    std::fs::write(stack.path(".env"), format!("QDRANT_COLLECTION_NAME={SOURCE}\n")).unwrap();
    stack.run(&["rebuild", "--target", "mem0_v3"]).ok();
    stack.run(&["verify"]).ok();
    let (server, url) = stack.serve("mem0_v3");
    let cutover = ["cutover", "--env-file", ".env", "--smoke-url", &url, "--then", "echo restarted >> restarts"];
    stack.run(&cutover).ok();
    stack.assert_whole(&before, "mem0_v3");
    let mut new = Vec::new();
    for number in 0..50 {
        let text = format!("Greta Holm bought violin number {number}");
        let body = json!({"messages": [{"role": "user", "content": text}], "user_id": "user-3", "infer": false});
        let answer = rest::post(&format!("{url}/memories"), &body).unwrap();
        new.push(answer["results"][0]["id"].as_str().unwrap().to_owned());
    }
    let ids: Vec<&String> = before.keys().collect();
    for id in &ids[..5] {
        rest::delete(&format!("{url}/memories/{id}")).unwrap();
    }
    for id in &ids[5..8] {
        rest::put(&format!("{url}/memories/{id}"), &json!({"text": "Maria Silva changed her mind"})).unwrap();
    }
    drop(server);
    let back = stack.run(&["rollback", "--then", "echo back >> restarts"]).ok();
    assert_eq!(back["carried"]["added"], 50, "{back}");
    assert_eq!(std::fs::read_to_string(stack.path("restarts")).unwrap(), "restarted\nback\n");
    let legacy = stack.points(SOURCE);
    assert_eq!(legacy.len(), before.len() + 50 - 5);
    for (id, point) in &legacy {
        let payload = &point["payload"];
        assert!(payload.get("text_lemmatized").is_none() && point["bm25"] == false, "{point}");
        for key in ["data", "hash", "user_id", "created_at"] {
            assert!(payload[key].is_string(), "{key} of {point}");
        }
        if !new.contains(id) && payload["data"] != "Maria Silva changed her mind" {
            assert_eq!(Some(point), before.get(id));
        }
    }
    assert!(new.iter().all(|id| legacy.contains_key(id)));
    let kept = std::fs::read_to_string(stack.path(back["replaced"].as_str().unwrap())).unwrap();
    let mut kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    kept.sort_by_key(|point| point["id"].to_string());
    assert_eq!(kept.iter().map(|point| point["id"].as_str().unwrap()).collect::<Vec<_>>(), ids[..8]);
    assert_eq!(kept[0]["payload"], before[ids[0]]["payload"]);

    // A second cutover creates no duplicates.
    stack.run(&["rebuild"]).ok();
    stack.run(&["verify"]).ok();
    let (_server, url) = stack.serve("mem0_v3");
    stack.run(&["cutover", "--env-file", ".env", "--smoke-url", &url]).ok();
    stack.assert_whole(&legacy, "mem0_v3");
}
