//! Stores in Qdrant: each has its collections on one shared server, and a ledger in a file or in Postgres.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mnemon_models::Embedder;
use mnemon_store::Store;
use mnemon_store::database::{Database, PostgresDatabase, SqliteDatabase};
use mnemon_store::qdrant::{LEDGER_SCHEMA, QdrantOptions, QdrantStore};
use mnemon_testbed::{POSTGRES, QDRANT, Qdrant, fresh_database, rest, restore_snapshot, shared, unique};

use super::{Kind, StoreLocation};

pub(crate) const WITH_FILE: Kind = Kind {
    name: "qdrant",
    needs: &[QDRANT],
    new_store: |folder| Box::new(Collections::new(LedgerPlace::file(folder))),
};

pub(crate) const WITH_POSTGRES: Kind = Kind {
    name: "qdrant_postgres",
    needs: &[QDRANT, POSTGRES],
    new_store: |_| Box::new(Collections::new(LedgerPlace::postgres())),
};

/// The collections of a store, and its ledger.
struct Collections {
    server: &'static Qdrant,
    name: String,
    ledger: LedgerPlace,
}

/// Where a ledger is.
enum LedgerPlace {
    File(PathBuf),
    Postgres(mnemon_testbed::Database),
}

impl LedgerPlace {
    fn file(folder: &Path) -> Self {
        Self::File(folder.join("ledger"))
    }

    fn postgres() -> Self {
        Self::Postgres(fresh_database().expect("a Postgres"))
    }

    fn open(&self) -> Arc<dyn Database> {
        match self {
            Self::File(path) => Arc::new(SqliteDatabase::open(path, LEDGER_SCHEMA).expect("the ledger opens")),
            Self::Postgres(database) => {
                Arc::new(PostgresDatabase::open(database.url(), LEDGER_SCHEMA).expect("the ledger opens"))
            }
        }
    }
}

impl Collections {
    fn new(ledger: LedgerPlace) -> Self {
        Self { server: shared().expect("a Qdrant"), name: unique("engine"), ledger }
    }
}

impl StoreLocation for Collections {
    fn open(&self, embedder: &dyn Embedder) -> Arc<dyn Store> {
        let options = QdrantOptions::new(
            self.server.grpc_url(),
            &self.name,
            embedder.fingerprint(),
            embedder.dims(),
            self.ledger.open(),
            Arc::new(mnemon_engine::describe_terms),
        );
        Arc::new(QdrantStore::open(options).expect("the store opens"))
    }

    fn restore(&self, memories: &Path, entities: &Path) {
        restore_snapshot(self.server.http_url(), memories, &self.name);
        restore_snapshot(self.server.http_url(), entities, &format!("{}_entities", self.name));
    }
}

impl Drop for Collections {
    fn drop(&mut self) {
        for name in [self.name.clone(), format!("{}_entities", self.name)] {
            let _ = rest::delete(&format!("{}/collections/{name}", self.server.http_url()));
        }
    }
}
