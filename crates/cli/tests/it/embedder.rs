//! An embedder behind an OpenAI-compatible endpoint.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use mnemon_testbed::endpoint::{self, Case};
use mnemon_testbed::{Behaviour, EmbeddingsEndpoint, FakeEndpoint, Reply};
use serde_json::{Value, json};

use crate::listening;
use crate::sandbox::Sandbox;
use crate::serve::{Connection, ServerProcess};

const DIMS: usize = 8;
/// A URL without a server.
const NO_SERVER: &str = "http://127.0.0.1:1/v1";

/// Counts each word in one of eight dimensions.
pub(crate) fn hashed(texts: &[&str]) -> Vec<Vec<f32>> {
    let vector = |text: &&str| {
        let mut vector = vec![0.0; DIMS];
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let hash =
                word.to_lowercase().bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31) + usize::from(byte));
            vector[hash % DIMS] += 1.0;
        }
        vector
    };
    texts.iter().map(vector).collect()
}

/// Runs with the model at this URL; exit code, and stdout or stderr.
fn run(sandbox: &Sandbox, url: &str, dims: &str, args: &[&str]) -> (i32, String) {
    let mut command = sandbox.command(&[args, &["--json"]].concat());
    command.env("MNEMON_EMBEDDER", "openai:hashed").env("MNEMON_EMBEDDER_URL", url).env("MNEMON_EMBEDDER_DIMS", dims);
    let output = command.output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn message(output: &str) -> String {
    let output: Value = serde_json::from_str(output).unwrap();
    output["error"]["message"].as_str().unwrap().to_owned()
}

fn code(output: &str) -> String {
    let output: Value = serde_json::from_str(output).unwrap();
    output["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn an_endpoint_embedder_fills_and_searches_a_store() {
    let endpoint = EmbeddingsEndpoint::start(hashed);
    let sandbox = Sandbox::new();
    let call = |args: &[&str]| {
        let (code, output) = run(&sandbox, endpoint.url(), "8", args);
        assert_eq!(code, 0, "{args:?}: {output}");
        serde_json::from_str::<Value>(&output).unwrap()
    };
    for text in ["My sister plays the violin in Vienna", "The car needs new tyres"] {
        call(&["add", text, "--user", "ana"]);
    }
    let found = call(&["search", "sister violin", "--user", "ana", "--top-k", "1", "--explain"]);
    assert_eq!(found["results"][0]["memory"], "My sister plays the violin in Vienna");
    assert!(found["results"][0]["explanation"]["signals"].to_string().contains("dense"), "{found}");
    assert_eq!(call(&["stats"])["store"]["embedder"], "openai:hashed:8");

    // The built-in embedder can't search this store and says which settings it needs. Other commands need no embedder.
    let refused = sandbox.run(&["search", "violin", "--user", "ana"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("set MNEMON_EMBEDDER=openai:hashed and MNEMON_EMBEDDER_DIMS=8"),
        "{}",
        refused.stderr
    );
    let export = sandbox.path("export.jsonl").display().to_string();
    assert_eq!(sandbox.run(&["export", &export]).code, 0);
    let built_in = ["--store", "sqlite:built-in.db"];
    let result = sandbox.run(&[&["import", &export, "--reembed"][..], &built_in].concat());
    assert_eq!(result.code, 0, "{}", result.stderr);
    let found = sandbox.texts(&[&["search", "violin", "--user", "ana", "--top-k", "1"][..], &built_in].concat());
    assert_eq!(found, ["My sister plays the violin in Vienna"]);
    // Back to the model, in new stores.
    call(&["import", &export, "--store", "sqlite:again.db"]);
    call(&["import", &export, "--reembed", "--store", "sqlite:reembedded.db"]);
    let found = call(&["search", "violin", "--user", "ana", "--top-k", "1", "--store", "sqlite:reembedded.db"]);
    assert_eq!(found["results"][0]["memory"], "My sister plays the violin in Vienna");
}

#[test]
fn errors_of_the_embedder_have_codes_and_say_what_to_change() {
    let endpoint = EmbeddingsEndpoint::start(hashed);
    let sandbox = Sandbox::new();
    let add = ["add", "x", "--user", "ana"];
    let (exit, output) = run(&sandbox, NO_SERVER, "8", &add);
    assert_eq!((exit, code(&output).as_str()), (1, "embedder_unavailable"), "{output}");
    let (exit, output) =
        run(&sandbox, endpoint.url(), "9", &["add", "x", "--user", "ana", "--store", "sqlite:nine.db"]);
    assert_eq!((exit, code(&output).as_str()), (1, "embedder_failed"), "{output}");
    assert!(message(&output).ends_with("set embedder_dims (MNEMON_EMBEDDER_DIMS) to 8"), "{output}");
    let elsewhere = endpoint.url().replace("/v1", "/v2");
    let (exit, output) = run(&sandbox, &elsewhere, "8", &add);
    assert_eq!((exit, code(&output).as_str()), (1, "embedder_failed"), "{output}");
    assert!(message(&output).contains("embedder_url (MNEMON_EMBEDDER_URL) has the right ending"), "{output}");
    let (exit, output) = run(&sandbox, "localhost:1/v1", "8", &add);
    assert_eq!((exit, code(&output).as_str()), (2, "usage"), "{output}");
    assert!(message(&output).starts_with("MNEMON_EMBEDDER_URL is `localhost:1/v1`; give the base URL"), "{output}");
    // None of them created a store, which would keep the wrong dims.
    assert!(!sandbox.path("store.db").exists() && !sandbox.path("nine.db").exists());

    let output = sandbox.command(&["list"]).env("MNEMON_EMBEDDER", "openai:unheard-of").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MNEMON_EMBEDDER_DIMS"));
    let output = sandbox.command(&["list"]).env("MNEMON_EMBEDDER_DIMS", "many").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_server_reports_an_unavailable_embedder() {
    let sandbox = Sandbox::new();
    let endpoint = EmbeddingsEndpoint::start(hashed);
    assert_eq!(run(&sandbox, endpoint.url(), "8", &["add", "My sister plays the violin", "--user", "ana"]).0, 0);
    let mut command = sandbox.std_command();
    command.args(["--json", "serve", "--bind", "127.0.0.1:0", "--auth", "off"]);
    command
        .env("MNEMON_EMBEDDER", "openai:hashed")
        .env("MNEMON_EMBEDDER_URL", NO_SERVER)
        .env("MNEMON_EMBEDDER_DIMS", "8");
    let mut child = command.env("MNEMON_LOG", "error").stdout(Stdio::piped()).spawn().unwrap();
    let url = listening::url(child.stdout.take().unwrap());
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    let body = r#"{"query": "violin", "user_id": "ana"}"#;
    let head = "POST /search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("embedder_unavailable") && answer.contains("try again"), "{answer}");
}

/// A server starts and serves others at endpoints with every peculiarity, while one person stores long texts.
#[test]
fn a_server_starts_at_every_kind_of_endpoint() {
    let few = |cases: Vec<Case>| cases.into_iter().step_by(6);
    let base64 = Case { name: "base64".into(), behaviour: Behaviour::Base64 };
    let models = few(endpoint::vague(500))
        .chain(few(endpoint::text_limits(500)))
        .chain(few(endpoint::unusable_facts()))
        .chain(few(endpoint::refused_roles()))
        .chain(["401 Unauthorized", "503 Service Unavailable", "307 Temporary Redirect"].map(|status| Case {
            name: status.into(),
            behaviour: Behaviour::Always(Reply::refusal(status, "not now")),
        }))
        .map(|case| (case, true));
    let cases = endpoint::refused_keys("encoding_format")
        .into_iter()
        .chain(few(endpoint::text_limits(500)))
        .chain(few(endpoint::vague(500)))
        .chain(few(endpoint::batch_limits(1)))
        .chain([base64])
        .map(|case| (case, false));
    let folder = tempfile::tempdir().unwrap();
    for (number, (case, is_llm)) in cases.chain(models).enumerate() {
        let name = &format!("{}, language model: {is_llm}", case.name);
        let [plain, odd] = [Vec::new(), vec![case.behaviour.clone()]].map(FakeEndpoint::start);
        let (endpoint, llm) = if is_llm { (plain, odd) } else { (odd, plain) };
        // As in a file of variables whose quotes were kept, without the path.
        let url = format!("\"{}/\"", endpoint.url().trim_end_matches("/v1"));
        let variables = [
            ("MNEMON_EMBEDDER", "openai:some-model"),
            ("MNEMON_EMBEDDER_DIMS", "16"),
            ("OPENAI_BASE_URL", url.as_str()),
            ("OPENAI_API_KEY", "'Bearer hush'"),
            ("MNEMON_LLM", "openai:some-model"),
            ("MNEMON_LLM_URL", llm.url()),
        ];
        let server = ServerProcess::start_with(&folder.path().join(format!("{number}.db")), &variables);
        let mut http = Connection::open(&server.address).unwrap();
        let mut add = |key: &str, user: &str, text: &str| {
            let body = json!({"messages": [{"role": "user", "content": text}], "user_id": user, "infer": false});
            http.call("POST", "/memories", key, &body).unwrap().0
        };
        let long = "We walked along the river in the evening. ".repeat(120);
        for _ in 0..2 {
            assert_eq!(add("ka", "ana", &long), 200, "{name}");
            assert_eq!(add("kb", "bob", "Bob likes gardens."), 200, "{name}");
        }
        let question = json!({"query": "gardens", "filters": {"user_id": "bob"}});
        let (status, found) = http.call("POST", "/search", "kb", &question).unwrap();
        assert_eq!((status, found["results"].as_array().map(Vec::len)), (200, Some(2)), "{name}: {found}");
        // A request for facts is learnt from, or kept.
        let facts = json!({"messages": "Bob has a cat.", "user_id": "bob"});
        let status = http.call("POST", "/memories", "kb", &facts).unwrap().0;
        assert!([200, 202].contains(&status), "{name}: {status}");
        let sent = endpoint.requests();
        let key = "authorization: Bearer hush".to_owned();
        assert!(sent.iter().all(|request| request.headers.contains(&key)), "{name}");
    }
}
