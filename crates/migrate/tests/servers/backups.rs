//! Tests of backups.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mnemon_migrate::{
    ArtifactKind, BackupEvent, BackupOptions, MANIFEST_FILE, Manifest, MigrateError, backup, plan_backup, verify_backup,
};
use mnemon_testbed::{rest, shared, unique};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::proxy::{Exchange, Proxy};

const DIMS: usize = 64;
const POINTS: u64 = 300;

pub(crate) const ALL: &[(&str, fn())] = &[
    ("a_backup_is_complete_and_intact", a_backup_is_complete_and_intact),
    ("any_changed_byte_is_detected", any_changed_byte_is_detected),
    ("a_second_call_changes_nothing", a_second_call_changes_nothing),
    ("missing_files_are_added", missing_files_are_added),
    ("a_download_continues_after_a_lost_connection", a_download_continues_after_a_lost_connection),
    ("an_interrupted_backup_is_continued", an_interrupted_backup_is_continued),
    ("a_server_without_ranges_sends_the_whole_file_again", a_server_without_ranges_sends_the_whole_file_again),
    ("a_damaged_partial_download_is_restarted", a_damaged_partial_download_is_restarted),
    ("a_wrong_checksum_is_reported", a_wrong_checksum_is_reported),
    ("a_server_without_checksums_is_reported", a_server_without_checksums_is_reported),
    ("a_snapshot_without_response_is_found", a_snapshot_without_response_is_found),
    ("a_deleted_snapshot_is_created_again", a_deleted_snapshot_is_created_again),
    ("an_alias_is_resolved", an_alias_is_resolved),
    ("concurrent_backups_are_refused", concurrent_backups_are_refused),
    ("invalid_options_are_refused", invalid_options_are_refused),
    ("snapshots_are_kept_on_request", snapshots_are_kept_on_request),
];

/// A collection with its collection of entities, and a folder; deleted when dropped.
struct World {
    collection: String,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { collection: unique("mem0"), folder: tempfile::tempdir().unwrap() };
        for (name, points) in [(world.collection.clone(), POINTS), (world.entities(), 7)] {
            let url = format!("{}/collections/{name}", server());
            rest::put(&url, &json!({"vectors": {"size": DIMS, "distance": "Cosine"}})).unwrap();
            let point = |id: u64| {
                let vector: Vec<f64> = (0..DIMS).map(|axis| ((id + 1) as f64 * (axis + 3) as f64).sin()).collect();
                json!({"id": id, "vector": vector, "payload": {"data": format!("memory {id}, {}", "ü".repeat(id as usize)), "user_id": "ana", "score": 0.1 + id as f64}})
            };
            let points: Vec<Value> = (0..points).map(point).collect();
            rest::put(&format!("{url}/points?wait=true"), &json!({"points": points})).unwrap();
        }
        world
    }

    fn entities(&self) -> String {
        format!("{}_entities", self.collection)
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    /// Options with this URL, for snapshots only.
    fn with_url(&self, url: &str) -> BackupOptions {
        let mut options = BackupOptions::new(url, &self.collection, self.dir());
        options.pause = Duration::from_millis(1);
        options
    }

    /// Options for all files.
    fn options(&self) -> BackupOptions {
        let dump = self.folder.path().join("a.dump");
        std::fs::write(&dump, "a dump of a graph".repeat(5000)).unwrap();
        let mut options = self.with_url(server());
        options.history = Some(history());
        options.neo4j_dump = Some(dump);
        options.export = true;
        options
    }

    fn snapshots(&self) -> Vec<Value> {
        let of = |name: &str| {
            let response = rest::get(&format!("{}/collections/{name}/snapshots", server())).unwrap();
            response["result"].as_array().unwrap().clone()
        };
        [of(&self.collection), of(&self.entities())].concat()
    }

    fn file(&self) -> String {
        format!("{}.snapshot", self.collection)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in [self.collection.clone(), self.entities()] {
            let _ = rest::delete(&format!("{}/collections/{name}", server()));
        }
    }
}

fn server() -> &'static str {
    shared().expect("a Qdrant").http_url()
}

fn history() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/fixtures/legacy_v1.history.db")
}

