//! Mnemon and Python mem0 on one collection at the same time: what either writes the other has at once.

mod entities;
mod lemmas;
mod writing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mnemon_engine::{
    AddRequest, Engine, EngineConfig, ListRequest, Message, Profile, SearchRequest, UpdateRequest, describe,
};
use mnemon_models::{Embedder, StaticEmbedder};
use mnemon_store::database::SqliteDatabase;
use mnemon_store::qdrant::{LEDGER, QdrantOptions, QdrantStore};
use mnemon_store::{Filter, Memory, MemoryId, OwnerKind, Scope};
use serde_json::{Map, Value, json};

use crate::Bed;
use crate::mem0::Mem0;

const USER: &str = "ana";
/// Somebody whose memories are in the same collection; nobody who asks for `USER`'s may see them.
const STRANGER: &str = "bob";
const SECRET: &str = "Bob hides a zeppelin in his barn.";

/// Both on a collection, open all the time.
struct Both<'b> {
    bed: &'b Bed,
    folder: tempfile::TempDir,
    engine: Engine,
    mem0: Mem0,
}

/// A memory as either side shows it.
type Shown = BTreeMap<String, (String, Value)>;

pub(crate) fn each_side_has_what_the_other_did(bed: &Bed) {
    let mut both = Both::new(bed);
    both.add(STRANGER, SECRET, json!({}));
    both.mem0.add(STRANGER, SECRET, json!({"category": "food"}));
    writing::adds_are_seen(&mut both);
    writing::updates_are_seen(&mut both);
    writing::deletes_are_seen(&mut both);
    writing::filters_reach_across(&mut both);
    writing::a_text_is_known_whoever_added_it(&mut both);
    both.nothing_is_wrong();
    entities::both_name_the_same_points(&mut both);
    entities::a_fresh_process_leaves_links(&mut both);
    lemmas::slots_are_equal(&mut both);
    writing::both_write_at_the_same_time(&mut both);
    both.reopen();
    both.agree();
    both.nothing_is_wrong();
}

impl<'b> Both<'b> {
    fn new(bed: &'b Bed) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = open(bed, folder.path());
        Self { bed, engine, folder, mem0: bed.mem0() }
    }

    /// Another process of each.
    fn reopen(&mut self) {
        self.mem0 = self.bed.mem0();
        self.engine = open(self.bed, self.folder.path());
    }

