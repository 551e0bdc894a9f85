//! Facts that replace each other: searches show the current ones first, or only them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{ToSpan, Zoned};
use mnemon_engine::{AddRequest, Engine, ListRequest, Profile, SearchHit, SearchRequest};
use mnemon_store::{Change, ChangeSet, Link, MemoryId};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::fixture::{add, by_user, note, world};

tests!(
    a_chain_has_one_current_fact,
    the_last_fact_that_is_visible_is_current,
    old_facts_do_not_crowd_out_other_memories,
    searches_agree_with_a_simple_model,
);

fn supersede(engine: &Engine, newer: MemoryId, older: MemoryId, minute: usize) {
    let created_at = format!("2024-01-01T00:{minute:02}:00Z");
    let link = Link { source: newer, target: older, kind: Link::SUPERSEDES.into(), created_at };
    let changes = ChangeSet { expected: Vec::new(), changes: vec![Change::Link(link)] };
    engine.store().apply(&changes).unwrap();
}

/// Facts of a user, each superseding the one before it.
fn chain(engine: &Engine, user: &str, texts: &[&str]) -> Vec<MemoryId> {
    let ids: Vec<MemoryId> = texts.iter().map(|text| add(engine, note(user, text))).collect();
    ids.windows(2).enumerate().for_each(|(minute, pair)| supersede(engine, pair[1], pair[0], minute));
    ids
}

fn ask(engine: &Engine, user: &str, latest_only: bool) -> Vec<SearchHit> {
    let request = SearchRequest {
        latest_only,
        top_k: 50,
        threshold: Some(0.0),
        ..SearchRequest::new("Where does Ana live?", by_user(user))
    };
    engine.search(&request).unwrap().hits
}

fn ids(hits: &[SearchHit]) -> Vec<MemoryId> {
    hits.iter().map(|hit| hit.memory.id).collect()
}

const HOMES: [&str; 3] = ["Ana lives in Lisbon.", "Ana lives in Porto.", "Ana lives in Braga."];

fn a_chain_has_one_current_fact() {
    let world = world();
    let [lisbon, porto, braga] = chain(&world, "ana", &HOMES)[..] else { panic!("three facts") };
    for profile in [Profile::Fusion, Profile::Mem0] {
        let request = SearchRequest {
            profile,
            latest_only: true,
            threshold: Some(0.0),
            ..SearchRequest::new("Does Ana live in Lisbon?", by_user("ana"))
        };
        let hits = world.search(&request).unwrap().hits;
        assert_eq!(ids(&hits), [braga], "{profile:?}");
        assert_eq!((hits[0].superseded_by, &hits[0].supersedes[..]), (None, &[porto, lisbon][..]), "{profile:?}");
    }
    let hits = ask(&world, "ana", false);
    assert_eq!(hits[0].memory.id, braga);
    let replaced: BTreeMap<MemoryId, Option<MemoryId>> =
        hits.iter().map(|hit| (hit.memory.id, hit.superseded_by)).collect();
    assert_eq!(replaced, BTreeMap::from([(lisbon, Some(braga)), (porto, Some(braga)), (braga, None)]));
}

fn the_last_fact_that_is_visible_is_current() {
    let world = world();
    let [lisbon, porto, braga] = chain(&world, "ana", &HOMES)[..] else { panic!("three facts") };
    // The links go on where a fact in the middle was deleted.
    world.delete(porto).unwrap();
    assert_eq!(ids(&ask(&world, "ana", true)), [braga]);
    assert_eq!(ask(&world, "ana", true)[0].supersedes, [lisbon]);
    world.delete(braga).unwrap();
    assert_eq!(ids(&ask(&world, "ana", true)), [lisbon]);

    let [_, porto] = chain(&world, "ben", &HOMES[..2])[..] else { panic!("two facts") };
    let yesterday = Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date().checked_sub(2.days()).unwrap();
    let expired = add(&world, AddRequest { expiration_date: Some(yesterday), ..note("ben", HOMES[2]) });
    supersede(&world, expired, porto, 9);
    assert_eq!(ids(&ask(&world, "ben", true)), [porto]);
}

