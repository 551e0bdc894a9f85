//! `mnemon smoke`: against our server, one that is not there, one that loses what it is told, and with a hand on the wire.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{ChildStderr, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::place::{Place, check_refused};
use crate::serve::{Connection, Served, ids};

/// What a request says.
struct Asked {
    method: String,
    path: String,
    /// As it came, head and body.
    raw: Vec<u8>,
}

/// A server that answers as `answer` says; its address.
fn listen(answer: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || {
                if let Some((asked, mut stream)) = read(stream) {
                    answer(&asked, &mut stream);
                }
            });
        }
    });
    address
}

/// Reads one request; the connection is not used again.
fn read(stream: TcpStream) -> Option<(Asked, TcpStream)> {
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
    Some((Asked { method, path, raw }, reader.into_inner()))
}

fn say(stream: &mut TcpStream, status: u16, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all((head + &body).as_bytes());
}

/// Hands a request on to another server, and its answer back.
fn pass_on(asked: &Asked, stream: &mut TcpStream, to: &str) {
    let mut upstream = TcpStream::connect(to).unwrap();
    upstream.write_all(&asked.raw).unwrap();
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).unwrap();
    let _ = stream.write_all(&answer);
}

/// A server with memories of two users, and what they are.
struct Filled {
    served: Served,
    _folder: tempfile::TempDir,
    before: Vec<Vec<String>>,
}

impl Filled {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let served = Served::start(&folder.path().join("m.db"));
        for (key, texts) in
            [("ka", ["I drink green tea.", "My cup is amber."]), ("kb", ["Bob likes tea.", "Bob has a cup."])]
        {
            for text in texts {
                let body = json!({"messages": text, "metadata": {"colour": "amber"}, "infer": false});
                let added = Connection::open(&served.address).unwrap().call("POST", "/memories", key, &body).unwrap();
                assert_eq!(added.0, 200, "{}", added.1);
            }
        }
        let mut filled = Self { served, _folder: folder, before: Vec::new() };
        filled.before = filled.now();
        filled
    }

    fn now(&self) -> Vec<Vec<String>> {
        let of = |key| {
            let mut ids: Vec<_> = ids(&self.served.address, key).into_iter().collect();
            ids.sort();
            ids
        };
        vec![of("ka"), of("kb")]
    }

    fn url(&self) -> String {
        format!("http://{}", self.served.address)
    }
}

/// Runs with `--json`; its exit code and report.
fn smoke(url: &str, key: &str, more: &[&str]) -> (i32, Value) {
    let ran = Place::new().run(&[&["smoke", "--url", url, "--api-key", key, "--json"], more].concat());
    let report = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr));
    (ran.code, report)
}

fn status<'r>(report: &'r Value, name: &str) -> (&'r str, &'r str) {
    let check = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap();
    (check["status"].as_str().unwrap(), check["detail"].as_str().unwrap_or_default())
}

#[test]
fn our_server_passes_and_keeps_nothing() {
    let filled = Filled::new();
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
        assert_eq!(filled.now(), filled.before);
    }
}

#[test]
fn people_read_a_line_a_check_and_a_verdict() {
    let filled = Filled::new();
    let url = filled.url() + "/";
    let ran = Place::new().command(&["smoke", "--url", &url]).env("MEM0_API_KEY", "ka").output().unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    assert_eq!((ran.status.code(), String::from_utf8_lossy(&ran.stderr).as_ref()), (Some(0), ""), "{text}");
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
    assert_eq!(filled.now(), filled.before);
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{gone}");
    check_refused(&Place::new(), &["smoke", "--url", &url, "--api-key", "k"], 1, "can't reach the server");
    for (wrong, hint) in [
        (&["--url", "localhost:8000"][..], "give an address"),
        (&["--url", &url, "--timeout", "soon"], "give a time"),
        (&["--url", &url, "--user", "*"], "--user"),
        (&["--url", &url, "--api-key", " "], "the API key is blank"),
    ] {
        check_refused(&Place::new(), &[&["smoke"], wrong].concat(), 2, hint);
    }
    assert_eq!(Place::new().run(&["smoke"]).code, 2);
}

