//! A client of one model at one endpoint.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Semaphore};

use super::clean::{self, Thoughts};
use super::quirks::Quirks;
use super::wire::{self, Piece};
use super::{ChatAnswer, ChatModel, ChatRequest, Finish, LlmConfig, LlmProvider};
use crate::error::{ModelError, ModelKind};
use crate::service::{self, Failure, Patience, Refusal, Service};

/// The longest answer that is read, in bytes of what comes over the wire.
const MAX_ANSWER: usize = 16 << 20;
/// How long an answer may stream.
const LONGEST: Duration = Duration::from_secs(10 * 60);
/// Refusals in a row that are learnt from.
const MAX_LESSONS: usize = 8;
/// What to look at where an answer is none.
const WRONG_PLACE: &str = "look whether llm_url (MNEMON_LLM_URL) is the base URL of a service of this kind, and llm \
                           (MNEMON_LLM) names a model that answers in text";

/// Asks a language model over HTTP: OpenAI's form and that of those who repeat it, Anthropic's, or Ollama's.
///
/// Only what is configured is sent. A parameter that the endpoint refuses is left out from then on, and the request is
/// made again. What is on its way at once is bounded; an endpoint that fails again and again is left alone for a while.
///
/// Blocks until the answer is there, so it must not be called from async code. It may be dropped anywhere.
#[derive(Debug)]
pub struct LlmClient {
    config: LlmConfig,
    service: Service,
    quirks: RwLock<Quirks>,
    /// Until a request of a kind (plain, JSON) was answered they go one by one: what is refused is learnt once.
    first: Mutex<()>,
    settled: [AtomicBool; 2],
    turns: Semaphore,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl LlmClient {
    /// A client that has not asked yet.
    ///
    /// # Errors
    /// [`ModelError::Settings`] if the configuration can't work.
    pub fn new(config: LlmConfig) -> Result<Self, ModelError> {
        if config.model.trim().is_empty() {
            return Err(ModelError::Settings("llm (MNEMON_LLM) names no model".into()));
        }
        let patience = Patience { timeout: config.timeout, deadline: config.deadline, retries: config.retries };
        let ends = ["/chat/completions", "/messages", "/api/chat"];
        let service =
            Service::new(ModelKind::LanguageModel, "llm_url", &config.base_url, &ends, headers(&config)?, patience)?;
        Ok(Self {
            turns: Semaphore::new(config.concurrency.max(1)),
            config,
            service,
            quirks: RwLock::default(),
            first: Mutex::new(()),
            settled: Default::default(),
            runtime: Some(service::runtime(ModelKind::LanguageModel)?),
        })
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            None => unreachable!("the runtime is there until the client is dropped"),
        }
    }

    /// Sends a request, and again without what the endpoint refuses of it.
    async fn settle<T>(
        &self,
        request: &ChatRequest,
        stream: bool,
        send: impl AsyncFn(&Map<String, Value>) -> Result<T, Failure>,
    ) -> Result<T, ModelError> {
        let settled = &self.settled[usize::from(request.json.is_some())];
        let first = match settled.load(Ordering::Acquire) {
            true => None,
            false => Some(self.first.lock().await),
        };
        // The one before may have settled it.
        let _first = first.filter(|_| !settled.load(Ordering::Acquire));
        let mut quirks = self.quirks().clone();
        let mut lessons: Vec<String> = Vec::new();
        loop {
            let body = wire::body(&self.config, request, &quirks, stream);
            let (status, refusal) = match send(&body).await {
                Ok(answer) => {
                    self.remember(quirks, &lessons);
                    settled.store(true, Ordering::Release);
                    return Ok(answer);
                }
                Err(Failure::Passing { reason, wait }) => {
                    self.remember(quirks, &lessons);
                    return Err(self.service.unavailable(reason, wait));
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Refused { status, refusal }) => (status, refusal),
            };
            // What does not help was not the reason: a refusal may quote anything. So it is forgotten with the request.
            let mut next = quirks.clone();
            let lesson = next.learn(status, &refusal, &body).filter(|_| lessons.len() < MAX_LESSONS);
            let Some(lesson) = lesson.filter(|_| wire::body(&self.config, request, &next, stream) != body) else {
                return Err(self.refused(status, &refusal));
            };
            lessons.push(lesson);
            quirks = next;
        }
    }

