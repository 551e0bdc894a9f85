//! A circuit breaker: a service that failed many times in a row is left alone for a while, so that callers hear at once
//! what they would otherwise wait for.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row after which a service is left alone.
const PATIENCE: u32 = 8;
/// For how long at first; doubled by each further failure.
const PAUSE: Duration = Duration::from_secs(1);
/// For how long at most.
const LONGEST: Duration = Duration::from_secs(30);

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
    /// The last failure.
    reason: String,
}

impl Breaker {
    /// Whether to ask now; why not, if not. After a pause one caller at a time may.
    pub(super) fn may_ask(&self) -> Result<(), String> {
        let mut state = self.lock();
        let now = Instant::now();
        match state.until {
            Some(until) if now < until => Err(format!(
                "{}; it failed {} times in a row and is asked again in {:.0} s",
                state.reason,
                state.failures,
                (until - now).as_secs_f64().ceil()
            )),
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
        *self.lock() = State::default();
    }

    /// It did not.
    pub(super) fn failed(&self, reason: &str) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        reason.clone_into(&mut state.reason);
        if state.failures >= PATIENCE {
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
        let told = breaker.may_ask().unwrap_err();
        assert!(told.starts_with("HTTP 500; it failed 8 times in a row and is asked again in 1 s"), "{told}");
        breaker.lock().until = Some(Instant::now());
        assert!(breaker.may_ask().is_ok(), "one may look whether it is back");
        assert!(breaker.may_ask().is_err(), "the others wait for what it meets");
        breaker.answered();
        assert!(breaker.may_ask().is_ok());
    }

    #[test]
    fn pauses_grow_up_to_half_a_minute() {
        assert_eq!([8, 9, 13, 4000].map(|failures| pause(failures).as_secs()), [1, 2, 30, 30]);
    }
}
