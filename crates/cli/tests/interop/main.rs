//! mnemon and real, unmodified Python mem0 on a real Qdrant. `compat/interop/setup.sh` installs mem0. Without it or the server,
//! the tests are reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod extraction;
#[path = "../shared/listening.rs"]
mod listening;
mod mem0;
mod mem0_only;
mod openai;
mod shared_collection;

use std::sync::LazyLock;

use mem0::{Mem0, VERSIONS, is_installed};
use mnemon_models::{Embedder, StaticEmbedder};
use mnemon_testbed::trials::{Trials, unset};
use mnemon_testbed::{EmbeddingsEndpoint, QDRANT, Qdrant, rest, shared, unique};
use serde_json::Value;

type Test = fn(&Fixture);

const TESTS: [(&str, Test); 6] = [
    ("an_added_memory_equals_ours", mem0_only::an_added_memory_equals_ours),
    ("an_update_replaces_the_point", mem0_only::an_update_replaces_the_point),
    ("a_new_process_leaves_entity_links_when_it_deletes", mem0_only::a_new_process_leaves_entity_links_when_it_deletes),
    ("delete_all_deletes_a_scope", mem0_only::delete_all_deletes_a_scope),
    ("both_store_the_same_facts", extraction::both_store_the_same_facts),
    ("each_side_sees_the_changes_of_the_other", shared_collection::each_side_sees_the_changes_of_the_other),
];

fn main() {
    let no_server = unset(&[QDRANT]);
    let mut trials = Trials::new();
    for version in VERSIONS {
        let not_installed = || format!("mem0 {version}: run compat/interop/setup.sh to install it");
        let not_installed = (!is_installed(version)).then(not_installed);
        trials.add(format!("openai_beside_mem0_{version}"), not_installed.as_deref(), || {
            openai::openai_client_receives_memories(version);
        });
        let missing = not_installed.as_deref().or(no_server.as_deref());
        for (name, test) in TESTS {
            trials.add(format!("mem0_{version}::{name}"), missing, move || test(&Fixture::new(version)));
        }
    }
    trials.run();
}

/// What mnemon and mem0 share: a collection and the embedder.
struct Fixture {
    version: &'static str,
    server: &'static Qdrant,
    collection: String,
    embedder: &'static StaticEmbedder,
}

static EMBEDDER: LazyLock<StaticEmbedder> = LazyLock::new(|| StaticEmbedder::builtin().unwrap());
static ENDPOINT: LazyLock<EmbeddingsEndpoint> =
    LazyLock::new(|| EmbeddingsEndpoint::start(|texts| EMBEDDER.embed(texts).unwrap()));

impl Fixture {
    fn new(version: &'static str) -> Self {
        Self { version, server: shared().unwrap(), collection: unique("interop"), embedder: &EMBEDDER }
    }

    /// Starts a process of mem0 on the collection.
    fn mem0(&self) -> Mem0 {
        Mem0::start(self.version, self.server.http_url(), &self.collection, ENDPOINT.url())
    }

    /// Changes the collection directly, without mnemon or mem0.
    fn post(&self, path: &str, body: &Value) {
        rest::post(&format!("{}/collections/{}/{path}", self.server.http_url(), self.collection), body).unwrap();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for name in [self.collection.clone(), format!("{}_entities", self.collection)] {
            let _ = rest::delete(&format!("{}/collections/{name}", self.server.http_url()));
        }
    }
}

fn keys(payload: &Value) -> Vec<&str> {
    payload.as_object().unwrap().keys().map(String::as_str).collect()
}