fn old_facts_do_not_crowd_out_other_memories() {
    let world = world();
    let texts: Vec<String> = (0..40).map(|number| format!("Ana lives in flat {number} of the old town.")).collect();
    let flats = chain(&world, "ana", &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let other = add(&world, note("ana", "Ana also has a house in the town."));
    let request = SearchRequest {
        latest_only: true,
        top_k: 2,
        threshold: Some(0.0),
        ..SearchRequest::new("In which flat of the old town does Ana live?", by_user("ana"))
    };
    let hits = world.search(&request).unwrap().hits;
    assert_eq!(ids(&hits).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([flats[39], other]));
}

/// What happened to facts of one user.
#[derive(Clone, Debug)]
struct Story {
    /// Newer and older fact of each link.
    links: Vec<(usize, usize)>,
    expired: HashSet<usize>,
    deleted: HashSet<usize>,
}

const COUNT: usize = 7;

fn story() -> impl Strategy<Value = Story> {
    let links = proptest::collection::vec((0..COUNT, 0..COUNT), 0..11);
    let some = || proptest::collection::hash_set(0..COUNT, 0..3);
    (links, some(), some()).prop_map(|(links, expired, deleted)| Story { links, expired, deleted })
}

impl Story {
    fn replaces(&self, newer: usize, older: usize) -> bool {
        let mut reached = BTreeSet::new();
        let mut open = vec![newer];
        while let Some(at) = open.pop() {
            let next = self.links.iter().filter(|link| link.0 == at).map(|link| link.1);
            open.extend(next.filter(|fact| reached.insert(*fact)));
        }
        reached.contains(&older)
    }

    fn is_newer(&self, a: usize, b: usize) -> bool {
        self.replaces(a, b) && !self.replaces(b, a)
    }

    fn check(&self, engine: &Engine, user: &str) -> Result<(), TestCaseError> {
        let past = Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date().checked_sub(2.days()).unwrap();
        let ids: Vec<MemoryId> = (0..COUNT)
            .map(|fact| {
                let expiration_date = self.expired.contains(&fact).then_some(past);
                add(engine, AddRequest { expiration_date, ..note(user, &format!("Ana lives in town {fact}.")) })
            })
            .collect();
        for (minute, &(newer, older)) in self.links.iter().enumerate() {
            supersede(engine, ids[newer], ids[older], minute);
        }
        for &fact in &self.deleted {
            engine.delete(ids[fact]).unwrap();
        }
        let shown: Vec<usize> =
            (0..COUNT).filter(|fact| !self.expired.contains(fact) && !self.deleted.contains(fact)).collect();
        let is_current = |fact: usize| !shown.iter().any(|&other| self.is_newer(other, fact));
        let set = |is: &dyn Fn(usize) -> bool| -> BTreeSet<MemoryId> {
            shown.iter().filter(|&&fact| is(fact)).map(|&fact| ids[fact]).collect()
        };
        let latest: BTreeSet<MemoryId> = ask(engine, user, true).iter().map(|hit| hit.memory.id).collect();
        prop_assert_eq!(latest, set(&is_current), "the current facts");
        let listed = |ids: Option<&[MemoryId]>, limit: usize| {
            let ids = ids.map(<[_]>::to_vec);
            let mut request =
                ListRequest { filter: Some(by_user(user)), ids, limit, latest_only: true, ..ListRequest::default() };
            let mut found = Vec::new();
            loop {
                let page = engine.list(&request).unwrap();
                found.extend(page.items.iter().map(|memory| memory.id));
                request.cursor = page.next;
                if request.cursor.is_none() {
                    assert_eq!(page.total, found.len());
                    return found;
                }
            }
        };
        let mut current: Vec<MemoryId> = set(&is_current).into_iter().collect();
        current.sort_by_key(|id| std::cmp::Reverse(ids.iter().position(|other| other == id)));
        for limit in [1, 3, 50] {
            prop_assert_eq!(&listed(None, limit), &current, "in pages of {}", limit);
        }
        current.reverse();
        prop_assert_eq!(&listed(Some(&ids), 50), &current, "of the ids");
        let all = ask(engine, user, false);
        prop_assert_eq!(all.iter().map(|hit| hit.memory.id).collect::<BTreeSet<_>>(), set(&|_| true), "all facts");
        for hit in all {
            let fact = ids.iter().position(|id| *id == hit.memory.id).unwrap();
            let by = set(&|other| is_current(other) && self.is_newer(other, fact));
            prop_assert_eq!(hit.superseded_by.is_some(), !by.is_empty(), "fact {}", fact);
            prop_assert!(hit.superseded_by.is_none_or(|id| by.contains(&id)), "fact {}", fact);
            let replaced = set(&|other| is_current(fact) && self.is_newer(fact, other));
            prop_assert_eq!(hit.supersedes.into_iter().collect::<BTreeSet<_>>(), replaced, "fact {}", fact);
        }
        Ok(())
    }
}

fn searches_agree_with_a_simple_model() {
    let world = world();
    let number = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let result = runner.run(&story(), |story| {
        number.set(number.get() + 1);
        story.check(&world, &format!("user-{}", number.get()))
    });
    result.unwrap();
}
