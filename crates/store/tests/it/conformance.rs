//! The conformance suite on the embedded store.

use mnemon_store::conformance::{DIMS, DOCUMENT_STORIES, EXACT_STORIES, STORIES};
use mnemon_store::{DocumentStore, SqliteStore, Store, sqlite::SqliteOptions};

fn run_stories(cache_bytes: usize) {
    for (name, story) in STORIES.iter().chain(EXACT_STORIES) {
        let folder = tempfile::tempdir().unwrap();
        story(&|| {
            let mut options = SqliteOptions::new(folder.path().join(name), "test", DIMS);
            options.cache_bytes = cache_bytes;
            Box::new(SqliteStore::open(options).unwrap()) as Box<dyn Store>
        });
    }
}

#[test]
fn sqlite_passes_all_stories() {
    run_stories(512 << 20);
}

#[test]
fn sqlite_passes_all_stories_with_a_minimal_cache() {
    run_stories(1);
}

#[test]
fn sqlite_passes_all_stories_of_documents() {
    for (name, story) in DOCUMENT_STORIES {
        let folder = tempfile::tempdir().unwrap();
        story(&|| {
            let options = SqliteOptions::new(folder.path().join(name), "test", DIMS);
            Box::new(SqliteStore::open(options).unwrap()) as Box<dyn DocumentStore>
        });
    }
}
