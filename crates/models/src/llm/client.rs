//! A client of one model at one endpoint.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Response;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Semaphore};

use super::chat::{ChatAnswer, ChatModel, ChatRequest, Finish};
use super::config::{LlmConfig, LlmProvider};
use super::quirks::Quirks;
use super::reasoning::{ReasoningFilter, clean_answer};
use super::stream::{self, Events};
use super::wire::{self, AnswerPart};
use crate::error::{ModelError, ModelKind};
use crate::service::{
    self, Address, Failure, Refusal, RetryPolicy, Root, Service, add_headers, clean_key, header_of_key,
};

/// Maximum number of bytes that are read of an answer.
const MAX_ANSWER: usize = 16 << 20;
/// Maximum duration of a streamed answer.
const MAX_STREAM_TIME: Duration = Duration::from_secs(10 * 60);
/// Maximum number of refusals of one request after which the request is changed and sent again.
const MAX_LESSONS: usize = 8;

/// Calls a language model over HTTP, with the API of OpenAI and compatible services, of Anthropic, or of Ollama.
///
/// Only configured parameters are sent. If the endpoint does not support one of them, the request is sent again without it,
/// and so are all later requests. The number of concurrent requests is limited, and a circuit breaker stops calls to an
/// endpoint that keeps failing.
///
/// Calls block, so they must not be made from async code. The client may be dropped anywhere.
#[derive(Debug)]
pub struct LlmClient {
    config: LlmConfig,
    service: Service,
    quirks: RwLock<Quirks>,
    /// Held by the first request of each kind (plain, JSON), so that each unsupported parameter is learned once.
    first: Mutex<()>,
    /// Whether a request of each kind was answered.
    is_settled: [AtomicBool; 2],
    permits: Semaphore,
    /// `None` only while the client is dropped.
    runtime: Option<Runtime>,
}

