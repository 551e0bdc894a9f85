//! The embedder over HTTP, with a service on a real socket.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use mnemon_models::{Embedder, ModelError, OpenAiConfig, OpenAiEmbedder, RefusalCause};
use mnemon_testbed::{FakeEndpoint, FakeService, Reply, endpoint};
use serde_json::json;

/// An embedder of 2 dims.
fn embedder(service: &FakeService, change: impl FnOnce(&mut OpenAiConfig)) -> OpenAiEmbedder {
    let mut config = OpenAiConfig::new("some-model", 2);
    config.base_url.clone_from(&service.url);
    change(&mut config);
    OpenAiEmbedder::new(config).expect("a valid configuration")
}

fn unchanged(_: &mut OpenAiConfig) {}

/// The error of a service that rejects requests with this status, sent with this key, and how often the text was sent.
fn error_of(status: &'static str, message: &'static str, key: Option<&str>) -> (ModelError, usize) {
    let service = FakeService::start(move |_, _| Reply::refusal(status, message));
    let change = |config: &mut OpenAiConfig| {
        config.retries = 0;
        config.api_key = key.map(Into::into);
    };
    let error = embedder(&service, change).embed(&["1 0"]).expect_err("it is rejected");
    (error, sent(&service, "1 0"))
}

/// How often a text was sent. Others may be sent to find out whether it is the reason of a failure.
fn sent(service: &FakeService, text: &str) -> usize {
    service.requests().iter().filter(|request| request.texts() == [text]).count()
}

#[test]
fn vectors_are_in_the_order_of_the_texts_and_have_length_one() {
    let service = FakeService::start(|_, request| Reply::vectors(request));
    let embedder = embedder(&service, |config| config.api_key = Some("the-key".into()));
    assert_eq!((embedder.dims(), embedder.fingerprint()), (2, "openai:some-model:2"));
    // The service returns the vectors in reverse order.
    let vectors = embedder.embed(&["3 4", "0 2", "5 0"]).expect("it answers");
    assert_eq!(vectors, [[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]]);
    let request = service.requests();
    assert_eq!(request.len(), 1);
    assert_eq!(request[0].line, "POST /v1/embeddings HTTP/1.1");
    let expected = json!({"model": "some-model", "input": ["3 4", "0 2", "5 0"], "encoding_format": "float"});
    assert_eq!(request[0].body, expected);
    assert!(
        request[0].headers.iter().any(|header| header == "authorization: Bearer the-key"),
        "{:?}",
        request[0].headers
    );
}

#[test]
fn dims_are_sent_only_if_configured() {
    let service = FakeService::start(|_, request| Reply::vectors(request));
    embedder(&service, |config| config.send_dims = true).embed(&["1 0"]).expect("it answers");
    assert_eq!(service.requests()[0].body["dimensions"], 2);
    assert!(!service.requests()[0].headers.iter().any(|header| header.starts_with("authorization")));
}

#[test]
fn empty_texts_are_not_sent() {
    let service = FakeService::start(|_, request| Reply::vectors(request));
    let embedder = embedder(&service, unchanged);
    assert_eq!(embedder.embed(&["", " \n"]).expect("no request is sent"), [[0.0, 0.0], [0.0, 0.0]]);
    assert_eq!(embedder.embed(&[]).expect("no request is sent"), [[0.0; 2]; 0]);
    assert_eq!(service.requests().len(), 0);
    let vectors = embedder.embed(&["", "0 1", "", "1 0", "\t"]).expect("it answers");
    assert_eq!(vectors, [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]);
    assert_eq!(service.requests()[0].texts(), ["0 1", "1 0"]);
}

#[test]
fn temporary_failures_are_retried() {
    let service = FakeService::start(|before, request| match before {
        0 => Reply::refusal("500 Internal Server Error", "not now"),
        1 => Reply { status: "503 Service Unavailable", headers: "", body: "<html>".into() },
        _ => Reply::vectors(request),
    });
    assert_eq!(embedder(&service, unchanged).embed(&["0 1"]).expect("the second retry"), [[0.0, 1.0]]);
    assert_eq!(service.requests().len(), 3);
}

#[test]
fn the_requested_wait_is_honoured() {
    let service = FakeService::start(|before, request| match before {
        0 => Reply { headers: "Retry-After: 1\r\n", ..Reply::refusal("429 Too Many Requests", "slowly") },
        _ => Reply::vectors(request),
    });
    embedder(&service, unchanged).embed(&["0 1"]).expect("the first retry");
    let request = service.requests();
    assert_eq!(request.len(), 2);
    assert!(request[1].at - request[0].at >= Duration::from_secs(1));
}

