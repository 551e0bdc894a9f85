//! Full disks.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand::rngs::StdRng;

use crate::stack::{SOURCE, Stack};

/// A small tmpfs, unmounted when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).ok()?;
        let mount = ["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(folder).stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(folder.to_owned()))
    }

    fn grow(&self, megabytes: u32) {
        let grown = Command::new("mount").args(["-o", &format!("remount,size={megabytes}m")]).arg(&self.0).status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

/// Whether a small disk can be mounted here.
pub(crate) fn can_be_made() -> bool {
    tempfile::tempdir().is_ok_and(|folder| Disk::mount(&folder.path().join("disk"), 1).is_some())
}

/// The command must fail because the disk is full, leave the source unchanged, and succeed once there is space.
fn check_full_disk(random: &mut StdRng, megabytes: u32, args: &[&str], check: &[&str]) {
    let stack = Stack::of(4000, random);
    let disk = Disk::mount(&stack.path("disk"), megabytes).unwrap();
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
    disk.grow(200);
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
