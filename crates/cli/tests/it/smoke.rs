//! `mnemon smoke` against mnemon, unreachable servers, servers that misbehave, and through a proxy that disturbs requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{ChildStderr, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::sandbox::{Sandbox, check_refused};
use crate::serve::{Connection, ServerProcess, memory_ids};

/// A request that the test server received.
struct ReceivedRequest {
    method: String,
    path: String,
    /// Head and body as received.
    raw: Vec<u8>,
}

/// Starts a server that answers with `answer` and returns its address.
fn listen(answer: impl Fn(&ReceivedRequest, &mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || {
                if let Some((request, mut stream)) = read(stream) {
                    answer(&request, &mut stream);
                }
            });
        }
    });
    address
}

/// Reads one request. The connection is closed after the response.
fn read(stream: TcpStream) -> Option<(ReceivedRequest, TcpStream)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let start = head.len();
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
        let line = head[start..].to_ascii_lowercase();
        if let Some(found) = line.strip_prefix("content-length:") {
            length = found.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let raw = [head.as_bytes(), &body].concat();
    Some((ReceivedRequest { method, path, raw }, reader.into_inner()))
}

fn respond(stream: &mut TcpStream, status: u16, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all((head + &body).as_bytes());
}

/// Forwards a request to another server and its response back.
fn forward(request: &ReceivedRequest, stream: &mut TcpStream, to: &str) {
    let mut upstream = TcpStream::connect(to).unwrap();
    upstream.write_all(&request.raw).unwrap();
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).unwrap();
    let _ = stream.write_all(&answer);
}

/// A server with memories of two users, and their ids.
struct FilledServer {
    server: ServerProcess,
    _folder: tempfile::TempDir,
    before: Vec<Vec<String>>,
}

impl FilledServer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = ServerProcess::start(&folder.path().join("m.db"));
        for (key, texts) in
            [("ka", ["I drink green tea.", "My cup is amber."]), ("kb", ["Bob likes tea.", "Bob has a cup."])]
        {
            for text in texts {
                let body = json!({"messages": text, "metadata": {"colour": "amber"}, "infer": false});
                let added = Connection::open(&server.address).unwrap().call("POST", "/memories", key, &body).unwrap();
                assert_eq!(added.0, 200, "{}", added.1);
            }
        }
        let mut filled = Self { server, _folder: folder, before: Vec::new() };
        filled.before = filled.memory_ids();
        filled
    }

    fn memory_ids(&self) -> Vec<Vec<String>> {
        let of = |key| {
            let mut ids: Vec<_> = memory_ids(&self.server.address, key).into_iter().collect();
            ids.sort();
            ids
        };
        vec![of("ka"), of("kb")]
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }
}

/// Runs with `--json` and returns exit code and report.
fn smoke(url: &str, key: &str, more: &[&str]) -> (i32, Value) {
    let result = Sandbox::new().run(&[&["smoke", "--url", url, "--api-key", key, "--json"], more].concat());
    let report = serde_json::from_str(&result.stdout).unwrap_or_else(|_| panic!("{}{}", result.stdout, result.stderr));
    (result.code, report)
}

fn status<'r>(report: &'r Value, name: &str) -> (&'r str, &'r str) {
    let check = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap();
    (check["status"].as_str().unwrap(), check["detail"].as_str().unwrap_or_default())
}

#[test]
fn mnemon_passes_and_keeps_no_test_data() {
    let filled = FilledServer::new();
    for (key, more) in [("ka", &[][..]), ("kb", &["--user", "bob"])] {
        let (code, report) = smoke(&filled.url(), key, more);
        assert_eq!((code, &report["ok"], &report["left_behind"]), (0, &json!(true), &json!([])), "{report:#}");
        assert_eq!(report["server"], format!("mnemon {}", env!("CARGO_PKG_VERSION")));
        assert_eq!(report["url"], filled.url());
        for check in report["checks"].as_array().unwrap() {
            let expected = if check["name"] == "chat" { "skipped" } else { "ok" };
            assert_eq!(check["status"], expected, "{report:#}");
            assert!(check["ms"].is_u64());
        }
        assert_eq!(status(&report, "stats").1, "3, then 4 memories");
        assert_eq!(filled.memory_ids(), filled.before);
    }
}

