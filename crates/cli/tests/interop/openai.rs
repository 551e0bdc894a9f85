//! OpenAI's Python client against `mnemon serve` with a language model behind an endpoint.

use std::path::Path;
use std::process::{Command, Stdio};

use mnemon_testbed::{FakeService, Reply};
use serde_json::{Value, json};

use crate::listening;

pub(crate) fn openai_client_receives_memories(version: &str) {
    let endpoint = FakeService::start(|_, request| {
        let extracts = request.body.to_string().contains("## New Messages");
        Reply::chat(request, if extracts { r#"{"memory": []}"# } else { "You live in Lisbon [m1]." })
    });
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("m.db").display());
    let mnemon = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mnemon"));
        command.args(["--json", "--store", &store]).env("MNEMON_LOG", "error");
        command
    };
    assert!(mnemon().args(["add", "I live in Lisbon.", "--user", "ana"]).output().unwrap().status.success());
    let mut server = mnemon()
        .args(["serve", "--bind", "127.0.0.1:0"])
        .env("API_KEYS", r#"{"ka": "ana"}"#)
        .env("MNEMON_LLM", "openai:some-model")
        .env("MNEMON_LLM_URL", &endpoint.url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let base = format!("{}/v1", listening::url(server.stdout.take().unwrap()));

    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compat/interop");
    let python = clients.join(format!(".venv-{version}/bin/python"));
    let output = Command::new(python).arg(clients.join("chat.py")).args([&base, "ka"]).output().unwrap();
    let _ = server.kill();
    let _ = server.wait();
    let errors = String::from_utf8_lossy(&output.stderr);
    let output: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
    let expected = json!({
        "whole": "You live in Lisbon [m1].", "finish": "stop", "memories": ["I live in Lisbon."],
        "pieces": ["You ", "live ", "in ", "Lisbon ", "[m1]."], "usage": true, "models": ["some-model"],
        "refused": "tools are not supported", "stranger": 401,
    });
    assert_eq!(output, expected, "{errors}");
}
