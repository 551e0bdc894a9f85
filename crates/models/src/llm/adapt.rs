//! Sends requests as an endpoint accepts them: its refusals are learned.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

use super::chat::ChatRequest;
use super::client::LlmClient;
use super::probe::ChatProbe;
use super::quirks::Quirks;
use super::wire;
use crate::error::{ModelError, RefusalCause};
use crate::service::{Doubt, Failure, Probe, Refusal, Verdict};

/// Maximum number of refusals of one request after which the request is changed and sent again.
const MAX_LESSONS: usize = 8;

/// Attempts after a refusal without a reason.
struct Guesses {
    left: VecDeque<(Quirks, String)>,
    /// The lessons before them.
    lessons: Vec<String>,
    /// The refusal.
    first: (u16, Refusal),
}

impl LlmClient {
    /// Sends a request. If the endpoint rejects a parameter, sends the request again without it.
    pub(super) async fn send_adapted<T>(
        &self,
        request: &ChatRequest,
        stream: bool,
        send: impl AsyncFn(&Map<String, Value>, &ChatProbe<'_>) -> Result<T, Failure>,
    ) -> Result<T, ModelError> {
        let is_settled: &AtomicBool = &self.is_settled[usize::from(request.json.is_some())];
        let first = if is_settled.load(Ordering::Acquire) { None } else { Some(self.first.lock().await) };
        // The request before this one may have been answered in the meantime.
        let _first = first.filter(|_| !is_settled.load(Ordering::Acquire));
        let mut quirks = self.quirks().clone();
        let mut lessons: Vec<String> = Vec::new();
        let mut guesses: Option<Guesses> = None;
        // The verdict about a failure in doubt.
        let mut known = None;
        loop {
            let body = wire::body(&self.config, request, &quirks, stream);
            let probe = ChatProbe::new(self, request, &quirks, is_settled.load(Ordering::Acquire), known);
            let (status, refusal, verdict) = match send(&body, &probe).await {
                Ok(answer) => {
                    self.remember(quirks, &lessons);
                    is_settled.store(true, Ordering::Release);
                    return Ok(answer);
                }
                Err(Failure::Unavailable { reason, wait, .. }) => {
                    // Guesses have not helped yet.
                    if guesses.is_none() {
                        self.remember(quirks, &lessons);
                    }
                    return Err(self.service.unavailable(reason, wait));
                }
                Err(Failure::Configuration(error)) => return Err(error),
                Err(Failure::Refused { status, refusal, verdict }) => (status, refusal, verdict),
            };
            // A refusal may quote any parameter. If leaving it out does not help, it was not the reason, and the changed quirks
            // are not kept.
            let mut next = quirks.clone();
            let lesson = next.learn(status, &refusal, &body).filter(|_| lessons.len() < MAX_LESSONS);
            if let Some(lesson) = lesson.filter(|_| wire::body(&self.config, request, &next, stream) != body) {
                lessons.push(lesson);
                quirks = next;
                continue;
            }
            if guesses.is_none() {
                match self.judge(&probe, status, &refusal, verdict).await {
                    // A service may fail for a moment.
                    Some(Verdict::Content) if status >= 500 && known.is_none() => {
                        known = Some(Verdict::Content);
                        continue;
                    }
                    Some(Verdict::Content) => return Err(self.refused_content(status, &refusal)),
                    // An endpoint that has answered such a request refuses something else.
                    None if is_settled.load(Ordering::Acquire) || !is_vague(status, &refusal) => {
                        return Err(self.refused(status, &refusal));
                    }
                    Some(Verdict::Parameters) | None => known = Some(Verdict::Parameters),
                }
            }
            let guesses = guesses.get_or_insert_with(|| Guesses {
                left: quirks.guesses(&body).into(),
                lessons: lessons.clone(),
                first: (status, refusal),
            });
            let Some((guess, lesson)) = guesses.left.pop_front() else {
                let (status, refusal) = &guesses.first;
                return Err(self.refused(*status, refusal));
            };
            lessons = guesses.lessons.iter().cloned().chain([lesson]).collect();
            quirks = guess;
        }
    }

    /// What a refusal is about that no lesson explains; `None` if the content of the request is not the reason.
    async fn judge(
        &self,
        probe: &ChatProbe<'_>,
        status: u16,
        refusal: &Refusal,
        verdict: Option<Verdict>,
    ) -> Option<Verdict> {
        let cause = refusal.cause(status, self.has_key());
        let is_unexplained = matches!(cause, RefusalCause::Other | RefusalCause::KeyNotAllowed | RefusalCause::Quota);
        if verdict.is_some() || !is_unexplained || !refusal.may_be_about_this_request(status) {
            return verdict;
        }
        probe.probe(Doubt { status, is_last: false }).await
    }

    /// The error of a request that is refused while others are answered.
    fn refused_content(&self, status: u16, refusal: &Refusal) -> ModelError {
        let mut error = self.refused(status, refusal);
        if let ModelError::Refused { cause, .. } = &mut error
            && matches!(cause, RefusalCause::Other | RefusalCause::KeyNotAllowed | RefusalCause::Quota)
        {
            *cause = RefusalCause::ThisRequest;
        }
        error
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
}

/// Whether a refusal has no reason, so that any parameter may be at fault.
fn is_vague(status: u16, refusal: &Refusal) -> bool {
    matches!(status, 400 | 422)
        && refusal.param.is_none()
        && !refusal.is_about_length()
        && !refusal.is_about_content()
        && !refusal.is_about_quota()
}
