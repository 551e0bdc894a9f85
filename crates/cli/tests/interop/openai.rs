//! OpenAI's own Python client against `mnemon serve`, whose language model is behind an endpoint.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use mnemon_testbed::{Reply, Service};
use serde_json::{Value, json};

pub(crate) fn its_client_gets_memory(version: &str) {
    let endpoint = Service::start(|_, asked| {
        let extracts = asked.body.to_string().contains("## New Messages");
        Reply::chat(asked, if extracts { r#"{"memory": []}"# } else { "You live in Lisbon [m1]." })
    });
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("m.db").display());
    let mnemon = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mnemon"));
        command.args(["--json", "--store", &store]).env("MNEMON_LOG", "error");
        command
    };
    assert!(mnemon().args(["add", "I live in Lisbon.", "--user", "ana"]).output().unwrap().status.success());
    let mut served = mnemon()
        .args(["serve", "--bind", "127.0.0.1:0"])
        .env("API_KEYS", r#"{"ka": "ana"}"#)
        .env("MNEMON_LLM", "openai:some-model")
        .env("MNEMON_LLM_URL", &endpoint.url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(served.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let base = format!("{}/v1", said["listening"].as_str().unwrap());

    let compat = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat/interop");
    let python = compat.join(format!(".venv-{version}/bin/python"));
    let output = Command::new(python).arg(compat.join("chat.py")).args([&base, "ka"]).output().unwrap();
    let _ = served.kill();
    let _ = served.wait();
    let errors = String::from_utf8_lossy(&output.stderr);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    let expected = json!({
        "whole": "You live in Lisbon [m1].", "finish": "stop", "memories": ["I live in Lisbon."],
        "pieces": ["You ", "live ", "in ", "Lisbon ", "[m1]."], "usage": true, "models": ["some-model"],
        "refused": "tools are not passed on to the language model: leave them out", "stranger": 401,
    });
    assert_eq!(told, expected, "{errors}");
}
