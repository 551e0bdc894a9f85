//! Stories of searches. Their results are compared with a simple implementation of their definitions.

use std::collections::HashMap;

use jiff::civil::Date;

use super::fixture::{DIMS, Open, Random, TODAY, apply, id, insert, mention, plain, user};
use crate::{
    Bm25, Candidate, CandidateQuery, Candidates, Change, Filter, MemoryId, Record, Scope, Scored, Sparse, SparseQuery,
    Store, StoreError, View, run_search,
};

const BM25: Bm25 = Bm25 { k: 1.2, b: 0.75, avg_len: 6.0, norm: 3.0 };
const TOLERANCE: f64 = 1e-4;

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

/// The expected contents of the store, in the order of insertion.
#[derive(Default)]
struct Model {
    records: Vec<Record>,
    /// The `bm25` vectors of removed memories.
    removed: Vec<Sparse>,
}

impl Model {
    fn view<'m>(&'m self, filter: &Filter, today: Option<Date>) -> Visible<'m> {
        let pinned = Scope::pinned_by(filter);
        let shown = |record: &&Record| {
            let payload = &record.memory.payload;
            let own = payload.scope();
            pinned.ids().iter().zip(own.ids()).all(|(pinned, own)| pinned.is_none() || *pinned == own)
                && today.is_none_or(|today| !payload.is_expired(today))
                && !filter.scope().is_contradiction()
        };
        let in_scope: Vec<&Record> = self.records.iter().filter(shown).collect();
        let allowed =
            in_scope.iter().copied().filter(|record| filter.matches(record.memory.payload.as_map())).collect();
        Visible { in_scope, allowed }
    }

    /// Qdrant's idf over all memories: its minimum and maximum. With `lag`, removed memories may still be counted.
    fn sparse_idf(&self, term: u32, lag: bool) -> [f64; 2] {
        let has_term = |vector: &Sparse| vector.iter().any(|(own, _)| *own == term);
        let documents = self.records.len() as f64;
        let with_term = self.records.iter().filter(|record| has_term(&record.bm25)).count() as f64;
        let (removed, removed_with_term) = if lag {
            (self.removed.len() as f64, self.removed.iter().filter(|vector| has_term(vector)).count() as f64)
        } else {
            (0.0, 0.0)
        };
        let idf = |documents: f64, with_term: f64| (1.0 + (documents - with_term + 0.5) / (with_term + 0.5)).ln();
        let most_with_term = with_term + removed_with_term;
        [idf(documents.max(most_with_term), most_with_term), idf(documents + removed, with_term)]
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

    /// Σ weight·idf·tf of the text (field 0) or the context (field 1), and Σ weight·idf of the question.
    fn lexical(&self, terms: &[(u32, f32)], field: usize) -> (HashMap<MemoryId, f64>, f64) {
        let count = |record: &Record, term: u32| {
            let found = record.terms.counts.iter().find(|count| count.term == term);
            f64::from(found.map_or(0, |count| [count.in_text, count.in_context][field]))
        };
        let all = self.in_scope.len() as f64;
        let idf = |term: u32| {
            let with_term = self.in_scope.iter().filter(|record| count(record, term) > 0.0).count() as f64;
            (1.0 + (all - with_term + 0.5) / (with_term + 0.5)).ln()
        };
        let (k, b, avg) = (f64::from(BM25.k), f64::from(BM25.b), f64::from(BM25.avg_len));
        let sums = self.scores(|record| {
            let len = f64::from([record.terms.text_len, record.terms.context_len][field]);
            let tf = |f: f64| f * (k + 1.0) / (f + k * (1.0 - b + b * len / avg));
            terms.iter().map(|&(term, weight)| f64::from(weight) * idf(term) * tf(count(record, term))).sum()
        });
        (sums, terms.iter().map(|&(term, weight)| f64::from(weight) * idf(term)).sum())
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { dot(a, b) / norms } else { 0.0 }
}

/// Checks that the results are the best by these scores, with the right scores.
fn check_scored(found: &Scored, expected: &HashMap<MemoryId, f64>, limit: usize, case: &str) {
    assert_eq!(found.len(), limit.min(expected.len()), "{case}");
    let mut sorted: Vec<f64> = expected.values().copied().collect();
    sorted.sort_by(|a, b| b.total_cmp(a));
    for ((id, score), best) in found.iter().zip(&sorted) {
        assert!((f64::from(*score) - expected[id]).abs() < TOLERANCE, "{case}: {id} has {score}, not {}", expected[id]);
        assert!((f64::from(*score) - best).abs() < TOLERANCE, "{case}: {score} in the place of {best}");
    }
    let mut ids: Vec<MemoryId> = found.iter().map(|hit| hit.0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), found.len(), "{case}: a memory twice");
}

