//! Concurrent writers over REST, and the outcomes of their requests.

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
/// Pause of a writer after a request that failed.
const PAUSE: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(30);

/// A user of the writers.
pub(crate) fn user(number: u64) -> String {
    format!("user-{}", number % USERS)
}

/// The outcomes of all requests.
#[derive(Clone, Default)]
pub(crate) struct Outcomes(Arc<Mutex<OutcomeData>>);

#[derive(Default)]
pub(crate) struct OutcomeData {
    /// Acknowledged memories by id, deleted or not.
    pub(crate) texts: HashMap<String, String>,
    /// Acknowledged memories that no request to delete was sent for.
    pub(crate) live: Vec<String>,
    /// Memories whose deletion was acknowledged.
    pub(crate) deleted: HashSet<String>,
    /// Texts of adds answered with 503.
    pub(crate) refused: HashSet<String>,
    /// Texts of adds without a response, which may exist or not.
    pub(crate) unanswered: HashSet<String>,
    /// Deletions answered with 503.
    pub(crate) not_deleted: usize,
    /// Duration of the slowest add.
    pub(crate) slowest: Duration,
    /// Unexpected responses.
    pub(crate) unexpected: Vec<String>,
}

impl Outcomes {
    pub(crate) fn lock(&self) -> MutexGuard<'_, OutcomeData> {
        self.0.lock().unwrap()
    }

    /// Adds a unique text and returns the status, if there was a response.
    pub(crate) fn add(&self, url: &str, user: &str, text: String) -> Option<u16> {
        let body = json!({"messages": [{"role": "user", "content": text}], "user_id": user, "infer": false});
        let start = Instant::now();
        let answer = rest::call("POST", &format!("{url}/memories"), Some(&body));
        let mut data = self.lock();
        data.slowest = data.slowest.max(start.elapsed());
        let status = answer.as_ref().ok().map(|(status, _)| *status);
        match answer {
            Ok((200, answer)) => match answer["results"][0]["id"].as_str() {
                Some(id) => {
                    data.live.push(id.to_owned());
                    data.texts.insert(id.to_owned(), text);
                }
                None => data.unexpected.push(format!("add {text}: 200 {answer}")),
            },
            Ok((503, _)) => drop(data.refused.insert(text)),
            Ok((status, answer)) => data.unexpected.push(format!("add {text}: {status} {answer}")),
            Err(_) => drop(data.unanswered.insert(text)),
        }
        status
    }

    /// Deletes a random memory.
    fn delete(&self, url: &str, random: &mut StdRng) {
        let mut data = self.lock();
        if data.live.is_empty() {
            return;
        }
        let at = random.random_range(..data.live.len());
        let id = data.live.swap_remove(at);
        drop(data);
        let answer = rest::call("DELETE", &format!("{url}/memories/{id}"), None);
        let mut data = self.lock();
        match answer {
            Ok((200, _)) => drop(data.deleted.insert(id)),
            Ok((503, _)) => {
                data.not_deleted += 1;
                data.live.push(id);
            }
            Ok((status, answer)) => data.unexpected.push(format!("delete {id}: {status} {answer}")),
            Err(_) => {}
        }
    }

    /// Waits until this many more memories are acknowledged.
    pub(crate) fn wait_for(&self, more: usize) {
        let wanted = self.lock().texts.len() + more;
        let until = Instant::now() + TIMEOUT;
        while self.lock().texts.len() < wanted {
            assert!(Instant::now() < until, "no {more} memories were added in {TIMEOUT:?}");
            std::thread::sleep(PAUSE);
        }
    }
}

/// Writers that run until this is dropped.
pub(crate) struct Load {
    stopped: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(url: &str, outcomes: &Outcomes, seed: u64) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let writers = (0..WRITERS).map(|writer| {
            let (url, outcomes, stopped) = (url.to_owned(), outcomes.clone(), Arc::clone(&stopped));
            let random = StdRng::seed_from_u64(seed ^ writer);
            std::thread::spawn(move || write(&url, &outcomes, &stopped, writer, random))
        });
        Self { writers: writers.collect(), stopped }
    }

    /// Stops the writers and waits for their last responses.
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

fn write(url: &str, outcomes: &Outcomes, stopped: &AtomicBool, writer: u64, mut random: StdRng) {
    while !stopped.load(Ordering::SeqCst) {
        let text = format!("Note {:016x} about Maria Silva and Project Nori {writer}", random.random::<u64>());
        if outcomes.add(url, &user(writer), text) != Some(200) {
            std::thread::sleep(PAUSE);
        } else if random.random_bool(0.25) {
            outcomes.delete(url, &mut random);
        }
    }
}