#[test]
fn text_output_has_a_line_per_check_and_a_verdict() {
    let filled = FilledServer::new();
    let url = filled.url() + "/";
    let result = Sandbox::new().command(&["smoke", "--url", &url]).env("MEM0_API_KEY", "ka").output().unwrap();
    let text = String::from_utf8(result.stdout).unwrap();
    assert_eq!((result.status.code(), String::from_utf8_lossy(&result.stderr).as_ref()), (Some(0), ""), "{text}");
    let names: Vec<_> = text.lines().filter_map(|line| line.get(9..19)).map(str::trim).take(15).collect();
    assert_eq!(
        names,
        [
            "health",
            "key",
            "wrong key",
            "write",
            "read back",
            "stats",
            "list",
            "search",
            "filters",
            "update",
            "history",
            "graph",
            "chat",
            "delete",
            "clean up"
        ]
    );
    let verdict = text.lines().last().unwrap();
    let expected = format!("{} (mnemon {}): 14 checks ok, 1 skipped", filled.url(), env!("CARGO_PKG_VERSION"));
    assert_eq!(verdict, expected);
    assert_eq!(filled.memory_ids(), filled.before);
}

#[test]
fn an_unreachable_server_is_reported() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{unused}");
    check_refused(&Sandbox::new(), &["smoke", "--url", &url, "--api-key", "k"], 1, "can't reach the server");
    for (wrong, hint) in [
        (&["--url", "localhost:8000"][..], "give a URL"),
        (&["--url", &url, "--timeout", "soon"], "give a time"),
        (&["--url", &url, "--user", "*"], "--user"),
        (&["--url", &url, "--api-key", " "], "the API key is blank"),
    ] {
        check_refused(&Sandbox::new(), &[&["smoke"], wrong].concat(), 2, hint);
    }
    assert_eq!(Sandbox::new().run(&["smoke"]).code, 2);
}

#[test]
fn a_wrong_key_is_reported_and_nothing_is_written() {
    let filled = FilledServer::new();
    for (key, more) in [("nobody-has-this", &[][..]), ("ka", &["--user", "bob"])] {
        let (code, report) = smoke(&filled.url(), key, more);
        assert_eq!((code, &report["ok"]), (3, &json!(false)), "{report:#}");
        let (output, detail) = status(&report, "key");
        assert_eq!(output, "failed");
        assert!(detail.contains("--api-key") && !detail.contains("nobody-has-this"), "{detail}");
        assert_eq!(status(&report, "write"), ("skipped", "the key was refused"));
    }
    assert_eq!(filled.memory_ids(), filled.before);
}

#[test]
fn a_server_that_accepts_everything_fails() {
    let address = listen(|_, stream| respond(stream, 200, &json!({})));
    let (code, report) = smoke(&format!("http://{address}"), "k", &[]);
    assert_eq!(code, 3);
    assert!(status(&report, "wrong key").1.contains("a wrong key was accepted"), "{report:#}");
    let (output, detail) = status(&report, "write");
    assert!(output == "failed" && detail.contains("writes are lost"), "{report:#}");
    assert_eq!(status(&report, "search").0, "skipped");
}

#[test]
fn a_server_that_loses_writes_fails() {
    let address = listen(|request, stream| match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/memories") => {
            let body = request.raw.split(|byte| *byte == b'{').skip(1).collect::<Vec<_>>().join(&b'{');
            let body: Value = serde_json::from_slice(&[b"{", body.as_slice()].concat()).unwrap();
            let memory = &body["messages"][0]["content"];
            respond(stream, 200, &json!({"results": [{"id": "m-1", "memory": memory, "event": "ADD"}]}));
        }
        _ => respond(stream, 200, &json!({"results": []})),
    });
    let (code, report) = smoke(&format!("http://{address}"), "k", &["--user", "ana"]);
    assert_eq!((code, status(&report, "write").0), (3, "ok"), "{report:#}");
    let (output, detail) = status(&report, "read back");
    assert!(output == "failed" && detail.contains("m-1 was acknowledged but is missing"), "{report:#}");
    assert_eq!(status(&report, "search").0, "failed");
}

