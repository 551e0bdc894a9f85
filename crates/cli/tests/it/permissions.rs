//! A store whose permissions are taken away and given back. For root they do not count, so root runs this as another user.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::sandbox::Sandbox;

const NOBODY: u32 = 65534;

/// A sandbox, and its user.
fn sandbox() -> (Sandbox, u32) {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("");
    let user = if std::fs::metadata(&folder).unwrap().uid() == 0 { NOBODY } else { return (sandbox, 0) };
    chown(&folder, Some(user), Some(user)).unwrap();
    (sandbox, user)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_store_can_be_written_again_when_its_permissions_are_back() {
    let (sandbox, user) = sandbox();
    let run = |args: &[&str]| {
        let mut command = sandbox.std_command();
        command.args(args).args(["--user", "ana"]);
        if user != 0 {
            command.uid(user).gid(user);
        }
        command.output().map(|output| {
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            (output.status.code().unwrap(), text)
        })
    };
    let added = match run(&["add", "likes tea"]) {
        Err(error) if user != 0 && error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: another user can't run the binary here");
            return;
        }
        added => added.unwrap(),
    };
    assert_eq!(added.0, 0, "{}", added.1);
    let run = |args: &[&str]| run(args).unwrap();
    let store = sandbox.path("store.db");
    for (path, mode, restored) in [(store.clone(), 0o444, 0o600), (sandbox.path(""), 0o555, 0o700)] {
        set_mode(&path, mode);
        // A reader of a file that can only be read makes a log that can only be read, too.
        for _ in 0..2 {
            for args in [["list"].as_slice(), &["search", "tea"]] {
                let (code, text) = run(args);
                assert!(code == 0 && text.contains("likes tea"), "{} {args:?}: {text}", path.display());
            }
            let (code, text) = run(&["add", "likes plums"]);
            assert!(code == 1 && text.contains("can only be read"), "{}: {text}", path.display());
        }
        set_mode(&path, restored);
        let (code, text) = run(&["add", "likes rye"]);
        assert_eq!(code, 0, "{}: {text}", path.display());
    }
}
