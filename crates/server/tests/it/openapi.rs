//! The description of the routes: docs/openapi.json is what the code says.

use serde_json::Value;

#[test]
fn the_file_in_docs_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default();
    let made = serde_json::to_value(mnemon_server::openapi()).unwrap();
    assert!(
        written == made,
        "docs/openapi.json is stale: `cargo run -- serve --openapi > docs/openapi.json` makes it anew"
    );
}

#[test]
fn every_operation_says_what_it_does_and_what_it_answers() {
    let api = serde_json::to_value(mnemon_server::openapi()).unwrap();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let named = |key: &str| operation[key].as_str().is_some_and(|text| !text.is_empty());
            assert!(named("summary") && named("operationId"), "{method} {path}");
            let good = operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2'));
            assert!(good || operation["responses"].get("503").is_some(), "{method} {path}");
        }
    }
}