/// Checks that the results are the best, with scores between a minimum and a maximum.
fn check_between(found: &Scored, [least, most]: &[HashMap<MemoryId, f64>; 2], limit: usize, case: &str) {
    assert_eq!(found.len(), limit.min(most.len()), "{case}");
    assert!(found.is_sorted_by(|a, b| a.1 >= b.1), "{case}: best first");
    for (id, score) in found {
        let (score, least, most) = (f64::from(*score), least[id], most[id]);
        assert!(
            score > least - TOLERANCE && score < most + TOLERANCE,
            "{case}: {id} has {score}, not {least} to {most}"
        );
    }
}

/// Checks every kind of search with every filter against the model. `lag`: idf may count removed memories.
fn check_searches(store: &dyn Store, model: &Model, random: &mut Random, lag: bool) {
    let vector = random.vector();
    let terms: Vec<u32> = (0..32).filter(|_| random.below(6) == 0).collect();
    let sparse: Sparse = terms.iter().map(|&term| (term, 0.5 + random.below(100) as f32 / 50.0)).collect();
    for filter in filters() {
        for today in [None, Some(TODAY)] {
            let case = format!("{filter:?} on {today:?}");
            let visible = model.view(&filter, today);
            let view = View::new(&filter, today);

            let dense = visible.scores(|record| cosine(&record.vector, &vector));
            let sparse_scores = |bound: usize| {
                let mut scores = visible.scores(|record| {
                    let weight = |(term, value): &(u32, f32)| {
                        let weight =
                            sparse.iter().find(|(own, _)| own == term).map_or(0.0, |(_, weight)| f64::from(*weight));
                        weight * f64::from(*value) * model.sparse_idf(*term, lag)[bound]
                    };
                    record.bm25.iter().map(weight).sum()
                });
                scores.retain(|_, score| *score > 0.0);
                scores
            };
            let sparse_scores = [sparse_scores(0), sparse_scores(1)];
            for limit in [1, 5, 1000] {
                check_scored(
                    &run_search(store, view, |reads| reads.nearest(&vector, limit)).unwrap(),
                    &dense,
                    limit,
                    &case,
                );
                let query = SparseQuery { vector: &sparse, limit };
                let found = run_search(store, view, |reads| reads.sparse(&query)).unwrap();
                if lag {
                    check_between(&found, &sparse_scores, limit, &case);
                } else {
                    check_scored(&found, &sparse_scores[1], limit, &case);
                }
            }

            let stats = run_search(store, view, |reads| reads.scope_stats(&terms)).unwrap();
            assert_eq!(stats.memories, visible.in_scope.len(), "{case}");
            let documents_with = |&term: &u32| {
                let has_term = |record: &&&Record| {
                    let count = record.terms.counts.iter().find(|count| count.term == term);
                    count.is_some_and(|count| count.in_text > 0 || count.in_context == 0)
                };
                visible.in_scope.iter().filter(has_term).count()
            };
            assert_eq!(stats.document_frequency, terms.iter().map(documents_with).collect::<Vec<_>>(), "{case}");
            let mut actors: Vec<&str> = stats.actors.iter().map(String::as_str).collect();
            actors.sort_unstable();
            let mut speakers: Vec<&str> =
                visible.in_scope.iter().filter_map(|record| record.memory.payload.actor()).collect();
            speakers.sort_unstable();
            speakers.dedup();
            assert_eq!(actors, speakers, "{case}");

            let weights = [1.0, 0.4, 0.7].into_iter().cycle();
            let weighted: Vec<(u32, f32)> = terms.iter().copied().zip(weights).collect();
            for (per_signal, per_session) in [(1, 1), (4, 3), (1000, 2)] {
                let query = CandidateQuery {
                    vector: &vector,
                    terms: &weighted,
                    bm25: BM25,
                    per_signal,
                    per_session,
                    dense_share: 0.75,
                    text_share: 0.5,
                };
                check_candidates(store, model, &view, &query, &case);
            }
        }
    }
}

/// The expected signals of the visible memories.
struct Signals {
    dense: HashMap<MemoryId, f64>,
    text_sums: HashMap<MemoryId, f64>,
    context_sums: HashMap<MemoryId, f64>,
    text_idf: f64,
    context_idf: f64,
}

