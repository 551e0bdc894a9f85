//! The embedded store against the stories of all stores.

use mnemon_store::conformance::{DIMS, DOCUMENT_STORIES, EXACT_STORIES, STORIES};
use mnemon_store::{DocumentStore, SqliteStore, Store, sqlite::SqliteOptions};

fn tell(cache_bytes: usize) {
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
fn sqlite_tells_all_stories() {
    tell(512 << 20);
}

#[test]
fn sqlite_tells_them_the_same_with_hardly_any_cache() {
    tell(1);
}

#[test]
fn sqlite_tells_all_stories_of_documents() {
    for (name, story) in DOCUMENT_STORIES {
        let folder = tempfile::tempdir().unwrap();
        story(&|| {
            let options = SqliteOptions::new(folder.path().join(name), "test", DIMS);
            Box::new(SqliteStore::open(options).unwrap()) as Box<dyn DocumentStore>
        });
    }
}
