//! Mnemon or Qdrant is killed at random moments.

use std::time::{Duration, Instant};

use mnemon_testbed::Qdrant;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::check::check;
use crate::load::{Load, Tally};
use crate::place::{Ledger, Place};
use crate::{binary, number};

fn kills() -> u64 {
    number("MNEMON_TEST_KILLS").unwrap_or(10)
}

fn sleep(random: &mut StdRng, from: u64, to: u64) {
    std::thread::sleep(Duration::from_millis(random.random_range(from..to)));
}

pub(crate) fn mnemon_is_killed_under_load(seed: u64, ledger: Ledger) {
    let mut random = StdRng::seed_from_u64(seed);
    let server = Qdrant::start(&binary().unwrap());
    let place = Place::new(&[&server], ledger);
    let tally = Tally::default();
    let mut served = place.serve();
    let mut longest = Duration::ZERO;
    for _ in 0..kills() {
        let load = Load::start(&served.url, &tally, random.random());
        tally.wait_for(1);
        sleep(&mut random, 0, 600);
        served.kill();
        load.stop();
        let begun = Instant::now();
        served = place.serve();
        longest = longest.max(begun.elapsed());
    }
    let label = format!("{} kills of mnemon, longest start {longest:.1?}", kills());
    // Who listens has applied what was pending.
    check(&label, &place, &served, &server, &tally, Duration::ZERO);
}

pub(crate) fn qdrant_is_killed_under_load(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut server = Qdrant::start(&binary().unwrap());
    let place = Place::new(&[&server], Ledger::Sqlite);
    let tally = Tally::default();
    let served = place.serve();
    let rounds = kills().div_ceil(3).max(3);
    for _ in 0..rounds {
        let load = Load::start(&served.url, &tally, random.random());
        tally.wait_for(1);
        sleep(&mut random, 0, 600);
        server.kill();
        sleep(&mut random, 300, 1500);
        server.start_again();
        tally.wait_for(1);
        load.stop();
    }
    check(&format!("{rounds} kills of qdrant"), &place, &served, &server, &tally, Duration::from_secs(15));
}
