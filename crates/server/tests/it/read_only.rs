//! A store that can only be read while the server runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::server::{ADMIN, ANA, TestServer, config};

/// Makes the files in a folder immutable or changeable; whether that worked. Permissions do not count for root. Shared memory
/// that is in use is left out: the system would end a process that writes to it.
fn chattr(flag: &str, folder: &Path) -> bool {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.to_string_lossy().ends_with("-shm"));
    paths.push(folder.to_owned());
    Command::new("chattr").arg(flag).args(paths).output().is_ok_and(|output| output.status.success())
}

async fn is_degraded(server: &TestServer) -> bool {
    let health = server.get("", "/health").await.expect(200);
    let is_named = health["warnings"].to_string().contains("can only be read");
    assert_eq!(health["degraded"] == json!(true), is_named, "{health}");
    is_named
}

#[tokio::test]
async fn reads_go_on_and_writes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::over(&folder.path().join("m.db"), config()).await;
    let id = server.remember(ANA, "Ana lives in Linz.").await;
    let made = server.post(ADMIN, "/api-keys", json!({"label": "laptop", "user_id": "ana"})).await;
    assert!(made.status < 300, "{}", made.body);
    let key = made.body["key"].as_str().unwrap_or_else(|| panic!("{}", made.body)).to_owned();
    assert!(!is_degraded(&server).await);
    if !chattr("+i", folder.path()) {
        eprintln!("skipped: files can't be made immutable here (chattr +i)");
        return;
    }
    let fact = json!({"messages": [{"role": "user", "content": "Ana has a boat."}], "infer": false});
    for _ in 0..2 {
        assert!(is_degraded(&server).await);
        for caller in [ANA, key.as_str()] {
            server.get(caller, &format!("/memories/{id}")).await.expect(200);
            let found = server.post(caller, "/search", json!({"query": "Where does Ana live?"})).await.expect(200);
            assert_eq!(found["results"][0]["id"], id.as_str(), "{found}");
        }
        server.get(ADMIN, "/requests").await.expect(200);
        server.get("", "/readyz").await.expect(200);
        let mut learned = fact.clone();
        learned["infer"] = true.into();
        for (method, path, body) in [
            ("POST", "/memories", fact.clone()),
            ("POST", "/memories", learned),
            ("PUT", &format!("/memories/{id}"), json!({"text": "Ana lives in Graz."})),
            ("DELETE", &format!("/memories/{id}"), Value::Null),
            ("DELETE", "/memories?user_id=ana", Value::Null),
        ] {
            let refused = server.call(ANA, method, path, body).await.expect(503);
            assert_eq!(refused["code"], "read_only", "{method} {path}: {refused}");
            assert!(refused["detail"].as_str().unwrap().contains("can only be read"), "{refused}");
        }
    }
    assert!(chattr("-i", folder.path()));
    assert!(!is_degraded(&server).await);
    server.post(&key, "/memories", fact).await.expect(200);
    let listed = server.get(ANA, "/memories").await.expect(200);
    assert_eq!(listed["results"].as_array().unwrap().len(), 2);
    server.stop().await;
}
