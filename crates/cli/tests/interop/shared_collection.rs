//! mnemon and Python mem0 use one collection at the same time: each sees the changes of the other at once.

mod entities;
mod lemmas;
mod writing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mnemon_engine::{
    AddRequest, Engine, EngineConfig, ListRequest, Message, Profile, SearchRequest, UpdateRequest, describe_terms,
};
use mnemon_models::{Embedder, StaticEmbedder};
use mnemon_store::database::SqliteDatabase;
use mnemon_store::qdrant::{LEDGER_SCHEMA, QdrantOptions, QdrantStore};
use mnemon_store::{Filter, Memory, MemoryId, OwnerKind, Scope};
use serde_json::{Map, Value, json};

use crate::Fixture;
use crate::mem0::Mem0;

const USER: &str = "ana";
/// Another user in the same collection, whose memories must not appear in requests for `USER`.
const OTHER_USER: &str = "bob";
const SECRET: &str = "Bob hides a zeppelin in his barn.";

/// Open connections of mnemon and mem0 to one collection.
struct Both<'b> {
    fixture: &'b Fixture,
    folder: tempfile::TempDir,
    engine: Engine,
    mem0: Mem0,
}

/// Memories as both sides return them: text and metadata by id.
type Listing = BTreeMap<String, (String, Value)>;

pub(crate) fn each_side_sees_the_changes_of_the_other(fixture: &Fixture) {
    let mut both = Both::new(fixture);
    both.add(OTHER_USER, SECRET, json!({}));
    both.mem0.add(OTHER_USER, SECRET, json!({"category": "food"}));
    writing::adds_are_seen(&mut both);
    writing::updates_are_seen(&mut both);
    writing::deletes_are_seen(&mut both);
    writing::filters_match_memories_of_both(&mut both);
    writing::duplicates_are_recognised_across_both(&mut both);
    both.assert_no_findings();
    entities::both_link_the_same_entities(&mut both);
    entities::a_new_process_leaves_links(&mut both);
    lemmas::bm25_vectors_are_equal(&mut both);
    writing::both_write_at_the_same_time(&mut both);
    both.reopen();
    both.assert_equal_contents();
    both.assert_no_findings();
}

impl<'b> Both<'b> {
    fn new(fixture: &'b Fixture) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(fixture, folder.path());
        Self { fixture, engine, folder, mem0: fixture.mem0() }
    }

    /// Restarts both.
    fn reopen(&mut self) {
        self.mem0 = self.fixture.mem0();
        self.engine = open(self.fixture, self.folder.path());
    }

    /// Adds one memory with mnemon and returns its id.
    fn add(&self, user: &str, text: &str, metadata: Value) -> String {
        self.engine.add(add_request(user, text, metadata)).unwrap()[0].id.to_string()
    }

    fn update(&self, id: &str, text: &str) {
        let request = UpdateRequest { text: Some(text.to_owned()), ..UpdateRequest::default() };
        self.engine.update(memory_id(id), &request).unwrap();
    }

    fn delete(&self, id: &str) {
        self.engine.delete(memory_id(id)).unwrap();
    }

    fn get(&self, id: &str) -> Option<Memory> {
        self.engine.get(memory_id(id)).ok()
    }

    /// Ids of mnemon's hits, best first.
    fn search(&self, query: &str, filter: &Value, profile: Profile) -> Vec<String> {
        let request = SearchRequest { profile, ..SearchRequest::new(query, Filter::parse(filter).unwrap()) };
        self.engine.search(&request).unwrap().hits.iter().map(|hit| hit.memory.id.to_string()).collect()
    }

    fn list(&self, filter: &Value) -> Listing {
        let request =
            ListRequest { filter: Some(Filter::parse(filter).unwrap()), limit: 1000, ..ListRequest::default() };
        let page = self.engine.list(&request).unwrap();
        assert_eq!((page.total, page.next), (page.items.len(), None));
        page.items.iter().map(|memory| (memory.id.to_string(), text_and_metadata(memory))).collect()
    }

