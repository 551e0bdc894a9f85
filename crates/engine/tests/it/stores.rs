//! The kinds of stores on which every test runs.

mod qdrant;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mnemon_models::Embedder;
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{SqliteStore, Store};

/// A kind of store.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The variables that name its servers.
    pub(crate) needs: &'static [&'static str],
    /// Prepares a new store; its files are in the folder.
    new_store: fn(&Path) -> Box<dyn StoreLocation>,
}

/// Where a store is. It can be opened several times, as by several processes. Dropping it deletes the store.
pub(crate) trait StoreLocation: Send + Sync {
    fn open(&self, embedder: &dyn Embedder) -> Arc<dyn Store>;

    /// Restores snapshots of Qdrant, of memories and of entities, before it is opened.
    fn restore(&self, _memories: &Path, _entities: &Path) {
        unreachable!("only Qdrant has snapshots");
    }
}

pub(crate) const KINDS: &[&Kind] = &[&SQLITE, &qdrant::WITH_FILE, &qdrant::WITH_POSTGRES];

pub(crate) const SQLITE: Kind = Kind { name: "sqlite", needs: &[], new_store: |folder| Box::new(folder.join("store")) };

impl StoreLocation for PathBuf {
    fn open(&self, embedder: &dyn Embedder) -> Arc<dyn Store> {
        let options = SqliteOptions::new(self, embedder.fingerprint(), embedder.dims());
        Arc::new(SqliteStore::open(options).expect("the store opens"))
    }
}

/// The tests of a file, with their names.
pub(crate) type Tests = &'static [(&'static str, fn())];

/// Lists the tests of a file; a test that is not listed is dead code.
macro_rules! tests {
    ($list:ident = [$($name:ident),+ $(,)?]) => {
        pub(crate) const $list: $crate::stores::Tests = &[$((stringify!($name), $name)),+];
    };
    ($($name:ident),+ $(,)?) => {
        tests!(TESTS = [$($name),+]);
    };
}

thread_local! {
    /// The kind of store of the test in this thread.
    static KIND: Cell<Option<&'static Kind>> = const { Cell::new(None) };
}

/// Runs a test on a kind of store.
pub(crate) fn on(kind: &'static Kind, test: fn()) {
    KIND.set(Some(kind));
    test();
}

/// Prepares a new store of the kind of the current test.
pub(crate) fn new_store(folder: &Path) -> Box<dyn StoreLocation> {
    let kind = KIND.get().expect("stores are created in the thread of the test");
    (kind.new_store)(folder)
}
