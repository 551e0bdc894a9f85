//! The reranker over HTTP, with a service on a real socket.

use mnemon_models::{HttpReranker, ModelError, RerankConfig, Reranker};
use mnemon_testbed::{FakeService, Reply};
use serde_json::{Value, json};

fn rerank(results: Value) -> (Result<Vec<f32>, ModelError>, FakeService) {
    let service = FakeService::start(move |_, _| Reply::new("200 OK", &json!({"results": results})));
    let reranker = HttpReranker::new(RerankConfig::new(service.url.as_str(), "some-model")).expect("a URL");
    (reranker.rerank("who?", &["Ana", "Ben", "Cleo"]), service)
}

#[test]
fn scores_are_in_the_order_of_the_texts() {
    let results = json!([{"index": 2, "relevance_score": 0.9}, {"index": 0, "score": -3.5}]);
    let (scores, service) = rerank(results);
    assert_eq!(scores.unwrap(), [-3.5, -3.5, 0.9], "a missing text gets the lowest score");
    let results = json!([{"index": 2, "relevance_score": 0.9}, {"index": 0, "score": 0.3}]);
    assert_eq!(rerank(results).0.unwrap(), [0.3, 0.0, 0.9], "a missing text gets probability zero");
    let request = &service.requests()[0];
    assert_eq!(request.line, "POST /v1/rerank HTTP/1.1");
    let documents = json!(["Ana", "Ben", "Cleo"]);
    assert_eq!(request.body, json!({"model": "some-model", "query": "who?", "documents": documents, "top_n": 3}));
}

#[test]
fn unusable_answers_are_errors() {
    for results in [json!(7), json!([{"index": 3, "relevance_score": 1.0}]), json!([{"index": "0"}])] {
        let error = rerank(results).0.unwrap_err();
        assert!(error.to_string().starts_with("the reranker at http://127.0.0.1"), "{error}");
        assert!(matches!(error, ModelError::Answer { .. }), "{error}");
    }
}
