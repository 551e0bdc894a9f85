//! Searches against a plain reading of their definitions.

use std::collections::HashMap;

use jiff::civil::Date;

use super::fixture::{Dice, TODAY, apply, id, insert};
use super::{DIMS, Open};
use crate::{
    Bm25, CandidateQuery, Change, Filter, MemoryId, Record, Role, Scope, Scored, Sparse, SparseQuery, Store,
    StoreError, View,
};

const BM25: Bm25 = Bm25 { k: 1.2, b: 0.75, avg_len: 6.0, norm: 3.0 };
const NEAR: f64 = 1e-4;

fn filters() -> Vec<Filter> {
    let eq = |key: &str, value: &str| Filter::eq(key, value).unwrap();
    vec![
        eq("user_id", "u1"),
        eq("user_id", "u1").and(eq("agent_id", "a1")),
        eq("run_id", "r1"),
        eq("run_id", "r1").and(eq("agent_id", "a2")),
        eq("user_id", "u2").and(eq("colour", "red")),
        eq("user_id", "u1").and(!eq("agent_id", "a2")),
        eq("agent_id", "a1").and(Filter::one_of("user_id", ["u1", "u2"]).unwrap()),
        eq("user_id", "nobody"),
        eq("user_id", "u1").and(eq("user_id", "u2")),
        eq("agent_id", "a1").and(eq("user_id", "u1")).and(eq("user_id", "u2")),
    ]
}

/// What the store should hold, in the order it was stored.
#[derive(Default)]
struct Model {
    records: Vec<Record>,
    /// Slots of what was there and went.
    gone: Vec<Sparse>,
}

impl Model {
    fn view<'m>(&'m self, filter: &Filter, today: Option<Date>) -> Visible<'m> {
        let asked = Scope::pinned_by(filter);
        let shown = |record: &&Record| {
            let payload = &record.memory.payload;
            let own = payload.scope();
            asked.ids().iter().zip(own.ids()).all(|(asked, own)| asked.is_none() || *asked == own)
                && today.is_none_or(|today| payload.expiration_date().is_none_or(|last| last >= today))
                && !filter.scope().is_contradiction()
        };
        let in_scope: Vec<&Record> = self.records.iter().filter(shown).collect();
        let allowed =
            in_scope.iter().copied().filter(|record| filter.matches(record.memory.payload.as_map())).collect();
        Visible { in_scope, allowed }
    }

    /// Qdrant's idf: over everything there is. The least and the most it can be where what is gone may still count.
    fn sparse_idf(&self, term: u32, lag: bool) -> [f64; 2] {
        let holds = |slot: &Sparse| slot.iter().any(|(own, _)| *own == term);
        let documents = self.records.len() as f64;
        let holding = self.records.iter().filter(|record| holds(&record.bm25)).count() as f64;
        let (all, held) = match lag {
            true => (self.gone.len() as f64, self.gone.iter().filter(|slot| holds(slot)).count() as f64),
            false => (0.0, 0.0),
        };
        let idf = |documents: f64, holding: f64| (1.0 + (documents - holding + 0.5) / (holding + 0.5)).ln();
        [idf(documents.max(holding + held), holding + held), idf(documents + all, holding)]
    }
}

struct Visible<'m> {
    in_scope: Vec<&'m Record>,
    allowed: Vec<&'m Record>,
}

