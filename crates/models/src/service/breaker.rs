//! A circuit breaker: a service that failed many times in a row is left alone for a while, so that callers hear at once
//! what they would otherwise wait for.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row after which a service is left alone.
const PATIENCE: u32 = 8;
/// One that answered within this time is not: it is only busy.
const ALIVE: Duration = Duration::from_secs(2);
/// For how long at first; doubled by each further failure.
const PAUSE: Duration = Duration::from_secs(1);
/// For how long at most.
const LONGEST: Duration = Duration::from_secs(30);

/// That a service is left alone.
#[derive(Debug)]
pub(super) struct Open {
    /// The last failure, and how long it goes on.
    pub(super) reason: String,
    /// For how long.
    pub(super) wait: Duration,
}

/// What is known of a service's health.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failures since the last answer.
    failures: u32,
    /// Nobody asks before.
    until: Option<Instant>,
    /// When it last answered.
    answered: Option<Instant>,
    /// The last failure.
    reason: String,
}

impl Breaker {
    /// Whether to ask now; why not, if not. After a pause one caller at a time may.
    pub(super) fn may_ask(&self) -> Result<(), Open> {
        let mut state = self.lock();
        let now = Instant::now();
        match state.until {
            Some(until) if now < until => {
                let (wait, State { reason, failures, .. }) = (until - now, &*state);
                let seconds = wait.as_secs_f64().ceil();
                let told =
                    format!("{reason}; it failed {failures} times in a row and is asked again in {seconds:.0} s");
                Err(Open { reason: told, wait })
            }
            Some(_) => {
                // Others wait for what this one meets.
                state.until = Some(now + pause(state.failures));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// It answered, if only to refuse.
    pub(super) fn answered(&self) {
        *self.lock() = State { answered: Some(Instant::now()), ..State::default() };
    }

    /// It did not.
    pub(super) fn failed(&self, reason: &str) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        reason.clone_into(&mut state.reason);
        let alive = state.answered.is_some_and(|answered| answered.elapsed() < ALIVE);
        if state.failures >= PATIENCE && !alive {
            state.until = Some(Instant::now() + pause(state.failures));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(PATIENCE).min(5);
    (PAUSE * 2_u32.pow(doublings)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_in_a_row_open_it_and_an_answer_closes_it() {
        let breaker = Breaker::default();
        for _ in 1..PATIENCE {
            breaker.failed("HTTP 500");
            assert!(breaker.may_ask().is_ok());
        }
        breaker.failed("HTTP 500");
        let told = breaker.may_ask().unwrap_err().reason;
        assert!(told.starts_with("HTTP 500; it failed 8 times in a row and is asked again in 1 s"), "{told}");
        breaker.lock().until = Some(Instant::now());
        assert!(breaker.may_ask().is_ok(), "one may look whether it is back");
        assert!(breaker.may_ask().is_err(), "the others wait for what it meets");
        breaker.answered();
        assert!(breaker.may_ask().is_ok());
        (0..2 * PATIENCE).for_each(|_| breaker.failed("HTTP 429"));
        assert!(breaker.may_ask().is_ok(), "it answered a moment ago");
    }

    #[test]
    fn pauses_grow_up_to_half_a_minute() {
        assert_eq!([8, 9, 13, 4000].map(|failures| pause(failures).as_secs()), [1, 2, 30, 30]);
    }
}
