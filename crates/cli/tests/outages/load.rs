//! Writers over REST, and what they were told.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mnemon_testbed::rest;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

const WRITERS: u64 = 6;
const USERS: u64 = 3;
/// Before a writer that got no 200 tries again.
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);

/// A user that writers write for.
pub(crate) fn user(number: u64) -> String {
    format!("user-{}", number % USERS)
}

/// What was asked, by its answer.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Told>>);

#[derive(Default)]
pub(crate) struct Told {
    /// Acknowledged memories by id, deleted or not.
    pub(crate) texts: HashMap<String, String>,
    /// Those of them that nobody was about to delete.
    pub(crate) live: Vec<String>,
    /// Those whose deletion was acknowledged.
    pub(crate) deleted: HashSet<String>,
    /// Texts that were answered 503.
    pub(crate) refused: HashSet<String>,
    /// Texts that were not answered: they may be there or not.
    pub(crate) unanswered: HashSet<String>,
    /// Deletions that were answered 503.
    pub(crate) not_deleted: usize,
    /// The slowest add.
    pub(crate) slowest: Duration,
    /// Answers that there must not be.
    pub(crate) strange: Vec<String>,
}

impl Tally {
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    /// Adds a text that nobody added before; the status, if there was an answer.
    pub(crate) fn add(&self, url: &str, user: &str, text: String) -> Option<u16> {
        let body = json!({"messages": [{"role": "user", "content": text}], "user_id": user, "infer": false});
        let begun = Instant::now();
        let answer = rest::call("POST", &format!("{url}/memories"), Some(&body));
        let mut told = self.told();
        told.slowest = told.slowest.max(begun.elapsed());
        let status = answer.as_ref().ok().map(|(status, _)| *status);
        match answer {
            Ok((200, answer)) => match answer["results"][0]["id"].as_str() {
                Some(id) => {
                    told.live.push(id.to_owned());
                    told.texts.insert(id.to_owned(), text);
                }
                None => told.strange.push(format!("add {text}: 200 {answer}")),
            },
            Ok((503, _)) => drop(told.refused.insert(text)),
            Ok((status, answer)) => told.strange.push(format!("add {text}: {status} {answer}")),
            Err(_) => drop(told.unanswered.insert(text)),
        }
        status
    }

    /// Deletes any of the memories that are there.
    fn delete(&self, url: &str, random: &mut StdRng) {
        let mut told = self.told();
        if told.live.is_empty() {
            return;
        }
        let at = random.random_range(..told.live.len());
        let id = told.live.swap_remove(at);
        drop(told);
        let answer = rest::call("DELETE", &format!("{url}/memories/{id}"), None);
        let mut told = self.told();
        match answer {
            Ok((200, _)) => drop(told.deleted.insert(id)),
            Ok((503, _)) => {
                told.not_deleted += 1;
                told.live.push(id);
            }
            Ok((status, answer)) => told.strange.push(format!("delete {id}: {status} {answer}")),
            Err(_) => {}
        }
    }

    /// Waits until so many further memories are acknowledged.
    pub(crate) fn wait_for(&self, more: usize) {
        let wanted = self.told().texts.len() + more;
        let until = Instant::now() + PATIENCE;
        while self.told().texts.len() < wanted {
            assert!(Instant::now() < until, "no {more} memories were added in {PATIENCE:?}");
            std::thread::sleep(PAUSE);
        }
    }
}

/// Writers at work, until this is dropped.
pub(crate) struct Load {
    stopped: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(url: &str, tally: &Tally, seed: u64) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let writers = (0..WRITERS).map(|writer| {
            let (url, tally, stopped) = (url.to_owned(), tally.clone(), Arc::clone(&stopped));
            let random = StdRng::seed_from_u64(seed ^ writer);
            std::thread::spawn(move || write(&url, &tally, &stopped, writer, random))
        });
        Self { writers: writers.collect(), stopped }
    }

    /// Waits until every writer has its last answer.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        for writer in self.writers.drain(..) {
            let ended = writer.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a writer panicked");
        }
    }
}

fn write(url: &str, tally: &Tally, stopped: &AtomicBool, writer: u64, mut random: StdRng) {
    while !stopped.load(Ordering::SeqCst) {
        let text = format!("Note {:016x} about Maria Silva and Project Nori {writer}", random.random::<u64>());
        if tally.add(url, &user(writer), text) != Some(200) {
            std::thread::sleep(PAUSE);
        } else if random.random_bool(0.25) {
            tally.delete(url, &mut random);
        }
    }
}
