//! `mnemon serve` as a process that is stopped and killed under load: no acknowledged memory may be lost.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::listening;
use crate::sandbox::Sandbox;

/// A server process; killed when dropped.
pub(crate) struct ServerProcess {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl ServerProcess {
    pub(crate) fn start(store: &Path) -> Self {
        Self::start_with(store, &[])
    }

    /// With these variables besides.
    pub(crate) fn start_with(store: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = Sandbox::new()
            .std_command()
            .args(["--json", "--store", &format!("sqlite:{}", store.display()), "serve", "--bind", "127.0.0.1:0"])
            .env("API_KEYS", r#"{"ka": "ana", "kb": "bob"}"#)
            .env("MNEMON_LOG", "error")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let address = listening::url(child.stdout.take().unwrap()).trim_start_matches("http://").to_owned();
        Self { child, address }
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that is kept open.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        Some(Self(BufReader::new(stream)))
    }

    /// Status and body; `None` if the connection was closed before the whole response was received.
    pub(crate) fn call(&mut self, method: &str, path: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all((head + &body).as_bytes()).ok()?;
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).ok()?;
            match line.trim_end().to_ascii_lowercase().strip_prefix("content-length:") {
                Some(found) => length = found.trim().parse().ok()?,
                None if line == "\r\n" => break,
                None => {}
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).ok()?;
        Some((status, serde_json::from_slice(&answer).ok()?))
    }
}

/// All ids of a user, page by page.
pub(crate) fn memory_ids(address: &str, key: &str) -> HashSet<String> {
    let mut connection = Connection::open(address).unwrap();
    let mut ids = HashSet::new();
    let mut path = "/memories?top_k=1000".to_owned();
    loop {
        let (status, page) = connection.call("GET", &path, key, &Value::Null).unwrap();
        assert_eq!(status, 200, "{page}");
        ids.extend(page["results"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/memories?top_k=1000&cursor={next}"),
            None => break,
        }
    }
    ids
}

/// Adds and searches with 16 connections until the server is stopped with `signal`. After a restart, all acknowledged memories
/// must exist.
#[track_caller]
fn check_survives(signal: &str, after: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("m.db");
    let mut server = ServerProcess::start(&store);
    let acknowledged = Arc::new(Mutex::new([HashSet::new(), HashSet::new()]));
    let stopped = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..16)
        .map(|writer| {
            let (address, acknowledged, stopped) = (server.address.clone(), acknowledged.clone(), stopped.clone());
            std::thread::spawn(move || {
                let (user, key) = [(0, "ka"), (1, "kb")][writer % 2];
                let mut connection = Connection::open(&address).unwrap();
                for number in 0.. {
                    let fact = json!({"messages": format!("writer {writer} saw bird {number}"), "infer": false});
                    let Some((status, answer)) = connection.call("POST", "/memories", key, &fact) else { break };
                    // Only a stopping server may refuse.
                    assert!(status == 200 || stopped.load(Ordering::SeqCst), "{status} {answer}");
                    if status == 200 {
                        let id = answer["results"][0]["id"].as_str().unwrap().to_owned();
                        acknowledged.lock().unwrap()[user].insert(id);
                    }
                    let question = json!({"query": "which bird?", "top_k": 3});
                    let Some((status, answer)) = connection.call("POST", "/search", key, &question) else { break };
                    assert!(status == 200 || stopped.load(Ordering::SeqCst), "{status} {answer}");
                }
            })
        })
        .collect();
    std::thread::sleep(after);
    stopped.store(true, Ordering::SeqCst);
    server.signal(signal);
    let exit = server.child.wait().unwrap();
    assert_eq!(exit.success(), signal == "-TERM", "{exit}");
    writers.into_iter().for_each(|writer| writer.join().unwrap());

    let again = ServerProcess::start(&store);
    let acknowledged = acknowledged.lock().unwrap();
    for (user, key) in [(0, "ka"), (1, "kb")] {
        let there = memory_ids(&again.address, key);
        let missing: Vec<_> = acknowledged[user].difference(&there).collect();
        assert!(acknowledged[user].len() > 10, "{}", acknowledged[user].len());
        assert!(missing.is_empty(), "{} of {} are missing", missing.len(), acknowledged[user].len());
    }
    eprintln!("{signal}: {} and {} acknowledged, all there", acknowledged[0].len(), acknowledged[1].len());
}

#[test]
fn acknowledged_memories_survive_a_stop() {
    check_survives("-TERM", Duration::from_millis(1500));
}

#[test]
fn acknowledged_memories_survive_a_kill() {
    for after in [400, 700, 1100] {
        check_survives("-KILL", Duration::from_millis(after));
    }
}

#[test]
fn new_keys_work_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("m.db");
    let server = ServerProcess::start(&store);
    let keys = |arguments: &[&str]| -> Value {
        let output = Sandbox::new()
            .std_command()
            .args(["--json", "--store", &format!("sqlite:{}", store.display()), "keys"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let made = keys(&["create", "--user", "cleo", "--label", "laptop"]);
    let secret = made["key"].as_str().unwrap();
    assert!(secret.starts_with("m0sk_") && secret.len() == 48, "{secret}");
    let mut connection = Connection::open(&server.address).unwrap();
    let mut status = |key: &str| connection.call("GET", "/memories", key, &Value::Null).unwrap().0;
    assert_eq!(status(secret), 200);
    assert_eq!(status(&secret.replace("m0sk_", "m0sk-")), 401);
    let listed = keys(&["list"]);
    assert_eq!(listed["keys"][0]["label"], "laptop");
    assert!(!listed.to_string().contains(secret), "a secret is shown once");
    keys(&["revoke", made["id"].as_str().unwrap()]);
    let refused = (0..40).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        status(secret) == 401
    });
    assert!(refused, "a revoked key is refused within a second or so");
}

#[test]
fn a_key_needs_a_user_or_admin() {
    let sandbox = Sandbox::new();
    let wrong: [&[&str]; 4] = [&[], &["--label", "laptop"], &["--read-only"], &["--user", "bob", "--admin"]];
    for arguments in wrong {
        assert_eq!(sandbox.run(&[&["keys", "create"], arguments].concat()).code, 2, "{arguments:?}");
    }
    assert!(sandbox.run(&["keys", "create", "--user", "bob"]).stdout.contains("the key of bob"));
    assert!(sandbox.run(&["keys", "create", "--admin", "--label", "mine"]).stdout.contains("the key of an admin"));
}

#[test]
fn a_server_without_authentication_is_local_only() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        Sandbox::new()
            .std_command()
            .args(["--store", &format!("sqlite:{}", folder.path().join("m.db").display()), "serve"])
            .args(arguments)
            .output()
            .unwrap()
    };
    let refused = run(&["--auth", "off", "--bind", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
    assert_eq!(run(&["--bind", "nowhere"]).status.code(), Some(2));
    assert!(!folder.path().join("m.db").exists());
}

#[test]
fn a_server_without_keys_makes_one_that_only_its_user_can_read() {
    let (sandbox, settings) = (Sandbox::new(), ["beside the store", "elsewhere"]);
    for place in settings {
        let store = sandbox.path(&format!("{place}.db"));
        let file = match place {
            "elsewhere" => sandbox.path("keys/first"),
            _ => sandbox.path("beside the store.db.first-key"),
        };
        let variables = [("API_KEYS", ""), ("MNEMON_FIRST_KEY_FILE", file.to_str().unwrap()), ("MNEMON_LOG", "warn")];
        let variables = if place == "elsewhere" { &variables[..] } else { &variables[..1] };
        let account = json!({"name": "Ana", "email": "ana@example.org", "password": "correct horse"});
        let server = ServerProcess::start_with(&store, variables);
        let secret = std::fs::read_to_string(&file).unwrap();
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions()) & 0o777, 0o600);
        let register = |key: &str| {
            let mut stream = TcpStream::connect(&server.address).unwrap();
            let body = account.to_string();
            let head = format!("POST /auth/register HTTP/1.1\r\nhost: localhost\r\n{key}connection: close\r\n");
            write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer[9..12].to_owned()
        };
        assert_eq!(register(""), "403");
        assert_eq!(register(&format!("x-api-key: {}\r\n", secret.trim())), "200");
        drop(server);
        std::fs::remove_file(&file).unwrap();
        drop(ServerProcess::start_with(&store, variables));
        let left: Vec<_> =
            std::fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_str().unwrap().contains("first")), "{left:?}");
    }
}