#[test]
fn a_wrong_key_is_told_and_writes_nothing() {
    let filled = Filled::new();
    for (key, more) in [("nobody-has-this", &[][..]), ("ka", &["--user", "bob"])] {
        let (code, report) = smoke(&filled.url(), key, more);
        assert_eq!((code, &report["ok"]), (3, &json!(false)), "{report:#}");
        let (told, detail) = status(&report, "key");
        assert_eq!(told, "failed");
        assert!(detail.contains("--api-key") && !detail.contains("nobody-has-this"), "{detail}");
        assert_eq!(status(&report, "write"), ("skipped", "the key was refused"));
    }
    assert_eq!(filled.now(), filled.before);
}

#[test]
fn a_server_that_says_yes_to_everything_fails() {
    let address = listen(|_, stream| say(stream, 200, &json!({})));
    let (code, report) = smoke(&format!("http://{address}"), "k", &[]);
    assert_eq!(code, 3);
    assert!(status(&report, "wrong key").1.contains("a wrong key was let in"), "{report:#}");
    let (told, detail) = status(&report, "write");
    assert!(told == "failed" && detail.contains("writes are lost"), "{report:#}");
    assert_eq!(status(&report, "search").0, "skipped");
}

#[test]
fn a_server_that_forgets_fails() {
    let address = listen(|asked, stream| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/memories") => {
            let body = asked.raw.split(|byte| *byte == b'{').skip(1).collect::<Vec<_>>().join(&b'{');
            let body: Value = serde_json::from_slice(&[b"{", body.as_slice()].concat()).unwrap();
            let memory = &body["messages"][0]["content"];
            say(stream, 200, &json!({"results": [{"id": "m-1", "memory": memory, "event": "ADD"}]}));
        }
        _ => say(stream, 200, &json!({"results": []})),
    });
    let (code, report) = smoke(&format!("http://{address}"), "k", &["--user", "ana"]);
    assert_eq!((code, status(&report, "write").0), (3, "ok"), "{report:#}");
    let (told, detail) = status(&report, "read back");
    assert!(told == "failed" && detail.contains("m-1 was acknowledged and is not there"), "{report:#}");
    assert_eq!(status(&report, "search").0, "failed");
}

/// A backend around mem0 as they were written before ours: a user's list stands where others have a memory, nobody says what was
/// stored, runs are unknown, and a user must be named.
fn legacy(memories: Arc<Mutex<Vec<Value>>>) -> String {
    listen(move |asked, stream| {
        let (status, body) = legacy_answer(asked, &mut memories.lock().unwrap());
        say(stream, status, &body);
    })
}

fn legacy_answer(asked: &Asked, memories: &mut Vec<Value>) -> (u16, Value) {
    let text = String::from_utf8_lossy(&asked.raw);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let path = asked.path.split('?').next().unwrap();
    if path != "/health" && !head.to_ascii_lowercase().contains("x-api-key: legacy-key") {
        return (401, json!({"detail": "Invalid API key"}));
    }
    let place = |id: &str, memories: &[Value]| memories.iter().position(|memory| memory["id"] == id);
    let not_found = (404, json!({"detail": "Not Found"}));
    let segments: Vec<_> = path.split('/').skip(1).collect();
    match (asked.method.as_str(), segments.as_slice()) {
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
        ("PUT", ["memories", id]) => match (place(id, memories), body["data"].as_str()) {
            (_, None) => (422, json!({"detail": "data is required"})),
            (None, _) => (404, json!({"detail": "no such memory"})),
            (Some(place), Some(text)) => {
                memories[place]["memory"] = text.into();
                (200, json!({"status": "success"}))
            }
        },
        ("DELETE", ["memories", id]) => match place(id, memories) {
            None => (404, json!({"detail": "no such memory"})),
            Some(place) => {
                memories.remove(place);
                (200, json!({"status": "success"}))
            }
        },
        ("GET", ["stats", "ana"]) => (200, json!({"stats": {"total_memories": memories.len()}})),
        ("GET", ["graph", ..]) => (410, json!({"detail": "Gone"})),
        _ => not_found,
    }
}