impl Visible<'_> {
    fn scores(&self, score: impl Fn(&Record) -> f64) -> HashMap<MemoryId, f64> {
        self.allowed.iter().map(|record| (record.memory.id, score(record))).collect()
    }

    /// Σ idf·tf of text (0) or context (1), and Σ idf of the question.
    fn lexical(&self, terms: &[u32], field: usize) -> (HashMap<MemoryId, f64>, f64) {
        let count = |record: &Record, term: u32| {
            let found = record.terms.counts.iter().find(|count| count.term == term);
            f64::from(found.map_or(0, |count| [count.in_text, count.in_context][field]))
        };
        let all = self.in_scope.len() as f64;
        let idf = |term: u32| {
            let holding = self.in_scope.iter().filter(|record| count(record, term) > 0.0).count() as f64;
            (1.0 + (all - holding + 0.5) / (holding + 0.5)).ln()
        };
        let (k, b, avg) = (f64::from(BM25.k), f64::from(BM25.b), f64::from(BM25.avg_len));
        let sums = self.scores(|record| {
            let len = f64::from([record.terms.text_len, record.terms.context_len][field]);
            let tf = |f: f64| f * (k + 1.0) / (f + k * (1.0 - b + b * len / avg));
            terms.iter().map(|&term| idf(term) * tf(count(record, term))).sum()
        });
        (sums, terms.iter().map(|&term| idf(term)).sum())
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

/// The best by plain scores: each as it should be, none of the better ones missing.
fn check_scored(found: &Scored, expected: &HashMap<MemoryId, f64>, limit: usize, told: &str) {
    assert_eq!(found.len(), limit.min(expected.len()), "{told}");
    let mut sorted: Vec<f64> = expected.values().copied().collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    for ((id, score), best) in found.iter().zip(&sorted) {
        assert!((f64::from(*score) - expected[id]).abs() < NEAR, "{told}: {id} has {score}, not {}", expected[id]);
        assert!((f64::from(*score) - best).abs() < NEAR, "{told}: {score} in the place of {best}");
    }
    let mut ids: Vec<MemoryId> = found.iter().map(|hit| hit.0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), found.len(), "{told}: a memory twice");
}

/// The best by plain scores, each between its least and its most.
fn check_between(found: &Scored, [least, most]: &[HashMap<MemoryId, f64>; 2], limit: usize, told: &str) {
    assert_eq!(found.len(), limit.min(most.len()), "{told}");
    assert!(found.is_sorted_by(|a, b| a.1 >= b.1), "{told}: best first");
    for (id, score) in found {
        let (score, least, most) = (f64::from(*score), least[id], most[id]);
        assert!(score > least - NEAR && score < most + NEAR, "{told}: {id} has {score}, not {least} to {most}");
    }
}

/// Every kind of search on every filter, against the model. `lag`: idf may count what is gone.
fn check_searches(store: &dyn Store, model: &Model, dice: &mut Dice, lag: bool) {
    let vector = dice.vector();
    let terms: Vec<u32> = (0..32).filter(|_| dice.below(6) == 0).collect();
    let sparse: Sparse = terms.iter().map(|&term| (term, 0.5 + dice.below(100) as f32 / 50.0)).collect();
    for filter in filters() {
        for today in [None, Some(TODAY)] {
            let told = format!("{filter:?} on {today:?}");
            let visible = model.view(&filter, today);
            let view = View::new(&filter, today);

            let dense = visible.scores(|record| cosine(&record.vector, &vector));
            let by_slot = |end: usize| {
                let mut scores = visible.scores(|record| {
                    let weight = |(term, value): &(u32, f32)| {
                        let asked =
                            sparse.iter().find(|(own, _)| own == term).map_or(0.0, |(_, weight)| f64::from(*weight));
                        asked * f64::from(*value) * model.sparse_idf(*term, lag)[end]
                    };
                    record.bm25.iter().map(weight).sum()
                });
                scores.retain(|_, score| *score > 0.0);
                scores
            };
            let by_slot = [by_slot(0), by_slot(1)];
            for limit in [1, 5, 1000] {
                check_scored(&store.nearest(&view, &vector, limit).unwrap(), &dense, limit, &told);
                let query = SparseQuery { vector: &sparse, limit };
                let found = store.sparse(&view, &query).unwrap();
                if lag {
                    check_between(&found, &by_slot, limit, &told);
                } else {
                    check_scored(&found, &by_slot[1], limit, &told);
                }
            }

            let stats = store.scope_stats(&view, &terms).unwrap();
            assert_eq!(stats.memories, visible.in_scope.len(), "{told}");
            let held = |&term: &u32| {
                let named = |record: &&&Record| {
                    let count = record.terms.counts.iter().find(|count| count.term == term);
                    count.is_some_and(|count| count.in_text > 0 || count.in_context == 0)
                };
                visible.in_scope.iter().filter(named).count()
            };
            assert_eq!(stats.document_frequency, terms.iter().map(held).collect::<Vec<_>>(), "{told}");
            let mut actors: Vec<&str> = stats.actors.iter().map(String::as_str).collect();
            actors.sort_unstable();
            let mut heard: Vec<&str> =
                visible.in_scope.iter().filter_map(|record| record.memory.payload.actor()).collect();
            heard.sort_unstable();
            heard.dedup();
            assert_eq!(actors, heard, "{told}");

            for (per_signal, per_session) in [(1, 1), (4, 3), (1000, 2)] {
                let query = CandidateQuery {
                    vector: &vector,
                    terms: &terms,
                    bm25: BM25,
                    per_signal,
                    per_session,
                    text_share: 0.5,
                };
                check_candidates(store, model, &view, &query, &told);
            }
        }
    }
}