impl LlmClient {
    /// Creates a client; sends nothing yet.
    ///
    /// # Errors
    /// [`ModelError::Settings`] if the configuration can't work.
    pub fn new(config: LlmConfig) -> Result<Self, ModelError> {
        if config.model.trim().is_empty() {
            return Err(invalid_setting("llm", "names no model"));
        }
        let policy = RetryPolicy { timeout: config.timeout, deadline: config.deadline, retries: config.retries };
        let root = if config.provider == LlmProvider::Ollama { Root::HostOnly } else { Root::Versioned };
        let address = Address::new(ModelKind::LanguageModel, "llm_url", &config.base_url, root)?;
        let headers = headers(&config, &address)?;
        let service = Service::new(ModelKind::LanguageModel, address, headers, policy);
        Ok(Self {
            permits: Semaphore::new(config.concurrency.max(1)),
            config,
            service,
            quirks: RwLock::default(),
            first: Mutex::new(()),
            is_settled: Default::default(),
            runtime: Some(service::runtime(ModelKind::LanguageModel)?),
        })
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(work),
            None => unreachable!("the runtime exists until the client is dropped"),
        }
    }

    /// Sends a request. If the endpoint rejects a parameter, sends the request again without it.
    async fn send_adapted<T>(
        &self,
        request: &ChatRequest,
        stream: bool,
        send: impl AsyncFn(&Map<String, Value>) -> Result<T, Failure>,
    ) -> Result<T, ModelError> {
        let is_settled = &self.is_settled[usize::from(request.json.is_some())];
        let first = if is_settled.load(Ordering::Acquire) { None } else { Some(self.first.lock().await) };
        // The request before this one may have been answered in the meantime.
        let _first = first.filter(|_| !is_settled.load(Ordering::Acquire));
        let mut quirks = self.quirks().clone();
        let mut lessons: Vec<String> = Vec::new();
        loop {
            let body = wire::body(&self.config, request, &quirks, stream);
            let (status, refusal) = match send(&body).await {
                Ok(answer) => {
                    self.remember(quirks, &lessons);
                    is_settled.store(true, Ordering::Release);
                    return Ok(answer);
                }
                Err(Failure::Unavailable { reason, wait, .. }) => {
                    self.remember(quirks, &lessons);
                    return Err(self.service.unavailable(reason, wait));
                }
                Err(Failure::Configuration(error)) => return Err(error),
                Err(Failure::Refused { status, refusal }) => (status, refusal),
            };
            // A refusal may quote any parameter. If leaving it out does not help, it was not the reason, and the changed quirks
            // are not kept.
            let mut next = quirks.clone();
            let lesson = next.learn(status, &refusal, &body).filter(|_| lessons.len() < MAX_LESSONS);
            let Some(lesson) = lesson.filter(|_| wire::body(&self.config, request, &next, stream) != body) else {
                return Err(self.refused(status, &refusal));
            };
            lessons.push(lesson);
            quirks = next;
        }
    }

    /// Keeps the changed quirks for the following requests.
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

    fn quirks(&self) -> RwLockReadGuard<'_, Quirks> {
        self.quirks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, status: u16, refusal: &Refusal) -> ModelError {
        self.service.refused(
            status,
            refusal,
            &self.config.model,
            self.config.api_key.as_deref().and_then(clean_key).is_some(),
        )
    }

    fn wrong_answer(&self, fault: String) -> ModelError {
        self.service.unreadable_answer(fault)
    }

    fn empty_answer(&self, has_reasoning: bool) -> ModelError {
        let answer = if has_reasoning { "with reasoning and without an answer" } else { "with an empty text" };
        self.service.empty_answer(answer)
    }

    /// The answer that a complete text contains.
    fn answer(&self, part: AnswerPart) -> Result<ChatAnswer, ModelError> {
        let mut text = clean_answer(&part.text);
        if text.is_empty() && part.text.trim().is_empty() {
            // Some services return the answer as reasoning.
            text = clean_answer(&part.reasoning);
        }
        if text.is_empty() {
            return Err(self.empty_answer(!part.text.is_empty() || !part.reasoning.is_empty()));
        }
        Ok(ChatAnswer { text, finish: part.finish.unwrap_or(Finish::Stop), usage: part.usage })
    }

    /// Reads a streamed response to its end.
    async fn read_stream(
        &self,
        response: Response,
        on_delta: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ChatAnswer, ModelError> {
        match stream::events(response, MAX_ANSWER) {
            Ok(events) => self.read_events(events, on_delta).await,
            Err(response) => {
                let body = response.bytes().await.map_err(|error| self.wrong_answer(error.to_string()))?;
                let part = wire::answer(self.config.provider, &body).map_err(|fault| self.wrong_answer(fault))?;
                let answer = self.answer(part)?;
                let _ = on_delta(&answer.text);
                Ok(answer)
            }
        }
    }

    async fn read_events(
        &self,
        mut events: Events,
        on_delta: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ChatAnswer, ModelError> {
        let deadline = Instant::now() + MAX_STREAM_TIME;
        let mut is_complete = false;
        let mut whole = AnswerPart::default();
        let mut filter = ReasoningFilter::default();
        let mut answer = String::new();
        loop {
            let Ok(next) = tokio::time::timeout(self.config.timeout, events.next()).await else {
                let reason = format!("its answer paused for longer than {:?}", self.config.timeout);
                return Err(self.service.unavailable(reason, None));
            };
            let Some(event) = next else { break };
            let data =
                event.map_err(|reason| self.service.unavailable(format!("its answer broke off: {reason}"), None))?;
            if data == "[DONE]" {
                is_complete = true;
                break;
            }
            if Instant::now() > deadline {
                let reason = format!("its answer did not end within {MAX_STREAM_TIME:?}");
                return Err(self.service.unavailable(reason, None));
            }
            let part = wire::event(self.config.provider, &data).map_err(|fault| self.wrong_answer(fault))?;
            let delta = filter.push(&part.text);
            whole.text.push_str(&part.text);
            whole.reasoning.push_str(&part.reasoning);
            whole.finish = part.finish.or(whole.finish);
            whole.usage = part.usage.or(whole.usage);
            is_complete |= part.finish.is_some();
            if !delta.is_empty() {
                answer.push_str(&delta);
                if on_delta(&delta).is_break() {
                    return Ok(ChatAnswer { text: answer, finish: Finish::Length, usage: whole.usage });
                }
            }
        }
        if !is_complete {
            // The text may end in the middle of a sentence.
            return Err(self.service.unavailable("its answer broke off".to_owned(), None));
        }
        let rest = filter.finish();
        if !rest.is_empty() {
            answer.push_str(&rest);
            let _ = on_delta(&rest);
        }
        if answer.trim().is_empty() {
            let answer = self.answer(whole)?;
            let _ = on_delta(&answer.text);
            return Ok(answer);
        }
        Ok(ChatAnswer { text: answer, finish: whole.finish.unwrap_or(Finish::Stop), usage: whole.usage })
    }
}

impl ChatModel for LlmClient {
    fn name(&self) -> &str {
        &self.config.model
    }

    fn chat(&self, request: &ChatRequest) -> Result<ChatAnswer, ModelError> {
        self.block_on(async {
            let path = wire::path(self.config.provider);
            let body = self.send_adapted(request, false, async |body| {
                let _permit = self.permits.acquire().await;
                self.service.post(path, body, MAX_ANSWER).await
            });
            let part = wire::answer(self.config.provider, &body.await?);
            self.answer(part.map_err(|fault| self.wrong_answer(fault))?)
        })
    }

    fn chat_stream(
        &self,
        request: &ChatRequest,
        on_delta: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ChatAnswer, ModelError> {
        self.block_on(async {
            let path = wire::path(self.config.provider);
            let _permit = self.permits.acquire().await;
            let response = self.send_adapted(request, true, async |body| self.service.open(path, body).await).await?;
            self.read_stream(response, on_delta).await
        })
    }
}

impl Drop for LlmClient {
    fn drop(&mut self) {
        // The client may be dropped in async code, where waiting for the runtime is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn invalid_setting(setting: &'static str, reason: &str) -> ModelError {
    ModelError::Settings { kind: ModelKind::LanguageModel, setting, reason: reason.to_owned() }
}

fn headers(config: &LlmConfig, address: &Address) -> Result<HeaderMap, ModelError> {
    let kind = ModelKind::LanguageModel;
    let mut headers = match (config.provider, config.api_key.as_deref().and_then(clean_key)) {
        (LlmProvider::Anthropic, Some(key)) => {
            header_of_key(kind, "LLM_API_KEY", HeaderName::from_static("x-api-key"), key)?
        }
        (_, key) => address.key_header(kind, "LLM_API_KEY", key.as_deref())?,
    };
    if config.provider == LlmProvider::Anthropic {
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    }
    add_headers(kind, "llm_headers", &mut headers, &config.headers)?;
    Ok(headers)
}
