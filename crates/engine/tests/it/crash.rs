//! A writer that is killed: acknowledged writes are stored, and no write is stored partially.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mnemon_engine::{Engine, UpdateRequest};
use mnemon_store::{EventKind, ExportRecord, MemoryId};

use crate::fixture::{add, all_records, check_store, note, open_file, search};

tests!(acknowledged_writes_survive_sigkill);

const KILLS: u64 = 30;
const STORE: &str = "MNEMON_TEST_STORE";
const ROUND: &str = "MNEMON_TEST_ROUND";

fn text(round: &str, number: usize) -> String {
    format!("In Lisbon the dog Nori met Maria Silva, code kestrel{round}x{number}.")
}

/// The main function of the process that is killed: it writes and does not return.
pub(crate) fn run_writer_if_requested() {
    let (Ok(path), Ok(round)) = (std::env::var(STORE), std::env::var(ROUND)) else { return };
    let engine = open_file(Path::new(&path));
    let mut out = std::io::stdout();
    let mut acknowledge = |line: String| {
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    };
    acknowledge("\nACK open\n".into());
    for number in 0.. {
        let id = add(&engine, note("ana", &text(&round, number)));
        acknowledge(format!("\nACK add {id} {}\n", text(&round, number)));
        if number % 5 == 3 {
            let text = format!("{} Changed.", text(&round, number));
            engine.update(id, &UpdateRequest { text: Some(text.clone()), ..UpdateRequest::default() }).unwrap();
            acknowledge(format!("\nACK update {id} {text}\n"));
        }
        if number % 7 == 5 {
            engine.delete(id).unwrap();
            acknowledge(format!("\nACK delete {id} -\n"));
        }
    }
}

/// Runs a writer, kills it some time after a number of lines, and returns the writes that it acknowledged.
fn killed_writer(path: &Path, round: u64, lines: u64, longer: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(STORE, path)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut acknowledged = Vec::new();
    let mut line = String::new();
    let mut read_line = |out: &mut BufReader<_>| {
        line.clear();
        let more = out.read_line(&mut line).unwrap() > 0;
        // A line without a line break was not sent completely.
        if let Some(write) = line.strip_suffix('\n').and_then(|line| line.strip_prefix("ACK ")) {
            acknowledged.push(write.to_owned());
        }
        (more, acknowledged.len() as u64)
    };
    loop {
        let (more, count) = read_line(&mut out);
        assert!(more, "the writer ended before it was killed");
        if count > lines {
            break;
        }
    }
    let deadline = Instant::now() + longer;
    while Instant::now() < deadline {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    while read_line(&mut out).0 {}
    acknowledged
}

/// Checks a memory whose text was acknowledged.
fn check_present(engine: &Engine, id: MemoryId, text: &str) {
    let memory = engine.get(id).unwrap_or_else(|error| panic!("{id} was acknowledged: {error}"));
    assert_eq!(memory.payload.text(), text);
    let detail = engine.detail(id).unwrap();
    assert!(!detail.entities.is_empty(), "{id} lost its entities");
    let code = text.split_whitespace().find(|word| word.starts_with("kestrel")).unwrap();
    assert_eq!(search(engine, "ana", code)[0].memory.id, id, "{code} is not found");
}

fn acknowledged_writes_survive_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut expected: BTreeMap<MemoryId, Option<String>> = BTreeMap::new();
    let mut count = 0;
    for round in 0..KILLS {
        // Deterministic, but scattered: the numbers of lines and the times are not multiples of the writer's steps.
        let acknowledged = killed_writer(&path, round, round * 7 % 12, Duration::from_micros(round * 379 % 4000));
        count += acknowledged.len() - 1;
        let mut touched = Vec::new();
        for line in &acknowledged[1..] {
            let mut words = line.splitn(3, ' ');
            let (what, id, text) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let id: MemoryId = id.parse().unwrap();
            expected.insert(id, (what != "delete").then(|| text.to_owned()));
            touched.push(id);
        }
        let engine = open_file(&path);
        check_store(&engine);
        // The write after the last acknowledgement may have been committed.
        let last = touched.pop();
        for id in touched {
            match &expected[&id] {
                Some(text) => check_present(&engine, id, text),
                None => assert!(engine.get(id).is_err(), "{id} was deleted"),
            }
        }
        if let Some(id) = last {
            let history = engine.history(id).unwrap();
            let now = match engine.get(id) {
                Ok(memory) => Some(memory.payload.text().to_owned()),
                Err(_) => None,
            };
            assert_eq!(history.last().unwrap().new_memory, now);
            if let Some(text) = &now {
                check_present(&engine, id, text);
            }
            let acknowledged = expected[&id].clone();
            assert!(
                now == acknowledged || history.len() > 1,
                "{id}: {acknowledged:?} was acknowledged, {now:?} is stored"
            );
            expected.insert(id, now);
        }
        // Every stored memory is complete, acknowledged or not.
        let stored = all_records(&engine).into_iter().filter_map(|record| match record {
            ExportRecord::Memory(memory) => Some(*memory),
            _ => None,
        });
        let stored: Vec<_> = stored.collect();
        let known = expected.values().flatten().count();
        assert!((known..=known + 1).contains(&stored.len()), "{} memories, {known} known", stored.len());
        for stored in stored {
            let memory = stored.memory;
            let history = engine.history(memory.id).unwrap();
            assert_eq!(history[0].event, EventKind::Add.into());
            assert_eq!(history.last().unwrap().new_memory.as_deref(), Some(memory.payload.text()));
            assert!(!stored.bm25.is_empty());
            expected.insert(memory.id, Some(memory.payload.text().to_owned()));
        }
    }
    let engine = open_file(&path);
    for (id, text) in &expected {
        match text {
            Some(text) => check_present(&engine, *id, text),
            None => assert!(engine.get(*id).is_err()),
        }
    }
    assert!(count > 100, "only {count} acknowledged writes");
    eprintln!("{KILLS} kills, {count} acknowledged writes, {} memories", expected.values().flatten().count());
}
