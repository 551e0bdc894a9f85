//! Other programs that open the store's file beside a server, such as viewers and backup tools: no acknowledged memory may
//! be lost.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::serve::{Connection, ServerProcess, memory_ids};

/// Whether a process has a lock on a file, according to the kernel. A list that is read while other locks come and go may lack
/// entries, so it is read again.
fn is_locked(process: u32, path: &Path) -> bool {
    (0..50).any(|_| {
        is_listed(process, path) || {
            std::thread::sleep(Duration::from_millis(2));
            false
        }
    })
}

fn is_listed(process: u32, path: &Path) -> bool {
    let inode = std::fs::metadata(path).unwrap().ino();
    std::fs::read_to_string("/proc/locks").unwrap().lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1) == Some(&"POSIX")
            && fields.get(4).and_then(|id| id.parse().ok()) == Some(process)
            && fields.get(5).and_then(|file| file.rsplit(':').next()?.parse().ok()) == Some(inode)
    })
}

/// Opens the file, reads it and closes it: once in this process, and once in Python if it is installed.
fn read_and_close(store: &Path) {
    let database = rusqlite::Connection::open(store).unwrap();
    let count: i64 = database.query_row("SELECT count(*) FROM memories", [], |row| row.get(0)).unwrap();
    assert!(count > 0);
    drop(database);
    python(
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT count(*) FROM memories').fetchone(); c.close()",
        &[store],
    );
}

/// Copies the file as a backup tool does, with SQLite's own interface and by reading its bytes.
fn back_up(store: &Path, to: &Path) {
    let (source, mut target) = (rusqlite::Connection::open(store).unwrap(), rusqlite::Connection::open(to).unwrap());
    let backup = rusqlite::backup::Backup::new(&source, &mut target).unwrap();
    backup.run_to_completion(100, Duration::ZERO, None).unwrap();
    drop(backup);
    std::fs::copy(store, to.with_extension("copy")).unwrap();
    python(
        "import sqlite3, sys; s = sqlite3.connect(sys.argv[1]); t = sqlite3.connect(sys.argv[2]); s.backup(t); t.close(); s.close()",
        &[store, &to.with_extension("python")],
    );
}

fn python(program: &str, files: &[&Path]) {
    match Command::new("python3").arg("-c").arg(program).args(files).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => eprintln!("skipped the part with Python: {error}"),
    }
}

#[test]
fn acknowledged_memories_survive_programs_that_read_the_file() {
    let sandbox = Sandbox::new();
    let store = sandbox.path("m.db");
    let mut acknowledged = HashSet::new();
    for round in 0..4 {
        let mut server = ServerProcess::start(&store);
        let mut connection = Connection::open(&server.address).unwrap();
        let mut add = || {
            let fact = json!({"messages": format!("round {round} saw bird {}", acknowledged.len()), "infer": false});
            let (status, answer) = connection.call("POST", "/memories", "ka", &fact).unwrap();
            assert_eq!(status, 200, "{answer}");
            acknowledged.insert(answer["results"][0]["id"].as_str().unwrap().to_owned());
        };
        let steps: [(&str, &dyn Fn()); 6] = [
            ("a reader", &|| read_and_close(&store)),
            ("a backup", &|| back_up(&store, &sandbox.path(&format!("backup-{round}")))),
            ("an export", &|| {
                let store = format!("sqlite:{}", store.display());
                assert_eq!(sandbox.run(&["--store", &store, "export", "export.jsonl"]).code, 0);
            }),
            ("a check", &|| {
                let store = format!("sqlite:{}", store.display());
                assert_eq!(sandbox.run(&["--store", &store, "doctor"]).code, 0);
            }),
            ("a search", &|| {
                let mut connection = Connection::open(&server.address).unwrap();
                let question = json!({"query": "which bird?", "top_k": 3});
                assert_eq!(connection.call("POST", "/search", "ka", &question).unwrap().0, 200);
            }),
            ("a last reader", &|| read_and_close(&store)),
        ];
        add();
        for (name, step) in steps {
            step();
            add();
            assert!(is_locked(server.child.id(), &store), "round {round}, {name}: the server has no lock on its file");
        }
        if round % 2 == 0 {
            server.signal("-KILL");
        } else {
            server.signal("-TERM");
        }
        server.child.wait().unwrap();
        let again = ServerProcess::start(&store);
        let found = memory_ids(&again.address, "ka");
        let lost = acknowledged.difference(&found).count();
        assert_eq!(lost, 0, "round {round}: of {} acknowledged memories", acknowledged.len());
    }
}

/// A command that is given its own store as a file reads nothing of it.
#[test]
fn the_store_itself_is_no_input() {
    let sandbox = Sandbox::new();
    sandbox.add("ana", "Ana lives in Linz.");
    std::fs::hard_link(sandbox.path("store.db"), sandbox.path("hard.db")).unwrap();
    std::os::unix::fs::symlink("store.db", sandbox.path("symbolic.db")).unwrap();
    for file in ["store.db", "hard.db", "symbolic.db", "./store.db"] {
        let commands: [&[&str]; 2] =
            [&["import", file, "--user", "ana"], &["add", "--messages", file, "--user", "ana"]];
        for command in commands {
            let (code, error) = sandbox.json_error(command);
            assert_eq!(code, 2, "{command:?}: {error}");
            let message = error["error"]["message"].as_str().unwrap();
            assert!(message.contains("is the store of Mnemon"), "{command:?}: {message}");
        }
        let (code, error) = sandbox.json_error(&["export", file]);
        assert_eq!(code, 4, "{error}");
    }
    let listed: Value = sandbox.json(&["list", "--user", "ana"]);
    assert_eq!(listed["results"].as_array().unwrap().len(), 1);
}