fn check_candidates(store: &dyn Store, model: &Model, view: &View<'_>, query: &CandidateQuery<'_>, told: &str) {
    let found = store.candidates(view, query).unwrap();
    let visible = model.view(view.filter, view.today);
    let dense = visible.scores(|record| cosine(&record.vector, query.vector));
    let (text, text_idf) = visible.lexical(query.terms, 0);
    let (context, context_idf) = visible.lexical(query.terms, 1);
    let normed = |sum: f64, idf: f64| sum / (f64::from(BM25.norm) * idf).max(1e-9).sqrt();
    assert_eq!(found.in_scope, visible.in_scope.len(), "{told}");
    let in_session = visible.in_scope.iter().filter(|record| record.memory.provenance.session.is_some()).count();
    assert_eq!(found.in_session, in_session, "{told}");

    // The least score that is among the best of each signal.
    let bar = |scores: &HashMap<MemoryId, f64>, positive: bool| {
        let mut sorted: Vec<f64> = scores.values().copied().filter(|score| !positive || *score > 0.0).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        sorted.get(query.per_signal.min(sorted.len()).wrapping_sub(1)).copied().unwrap_or(f64::INFINITY)
    };
    let bars = [(&dense, bar(&dense, false)), (&text, bar(&text, true)), (&context, bar(&context, true))];
    let place = |id: MemoryId| visible.allowed.iter().position(|record| record.memory.id == id);
    let places: Vec<usize> = found.hits.iter().map(|hit| place(hit.id).unwrap()).collect();
    assert!(places.is_sorted_by(|a, b| a < b), "{told}: oldest first, none twice");
    for (at, record) in visible.allowed.iter().enumerate() {
        let id = record.memory.id;
        let margin = |(scores, bar): &(&HashMap<MemoryId, f64>, f64)| scores[&id] - bar;
        if bars.iter().any(|signal| margin(signal) > NEAR) {
            assert!(places.contains(&at), "{told}: {id} is missing");
        }
        if places.contains(&at) {
            assert!(bars.iter().any(|signal| margin(signal) > -NEAR), "{told}: {id} is among no best");
        }
    }
    let mut sessions: HashMap<u32, (Scope, String)> = HashMap::new();
    for (hit, &at) in found.hits.iter().zip(&places) {
        let record = visible.allowed[at];
        let memory = &record.memory;
        let close = |found: f32, expected: f64, what: &str| {
            assert!(
                (f64::from(found) - expected).abs() < NEAR,
                "{told}: {what} of {} is {found}, not {expected}",
                hit.id
            );
        };
        close(hit.dense, dense[&hit.id], "dense");
        close(hit.text_sum, text[&hit.id], "text_sum");
        close(hit.text, normed(text[&hit.id], text_idf), "text");
        close(hit.context, normed(context[&hit.id], context_idf), "context");
        assert_eq!(hit.actor.as_deref(), memory.payload.actor(), "{told}");
        let role = match memory.payload.role() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            _ => Role::Other,
        };
        assert_eq!(hit.role, role, "{told}");
        let day = memory.happened_at().map(|time| time.to_zoned(jiff::tz::TimeZone::UTC).date());
        assert_eq!(hit.day, day, "{told}");
        assert_eq!(hit.holds_time_word, record.holds_time_word, "{told}");
        let Some(session) = &memory.provenance.session else {
            assert_eq!((hit.session, hit.before, hit.after), (0, 0.0, 0.0), "{told}");
            continue;
        };
        let key = (memory.payload.scope(), session.clone());
        let mut line: Vec<(Option<u32>, MemoryId)> = model
            .records
            .iter()
            .map(|other| &other.memory)
            .filter(|other| other.provenance.session.as_ref() == Some(session) && other.payload.scope() == key.0)
            .map(|other| (other.provenance.position, other.id))
            .collect();
        line.sort_unstable();
        let at = line.iter().position(|(_, id)| *id == hit.id).unwrap();
        let spoken = |at: Option<usize>| {
            let neighbour = at.and_then(|at| line.get(at)).and_then(|(_, id)| text.get(id));
            neighbour.map_or(0.0, |sum| normed(*sum, text_idf))
        };
        close(hit.before, spoken(at.checked_sub(1)), "before");
        close(hit.after, spoken(Some(at + 1)), "after");
        assert_eq!(*sessions.entry(hit.session).or_insert_with(|| key.clone()), key, "{told}: a number a session");
        let mut best: Vec<f64> = visible
            .allowed
            .iter()
            .filter(|other| other.memory.provenance.session.as_ref() == Some(session))
            .filter(|other| other.memory.payload.scope() == key.0)
            .map(|other| {
                let id = other.memory.id;
                dense[&id] + f64::from(query.text_share) * normed(text[&id], text_idf)
            })
            .collect();
        best.sort_by(|a, b| b.total_cmp(a));
        best.truncate(query.per_session);
        close(found.sessions[&hit.session], best.iter().sum::<f64>() / best.len() as f64, "the session");
    }
}