fn quiet(_: BackupEvent<'_>) {}

/// Makes a backup and returns its notes, too.
fn backup_with_notes(options: &BackupOptions) -> (Result<Manifest, MigrateError>, Vec<String>) {
    let notes = RefCell::new(Vec::new());
    let done = backup(options, &|event| match event {
        BackupEvent::Note(note) => notes.borrow_mut().push(note.to_owned()),
        BackupEvent::AlreadyComplete => notes.borrow_mut().push("already there".to_owned()),
        _ => {}
    });
    (done, notes.into_inner())
}

fn assert_intact(folder: &Path) -> Manifest {
    let report = verify_backup(folder).unwrap();
    assert!(report.is_green(), "{:?}", report.differences);
    assert_eq!(report.unknown, [""; 0]);
    let manifest = report.manifest.unwrap();
    for done in &manifest.collections {
        let opened =
            report.sound.iter().any(|(file, found)| *file == done.file && *found == format!("{} points", done.points));
        assert_eq!(opened, cfg!(feature = "snapshot"), "{:?}", report.sound);
    }
    manifest
}

fn a_backup_is_complete_and_intact() {
    let world = World::new();
    let plan = plan_backup(&world.options()).unwrap();
    assert!(!world.dir().exists() && world.snapshots().is_empty());
    assert_eq!(plan.collections, [(world.collection.clone(), POINTS), (world.entities(), 7)]);
    let manifest = backup(&world.options(), &quiet).unwrap();
    assert_eq!(assert_intact(&world.dir()), manifest);
    assert_eq!((manifest.points, &manifest.collection), (POINTS, &world.collection));
    let mut files: Vec<&str> = manifest.artifacts.iter().map(|artifact| artifact.file.as_str()).collect();
    files.push(MANIFEST_FILE);
    let mut planned: Vec<&str> = plan.files.iter().map(String::as_str).collect();
    files.sort_unstable();
    planned.sort_unstable();
    assert_eq!(files, planned);
    assert!(manifest.collections.iter().all(|done| done.checked_against_server && done.points == done.points_after));
    let count = |kind| manifest.artifacts.iter().find(|artifact| artifact.kind == kind).unwrap().count;
    assert_eq!(count(ArtifactKind::History), Some(222));
    assert_eq!(count(ArtifactKind::Points), Some(POINTS));
    assert_eq!(count(ArtifactKind::Snapshot), Some(POINTS));
    assert_eq!(count(ArtifactKind::Collection), Some(2));
    assert!(world.snapshots().is_empty(), "{:?}", world.snapshots());
    // The export is exactly what the server returns.
    let request = json!({"limit": 1000, "with_payload": true, "with_vector": true});
    let url = format!("{}/collections/{}/points/scroll", server(), world.collection);
    let points = rest::post(&url, &request).unwrap()["result"]["points"].clone();
    let text = std::fs::read_to_string(world.dir().join("points.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::Array(lines), points);
    let settings: Value = serde_json::from_slice(&std::fs::read(world.dir().join("collection.json")).unwrap()).unwrap();
    assert_eq!(settings["collections"][&world.collection]["config"]["params"]["vectors"]["size"], DIMS);
    // A server can restore the snapshot.
    let restored = unique("restored");
    mnemon_testbed::restore_snapshot(server(), &world.dir().join(world.file()), &restored);
    let url = format!("{}/collections/{restored}", server());
    let count = rest::post(&format!("{url}/points/count"), &json!({"exact": true})).unwrap();
    rest::delete(&url).unwrap();
    assert_eq!(count["result"]["count"], POINTS);
}

fn any_changed_byte_is_detected() {
    let world = World::new();
    backup(&world.options(), &quiet).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for entry in std::fs::read_dir(world.dir()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let whole = std::fs::read(&path).unwrap();
        let found = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let report = verify_backup(&world.dir()).unwrap();
            assert!(report.differences.iter().any(|difference| difference.file == name), "{name}");
        };
        let mut places = vec![0, whole.len() - 1];
        places.extend((0..6).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % whole.len()
        }));
        for (turn, at) in places.into_iter().enumerate() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << turn;
            found(&bytes);
        }
        found(&whole[..whole.len() - 1]);
        found(&[&whole[..], b"\n"].concat());
        found(b"");
        std::fs::remove_file(&path).unwrap();
        let report = verify_backup(&world.dir()).unwrap();
        assert!(report.differences.iter().any(|difference| difference.file == name), "{name}");
        std::fs::write(&path, &whole).unwrap();
    }
    assert_intact(&world.dir());
    std::fs::write(world.dir().join("more.txt"), "x").unwrap();
    let report = verify_backup(&world.dir()).unwrap();
    assert_eq!((report.is_green(), report.unknown), (true, vec!["more.txt".to_owned()]));
}