    /// Keeps what was learnt for the requests to come.
    fn remember(&self, quirks: Quirks, lessons: &[String]) {
        if lessons.is_empty() {
            return;
        }
        for lesson in lessons {
            let (endpoint, model) = (&self.service.server, &self.config.model);
            tracing::info!(%endpoint, %model, "the language model {lesson}");
        }
        *self.quirks.write().unwrap_or_else(PoisonError::into_inner) = quirks;
    }

    fn quirks(&self) -> std::sync::RwLockReadGuard<'_, Quirks> {
        self.quirks.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a refusal means here.
    fn refused(&self, status: u16, refusal: &Refusal) -> ModelError {
        let model = &self.config.model;
        let advice = match status {
            401 if self.config.api_key.is_none() => "set LLM_API_KEY to a key of this service".to_owned(),
            401 => "set LLM_API_KEY to a key that this service knows".to_owned(),
            403 => format!("the key may not use model `{model}` here: allow it, or set another key"),
            404 => format!(
                "look whether llm (MNEMON_LLM) names a model that it has, now `{model}`, and llm_url (MNEMON_LLM_URL) \
                 ends as it should, usually in /v1"
            ),
            300..=399 => "set llm_url (MNEMON_LLM_URL) to where it leads".to_owned(),
            _ if refusal.is_about_money() => "look at the plan and billing of the key".to_owned(),
            _ if status == 413 || refusal.is_about_length() => {
                "what it was to read is too long for it: send fewer messages at a time".to_owned()
            }
            _ => format!("look at llm (MNEMON_LLM), now `{model}`, and the other llm_ settings"),
        };
        self.service.refused(status, refusal, advice)
    }

    fn nothing(&self, thought: bool) -> ModelError {
        let answer = if thought { "with thoughts and no answer" } else { "with an empty text" };
        self.service.no_answer(answer, "it may need a higher llm_max_tokens (MNEMON_LLM_MAX_TOKENS), or another model")
    }

    /// The answer that a finished text is.
    fn answer(&self, piece: Piece) -> Result<ChatAnswer, ModelError> {
        let mut text = clean::answer(&piece.text);
        if text.is_empty() && piece.text.trim().is_empty() {
            // Some put all of it where thoughts belong.
            text = clean::answer(&piece.thought);
        }
        if text.is_empty() {
            return Err(self.nothing(!piece.text.is_empty() || !piece.thought.is_empty()));
        }
        Ok(ChatAnswer { text, finish: piece.finish.unwrap_or(Finish::Stop), usage: piece.usage })
    }

    /// Reads a stream to its end.
    async fn follow(
        &self,
        response: Response,
        piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ChatAnswer, ModelError> {
        let wrong = |told: String| self.service.no_answer(told, WRONG_PLACE);
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let lines = kind.contains("ndjson");
        if !lines && !kind.contains("event-stream") {
            // It does not stream.
            let body = response.bytes().await.map_err(|error| wrong(error.to_string()))?;
            let answer = self.answer(wire::answer(self.config.provider, &body).map_err(wrong)?)?;
            let _ = piece(&answer.text);
            return Ok(answer);
        }
        let mut room = MAX_ANSWER;
        let bytes = response.bytes_stream().take_while(move |chunk| {
            room = room.saturating_sub(chunk.as_ref().map_or(0, |chunk| chunk.len()));
            std::future::ready(room > 0)
        });
        let bytes = bytes.boxed();
        let end = Instant::now() + LONGEST;
        let mut ended = false;
        let mut events = match lines {
            true => line_events(bytes).boxed(),
            false => bytes.eventsource().map(|event| event.map(|e| e.data).map_err(|error| error.to_string())).boxed(),
        };
        let mut whole = Piece::default();
        let mut thoughts = Thoughts::default();
        let mut said = String::new();
        loop {
            let next = tokio::time::timeout(self.config.timeout, events.next()).await;
            let Ok(next) = next else {
                return Err(self.service.unavailable(format!("it fell silent for {:?}", self.config.timeout), None));
            };
            let Some(event) = next else { break };
            let data =
                event.map_err(|reason| self.service.unavailable(format!("its answer broke off: {reason}"), None))?;
            if data == "[DONE]" {
                ended = true;
                break;
            }
            if Instant::now() > end {
                return Err(self.service.unavailable(format!("its answer did not end within {LONGEST:?}"), None));
            }
            let Piece { text, thought, finish, usage } = wire::event(self.config.provider, &data).map_err(wrong)?;
            let new = thoughts.push(&text);
            whole.text.push_str(&text);
            whole.thought.push_str(&thought);
            whole.finish = finish.or(whole.finish);
            ended |= finish.is_some();
            whole.usage = usage.or(whole.usage);
            if !new.is_empty() {
                said.push_str(&new);
                if piece(&new).is_break() {
                    return Ok(ChatAnswer { text: said, finish: Finish::Length, usage: whole.usage });
                }
            }
        }
        if !ended {
            // What was said so far may be half of a sentence.
            return Err(self.service.unavailable("its answer broke off".to_owned(), None));
        }
        let rest = thoughts.finish();
        if !rest.is_empty() {
            said.push_str(&rest);
            let _ = piece(&rest);
        }
        if said.trim().is_empty() {
            let answer = self.answer(whole)?;
            let _ = piece(&answer.text);
            return Ok(answer);
        }
        Ok(ChatAnswer { text: said, finish: whole.finish.unwrap_or(Finish::Stop), usage: whole.usage })
    }
}

impl ChatModel for LlmClient {
    fn name(&self) -> &str {
        &self.config.model
    }

