//! SIGKILL at random moments: a repeated phase resumes, and no memory is lost or duplicated.

use std::process::Command;
use std::time::{Duration, Instant};

use mnemon_testbed::rest;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::slow_proxy;
use crate::stack::{Points, SOURCE, Stack, memory, run, run_and_kill};
use mnemon_testbed::trials;

const POINTS: usize = 4000;

fn kills() -> usize {
    usize::try_from(trials::kills(3)).unwrap()
}

/// Repeats a command and kills it at random moments until one run completes. Returns the number of kills.
fn kill_until_done(random: &mut StdRng, duration: Duration, command: impl Fn() -> Command) -> usize {
    let mut kills = 0;
    while run_and_kill(command(), duration.mul_f64(random.random_range(0.02..1.1))) {
        kills += 1;
        assert!(kills < 300, "the command never completes");
    }
    kills
}

/// Duration of a command that is not killed.
fn measure(command: Command) -> Duration {
    let start = Instant::now();
    run(command).ok();
    start.elapsed()
}

pub(crate) fn of_rebuild_to_a_new_collection(random: &mut StdRng) {
    let stack = Stack::of(POINTS, random);
    let source = stack.points(SOURCE);
    let duration = measure(stack.migrate(&["rebuild", "--dir", "m0", "--target", "mem0_v0"]));
    let (mut kill_count, mut round) = (0, 0);
    while kill_count < kills() {
        round += 1;
        let (dir, target) = (format!("m{round}"), format!("mem0_v{round}"));
        let args = ["rebuild", "--dir", &dir, "--target", &target];
        kill_count += kill_until_done(random, duration, || stack.migrate(&args));
        stack.run(&args).ok();
        stack.run(&["verify", "--dir", &dir]).ok();
        stack.assert_whole(&source, &target);
    }
    assert_eq!(source, stack.points(SOURCE));
    println!("{kill_count} kills in {round} rebuilds");
}

pub(crate) fn of_rebuild_in_place(random: &mut StdRng) {
    let duration = measure(Stack::of(POINTS, random).migrate(&["rebuild", "--in-place"]));
    let (mut kill_count, mut round) = (0, 0);
    while kill_count < kills() {
        round += 1;
        let stack = Stack::of(POINTS, random);
        let source = stack.points(SOURCE);
        let args = ["rebuild", "--in-place"];
        kill_count += kill_until_done(random, duration, || stack.migrate(&args));
        stack.run(&args).ok();
        stack.run(&["verify"]).ok();
        stack.assert_whole(&source, SOURCE);
    }
    println!("{kill_count} kills in {round} rebuilds in place");
}

