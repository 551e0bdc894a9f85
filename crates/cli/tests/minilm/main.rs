//! The local MiniLM with its real weights: download, list, add and search.
//!
//! MNEMON_TEST_MINILM is the folder with the weights (`compat/minilm/setup.sh` creates one). Without it, or without the feature
//! `minilm`, these tests are reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

#[path = "../shared/sandbox.rs"]
#[expect(dead_code, reason = "shared with the tests in it/")]
mod sandbox;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use mnemon_testbed::trials::Trials;
use sandbox::Sandbox;

type Test = fn(&Path);

const TESTS: [(&str, Test); 3] = [
    ("a_model_is_downloaded_once_and_used", a_model_is_downloaded_once_and_used),
    ("a_model_is_downloaded_from_a_site", a_model_is_downloaded_from_a_site),
    ("damaged_weights_are_found_and_replaced", damaged_weights_are_found_and_replaced),
];

fn main() {
    let folder = std::env::var_os("MNEMON_TEST_MINILM").map(PathBuf::from).filter(|_| cfg!(feature = "minilm"));
    let missing = "MNEMON_TEST_MINILM is not set, or the feature `minilm` is off";
    let mut trials = Trials::new();
    for (name, test) in TESTS {
        let found = folder.clone();
        trials.add(name, folder.is_none().then_some(missing), move || test(&found.unwrap()));
    }
    trials.run();
}

fn a_model_is_downloaded_once_and_used(weights: &Path) {
    let sandbox = Sandbox::new();
    let weights = weights.display().to_string();
    let pulled = sandbox.json(&["models", "pull", "minilm", "--from", &weights]);
    assert_eq!((&pulled["fetched"], &pulled["ready"], &pulled["dims"]), (&true.into(), &true.into(), &384.into()));
    let mut names: Vec<_> =
        fs::read_dir(pulled["folder"].as_str().unwrap()).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors", "vocab.txt"]);
    // Nothing is downloaded if it is already installed.
    assert_eq!(sandbox.json(&["models", "pull", "minilm"])["fetched"], false);
    assert_eq!(sandbox.json(&["models", "list"])["models"][1]["ready"], true);

    let minilm = ["--embedder", "minilm"];
    for text in ["My sister plays the violin in Vienna", "The car needs new tyres"] {
        sandbox.json(&[&["add", text, "--user", "ana"][..], &minilm].concat());
    }
    assert_eq!(sandbox.json(&["stats"])["store"]["embedder"], "minilm:all-MiniLM-L6-v2:384");
    // No word of the query is in the text.
    let found =
        sandbox.json(&[&["search", "Is anybody in the family a musician?", "--user", "ana"][..], &minilm].concat());
    assert_eq!(found["results"][0]["memory"], "My sister plays the violin in Vienna");
    // The same model in another folder can search the same store. `list` needs no model.
    let elsewhere = format!("minilm:{weights}");
    sandbox.json(&["search", "violin", "--user", "ana", "--embedder", &elsewhere]);
    assert_eq!(sandbox.json(&["list", "--embedder", "minilm:nowhere"])["results"].as_array().unwrap().len(), 2);
    let (code, output) = sandbox.json_error(&["search", "violin", "--user", "ana"]);
    assert_eq!((code, output["error"]["code"].as_str()), (1, Some("embedder_mismatch")), "{output}");
}

fn a_model_is_downloaded_from_a_site(weights: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let weights = weights.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let path = head[0].split(' ').nth(1).unwrap();
            let name = path.strip_prefix("/sentence-transformers/all-MiniLM-L6-v2/resolve/main/").unwrap();
            let mut file = File::open(weights.join(name)).unwrap();
            let length = file.metadata().unwrap().len();
            write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n").unwrap();
            std::io::copy(&mut file, &mut stream).unwrap();
        }
    });
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["models", "pull", "minilm", "--json"]);
    let output = command.env("MNEMON_MODELS_URL", url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pulled: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&pulled["fetched"], &pulled["ready"]), (&true.into(), &true.into()));
}

fn damaged_weights_are_found_and_replaced(weights: &Path) {
    let sandbox = Sandbox::new();
    let from = weights.display().to_string();
    let pulled = sandbox.json(&["models", "pull", "minilm", "--from", &from]);
    let file = Path::new(pulled["folder"].as_str().unwrap()).join("model.safetensors");
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(1 << 20).unwrap();
    let listed = sandbox.json(&["models", "list"]);
    assert_eq!(listed["models"][1]["ready"], false);
    assert!(listed["models"][1]["problem"].as_str().unwrap().contains("model.safetensors"), "{listed}");
    let (code, output) = sandbox.json_error(&["add", "x", "--user", "ana", "--embedder", "minilm"]);
    assert_eq!((code, output["error"]["code"].as_str()), (1, Some("embedder_failed")), "{output}");
    assert_eq!(sandbox.json(&["models", "pull", "minilm", "--from", &from])["ready"], true);
    sandbox.json(&["add", "x", "--user", "ana", "--embedder", "minilm"]);
}
