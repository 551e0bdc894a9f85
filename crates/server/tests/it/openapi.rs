//! The OpenAPI description, and its copy in docs/openapi.json.

use serde_json::Value;

#[test]
fn docs_openapi_json_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_default()).unwrap_or_default();
    let generated = serde_json::to_value(mnemon_server::openapi()).unwrap();
    assert!(
        file == generated,
        "docs/openapi.json is out of date; update it with `cargo run -- serve --openapi > docs/openapi.json`"
    );
}

#[test]
fn every_operation_has_a_summary_and_a_response() {
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
