//! A mem0 stack: a collection as mem0 v1 writes it, on its own Qdrant server, and a folder for the migration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use mnemon_testbed::{ChildGuard, EmbeddingsEndpoint, Qdrant, rest};
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::listening;
use mnemon_testbed::trials::qdrant_binary;

/// Vector length.
pub(crate) const DIMS: usize = 32;
/// The collection that is migrated.
pub(crate) const SOURCE: &str = "mem0";
const KEY: &str = "text_lemmatized";
const PEOPLE: [&str; 6] = ["Greta Holm", "Maria Silva", "Tomas Berg", "Aiko Tanaka", "Nori Sato", "Elena Rossi"];
const PLACES: [&str; 6] = ["Lisbon", "Riga", "Kyoto", "Oslo", "Zürich", "Porto"];

/// Points by id: payload, and the dense vector as the server writes it.
pub(crate) type Points = BTreeMap<String, Value>;

/// Exit code and output of a command.
#[derive(Debug)]
pub(crate) struct CommandResult {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl CommandResult {
    /// The JSON output. Fails the test if the command failed.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not JSON: {}", self.stdout))
    }

    /// The code of the error, and its message.
    pub(crate) fn error(&self) -> (String, String) {
        let last = self.stderr.lines().last().unwrap_or_default();
        let error: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{}{}", self.stdout, self.stderr));
        let text = |key: &str| error["error"][key].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message"))
    }
}