    fn chat(&self, request: &ChatRequest) -> Result<ChatAnswer, ModelError> {
        self.block_on(async {
            let path = wire::path(self.config.provider);
            let body = self.settle(request, false, async |body| {
                let _turn = self.turns.acquire().await;
                self.service.post(path, body, MAX_ANSWER).await
            });
            let piece = wire::answer(self.config.provider, &body.await?);
            self.answer(piece.map_err(|told| self.service.no_answer(told, WRONG_PLACE))?)
        })
    }

    fn chat_stream(
        &self,
        request: &ChatRequest,
        piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ChatAnswer, ModelError> {
        self.block_on(async {
            let path = wire::path(self.config.provider);
            let _turn = self.turns.acquire().await;
            let response = self.settle(request, true, async |body| self.service.open(path, body).await).await?;
            self.follow(response, piece).await
        })
    }
}

impl Drop for LlmClient {
    fn drop(&mut self) {
        // Where a client is dropped, waiting may not be allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The lines of a stream, as they come.
fn line_events<B: AsRef<[u8]>>(
    bytes: impl futures_util::Stream<Item = reqwest::Result<B>>,
) -> impl futures_util::Stream<Item = Result<String, String>> {
    let mut held = Vec::new();
    let ended = futures_util::stream::iter([None]);
    bytes.map(Some).chain(ended).flat_map(move |chunk| {
        let mut lines = Vec::new();
        match chunk {
            Some(Ok(chunk)) => {
                held.extend_from_slice(chunk.as_ref());
                while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = held.drain(..=end).collect();
                    lines.push(Ok(String::from_utf8_lossy(&line).trim().to_owned()));
                }
            }
            Some(Err(error)) => lines.push(Err(error.to_string())),
            None => lines.push(Ok(String::from_utf8_lossy(&std::mem::take(&mut held)).trim().to_owned())),
        }
        lines.retain(|line| line.as_ref().map_or(true, |line| !line.is_empty()));
        futures_util::stream::iter(lines)
    })
}

fn headers(config: &LlmConfig) -> Result<HeaderMap, ModelError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &config.api_key {
        let (name, text) = match config.provider {
            LlmProvider::Anthropic => (HeaderName::from_static("x-api-key"), key.clone()),
            _ => (AUTHORIZATION, format!("Bearer {key}")),
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            ModelError::Settings("the language model's key holds characters that no key has: copy it again".into())
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if config.provider == LlmProvider::Anthropic {
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    }
    for (name, value) in &config.headers {
        let wrong = || ModelError::Settings(format!("llm_headers holds `{name}`, which is no HTTP header"));
        let mut text = HeaderValue::try_from(value).map_err(|_| wrong())?;
        text.set_sensitive(true);
        headers.insert(HeaderName::try_from(name).map_err(|_| wrong())?, text);
    }
    Ok(headers)
}
