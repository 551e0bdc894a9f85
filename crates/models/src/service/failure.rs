//! Why a call failed.

use std::time::Duration;

use super::{Refusal, Verdict};
use crate::error::ModelError;

/// Why a call failed.
pub(crate) enum Failure {
    /// The service is not available. A retry may succeed, after the time that the service asks to wait.
    Unavailable {
        reason: String,
        wait: Option<Duration>,
        /// The status of its answer; 0 if there was none.
        status: u16,
        /// Whether the service may be unable to process this request only.
        in_doubt: bool,
    },
    /// The service rejects the request; a retry would be rejected too.
    Refused {
        /// 0 if there was no answer in time.
        status: u16,
        refusal: Refusal,
        /// What a probe found out about a failure that was in doubt.
        verdict: Option<Verdict>,
    },
    /// The configuration can't work; no request was sent.
    Configuration(ModelError),
}