fn a_second_call_changes_nothing() {
    let world = World::new();
    let first = backup(&world.options(), &quiet).unwrap();
    let proxy = Proxy::start(server(), |_| {});
    let state = || {
        let mut files: Vec<_> = std::fs::read_dir(world.dir()).unwrap().map(|entry| entry.unwrap()).collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        files.iter().map(|file| (file.file_name(), file.metadata().unwrap().modified().unwrap())).collect::<Vec<_>>()
    };
    let before = state();
    let (second, notes) = backup_with_notes(&world.options());
    assert_eq!((second.unwrap(), notes), (first, vec!["already there".to_owned()]));
    assert_eq!(state(), before);
    // A backup of another server is refused.
    let error = backup(&world.with_url(proxy.url()), &quiet).unwrap_err().to_string();
    assert!(error.contains("give another folder"), "{error}");
    // So is a damaged backup.
    std::fs::write(world.dir().join("aliases.json"), "{}").unwrap();
    let error = backup(&world.options(), &quiet).unwrap_err().to_string();
    assert!(error.contains("damaged") && error.contains("aliases.json"), "{error}");
}

fn missing_files_are_added() {
    let world = World::new();
    let first = backup(&world.with_url(server()), &quiet).unwrap();
    assert!(first.artifact("history.db").is_none());
    let second = backup(&world.options(), &quiet).unwrap();
    assert_eq!(assert_intact(&world.dir()), second);
    assert_eq!((second.created, &second.collections), (first.created, &first.collections));
    assert!(first.artifacts.iter().all(|artifact| second.artifacts.contains(artifact)));
    assert_eq!(second.artifact("history.db").unwrap().count, Some(222));
}

/// A proxy that cuts the first downloads of the collection's snapshot after these numbers of bytes of the body.
fn cutting(after: &'static [usize]) -> Proxy {
    let count = AtomicUsize::new(0);
    Proxy::start(server(), move |exchange: &mut Exchange| {
        if exchange.is_download() && !exchange.line.contains("_entities") && !exchange.response.is_empty() {
            let turn = count.fetch_add(1, Ordering::Relaxed);
            if let Some(after) = after.get(turn) {
                let end = exchange.body() + after;
                exchange.response.truncate(end);
            }
        }
    })
}

fn a_download_continues_after_a_lost_connection() {
    let world = World::new();
    let proxy = cutting(&[10_000, 0, 20_000]);
    backup(&world.with_url(proxy.url()), &quiet).unwrap();
    assert_intact(&world.dir());
    let requests = proxy.seen(&format!("GET /collections/{}/snapshots/", world.collection));
    let ranges: Vec<&str> =
        requests.iter().filter_map(|line| line.split_once("bytes=").map(|(_, range)| range)).collect();
    assert_eq!(ranges, ["10000-", "10000-", "30000-"], "{requests:?}");
    assert_eq!(proxy.seen("POST").iter().filter(|line| line.contains("/snapshots")).count(), 2);
}

fn an_interrupted_backup_is_continued() {
    let world = World::new();
    let proxy = cutting(&[10_000]);
    let mut options = world.with_url(proxy.url());
    options.retries = 0;
    let error = backup(&options, &quiet).unwrap_err().to_string();
    assert!(error.contains("10000 bytes") && error.contains("run it again"), "{error}");
    let part = world.dir().join(format!("{}.part", world.file()));
    assert_eq!(std::fs::metadata(&part).unwrap().len(), 10_000);
    assert!(!world.dir().join(MANIFEST_FILE).exists());
    assert!(!verify_backup(&world.dir()).unwrap().is_green());
    let manifest = backup(&options, &quiet).unwrap();
    assert_eq!(assert_intact(&world.dir()), manifest);
    let requests = proxy.seen("/snapshots?wait=true");
    assert_eq!(requests.len(), 2, "one for each collection: {requests:?}");
    assert_eq!(proxy.seen("bytes=10000-").len(), 1);
    assert!(world.snapshots().is_empty());
}

fn a_server_without_ranges_sends_the_whole_file_again() {
    let world = World::new();
    let count = AtomicUsize::new(0);
    let proxy = Proxy::start(server(), move |exchange: &mut Exchange| {
        exchange.headers.retain(|header| !header.to_ascii_lowercase().starts_with("range:"));
        if exchange.is_download() && !exchange.response.is_empty() && count.fetch_add(1, Ordering::Relaxed) == 0 {
            let end = exchange.body() + 12_345;
            exchange.response.truncate(end);
        }
    });
    backup(&world.with_url(proxy.url()), &quiet).unwrap();
    assert_intact(&world.dir());
}

