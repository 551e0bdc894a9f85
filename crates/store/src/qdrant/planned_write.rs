//! A write that is planned and encoded.

use super::plan::Plan;
use crate::{Result, Scope, ScopeVersion};

/// A write that is planned and encoded, ready to be recorded and applied.
pub(super) struct PlannedWrite {
    /// The versions that scopes must still have.
    pub(super) expected: Vec<(Scope, ScopeVersion)>,
    /// The lock keys that the writer holds.
    pub(super) keys: Vec<i64>,
    pub(super) plan: Plan,
    /// The encoded plan, as the outbox stores it.
    pub(super) body: Vec<u8>,
}

impl PlannedWrite {
    pub(super) fn new(expected: &[(Scope, ScopeVersion)], keys: Vec<i64>, plan: Plan) -> Result<Self> {
        let body = plan.encode()?;
        Ok(Self { expected: expected.to_vec(), keys, plan, body })
    }
}
