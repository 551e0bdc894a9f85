//! How often a key may call, and how often an address may try to log in.

use std::net::IpAddr;
use std::num::NonZeroU32;

use axum::http::HeaderMap;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::config::RateLimit;
use crate::error::Problem;

type Keyed<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// The limits in force.
pub(crate) struct Limits {
    requests: Option<Keyed<String>>,
    register: Keyed<IpAddr>,
    login: Keyed<IpAddr>,
    refresh: Keyed<IpAddr>,
}

/// A door that is tried by those who have no key yet, with its limit a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// 5 a minute.
    Register,
    /// 10 a minute.
    Login,
    /// 20 a minute.
    Refresh,
}

impl Door {
    fn per_minute(self) -> NonZeroU32 {
        let limit = match self {
            Self::Register => 5,
            Self::Login => 10,
            Self::Refresh => 20,
        };
        NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN)
    }
}

impl Limits {
    pub(crate) fn new(requests: Option<RateLimit>) -> Self {
        let door = |door: Door| keyed(door.per_minute());
        Self {
            requests: requests.map(|limit| keyed(limit.per_minute)),
            register: door(Door::Register),
            login: door(Door::Login),
            refresh: door(Door::Refresh),
        }
    }

    /// Counts a request of a caller; returns what to tell about the limit.
    pub(crate) fn request(&self, caller: &str) -> Result<HeaderMap, Problem> {
        match &self.requests {
            Some(limiter) => check(limiter, &caller.to_owned()),
            None => Ok(HeaderMap::new()),
        }
    }

    /// Counts a try at a door.
    pub(crate) fn door(&self, door: Door, from: IpAddr) -> Result<(), Problem> {
        let limiter = match door {
            Door::Register => &self.register,
            Door::Login => &self.login,
            Door::Refresh => &self.refresh,
        };
        check(limiter, &from).map(drop)
    }

    /// Forgets those who have not called for long.
    pub(crate) fn tidy(&self) {
        self.requests.iter().for_each(RateLimiter::retain_recent);
        [&self.register, &self.login, &self.refresh].into_iter().for_each(RateLimiter::retain_recent);
    }
}

fn keyed<K: std::hash::Hash + Eq + Clone>(per_minute: NonZeroU32) -> Keyed<K> {
    RateLimiter::dashmap(Quota::per_minute(per_minute)).with_middleware()
}

fn check<K: std::hash::Hash + Eq + Clone>(limiter: &Keyed<K>, key: &K) -> Result<HeaderMap, Problem> {
    match limiter.check_key(key) {
        Ok(snapshot) => {
            let mut headers = HeaderMap::new();
            headers.insert("x-ratelimit-limit", snapshot.quota().burst_size().get().into());
            headers.insert("x-ratelimit-remaining", snapshot.remaining_burst_capacity().into());
            Ok(headers)
        }
        Err(refused) => {
            let wait = refused.wait_time_from(DefaultClock::default().now());
            let limit = refused.quota().burst_size().get();
            Err(Problem::too_many_requests(limit, wait.as_secs() + 1))
        }
    }
}