impl Signals {
    fn new(visible: &Visible<'_>, query: &CandidateQuery<'_>) -> Self {
        let dense = visible.scores(|record| cosine(&record.vector, query.vector));
        let (text_sums, text_idf) = visible.lexical(query.terms, 0);
        let (context_sums, context_idf) = visible.lexical(query.terms, 1);
        Self { dense, text_sums, context_sums, text_idf, context_idf }
    }

    fn text(&self, id: MemoryId) -> f64 {
        normed(self.text_sums[&id], self.text_idf)
    }

    fn context(&self, id: MemoryId) -> f64 {
        normed(self.context_sums[&id], self.context_idf)
    }
}

fn normed(sum: f64, idf: f64) -> f64 {
    sum / (f64::from(BM25.norm) * idf).max(1e-9).sqrt()
}

fn check_candidates(store: &dyn Store, model: &Model, view: &View<'_>, query: &CandidateQuery<'_>, case: &str) {
    let found = run_search(store, *view, |reads| reads.candidates(query)).unwrap();
    let visible = model.view(view.filter, view.today);
    let signals = Signals::new(&visible, query);
    assert_eq!(found.in_scope, visible.in_scope.len(), "{case}");
    let in_session = visible.in_scope.iter().filter(|record| record.memory.provenance.session.is_some()).count();
    assert_eq!(found.in_session, in_session, "{case}");
    check_selection(&found, &visible, &signals, query.per_signal, case);
    let mut sessions: HashMap<u32, (Scope, String)> = HashMap::new();
    for hit in &found.hits {
        let record = visible.allowed.iter().find(|record| record.memory.id == hit.id).unwrap();
        check_hit(hit, record, &signals, case);
        let Some(session) = &record.memory.provenance.session else {
            assert_eq!((hit.session, hit.before, hit.after), (0, 0.0, 0.0), "{case}");
            continue;
        };
        let key = (record.memory.payload.scope(), session.clone());
        check_neighbours(hit, model, &key, &signals, case);
        let score = f64::from(found.sessions[&hit.session]);
        let expected = session_score(&visible, &key, &signals, query);
        assert!((score - expected).abs() < TOLERANCE, "{case}: the session has {score}, not {expected}");
        assert_eq!(
            *sessions.entry(hit.session).or_insert_with(|| key.clone()),
            key,
            "{case}: one number for each session"
        );
    }
}

/// Checks that the candidates are the best by each signal.
fn check_selection(found: &Candidates, visible: &Visible<'_>, signals: &Signals, per_signal: usize, case: &str) {
    // The lowest score among the best of each signal.
    let lowest = |scores: &HashMap<MemoryId, f64>, positive: bool| {
        let mut sorted: Vec<f64> = scores.values().copied().filter(|score| !positive || *score > 0.0).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        sorted.get(per_signal.min(sorted.len()).wrapping_sub(1)).copied().unwrap_or(f64::INFINITY)
    };
    let Signals { dense, text_sums, context_sums, .. } = signals;
    let limits = [
        (dense, lowest(dense, false)),
        (text_sums, lowest(text_sums, true)),
        (context_sums, lowest(context_sums, true)),
    ];
    let index_of = |id: MemoryId| visible.allowed.iter().position(|record| record.memory.id == id);
    let indices: Vec<usize> = found.hits.iter().map(|hit| index_of(hit.id).unwrap()).collect();
    assert!(indices.is_sorted_by(|a, b| a < b), "{case}: oldest first, none twice");
    for (at, record) in visible.allowed.iter().enumerate() {
        let id = record.memory.id;
        let margin = |(scores, lowest): &(&HashMap<MemoryId, f64>, f64)| scores[&id] - lowest;
        if limits.iter().any(|limit| margin(limit) > TOLERANCE) {
            assert!(indices.contains(&at), "{case}: {id} is missing");
        }
        if indices.contains(&at) {
            assert!(limits.iter().any(|limit| margin(limit) > -TOLERANCE), "{case}: {id} is not among the best");
        }
    }
}

fn assert_close(found: f32, expected: f64, what: &str, hit: &Candidate, case: &str) {
    let difference = (f64::from(found) - expected).abs();
    assert!(difference < TOLERANCE, "{case}: {what} of {} is {found}, not {expected}", hit.id);
}

