//! A circuit breaker: after many failures in a row a service is not called for a while, and callers fail at once instead of
//! waiting.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that open the breaker.
const MAX_FAILURES: u32 = 8;
/// A service that answered within this time is only busy: the breaker stays closed.
const RECENT_ANSWER: Duration = Duration::from_secs(2);
/// How long the breaker is open at first; doubled by each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Maximum time for which the breaker is open.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The breaker is open: the service must not be called now.
#[derive(Debug)]
pub(super) struct Open {
    /// The last failure, and the time until the next call.
    pub(super) reason: String,
    /// The time until the next call.
    pub(super) wait: Duration,
}

/// The circuit breaker of a service.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failures since the last answer.
    failures: u32,
    /// The service must not be called before this time.
    until: Option<Instant>,
    /// When it last answered.
    answered: Option<Instant>,
    /// The last failure.
    reason: String,
}

impl Breaker {
    /// Checks whether the service may be called now. After the pause one caller at a time may call it.
    pub(super) fn check(&self) -> Result<(), Open> {
        let mut state = self.lock();
        let now = Instant::now();
        match state.until {
            Some(until) if now < until => {
                let (wait, State { reason, failures, .. }) = (until - now, &*state);
                let seconds = wait.as_secs_f64().ceil();
                let reason =
                    format!("{reason}; it failed {failures} times in a row and is called again in {seconds:.0} s");
                Err(Open { reason, wait })
            }
            Some(_) => {
                // The other callers wait for the result of this call.
                state.until = Some(now + pause(state.failures));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Records that the service answered, with any status.
    pub(super) fn record_answer(&self) {
        *self.lock() = State { answered: Some(Instant::now()), ..State::default() };
    }

    /// Records that the service did not answer.
    pub(super) fn record_failure(&self, reason: &str) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        reason.clone_into(&mut state.reason);
        let is_busy = state.answered.is_some_and(|answered| answered.elapsed() < RECENT_ANSWER);
        if state.failures >= MAX_FAILURES && !is_busy {
            state.until = Some(Instant::now() + pause(state.failures));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the breaker is open after so many failures.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(MAX_FAILURES).min(5);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_the_breaker_and_an_answer_closes_it() {
        let breaker = Breaker::default();
        for _ in 1..MAX_FAILURES {
            breaker.record_failure("HTTP 500");
            assert!(breaker.check().is_ok());
        }
        breaker.record_failure("HTTP 500");
        let reason = breaker.check().unwrap_err().reason;
        assert!(reason.starts_with("HTTP 500; it failed 8 times in a row and is called again in 1 s"), "{reason}");
        breaker.lock().until = Some(Instant::now());
        assert!(breaker.check().is_ok(), "one caller may try whether it has recovered");
        assert!(breaker.check().is_err(), "the others wait for its result");
        breaker.record_answer();
        assert!(breaker.check().is_ok());
        (0..2 * MAX_FAILURES).for_each(|_| breaker.record_failure("HTTP 429"));
        assert!(breaker.check().is_ok(), "it answered a moment ago");
    }

    #[test]
    fn pauses_grow_up_to_half_a_minute() {
        assert_eq!([8, 9, 13, 4000].map(|failures| pause(failures).as_secs()), [1, 2, 30, 30]);
    }
}
