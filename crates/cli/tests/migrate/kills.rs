//! SIGKILL at random moments: called again, a phase goes on, and nothing is lost or there twice.

use std::process::Command;
use std::time::{Duration, Instant};

use mnemon_testbed::rest;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::number;
use crate::slow::slow;
use crate::stack::{SOURCE, Stack, killed, memory, said};

const POINTS: usize = 4000;

fn kills() -> usize {
    usize::try_from(number("MNEMON_TEST_KILLS").unwrap_or(3)).unwrap()
}

/// Kills a command at moments within the time that it needs, until it is done before; how many were killed at work.
fn until_done(random: &mut StdRng, needs: Duration, command: impl Fn() -> Command) -> usize {
    let mut landed = 0;
    while killed(command(), needs.mul_f64(random.random_range(0.02..1.1))) {
        landed += 1;
        assert!(landed < 300, "it never gets through");
    }
    landed
}

/// How long a command needs that nobody kills.
fn needs(command: Command) -> Duration {
    let begun = Instant::now();
    said(command).ok();
    begun.elapsed()
}

pub(crate) fn of_rebuild_to_a_new_collection(random: &mut StdRng) {
    let stack = Stack::of(POINTS, random);
    let source = stack.points(SOURCE);
    let needs = needs(stack.migrate(&["rebuild", "--dir", "m0", "--target", "mem0_v0"]));
    let (mut landed, mut round) = (0, 0);
    while landed < kills() {
        round += 1;
        let (dir, target) = (format!("m{round}"), format!("mem0_v{round}"));
        let args = ["rebuild", "--dir", &dir, "--target", &target];
        landed += until_done(random, needs, || stack.migrate(&args));
        stack.run(&args).ok();
        stack.run(&["verify", "--dir", &dir]).ok();
        stack.assert_whole(&source, &target);
    }
    assert_eq!(source, stack.points(SOURCE));
    println!("{landed} kills in {round} rebuilds");
}

pub(crate) fn of_rebuild_in_place(random: &mut StdRng) {
    let needs = needs(Stack::of(POINTS, random).migrate(&["rebuild", "--in-place"]));
    let (mut landed, mut round) = (0, 0);
    while landed < kills() {
        round += 1;
        let stack = Stack::of(POINTS, random);
        let source = stack.points(SOURCE);
        let args = ["rebuild", "--in-place"];
        landed += until_done(random, needs, || stack.migrate(&args));
        stack.run(&args).ok();
        stack.run(&["verify"]).ok();
        stack.assert_whole(&source, SOURCE);
    }
    println!("{landed} kills in {round} rebuilds in place");
}

pub(crate) fn of_rebuild_to_a_file(random: &mut StdRng) {
    let stack = Stack::of(POINTS, random);
    let source = stack.points(SOURCE);
    let needs = needs(stack.migrate(&["rebuild", "--dir", "m0", "--to", "sqlite:new0.db"]));
    let (mut landed, mut round) = (0, 0);
    while landed < kills() {
        round += 1;
        let (dir, target) = (format!("m{round}"), format!("sqlite:new{round}.db"));
        let args = ["rebuild", "--dir", &dir, "--to", &target];
        landed += until_done(random, needs, || stack.migrate(&args));
        stack.run(&args).ok();
        stack.run(&["verify", "--dir", &dir]).ok();
        // Looked at without the migration's own reader.
        let file = stack.path(&format!("new{round}.db"));
        let store = rusqlite::Connection::open(&file).unwrap();
        let memories: i64 = store.query_row("SELECT count(*) FROM memories", [], |row| row.get(0)).unwrap();
        assert_eq!(usize::try_from(memories).unwrap(), source.len());
        let sound: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
    }
    println!("{landed} kills in {round} rebuilds to a file");
}

