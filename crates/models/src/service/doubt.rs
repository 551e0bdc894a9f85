//! Failures in doubt: a service that fails without a reason, with a status of 5xx or by not answering in time, may be
//! unavailable, or unable to process one request. One text must not take a service from everybody, so the caller of a request
//! sends a small one that every service can process. If that is answered, the request was the reason: its failure does not
//! count for the circuit breaker, and it is not retried. So is a refusal that no words explain.

use super::Refusal;

/// A failure whose reason is to be found out.
pub(crate) struct Doubt {
    /// The status of the answer; 0 if there was none.
    pub(crate) status: u16,
    /// Whether no retries are left.
    pub(crate) is_last: bool,
}

/// What a small request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is answered, so the reason is in the content of the request that failed.
    Content,
    /// It is answered without some of the parameters.
    Parameters,
}

/// Sends a small request after another one failed.
pub(crate) trait Probe {
    /// Its result; `None` if it is not answered either, so that the service is the reason, or if none was sent.
    async fn probe(&self, doubt: Doubt) -> Option<Verdict>;
}

/// For requests that are never the reason.
pub(crate) struct NoProbe;

impl Probe for NoProbe {
    async fn probe(&self, _: Doubt) -> Option<Verdict> {
        None
    }
}

impl Refusal {
    /// Whether a refusal with this status may be about the content of a request: not about an address, a key or an account.
    pub(crate) fn may_be_about_this_request(&self, status: u16) -> bool {
        !matches!(status, 300..=399 | 401 | 404) && !self.is_about_quota()
    }
}
