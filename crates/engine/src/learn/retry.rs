//! What happens after a failed attempt: a pause, or an end; and the reason that callers see.

use std::time::Duration;

use mnemon_models::{ModelError, ModelKind, RefusalCause};
use mnemon_store::RetryPolicy;

use crate::error::EngineError;

/// Seconds between the attempts of a job whose model is unavailable; the last is repeated.
const UNAVAILABLE_PAUSES: [u64; 5] = [2, 5, 15, 30, 60];
/// The same for other failures of a model, which an operator has to fix.
const FAILED_PAUSES: [u64; 6] = [2, 10, 60, 5 * 60, 15 * 60, 60 * 60];
/// Maximum pause, even if the model's service asks for a longer one.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Attempts in which a model answers, but refuses the request or answers unusably, after which a job is parked.
const MAX_REFUSALS: usize = 8;
/// The same if the reason is known to be in the messages: another attempt helps only if the model's settings change.
const MAX_REFUSALS_OF_MESSAGES: usize = 2;
/// How often an idle worker reads the queue.
const POLL: Duration = Duration::from_secs(1);

/// When jobs are tried: until they succeed, or until a model has answered so often without success that another attempt
/// does not help.
pub(super) fn policy(lease: Duration) -> RetryPolicy {
    let backoff = FAILED_PAUSES.map(Duration::from_secs).to_vec();
    RetryPolicy { poll: POLL, backoff, lease, max_attempts: Some(MAX_REFUSALS) }
}

/// The pause before the next attempt, after this many failed attempts, of which a model answered so many; `None` if the
/// job is to be parked.
pub(super) fn pause(policy: &RetryPolicy, failed: usize, refusals: usize, error: &EngineError) -> Option<Duration> {
    let last = |pauses: &[Duration]| pauses[failed.saturating_sub(1).min(pauses.len() - 1)];
    match error {
        EngineError::Model(ModelError::Unavailable { wait, .. }) => {
            let pause = last(&UNAVAILABLE_PAUSES.map(Duration::from_secs));
            Some(pause.max(wait.unwrap_or_default().min(MAX_PAUSE)))
        }
        _ if !is_about_request(error) => Some(last(&policy.backoff)),
        _ => match error.llm_refusal() {
            Some(RefusalCause::Filtered) => None,
            Some(RefusalCause::TooLong | RefusalCause::ThisRequest) if refusals >= MAX_REFUSALS_OF_MESSAGES => None,
            _ => policy.pause(refusals),
        },
    }
}

/// Whether a model answered, and the fault may be in the request: not in the model's settings, its key or its account,
/// which concern all requests.
pub(super) fn is_about_request(error: &EngineError) -> bool {
    match error {
        EngineError::Model(ModelError::Refused { cause, .. }) => {
            matches!(
                cause,
                RefusalCause::TooLong | RefusalCause::Filtered | RefusalCause::ThisRequest | RefusalCause::Other
            )
        }
        EngineError::Model(ModelError::Answer { .. }) | EngineError::Extraction { .. } | EngineError::Invalid(_) => {
            true
        }
        _ => false,
    }
}

/// Why a job failed, for callers: without the message of the model's service, which may contain anything.
pub(super) fn public_reason(error: &EngineError) -> &'static str {
    match error {
        EngineError::Model(ModelError::Unavailable { kind: ModelKind::Embedder, .. }) => {
            "the embedder is not available"
        }
        EngineError::Model(ModelError::Unavailable { .. }) => "the language model is not available",
        EngineError::Model(ModelError::Refused {
            kind: ModelKind::LanguageModel,
            cause: RefusalCause::Filtered,
            ..
        }) => "the language model refuses the content of the messages",
        EngineError::Model(ModelError::Refused {
            kind: ModelKind::LanguageModel,
            cause: RefusalCause::TooLong,
            ..
        }) => "the messages are too long for the language model",
        EngineError::Model(ModelError::Refused {
            kind: ModelKind::LanguageModel,
            cause: RefusalCause::ThisRequest,
            ..
        }) => "the language model fails at these messages and answers others; see the server's log for the reason",
        EngineError::Model(ModelError::Refused { kind: ModelKind::LanguageModel, .. }) => {
            "the language model rejects the request; see the server's log for the reason"
        }
        EngineError::Model(ModelError::Answer { kind: ModelKind::LanguageModel, .. })
        | EngineError::Extraction { .. } => {
            "the language model's answer can't be used; see the server's log for the reason"
        }
        _ => "a model does not work with its current settings; see the server's log for the reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_honour_the_service() {
        let unavailable = |wait: Option<u64>| {
            EngineError::Model(ModelError::Unavailable {
                kind: ModelKind::LanguageModel,
                server: String::new(),
                reason: String::new(),
                wait: wait.map(Duration::from_secs),
            })
        };
        let policy = policy(Duration::from_secs(180));
        let seconds = |failed, error: &EngineError| pause(&policy, failed, failed.min(7), error).unwrap().as_secs();
        assert_eq!([1, 2, 9].map(|failed| seconds(failed, &unavailable(None))), [2, 5, 60]);
        assert_eq!([1, 600, 86_400].map(|wait| seconds(1, &unavailable(Some(wait)))), [2, 600, 3600]);
        let unusable = EngineError::Extraction { reason: String::new(), is_truncated: false };
        assert_eq!([1, 9].map(|failed| seconds(failed, &unusable)), [2, 3600]);
    }

    #[test]
    fn a_job_ends_if_a_model_answers_without_success() {
        let policy = policy(Duration::from_secs(180));
        let refused = |kind, cause| {
            let (server, model, reason) = (String::new(), String::new(), String::new());
            EngineError::Model(ModelError::Refused { kind, server, model, reason, cause })
        };
        let llm = |cause| refused(ModelKind::LanguageModel, cause);
        let answer = ModelError::Answer {
            kind: ModelKind::LanguageModel,
            server: String::new(),
            answer: String::new(),
            is_empty: true,
        };
        let ends =
            |error: &EngineError| (1..1000).find(|refusals| pause(&policy, *refusals, *refusals, error).is_none());
        for (error, end) in [
            (llm(RefusalCause::Filtered), Some(1)),
            (llm(RefusalCause::TooLong), Some(2)),
            (llm(RefusalCause::ThisRequest), Some(2)),
            (llm(RefusalCause::Other), Some(8)),
            (refused(ModelKind::Embedder, RefusalCause::Other), Some(8)),
            (answer.into(), Some(8)),
            (EngineError::Extraction { reason: String::new(), is_truncated: true }, Some(8)),
            (llm(RefusalCause::InvalidKey), None),
            (llm(RefusalCause::NoKey), None),
            (llm(RefusalCause::KeyNotAllowed), None),
            (llm(RefusalCause::UnknownModel), None),
            (llm(RefusalCause::Moved), None),
            (llm(RefusalCause::Quota), None),
            (EngineError::NoLanguageModel("x"), None),
        ] {
            assert_eq!(ends(&error), end, "{error}");
        }
    }
}