pub(crate) fn of_backup(random: &mut StdRng) {
    let stack = Stack::of(POINTS, random);
    // So that it is not over at once.
    let port = slow(stack.server.http_url(), 2);
    let slowly = |args: &[&str]| {
        let mut command = stack.migrate(args);
        command.env("QDRANT_PORT", port.to_string());
        command
    };
    let needs = needs(slowly(&["backup", "--dir", "m", "--into", "b0"]));
    let (mut landed, mut round) = (0, 0);
    while landed < kills() {
        round += 1;
        let dir = format!("b{round}");
        let args = ["backup", "--dir", "m", "--into", &dir];
        landed += until_done(random, needs, || slowly(&args));
        said(slowly(&args)).ok();
        stack.run(&["backup", "--verify", &dir]).ok();
        let left = rest::get(&stack.url(&format!("{SOURCE}/snapshots"))).unwrap();
        assert_eq!(left["result"], json!([]), "nothing is left on the server");
    }
    println!("{landed} kills in {round} backups");
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
    let leads = || {
        let aliases = rest::get(&format!("{}/aliases", stack.server.http_url())).unwrap();
        aliases["result"]["aliases"][0]["collection_name"].as_str().unwrap().to_owned()
    };
    let (mut landed, mut round) = (0, 0);
    while landed < kills() {
        round += 1;
        let switch: &[&str] = if round % 2 == 0 { &["--alias", "memories"] } else { &["--env-file", ".env"] };
        let args = [&["cutover", "--smoke-url", &url][..], switch].concat();
        loop {
            let landed_one = killed(stack.migrate(&args), Duration::from_millis(random.random_range(20..400)));
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text == env(SOURCE) || text == env("mem0_v3"), "{text}");
            assert!([SOURCE, "mem0_v3"].contains(&leads().as_str()));
            if !landed_one {
                break;
            }
            landed += 1;
        }
        stack.run(&args).ok();
        match round % 2 == 0 {
            true => assert_eq!(leads(), "mem0_v3"),
            false => assert_eq!(std::fs::read_to_string(&file).unwrap(), env("mem0_v3")),
        }
        // What the smoke tests of those that were killed wrote is theirs alone.
        forget_smoke(&stack, "mem0_v3");
        stack.assert_whole(&source, "mem0_v3");
        stack.run(&["rollback"]).ok();
        forget_smoke(&stack, SOURCE);
        assert_eq!((std::fs::read_to_string(&file).unwrap(), leads()), (env(SOURCE), SOURCE.to_owned()));
        assert_eq!(source, stack.points(SOURCE));
    }
    println!("{landed} kills in {round} cutovers");
}

pub(crate) fn of_rollback(random: &mut StdRng) {
    let (mut landed, mut round) = (0, 0);
    while landed < kills() {
        round += 1;
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
        landed += until_done(random, Duration::from_millis(900), || stack.migrate(&["rollback"]));
        assert_eq!(std::fs::read_to_string(stack.path(".env")).unwrap(), format!("QDRANT_COLLECTION_NAME={SOURCE}\n"));
        let (after, served) = (stack.points(SOURCE), stack.points("mem0_v3"));
        assert_eq!(after.keys().collect::<Vec<_>>(), served.keys().collect::<Vec<_>>());
        assert_eq!(after.len(), 1500 + 1500 - 300);
        for (id, point) in &after {
            assert!(point["payload"].get("text_lemmatized").is_none() && point["bm25"] == false, "{point}");
            assert_eq!(point["vector"], served[id]["vector"]);
            assert!(before.get(id).is_none_or(|before| before == point), "{id}");
        }
        // What was deleted is kept.
        let kept = std::fs::read_to_string(stack.path("mnemon-migration/replaced-by-rollback.jsonl")).unwrap();
        assert!(ids[..300].iter().all(|id| kept.contains(id)));
    }
    println!("{landed} kills in {round} rollbacks");
}

/// Deletes what a smoke test that was killed could not.
fn forget_smoke(stack: &Stack, name: &str) {
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
    let mut told = Vec::new();
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
        told.push(output.code());
        let said_again = said(stack.migrate(&args));
        assert!(said_again.code != 0 && said_again.error().1.contains("127.0.0.1"), "{said_again:?}");
        stack.server.start_again();
        stack.run(&args).ok();
        stack.run(&["verify"]).ok();
        match at {
            0 => stack.assert_whole(&source, "mem0_v3"),
            1 => stack.assert_whole(&source, SOURCE),
            _ => assert_eq!(source, stack.points(SOURCE)),
        }
    }
    println!("Qdrant killed in three rebuilds, which ended with {told:?}");
}
