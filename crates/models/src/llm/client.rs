//! A client of one model at one endpoint.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Response;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Semaphore};

use super::chat::{ChatAnswer, ChatModel, ChatRequest, Finish};
use super::config::{LlmConfig, LlmProvider};
use super::headers::{headers, invalid_setting};
use super::quirks::Quirks;
use super::reasoning::{ReasoningFilter, clean_answer};
use super::stream::{self, Events};
use super::truncation::truncated_at;
use super::wire::{self, AnswerPart};
use crate::error::{ModelError, ModelKind, RefusalCause};
use crate::service::{self, Address, Failure, Refusal, RetryPolicy, Root, Service, clean_key};

/// Maximum number of bytes that are read of an answer.
const MAX_ANSWER: usize = 16 << 20;
/// Maximum duration of a streamed answer.
const MAX_STREAM_TIME: Duration = Duration::from_secs(10 * 60);

/// Calls a language model over HTTP, with the API of OpenAI and compatible services, of Anthropic, or of Ollama.
///
/// Only configured parameters are sent. If the endpoint does not support one of them, the request is sent again without it,
/// and so are all later requests. The number of concurrent requests is limited, and a circuit breaker stops calls to an
/// endpoint that keeps failing.
///
/// Calls block, so they must not be made from async code. The client may be dropped anywhere.
#[derive(Debug)]
pub struct LlmClient {
    pub(super) config: LlmConfig,
    pub(super) service: Service,
    pub(super) quirks: RwLock<Quirks>,
    /// Held by the first request of each kind (plain, JSON), so that each unsupported parameter is learned once.
    pub(super) first: Mutex<()>,
    /// Whether a request of each kind was answered.
    pub(super) is_settled: [AtomicBool; 2],
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

    pub(super) fn quirks(&self) -> RwLockReadGuard<'_, Quirks> {
        self.quirks.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has_key(&self) -> bool {
        self.config.api_key.as_deref().and_then(clean_key).is_some()
    }

    pub(super) fn refused(&self, status: u16, refusal: &Refusal) -> ModelError {
        self.service.refused(status, refusal, &self.config.model, self.has_key())
    }

    fn wrong_answer(&self, fault: String) -> ModelError {
        self.service.unreadable_answer(fault)
    }

    /// The error of an answer that a filter or the model refuses, or that leaves out a part of the request.
    fn refused_with_success(&self, reason: String, cause: RefusalCause) -> ModelError {
        let (kind, server, model) = (ModelKind::LanguageModel, self.service.server.clone(), self.config.model.clone());
        ModelError::Refused { kind, server, model, reason, cause }
    }

    /// The error of a failure that a response with a successful status describes.
    fn error_of(&self, failure: Failure) -> ModelError {
        match failure {
            Failure::Unavailable { reason, wait, .. } => self.service.unavailable(reason, wait),
            Failure::Refused { status, refusal, .. } => self.refused(status, &refusal),
            Failure::Configuration(error) => error,
        }
    }

    /// The error without what the endpoint quotes of the request.
    fn without_quotes(&self, error: ModelError, request: &ChatRequest) -> ModelError {
        let texts: Vec<&str> = request.messages.iter().map(|message| message.content.as_str()).collect();
        match error {
            ModelError::Answer { kind, server, answer, is_empty } => {
                ModelError::Answer { kind, server, answer: self.service.cleaned(&answer, &texts), is_empty }
            }
            ModelError::Refused { kind, server, model, reason, cause } => {
                ModelError::Refused { kind, server, model, reason: self.service.cleaned(&reason, &texts), cause }
            }
            other => other,
        }
    }

    fn empty_answer(&self, has_reasoning: bool) -> ModelError {
        let answer = if has_reasoning { "with reasoning and without an answer" } else { "with an empty text" };
        self.service.empty_answer(answer)
    }

    /// The answer that a complete text contains. If JSON is requested, it may be in the arguments of a tool's call.
    fn answer(&self, part: AnswerPart, request: &ChatRequest) -> Result<ChatAnswer, ModelError> {
        if let Some(reason) = part.refused {
            return Err(self.refused_with_success(reason, RefusalCause::Filtered));
        }
        let mut text = clean_answer(&part.text);
        if text.is_empty() && request.json.is_some() {
            text = clean_answer(&part.arguments);
        }
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
        request: &ChatRequest,
        on_delta: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ChatAnswer, ModelError> {
        match stream::events(response, MAX_ANSWER) {
            Ok(events) => self.read_events(events, request, on_delta).await,
            Err(response) => {
                let broke_off = |_| self.service.unavailable("its answer broke off".to_owned(), None);
                let body = response.bytes().await.map_err(broke_off)?;
                let texts: Vec<&str> = request.messages.iter().map(|message| message.content.as_str()).collect();
                if let Some(failure) = self.service.failure_in(&body, &texts) {
                    return Err(self.error_of(failure));
                }
                let part = wire::answer(self.config.provider, &body).map_err(|fault| self.wrong_answer(fault))?;
                let answer = self.answer(part, request)?;
                let _ = on_delta(&answer.text);
                Ok(answer)
            }
        }
    }

    async fn read_events(
        &self,
        mut events: Events,
        request: &ChatRequest,
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
            is_complete |= part.finish.is_some();
            whole.join(part);
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
        if answer.trim().is_empty() || whole.refused.is_some() {
            let answer = self.answer(whole, request)?;
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
        let answer = self.block_on(async {
            let path = wire::path(self.config.provider);
            let body = self.send_adapted(request, false, async |body, probe| {
                let _permit = self.permits.acquire().await;
                self.service.post(path, body, MAX_ANSWER, probe).await
            });
            let part = wire::answer(self.config.provider, &body.await?);
            self.answer(part.map_err(|fault| self.wrong_answer(fault))?, request)
        });
        let answer = answer.map_err(|error| self.without_quotes(error, request))?;
        // A chat goes on with the end of a conversation; facts would be missing.
        match request.json.as_ref().and(answer.usage).and_then(|usage| truncated_at(usage, request)) {
            Some(tokens) => {
                let reason = format!("it reads only {tokens} tokens of the request");
                Err(self.refused_with_success(reason, RefusalCause::TooLong))
            }
            None => Ok(answer),
        }
    }

    fn chat_stream(
        &self,
        request: &ChatRequest,
        on_delta: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<ChatAnswer, ModelError> {
        let answer = self.block_on(async {
            let path = wire::path(self.config.provider);
            let _permit = self.permits.acquire().await;
            let response =
                self.send_adapted(request, true, async |body, probe| self.service.open(path, body, probe).await);
            self.read_stream(response.await?, request, on_delta).await
        });
        answer.map_err(|error| self.without_quotes(error, request))
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