/// A backend around mem0 of the kind that mnemon replaces: `/memories/ID` lists the memories of a user, adds do not return what
/// they stored, run ids are not supported, and the user is required.
fn legacy(memories: Arc<Mutex<Vec<Value>>>) -> String {
    listen(move |request, stream| {
        let (status, body) = legacy_answer(request, &mut memories.lock().unwrap());
        respond(stream, status, &body);
    })
}

fn legacy_answer(request: &ReceivedRequest, memories: &mut Vec<Value>) -> (u16, Value) {
    let text = String::from_utf8_lossy(&request.raw);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let path = request.path.split('?').next().unwrap();
    if path != "/health" && !head.to_ascii_lowercase().contains("x-api-key: legacy-key") {
        return (401, json!({"detail": "Invalid API key"}));
    }
    let index = |id: &str, memories: &[Value]| memories.iter().position(|memory| memory["id"] == id);
    let not_found = (404, json!({"detail": "Not Found"}));
    let segments: Vec<_> = path.split('/').skip(1).collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["health"]) => (200, json!({"status": "healthy"})),
        ("POST", ["memories" | "chat"] | ["memories", "search"]) if body["user_id"] != "ana" => {
            (422, json!({"detail": [{"loc": ["body", "user_id"], "msg": "Field required"}]}))
        }
        ("POST", ["memories"]) => {
            let id = format!("00000000-0000-4000-8000-{:012}", memories.len() + 1);
            let memory = &body["messages"][0]["content"];
            memories.push(json!({"id": id, "memory": memory, "user_id": "ana", "metadata": body["metadata"]}));
            (200, json!({"status": "success"}))
        }
        ("POST", ["memories", "search"]) => {
            let colour = &body["filters"]["colour"];
            let found = memories.iter().filter(|memory| colour.is_null() || memory["metadata"]["colour"] == *colour);
            (200, json!({"memories": found.collect::<Vec<_>>()}))
        }
        ("POST", ["chat"]) => {
            memories.push(json!({"id": "of-the-chat", "memory": body["message"], "user_id": "ana", "metadata": null}));
            (200, json!({"response": "From an amber cup."}))
        }
        ("GET", ["memories", "ana"]) => (200, json!({"memories": memories})),
        ("GET", ["memories", _]) => (403, json!({"detail": "Not your user"})),
        ("GET", ["memories"]) => (405, json!({"detail": "Method Not Allowed"})),
        ("PUT", ["memories", id]) => match (index(id, memories), body["data"].as_str()) {
            (_, None) => (422, json!({"detail": "data is required"})),
            (None, _) => (404, json!({"detail": "no such memory"})),
            (Some(index), Some(text)) => {
                memories[index]["memory"] = text.into();
                (200, json!({"status": "success"}))
            }
        },
        ("DELETE", ["memories", id]) => match index(id, memories) {
            None => (404, json!({"detail": "no such memory"})),
            Some(index) => {
                memories.remove(index);
                (200, json!({"status": "success"}))
            }
        },
        ("GET", ["stats", "ana"]) => (200, json!({"stats": {"total_memories": memories.len()}})),
        ("GET", ["graph", ..]) => (410, json!({"detail": "Gone"})),
        _ => not_found,
    }
}

#[test]
fn a_legacy_backend_passes() {
    let before =
        vec![json!({"id": "old", "memory": "I drink green tea.", "user_id": "ana", "metadata": {"colour": "amber"}})];
    let memories = Arc::new(Mutex::new(before.clone()));
    let address = legacy(memories.clone());
    let (code, report) = smoke(&format!("http://{address}"), "legacy-key", &["--user", "ana"]);
    assert_eq!((code, &report["left_behind"]), (0, &json!([])), "{report:#}");
    for check in report["checks"].as_array().unwrap() {
        let expected = if check["name"] == "history" { "skipped" } else { "ok" };
        assert_eq!(check["status"], expected, "{report:#}");
    }
    // The memory that the chat stored was deleted as well.
    assert_eq!(*memories.lock().unwrap(), before);

    let (code, report) = smoke(&format!("http://{address}"), "legacy-key", &[]);
    assert_eq!((code, status(&report, "write").0), (3, "failed"), "{report:#}");
    assert!(status(&report, "write").1.contains("--user"), "{report:#}");
    assert_eq!(*memories.lock().unwrap(), before);
}

