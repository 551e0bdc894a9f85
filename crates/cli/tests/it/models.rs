//! `mnemon models` with a missing or invalid local model. `--test minilm` covers the real weights.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use crate::sandbox::{Sandbox, check_refused};

const FOLDER: &str = "data/mnemon/models/all-MiniLM-L6-v2";

/// Checks exit code, error code and message of a command that fails.
fn check_fails(sandbox: &Sandbox, args: &[&str], exit: i32, code: &str, message: &str) {
    let (found, output) = sandbox.json_error(args);
    assert_eq!((found, output["error"]["code"].as_str()), (exit, Some(code)), "{output}");
    assert!(output["error"]["message"].as_str().unwrap().contains(message), "{output}");
}

#[test]
fn missing_weights_are_explained() {
    let sandbox = Sandbox::new();
    let add = ["add", "x", "--user", "ana", "--embedder", "minilm"];
    check_fails(&sandbox, &add, 1, "embedder_failed", "mnemon models pull minilm");
    let serve = ["serve", "--bind", "127.0.0.1:0", "--auth", "off", "--embedder", "minilm"];
    check_fails(&sandbox, &serve, 1, "embedder_failed", FOLDER);
    assert!(!sandbox.path("store.db").exists(), "a store was created for a missing model");
    check_fails(&sandbox, &["models", "pull", "minilm"], 2, "usage", "MNEMON_MODELS_URL");
    for wrong in ["minilm:", "minilml12", "openai:"] {
        check_refused(&sandbox, &["list", "--embedder", wrong], 2, "embedder is");
    }

    let listed = sandbox.json(&["models", "list"]);
    assert_eq!(listed["models"][0]["name"], "builtin");
    assert_eq!(listed["models"][0]["ready"], true);
    assert_eq!((&listed["models"][1]["ready"], &listed["models"][1]["bytes"]), (&false.into(), &0.into()));
    assert!(listed["models"][1]["folder"].as_str().unwrap().ends_with(FOLDER), "{listed}");
    let result = sandbox.run(&["models", "list", "--embedder", "minilm:elsewhere"]);
    assert!(result.stdout.contains("not installed") && result.stdout.contains("elsewhere"), "{}", result.stdout);
}

#[test]
fn an_invalid_model_is_not_installed() {
    let sandbox = Sandbox::new();
    let pull = |from: &str, exit: i32, code: &str, says: &str| {
        check_fails(&sandbox, &["models", "pull", "minilm", "--from", from], exit, code, says);
        let left = std::fs::read_dir(sandbox.path(FOLDER)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{from}");
    };
    pull("nowhere", 2, "usage", "nowhere");
    pull(&sandbox.file("notes.txt", "no archive"), 2, "usage", "neither a folder nor");
    std::fs::create_dir(sandbox.path("model")).unwrap();
    pull("model", 1, "download", "config.json");
    for name in ["config.json", "model.safetensors", "vocab.txt"] {
        sandbox.file(&format!("model/{name}"), "{}");
    }
    pull("model", 1, "model", "nothing was changed");
    pull("http://127.0.0.1:1/model", 1, "download", "config.json");
}

/// Starts a site that answers each request with this body, announced with this length.
fn site(status: &'static str, length: usize, body: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/some/model", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        }
    });
    url
}

#[test]
fn incomplete_and_oversized_downloads_are_refused() {
    let sandbox = Sandbox::new();
    let pull = |url: &str, code: &str, says: &str| {
        check_fails(&sandbox, &["models", "pull", "minilm", "--from", url], 1, code, says);
        assert_eq!(std::fs::read_dir(sandbox.path(FOLDER)).unwrap().count(), 0, "{says}");
    };
    pull(&site("404 Not Found", 2, b"{}"), "download", "404");
    pull(&site("200 OK", 100, b"{}"), "download", "config.json");
    pull(&site("200 OK", 1 << 40, b"{}"), "download", "another model");
    pull(&site("200 OK", 2, b"{}"), "model", "nothing was changed");
}
