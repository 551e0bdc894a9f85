//! No crate has cycles of modules: files whose code uses one another's items, directly or through other files.
//!
//! A parent may declare its children (`mod`) and re-export what they declare (`pub use`). A parent whose own code uses a child
//! makes a cycle if the child uses something that the parent's file declares. Code under `#[cfg(test)]` does not count.
//!
//! `cargo test -p mnemon-testbed --test modules -- --nocapture` shows every cycle with the lines that make it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod graph;
mod resolve;
mod source;

use std::fs;
use std::path::Path;

use source::{Crate, Files};

#[test]
fn crates_have_no_cycles_of_modules() {
    let mut wrong = Vec::new();
    for (name, files) in &crates() {
        let all = Crate::read(files);
        let unread = all.unread(files);
        assert!(unread.is_empty(), "{name}: no module declares {unread:?}");
        let (edges, unknown) = resolve::edges(&all);
        assert!(unknown.is_empty(), "{name}: paths that no declaration was found for: {unknown:#?}");
        let cycles = graph::cycles(&edges);
        let count: usize = cycles.iter().map(|cycle| cycle.files.len()).sum();
        println!("# {name}: {} files, {} edges, {count} files in cycles", files.len(), edges.len());
        for cycle in &cycles {
            println!("{cycle}");
        }
        if count > 0 {
            wrong.push(format!("{name} has {count} files in cycles"));
        }
    }
    assert!(wrong.is_empty(), "{}; the cycles are listed above", wrong.join("; "));
}

/// The source of every crate of the workspace.
fn crates() -> Vec<(String, Files)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut crates: Vec<(String, Files)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("src").is_dir())
        .map(|path| {
            let mut files = Files::new();
            read_folder(&path, &path.join("src"), &mut files);
            (path.file_name().unwrap().to_string_lossy().into_owned(), files)
        })
        .collect();
    crates.sort();
    crates
}

fn read_folder(root: &Path, folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_folder(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}