pub(crate) fn of_rebuild_to_a_file(random: &mut StdRng) {
    let stack = Stack::of(POINTS, random);
    let source = stack.points(SOURCE);
    let duration = measure(stack.migrate(&["rebuild", "--dir", "m0", "--to", "sqlite:new0.db"]));
    let (mut kill_count, mut round) = (0, 0);
    while kill_count < kills() {
        round += 1;
        let (dir, target) = (format!("m{round}"), format!("sqlite:new{round}.db"));
        let args = ["rebuild", "--dir", &dir, "--to", &target];
        kill_count += kill_until_done(random, duration, || stack.migrate(&args));
        stack.run(&args).ok();
        stack.run(&["verify", "--dir", &dir]).ok();
        // Read without the code of the migration.
        let file = stack.path(&format!("new{round}.db"));
        let store = rusqlite::Connection::open(&file).unwrap();
        let memories: i64 = store.query_row("SELECT count(*) FROM memories", [], |row| row.get(0)).unwrap();
        assert_eq!(usize::try_from(memories).unwrap(), source.len());
        let sound: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
    println!("{kill_count} kills in {round} rebuilds to a file");
}

pub(crate) fn of_backup(random: &mut StdRng) {
    let stack = Stack::of(POINTS, random);
    // Slow enough to be killed.
    let port = slow_proxy::start(stack.server.http_url(), 2);
    let slowly = |args: &[&str]| {
        let mut command = stack.migrate(args);
        command.env("QDRANT_PORT", port.to_string());
        command
    };
    let duration = measure(slowly(&["backup", "--dir", "m", "--into", "b0"]));
    let (mut kill_count, mut round) = (0, 0);
    while kill_count < kills() {
        round += 1;
        let dir = format!("b{round}");
        let args = ["backup", "--dir", "m", "--into", &dir];
        kill_count += kill_until_done(random, duration, || slowly(&args));
        run(slowly(&args)).ok();
        stack.run(&["backup", "--verify", &dir]).ok();
        let left = rest::get(&stack.url(&format!("{SOURCE}/snapshots"))).unwrap();
        assert_eq!(left["result"], json!([]), "snapshots remain on the server");
    }
    println!("{kill_count} kills in {round} backups");
}

pub(crate) fn of_cutover(random: &mut StdRng) {
    let stack = Stack::of(500, random);
    let source = stack.points(SOURCE);
    stack.run(&["rebuild", "--target", "mem0_v3"]).ok();
    stack.run(&["verify"]).ok();
    let (_process, url) = stack.serve("mem0_v3");
    let file = stack.path(".env");
    let env = |name: &str| format!("# the stack\nQDRANT_COLLECTION_NAME={name}\nAPI_KEYS={{}}\n");
    std::fs::write(&file, env(SOURCE)).unwrap();
    let alias = |name: &str| {
        let lead = json!({"actions": [{"create_alias": {"collection_name": name, "alias_name": "memories"}}]});
        rest::post(&format!("{}/collections/aliases", stack.server.http_url()), &lead).unwrap();
    };
    alias(SOURCE);
    let alias_target = || {
        let aliases = rest::get(&format!("{}/aliases", stack.server.http_url())).unwrap();
        aliases["result"]["aliases"][0]["collection_name"].as_str().unwrap().to_owned()
    };
    let duration = measure(stack.migrate(&["cutover", "--smoke-url", &url, "--env-file", ".env"]));
    stack.run(&["rollback"]).ok();
    delete_smoke_data(&stack, SOURCE);
    let (mut kill_count, mut round) = (0, 0);
    while kill_count < kills() {
        round += 1;
        let switch: &[&str] = if round % 2 == 0 { &["--alias", "memories"] } else { &["--env-file", ".env"] };
        let args = [&["cutover", "--smoke-url", &url][..], switch].concat();
        loop {
            let was_killed = run_and_kill(stack.migrate(&args), duration.mul_f64(random.random_range(0.05..1.1)));
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text == env(SOURCE) || text == env("mem0_v3"), "{text}");
            assert!([SOURCE, "mem0_v3"].contains(&alias_target().as_str()));
            if !was_killed {
                break;
            }
            kill_count += 1;
        }
        stack.run(&args).ok();
        if round % 2 == 0 {
            assert_eq!(alias_target(), "mem0_v3");
        } else {
            assert_eq!(std::fs::read_to_string(&file).unwrap(), env("mem0_v3"));
        }
        // Smoke tests that were killed left their test data.
        delete_smoke_data(&stack, "mem0_v3");
        stack.assert_whole(&source, "mem0_v3");
        stack.run(&["rollback"]).ok();
        delete_smoke_data(&stack, SOURCE);
        assert_eq!((std::fs::read_to_string(&file).unwrap(), alias_target()), (env(SOURCE), SOURCE.to_owned()));
        assert_eq!(source, stack.points(SOURCE));
    }
    println!("{kill_count} kills in {round} cutovers of about {duration:.1?}");
}

