//! Real, unmodified Python mem0 on a real Qdrant. `compat/interop/setup.sh` installs mem0; where it or the server is not
//! there, tests are reported as ignored, not as passed.
#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod alone;
mod extracted;
mod mem0;
mod openai;
mod together;

use std::sync::LazyLock;

use libtest_mimic::{Arguments, Trial};
use mem0::{Mem0, VERSIONS, is_installed};
use mnemon_models::{Embedder, StaticEmbedder};
use mnemon_testbed::{EmbeddingsEndpoint, QDRANT, Qdrant, rest, shared, unique};
use serde_json::Value;

type Test = fn(&Bed);

const TESTS: [(&str, Test); 6] = [
    ("an_added_memory_is_what_we_would_write", alone::an_added_memory_is_what_we_would_write),
    ("an_update_writes_the_point_anew", alone::an_update_writes_the_point_anew),
    ("a_delete_leaves_links_if_the_process_is_fresh", alone::a_delete_leaves_links_if_the_process_is_fresh),
    ("all_of_a_scope_is_deleted", alone::all_of_a_scope_is_deleted),
    ("the_same_facts_come_of_the_same_messages", extracted::the_same_facts_come_of_the_same_messages),
    ("each_side_has_what_the_other_did", together::each_side_has_what_the_other_did),
];

fn main() {
    let arguments = Arguments::from_args();
    let server = Qdrant::from_env().is_some();
    if !server {
        eprintln!("skipped: {QDRANT} names no Qdrant");
    }
    let mut trials = Vec::new();
    for version in VERSIONS {
        let installed = is_installed(version);
        if !installed {
            eprintln!("skipped: mem0 {version}: run compat/interop/setup.sh to install it");
        }
        let chat = move || {
            openai::its_client_gets_memory(version);
            Ok(())
        };
        trials.push(Trial::test(format!("openai_beside_mem0_{version}"), chat).with_ignored_flag(!installed));
        for (name, test) in TESTS {
            let run = move || {
                test(&Bed::new(version));
                Ok(())
            };
            trials.push(Trial::test(format!("mem0_{version}::{name}"), run).with_ignored_flag(!(server && installed)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// What both sides share: a collection of their own, and the embedder.
struct Bed {
    version: &'static str,
    server: &'static Qdrant,
    collection: String,
    embedder: &'static StaticEmbedder,
}

static EMBEDDER: LazyLock<StaticEmbedder> = LazyLock::new(|| StaticEmbedder::builtin().unwrap());
static ENDPOINT: LazyLock<EmbeddingsEndpoint> =
    LazyLock::new(|| EmbeddingsEndpoint::start(|texts| EMBEDDER.embed(texts).unwrap()));

impl Bed {
    fn new(version: &'static str) -> Self {
        Self { version, server: shared().unwrap(), collection: unique("interop"), embedder: &EMBEDDER }
    }

    /// A process of mem0 on the collection.
    fn mem0(&self) -> Mem0 {
        Mem0::start(self.version, self.server.http_url(), &self.collection, ENDPOINT.url())
    }

    /// Changes the collection behind everybody's back.
    fn post(&self, path: &str, body: &Value) {
        rest::post(&format!("{}/collections/{}/{path}", self.server.http_url(), self.collection), body).unwrap();
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for name in [self.collection.clone(), format!("{}_entities", self.collection)] {
            let _ = rest::delete(&format!("{}/collections/{name}", self.server.http_url()));
        }
    }
}

fn keys(payload: &Value) -> Vec<&str> {
    payload.as_object().unwrap().keys().map(String::as_str).collect()
}