fn a_damaged_partial_download_is_restarted() {
    let world = World::new();
    let proxy = cutting(&[50_000]);
    let mut options = world.with_url(proxy.url());
    options.retries = 0;
    backup(&options, &quiet).unwrap_err();
    let part = world.dir().join(format!("{}.part", world.file()));
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[30_000..].fill(0);
    bytes[0] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let (done, notes) = backup_with_notes(&options);
    done.unwrap();
    assert_intact(&world.dir());
    assert!(notes.iter().any(|note| note.contains("starts again")), "{notes:?}");
}

fn a_wrong_checksum_is_reported() {
    let world = World::new();
    let damaging = Arc::new(AtomicUsize::new(1));
    let on = Arc::clone(&damaging);
    let proxy = Proxy::start(server(), move |exchange: &mut Exchange| {
        if exchange.is_download() && !exchange.response.is_empty() && on.load(Ordering::Relaxed) == 1 {
            let at = exchange.body() + 5000;
            exchange.response[at] ^= 4;
        }
    });
    let error = backup(&world.with_url(proxy.url()), &quiet).unwrap_err();
    assert!(matches!(error, MigrateError::Checksum { .. }), "{error}");
    assert!(error.to_string().contains("the server reported"), "{error}");
    assert!(!world.dir().join(world.file()).exists() && !world.dir().join(MANIFEST_FILE).exists());
    assert!(world.snapshots().is_empty(), "a damaged snapshot must not fill the server's disk");
    damaging.store(0, Ordering::Relaxed);
    backup(&world.with_url(proxy.url()), &quiet).unwrap();
    assert_intact(&world.dir());
}

fn a_server_without_checksums_is_reported() {
    let world = World::new();
    let proxy = Proxy::start(server(), |exchange: &mut Exchange| {
        if exchange.line.contains("/snapshots") && !exchange.is_download() && !exchange.response.is_empty() {
            let text = String::from_utf8(std::mem::take(&mut exchange.response)).unwrap();
            exchange.response = text.replace("\"checksum\"", "\"checkpot\"").into_bytes();
        }
    });
    let (done, notes) = backup_with_notes(&world.with_url(proxy.url()));
    assert!(done.unwrap().collections.iter().all(|done| !done.checked_against_server));
    assert!(notes.iter().any(|note| note.contains("no checksum")), "{notes:?}");
    assert_intact(&world.dir());
}

fn a_snapshot_without_response_is_found() {
    let world = World::new();
    let count = AtomicUsize::new(0);
    // The server creates the snapshot, but the connection is lost before the response.
    let proxy = Proxy::start(server(), move |exchange: &mut Exchange| {
        let made = exchange.line.contains("/snapshots?wait=true") && !exchange.response.is_empty();
        if made && count.fetch_add(1, Ordering::Relaxed) == 0 {
            exchange.response.clear();
        }
    });
    let error = backup(&world.with_url(proxy.url()), &quiet).unwrap_err().to_string();
    assert!(error.contains("run it again"), "{error}");
    let left = world.snapshots();
    assert_eq!(left.len(), 1);
    let (done, notes) = backup_with_notes(&world.with_url(proxy.url()));
    assert_eq!(done.unwrap().collections[0].snapshot, left[0]["name"].as_str().unwrap());
    assert!(notes.iter().any(|note| note.contains("stays on the server")), "{notes:?}");
    assert_eq!(world.snapshots(), left, "another client may have created it");
    assert_intact(&world.dir());
}

fn a_deleted_snapshot_is_created_again() {
    let world = World::new();
    let proxy = cutting(&[10_000]);
    let mut options = world.with_url(proxy.url());
    options.retries = 0;
    backup(&options, &quiet).unwrap_err();
    let name = world.snapshots()[0]["name"].as_str().unwrap().to_owned();
    rest::delete(&format!("{}/collections/{}/snapshots/{name}?wait=true", server(), world.collection)).unwrap();
    let (done, notes) = backup_with_notes(&options);
    assert_eq!(assert_intact(&world.dir()), done.unwrap());
    assert!(notes.iter().any(|note| note.contains("deleted on the server")), "{notes:?}");
}