#[test]
fn a_wait_beyond_the_deadline_fails_at_once() {
    let service = FakeService::start(|_, _| Reply {
        headers: "Retry-After: 3600\r\n",
        ..Reply::refusal("429 Too Many Requests", "slowly")
    });
    let start = Instant::now();
    let error = embedder(&service, unchanged).embed(&["0 1"]).expect_err("an hour is too long");
    assert!(error.to_string().contains("3600 s"), "{error}");
    let ModelError::Unavailable { wait, .. } = error else { panic!("{error}") };
    assert_eq!(wait, Some(Duration::from_secs(3600)));
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn the_number_of_retries_is_limited() {
    let service = FakeService::start(|_, _| Reply::refusal("500 Internal Server Error", "never"));
    let error = embedder(&service, |config| config.retries = 2).embed(&["0 1"]).expect_err("it never answers");
    assert!(matches!(error, ModelError::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("HTTP 500: never"), "{error}");
    assert_eq!(sent(&service, "0 1"), 3);
}

#[test]
fn a_refused_connection_is_unavailable() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let mut config = OpenAiConfig::new("some-model", 2);
    config.base_url = format!("http://me:hush@{free}/v1");
    config.retries = 1;
    let error = OpenAiEmbedder::new(config).expect("a URL").embed(&["0 1"]).expect_err("the port is free");
    let text = error.to_string();
    assert!(matches!(error, ModelError::Unavailable { .. }) && text.contains("connection refused"), "{text}");
    assert!(text.contains(&free.to_string()) && !text.contains("hush"), "{text}");
}

#[test]
fn a_service_without_an_answer_in_time_is_unavailable() {
    // The system accepts the connections, and nothing reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut config = OpenAiConfig::new("some-model", 2);
    config.base_url = format!("http://{}/v1", silent.local_addr().expect("an address"));
    config.timeout = Duration::from_millis(200);
    config.deadline = Duration::from_millis(300);
    let start = Instant::now();
    let error = OpenAiEmbedder::new(config).expect("a URL").embed(&["0 1"]).expect_err("there is no answer");
    assert!(matches!(error, ModelError::Unavailable { .. }) && error.to_string().contains("no answer"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_refusal_has_a_cause() {
    let key = Some("the-key");
    for (status, key, expected) in [
        ("401 Unauthorized", None, RefusalCause::NoKey),
        ("401 Unauthorized", key, RefusalCause::InvalidKey),
        ("403 Forbidden", key, RefusalCause::KeyNotAllowed),
        ("404 Not Found", key, RefusalCause::UnknownModel),
        ("400 Bad Request", key, RefusalCause::Other),
        ("413 Payload Too Large", key, RefusalCause::TooLong),
        ("308 Permanent Redirect", key, RefusalCause::Moved),
    ] {
        let (error, requests) = error_of(status, "its own words", key);
        let text = error.to_string();
        assert!(matches!(error, ModelError::Refused { cause, .. } if cause == expected), "{status}: {error:?}");
        assert!(text.contains("its own words") && text.contains(&status[..3]), "{text}");
        assert_eq!(requests, 1, "{status}");
    }
}

#[test]
fn an_exceeded_quota_is_not_retried() {
    let service = FakeService::start(|_, _| {
        Reply::new("429 Too Many Requests", &json!({"error": {"message": "quota", "code": "insufficient_quota"}}))
    });
    let error = embedder(&service, unchanged).embed(&["0 1"]).expect_err("the quota is exceeded");
    assert!(matches!(error, ModelError::Refused { cause: RefusalCause::Quota, .. }), "{error:?}");
    assert_eq!(service.requests().len(), 1);
}

#[test]
fn vectors_of_another_length_are_rejected() {
    let service = FakeService::start(|_, request| Reply::vectors(request));
    let error = embedder(&service, unchanged).embed(&["1 0", "1 2 3"]).expect_err("one has 3 dims");
    assert!(matches!(error, ModelError::Dims { expected: 2, found: 3, .. }), "{error}");
}

#[test]
fn unusable_answers_are_errors() {
    let service = FakeService::start(|_, _| Reply { status: "200 OK", headers: "", body: "<html>hello".into() });
    let error = embedder(&service, unchanged).embed(&["1 0"]).expect_err("an HTML page has no vectors");
    assert!(matches!(error, ModelError::Answer { is_empty: false, .. }), "{error:?}");
}

#[test]
fn many_texts_are_sent_in_batches_four_at_a_time() {
    const BATCHES: usize = 8;
    let (running, max_running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&max_running);
    // Each answer waits until three other requests have arrived.
    let four = Barrier::new(4);
    let service = FakeService::start(move |_, request| {
        max_running.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        four.wait();
        running.fetch_sub(1, Ordering::SeqCst);
        Reply::vectors(request)
    });
    let texts: Vec<String> = (0..128 * BATCHES).map(|number| format!("1 {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = embedder(&service, unchanged).embed(&texts).expect("it answers");
    for (number, vector) in vectors.iter().enumerate() {
        assert!((vector[1] / vector[0] - number as f32).abs() <= number as f32 * 1e-5, "{number}: {vector:?}");
    }
    let request = service.requests();
    assert_eq!(request.iter().map(|request| request.texts().len()).collect::<Vec<_>>(), [128; BATCHES]);
    assert_eq!(counted.load(Ordering::SeqCst), 4);
}

#[test]
fn characters_of_batches_and_texts_are_limited() {
    let endpoint = FakeEndpoint::start(Vec::new());
    let mut config = OpenAiConfig::new("some-model", endpoint::DIMS);
    config.base_url = endpoint.url().to_owned();
    (config.batch_chars, config.max_chars) = (8, 5);
    // The last text is embedded in two pieces.
    let found = OpenAiEmbedder::new(config).expect("a configuration").embed_texts(&["ab", "cd", "ef", "one two"]);
    assert_eq!(found.expect("it answers").iter().map(|found| found.pieces).collect::<Vec<_>>(), [1, 1, 1, 2]);
    let sent: HashSet<Vec<String>> = endpoint
        .requests()
        .iter()
        .map(|request| request.texts().iter().map(|text| (*text).to_owned()).collect())
        .collect();
    let expected = [vec!["ab", "cd", "ef"], vec!["one ", "two"]];
    assert_eq!(sent, expected.map(|batch| batch.into_iter().map(str::to_owned).collect()).into());
}

#[test]
fn headers_and_the_query_of_the_url_are_sent() {
    let service = FakeService::start(|_, request| Reply::vectors(request));
    let change = |config: &mut OpenAiConfig| {
        config.base_url = format!(" '{}/deployments/D/embeddings?api-version=2024-02-01' ", service.url);
        config.api_key = Some("\"Bearer the-key\"\n".into());
        config.headers = vec![("api-key".into(), "hush".into())];
    };
    let embedder = embedder(&service, change);
    embedder.embed(&["1 0"]).expect("it answers");
    let request = &service.requests()[0];
    assert_eq!(request.line, "POST /v1/deployments/D/embeddings?api-version=2024-02-01 HTTP/1.1");
    for header in ["api-key: hush", "authorization: Bearer the-key"] {
        assert!(request.headers.iter().any(|sent| sent == header), "{:?}", request.headers);
    }
    assert!(!format!("{embedder:?}").contains("hush"));
}

#[test]
fn a_service_without_a_version_in_its_path_is_found() {
    for (known, base) in
        [("/v1/embeddings", ""), ("/embeddings", ""), ("/embeddings", "/"), ("/v1/embeddings", "/embeddings")]
    {
        let service = FakeService::start(move |_, request| match request.line.split(' ').nth(1) == Some(known) {
            true => Reply::vectors(request),
            false => Reply::refusal("404 Not Found", "no such route"),
        });
        let host = service.url.trim_end_matches("/v1").to_owned();
        let embedder = embedder(&service, |config| config.base_url = format!("{host}{base}"));
        embedder.embed(&["1 0"]).expect("it answers");
        let before = service.requests().len();
        embedder.embed(&["1 0"]).expect("it answers");
        assert_eq!(service.requests().len(), before + 1, "{known} {base}");
    }
}

#[test]
fn secrets_of_the_query_are_not_shown() {
    let service =
        FakeService::start(|_, _| Reply::refusal("401 Unauthorized", "the key hush-1 and the code hush-2 are wrong"));
    let change = |config: &mut OpenAiConfig| {
        config.base_url = format!("{}?code=hush-2", service.url);
        config.api_key = Some("hush-1".into());
    };
    let error = embedder(&service, change).embed(&["1 0"]).expect_err("it is rejected");
    assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
}

#[test]
fn invalid_configurations_are_rejected() {
    let with = |change: fn(&mut OpenAiConfig)| {
        let mut config = OpenAiConfig::new("m", 2);
        change(&mut config);
        OpenAiEmbedder::new(config).map(|embedder| embedder.fingerprint().to_owned())
    };
    assert!(with(|config| config.base_url = "http://localhost:1/v1/embeddings/".into()).is_ok());
    for change in [
        (|config| config.base_url = "localhost:11434/v1".into()) as fn(&mut OpenAiConfig),
        |config| config.base_url = "ftp://localhost/v1".into(),
        |config| config.base_url.clear(),
        |config| config.dims = 0,
        |config| config.model.clear(),
        |config| config.api_key = Some("two\nlines".into()),
    ] {
        assert!(matches!(with(change), Err(ModelError::Settings { .. })));
    }
}

#[test]
fn it_can_be_dropped_in_async_code() {
    let service = FakeService::start(|_, request| Reply::vectors(request));
    let embedder = embedder(&service, unchanged);
    embedder.embed(&["1 0"]).expect("it answers");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async move { drop(embedder) });
}
