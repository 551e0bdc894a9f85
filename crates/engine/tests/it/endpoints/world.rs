//! An engine with an embedder and a language model, each at an endpoint.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mnemon_engine::{AddOutcome, ChatTurn, Engine, EngineConfig, EngineError, Events, LearnRequest, ModelServices};
use mnemon_models::{Embedder, LlmClient, LlmConfig, LlmProvider, OpenAiConfig, OpenAiEmbedder};
use mnemon_store::sqlite::SqliteOptions;
use mnemon_store::{DocumentStore, SqliteStore};
use mnemon_testbed::FakeEndpoint;
use mnemon_testbed::endpoint::DIMS;

use crate::fixture::{user, user_message};

/// Most characters of a text that some endpoints accept.
pub(super) const LIMIT: usize = 700;
/// A word that some endpoints refuse.
pub(super) const REFUSED: &str = "forbidden";
/// Longer than a circuit breaker is open after the failures of one test.
const MAX_WAIT: Duration = Duration::from_secs(60);

pub(super) struct World {
    engine: Engine,
    pub(super) embedder: Arc<OpenAiEmbedder>,
    documents: Arc<SqliteStore>,
    pub(super) folder: tempfile::TempDir,
}

impl std::ops::Deref for World {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl World {
    pub(super) fn new(embedder: &FakeEndpoint, llm: &FakeEndpoint) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = OpenAiConfig::new("some-model", DIMS);
        config.base_url = embedder.url().to_owned();
        config.timeout = Duration::from_secs(1);
        config.deadline = Duration::from_secs(5);
        config.retries = 1;
        config.send_dims = true;
        let embedder = Arc::new(OpenAiEmbedder::new(config).unwrap());
        let open = |name: &str| {
            let options = SqliteOptions::new(folder.path().join(name), embedder.fingerprint(), DIMS);
            Arc::new(SqliteStore::open(options).unwrap())
        };
        let mut config = LlmConfig::new(LlmProvider::OpenAi, "some-model");
        config.base_url = llm.url().to_owned();
        config.timeout = Duration::from_secs(1);
        config.retries = 1;
        let documents = open("documents");
        let engine =
            Engine::new(open("store"), embedder.clone(), EngineConfig::default()).with_model_services(ModelServices {
                llm: Some(Arc::new(LlmClient::new(config).unwrap())),
                documents: Some(documents.clone() as Arc<dyn DocumentStore>),
                ..ModelServices::default()
            });
        Self { engine, embedder, documents, folder }
    }

    /// Extracts facts; `mend` runs while the request is pending. Returns how the request ends.
    pub(super) fn infer(&self, request: LearnRequest, mut mend: impl FnMut()) -> String {
        let learned = match self.learn(request) {
            Ok(learned) => learned,
            Err(error) => return failure(&error),
        };
        let mut outcome = learned.outcome;
        let was_pending = matches!(outcome, AddOutcome::Pending { .. });
        let start = Instant::now();
        while let AddOutcome::Pending { .. } = outcome {
            assert!(start.elapsed() < MAX_WAIT, "a request is pending for ever");
            mend();
            self.run_soon(&learned.event_id).unwrap();
            outcome = self.run_due_job().unwrap().expect("a due job").outcome;
            std::thread::sleep(Duration::from_millis(100));
        }
        let event = Events::new(self.documents.clone() as Arc<dyn DocumentStore>);
        let event = event.find(&learned.event_id).unwrap().expect("an event").body;
        let end = match (outcome, event.not_learnt.len()) {
            (AddOutcome::Stored(_), 0) => "learnt".to_owned(),
            (AddOutcome::Stored(_), refused) => format!("learnt but {refused} message"),
            (AddOutcome::Parked { .. }, _) => "parked".to_owned(),
            (outcome, _) => format!("{outcome:?}"),
        };
        if was_pending { format!("pending, then {end}") } else { end }
    }

    pub(super) fn chat(&self, id: &str, question: &str) -> String {
        let answer = self.chat_context(&turn(id, question)).and_then(|mut context| self.reply(&mut context, None));
        answer.map_or_else(|error| failure(&error), |_| "answered".to_owned())
    }
}

pub(super) fn turn(id: &str, question: &str) -> ChatTurn {
    ChatTurn { scope: user(id), messages: vec![user_message(question)], max_tokens: None }
}

/// The status and the code of an error.
pub(super) fn failure(error: &EngineError) -> String {
    let code = error.code();
    format!("{} {}", code.status().map_or("-".to_owned(), |status| status.to_string()), code.as_str())
}
