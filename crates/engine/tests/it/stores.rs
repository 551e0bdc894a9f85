//! The kinds of stores that every test runs on.

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
    /// The variables that name the servers it needs.
    pub(crate) needs: &'static [&'static str],
    /// Where a new store will be; what it keeps in files lies in the folder.
    place: fn(&Path) -> Box<dyn Place>,
}

/// Where a store is. Opened twice, it is opened as if by two processes; dropped, the store is gone.
pub(crate) trait Place: Send + Sync {
    fn open(&self, embedder: &dyn Embedder) -> Arc<dyn Store>;
}

pub(crate) const KINDS: &[&Kind] = &[&SQLITE, &qdrant::WITH_FILE, &qdrant::WITH_POSTGRES];

pub(crate) const SQLITE: Kind = Kind { name: "sqlite", needs: &[], place: |folder| Box::new(folder.join("store")) };

impl Place for PathBuf {
    fn open(&self, embedder: &dyn Embedder) -> Arc<dyn Store> {
        let options = SqliteOptions::new(self, embedder.fingerprint(), embedder.dims());
        Arc::new(SqliteStore::open(options).expect("the store opens"))
    }
}

impl Kind {
    /// The variables it needs that are not set.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let is_missing = |name: &&str| std::env::var_os(name).is_none_or(|value| value.is_empty());
        self.needs.iter().copied().filter(is_missing).collect()
    }
}

/// The tests of a file by name.
pub(crate) type Tests = &'static [(&'static str, fn())];

/// Lists the tests of a file; one that is not listed is dead code.
macro_rules! tests {
    ($list:ident = [$($name:ident),+ $(,)?]) => {
        pub(crate) const $list: $crate::stores::Tests = &[$((stringify!($name), $name)),+];
    };
    ($($name:ident),+ $(,)?) => {
        tests!(TESTS = [$($name),+]);
    };
}

thread_local! {
    /// What the test of this thread runs on.
    static KIND: Cell<Option<&'static Kind>> = const { Cell::new(None) };
}

/// Runs a test on a kind of store.
pub(crate) fn on(kind: &'static Kind, test: fn()) {
    let missing = kind.missing();
    assert!(missing.is_empty(), "{} needs {}", kind.name, missing.join(" and "));
    KIND.set(Some(kind));
    test();
}

/// A place for a new store of the kind that the test runs on.
pub(crate) fn place(folder: &Path) -> Box<dyn Place> {
    let kind = KIND.get().expect("stores are made by the test's own thread");
    (kind.place)(folder)
}