pub(super) fn equal_brute_force(open: Open<'_>) {
    let mut dice = Dice(11);
    let mut model = Model::default();
    {
        let store = open();
        for number in 0..120 {
            let record = dice.record(id(number), number);
            insert(&*store, record.clone());
            model.records.push(record);
        }
        check_searches(&*store, &model, &mut dice, false);
    }
    check_searches(&*open(), &model, &mut dice, false);
}

pub(super) fn kept_current_equals_fresh(open: Open<'_>) {
    kept_current(open, true);
}

/// The same where idf counts nothing that is gone.
pub(super) fn idf_counts_the_living_alone(open: Open<'_>) {
    kept_current(open, false);
}

fn kept_current(open: Open<'_>, lag: bool) {
    let store = open();
    let mut model = Model::default();
    let mut number = 0;
    for seed in 0..12 {
        let mut dice = Dice(1000 + seed);
        for _ in 0..3 {
            // Searched in between, so that there is an index to keep current.
            check_searches(&*store, &model, &mut dice, lag);
            for _ in 0..1 + dice.below(12) {
                let change = change(&mut model, &mut dice, &mut number);
                apply(&*store, vec![change]).unwrap();
            }
            // Several changes in one set, some of one memory.
            let together = (0..dice.below(5)).map(|_| change(&mut model, &mut dice, &mut number)).collect();
            apply(&*store, together).unwrap();
        }
        check_searches(&*store, &model, &mut dice, lag);
        let fresh = open();
        check_searches(&*fresh, &model, &mut dice, lag);
        check_ties(&*store, &*fresh);
    }
}

/// Among equals too, an index kept current answers like a fresh one: the zero vector is as near to all.
fn check_ties(current: &dyn Store, fresh: &dyn Store) {
    for filter in filters() {
        let view = View::new(&filter, None);
        for limit in [3, 1000] {
            let order = |store: &dyn Store| store.nearest(&view, &[0.0; DIMS], limit).unwrap();
            assert_eq!(order(current), order(fresh), "{filter:?}");
        }
    }
}

/// A random change, made to the model as well.
fn change(model: &mut Model, dice: &mut Dice, number: &mut u32) -> Change {
    let at = dice.below(model.records.len().max(1));
    match dice.below(10) {
        _ if model.records.is_empty() => {}
        0..=1 => {
            let gone = model.records.remove(at);
            model.gone.push(gone.bm25);
            return Change::Remove(gone.memory.id);
        }
        2..=3 => {
            let terms = dice.terms();
            model.records[at].terms = terms.clone();
            return Change::SetTerms(model.records[at].memory.id, terms);
        }
        4..=5 => {
            // Mostly the same scope, now and then another.
            let mut record = dice.record(model.records[at].memory.id, 5000 + *number);
            *number += 1;
            if dice.below(4) > 0 {
                for key in crate::SCOPE_KEYS {
                    record.memory.payload.remove(key);
                    if let Some(own) = model.records[at].memory.payload.str(key) {
                        record.memory.payload.set(key, own);
                    }
                }
            }
            model.gone.push(std::mem::replace(&mut model.records[at], record.clone()).bm25);
            return Change::Replace(Box::new(record));
        }
        _ => {}
    }
    let record = dice.record(id(*number), *number);
    *number += 1;
    model.records.push(record.clone());
    Change::Insert(Box::new(record))
}