/// A proxy to our server that answers 500 to some requests.
fn failing_at(filled: &FilledServer, method: &'static str, part: &'static str, times: u32) -> String {
    let (to, left) = (filled.server.address.clone(), AtomicU32::new(times));
    listen(move |request, stream| {
        let matches = request.method == method && request.path.contains(part);
        let fails =
            matches && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { respond(stream, 500, &json!({"detail": "disk failure"})) } else { forward(request, stream, &to) }
    })
}

#[test]
fn test_data_is_deleted_when_a_check_fails() {
    let filled = FilledServer::new();
    let always = u32::MAX;
    for (method, part, times, check) in [
        ("POST", "/search", always, "search"),
        ("PUT", "/memories/", always, "update"),
        ("GET", "/stats/", always, "stats"),
        ("GET", "/history", always, "history"),
        ("DELETE", "/memories/", 1, "delete"),
    ] {
        let address = failing_at(&filled, method, part, times);
        let (code, report) = smoke(&format!("http://{address}"), "ka", &[]);
        let (output, detail) = status(&report, check);
        assert_eq!((code, output), (3, "failed"), "{check}: {report:#}");
        assert!(detail.contains("disk failure"), "{check}: {detail}");
        assert_eq!(status(&report, "clean up").0, "ok", "{check}: {report:#}");
        assert_eq!(filled.memory_ids(), filled.before, "{check}");
    }
}

#[test]
fn test_data_that_cannot_be_deleted_is_listed() {
    let filled = FilledServer::new();
    let address = failing_at(&filled, "DELETE", "/memories/", u32::MAX);
    let (code, report) = smoke(&format!("http://{address}"), "ka", &[]);
    assert_eq!((code, status(&report, "clean up").0), (3, "failed"), "{report:#}");
    let left: Vec<_> =
        report["left_behind"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    let mut new = filled.memory_ids().remove(0);
    new.retain(|id| !filled.before[0].contains(id));
    assert_eq!((left.len(), left), (2, new));
}

#[test]
fn a_write_without_a_response_is_found_and_deleted() {
    let filled = FilledServer::new();
    let to = filled.server.address.clone();
    let address = listen(move |request, stream| {
        if request.method == "POST" && request.path == "/memories" {
            // The write is stored, but its response is lost.
            let (mut discarded, _other_end) = pair();
            forward(request, &mut discarded, &to);
        } else {
            forward(request, stream, &to);
        }
    });
    let (code, report) = smoke(&format!("http://{address}"), "ka", &[]);
    assert_eq!((code, status(&report, "write").0), (3, "failed"), "{report:#}");
    assert_eq!(status(&report, "clean up").0, "ok", "{report:#}");
    assert_eq!(filled.memory_ids(), filled.before);
}

/// Both ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

#[cfg(unix)]
#[test]
fn ctrl_c_deletes_the_test_data() {
    let filled = FilledServer::new();
    let to = filled.server.address.clone();
    let process = Arc::new(Mutex::new(None::<(u32, BufReader<ChildStderr>)>));
    let signalled = process.clone();
    let address = listen(move |request, stream| {
        // The two test memories exist by now.
        if request.path.contains("/history") {
            let mut process = signalled.lock().unwrap();
            let (id, stderr) = process.as_mut().unwrap();
            assert!(std::process::Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap().success());
            let mut line = String::new();
            stderr.read_line(&mut line).unwrap();
            assert!(line.starts_with("interrupted: "), "{line}");
        }
        forward(request, stream, &to);
    });
    let mut held = process.lock().unwrap();
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .std_command()
        .args(["smoke", "--url", &format!("http://{address}"), "--api-key", "ka"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    *held = Some((child.id(), BufReader::new(child.stderr.take().unwrap())));
    drop(held);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let line = |name: &str| text.lines().find(|line| line.get(9..19).map(str::trim) == Some(name)).unwrap();
    assert!(line("history").starts_with("ok"), "{text}");
    assert!(line("delete").starts_with("skipped") && line("delete").ends_with("interrupted"), "{text}");
    assert!(line("clean up").starts_with("ok"), "{text}");
    assert!(text.contains("not all checks were run"), "{text}");
    assert_eq!(filled.memory_ids(), filled.before);
}