#[test]
fn an_older_backend_passes_in_its_own_dialect() {
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
    // What the chat remembered of the question is gone as well.
    assert_eq!(*memories.lock().unwrap(), before);

    let (code, report) = smoke(&format!("http://{address}"), "legacy-key", &[]);
    assert_eq!((code, status(&report, "write").0), (3, "failed"), "{report:#}");
    assert!(status(&report, "write").1.contains("--user"), "{report:#}");
    assert_eq!(*memories.lock().unwrap(), before);
}

/// Our server behind one that answers 500 to some requests.
fn failing_at(filled: &Filled, method: &'static str, part: &'static str, times: u32) -> String {
    let (to, left) = (filled.served.address.clone(), AtomicU32::new(times));
    listen(move |asked, stream| {
        let meant = asked.method == method && asked.path.contains(part);
        let fails = meant && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { say(stream, 500, &json!({"detail": "the disk is on fire"})) } else { pass_on(asked, stream, &to) }
    })
}

#[test]
fn what_was_written_goes_also_when_a_check_fails() {
    let filled = Filled::new();
    let forever = u32::MAX;
    for (method, part, times, check) in [
        ("POST", "/search", forever, "search"),
        ("PUT", "/memories/", forever, "update"),
        ("GET", "/stats/", forever, "stats"),
        ("GET", "/history", forever, "history"),
        ("DELETE", "/memories/", 1, "delete"),
    ] {
        let address = failing_at(&filled, method, part, times);
        let (code, report) = smoke(&format!("http://{address}"), "ka", &[]);
        let (told, detail) = status(&report, check);
        assert_eq!((code, told), (3, "failed"), "{check}: {report:#}");
        assert!(detail.contains("the disk is on fire"), "{check}: {detail}");
        assert_eq!(status(&report, "clean up").0, "ok", "{check}: {report:#}");
        assert_eq!(filled.now(), filled.before, "{check}");
    }
}

#[test]
fn what_can_not_be_deleted_is_named() {
    let filled = Filled::new();
    let address = failing_at(&filled, "DELETE", "/memories/", u32::MAX);
    let (code, report) = smoke(&format!("http://{address}"), "ka", &[]);
    assert_eq!((code, status(&report, "clean up").0), (3, "failed"), "{report:#}");
    let left: Vec<_> =
        report["left_behind"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    let mut new = filled.now().remove(0);
    new.retain(|id| !filled.before[0].contains(id));
    assert_eq!((left.len(), left), (2, new));
}

#[test]
fn a_write_whose_answer_is_lost_is_found_and_deleted() {
    let filled = Filled::new();
    let to = filled.served.address.clone();
    let address = listen(move |asked, stream| {
        if asked.method == "POST" && asked.path == "/memories" {
            // Stored, and the connection is cut before the answer is through.
            let (mut nowhere, _taken) = pair();
            pass_on(asked, &mut nowhere, &to);
        } else {
            pass_on(asked, stream, &to);
        }
    });
    let (code, report) = smoke(&format!("http://{address}"), "ka", &[]);
    assert_eq!((code, status(&report, "write").0), (3, "failed"), "{report:#}");
    assert_eq!(status(&report, "clean up").0, "ok", "{report:#}");
    assert_eq!(filled.now(), filled.before);
}

/// Two ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_nothing_behind() {
    let filled = Filled::new();
    let to = filled.served.address.clone();
    let process = Arc::new(Mutex::new(None::<(u32, BufReader<ChildStderr>)>));
    let signalled = process.clone();
    let address = listen(move |asked, stream| {
        // Two memories are there by now.
        if asked.path.contains("/history") {
            let mut process = signalled.lock().unwrap();
            let (id, stderr) = process.as_mut().unwrap();
            assert!(std::process::Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap().success());
            let mut line = String::new();
            stderr.read_line(&mut line).unwrap();
            assert!(line.starts_with("interrupted: "), "{line}");
        }
        pass_on(asked, stream, &to);
    });
    let mut held = process.lock().unwrap();
    let place = Place::new();
    let mut child = place
        .bare()
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
    assert!(text.contains("not all was tried"), "{text}");
    assert_eq!(filled.now(), filled.before);
}