fn an_alias_is_resolved() {
    let world = World::new();
    let alias = unique("alias");
    let action = json!({"create_alias": {"alias_name": alias, "collection_name": world.collection}});
    rest::post(&format!("{}/collections/aliases", server()), &json!({"actions": [action]})).unwrap();
    let entities = format!("{alias}_entities");
    rest::put(&format!("{}/collections/{entities}", server()), &json!({"vectors": {"size": 4, "distance": "Cosine"}}))
        .unwrap();
    let options = BackupOptions::new(server(), &alias, world.dir());
    let manifest = backup(&options, &quiet).unwrap();
    rest::delete(&format!("{}/collections/{entities}", server())).unwrap();
    assert_eq!((&manifest.source, &manifest.collection), (&alias, &world.collection));
    let aliases = std::fs::read_to_string(world.dir().join("aliases.json")).unwrap();
    assert!(aliases.contains(&alias), "{aliases}");
    let names: Vec<&String> = manifest.collections.iter().map(|done| &done.name).collect();
    assert_eq!(names, [&world.collection, &world.entities(), &entities]);
    assert_intact(&world.dir());
}

fn concurrent_backups_are_refused() {
    let world = World::new();
    let proxy = Proxy::start(server(), |_| {});
    let (again, seen) = (world.with_url(proxy.url()), RefCell::new(Vec::new()));
    backup(&world.with_url(proxy.url()), &|event| {
        if matches!(event, BackupEvent::Download { .. }) {
            seen.borrow_mut().push(backup(&again, &quiet).unwrap_err().to_string());
        }
    })
    .unwrap();
    let seen = seen.into_inner();
    assert!(!seen.is_empty() && seen.iter().all(|message| message.contains("another run")), "{seen:?}");
    assert_intact(&world.dir());
}

fn invalid_options_are_refused() {
    let world = World::new();
    let error = |change: &dyn Fn(&mut BackupOptions)| {
        let mut options = world.with_url(server());
        options.retries = 1;
        change(&mut options);
        let error = backup(&options, &quiet).unwrap_err().to_string();
        assert!(!world.dir().exists(), "{error}");
        error
    };
    let message = error(&|options| options.source = "nobody_has_this".into());
    assert!(message.contains("no collection `nobody_has_this`") && message.contains(&world.collection), "{message}");
    let message = error(&|options| options.source = "../x".into());
    assert!(message.contains("not a valid name of a collection"), "{message}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let message = error(&|options| options.url = format!("http://{free}"));
    assert!(message.contains("no response") && message.contains("6333"), "{message}");
    let grpc = shared().unwrap().grpc_url();
    let message = error(&|options| options.url = grpc.to_owned());
    assert!(message.contains("REST port"), "{message}");
    let message = error(&|options| options.url = "qdrant:6333".into());
    assert!(message.contains("http://"), "{message}");
    let message = error(&|options| options.history = Some("/nowhere/history.db".into()));
    assert!(message.contains("/nowhere/history.db"), "{message}");
    let message = error(&|options| options.neo4j_dump = Some(world.folder.path().to_owned()));
    assert!(message.contains("is a folder"), "{message}");
    let wrong = world.folder.path().join("wrong.db");
    std::fs::write(&wrong, "not a database, but long enough to look like one".repeat(100)).unwrap();
    let mut options = world.with_url(server());
    options.history = Some(wrong);
    let message = backup(&options, &quiet).unwrap_err();
    assert!(matches!(message, MigrateError::History { .. }), "{message}");
    // The completed steps stay.
    options.history = Some(history());
    backup(&options, &quiet).unwrap();
    assert_intact(&world.dir());
    // A folder with other files.
    let taken = world.folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("aliases.json"), "mine").unwrap();
    options.folder = taken.clone();
    let message = backup(&options, &quiet).unwrap_err().to_string();
    assert!(message.contains("give another folder"), "{message}");
    assert_eq!(std::fs::read_to_string(taken.join("aliases.json")).unwrap(), "mine");
    let message = verify_backup(Path::new("/nowhere")).unwrap_err().to_string();
    assert!(message.contains("/nowhere"), "{message}");
}

fn snapshots_are_kept_on_request() {
    let world = World::new();
    let mut options = world.with_url(server());
    options.keep_on_server = true;
    let manifest = backup(&options, &quiet).unwrap();
    let names: Vec<Value> = world.snapshots().iter().map(|snapshot| snapshot["name"].clone()).collect();
    let recorded: Vec<&str> = manifest.collections.iter().map(|done| done.snapshot.as_str()).collect();
    assert_eq!(names, recorded);
}
