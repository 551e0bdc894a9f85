use mnemon_store::conformance::{DIMS, STORIES};
use mnemon_store::database::SqliteDatabase;
use mnemon_store::qdrant::{LEDGER, QdrantOptions, QdrantStore};
use mnemon_store::{Store, Terms};
use std::sync::Arc;
fn main() {
    let only = std::env::args().nth(1).filter(|a| !a.starts_with('-'));
    let mut failed = 0;
    for (name, story) in STORIES {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let unique = format!("t{}", uuid::Uuid::new_v4().simple());
        let begun = std::time::Instant::now();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            story(&|| {
                let ledger = Arc::new(SqliteDatabase::open(&folder.path().join("l"), LEDGER).unwrap());
                let describe = Arc::new(|_: &mnemon_store::Payload| (Terms::default(), false));
                // stories of removal open several fresh stores
                let options =
                    QdrantOptions::new("http://localhost:7334", unique.clone(), "test", DIMS, ledger, describe);
                Box::new(QdrantStore::open(options).unwrap()) as Box<dyn Store>
            })
        }));
        println!("{name}: {} {:?}", if done.is_ok() { "ok" } else { "FAILED" }, begun.elapsed());
        failed += usize::from(done.is_err());
    }
    println!("{failed} failed");
}
