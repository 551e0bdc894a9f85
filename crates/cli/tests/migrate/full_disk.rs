//! Full disks.

use mnemon_testbed::SmallDisk;
use rand::rngs::StdRng;

use crate::stack::{SOURCE, Stack, memory};

/// The command must fail because the disk is full, leave the source unchanged, and succeed once there is space.
fn check_full_disk(random: &mut StdRng, megabytes: u32, args: &[&str], check: &[&str]) {
    let stack = Stack::of(4000, random);
    let disk = SmallDisk::mount(&stack.path("disk"), megabytes << 10).unwrap();
    let source = stack.points(SOURCE);
    let full = stack.run(args);
    let (code, message) = full.error();
    assert!(
        full.code != 0 && code == "full" && (message.contains("room") || message.contains("space")),
        "{} {code}: {message}",
        full.code
    );
    println!("{} {code}: {message}", full.code);
    assert_eq!(source, stack.points(SOURCE));
    disk.grow(200 << 10);
    stack.run(args).ok();
    stack.run(check).ok();
    assert_eq!(source, stack.points(SOURCE));
}

pub(crate) fn a_full_disk_of_the_store_is_reported_and_resumed(random: &mut StdRng) {
    check_full_disk(random, 3, &["rebuild", "--to", "sqlite:disk/new.db"], &["verify"]);
}

pub(crate) fn a_full_disk_of_the_backup_is_reported_and_resumed(random: &mut StdRng) {
    check_full_disk(random, 2, &["backup", "--into", "disk/backup"], &["backup", "--verify", "disk/backup"]);
}

/// A disk that has no space even for the vectors is refused before anything is written.
pub(crate) fn a_disk_that_is_too_small_is_refused_at_the_start(random: &mut StdRng) {
    let stack = Stack::of(4000, random);
    let disk = SmallDisk::mount(&stack.path("disk"), 256).unwrap();
    stack.run(&["backup", "--dir", "saved"]).ok();
    for args in [
        &["rebuild", "--to", "sqlite:disk/new.db"][..],
        &["run", "--yes", "--to", "sqlite:disk/new.db"],
        &["run", "--yes", "--to", "sqlite:new.db", "--dir", "disk/dir"],
        &["backup", "--into", "disk/backup"],
        &["backup", "--into", "disk/backup", "--dry-run"],
        &["rehearse", "--dir", "saved", "--keep", "disk/kept.db"],
    ] {
        let full = stack.run(args);
        let (code, message) = full.error();
        assert_eq!((full.code, &*code), (1, "full"), "{args:?}: {message}");
        assert!(message.contains("512000 more bytes"), "{args:?}: {message}");
        assert_eq!(std::fs::read_dir(disk.path()).unwrap().count(), 0, "{args:?}");
        assert!(!stack.path("mnemon-migration").exists() && !stack.path("new.db").exists(), "{args:?}");
    }
}

/// The file of the setting is replaced, so its folder must be writable. Otherwise nothing is switched or copied.
pub(crate) fn a_setting_on_a_read_only_disk_is_refused_at_the_start(random: &mut StdRng) {
    let stack = Stack::of(300, random);
    let disk = SmallDisk::mount(&stack.path("disk"), 1024).unwrap();
    let env = stack.path("disk/.env");
    std::fs::write(&env, "QDRANT_COLLECTION_NAME=mem0\n").unwrap();
    std::fs::write(stack.path("disk/mnemon.toml"), "bind = \"127.0.0.1:0\"\n").unwrap();
    stack.run(&["rebuild", "--target", "mem0_v3"]).ok();
    stack.run(&["verify"]).ok();
    disk.make_read_only();
    let source = stack.points(SOURCE);
    let refused = |args: &[&str]| {
        let result = stack.run(args);
        let (_, message) = result.error();
        assert!(result.code == 1 && message.contains("Read-only"), "{args:?}: {message}");
        assert_eq!(source, stack.points(SOURCE));
    };
    for setting in [["--env-file", "disk/.env"], ["--settings", "disk/mnemon.toml"]] {
        refused(&[&["cutover", "--no-smoke", "--then", "touch restarted"], &setting[..]].concat());
    }
    refused(&["verify", "--report", "disk/report.md"]);
    assert!(!stack.path("restarted").exists());
    assert_eq!(stack.run(&["status"]).ok()["switch"], serde_json::Value::Null);
    disk.grow(10 << 10);
    stack.run(&["cutover", "--no-smoke", "--env-file", "disk/.env"]).ok();
    stack.upsert("mem0_v3", &[memory(9000, random)]);
    disk.make_read_only();
    refused(&["rollback", "--then", "touch restarted"]);
    assert!(!stack.path("restarted").exists());
    disk.grow(10 << 10);
    stack.run(&["rollback"]).ok();
    assert_eq!(stack.points(SOURCE).len(), source.len() + 1);
}
