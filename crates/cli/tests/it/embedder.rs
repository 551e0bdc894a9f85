//! Another embedder than the built-in one: a model behind an OpenAI-compatible endpoint.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use mnemon_testbed::EmbeddingsEndpoint;
use serde_json::Value;

use crate::place::Place;

const DIMS: usize = 8;
/// A port that nobody listens on.
const NOBODY: &str = "http://127.0.0.1:1/v1";

/// Each word counted in one of eight places.
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

/// Runs with the model at this address.
fn run(place: &Place, url: &str, dims: &str, args: &[&str]) -> (i32, String) {
    let mut command = place.command(&[args, &["--json"]].concat());
    command.env("MNEMON_EMBEDDER", "openai:hashed").env("MNEMON_EMBEDDER_URL", url).env("MNEMON_EMBEDDER_DIMS", dims);
    let output = command.output().unwrap();
    let told = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.code().unwrap(), String::from_utf8(told).unwrap())
}

fn code(told: &str) -> String {
    let told: Value = serde_json::from_str(told).unwrap();
    told["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_services_model_fills_a_store_and_searches_it() {
    let endpoint = EmbeddingsEndpoint::start(hashed);
    let place = Place::new();
    let call = |args: &[&str]| {
        let (code, told) = run(&place, endpoint.url(), "8", args);
        assert_eq!(code, 0, "{args:?}: {told}");
        serde_json::from_str::<Value>(&told).unwrap()
    };
    for text in ["My sister plays the violin in Vienna", "The car needs new tyres"] {
        call(&["add", text, "--user", "ana"]);
    }
    let found = call(&["search", "sister violin", "--user", "ana", "--top-k", "1", "--explain"]);
    assert_eq!(found["results"][0]["memory"], "My sister plays the violin in Vienna");
    assert!(found["results"][0]["explanation"]["signals"].to_string().contains("dense"), "{found}");
    assert_eq!(call(&["stats"])["store"]["embedder"], "openai:hashed:8");

    // The built-in one can't search what another filled, and says how to; what asks no questions needs neither.
    let refused = place.run(&["search", "violin", "--user", "ana"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("set MNEMON_EMBEDDER=openai:hashed and MNEMON_EMBEDDER_DIMS=8"),
        "{}",
        refused.stderr
    );
    let export = place.path("export.jsonl").display().to_string();
    assert_eq!(place.run(&["export", &export]).code, 0);
    let built_in = ["--store", "sqlite:built-in.db"];
    let ran = place.run(&[&["import", &export, "--reembed"][..], &built_in].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let found = place.texts(&[&["search", "violin", "--user", "ana", "--top-k", "1"][..], &built_in].concat());
    assert_eq!(found, ["My sister plays the violin in Vienna"]);
    // And back, in a store of the model's own.
    call(&["import", &export, "--store", "sqlite:again.db"]);
    call(&["import", &export, "--reembed", "--store", "sqlite:anew.db"]);
    let found = call(&["search", "violin", "--user", "ana", "--top-k", "1", "--store", "sqlite:anew.db"]);
    assert_eq!(found["results"][0]["memory"], "My sister plays the violin in Vienna");
}

#[test]
fn what_is_wrong_with_a_model_is_told() {
    let endpoint = EmbeddingsEndpoint::start(hashed);
    let place = Place::new();
    let add = ["add", "x", "--user", "ana"];
    let (exit, told) = run(&place, NOBODY, "8", &add);
    assert_eq!((exit, code(&told).as_str()), (1, "embedder_unavailable"), "{told}");
    let (exit, told) = run(&place, endpoint.url(), "9", &["add", "x", "--user", "ana", "--store", "sqlite:nine.db"]);
    assert_eq!((exit, code(&told).as_str()), (1, "embedder_dims"), "{told}");
    let elsewhere = endpoint.url().replace("/v1", "/v2");
    let (exit, told) = run(&place, &elsewhere, "8", &add);
    assert_eq!((exit, code(&told).as_str()), (1, "embedder_refused"), "{told}");
    let (exit, told) = run(&place, "localhost:1/v1", "8", &add);
    assert_eq!((exit, code(&told).as_str()), (1, "embedder_settings"), "{told}");
    // None of them made a store, which would keep to the dims that were wrong.
    assert!(!place.path("store.db").exists() && !place.path("nine.db").exists());

    let output = place.command(&["list"]).env("MNEMON_EMBEDDER", "openai:unheard-of").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MNEMON_EMBEDDER_DIMS"));
    let output = place.command(&["list"]).env("MNEMON_EMBEDDER_DIMS", "many").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_server_whose_embedder_is_away_says_so() {
    let place = Place::new();
    let endpoint = EmbeddingsEndpoint::start(hashed);
    assert_eq!(run(&place, endpoint.url(), "8", &["add", "My sister plays the violin", "--user", "ana"]).0, 0);
    let mut command = place.bare();
    command.args(["--json", "serve", "--bind", "127.0.0.1:0", "--auth", "off"]);
    command.env("MNEMON_EMBEDDER", "openai:hashed").env("MNEMON_EMBEDDER_URL", NOBODY).env("MNEMON_EMBEDDER_DIMS", "8");
    let mut child = command.env("MNEMON_LOG", "error").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let mut stream = TcpStream::connect(said["listening"].as_str().unwrap().trim_start_matches("http://")).unwrap();
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