fn check_hit(hit: &Candidate, record: &Record, signals: &Signals, case: &str) {
    assert_close(hit.dense, signals.dense[&hit.id], "dense", hit, case);
    assert_close(hit.text_sum, signals.text_sums[&hit.id], "text_sum", hit, case);
    assert_close(hit.text, signals.text(hit.id), "text", hit, case);
    assert_close(hit.context, signals.context(hit.id), "context", hit, case);
    let memory = &record.memory;
    assert_eq!(hit.actor.as_deref(), memory.payload.actor(), "{case}");
    assert_eq!(hit.by_user, memory.payload.role() == Some("user"), "{case}");
    let day = memory.happened_at().map(|time| time.to_zoned(jiff::tz::TimeZone::UTC).date());
    assert_eq!(hit.day, day, "{case}");
    assert_eq!(hit.holds_time_word, record.holds_time_word, "{case}");
}

/// Checks the scores of the previous and the next memory in the session.
fn check_neighbours(hit: &Candidate, model: &Model, key: &(Scope, String), signals: &Signals, case: &str) {
    let mut members: Vec<(Option<u32>, MemoryId)> = model
        .records
        .iter()
        .map(|record| &record.memory)
        .filter(|memory| memory.provenance.session.as_ref() == Some(&key.1) && memory.payload.scope() == key.0)
        .map(|memory| (memory.provenance.position, memory.id))
        .collect();
    members.sort_unstable();
    let at = members.iter().position(|(_, id)| *id == hit.id).unwrap();
    let score = |at: Option<usize>| {
        let neighbour = at.and_then(|at| members.get(at)).and_then(|(_, id)| signals.text_sums.get(id));
        neighbour.map_or(0.0, |sum| normed(*sum, signals.text_idf))
    };
    assert_close(hit.before, score(at.checked_sub(1)), "before", hit, case);
    assert_close(hit.after, score(Some(at + 1)), "after", hit, case);
}

/// The mean score of the best visible memories of a session.
fn session_score(visible: &Visible<'_>, key: &(Scope, String), signals: &Signals, query: &CandidateQuery<'_>) -> f64 {
    let mut best: Vec<f64> = visible
        .allowed
        .iter()
        .map(|record| &record.memory)
        .filter(|memory| memory.provenance.session.as_ref() == Some(&key.1) && memory.payload.scope() == key.0)
        .map(|memory| {
            f64::from(query.dense_share) * signals.dense[&memory.id]
                + f64::from(query.text_share) * signals.text(memory.id)
        })
        .collect();
    best.sort_by(|a, b| b.total_cmp(a));
    best.truncate(query.per_session);
    best.iter().sum::<f64>() / best.len() as f64
}

pub(super) fn equal_brute_force(open: Open<'_>) {
    let mut random = Random(11);
    let mut model = Model::default();
    {
        let store = open();
        for number in 0..120 {
            let record = random.record(id(number), number);
            insert(&*store, record.clone());
            model.records.push(record);
        }
        check_searches(&*store, &model, &mut random, false);
    }
    check_searches(&*open(), &model, &mut random, false);
}

pub(super) fn updated_index_equals_new_one(open: Open<'_>) {
    compare_updated_index(open, true);
}

/// The same for stores whose idf never counts removed memories.
pub(super) fn idf_counts_existing_memories_only(open: Open<'_>) {
    compare_updated_index(open, false);
}

fn compare_updated_index(open: Open<'_>, lag: bool) {
    let store = open();
    let mut model = Model::default();
    let mut number = 0;
    for seed in 0..12 {
        let mut random = Random(1000 + seed);
        for _ in 0..3 {
            // The searches load the index that the next changes must update.
            check_searches(&*store, &model, &mut random, lag);
            for _ in 0..1 + random.below(12) {
                let change = change(&mut model, &mut random, &mut number);
                apply(&*store, vec![change]).unwrap();
            }
            // Several changes in one set, some of the same memory.
            let changes = (0..random.below(5)).map(|_| change(&mut model, &mut random, &mut number)).collect();
            apply(&*store, changes).unwrap();
        }
        check_searches(&*store, &model, &mut random, lag);
        let reopened = open();
        check_searches(&*reopened, &model, &mut random, lag);
        check_ties(&*store, &*reopened);
    }
}

/// Checks that an updated and a new index give the same order to memories with equal scores. The zero vector has the same
/// distance to all.
fn check_ties(updated: &dyn Store, new: &dyn Store) {
    for filter in filters() {
        let view = View::new(&filter, None);
        for limit in [3, 1000] {
            let order =
                |store: &dyn Store| run_search(store, view, |reads| reads.nearest(&[0.0; DIMS], limit)).unwrap();
            assert_eq!(order(updated), order(new), "{filter:?}");
        }
    }
}

