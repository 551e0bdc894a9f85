//! The outcome of one request to the service.

use super::answer::Vectors;
use super::learned::Feature;
use crate::service::{Refusal, Verdict};

/// The outcome of a request that the service answered.
pub(super) enum Outcome {
    /// One vector for each text; `None` for a text to which the model gives no usable vector.
    Vectors(Vectors),
    /// It refuses the request.
    Refused(Refused),
}

/// A refused request.
pub(super) struct Refused {
    /// 0 if there was no answer in time.
    pub(super) status: u16,
    pub(super) refusal: Refusal,
    /// What a probe found out, if one was sent.
    pub(super) verdict: Option<Verdict>,
    /// The features that the request used.
    pub(super) used: Vec<Feature>,
}
