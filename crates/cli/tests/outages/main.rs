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

use deployment::LedgerKind;
use mnemon_testbed::POSTGRES;
use mnemon_testbed::trials::{Trials, unset, without_qdrant_binary};

fn main() {
    let no_binary = without_qdrant_binary();
    let missing = no_binary.as_deref();
    let no_postgres = unset(&[POSTGRES]).map(|reason| format!("tests with a ledger in Postgres: {reason}"));
    let missing_with_postgres = no_postgres.as_deref().or(missing);
    let mut trials = Trials::one_at_a_time();
    trials.add_seeded("kills::mnemon_is_killed_under_load", missing, |seed| {
        kills::mnemon_is_killed_under_load(seed, LedgerKind::Sqlite);
    });
    trials.add_seeded("kills::mnemon_is_killed_under_load_postgres", missing_with_postgres, |seed| {
        kills::mnemon_is_killed_under_load(seed, LedgerKind::Postgres);
    });
    trials.add_seeded("kills::qdrant_is_killed_under_load", missing, kills::qdrant_is_killed_under_load);
    trials.add_seeded("outage::searches_fail_fast_and_recover", missing, outage::searches_fail_fast_and_recover);
    trials.add_seeded("cluster::a_cluster_survives_the_loss_of_a_node", missing, |seed| {
        cluster::a_cluster_survives_the_loss_of_a_node(seed);
    });
    trials.add_seeded("replicas::two_servers_share_a_ledger", missing_with_postgres, |seed| {
        replicas::two_servers_share_a_ledger(seed);
    });
    trials.run();
}