pub(super) fn nobody_sees_another(open: Open<'_>) {
    let store = open();
    let mut dice = Dice(21);
    let mut of_user = HashMap::new();
    for number in 0..200 {
        let mut record = dice.record(id(number), number);
        record.mentions = vec![super::fixture::mention("Nori", 0)];
        of_user.insert(record.memory.id, record.memory.payload.scope().user_id);
        insert(&*store, record);
    }
    for user in ["u1", "u2"] {
        let own = |id: MemoryId| assert_eq!(of_user[&id].as_deref(), Some(user));
        let by_user = Filter::eq("user_id", user).unwrap();
        let filters = [
            by_user.clone(),
            by_user.clone().and(Filter::eq("agent_id", "a1").unwrap()),
            by_user.clone().and(Filter::eq("colour", "red").unwrap()),
            by_user.clone().and(Filter::eq("colour", "red").unwrap().or(Filter::eq("colour", "blue").unwrap())),
            by_user.clone().and(!Filter::eq("agent_id", "a1").unwrap()),
            by_user.clone().and(Filter::one_of("user_id", ["u1", "u2"]).unwrap()),
        ];
        for filter in &filters {
            let view = View::new(filter, None);
            store.nearest(&view, &dice.vector(), 999).unwrap().iter().for_each(|hit| own(hit.0));
            let sparse: Sparse = (0..30).map(|term| (term, 1.0)).collect();
            let query = SparseQuery { vector: &sparse, limit: 999 };
            store.sparse(&view, &query).unwrap().iter().for_each(|hit| own(hit.0));
            let terms: Vec<u32> = (0..30).collect();
            let vector = dice.vector();
            let query = CandidateQuery {
                vector: &vector,
                terms: &terms,
                bm25: BM25,
                per_signal: 999,
                per_session: 3,
                text_share: 0.5,
            };
            store.candidates(&view, &query).unwrap().hits.iter().for_each(|hit| own(hit.id));
            let page = crate::PageRequest { limit: 999, ..Default::default() };
            store.list(Some(filter), None, &page).unwrap().items.iter().for_each(|memory| own(memory.id));
            for near in store.near_entities(filter, &[super::fixture::mention("Nori", 0).vector], 99, 0.0).unwrap() {
                near.iter().flat_map(|entity| &entity.memories).for_each(|id| own(*id));
            }
        }
        let owner = super::fixture::user(user);
        let last = store.last_in_scope(&owner).unwrap();
        last.iter().for_each(|memory| own(memory.id));
        for session in ["s1", "s2"] {
            let found = store.session(&owner, session, crate::SessionWindow::Last(999)).unwrap();
            found.iter().for_each(|memory| own(memory.id));
        }
    }
}

pub(super) fn pinning_nothing_is_refused(open: Open<'_>) {
    let store = open();
    insert(&*store, super::fixture::plain(1, &super::fixture::user("u1"), "text"));
    let filters = [
        Filter::eq("colour", "red").unwrap(),
        Filter::one_of("user_id", ["u1", "u2"]).unwrap(),
        Filter::eq("user_id", "u1").unwrap().or(Filter::eq("user_id", "u2").unwrap()),
        Filter::eq("user_id", "u1").unwrap().or(Filter::eq("agent_id", "a1").unwrap()),
        !Filter::eq("user_id", "u1").unwrap(),
    ];
    for filter in &filters {
        let view = View::new(filter, None);
        let refused = |error: StoreError| assert!(matches!(error, StoreError::InvalidScope(_)), "{error}");
        refused(store.nearest(&view, &[1.0; DIMS], 9).unwrap_err());
        refused(store.sparse(&view, &SparseQuery { vector: &vec![(1, 1.0)], limit: 9 }).unwrap_err());
        refused(store.scope_stats(&view, &[1]).unwrap_err());
        refused(store.near_entities(filter, &[vec![1.0; DIMS]], 9, 0.0).unwrap_err());
    }
}