/// A stack after a cutover, with writes since, and its points before.
fn written_since_cutover(random: &mut StdRng) -> (Stack, Points) {
    let stack = Stack::of(1500, random);
    let before = stack.points(SOURCE);
    std::fs::write(stack.path(".env"), format!("QDRANT_COLLECTION_NAME={SOURCE}\n")).unwrap();
    stack.run(&["rebuild", "--target", "mem0_v3"]).ok();
    stack.run(&["verify"]).ok();
    stack.run(&["cutover", "--env-file", ".env", "--no-smoke"]).ok();
    let new: Vec<Value> = (0..1500).map(|number| memory(10_000 + number, random)).collect();
    new.chunks(500).for_each(|batch| stack.upsert("mem0_v3", batch));
    let ids: Vec<&str> = before.keys().map(String::as_str).collect();
    stack.delete("mem0_v3", &ids[..300]);
    (stack, before)
}

pub(crate) fn of_rollback(random: &mut StdRng) {
    let duration = measure(written_since_cutover(random).0.migrate(&["rollback"]));
    let (mut kill_count, mut round) = (0, 0);
    while kill_count < kills() {
        round += 1;
        let (stack, before) = written_since_cutover(random);
        let ids: Vec<&str> = before.keys().map(String::as_str).collect();
        kill_count += kill_until_done(random, duration, || stack.migrate(&["rollback"]));
        assert_eq!(std::fs::read_to_string(stack.path(".env")).unwrap(), format!("QDRANT_COLLECTION_NAME={SOURCE}\n"));
        let (after, served) = (stack.points(SOURCE), stack.points("mem0_v3"));
        assert_eq!(after.keys().collect::<Vec<_>>(), served.keys().collect::<Vec<_>>());
        assert_eq!(after.len(), 1500 + 1500 - 300);
        for (id, point) in &after {
            assert!(point["payload"].get("text_lemmatized").is_none() && point["bm25"] == false, "{point}");
            assert_eq!(point["vector"], served[id]["vector"]);
            assert!(before.get(id).is_none_or(|before| before == point), "{id}");
        }
        // The deleted points are saved.
        let kept = std::fs::read_to_string(stack.path("mnemon-migration/replaced-by-rollback.jsonl")).unwrap();
        assert!(ids[..300].iter().all(|id| kept.contains(id)));
    }
    println!("{kill_count} kills in {round} rollbacks of about {duration:.1?}");
}

/// Deletes the test data of smoke tests that were killed.
fn delete_smoke_data(stack: &Stack, name: &str) {
    for name in [name, &format!("{name}_entities")] {
        let points = stack.points(name);
        let left = points.iter().filter(|(_, point)| !point["payload"]["user_id"].to_string().contains("user-"));
        let left: Vec<&str> = left.map(|(id, _)| id.as_str()).collect();
        if !left.is_empty() {
            stack.delete(name, &left);
        }
    }
}

pub(crate) fn of_qdrant(random: &mut StdRng) {
    let mut exits = Vec::new();
    for (at, route) in
        [["--target", "mem0_v3"].as_slice(), &["--in-place"], &["--to", "sqlite:new.db"]].iter().enumerate()
    {
        let mut stack = Stack::of(POINTS, random);
        let source = stack.points(SOURCE);
        let args = [&["rebuild"], *route].concat();
        let mut process = stack.migrate(&args).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.random_range(200..900)));
        stack.server.kill();
        let output = process.wait().unwrap();
        exits.push(output.code());
        let repeated = run(stack.migrate(&args));
        assert!(repeated.code != 0 && repeated.error().1.contains("127.0.0.1"), "{repeated:?}");
        stack.server.start_again();
        stack.run(&args).ok();
        stack.run(&["verify"]).ok();
        match at {
            0 => stack.assert_whole(&source, "mem0_v3"),
            1 => stack.assert_whole(&source, SOURCE),
            _ => assert_eq!(source, stack.points(SOURCE)),
        }
    }
    println!("Qdrant killed in three rebuilds, which ended with {exits:?}");
}
