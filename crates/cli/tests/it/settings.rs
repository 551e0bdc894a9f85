//! Settings from flags, environment and file.

use crate::sandbox::{CommandResult, Sandbox, check_refused};

#[test]
fn the_environment_sets_the_scope() {
    let sandbox = Sandbox::new();
    let set = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env("MNEMON_USER", "42").env("MNEMON_RUN", "r1");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    set(&["add", "of 42"]);
    set(&["add", "of ana", "--user", "ana"]);
    assert_eq!(sandbox.texts(&["list", "--user", "42", "--run", "r1"]), ["of 42"]);
    assert_eq!(sandbox.texts(&["list", "--user", "ana", "--run", "r1"]), ["of ana"]);
    assert!(set(&["search", "of", "--json"]).contains("of 42"));
    assert!(!set(&["list"]).contains("of ana"));
    assert!(set(&["stats"]).contains("memory count  1"));
}

#[test]
fn a_settings_file_is_found_or_given() {
    let sandbox = Sandbox::new();
    sandbox.file("mnemon.toml", "user = \"ana\"\nstore = \"sqlite:ignored.db\"\n");
    let result = sandbox.run(&["add", "from the folder"]);
    assert_eq!(result.code, 0, "{}", result.stderr);
    assert!(!sandbox.path("ignored.db").exists());
    let named = sandbox.file("other.toml", "user = \"bea\"\n");
    assert_eq!(sandbox.run(&["add", "from the file named", "--config", &named]).code, 0);
    assert_eq!(sandbox.texts(&["list", "--user", "bea"]), ["from the file named"]);
    let output = sandbox.command(&["list", "--json"]).env("MNEMON_CONFIG", &named).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("from the file named"));
    assert!(sandbox.json(&["doctor"])["settings"].as_str().unwrap().ends_with("mnemon.toml"));
}

#[test]
fn the_shipped_default_file_can_be_used_as_it_is() {
    let sandbox = Sandbox::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/mnemon.default.toml");
    assert_eq!(sandbox.run(&["add", "x", "--user", "ana", "--config", shipped]).code, 0);
    assert_eq!(sandbox.texts(&["list"]), ["x"]);
}

#[test]
fn the_session_gap_separates_sessions() {
    let sandbox = Sandbox::new();
    let say = |time: &str, gap: &str| {
        let args = ["add", "x", "--user", "ana", "--timestamp", time, "--json"];
        let output = sandbox.command(&args).env("MNEMON_SESSION_GAP", gap).output().unwrap();
        let added: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        sandbox.json(&["get", added["results"][0]["id"].as_str().unwrap()])["session"].clone()
    };
    let first = say("2024-05-01T10:00:00Z", "30m");
    assert_eq!(say("2024-05-01T10:20:00Z", "30m"), first);
    let second = say("2024-05-01T11:00:00Z", "30m");
    assert_ne!(second, first);
    assert_eq!(say("2024-05-01T12:00:00Z", "2h"), second);
}

#[test]
fn the_default_store_is_in_the_data_directory() {
    let sandbox = Sandbox::new();
    let output = sandbox.command(&["add", "x", "--user", "ana"]).env_remove("MNEMON_STORE").output().unwrap();
    assert!(output.status.success());
    if cfg!(target_os = "linux") {
        assert!(sandbox.path("data/mnemon/mnemon.db").exists());
    }
}

#[test]
fn invalid_settings_are_explained() {
    let sandbox = Sandbox::new();
    let unknown = sandbox.file("unknown.toml", "stor = \"sqlite:x\"\n");
    let broken = sandbox.file("broken.toml", "store = \n");
    let wrong = sandbox.file("wrong.toml", "cache_mb = \"much\"\n");
    let gap = sandbox.file("gap.toml", "session_gap = \"a while\"\n");
    let table = sandbox.file("table.toml", "user = \"ana\"\n\n[embedder]\nurl = \"http://x\"\n");
    std::fs::write(sandbox.path("utf16.toml"), b"\xff\xfes\0t\0").unwrap();
    let not_text = sandbox.path("utf16.toml").display().to_string();
    for (args, hint) in [
        (&["list", "--store", "store.db"][..], "sqlite:PATH"),
        (&["list", "--store", "qdrant:localhost:6334/c"], "http://"),
        (&["list", "--store", "qdrant:http://localhost:6334"], "names no collection"),
        (&["list", "--store", "qdrant:http://localhost:6333/c"], "the gRPC port"),
        (&["list", "--store", "sqlite:"], "sqlite:PATH"),
        (&["list", "--config", "missing.toml"], "missing.toml"),
        (&["list", "--config", &unknown], "unknown.toml, line 1: `stor` is not a setting; did you mean `store`?"),
        (&["list", "--config", &broken], "broken.toml, line 1: "),
        (&["list", "--config", &wrong], "wrong.toml, line 1); give a whole number of MiB"),
        (&["list", "--config", &gap], "30m"),
        (&["list", "--config", &table], "embedder is a table"),
        (&["list", "--config", &not_text], "UTF-8"),
        (&["list", "--embedder", "gpt"], "embedder is `gpt` (--embedder); give `builtin`"),
        (&["serve", "--bind", "8000"], "bind is `8000` (--bind); give HOST:PORT"),
        (&["serve", "--auth", "no"], "auth is `no` (--auth); give `on` or `off`"),
    ] {
        check_refused(&sandbox, args, 2, hint);
    }
    let output = sandbox.command(&["list"]).env("MNEMON_CACHE_MB", "lots").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = sandbox.command(&["list"]).env("MNEMON_LEDGER", "sqlite:ledger.db").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "a ledger without a store in Qdrant");
    assert!(!sandbox.path("store.db").exists());
}

