//! Writes during a migration.

use std::sync::atomic::{AtomicBool, Ordering};

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::stack::{SOURCE, Stack, memory};
use mnemon_testbed::rest;

pub(crate) fn writes_during_the_copy_are_copied(random: &mut StdRng) {
    let stack = Stack::of(3000, random);
    let ids: Vec<String> = stack.points(SOURCE).into_keys().collect();
    let done = AtomicBool::new(false);
    let args = ["rebuild", "--target", "mem0_v3", "--rate", "1500"];
    let (added, changed, deleted) = std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            let (mut added, mut changed, mut deleted) = (0, 0, 0);
            while !done.load(Ordering::Relaxed) {
                stack.upsert(SOURCE, &[memory(10_000 + added, random)]);
                added += 1;
                let change = json!({
                    "points": [ids[random.random_range(100..ids.len())]],
                    "payload": {"data": format!("changed to {changed} by Elena Rossi"), "updated_at": "2025-04-01T00:00:00"},
                });
                rest::post(&stack.url(&format!("{SOURCE}/points/payload?wait=true")), &change).unwrap();
                changed += 1;
                if deleted < 100 {
                    stack.delete(SOURCE, &[&ids[deleted]]);
                    deleted += 1;
                }
            }
            (added, changed, deleted)
        });
        stack.run(&args).ok();
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    stack.run(&["rebuild"]).ok();
    stack.run(&["verify"]).ok();
    stack.assert_whole(&stack.points(SOURCE), "mem0_v3");
    assert!(added > 100 && deleted == 100, "{added} {deleted}");
    println!("during the copy: {added} added, {changed} changed, {deleted} deleted");
}
