//! How often a key may call, and how often an address may try to log in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
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

/// The address at the other end, as [`Limits::door`] counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            // Whoever has one address of a /64 has all of them.
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            v4 => v4,
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // Those without an address share one limit.
        let from = parts.extensions.get::<SocketAddr>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), SocketAddr::ip);
        Ok(from.into())
    }
}

/// Whether a request comes from the server's own machine.
pub(crate) struct Near(pub(crate) bool);

impl<S: Sync> FromRequestParts<S> for Near {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let from = parts.extensions.get::<SocketAddr>();
        Ok(Self(from.is_some_and(|from| from.ip().to_canonical().is_loopback())))
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
    pub(crate) fn door(&self, door: Door, from: Peer) -> Result<(), Problem> {
        let limiter = match door {
            Door::Register => &self.register,
            Door::Login => &self.login,
            Door::Refresh => &self.refresh,
        };
        check(limiter, &from.0).map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_counts_addresses_that_one_caller_holds_as_one() {
        let peer = |address: &str| Peer::from(address.parse::<IpAddr>().unwrap());
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:2"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        let limits = Limits::new(None);
        for _ in 0..5 {
            assert!(limits.door(Door::Register, peer("192.0.2.1")).is_ok());
        }
        assert!(limits.door(Door::Register, peer("192.0.2.1")).is_err());
        assert!(limits.door(Door::Register, peer("192.0.2.2")).is_ok());
        assert!(limits.door(Door::Login, peer("192.0.2.1")).is_ok());
    }
}
