//! `mnemon serve` on real Qdrant servers, each of which is killed under load. Acknowledged writes must exist afterwards, refused
//! ones must not. A test that needs a server that is not available is reported as ignored, not as passed.
//!
//! `MNEMON_TEST_KILLS` is the number of kills (10), `MNEMON_TEST_OUTAGE` the seconds without Qdrant (5). `MNEMON_TEST_SEED`
//! repeats the random delays of a failed test, though not the scheduling of threads.
#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod cluster;
mod consistency;
mod deployment;
mod kills;
#[path = "../shared/listening.rs"]
mod listening;
mod load;
mod outage;
mod replicas;
#[path = "../shared/trials.rs"]
mod trials;

use mnemon_testbed::{POSTGRES, postgres_url};

use deployment::LedgerKind;
use trials::Test;

fn main() {
    let qdrant = trials::has_qdrant_binary();
    let postgres = postgres_url().is_some();
    if !postgres {
        eprintln!("skipped: tests with a ledger in Postgres: {POSTGRES} is not set");
    }
    let test = |name, run| Test { name, ignored: !qdrant, run };
    let test_with_postgres = |name, run| Test { name, ignored: !qdrant || !postgres, run };
    trials::run([
        test("kills::mnemon_is_killed_under_load", |seed| kills::mnemon_is_killed_under_load(seed, LedgerKind::Sqlite)),
        test_with_postgres("kills::mnemon_is_killed_under_load_postgres", |seed| {
            kills::mnemon_is_killed_under_load(seed, LedgerKind::Postgres);
        }),
        test("kills::qdrant_is_killed_under_load", kills::qdrant_is_killed_under_load),
        test("outage::searches_fail_fast_and_recover", outage::searches_fail_fast_and_recover),
        test("cluster::a_cluster_survives_the_loss_of_a_node", cluster::a_cluster_survives_the_loss_of_a_node),
        test_with_postgres("replicas::two_servers_share_a_ledger", replicas::two_servers_share_a_ledger),
    ]);
}