#[test]
fn an_unreachable_qdrant_is_named() {
    let sandbox = Sandbox::new();
    // Ports without a server.
    for (name, value, message) in [
        ("MNEMON_STORE", "qdrant:http://127.0.0.1:1/c", "Qdrant at http://127.0.0.1:1 is unavailable"),
        ("QDRANT_HOST", "127.0.0.1", "Qdrant at http://127.0.0.1:3 is unavailable"),
    ] {
        let mut command = sandbox.command(&["list"]);
        command.env_remove("MNEMON_STORE").env("QDRANT_PORT", "2").env("QDRANT_COLLECTION_NAME", "c").env(name, value);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(message) && stderr.contains("connection refused"), "{stderr}");
    }
}

#[test]
fn a_blank_variable_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "hers alone");
    for (name, value) in [("MNEMON_USER", ""), ("MNEMON_USER", "  "), ("MNEMON_STORE", ""), ("MNEMON_RUN", "")] {
        let output = sandbox.command(&["list"]).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(output.stdout.is_empty(), "{name}");
    }
}

#[test]
fn a_misspelt_variable_is_refused_and_an_unknown_one_reported() {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "something");
    let with = |variables: &[(&str, &str)], args: &[&str]| {
        CommandResult::of(sandbox.command(args).envs(variables.iter().copied()))
    };
    for (name, meant) in [("MNEMON_USR", "MNEMON_USER"), ("mnemon_user", "MNEMON_USER"), ("MNEMONBIND", "MNEMON_BIND")]
    {
        for args in [&["list"][..], &["add", "x", "--user", "ana"], &["serve"], &["migrate", "status"], &["doctor"]] {
            let refused = with(&[(name, "ana")], args);
            assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{name} {args:?}");
            let expected = format!("unknown variable {name}: did you mean {meant}?");
            assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
        }
        for args in ["--help", "--version", "help"] {
            assert_eq!(with(&[(name, "ana")], &[args]).code, 0, "{name} {args}");
        }
    }
    let unknown =
        with(&[("MNEMON_DATABASE", "x"), ("MNEMON_ZONE", "y"), ("MNEMON_PORT", "tcp://10.0.0.1:80")], &["list"]);
    assert_eq!(unknown.code, 0, "{}", unknown.stderr);
    assert!(unknown.stdout.contains("something") && unknown.stderr.trim().lines().count() == 1, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("MNEMON_DATABASE, MNEMON_ZONE"), "{}", unknown.stderr);
    let kubernetes = [
        ("MNEMON_PORT", "tcp://10.0.0.1:80"),
        ("MNEMON_SERVICE_HOST", "10.0.0.1"),
        ("MNEMON_SERVER_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("MNEMON_TEST_X", "1"),
        ("MNEMON_URL", "http://localhost"),
    ];
    let silent = with(&kubernetes, &["list"]);
    assert_eq!((silent.code, silent.stderr.as_str()), (0, ""));
}

#[test]
fn logs_go_to_stderr_when_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "something");
    let quiet = sandbox.run(&["list", "--json"]);
    assert_eq!(quiet.stderr, "");
    let output = sandbox.run(&["list", "--json", "-vv"]);
    assert_eq!(output.stdout, quiet.stdout);
    assert!(output.stderr.contains("DEBUG") && output.stderr.contains("store.db"), "{}", output.stderr);
}

#[test]
fn models_and_the_log_have_usable_settings() {
    let sandbox = Sandbox::new();
    let run = |variables: &[(&str, &str)]| {
        let mut command = sandbox.command(&["add", "x", "--user", "ana", "--infer", "--json"]);
        CommandResult::of(command.envs(variables.iter().copied()))
    };
    let llm = ("MNEMON_LLM", "openai:x");
    for variables in [
        &[llm, ("MNEMON_LLM_URL", "xx")][..],
        &[llm, ("OPENAI_BASE_URL", "localhost:4000/v1")],
        &[("MNEMON_LLM", "ollama:x"), ("OLLAMA_BASE_URL", "127.0.0.1:11434")],
        &[("MNEMON_EMBEDDER", "ollama:bge-m3"), ("OLLAMA_BASE_URL", "//h")],
        &[("MNEMON_RERANKER", "http:x"), ("MNEMON_RERANKER_URL", "h:1")],
        &[("MNEMON_LOG", "loud")],
        &[("MNEMON_LOG", "info,verbose")],
        &[("MNEMON_LOG", "mnemon_server=loud")],
        &[("MNEMON_LOG", "warn;debug")],
    ] {
        let result = run(variables);
        let (name, value) = variables.last().unwrap();
        assert_eq!(result.code, 2, "{variables:?}: {}", result.stderr);
        assert!(result.stderr.contains(name) && result.stderr.contains(value), "{variables:?}: {}", result.stderr);
    }
    for filter in
        ["debug", "WARN", "off", "3", "warn,mnemon_server=debug", "info,hyper=off", "mnemon", " info ", "[span]=info"]
    {
        let result = sandbox.command(&["list"]).env("MNEMON_LOG", filter).output().unwrap();
        assert_eq!(result.status.code(), sandbox.run(&["list"]).code.into(), "{filter}");
    }
    let warned = sandbox.command(&["list"]).env("MNEMON_LLM_TEMPERATURE", "0.1").output().unwrap();
    let stderr = String::from_utf8_lossy(&warned.stderr).into_owned();
    assert!(stderr.contains("MNEMON_LLM_TEMPERATURE") && stderr.contains("without effect"), "{stderr}");
}
