//! Retries of a call with growing pauses, up to a deadline, and the circuit breaker.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::{Doubt, Failure, Probe, Refusal};

/// Pause before the first retry; doubled for each further retry.
const BACKOFF: Duration = Duration::from_millis(250);
/// Maximum wait for an open circuit breaker; if it stays open for longer, the call fails at once.
const MAX_BREAKER_WAIT: Duration = Duration::from_secs(2);
/// Maximum timeout of a small request that shows whether a service works.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait for a service, and how often to retry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPolicy {
    /// Timeout of one attempt.
    pub(crate) timeout: Duration,
    /// Maximum time for all attempts and the pauses between them.
    pub(crate) deadline: Duration,
    /// Number of retries if there is no answer, or if its status is 408, 425, 429 or 5xx.
    pub(crate) retries: u32,
}

/// The attempts of all calls to one service.
pub(super) struct Retries {
    pub(super) policy: RetryPolicy,
    breaker: Breaker,
}

impl Retries {
    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { policy, breaker: Breaker::default() }
    }

    /// Makes attempts until one succeeds, is rejected, or no retries or time are left. A failure in doubt is judged by the
    /// probe when it first occurs and again after the last retry; see [`super::doubt`].
    pub(super) async fn run<T>(
        &self,
        probe: &impl Probe,
        attempt: impl AsyncFn(Duration) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + self.policy.deadline;
        let mut pause = BACKOFF;
        let (mut retries, mut is_judged) = (0, false);
        loop {
            if let Err(open) = self.breaker.check() {
                if open.wait > MAX_BREAKER_WAIT || Instant::now() + open.wait >= deadline {
                    let (reason, wait) = (open.reason, Some(open.wait));
                    return Err(Failure::Unavailable { reason, wait, status: 0, in_doubt: false });
                }
                tokio::time::sleep(open.wait.mul_f64(1.0 + jitter())).await;
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let result = attempt(left.min(self.policy.timeout)).await;
            let Err(Failure::Unavailable { reason, wait: requested, status, in_doubt }) = result else {
                self.breaker.record_answer();
                return result;
            };
            // The jitter keeps calls that failed together from being repeated together.
            let wait = requested.unwrap_or_default().max(pause.mul_f64(jitter()));
            let is_last = retries >= self.policy.retries || Instant::now() + wait >= deadline;
            if in_doubt
                && (is_last || !is_judged)
                && let Some(verdict) = probe.probe(Doubt { status, is_last }).await
            {
                self.breaker.record_answer();
                return Err(Failure::Refused { status, refusal: Refusal::of_failure(reason), verdict: Some(verdict) });
            }
            is_judged = true;
            self.breaker.record_failure(&reason);
            if is_last {
                return Err(Failure::Unavailable { reason, wait: requested, status, in_doubt });
            }
            retries += 1;
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    /// Makes one attempt, also if the circuit breaker is open: it shows whether an attempt before it failed alone.
    pub(super) async fn once<T>(&self, attempt: impl AsyncFn(Duration) -> Result<T, Failure>) -> Result<T, Failure> {
        let result = attempt(self.policy.timeout.min(PROBE_TIMEOUT)).await;
        match &result {
            Err(Failure::Unavailable { reason, .. }) => self.breaker.record_failure(reason),
            _ => self.breaker.record_answer(),
        }
        result
    }
}

/// A random factor from 0.5 to 1.5. The seed of hash maps is random enough for that.
fn jitter() -> f64 {
    0.5 + (RandomState::new().hash_one(()) >> 11) as f64 / (1_u64 << 53) as f64
}
