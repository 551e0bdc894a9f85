//! Qdrant is away for seconds.

use std::time::{Duration, Instant};

use mnemon_testbed::{Qdrant, rest};
use serde_json::json;

use crate::check::check;
use crate::load::{Load, Tally, user};
use crate::place::{Ledger, Place, Served};
use crate::{binary, number};

/// As long as a refusal may take.
const FAST: Duration = Duration::from_secs(5);
/// As long as it may take until searches work again.
const SOON: Duration = Duration::from_secs(10);

pub(crate) fn searches_fail_fast_and_recover(seed: u64) {
    let mut server = Qdrant::start(&binary().unwrap());
    let place = Place::new(&[&server], Ledger::Sqlite);
    let tally = Tally::default();
    let served = place.serve();
    let load = Load::start(&served.url, &tally, seed);
    tally.wait_for(100);
    assert_eq!(search(&served), 200);

    let outage = Duration::from_secs(number("MNEMON_TEST_OUTAGE").unwrap_or(5));
    server.kill();
    let until = Instant::now() + outage;
    let (searches, adds) = std::thread::scope(|scope| {
        let searches = scope.spawn(|| probe(until, |_| search(&served)));
        let adds = scope.spawn(|| {
            let text = |count| format!("Note {count} of {seed:x} about nobody");
            probe(until, |count| tally.add(&served.url, &user(0), text(count)).unwrap())
        });
        (searches.join().unwrap(), adds.join().unwrap())
    });
    server.start_again();
    let begun = Instant::now();
    while search(&served) != 200 {
        assert!(begun.elapsed() < SOON, "searches do not work again after {SOON:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let again = begun.elapsed();
    tally.wait_for(1);
    load.stop();
    eprintln!("{outage:?} without qdrant: refused {searches} and adds {adds}; searches work again after {again:.1?}");
    check("after the outage", &place, &served, &server, &tally, Duration::from_secs(15));
}

/// The status of a search.
fn search(served: &Served) -> u16 {
    let query = json!({"query": "Nori", "filters": {"user_id": user(0)}});
    rest::call("POST", &format!("{}/search", served.url), Some(&query)).unwrap().0
}

/// Asks until then; each time it must be refused, and soon. How often, and the slowest.
fn probe(until: Instant, ask: impl Fn(u32) -> u16) -> String {
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while Instant::now() < until {
        let begun = Instant::now();
        let status = ask(count);
        slowest = slowest.max(begun.elapsed());
        assert_eq!(status, 503, "the answer after {:?}", begun.elapsed());
        assert!(slowest < FAST, "refused after {slowest:?}");
        count += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(count > 0, "nothing was asked");
    format!("{count} (slowest {slowest:.2?})")
}