    /// Ids of mem0's hits, best first.
    fn search_in_mem0(&mut self, query: &str, filters: &Value) -> Vec<String> {
        let answer = self.mem0.ask(json!({"op": "search", "query": query, "filters": filters, "top_k": 20}));
        answer["results"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
    }

    fn list_in_mem0(&mut self, filters: &Value) -> Listing {
        let answer = self.mem0.ask(json!({"op": "get_all", "filters": filters, "top_k": 1000}));
        let shown = |item: &Value| {
            for key in ["agent_id", "run_id"] {
                assert_eq!(item.get(key), None, "{item}");
            }
            assert_eq!(item["user_id"], filters["user_id"], "{item}");
            let metadata = item.get("metadata").filter(|metadata| !metadata.is_null()).cloned();
            let text = item["memory"].as_str().unwrap().to_owned();
            (item["id"].as_str().unwrap().to_owned(), (text, metadata.unwrap_or_else(|| json!({}))))
        };
        answer["results"].as_array().unwrap().iter().map(shown).collect()
    }

    /// The memory is the first hit on both sides, with each profile.
    fn assert_found(&mut self, query: &str, id: &str) {
        self.assert_found_among(1, query, id);
    }

    /// The memory is among the first hits on both sides, with each profile.
    fn assert_found_among(&mut self, first: usize, query: &str, id: &str) {
        let filter = json!({"user_id": USER});
        let found = |hits: &[String]| hits.iter().take(first).any(|hit| hit == id);
        for profile in [Profile::Fusion, Profile::Mem0] {
            let hits = self.search(query, &filter, profile);
            assert!(found(&hits), "{id} for {query} {profile:?} {hits:?}");
        }
        let hits = self.search_in_mem0(query, &filter);
        assert!(found(&hits), "{id} for {query} {hits:?}");
    }

    /// The memory is not found by any search on either side.
    fn assert_not_found(&mut self, query: &str, id: &str) {
        let filter = json!({"user_id": USER});
        for profile in [Profile::Fusion, Profile::Mem0] {
            assert!(!self.search(query, &filter, profile).iter().any(|hit| hit == id), "{query} {profile:?}");
        }
        assert!(!self.search_in_mem0(query, &filter).iter().any(|hit| hit == id), "{query}");
        assert_eq!(self.get(id), None);
        assert_eq!(self.mem0.ask(json!({"op": "get", "memory_id": id})), Value::Null);
    }

    /// Both sides list and count the same memories of the user and none of the other user. Returns the count.
    fn assert_equal_contents(&mut self) -> usize {
        let filter = json!({"user_id": USER});
        let own = self.list(&filter);
        assert_eq!(own, self.list_in_mem0(&filter));
        assert!(own.values().all(|(text, _)| text != SECRET), "{own:?}");
        for (id, (text, _)) in &own {
            assert_eq!(self.get(id).unwrap().payload.text(), text);
        }
        let count = own.len();
        assert_eq!(self.engine.stats(&Scope::user(USER).unwrap()).unwrap().memories, count);
        let owners: Vec<_> =
            self.engine.owners(None).unwrap().into_iter().map(|owner| (owner.kind, owner.id, owner.memories)).collect();
        let mut expected = vec![(OwnerKind::User, OTHER_USER.to_owned(), 2)];
        if count > 0 {
            expected.insert(0, (OwnerKind::User, USER.to_owned(), count));
        }
        assert_eq!(owners, expected);
        for profile in [Profile::Fusion, Profile::Mem0] {
            for id in self.search("zeppelin in a barn", &filter, profile) {
                assert!(own.contains_key(&id), "{id}");
            }
        }
        for id in self.search_in_mem0("zeppelin in a barn", &filter) {
            assert!(own.contains_key(&id), "{id}");
        }
        count
    }

    fn assert_no_findings(&self) {
        assert_eq!(self.engine.store().check().unwrap(), []);
    }

    /// The events of a memory in mnemon's history, then in mem0's.
    fn histories(&mut self, id: &str) -> [Vec<String>; 2] {
        let own = self.engine.history(memory_id(id)).unwrap().into_iter().map(|event| event.event.into()).collect();
        let theirs = self.mem0.ask(json!({"op": "history", "memory_id": id}));
        [own, theirs.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()]
    }
}

fn open(fixture: &Fixture, folder: &Path) -> Engine {
    let options = QdrantOptions::new(
        fixture.server.grpc_url(),
        &fixture.collection,
        fixture.embedder.fingerprint(),
        fixture.embedder.dims(),
        Arc::new(SqliteDatabase::open(&folder.join("ledger"), LEDGER_SCHEMA).unwrap()),
        Arc::new(describe_terms),
    );
    let embedder = StaticEmbedder::builtin().unwrap();
    Engine::new(Arc::new(QdrantStore::open(options).unwrap()), Arc::new(embedder), EngineConfig::default())
}

fn add_request(user: &str, text: &str, metadata: Value) -> AddRequest {
    let metadata: Map<String, Value> = serde_json::from_value(metadata).unwrap();
    let message = Message { content: text.into(), ..Message::default() };
    AddRequest { scope: Scope::user(user).unwrap(), messages: vec![message], metadata, ..AddRequest::default() }
}

fn memory_id(text: &str) -> MemoryId {
    text.parse().unwrap()
}

fn text_and_metadata(memory: &Memory) -> (String, Value) {
    let metadata: Map<String, Value> =
        memory.payload.metadata().map(|(key, value)| (key.clone(), value.clone())).collect();
    (memory.payload.text().to_owned(), Value::Object(metadata))
}
