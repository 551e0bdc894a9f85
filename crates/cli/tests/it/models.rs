//! A local model that is not there, or not as it should be. What works with its weights is tried by `--test minilm`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use crate::place::{Place, check_refused};

const FOLDER: &str = "data/mnemon/models/all-MiniLM-L6-v2";

/// Fails with this exit code and code, and says this.
fn check_fails(place: &Place, args: &[&str], exit: i32, code: &str, says: &str) {
    let ran = place.run(&[args, &["--json"]].concat());
    let told: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!((ran.code, told["error"]["code"].as_str()), (exit, Some(code)), "{told}");
    assert!(told["error"]["message"].as_str().unwrap().contains(says), "{told}");
}

#[test]
fn without_weights_it_is_told_how_to_get_them() {
    let place = Place::new();
    let add = ["add", "x", "--user", "ana", "--embedder", "minilm"];
    check_fails(&place, &add, 1, "embedder_settings", "mnemon models pull minilm");
    let serve = ["serve", "--bind", "127.0.0.1:0", "--auth", "off", "--embedder", "minilm"];
    check_fails(&place, &serve, 1, "embedder_settings", FOLDER);
    assert!(!place.path("store.db").exists(), "a store was made for a model that is not there");
    check_fails(&place, &["models", "pull", "minilm"], 2, "usage", "MNEMON_MODELS_URL");
    for wrong in ["minilm:", "minilml12", "openai:"] {
        check_refused(&place, &["list", "--embedder", wrong], 2, "embedder is");
    }

    let listed = place.json(&["models", "list"]);
    assert_eq!(listed["models"][0]["name"], "builtin");
    assert_eq!(listed["models"][0]["ready"], true);
    assert_eq!((&listed["models"][1]["ready"], &listed["models"][1]["bytes"]), (&false.into(), &0.into()));
    assert!(listed["models"][1]["folder"].as_str().unwrap().ends_with(FOLDER), "{listed}");
    let ran = place.run(&["models", "list", "--embedder", "minilm:elsewhere"]);
    assert!(ran.stdout.contains("not here") && ran.stdout.contains("elsewhere"), "{}", ran.stdout);
}

#[test]
fn what_is_no_model_is_not_kept() {
    let place = Place::new();
    let pull = |from: &str, exit: i32, code: &str, says: &str| {
        check_fails(&place, &["models", "pull", "minilm", "--from", from], exit, code, says);
        let left = std::fs::read_dir(place.path(FOLDER)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{from}");
    };
    pull("nowhere", 2, "usage", "nowhere");
    pull(&place.file("notes.txt", "no archive"), 2, "usage", "neither a folder nor");
    std::fs::create_dir(place.path("model")).unwrap();
    pull("model", 1, "download", "config.json");
    for name in ["config.json", "model.safetensors", "vocab.txt"] {
        place.file(&format!("model/{name}"), "{}");
    }
    pull("model", 1, "model", "nothing was changed");
    pull("http://127.0.0.1:1/model", 1, "download", "config.json");
}

/// Answers each request with these bytes, announced as `length`.
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
fn a_site_must_send_what_it_announces() {
    let place = Place::new();
    let pull = |url: &str, code: &str, says: &str| {
        check_fails(&place, &["models", "pull", "minilm", "--from", url], 1, code, says);
        assert_eq!(std::fs::read_dir(place.path(FOLDER)).unwrap().count(), 0, "{says}");
    };
    pull(&site("404 Not Found", 2, b"{}"), "download", "404");
    pull(&site("200 OK", 100, b"{}"), "download", "config.json");
    pull(&site("200 OK", 1 << 40, b"{}"), "download", "another model");
    pull(&site("200 OK", 2, b"{}"), "model", "nothing was changed");
}
