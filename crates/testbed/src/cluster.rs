//! A cluster of Qdrant servers on loopback.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::qdrant::Qdrant;
use crate::{ports, rest};

/// How long the cluster may take to reach a state.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A cluster of Qdrant servers.
#[derive(Debug)]
pub struct Cluster {
    peers: Vec<Qdrant>,
}

impl Cluster {
    /// Starts a cluster of `count` peers, and waits until each peer knows all others and has a leader.
    pub fn start(binary: &Path, count: usize) -> Self {
        for _ in 0..5 {
            if let Some(cluster) = Self::try_start(binary, count) {
                return cluster;
            }
        }
        panic!("the cluster of {} did not start: see the logs of the peers above", binary.display());
    }

    fn try_start(binary: &Path, count: usize) -> Option<Self> {
        let mut cluster = Self { peers: Vec::with_capacity(count) };
        let mut first = None;
        for _ in 0..count {
            let port = ports::free();
            let uri = format!("http://127.0.0.1:{port}");
            let mut arguments = vec!["--uri".to_owned(), uri.clone()];
            if let Some(first) = &first {
                arguments.extend(["--bootstrap".to_owned(), String::clone(first)]);
            }
            first.get_or_insert(uri);
            let variables =
                vec![("QDRANT__CLUSTER__ENABLED", "true".to_owned()), ("QDRANT__CLUSTER__P2P__PORT", port.to_string())];
            let mut peer = Qdrant::prepare(binary);
            peer.configure(arguments, variables);
            peer.launch();
            if !peer.wait() {
                return None;
            }
            cluster.peers.push(peer);
        }
        cluster.wait_for_all();
        Some(cluster)
    }

    /// A peer; the first has number 0.
    pub fn peer(&self, number: usize) -> &Qdrant {
        &self.peers[number]
    }

    /// Kills a peer with SIGKILL.
    pub fn kill(&mut self, number: usize) {
        self.peers[number].kill();
    }

    /// Restarts a peer with the same storage and ports, and waits until it is ready.
    pub fn start_again(&mut self, number: usize) {
        self.peers[number].start_again();
    }

    /// Waits until every peer answers, knows all others, and follows a leader.
    ///
    /// # Panics
    /// After a minute.
    pub fn wait_for_all(&self) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.peers.iter().all(|peer| self.is_ready(peer)) {
            assert!(Instant::now() < deadline, "the cluster is not ready after {TIMEOUT:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until every peer reports all shards of a collection as active, and none is being transferred.
    ///
    /// # Panics
    /// After a minute.
    pub fn wait_for_shards(&self, collection: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.peers.iter().all(|peer| has_active_shards(peer, collection)) {
            assert!(Instant::now() < deadline, "the shards of {collection} are not active after {TIMEOUT:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self, peer: &Qdrant) -> bool {
        let Ok(answer) = rest::get(&format!("{}/cluster", peer.http_url())) else { return false };
        let result = &answer["result"];
        let known = result["peers"].as_object().map_or(0, serde_json::Map::len);
        known == self.peers.len()
            && !result["raft_info"]["leader"].is_null()
            && result["raft_info"]["pending_operations"].as_u64() == Some(0)
            // A follower still reports the failures from the time when it was a candidate.
            && (result["raft_info"]["role"] != "Leader"
                || result["message_send_failures"].as_object().is_none_or(|failures| failures.values().all(Value::is_null)))
    }
}

fn has_active_shards(peer: &Qdrant, collection: &str) -> bool {
    let Ok(answer) = rest::get(&format!("{}/collections/{collection}/cluster", peer.http_url())) else { return false };
    let shards = |key: &str| answer["result"][key].as_array().cloned().unwrap_or_default();
    shards("shard_transfers").is_empty()
        && [shards("local_shards"), shards("remote_shards")].concat().iter().all(|shard| shard["state"] == "Active")
}
