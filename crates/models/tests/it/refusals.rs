//! The embedder in front of endpoints that refuse in the ways and words of many services.

use std::time::Duration;

use mnemon_models::{Embedder, Embedding, ModelError, OpenAiConfig, OpenAiEmbedder};
use mnemon_testbed::endpoint::{self, Case, DIMS, vector};
use mnemon_testbed::{Behaviour, FakeEndpoint, ReceivedRequest, Reply};
use serde_json::json;

const LIMIT: usize = 700;
const OTHERS: [&str; 3] = ["The cat sleeps on the sofa.", "We moved to Lisbon in May.", "Ana is allergic to peanuts."];

fn embedder(endpoint: &FakeEndpoint, change: impl FnOnce(&mut OpenAiConfig)) -> OpenAiEmbedder {
    let mut config = OpenAiConfig::new("some-model", DIMS);
    config.base_url = endpoint.url().to_owned();
    config.timeout = Duration::from_secs(5);
    change(&mut config);
    OpenAiEmbedder::new(config).expect("a valid configuration")
}

fn start(case: &Case) -> FakeEndpoint {
    FakeEndpoint::start(vec![case.behaviour.clone()])
}

/// About five thousand characters, no two sentences alike.
fn long_text() -> String {
    (0..90).map(|number| format!("In chapter {number} the river city number {} is described. ", number * 7)).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The normalised mean of the vectors of texts.
fn mean(texts: &[&str]) -> Vec<f32> {
    let mut sum = vec![0.0; DIMS];
    for text in texts {
        sum.iter_mut().zip(vector(text)).for_each(|(sum, x)| *sum += x);
    }
    let length = cosine(&sum, &sum).sqrt();
    sum.iter().map(|x| x / length).collect()
}

fn is_accepted(request: &ReceivedRequest, limit: usize) -> bool {
    request.texts().iter().all(|text| text.chars().count() <= limit)
}

fn check_whole(case: &str, texts: &[&str], found: &[Embedding]) {
    assert_eq!(found.len(), texts.len(), "{case}");
    for (text, found) in texts.iter().zip(found) {
        assert!(found.is_whole(), "{case}: {found:?}");
        assert!(cosine(&found.vector, &vector(text)) > 0.999, "{case}: {text}");
    }
}

#[test]
fn a_long_text_gets_the_mean_of_its_pieces_whatever_the_words() {
    let cases = [endpoint::text_limits(LIMIT), endpoint::vague(LIMIT)].concat();
    std::thread::scope(|scope| {
        for case in &cases {
            scope.spawn(move || check_long_text(case));
        }
    });
}

fn check_long_text(case: &Case) {
    let name = case.name.as_str();
    let endpoint = start(case);
    let embedder = embedder(&endpoint, |_| {});
    let long = long_text();
    let found = embedder.embed_texts(&[OTHERS[0], &long, OTHERS[1]]).unwrap_or_else(|error| panic!("{name}: {error}"));
    check_whole(name, &[OTHERS[0], OTHERS[1]], &[found[0].clone(), found[2].clone()]);
    let requests = endpoint.requests();
    let accepted = requests.iter().filter(|request| is_accepted(request, LIMIT));
    let is_piece = |text: &&&str| long.contains(**text);
    let texts: Vec<Vec<&str>> = accepted.map(|request| request.texts()).collect();
    let pieces: Vec<&str> = texts.iter().flatten().filter(is_piece).copied().collect();
    assert_eq!(pieces.concat(), long, "{name}: each part is embedded once, in its order");
    assert!(pieces.iter().all(|piece| piece.ends_with(". ")), "{name}: pieces end with sentences: {pieces:?}");
    assert_eq!((found[1].pieces, found[1].left_out), (pieces.len(), 0), "{name}");
    assert!(cosine(&found[1].vector, &mean(&pieces)) > 0.9999, "{name}: the mean of the pieces");

    // The limit is known now: the next long text costs no refusal, and others never noticed.
    let before = endpoint.requests().len();
    let again = embedder.embed_texts(&[&long]).expect("it answers");
    assert!(cosine(&again[0].vector, &found[1].vector) > 0.99, "{name}");
    let requests = endpoint.requests();
    assert!(requests[before..].iter().all(|request| is_accepted(request, LIMIT)), "{name}: a refusal again");
    check_whole(name, &OTHERS, &embedder.embed_texts(&OTHERS).expect("the breaker is closed"));
}

#[test]
fn others_are_served_while_long_texts_are_refused() {
    for case in endpoint::vague(LIMIT).into_iter().filter(|case| case.name.contains("500")) {
        let endpoint = start(&case);
        let embedder = embedder(&endpoint, |_| {});
        let long = long_text();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| embedder.embed(&[&long]).expect("a long text"));
            }
            for _ in 0..20 {
                check_whole(&case.name, &OTHERS, &embedder.embed_texts(&OTHERS).expect("others are served"));
            }
        });
    }
}

