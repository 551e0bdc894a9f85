//! Rate limits: requests of a caller, and login attempts from an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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
use crate::forwarded::Client;

type Keyed<K> = RateLimiter<K, DashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// The rate limits of a server.
pub(crate) struct Limits {
    requests: Option<Keyed<String>>,
    register: Keyed<IpAddr>,
    login: Keyed<IpAddr>,
    refresh: Keyed<IpAddr>,
}

/// A public route with a rate limit by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginRoute {
    /// 5 requests per minute.
    Register,
    /// 10 requests per minute.
    Login,
    /// 20 requests per minute.
    Refresh,
}

impl LoginRoute {
    fn per_minute(self) -> NonZeroU32 {
        let limit = match self {
            Self::Register => 5,
            Self::Login => 10,
            Self::Refresh => 20,
        };
        NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN)
    }
}

/// The address of the client, as [`Limits::login_attempt`] counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            // A client with one IPv6 address usually has the whole /64 network.
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            v4 => v4,
        })
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // Clients without an address share one limit.
        let from = parts.extensions.get::<Client>().and_then(|client| client.address);
        Ok(from.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).into())
    }
}

impl Limits {
    pub(crate) fn new(requests: Option<RateLimit>) -> Self {
        let by_address = |route: LoginRoute| keyed(route.per_minute());
        Self {
            requests: requests.map(|limit| keyed(limit.per_minute)),
            register: by_address(LoginRoute::Register),
            login: by_address(LoginRoute::Login),
            refresh: by_address(LoginRoute::Refresh),
        }
    }

    /// Counts a request of a caller. Returns the headers that describe the limit.
    ///
    /// # Errors
    /// 429 if the limit is exceeded.
    pub(crate) fn request(&self, caller: &str) -> Result<HeaderMap, Problem> {
        match &self.requests {
            Some(limiter) => check(limiter, &caller.to_owned()),
            None => Ok(HeaderMap::new()),
        }
    }

    /// Counts a request to a login route.
    ///
    /// # Errors
    /// 429 if the limit is exceeded.
    pub(crate) fn login_attempt(&self, route: LoginRoute, from: ClientAddress) -> Result<(), Problem> {
        let limiter = match route {
            LoginRoute::Register => &self.register,
            LoginRoute::Login => &self.login,
            LoginRoute::Refresh => &self.refresh,
        };
        check(limiter, &from.0).map(drop)
    }

    /// Removes the counts of callers and addresses that have been idle.
    pub(crate) fn remove_idle(&self) {
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
    fn the_addresses_of_one_client_are_counted_together() {
        let client = |address: &str| ClientAddress::from(address.parse::<IpAddr>().unwrap());
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:2"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        let limits = Limits::new(None);
        for _ in 0..5 {
            assert!(limits.login_attempt(LoginRoute::Register, client("192.0.2.1")).is_ok());
        }
        assert!(limits.login_attempt(LoginRoute::Register, client("192.0.2.1")).is_err());
        assert!(limits.login_attempt(LoginRoute::Register, client("192.0.2.2")).is_ok());
        assert!(limits.login_attempt(LoginRoute::Login, client("192.0.2.1")).is_ok());
    }
}