pub(crate) struct Stack {
    pub(crate) server: Qdrant,
    pub(crate) folder: tempfile::TempDir,
    endpoint: EmbeddingsEndpoint,
    /// Environment variables with settings for mnemon.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Stack {
    /// A stack with this many memories of 20 users.
    pub(crate) fn of(points: usize, random: &mut StdRng) -> Self {
        let server = Qdrant::start(&qdrant_binary().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let stack = Self { server, folder, endpoint: EmbeddingsEndpoint::start(letter_counts), variables: Vec::new() };
        stack.make(SOURCE, DIMS, "Cosine");
        for first in (0..points).step_by(500) {
            let batch: Vec<Value> = (first..points.min(first + 500)).map(|number| memory(number, random)).collect();
            stack.upsert(SOURCE, &batch);
        }
        stack
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/collections/{path}", self.server.http_url())
    }

    pub(crate) fn make(&self, name: &str, dims: usize, distance: &str) {
        rest::put(&self.url(name), &json!({"vectors": {"size": dims, "distance": distance}})).unwrap();
    }

    pub(crate) fn upsert(&self, name: &str, points: &[Value]) {
        rest::put(&self.url(&format!("{name}/points?wait=true")), &json!({"points": points})).unwrap();
    }

    pub(crate) fn delete(&self, name: &str, ids: &[&str]) {
        rest::post(&self.url(&format!("{name}/points/delete?wait=true")), &json!({"points": ids})).unwrap();
    }

    /// All points of a collection, read over REST.
    pub(crate) fn points(&self, name: &str) -> Points {
        let mut points = Points::new();
        let mut offset = Value::Null;
        loop {
            let body = json!({"limit": 1000, "with_payload": true, "with_vector": true, "offset": offset});
            let Ok(answer) = rest::post(&self.url(&format!("{name}/points/scroll")), &body) else { return points };
            for point in answer["result"]["points"].as_array().unwrap() {
                let id = point["id"].as_str().map_or_else(|| point["id"].to_string(), str::to_owned);
                let dense = point["vector"].get("").unwrap_or(&point["vector"]).clone();
                let sparse = point["vector"].get("bm25").is_some();
                let point = json!({"payload": point["payload"], "vector": dense, "bm25": sparse});
                assert!(points.insert(id, point).is_none());
            }
            offset = answer["result"]["next_page_offset"].clone();
            if offset.is_null() {
                return points;
            }
        }
    }

    /// The binary in the stack's folder, isolated from the settings of the machine.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mnemon"));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| ["MNEMON_", "QDRANT_"].iter().any(|ours| name.starts_with(ours))) {
                command.env_remove(name);
            }
        }
        let folder = self.folder.path();
        command.current_dir(folder).env("HOME", folder).env("MNEMON_LOG", "off").env("MNEMON_AUTH", "off");
        command.env("XDG_DATA_HOME", folder.join("data")).env("XDG_CONFIG_HOME", folder.join("config"));
        command.env("MNEMON_EMBEDDER", "openai:letters").env("MNEMON_EMBEDDER_URL", self.endpoint.url());
        command.env("MNEMON_EMBEDDER_DIMS", DIMS.to_string());
        command.envs(self.variables.iter().cloned());
        command.args(args).arg("--json").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `mnemon migrate` with the addresses of the stack.
    pub(crate) fn migrate(&self, args: &[&str]) -> Command {
        let port = |url: &str| url.rsplit(':').next().unwrap().to_owned();
        let mut command = self.command(&[&["migrate"], args].concat());
        command.env("QDRANT_HOST", "127.0.0.1").env("QDRANT_COLLECTION_NAME", SOURCE);
        command.env("QDRANT_PORT", port(self.server.http_url()));
        command.env("QDRANT_GRPC_PORT", port(self.server.grpc_url()));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> CommandResult {
        run(self.migrate(args))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts `mnemon serve` on a collection.
    pub(crate) fn serve(&self, collection: &str) -> (ChildGuard, String) {
        self.serve_store(&format!("qdrant:{}/{collection}", self.server.grpc_url()))
    }

    /// Starts `mnemon serve` on a store.
    pub(crate) fn serve_store(&self, store: &str) -> (ChildGuard, String) {
        let mut command = self.command(&["serve", "--bind", "127.0.0.1:0"]);
        command.env("MNEMON_STORE", store).stderr(Stdio::inherit());
        let mut process = ChildGuard::start(&mut command, self.folder.path());
        let url = listening::url(process.take_stdout().unwrap());
        (process, url)
    }

    /// Checks that the target equals the source except for lemmas and bm25 vectors, and that no entity is duplicated.
    #[track_caller]
    pub(crate) fn assert_whole(&self, source: &Points, target: &str) {
        let mut found = self.points(target);
        for (id, point) in &mut found {
            let text = point["payload"]["data"].as_str().unwrap_or_default().to_owned();
            let lemmas = point["payload"].as_object_mut().unwrap().remove(KEY);
            assert_eq!(lemmas.is_some(), !text.is_empty(), "{id}: {point}");
            assert_eq!(point["bm25"], true, "{id}");
            point["bm25"] = json!(false);
        }
        assert_eq!(source.len(), found.len());
        for (id, point) in source {
            assert_eq!(found.get(id), Some(point), "{id}");
        }
        let mut names = BTreeSet::new();
        let memories: BTreeSet<&String> = source.keys().collect();
        for (id, entity) in self.points(&format!("{target}_entities")) {
            let payload = &entity["payload"];
            let name = payload["data"].as_str().unwrap().to_lowercase();
            assert!(names.insert((name, payload["user_id"].to_string())), "{id} is a duplicate: {entity}");
            let linked = payload["linked_memory_ids"].as_array().unwrap();
            assert!(!linked.is_empty(), "{entity}");
            assert!(linked.iter().all(|id| memories.contains(&id.as_str().unwrap().to_owned())), "{entity}");
        }
        assert!(names.len() > 20, "{names:?}");
    }
}

/// Runs a command to its end.
pub(crate) fn run(mut command: Command) -> CommandResult {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    CommandResult { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs a command and sends SIGKILL after this time. Returns whether the command was still running.
pub(crate) fn run_and_kill(mut command: Command, after: Duration) -> bool {
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    process.kill().unwrap();
    process.wait().unwrap().code().is_none()
}

/// A point as mem0 v1 writes it.
pub(crate) fn memory(number: usize, random: &mut StdRng) -> Value {
    let id = format!("{:08x}-0000-4000-8000-{:012x}", random.random::<u32>(), number);
    let (person, place) = (PEOPLE[number % PEOPLE.len()], PLACES[random.random_range(0..PLACES.len())]);
    let text = format!("{person} moved to {place} with {number} boxes and likes it there");
    json!({
        "id": id,
        "vector": letter_counts(&[&text]).remove(0),
        "payload": {
            "data": text,
            "hash": format!("{number:032x}"),
            "user_id": format!("user-{}", number % 20),
            "created_at": "2025-03-04T05:06:07.123456-08:00",
            "updated_at": null,
            "custom": {"nested": [number, 1.5, null, "ü"], "big": 9_007_199_254_740_993_u64},
        },
    })
}

/// Counts letters.
pub(crate) fn letter_counts(texts: &[&str]) -> Vec<Vec<f32>> {
    let vector = |text: &&str| {
        let mut vector = vec![0.1; DIMS];
        text.to_lowercase().bytes().for_each(|byte| vector[usize::from(byte) % DIMS] += 1.0);
        vector
    };
    texts.iter().map(vector).collect()
}