/// A random change, which is also made to the model.
fn change(model: &mut Model, random: &mut Random, number: &mut u32) -> Change {
    let at = random.below(model.records.len().max(1));
    match random.below(10) {
        _ if model.records.is_empty() => {}
        0..=1 => {
            let removed = model.records.remove(at);
            model.removed.push(removed.bm25);
            return Change::Remove(removed.memory.id);
        }
        2..=3 => {
            let terms = random.terms();
            model.records[at].terms = terms.clone();
            return Change::SetTerms(model.records[at].memory.id, terms);
        }
        4..=5 => {
            // In most cases the scope does not change.
            let mut record = random.record(model.records[at].memory.id, 5000 + *number);
            *number += 1;
            if random.below(4) > 0 {
                for key in crate::SCOPE_KEYS {
                    record.memory.payload.remove(key);
                    if let Some(own) = model.records[at].memory.payload.str(key) {
                        record.memory.payload.set(key, own);
                    }
                }
            }
            model.removed.push(std::mem::replace(&mut model.records[at], record.clone()).bm25);
            return Change::Replace(Box::new(record));
        }
        _ => {}
    }
    let record = random.record(id(*number), *number);
    *number += 1;
    model.records.push(record.clone());
    Change::Insert(Box::new(record))
}

pub(super) fn scopes_are_isolated(open: Open<'_>) {
    let store = open();
    let mut random = Random(21);
    let mut of_user = HashMap::new();
    for number in 0..200 {
        let mut record = random.record(id(number), number);
        record.mentions = vec![mention("Nori", 0)];
        of_user.insert(record.memory.id, record.memory.payload.scope().user_id);
        insert(&*store, record);
    }
    for name in ["u1", "u2"] {
        let own = |id: MemoryId| assert_eq!(of_user[&id].as_deref(), Some(name));
        let by_user = Filter::eq("user_id", name).unwrap();
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
            let vector = random.vector();
            run_search(&*store, view, |reads| reads.nearest(&vector, 999)).unwrap().iter().for_each(|hit| own(hit.0));
            let sparse: Sparse = (0..30).map(|term| (term, 1.0)).collect();
            let query = SparseQuery { vector: &sparse, limit: 999 };
            run_search(&*store, view, |reads| reads.sparse(&query)).unwrap().iter().for_each(|hit| own(hit.0));
            let terms: Vec<(u32, f32)> = (0..30).map(|term| (term, 1.0)).collect();
            let vector = random.vector();
            let query = CandidateQuery {
                vector: &vector,
                terms: &terms,
                bm25: BM25,
                per_signal: 999,
                per_session: 3,
                dense_share: 1.0,
                text_share: 0.5,
            };
            run_search(&*store, view, |reads| reads.candidates(&query))
                .unwrap()
                .hits
                .iter()
                .for_each(|hit| own(hit.id));
            let page = crate::PageRequest { limit: 999, ..Default::default() };
            store.list(Some(filter), None, &page).unwrap().items.iter().for_each(|memory| own(memory.id));
            for near in store.near_entities(filter, &[mention("Nori", 0).vector], 99, 0.0).unwrap() {
                near.iter().flat_map(|entity| &entity.memories).for_each(|id| own(*id));
            }
        }
        let owner = user(name);
        let last = store.last_in_scope(&owner).unwrap();
        last.iter().for_each(|memory| own(memory.id));
        for session in ["s1", "s2"] {
            let found = store.session(&owner, session, crate::SessionWindow::Last(999)).unwrap();
            found.iter().for_each(|memory| own(memory.id));
        }
    }
}

pub(super) fn a_filter_that_pins_no_id_is_refused(open: Open<'_>) {
    let store = open();
    insert(&*store, plain(1, &user("u1"), "text"));
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
        refused(run_search(&*store, view, |reads| reads.nearest(&[1.0; DIMS], 9)).unwrap_err());
        refused(
            run_search(&*store, view, |reads| reads.sparse(&SparseQuery { vector: &vec![(1, 1.0)], limit: 9 }))
                .unwrap_err(),
        );
        refused(run_search(&*store, view, |reads| reads.scope_stats(&[1])).unwrap_err());
        refused(store.near_entities(filter, &[vec![1.0; DIMS]], 9, 0.0).unwrap_err());
    }
}