    /// Adds one memory by Mnemon and returns its id.
    fn add(&self, user: &str, text: &str, metadata: Value) -> String {
        self.engine.add(said(user, text, metadata)).unwrap()[0].id.to_string()
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

    /// What Mnemon finds, best first.
    fn search(&self, query: &str, filter: &Value, profile: Profile) -> Vec<String> {
        let request = SearchRequest { profile, ..SearchRequest::new(query, Filter::parse(filter).unwrap()) };
        self.engine.search(&request).unwrap().hits.iter().map(|hit| hit.memory.id.to_string()).collect()
    }

    fn list(&self, filter: &Value) -> Shown {
        let request =
            ListRequest { filter: Some(Filter::parse(filter).unwrap()), limit: 1000, ..ListRequest::default() };
        let page = self.engine.list(&request).unwrap();
        assert_eq!((page.total, page.next), (page.items.len(), None));
        page.items.iter().map(|memory| (memory.id.to_string(), shown(memory))).collect()
    }

    /// What Python finds, best first.
    fn search_in_python(&mut self, query: &str, filters: &Value) -> Vec<String> {
        let answer = self.mem0.ask(json!({"op": "search", "query": query, "filters": filters, "top_k": 20}));
        answer["results"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
    }

    fn list_in_python(&mut self, filters: &Value) -> Shown {
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

    /// The first hit for a question is the same on both sides, with either profile.
    fn finds(&mut self, query: &str, id: &str) {
        self.finds_among(1, query, id);
    }

    /// A memory is among the first of each search.
    fn finds_among(&mut self, first: usize, query: &str, id: &str) {
        let filter = json!({"user_id": USER});
        let found = |hits: &[String]| hits.iter().take(first).any(|hit| hit == id);
        for profile in [Profile::Fusion, Profile::Mem0] {
            let hits = self.search(query, &filter, profile);
            assert!(found(&hits), "{id} for {query} {profile:?} {hits:?}");
        }
        let hits = self.search_in_python(query, &filter);
        assert!(found(&hits), "{id} for {query} {hits:?}");
    }

    /// No search on either side shows a memory.
    fn finds_no_more(&mut self, query: &str, id: &str) {
        let filter = json!({"user_id": USER});
        for profile in [Profile::Fusion, Profile::Mem0] {
            assert!(!self.search(query, &filter, profile).iter().any(|hit| hit == id), "{query} {profile:?}");
        }
        assert!(!self.search_in_python(query, &filter).iter().any(|hit| hit == id), "{query}");
        assert_eq!(self.get(id), None);
        assert_eq!(self.mem0.ask(json!({"op": "get", "memory_id": id})), Value::Null);
    }

    /// Both show the same memories of the user, and count them; nobody shows the stranger's.
    fn agree(&mut self) -> usize {
        let filter = json!({"user_id": USER});
        let own = self.list(&filter);
        assert_eq!(own, self.list_in_python(&filter));
        assert!(own.values().all(|(text, _)| text != SECRET), "{own:?}");
        for (id, (text, _)) in &own {
            assert_eq!(self.get(id).unwrap().payload.text(), text);
        }
        let count = own.len();
        assert_eq!(self.engine.stats(&Scope::user(USER).unwrap()).unwrap().memories, count);
        let owners: Vec<_> =
            self.engine.owners(None).unwrap().into_iter().map(|owner| (owner.kind, owner.id, owner.memories)).collect();
        let mut expected = vec![(OwnerKind::User, STRANGER.to_owned(), 2)];
        if count > 0 {
            expected.insert(0, (OwnerKind::User, USER.to_owned(), count));
        }
        assert_eq!(owners, expected);
        for profile in [Profile::Fusion, Profile::Mem0] {
            for id in self.search("zeppelin in a barn", &filter, profile) {
                assert!(own.contains_key(&id), "{id}");
            }
        }
        for id in self.search_in_python("zeppelin in a barn", &filter) {
            assert!(own.contains_key(&id), "{id}");
        }
        count
    }

    fn nothing_is_wrong(&self) {
        assert_eq!(self.engine.store().check().unwrap(), []);
    }

    /// What each side's own history tells of a memory: Mnemon's, then Python's.
    fn histories(&mut self, id: &str) -> [Vec<String>; 2] {
        let own = self.engine.history(memory_id(id)).unwrap().into_iter().map(|event| event.event).collect();
        let theirs = self.mem0.ask(json!({"op": "history", "memory_id": id}));
        [own, theirs.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()]
    }
}

fn open(bed: &Bed, folder: &Path) -> Engine {
    let options = QdrantOptions::new(
        bed.server.grpc_url(),
        &bed.collection,
        bed.embedder.fingerprint(),
        bed.embedder.dims(),
        Arc::new(SqliteDatabase::open(&folder.join("ledger"), LEDGER).unwrap()),
        Arc::new(describe),
    );
    let embedder = StaticEmbedder::builtin().unwrap();
    Engine::new(Arc::new(QdrantStore::open(options).unwrap()), Arc::new(embedder), EngineConfig::default())
}

fn said(user: &str, text: &str, metadata: Value) -> AddRequest {
    let metadata: Map<String, Value> = serde_json::from_value(metadata).unwrap();
    let message = Message { role: "user".into(), content: text.into(), ..Message::default() };
    AddRequest { scope: Scope::user(user).unwrap(), messages: vec![message], metadata, ..AddRequest::default() }
}

fn memory_id(text: &str) -> MemoryId {
    text.parse().unwrap()
}

fn shown(memory: &Memory) -> (String, Value) {
    let metadata: Map<String, Value> =
        memory.payload.metadata().map(|(key, value)| (key.clone(), value.clone())).collect();
    (memory.payload.text().to_owned(), Value::Object(metadata))
}