#[test]
fn a_batch_that_is_too_large_is_halved_and_the_limit_remembered() {
    let texts: Vec<String> = (0..40).map(|number| format!("note {number} of the week")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for limit in [1, 10, 16] {
        for case in endpoint::batch_limits(limit) {
            let endpoint = start(&case);
            let embedder = embedder(&endpoint, |_| {});
            let found = embedder.embed_texts(&texts).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            check_whole(&case.name, &texts, &found);
            let before = endpoint.requests().len();
            check_whole(&case.name, &texts, &embedder.embed_texts(&texts).expect("it answers"));
            let requests = endpoint.requests();
            assert!(requests[before..].iter().all(|request| request.texts().len() <= limit), "{}", case.name);
        }
    }
}

#[test]
fn a_limit_of_all_texts_together_is_remembered() {
    let reply = Reply::refusal("400 Bad Request", "Requested 400000 tokens, max 300000 tokens per request");
    let endpoint = FakeEndpoint::start(vec![Behaviour::TotalLimit(1500, reply)]);
    let embedder = embedder(&endpoint, |_| {});
    let texts: Vec<String> = (0..12).map(|number| format!("{number} {}", "word ".repeat(100))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    check_whole("total", &texts, &embedder.embed_texts(&texts).expect("it answers"));
    let before = endpoint.requests().len();
    check_whole("total", &texts, &embedder.embed_texts(&texts).expect("it answers"));
    let total = |request: &ReceivedRequest| request.texts().iter().map(|text| text.len()).sum::<usize>();
    assert!(endpoint.requests()[before..].iter().all(|request| total(request) <= 1500));
}

#[test]
fn refused_parameters_are_left_out_and_remembered() {
    for key in ["encoding_format", "dimensions"] {
        for case in endpoint::refused_keys(key) {
            let endpoint = start(&case);
            let embedder = embedder(&endpoint, |config| config.send_dims = true);
            let found = embedder.embed_texts(&OTHERS).unwrap_or_else(|error| panic!("{}: {key}: {error}", case.name));
            check_whole(&case.name, &OTHERS, &found);
            let before = endpoint.requests().len();
            check_whole(&case.name, &OTHERS, &embedder.embed_texts(&OTHERS).expect("it answers"));
            let requests = endpoint.requests();
            assert_eq!(requests.len(), before + 1, "{}: {key}", case.name);
            assert!(requests[before].body.get(key).is_none(), "{}: {key}", case.name);
        }
    }
}

#[test]
fn both_parameters_may_be_refused() {
    let refuse = |key| Behaviour::RefusedKey(key, Reply::refusal("422 Unprocessable Entity", "no"));
    let endpoint = FakeEndpoint::start(vec![refuse("encoding_format"), refuse("dimensions"), Behaviour::Base64]);
    let embedder = embedder(&endpoint, |config| config.send_dims = true);
    check_whole("both", &OTHERS, &embedder.embed_texts(&OTHERS).expect("it answers"));
}

#[test]
fn refused_dimensions_with_vectors_of_another_length_are_a_clear_error() {
    for case in endpoint::refused_keys("dimensions") {
        let endpoint = FakeEndpoint::start(vec![case.behaviour, Behaviour::VectorLength(DIMS + 8)]);
        let error = embedder(&endpoint, |config| config.send_dims = true).embed(&["a text"]).expect_err("24 dims");
        assert!(matches!(error, ModelError::Dims { expected: DIMS, found: 24, .. }), "{}: {error}", case.name);
    }
}

#[test]
fn answers_in_base64_are_read() {
    let endpoint = FakeEndpoint::start(vec![Behaviour::Base64]);
    check_whole("base64", &OTHERS, &embedder(&endpoint, |_| {}).embed_texts(&OTHERS).expect("it answers"));
}

#[test]
fn lists_of_texts_may_be_refused() {
    for message in ["Input should be a valid string", "expected type: String, found: JSONArray", "Bad Request"] {
        let endpoint = FakeEndpoint::start(vec![Behaviour::ListRefused(Reply::refusal("400 Bad Request", message))]);
        let embedder = embedder(&endpoint, |_| {});
        check_whole(message, &OTHERS, &embedder.embed_texts(&OTHERS).expect("it answers"));
        let before = endpoint.requests().len();
        check_whole(message, &OTHERS, &embedder.embed_texts(&OTHERS).expect("it answers"));
        assert_eq!(endpoint.requests().len(), before + OTHERS.len(), "{message}");
    }
    let endpoint = FakeEndpoint::start(vec![Behaviour::FirstTextOnly]);
    check_whole("first only", &OTHERS, &embedder(&endpoint, |_| {}).embed_texts(&OTHERS).expect("it answers"));
}

#[test]
fn a_refused_text_does_not_fail_the_others() {
    for case in endpoint::content_refusals("forbidden") {
        let name = case.name.as_str();
        let endpoint = start(&case);
        let embedder = embedder(&endpoint, |_| {});
        let long = format!("{}forbidden. {}", long_text(), long_text());
        let texts = [OTHERS[0], "a forbidden word", OTHERS[1], &long, OTHERS[2]];
        for _ in 0..3 {
            let found = embedder.embed_texts(&texts).unwrap_or_else(|error| panic!("{name}: {error}"));
            let whole: Vec<Embedding> = [0, 2, 4].iter().map(|at| found[*at].clone()).collect();
            check_whole(name, &OTHERS, &whole);
            assert_eq!((found[1].pieces, found[1].left_out), (0, 1), "{name}");
            assert_eq!(found[1].vector, [0.0; DIMS], "{name}");
            assert!(found[3].pieces > 1 && found[3].left_out == 1, "{name}: {:?}", found[3]);
        }
        check_whole(name, &OTHERS, &embedder.embed_texts(&OTHERS).expect("the breaker is closed"));
    }
}

#[test]
fn numbers_that_are_not_finite_leave_a_text_out() {
    let endpoint = FakeEndpoint::start(vec![Behaviour::NullVectors("broken")]);
    let found = embedder(&endpoint, |_| {}).embed_texts(&[OTHERS[0], "a broken text"]).expect("it answers");
    check_whole("null", &OTHERS[..1], &found[..1]);
    assert_eq!((found[1].pieces, found[1].left_out), (0, 1));
}

#[test]
fn an_endpoint_that_refuses_everything_is_an_error() {
    for (status, message) in [
        ("400 Bad Request", "the model does not support embeddings"),
        ("400 Bad Request", "invalid token"),
        ("401 Unauthorized", "wrong key"),
        ("403 Forbidden", "no access"),
        ("404 Not Found", "no such model"),
        ("413 Payload Too Large", ""),
        ("422 Unprocessable Entity", "the input is too long"),
        ("200 OK", "model not loaded"),
    ] {
        let endpoint = FakeEndpoint::start(vec![Behaviour::Always(Reply::refusal(status, message))]);
        for text in [OTHERS[0], &long_text()] {
            let error = embedder(&endpoint, |_| {}).embed(&[text]).expect_err("nothing is accepted");
            assert!(matches!(error, ModelError::Refused { .. }), "{status} {message}: {error}");
            assert!(error.to_string().contains(message), "{status} {message}: {error}");
        }
    }
    for status in ["500 Internal Server Error", "503 Service Unavailable"] {
        let endpoint = FakeEndpoint::start(vec![Behaviour::Always(Reply::new(status, &json!({"error": "down"})))]);
        let embedder = embedder(&endpoint, |config| config.retries = 0);
        for _ in 0..6 {
            let error = embedder.embed(&[OTHERS[0]]).expect_err("nothing is accepted");
            assert!(matches!(error, ModelError::Unavailable { .. }), "{status}: {error}");
        }
        let error = embedder.embed(&[OTHERS[0]]).expect_err("the breaker is open").to_string();
        assert!(error.contains("times in a row"), "{status}: {error}");
    }
}

#[test]
fn texts_of_every_script_are_cut_and_embedded_whole() {
    let reply = Reply::refusal("500 Internal Server Error", "input is too large to process");
    for text in
        ["我的猫叫米索。".repeat(300), "猫".repeat(3000), "ab".repeat(3000), "👩‍👩‍👧‍👦".repeat(400), "x\u{301}".repeat(2000)]
    {
        let endpoint = FakeEndpoint::start(vec![Behaviour::TextLimit(LIMIT, reply.clone())]);
        let found = embedder(&endpoint, |_| {}).embed_texts(&[&text]).expect("pieces are accepted");
        let requests = endpoint.requests();
        let accepted: Vec<Vec<&str>> =
            requests.iter().filter(|request| is_accepted(request, LIMIT)).map(ReceivedRequest::texts).collect();
        assert_eq!(accepted.concat().concat(), text);
        assert!(found[0].pieces > 1 && found[0].left_out == 0);
    }
}
