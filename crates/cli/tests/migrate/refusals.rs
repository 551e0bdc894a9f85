//! Calls that could lose data are refused, with an explanation.

use std::time::Duration;

use mnemon_testbed::rest;
use rand::rngs::StdRng;
use serde_json::json;

use crate::stack::{DIMS, SOURCE, Stack, memory};

pub(crate) fn dangerous_calls_are_refused(random: &mut StdRng) {
    let stack = Stack::of(600, random);
    stack.make("other_dims", DIMS + 1, "Cosine");
    stack.make("other_distance", DIMS, "Dot");
    stack.make("dot", DIMS, "Dot");
    let sparse = json!({
        "vectors": {"size": DIMS, "distance": "Cosine"},
        "sparse_vectors": {"bm25": {"modifier": "idf"}},
    });
    rest::put(&stack.url("full"), &sparse).unwrap();
    stack.upsert("full", &[memory(1, random)]);
    std::fs::write(stack.path(".env"), "QDRANT_COLLECTION_NAME=mem0\n").unwrap();
    // Not refused but reported: gRPC cannot represent such large integers.
    stack.make("large", DIMS, "Cosine");
    let mut large = memory(7, random);
    large["payload"]["custom"]["nested"] = json!([{"n": u64::MAX}]);
    stack.upsert("large", &[large]);
    let found = stack.run(&["preflight", "--dir", "large", "--source", "large", "--target", "new"]).ok();
    assert!(found["anomalies"].to_string().contains("number_large"), "{found}");

    let source = stack.points(SOURCE);
    let refused = |args: &[&str], exit: i32, parts: &[&str]| {
        let result = stack.run(args);
        let (code, message) = result.error();
        assert_eq!(result.code, exit, "{args:?} {code}: {message}");
        for part in parts {
            assert!(message.contains(part), "{args:?} does not mention {part}: {message}");
        }
    };
    let rebuild = |dir: &'static str, target: &'static str| ["rebuild", "--dir", dir, "--target", target];
    refused(&rebuild("a", "other_dims"), 4, &["33", "32", "--target"]);
    refused(&rebuild("b", "other_distance"), 4, &["Dot", "--target"]);
    refused(&rebuild("c", "full"), 4, &["1 memories", "target"]);
    refused(&rebuild("d", SOURCE), 4, &["--in-place"]);
    let lead = json!({"actions": [{"create_alias": {"collection_name": SOURCE, "alias_name": "memories"}}]});
    rest::post(&format!("{}/collections/aliases", stack.server.http_url()), &lead).unwrap();
    refused(
        &["rebuild", "--dir", "d", "--source", "memories", "--target", "new"],
        4,
        &["alias of `mem0`", "--source mem0"],
    );
    refused(&["preflight", "--dir", "d", "--source", "memories", "--target", "new"], 4, &["alias of `mem0`"]);
    refused(&rebuild("n", "memories"), 4, &["alias of `mem0`", "--target"]);
    refused(&["rebuild", "--dir", "e", "--source", "dot", "--target", "new"], 1, &["Dot"]);
    refused(&["rebuild", "--dir", "f", "--source", "nowhere", "--target", "new"], 1, &["nowhere", "--source"]);
    refused(&["verify", "--dir", "g", "--target", "new"], 4, &["rebuild"]);
    refused(&["rollback", "--dir", "g"], 4, &["nothing was switched"]);
    refused(&["cutover", "--dir", "g", "--env-file", ".env", "--no-smoke"], 4, &["verify"]);
    refused(&["retire", "--dir", "g", "--yes"], 4, &["cutover"]);
    refused(&["status", "--dir", "nothing"], 1, &["nothing"]);

    stack.run(&rebuild("m", "mem0_v3")).ok();
    refused(&rebuild("m", "mem0_v4"), 4, &["mem0_v3", "--dir"]);
    refused(&["rebuild", "--dir", "m", "--source", SOURCE, "--qdrant-host", "127.0.0.2"], 4, &["another migration"]);
    // Rebuilt but not verified.
    refused(&["cutover", "--dir", "m", "--env-file", ".env", "--no-smoke"], 4, &["verify"]);
    stack.run(&["backup", "--dir", "m"]).ok();
    stack.run(&["verify", "--dir", "m"]).ok();
    refused(
        &["cutover", "--dir", "m", "--env-file", "typo.env", "--no-smoke"],
        4,
        &["typo.env", "QDRANT_COLLECTION_NAME="],
    );
    assert!(!stack.path("typo.env").exists());
    stack.run(&["cutover", "--dir", "m", "--env-file", ".env", "--no-smoke"]).ok();
    refused(&["retire", "--dir", "m", "--yes"], 4, &["must be kept until"]);
    refused(&["verify", "--dir", "m"], 4, &["in use"]);
    refused(&["rebuild", "--dir", "m", "--again"], 4, &["in use", "rollback"]);
    refused(&["cutover", "--dir", "m", "--alias", "other", "--no-smoke"], 4, &[".env", "rollback"]);

    // Two commands at the same time.
    let mut slow = stack.migrate(&["rebuild", "--dir", "two", "--target", "mem0_v5", "--rate", "300"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    refused(&rebuild("two", "mem0_v5"), 4, &["is working on"]);
    assert!(slow.wait().unwrap().success());
    assert_eq!(source, stack.points(SOURCE));

    // Permanent deletion.
    stack.run(&["rollback", "--dir", "m"]).ok();
    stack.run(&rebuild("r", "mem0_v6")).ok();
    stack.run(&["backup", "--dir", "r", "--retention-days", "0"]).ok();
    stack.run(&["verify", "--dir", "r"]).ok();
    let cutover = ["cutover", "--dir", "r", "--env-file", ".env", "--no-smoke"];
    assert_eq!(stack.run(&cutover).ok()["already"], false);
    // A second cutover does not test the server again.
    let again = [&cutover[..5], &["--smoke-url", "http://127.0.0.1:1", "--patience", "0"]].concat();
    assert_eq!(stack.run(&again).ok()["already"], true);
    refused(&["retire", "--dir", "r"], 4, &["--yes"]);
    stack.run(&["retire", "--dir", "r", "--yes"]).ok();
    refused(&["rollback", "--dir", "r", "--drop-writes"], 4, &["deleted by `retire`"]);
    refused(&["retire", "--dir", "r", "--yes"], 4, &["deleted already"]);
    assert!(std::fs::read_to_string(stack.path(".env")).unwrap().contains("mem0_v6"));
    assert_eq!(stack.points("mem0_v6").len(), source.len());
}
