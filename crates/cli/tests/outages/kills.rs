//! mnemon or Qdrant is killed at random moments.

use std::time::{Duration, Instant};

use mnemon_testbed::Qdrant;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::consistency::check;
use crate::deployment::{Deployment, LedgerKind};
use crate::load::{Load, Outcomes};
use mnemon_testbed::trials::{self, qdrant_binary};

fn kills() -> u64 {
    trials::kills(10)
}

fn sleep(random: &mut StdRng, from: u64, to: u64) {
    std::thread::sleep(Duration::from_millis(random.random_range(from..to)));
}

pub(crate) fn mnemon_is_killed_under_load(seed: u64, ledger: LedgerKind) {
    let mut random = StdRng::seed_from_u64(seed);
    let server = Qdrant::start(&qdrant_binary().unwrap());
    let deployment = Deployment::new(&[&server], ledger);
    let outcomes = Outcomes::default();
    let mut process = deployment.serve();
    let mut longest = Duration::ZERO;
    for _ in 0..kills() {
        let load = Load::start(&process.url, &outcomes, random.random());
        outcomes.wait_for(1);
        sleep(&mut random, 0, 600);
        process.kill();
        load.stop();
        let start = Instant::now();
        process = deployment.serve();
        longest = longest.max(start.elapsed());
    }
    let label = format!("{} kills of mnemon, longest start {longest:.1?}", kills());
    // A server that listens has applied pending writes.
    check(&label, &deployment, &process, &server, &outcomes, Duration::ZERO);
}

pub(crate) fn qdrant_is_killed_under_load(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = Qdrant::start(&qdrant_binary().unwrap());
    let deployment = Deployment::new(&[&server], LedgerKind::Sqlite);
    let outcomes = Outcomes::default();
    let process = deployment.serve();
    let rounds = kills().div_ceil(3).max(3);
    for _ in 0..rounds {
        let load = Load::start(&process.url, &outcomes, random.random());
        outcomes.wait_for(1);
        sleep(&mut random, 0, 600);
        server.kill();
        sleep(&mut random, 300, 1500);
        server.start_again();
        outcomes.wait_for(1);
        load.stop();
    }
    check(&format!("{rounds} kills of qdrant"), &deployment, &process, &server, &outcomes, Duration::from_secs(15));
}
