//! Stories of queues: a job is claimed by one worker, and again when its lease expires.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fixture::OpenDocumentStore;
use crate::{Document, Durability, Queue, RetryPolicy};

const LONG: Duration = Duration::from_secs(600);

/// The jobs are their numbers of failed attempts.
fn queue(open: OpenDocumentStore<'_>, lease: Duration) -> Queue<usize> {
    let policy = RetryPolicy { poll: LONG, backoff: vec![LONG], lease, max_attempts: None };
    Queue::new(Arc::from(open()), "job", policy)
}

fn push(queue: &Queue<usize>, ids: &[&str]) {
    for id in ids {
        queue.push(vec![queue.collection().document(*id, 0)]).unwrap();
    }
}

fn claim(queue: &Queue<usize>) -> Option<String> {
    queue.claim().unwrap().map(|job| job.id)
}

pub(super) fn a_job_is_claimed_by_one_worker(open: OpenDocumentStore<'_>) {
    let queues = [queue(open, LONG), queue(open, LONG)];
    let ids: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    push(&queues[0], &ids.iter().map(String::as_str).collect::<Vec<_>>());
    let claimed: Vec<String> = std::thread::scope(|scope| {
        let worker = |number: usize| {
            let queue = &queues[number % 2];
            scope.spawn(move || std::iter::from_fn(|| claim(queue)).collect::<Vec<_>>())
        };
        let workers: Vec<_> = (0..8).map(worker).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let mut sorted = claimed.clone();
    sorted.sort_by_key(|id| id.parse::<usize>().unwrap());
    // Other workers may take all jobs that a worker has read, so some may be left; no job is claimed twice.
    sorted.dedup();
    assert_eq!(sorted.len(), claimed.len());
    let rest: Vec<String> = std::iter::from_fn(|| claim(&queues[0])).collect();
    assert_eq!((sorted.len() + rest.len(), queues[1].count().unwrap()), (ids.len(), ids.len()));
}

pub(super) fn a_job_is_due_again_when_its_lease_expires(open: OpenDocumentStore<'_>) {
    let (short, long) = (queue(open, Duration::ZERO), queue(open, LONG));
    push(&long, &["a"]);
    for _ in 0..2 {
        assert_eq!(claim(&short).as_deref(), Some("a"), "its worker has ended");
    }
    assert_eq!((claim(&long).as_deref(), claim(&long)), (Some("a"), None));
    assert!(short.renew("a").unwrap() && long.claim().unwrap().is_some());
    assert!(long.make_due("a").unwrap() && long.claim().unwrap().is_some());
    // The worker of this process has claimed it from the start.
    long.push_claimed(long.collection().document("b", 0)).unwrap();
    assert_eq!((claim(&long), long.count().unwrap()), (None, 2));
    assert!(!long.renew("missing").unwrap() && !long.make_due("missing").unwrap());
}

pub(super) fn a_failed_job_is_tried_again(open: OpenDocumentStore<'_>) {
    let queue = queue(open, LONG);
    push(&queue, &["a", "b"]);
    for failed in 1..4 {
        assert_eq!(claim(&queue).as_deref(), Some(if failed == 1 { "a" } else { "b" }));
        let (id, pause) = if failed == 1 { ("a", LONG) } else { ("b", Duration::ZERO) };
        assert!(queue.retry_later(id, pause, &mut |attempts| *attempts += 1).unwrap());
    }
    let bodies: Vec<(String, usize)> =
        queue.queued(9).unwrap().into_iter().map(|job| job.unwrap()).map(|job| (job.id, job.body)).collect();
    assert_eq!(bodies, [("b".to_owned(), 2), ("a".to_owned(), 1)], "the next one first");
    assert!(!queue.retry_later("missing", LONG, &mut |_| unreachable!()).unwrap());
}

pub(super) fn a_job_is_finished_once(open: OpenDocumentStore<'_>) {
    let queue = queue(open, LONG);
    push(&queue, &["removed", "recorded"]);
    assert!(queue.finish("removed").unwrap() && !queue.finish("removed").unwrap());
    assert_eq!(
        queue
            .update("recorded", &mut |job| {
                *job = 3;
                true
            })
            .unwrap()
            .unwrap()
            .body,
        3
    );
    let finished = queue.finish_with("recorded", &mut |job| *job = 7).unwrap().unwrap();
    assert_eq!((finished.body, finished.due), (7, None));
    // It is a record now: no worker, no retry and no second end changes it.
    assert_eq!(queue.finish_with("recorded", &mut |_| unreachable!()).unwrap(), None);
    assert_eq!(queue.update("recorded", &mut |_| unreachable!()).unwrap(), None);
    assert!(!queue.retry_later("recorded", LONG, &mut |_| unreachable!()).unwrap());
    assert!(!queue.renew("recorded").unwrap() && !queue.make_due("recorded").unwrap());
    assert_eq!((claim(&queue), queue.count().unwrap(), queue.queued(9).unwrap().len()), (None, 0, 0));
    assert_eq!(queue.collection().get("recorded").unwrap(), Some(finished));
}

pub(super) fn an_unreadable_job_does_not_stop_the_queue(open: OpenDocumentStore<'_>) {
    let bodies: [Value; 4] = [json!({"of a newer version": 1}), json!("x"), json!(-1), Value::Null];
    let store = open();
    let document = |(number, body): (usize, &Value)| {
        Document::new("job", format!("bad {number}"), body.clone()).due_at(Timestamp::UNIX_EPOCH)
    };
    // More than are read at a time.
    let bad: Vec<_> = bodies.iter().cycle().take(40).enumerate().map(document).collect();
    store.put(&bad, Durability::Synced).unwrap();
    let queue = queue(open, LONG);
    push(&queue, &["good"]);
    let claimed: Vec<String> = (0..4).filter_map(|_| claim(&queue)).collect();
    assert_eq!(claimed, ["good"]);
    assert_eq!((queue.count().unwrap(), queue.collection().unreadable().unwrap().len()), (41, 40), "they are kept");
    for (number, body) in bodies.iter().enumerate() {
        assert_eq!(store.document("job", &format!("bad {number}")).unwrap().unwrap().body, *body);
    }
}
