//! The pauses between the attempts of a failed job, and the reason that callers see until then.

use std::time::Duration;

use mnemon_models::{ModelError, ModelKind};
use mnemon_store::RetryPolicy;

use crate::error::EngineError;

/// Seconds between the attempts of a job whose model is unavailable; the last is repeated.
const UNAVAILABLE_PAUSES: [u64; 5] = [2, 5, 15, 30, 60];
/// The same for other failures of a model, which an operator has to fix.
const FAILED_PAUSES: [u64; 6] = [2, 10, 60, 5 * 60, 15 * 60, 60 * 60];
/// Maximum pause, even if the model's service asks for a longer one.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How often an idle worker reads the queue.
const POLL: Duration = Duration::from_secs(1);

/// When jobs are tried: until they succeed, because their requests were accepted.
pub(super) fn policy(lease: Duration) -> RetryPolicy {
    RetryPolicy { poll: POLL, backoff: FAILED_PAUSES.map(Duration::from_secs).to_vec(), lease, max_attempts: None }
}

/// The pause before the next attempt, after this many failed attempts.
pub(super) fn pause(policy: &RetryPolicy, failed: usize, error: &EngineError) -> Duration {
    match error {
        EngineError::Model(ModelError::Unavailable { wait, .. }) => {
            let pause = UNAVAILABLE_PAUSES[failed.saturating_sub(1).min(UNAVAILABLE_PAUSES.len() - 1)];
            Duration::from_secs(pause).max(wait.unwrap_or_default().min(MAX_PAUSE))
        }
        _ => policy.pause(failed).unwrap_or(MAX_PAUSE),
    }
}

/// Why a job failed, for callers: without the message of the model's service, which may contain anything.
pub(super) fn public_reason(error: &EngineError) -> &'static str {
    match error {
        EngineError::Model(ModelError::Unavailable { kind: ModelKind::Embedder, .. }) => {
            "the embedder is not available"
        }
        EngineError::Model(ModelError::Unavailable { .. }) => "the language model is not available",
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
        let seconds = |failed, error: &EngineError| pause(&policy, failed, error).as_secs();
        assert_eq!([1, 2, 9].map(|failed| seconds(failed, &unavailable(None))), [2, 5, 60]);
        assert_eq!([1, 600, 86_400].map(|wait| seconds(1, &unavailable(Some(wait)))), [2, 600, 3600]);
        let unusable = EngineError::Extraction { reason: String::new(), is_truncated: false };
        assert_eq!([1, 9].map(|failed| seconds(failed, &unusable)), [2, 3600]);
    }
}
