//! The local MiniLM through the binary: fetched, listed, and filling a store that only it may search.
//!
//! Its weights come from the folder that MNEMON_TEST_MINILM names (`compat/minilm/setup.sh` makes one). Where it names
//! none, or the feature `minilm` is off, these tests are reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod place;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Trial};
use place::Place;

type Test = fn(&Path);

const TESTS: [(&str, Test); 3] = [
    ("it_is_fetched_once_and_used", it_is_fetched_once_and_used),
    ("a_site_of_models_has_it", a_site_of_models_has_it),
    ("weights_that_were_damaged_are_found_and_mended", weights_that_were_damaged_are_found_and_mended),
];

fn main() {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os("MNEMON_TEST_MINILM").map(PathBuf::from).filter(|_| cfg!(feature = "minilm"));
    if folder.is_none() {
        eprintln!("skipped: minilm: MNEMON_TEST_MINILM is not set, or the feature `minilm` is off");
    }
    let trial = |(name, test): (&str, Test)| {
        let found = folder.clone();
        let run = move || {
            test(&found.unwrap());
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(folder.is_none())
    };
    libtest_mimic::run(&arguments, TESTS.into_iter().map(trial).collect()).exit();
}

fn it_is_fetched_once_and_used(weights: &Path) {
    let place = Place::new();
    let weights = weights.display().to_string();
    let pulled = place.json(&["models", "pull", "minilm", "--from", &weights]);
    assert_eq!((&pulled["fetched"], &pulled["ready"], &pulled["dims"]), (&true.into(), &true.into(), &384.into()));
    let mut names: Vec<_> =
        fs::read_dir(pulled["folder"].as_str().unwrap()).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config.json", "model.safetensors", "vocab.txt"]);
    // Nothing is asked of anybody when it is there.
    assert_eq!(place.json(&["models", "pull", "minilm"])["fetched"], false);
    assert_eq!(place.json(&["models", "list"])["models"][1]["ready"], true);

    let minilm = ["--embedder", "minilm"];
    for text in ["My sister plays the violin in Vienna", "The car needs new tyres"] {
        place.json(&[&["add", text, "--user", "ana"][..], &minilm].concat());
    }
    assert_eq!(place.json(&["stats"])["store"]["embedder"], "minilm:all-MiniLM-L6-v2:384");
    // No word of the question is in the text.
    let found =
        place.json(&[&["search", "Is anybody in the family a musician?", "--user", "ana"][..], &minilm].concat());
    assert_eq!(found["results"][0]["memory"], "My sister plays the violin in Vienna");
    // The same model in another folder searches the same store; what asks no questions needs none.
    let elsewhere = format!("minilm:{weights}");
    place.json(&["search", "violin", "--user", "ana", "--embedder", &elsewhere]);
    assert_eq!(place.json(&["list", "--embedder", "minilm:nowhere"])["results"].as_array().unwrap().len(), 2);
    let (code, told) = place.fails(&["search", "violin", "--user", "ana"]);
    assert_eq!((code, told["error"]["code"].as_str()), (1, Some("embedder_mismatch")), "{told}");
}

fn a_site_of_models_has_it(weights: &Path) {
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
    let place = Place::new();
    let mut command = place.command(&["models", "pull", "minilm", "--json"]);
    let output = command.env("MNEMON_MODELS_URL", url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pulled: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&pulled["fetched"], &pulled["ready"]), (&true.into(), &true.into()));
}

fn weights_that_were_damaged_are_found_and_mended(weights: &Path) {
    let place = Place::new();
    let from = weights.display().to_string();
    let pulled = place.json(&["models", "pull", "minilm", "--from", &from]);
    let file = Path::new(pulled["folder"].as_str().unwrap()).join("model.safetensors");
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(1 << 20).unwrap();
    let listed = place.json(&["models", "list"]);
    assert_eq!(listed["models"][1]["ready"], false);
    assert!(listed["models"][1]["problem"].as_str().unwrap().contains("model.safetensors"), "{listed}");
    let (code, told) = place.fails(&["add", "x", "--user", "ana", "--embedder", "minilm"]);
    assert_eq!((code, told["error"]["code"].as_str()), (1, Some("embedder_settings")), "{told}");
    assert_eq!(place.json(&["models", "pull", "minilm", "--from", &from])["ready"], true);
    place.json(&["add", "x", "--user", "ana", "--embedder", "minilm"]);
}
